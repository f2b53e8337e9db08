"""Whatever breaks around Faxroom, is anything lost, doubled or silent, and does it come back by itself?

    .tools/venv/bin/python bench/drill.py SEED [--faxes 100] [--kills 60] [--faults 40] [--seconds 3600]
        [--hold 40] [--database sqlite|postgresql] [--disk 2048] [--without NAME …] [--only NAME …] [--json]
    .tools/venv/bin/python bench/drill.py SEED --pace 2.4 --kills 1000 --faults 200 --faxes 1000

Starts all that it needs and stops it: an instance of its own (bin/up), a mail server and, where wanted, PostgreSQL, all
of which it breaks by a plan made from SEED; fax machines at the far end, and a ledger of what they got. Faxes go in by
the form; each page carries a code that is read again from the dots that arrived. Ends with 1 if a promise was broken.

A recovery is counted from the end of the fault until every part says that it is well and a fax that was accepted after
that end has reached a line (for a mail server: until the next mail has come). With ``--pace`` nobody waits
for one: any process of the whole tree is killed every so many seconds, while faults hold and faxes flow; what the faxes
came to is judged as strictly, and the recovery is that after the last. Ctrl-C ends the storm before its time, and what
was is judged.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drilling.far_end import FarEnd
from drilling.faults import FAULTS, KILLED, POSTGRESQL_KILLED, Kind, Room, killing
from drilling.ledger import Verdict, judge
from drilling.people import Answer, People
from drilling.plan import Event, plan
from drilling.portal import Portal
from drilling.stand_ins import MailServer, wait_until
from drilling.storm import MOST_PAGES, WORDS_EVERY, Storm
from running import free_ports

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bin/lib"))
import postgres  # noqa: E402 - the set-up's own module

#: Seconds after which something that broke is called not mended, and in which all has to be over in the end.
LONGEST_RECOVERY, LONGEST_END = 180, 600
#: Seconds in which nothing more must come: no second call, no mail.
QUIET = 5


# ---- Doing it


@dataclass
class Done:
    """What an event was like: when it held, and how long it took until all was well (None: it was not)."""

    name: str
    began: float
    ended: float
    recovered: float | None

    @property
    def over(self) -> float:
        return self.ended + (LONGEST_RECOVERY if self.recovered is None else self.recovered)


#: Nothing is broken.
STILL = lambda _: ExitStack()  # noqa: E731 - as the others of the faults' table


@dataclass
class Drill:
    room: Room
    people: People
    done: list[Done] = field(default_factory=list)

    def run(self, events: tuple[Event, ...], seconds: float) -> None:
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(64) as pool:
            for event in events:
                if time.monotonic() > end:
                    break
                for delay in event.faxes:
                    pool.submit(self._send, delay)
                self._do(event)
        self._come_to_an_end()

    def run_storm(self, storm: Storm, *, faxes: int, kills: int, events: tuple[Event, ...], seconds: float) -> None:
        began = time.monotonic()
        storm.keep()
        try:
            storm.rage(faxes=faxes, kills=kills, events=events, seconds=seconds)
            ended = time.monotonic()
            self.done.append(Done("the storm", began, ended, self._recovery(Kind(STILL), ended)))
            self._come_to_an_end()
        finally:
            storm.leave()

    def _come_to_an_end(self) -> None:
        wait_until(lambda: not self.room.portal.unfinished(), seconds=LONGEST_END, pause=0.5)
        wait_until(self.room.portal.is_off_the_line, seconds=LONGEST_END, pause=0.5)
        time.sleep(QUIET)

    def _send(self, delay: float) -> None:
        time.sleep(delay)
        chance = random.Random(delay)
        self.people.send(pages=chance.randint(1, MOST_PAGES), as_word=chance.randrange(WORDS_EVERY) == 0)

    def _do(self, event: Event) -> None:
        time.sleep(event.lead)
        began = time.monotonic()
        with event.kind.breaking(self.room):
            time.sleep(event.hold / 2)
            with killing(event.also).breaking(self.room) if event.also else ExitStack():
                time.sleep(event.hold / 2)
        ended = time.monotonic()
        self.done.append(Done(event.name, began, ended, self._recovery(event.kind, ended)))
        told = self.done[-1].recovered
        also = f" and kill {event.also}" if event.also else ""
        spent = "not mended" if told is None else f"well after {told:.1f} s"
        print(f"{event.name}{also}, {ended - began:.1f} s: {spent}", file=sys.stderr, flush=True)

    def _recovery(self, kind: Kind, ended: float) -> float | None:
        reached = threading.Event()
        threading.Thread(target=self._probe, args=(kind, ended, reached), daemon=True).start()
        is_well = lambda: reached.is_set() and self.room.portal.is_well()  # noqa: E731 - a name for what is waited for
        if wait_until(is_well, seconds=LONGEST_RECOVERY) is None:
            return None
        return time.monotonic() - ended

    def _probe(self, kind: Kind, ended: float, reached: threading.Event) -> None:
        given = self.people.send(pages=1, as_word=kind.probe == "word")
        portal, mail = self.room.portal, self.room.mail

        def is_there() -> bool:
            if kind.probe == "mail":
                return any(at > ended for at, _ in list(mail.came))
            return given is not None and portal.has_reached_a_line(given.id)

        if wait_until(is_there, seconds=LONGEST_RECOVERY) is not None:
            reached.set()


# ---- Telling it


@dataclass
class Report:
    verdict: Verdict
    done: list[Done]
    answers: list[Answer]
    planned: int
    seconds: float
    storm: Storm | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "accepted": self.verdict.accepted,
            "unseen": self.verdict.unseen,
            **{outcome: self.verdict.outcomes.get(outcome, 0) for outcome in ("sent", "unknown", "failed")},
            "arrived": self.verdict.arrived,
            "twice": self.verdict.twice,
            "twice_told": self.verdict.twice_told,
            "mails": self.verdict.mails,
            "mails_again": self.verdict.mails_again,
            "broken": self.verdict.broken,
            "done": len(self.done),
            "planned": self.planned,
            "seconds": round(self.seconds),
            "killed": dict(self.storm.killed) if self.storm else {},
            "broke": dict(self.storm.broke) if self.storm else {},
            "restarts": self.storm.restarts if self.storm else 0,
            "recovery": {name: [done.recovered for done in found] for name, found in self._by_name().items()},
        }

    def text(self) -> str:
        told = self.as_json()
        names = ("accepted", "sent", "unknown", "failed", "arrived", "twice", "twice_told", "unseen")
        names += ("mails", "mails_again")
        lines = [f"{len(self.done)} of {self.planned} faults and kills in {self.seconds:.0f} s", ""]
        if self.storm:
            killed, broke = self.storm.killed, self.storm.broke
            lines = [f"{killed.total()} kills, {broke.total()} faults in {self.seconds:.0f} s", ""]
            for title, found in (("killed", killed), ("faults", broke)):
                lines += [f"{title}: {', '.join(f'{name} {count}' for name, count in sorted(found.items()))}"]
            lines += [f"bin/up was started again {self.storm.restarts} times", ""]
        lines += [f"{name.replace('_', ' '):12} {told[name]}" for name in names]
        lines += ["", f"{'':26} times  recovery, worst    pages: p50     p95   worst  no answer  5xx"]
        lines += [self._line(name, found) for name, found in sorted(self._by_name().items())]
        lines += [_pages("all the time", "", self.answers)]
        lines += ["", *(f"BROKEN: {fault}" for fault in self.verdict.broken)]
        return "\n".join(lines)

    def _by_name(self) -> dict[str, list[Done]]:
        found: dict[str, list[Done]] = {}
        for done in self.done:
            found.setdefault(done.name, []).append(done)
        return found

    def _line(self, name: str, found: list[Done]) -> str:
        times = [done.recovered for done in found if done.recovered is not None]
        worst = "not mended" if len(times) < len(found) else f"{statistics.median(times):.1f}, {max(times):.1f} s"
        meanwhile = [
            answer for answer in self.answers if any(done.began - 0.5 <= answer.at <= done.over for done in found)
        ]
        return _pages(name, f"{len(found):5}  {worst:>15}", meanwhile)


def _pages(name: str, middle: str, answers: list[Answer]) -> str:
    taken = sorted(answer.seconds for answer in answers if answer.status)
    if not taken:
        return f"{name:26} {middle:22}"
    p50, p95 = statistics.median(taken), taken[min(len(taken) - 1, int(0.95 * len(taken)))]
    nobody = sum(not answer.status for answer in answers)
    errors = sum(answer.status >= 500 for answer in answers)
    return f"{name:26} {middle:22} {p50:14.2f} {p95:7.2f} {taken[-1]:7.2f} {nobody:10} {errors:4}"


# ---- Setting it up


@contextmanager
def _disks(folders: list[Path], megabytes: int) -> Iterator[bool]:
    """Small file systems of their own, where this machine lets us have them."""
    mounted: list[Path] = []
    for folder in folders:
        folder.mkdir(mode=0o711)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "drill", folder]
        if megabytes and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            mounted.append(folder)
    try:
        yield mounted == folders
    finally:
        for folder in mounted:
            subprocess.run(["umount", "--lazy", folder], check=False)


def _names(choice: argparse.Namespace, room: Room) -> tuple[list[str], list[str]]:
    """Faults that can be had here and were not left out, and who can be killed."""
    has = room.has()
    faults = [name for name, kind in FAULTS.items() if kind.needs in has]
    killed = [*KILLED, *(POSTGRESQL_KILLED if "postgresql" in has else ())]
    wanted = lambda name: name not in choice.without and (not choice.only or name in choice.only)  # noqa: E731
    if left_out := sorted(set(FAULTS) - set(faults)):
        print(f"not here: {', '.join(left_out)}", file=sys.stderr, flush=True)
    return list(filter(wanted, faults)), [name for name in killed if wanted(f"kill {name}")]


@contextmanager
def room_for(seed: int, *, database_kind: str = "sqlite", megabytes: int = 0) -> Iterator[tuple[Room, FarEnd]]:
    """The instance and all its neighbours, running; gone with the context."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fx-", ignore_cleanup_errors=True)))
        folder.chmod(0o711)  # PostgreSQL, which does not run as root, passes through
        disk = stack.enter_context(_disks([folder / "i", folder / "d"], megabytes))
        web, sip, ari, real_ari, far_sip, far_ari, smtp, pg = free_ports(8)
        mail = MailServer(smtp)
        mail.listen()
        more, database = {"SMTP_URL": f"smtp://127.0.0.1:{smtp}", "FAXROOM_TRUNK": f"sip:127.0.0.1:{far_sip}"}, None
        if database_kind == "postgresql":
            database = stack.enter_context(postgres.cluster(folder / "d/pg", port=pg))
            more["DATABASE_URL"] = database.add_owner("portal")
        far_end = FarEnd(folder / "far", sip_port=far_sip, ari_port=far_ari)
        stack.callback(far_end.close)
        ports = {"port": web, "sip_port": sip, "ari_port": ari, "real_ari_port": real_ari}
        portal = Portal(folder / "i/h", **ports, **more)
        stack.callback(portal.stop)
        portal.start()
        yield Room(portal, mail, database, disk, random.Random(seed)), far_end


