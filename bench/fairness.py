"""One company has ten thousand faxes waiting and twenty documents that take minutes: does another's single fax notice?

    .tools/venv/bin/python bench/fairness.py [--faxes 10000] [--poison 20] [--single 12]

Starts an instance of its own. Charlie of Beta sends one fax after the other, a PDF and a docx, by the form; counted is
from the beginning of the request to the ringing at the other end. First nobody else does anything. Then ten thousand
faxes of Bob's are entered, of Alpha, half of them to be prepared and half of them ready for the line, of which Alpha
has two places; and Alice of Alpha, who takes turns with him, sends the documents by the form. Ends with 1 if the
slowest fax under attack took more than 2 s longer than the usual one before.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
import yaml
from line import Sender, Watch, light_docx, light_pdf, submit_to_ringing
from running import ROOT, database_url, free_ports, instance

sys.path.insert(0, str(ROOT))

from bench.documents.poison import POISON

ALPHA, BETA = "+390509655637", "+493023125000"
MOST_MORE = 2.0
#: Every so often a document of the attacker's begins anew: this long they are at it before anybody else comes.
BEFORE = 10


def provision(folder: Path) -> Path:
    """The demo; Alpha has two places on the line."""
    data = yaml.safe_load((ROOT / "demo/faxroom.yaml").read_text())
    data["tenants"][0]["limits"] = {"inbound": 0, "outbound": 2, "total": 0}
    path = folder / "fairness.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def multiply(watch: Watch, fax_id: str, count: int) -> None:
    """Enter so many more faxes like this one: every other one is still to be prepared."""
    tables = sa.MetaData()
    tables.reflect(watch.engine, only=("fax", "tenant"))
    fax, tenant = tables.tables["fax"], tables.tables["tenant"]
    with watch.engine.begin() as connection:
        one = dict(connection.execute(fax.select().where(fax.c.id == fax_id)).mappings().one())
        fresh = {"finished_at": None, "pages_done": 0, "cause": None, "cause_values": None, "lease_until": None}
        unprepared = {"status": "accepted", "due_at": None, "tiff_id": None, "report_id": None}
        ready = {"status": "ready", "due_at": one["created_at"], "report_id": None}
        rows = []
        for n in range(1, count + 1):
            id_ = f"{fax_id[:20]}{n:06}"
            own = {"id": id_, "number": 1_000_000 + n, "submission_key": id_}
            rows.append(one | fresh | (unprepared if n % 2 else ready) | own)
        connection.execute(fax.insert(), rows)
        connection.execute(tenant.update().where(tenant.c.id == one["tenant_id"]).values(last_fax_number=2_000_000))


def states(watch: Watch) -> dict[str, int]:
    slow = "CASE WHEN lane = 'slow' THEN ' (slow lane)' ELSE '' END"
    query = f"SELECT status || {slow}, count(*) FROM fax WHERE direction = 'sent' GROUP BY 1"
    with watch.engine.connect() as connection:
        return dict(connection.execute(sa.text(query)).all())


def slow(watch: Watch, fax_ids: list[str]) -> int:
    """How many gave way or were given up for their time."""
    query = sa.text("SELECT count(*) FROM fax WHERE id IN :ids AND (lane = 'slow' OR cause = 'conversion_timed_out')")
    with watch.engine.connect() as connection:
        return connection.execute(query.bindparams(sa.bindparam("ids", expanding=True)), {"ids": fax_ids}).scalar()


def measured(charlie: Sender, watch: Watch, times: int) -> dict[str, list[float]]:
    documents = {"PDF": ("page.pdf", light_pdf()), "docx": ("page.docx", light_docx())}
    return {
        kind: submit_to_ringing(charlie, watch, *document, times, until="ringing_at")
        for kind, document in documents.items()
    }


def told(when: str, found: dict[str, list[float]]) -> None:
    for kind, taken in found.items():
        print(f"submit to ringing, {when}, {kind}: median {statistics.median(taken):.2f} s of {len(taken)}, "
              f"slowest {max(taken):.2f} s", flush=True)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faxes", type=int, default=10_000)
    parser.add_argument("--poison", type=int, default=20)
    parser.add_argument("--single", type=int, default=12, help="faxes one after the other, of each kind and time")
    choice = parser.parse_args()
    port, sip_port, ari_port = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="faxroom-fairness-") as folder:
        home, file = Path(folder) / "home", provision(Path(folder))
        with instance(home, port=port, sip_port=sip_port, ari_port=ari_port, FAXROOM_PROVISION=str(file)):
            watch, url = Watch(database_url(home)), f"http://127.0.0.1:{port}"
            charlie, bob = Sender(url, "charlie@beta.test", to=ALPHA), Sender(url, to=BETA)
            alice = Sender(url, "alice@alpha.test", to=BETA)
            submit_to_ringing(charlie, watch, "page.docx", light_docx(), 1, until="ringing_at")
            quiet = measured(charlie, watch, choice.single)
            told("quiet", quiet)
            own, _ = bob.send("page.pdf", light_pdf())
            watch.until([own], "ended_at")
            multiply(watch, own, choice.faxes)
            made = {name: make() for name, make in POISON.items()}
            chosen = itertools.islice(itertools.cycle(made.items()), choice.poison)
            poisoned = [alice.send(name, content)[0] for name, content in chosen]
            time.sleep(BEFORE)
            print(f"attack begun: {states(watch)}", flush=True)
            attacked = measured(charlie, watch, choice.single)
            told("under attack", attacked)
            print(f"attack at the end: {states(watch)}, slow: {slow(watch, poisoned)}", flush=True)
    more = {kind: max(attacked[kind]) - statistics.median(quiet[kind]) for kind in quiet}
    for kind, seconds in more.items():
        between = statistics.median(attacked[kind]) - statistics.median(quiet[kind])
        print(f"{kind}: {between:+.2f} s in the median, {seconds:+.2f} s for the slowest against the usual quiet one")
    return 0 if max(more.values()) <= MOST_MORE else 1


if __name__ == "__main__":
    sys.exit(main())
