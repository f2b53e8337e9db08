"""Ten faxes to a machine with one line, and thirty by a trunk with five channels, on the real line.

    .tools/venv/bin/python bench/one_number.py [--faxes 10] [--many 30] [--channels 5]

Starts an instance of its own; the far end is its own Asterisk, which is busy (17) where its one line is taken, and has
no channel (34) beyond the trunk's. Two companies' people send by the form. Beside the ten stands what as many calls
take in a row, by the length of the first. Ends with 1 if not all are sent, if a call was made beside the ten, or if
they took more than 1.2 times that.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
from line import Sender, Watch, light_pdf
from running import ROOT, database_url, free_ports, instance, unix_seconds

sys.path.insert(0, str(ROOT / "bin/lib"))
import asterisk

ONE, MANY = "+390559000001", "+3905591{n:05}"
MOST_LONGER = 1.2
LONGEST = 1_500
#: The far ends, beside the dialplan of the instance.
FAR_ENDS = """
[faxroom-in](+)
exten => {one},1,Set(GROUP(one)=line)
 same => n,GotoIf($[${{GROUP_COUNT(line@one)}} > 1]?busy)
 same => n,Answer()
 same => n,ReceiveFAX(${{ASTSPOOLDIR}}/tmp/${{CHANNEL(uniqueid)}}.tif,f)
 same => n,Hangup()
 same => n(busy),Hangup(17)
exten => _+3905591XXXXX,1,Set(GROUP(trunk)=channel)
 same => n,GotoIf($[${{GROUP_COUNT(channel@trunk)}} > {channels}]?full)
 same => n,Answer()
 same => n,ReceiveFAX(${{ASTSPOOLDIR}}/tmp/${{CHANNEL(uniqueid)}}.tif,f)
 same => n,Hangup()
 same => n(full),Hangup(34)
"""


def over(watch: Watch, fax_ids: list[str]) -> list[sa.Row]:
    """Their attempts, when all are over."""
    query = sa.text(
        "SELECT fax.id, fax.status, fax.cause, attempt.created_at, attempt.ended_at, attempt.outcome FROM fax "
        "LEFT JOIN attempt ON attempt.fax_id = fax.id WHERE fax.id IN :ids ORDER BY attempt.id"
    ).bindparams(sa.bindparam("ids", expanding=True))
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        with watch.engine.connect() as connection:
            rows = list(connection.execute(query, {"ids": fax_ids}))
        if all(row.status in ("sent", "failed", "unknown") for row in rows):
            return rows
        time.sleep(0.5)
    sys.exit(f"Not all were over after {LONGEST} s: {[(row.status, row.cause) for row in rows]}")


def told(what: str, rows: list[sa.Row], count: int) -> float:
    sent = len({row.id for row in rows if row.status == "sent"})
    failed = len({row.id for row in rows if row.status == "failed"})
    beside = [row.outcome for row in rows if row.outcome != "success"]
    first = min(unix_seconds(row.created_at) for row in rows)
    seconds = max(unix_seconds(row.ended_at) for row in rows) - first
    print(f"{what}: {sent} of {count} sent, {failed} failed, {seconds:.1f} s, {len(rows)} calls, "
          f"beside them {({word: beside.count(word) for word in set(beside)})}", flush=True)  # fmt: skip
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faxes", type=int, default=10)
    parser.add_argument("--many", type=int, default=30)
    parser.add_argument("--channels", type=int, default=5)
    choice = parser.parse_args()
    port, sip_port, ari_port = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="faxroom-one-number-") as folder:
        home = Path(folder) / "home"
        Path(folder).chmod(0o711)
        with instance(home, port=port, sip_port=sip_port, ari_port=ari_port):
            dialplan = FAR_ENDS.format(one=ONE, channels=choice.channels)
            far_ends(home, dialplan)
            url, watch, page = f"http://127.0.0.1:{port}", Watch(database_url(home)), light_pdf()
            people = [Sender(url, "bob@alpha.test", to=ONE), Sender(url, "charlie@beta.test", to=ONE)]
            ids = [people[n % 2].send("page.pdf", page)[0] for n in range(choice.faxes)]
            rows = over(watch, ids)
            seconds = told(f"{choice.faxes} to one line", rows, choice.faxes)
            call = min(unix_seconds(row.ended_at) - unix_seconds(row.created_at) for row in rows)
            ratio = seconds / (call * choice.faxes)
            print(f"one call takes {call:.1f} s, in a row {call * choice.faxes:.1f} s: {ratio:.2f} times", flush=True)
            fine = ratio <= MOST_LONGER and len(rows) == choice.faxes and all(row.status == "sent" for row in rows)
            many = []
            for n in range(choice.many):
                people[0].to = MANY.format(n=n)
                many.append(people[0].send("page.pdf", page)[0])
            rows = over(watch, many)
            told(f"{choice.many} through {choice.channels} channels", rows, choice.many)
            return int(not fine or any(row.status != "sent" for row in rows))


def far_ends(home: Path, dialplan: str) -> None:
    """Asterisk reads them while it runs."""
    home = home / "asterisk"
    (home / "etc/local/extensions.conf").write_text(dialplan)
    command = [part for part in asterisk.command(ROOT / ".tools/asterisk", home) if part != "-f"]
    subprocess.run([*command, "-rx", "dialplan reload"], check=True, capture_output=True, timeout=20)


if __name__ == "__main__":
    sys.exit(main())
