"""Trunks that die: how soon the other takes a call, and whether of many calls any is lost or arrives twice.

    .tools/venv/bin/python bench/trunks_dying.py [--calls 200] [--away 60] [--seed 1]

Starts an instance of its own with two trunks, ``main`` and ``main-2``. Each is a relay on a port of loopback that
brings SIP to the instance's own Asterisk, where a fax machine answers, and that can fall silent, or answer every INVITE
with 503 or 500. Prints: the seconds from the INVITE that nobody answers to the one over the other trunk; of calls while
the trunks die and come back at random how many were sent, arrived once, twice, or not at all; over which trunks a busy
number was called; and of an absence of both the seconds until people were told, the attempts that it cost, and the
seconds from the return until all were sent. Ends with 1 where one of them is not as docs/design.md says.
"""

import argparse
import random
import re
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from line import Sender, Watch, light_pdf
from one_number import far_ends
from running import database_url, free_ports, instance, unix_seconds

HOST = "127.0.0.1"
#: Called numbers: a machine for each, and one that is always busy.
MACHINE, BUSY = "+3905591{n:05}", "+390559000017"
FAR_ENDS = f"""
[faxroom-in](+)
exten => {BUSY},1,Hangup(17)
exten => _+3905591XXXXX,1,Answer()
 same => n,ReceiveFAX(${{{{ASTSPOOLDIR}}}}/tmp/${{{{EXTEN:1}}}}-${{{{CHANNEL(uniqueid)}}}}.tif,f)
 same => n,Hangup()
"""
ANSWERS = {"503": "503 Service Unavailable", "500": "500 Server Internal Error"}
WITHIN, TOLD_WITHIN, SENT_WITHIN = 5.0, 60.0, 90.0
LONGEST = 7_200


class Relay:
    """A trunk. ``mode``: alive, silent, 503 or 500; ``invites``: when the first INVITE of each call came, by number."""

    def __init__(self, port: int, to: int) -> None:
        self.port, self.to, self.mode = port, to, "alive"
        self.invites: dict[str, list[float]] = {}
        self._seen: set[str] = set()
        self._near, self._far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self._near.bind((HOST, port))
        self._far.bind((HOST, 0))
        for run in (self._out, self._back):
            threading.Thread(target=run, daemon=True).start()

    def _out(self) -> None:
        while True:
            raw, where = self._near.recvfrom(65535)
            text = raw.decode("latin-1")
            is_new = text.startswith("INVITE") and not re.search(r"^To:.*;tag=", text, re.MULTILINE | re.IGNORECASE)
            if is_new:
                self._note(text)
            if self.mode == "silent":
                continue
            if is_new and self.mode in ANSWERS:
                self._near.sendto(_answer(text, ANSWERS[self.mode]), where)
            elif not (self.mode in ANSWERS and text.startswith("ACK")):
                self._far.sendto(raw, (HOST, self.to))

    def _note(self, text: str) -> None:
        number, call = re.match(r"INVITE sips?:([^@;>]*)", text)[1], re.search(r"Call-ID: *(\S+)", text)[1]
        if call not in self._seen:
            self._seen.add(call)
            self.invites.setdefault(number, []).append(time.time())

    def _back(self) -> None:
        """What follows in the call comes over this trunk as well."""
        ours, theirs = f"{HOST}:{self.port}", f"{HOST}:{self.to}"
        while True:
            raw = self._far.recv(65535).decode("latin-1")
            contact = re.sub(r"(?m)^(Contact:.*)$", lambda line: line[1].replace(theirs, ours), raw)
            if self.mode != "silent":
                self._near.sendto(contact.encode("latin-1"), (HOST, self.to))