def drill(choice: argparse.Namespace) -> Report:
    with room_for(choice.seed, database_kind=choice.database, megabytes=choice.disk) as (room, far_end):
        faults, to_kill = _names(choice, room)
        wanted = {"faxes": choice.faxes, "kills": choice.kills, "faults": choice.faults, "longest": choice.hold}
        events = plan(choice.seed, **wanted, names=faults, to_kill=to_kill)
        people, began = People(room.portal.url), time.monotonic()
        people.come()
        done = Drill(room, people)
        storm = Storm(room, people, choice.pace) if choice.pace else None
        try:
            if storm:
                signal.signal(signal.SIGINT, lambda *_: storm.enough.set())
                events = tuple(event for event in events if not event.name.startswith("kill "))
                counts = {"faxes": choice.faxes, "kills": choice.kills}
                done.run_storm(storm, events=events, seconds=choice.seconds, **counts)
            else:
                done.run(events, choice.seconds)
        finally:
            people.leave()
        verdict = judge(people.given, room.portal.told(), far_end.calls(), room.mail.delivered(), people.tried)
        verdict.broken += [f"{one.name}: not mended by itself" for one in done.done if one.recovered is None]
        if verdict.broken and choice.keep:
            _keep(room.portal.home.parents[1], choice.keep)
        return Report(verdict, done.done, people.answers, len(events), time.monotonic() - began, storm)


def _keep(folder: Path, kept: Path) -> None:
    """What was written, for whoever looks for the cause."""
    subprocess.run(["cp", "-a", folder, kept], check=False, capture_output=True)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what was started is ended
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int)
    parser.add_argument("--faxes", type=int, default=100, help="besides one after each event")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=3600, help="after these nothing more is broken")
    parser.add_argument(
        "--pace", type=float, default=0, metavar="SECONDS", help="from one kill to the next, in a storm"
    )
    parser.add_argument("--hold", type=float, default=40, metavar="SECONDS", help="no fault holds for longer")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--disk", type=int, default=0, metavar="MB", help="a file system of this size for the home")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help='such as "redis full" or "kill line"')
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the instance's files there if anything broke")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    choice = parser.parse_args()
    report = drill(choice)
    print(json.dumps(report.as_json()) if choice.json else report.text(), flush=True)
    return 1 if report.verdict.broken else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # nobody waits for a person who still looks at a page