def _answer(invite: str, status: str) -> bytes:
    kept = re.findall(r"(?mi)^(?:Via|From|Call-ID|CSeq):[^\r\n]*", invite)
    to = re.search(r"(?mi)^To:[^\r\n]*", invite)[0]
    lines = [f"SIP/2.0 {status}", *kept, f"{to};tag={secrets.token_hex(4)}", "Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Faxes:
    """The instance's, as its database tells of them."""

    def __init__(self, watch: Watch) -> None:
        self.engine = watch.engine

    def ask(self, text: str, **values: object) -> list[sa.Row]:
        query = sa.text(text)
        for name, value in values.items():
            if isinstance(value, list):
                query = query.bindparams(sa.bindparam(name, expanding=True))
        with self.engine.connect() as connection:
            return list(connection.execute(query, values))

    def over(self, ids: list[str]) -> list[sa.Row]:
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            rows = self.ask("SELECT id, status, cause, finished_at FROM fax WHERE id IN :ids", ids=ids)
            if all(row.status in ("sent", "failed", "unknown") for row in rows):
                return rows
            time.sleep(0.5)
        sys.exit(f"Not all were over after {LONGEST} s: {Counter((row.status, row.cause) for row in rows)}")

    def attempts(self, ids: list[str]) -> list[sa.Row]:
        return self.ask(
            "SELECT attempt.fax_id, attempt.outcome, attempt.passed_on, trunk.name FROM attempt "
            "LEFT JOIN trunk ON trunk.id = attempt.trunk_id WHERE fax_id IN :ids ORDER BY attempt.id",
            ids=ids,
        )


class Bench:
    def __init__(self, home: Path, port: int, relays: tuple[Relay, Relay]) -> None:
        self.home, self.relays = home, relays
        self.faxes, self.page = Faxes(Watch(database_url(home))), light_pdf()
        self.people = [Sender(f"http://{HOST}:{port}", name) for name in ("bob@alpha.test", "charlie@beta.test")]
        self.count = self.deaths = 0

    def send(self, number: str = "") -> str:
        sender, self.count = self.people[self.count % 2], self.count + 1
        sender.to = number or MACHINE.format(n=self.count)
        return sender.send("page.pdf", self.page)[0]

    def set(self, first: str, second: str) -> None:
        self.relays[0].mode, self.relays[1].mode = first, second

    # ---- What is measured

    def death(self) -> bool:
        """The first trunk falls silent."""
        self.faxes.over([self.send()])
        self.set("silent", "alive")
        fax = self.send()
        (row,) = self.faxes.over([fax])
        number = MACHINE.format(n=self.count)
        first, second = (relay.invites.get(number, [0.0])[0] for relay in self.relays)
        self.set("alive", "alive")
        print(f"the other trunk took the call after {second - first:.2f} s; {row.status}", flush=True)
        return row.status == "sent" and 0 < second - first <= WITHIN

    def busy(self) -> bool:
        fax = self.send(BUSY)
        time.sleep(15)
        ways = [(row.name, row.outcome) for row in self.faxes.attempts([fax])]
        print(f"a busy number: {ways}", flush=True)
        return len(ways) == 1 and ways[0][1] == "busy"

    def dying(self, calls: int, chance: random.Random) -> bool:
        """Each trunk dies and comes back for itself, until all is over."""
        stop = threading.Event()

        def live(relay: Relay, seed: int) -> None:
            own = random.Random(seed)
            while not stop.is_set():
                stop.wait(own.uniform(2, 20))
                relay.mode = own.choice(("silent", "silent", "503", "500"))
                self.deaths += 1
                stop.wait(own.uniform(2, 15))
                relay.mode = "alive"

        ends = [
            threading.Thread(target=live, args=(relay, chance.randrange(10**6)), daemon=True) for relay in self.relays
        ]
        for end in ends:
            end.start()
        began = time.monotonic()
        first = self.count + 1
        ids = [self.send() for _ in range(calls)]
        rows = self.faxes.over(ids)
        stop.set()
        for end in ends:
            end.join()
        numbers = [MACHINE.format(n=n).removeprefix("+") for n in range(first, self.count + 1)]
        came = Counter(path.name.partition("-")[0] for path in self.home.rglob("spool/tmp/39055*.tif"))
        arrived = Counter(came[number] for number in numbers)
        states, attempts = Counter(row.status for row in rows), self.faxes.attempts(ids)
        seconds = time.monotonic() - began
        print(f"{calls} calls in {seconds:.0f} s, {self.deaths} times a trunk died: {dict(states)}")
        print(f"  arrived so often: {dict(arrived)}")
        print(
            f"  calls {Counter(row.name for row in attempts)}, passed on {sum(bool(row.passed_on) for row in attempts)}"
        )
        print(f"  ended {Counter(row.outcome for row in attempts)}", flush=True)
        return states == {"sent": calls} and arrived == {1: calls}

    def away(self, seconds: float, count: int = 5) -> bool:
        """Both."""
        self.set("silent", "silent")
        went = time.time()
        ids = [self.send() for _ in range(count)]
        told = self._told_after(went)
        time.sleep(max(0, seconds - (time.time() - went)))
        self.set("alive", "alive")
        back = time.time()
        rows = self.faxes.over(ids)
        last = max(unix_seconds(row.finished_at) for row in rows) - back
        ends = Counter(row.outcome for row in self.faxes.attempts(ids))
        states = Counter(row.status for row in rows)
        print(f"away for {back - went:.0f} s: told after {told:.1f} s, {dict(states)} {last:.1f} s after the return")
        print(f"  calls {dict(ends)}", flush=True)
        burned = set(ends) - {"success", "trunk_down"}
        return told <= TOLD_WITHIN and last <= SENT_WITHIN and not burned and states == {"sent": count}

    def _told_after(self, went: float) -> float:
        while time.time() - went < TOLD_WITHIN + 30:
            for row in self.faxes.ask("SELECT created_at FROM notice WHERE kind IN ('alert', 'trunk_away')"):
                if (after := unix_seconds(row.created_at) - went) >= 0:
                    return after
            time.sleep(0.5)
        return float("inf")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--away", type=float, default=60, help="seconds that both trunks are away")
    parser.add_argument("--seed", type=int, default=1)
    choice = parser.parse_args()
    port, sip_port, ari_port, *ports = free_ports(5)
    relays = (Relay(ports[0], sip_port), Relay(ports[1], sip_port))
    with tempfile.TemporaryDirectory(prefix="faxroom-trunks-dying-") as folder, suppress(KeyboardInterrupt):
        home = Path(folder) / "home"
        Path(folder).chmod(0o711)
        trunks = " ".join(f"sip:{HOST}:{relay.port}" for relay in relays)
        with instance(home, port=port, sip_port=sip_port, ari_port=ari_port, FAXROOM_TRUNK=trunks):
            far_ends(home, FAR_ENDS.format())
            bench = Bench(home, port, relays)
            # away before dying: nothing has been told of the trunks yet
            fine = [bench.death(), bench.busy(), bench.away(choice.away)]
            fine.append(bench.dying(choice.calls, random.Random(choice.seed)))
            return int(not all(fine))
    return 1


if __name__ == "__main__":
    sys.exit(main())
