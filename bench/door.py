"""A thousand emails handed in at once while everything dies: is each one fax? And how soon does the telephone ring?

    .tools/venv/bin/python bench/door.py [--submissions 1000] [--doors 2] [--kills 60] [--cuts 20]
        [--single 9] [--seed 1]

Starts all that it needs and stops it: a PostgreSQL, an instance (bin/up) and doors of its own (``worker.py door``).

*Ringing*: seconds from the moment before a client connects to the door, and from the moment at which a mail server has
handed a mail to a mailbox that the collector watches with IDLE, until the other end rings, from the attempt's row.

*At once*: so many clients connect at the same moment, each with one email, and come again until they hear 250; some
write the email anew with each try, spell the number differently, or leave before they hear what became of it. Meanwhile
doors end by SIGKILL at a step of the way (``STEPS``; whatever else they were doing ends with it), the database cuts
connections, and workers of the instance are killed. Each email must have become one fax: ends with 1 if one is lost or
there twice.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
import yaml
from mail2fax import FAR_NUMBER, Bench, letter, provision
from mail2fax import mail as mail_to_box
from running import ROOT, free_ports, instance, unix_seconds

sys.path[:0] = [str(ROOT), str(ROOT / "bin/lib")]
from steps import Progress  # noqa: E402
from testing import _postgres  # noqa: E402

DOMAIN, BOX = "fax.alpha.test", "box0@alpha.test"
DEATHS, CHANCE, MOST = "BENCH_DOOR_DEATHS", "BENCH_DOOR_CHANCE", "BENCH_DOOR_MOST"
#: The share of the emails at a step with which the door ends, until it ended there often enough.
OFTEN = 0.02
#: How the number may be written: all are FAR_NUMBER.
SPELLINGS = ("+493023125000", "00493023125000", "FAX=+493023125000", "+49.30.23125000", "+49-30-23125-000")


# ---- A door that dies


def steps() -> dict[str, tuple[Any, str, str]]:
    """Step → the object, the name of what is called there, and whether the door dies before or after it."""
    from app.adapters.mail import door as listener
    from app.jobs.mail2fax import door, messages

    return {
        "sender known": (door, "sender_of_envelope", "after"),
        "recipient known": (door, "target_of", "after"),
        "read": (door, "wish_digest", "before"),
        "judged": (messages, "_accept", "before"),
        "stored": (messages, "take_source", "after"),
        "written, not committed": (messages, "answer_accepted", "after"),
        "committed": (door, "deal_with", "after"),
        "about to answer": (listener, "said", "before"),
    }


def as_door() -> None:
    from app.adapters.mail.door import _Smtp
    from app.jobs.mail2fax.door import run

    chance, most, deaths = float(os.environ[CHANCE]), int(os.environ[MOST]), Path(os.environ[DEATHS])

    def die(step: str) -> None:
        if random.random() < chance and deaths.read_text().splitlines().count(step) < most:
            with deaths.open("a") as file:
                file.write(f"{step}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(step: str, original: Callable[..., Any], when: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if when == "before":
                die(step)
            result = original(*arguments, **more)
            if when == "after":
                die(step)
            return result

        return call

    if chance:
        for step, (place, name, when) in steps().items():
            setattr(place, name, dying(step, getattr(place, name), when))
        push = _Smtp.push

        async def pushed(self: Any, status: Any) -> None:
            await push(self, status)
            if str(status).startswith("250 2.0.0"):
                die("answered")

        _Smtp.push = pushed  # type: ignore[method-assign]
    run()


class Doors:
    """Processes that listen, each started again when it ended."""

    def __init__(self, bench: Bench, count: int, most: int) -> None:
        self.home, self.ports, self.deaths = bench.home, free_ports(count), bench.home / "bench-deaths"
        self.deaths.touch(mode=0o666)
        self.deaths.chmod(0o666)
        owner = (bench.home / "storage").stat()
        through = [bench.home.stat().st_gid]
        account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": through}
        self.account: dict[str, Any] = account if os.geteuid() == 0 else {}
        self.environment = bench.environment | {
            "FAXROOM_DOOR_DOMAIN": DOMAIN,
            "FAXROOM_DOOR_PEERS": "127.0.0.1=alpha",
            CHANCE: str(OFTEN if most else 0.0),
            MOST: str(most),
            DEATHS: str(self.deaths),
        }
        self.log = (bench.home / "bench-doors.log").open("ab")
        self.processes = {port: self._start(port) for port in self.ports}

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        command = [ROOT / ".tools/venv/bin/python", ROOT / "bench/door.py", "--as-door"]
        environment = self.environment | {"FAXROOM_DOOR_PORT": str(port)}
        return subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log, cwd=ROOT, **self.account)

    def mend(self) -> None:
        for port, process in self.processes.items():
            if process.poll() is not None:
                self.processes[port] = self._start(port)

    def wait(self) -> None:
        for port in self.ports:
            end = time.monotonic() + 300
            while time.monotonic() < end:
                with suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=5):
                    break
                self.mend()
                time.sleep(0.2)
            else:
                log = (self.home / "bench-doors.log").read_text()[-2000:]
                sys.exit(f"No door answers at port {port}:\n{log}")

    def end(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)
        self.log.close()


@contextmanager
def doors(bench: Bench, count: int, most: int = 0) -> Iterator[Doors]:
    """``most``: so often they may end at each step."""
    running = Doors(bench, count, most)
    try:
        running.wait()
        yield running
    finally:
        running.end()


# ---- Emails


def email(n: int, document: bytes) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["Subject"] = "bob@alpha.test", f"Submission {n}"
    message["Message-ID"], message["Date"] = f"<submission-{n}@alpha.test>", formatdate()
    message.set_content("Please send this.\n")
    message.add_attachment(document, maintype="application", subtype="pdf", filename=f"letter-{n}.pdf")
    return message


class Client:
    """Hands one email in until it hears 250."""

    def __init__(self, n: int, document: bytes, ports: list[int], chance: random.Random) -> None:
        self.message, self.ports, self.chance = email(n, document), ports, chance
        self.rewrites, self.tries, self.heard = chance.random() < 0.5, 0, Counter[str]()

    async def hand_in(self, until: float) -> bool:
        while time.monotonic() < until:
            self.tries += 1
            if self.rewrites:
                self.message.set_boundary(f"try-{self.tries}-{self.chance.random()}")
                self.message.replace_header("Date", formatdate())
            try:
                answer = await asyncio.wait_for(self._once(), min(300, until - time.monotonic()))
            except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
                answer = "nothing"
            self.heard[answer] += 1
            if answer == "250":
                return True
            if answer.startswith("5"):
                return False
            await asyncio.sleep(self.chance.uniform(0.5, 4))
        return False

    async def _once(self) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.chance.choice(self.ports))
        try:
            await self._answer(reader)
            to = f"{self.chance.choice(SPELLINGS)}@{DOMAIN}"
            for line in ("EHLO client", "MAIL FROM:<bob@alpha.test>", f"RCPT TO:<{to}>", "DATA"):
                writer.write(f"{line}\r\n".encode())
                answer = await self._answer(reader)
                if answer[0] not in "23":
                    return answer
            writer.write(self.message.as_bytes().replace(b"\n", b"\r\n") + b"\r\n.\r\n")
            await writer.drain()
            if self.chance.random() < 0.05:
                return "left"  # without having heard what became of it
            return await self._answer(reader)
        finally:
            writer.close()

    @staticmethod
    async def _answer(reader: asyncio.StreamReader) -> str:
        while True:
            line = await reader.readline()
            if not line:
                raise EOFError
            if line[3:4] != b"-":
                return line[:3].decode()


# ---- At once


class Storm:
    """What breaks meanwhile, and how often it did."""

    def __init__(self, bench: Bench, running: Doors, chance: random.Random, cuts: int, clients: int) -> None:
        self.bench, self.running, self.chance = bench, running, chance
        self.left, self.clients, self.done = cuts, clients, 0
        self.cuts, self.workers = 0, 0

    async def blow(self) -> None:
        """As the emails go through, so that the last one of the cuts meets the last emails."""
        whole, next_one = self.left, 0.0
        while True:
            await asyncio.sleep(0.3)
            self.running.mend()
            if self.left and self.done >= next_one:
                self.left -= 1
                next_one += self.clients / whole
                await asyncio.to_thread(self._break)

    def _break(self) -> None:
        with suppress(sa.exc.SQLAlchemyError), self.bench.engine.connect() as connection:
            others = (
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            pids = [row[0] for row in connection.execute(sa.text(f"{others} AND datname = current_database()"))]
            for pid in self.chance.sample(pids, min(len(pids), 5)):
                connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
                self.cuts += 1
        for pid in self.chance.sample(found := self._jobs(), min(len(found), 1)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.workers += 1

    def _jobs(self) -> list[int]:
        """The instance's own that work on jobs."""
        pids = []
        mine = f"FAXROOM_HOME={self.bench.home}\0".encode()
        for folder in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                pid = int(folder.name)
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                if b"worker.py jobs" in line and mine in (folder / "environ").read_bytes():
                    pids.append(pid)
        return pids


async def all_at_once(
    bench: Bench, running: Doors, count: int, cuts: int, seed: int, longest: float
) -> tuple[list[bool], dict[str, object]]:
    """Which of the clients heard 250, and what happened meanwhile."""
    document, until = letter("at once"), time.monotonic() + longest
    clients = [Client(n, document, running.ports, random.Random(f"{seed} {n}")) for n in range(count)]
    storm = Storm(bench, running, random.Random(seed), cuts, count)
    blowing = asyncio.create_task(storm.blow())
    began = time.monotonic()

    async def one(client: Client) -> bool:
        accepted = await client.hand_in(until)
        storm.done += 1
        return accepted

    accepted = await asyncio.gather(*(one(client) for client in clients))
    took = time.monotonic() - began
    blowing.cancel()
    heard = sum((client.heard for client in clients), Counter[str]())
    return accepted, {
        "seconds": round(took, 1),
        "accepted_a_second": round(sum(accepted) / took, 2),
        "accepted": sum(accepted),
        "tries": sum(client.tries for client in clients),
        "heard": dict(sorted(heard.items())),
        "doors_killed_at": dict(sorted(Counter(running.deaths.read_text().splitlines()).items())),
        "connections_cut": storm.cuts,
        "workers_killed": storm.workers,
    }


def what_became(bench: Bench, accepted: list[bool]) -> dict[str, int]:
    """Of all emails, by the database; ``accepted`` are those whose client heard 250."""

    def rows(query: str) -> list[Any]:
        with bench.engine.connect() as connection:
            return list(connection.execute(sa.text(query)))

    entered = rows("SELECT subject, fax_id FROM mail_message WHERE fate = 'accepted' AND subject LIKE 'Submission %'")
    by_email, told = Counter(row[0] for row in entered), {row[1] for row in entered}
    untold = "SELECT id FROM fax WHERE origin = 'mail' AND id NOT IN (SELECT fax_id FROM mail_message WHERE {})"
    return {
        "faxes": len(told),
        "lost": sum(1 for n, heard in enumerate(accepted) if heard and not by_email[f"Submission {n}"]),
        "twice": sum(1 for times in by_email.values() if times > 1) + len(entered) - len(told),
        "without_email": len(rows(untold.format("fate = 'accepted'"))),
    }


# ---- Ringing


def ringing(bench: Bench, count: int, hand_in: Callable[[int], float]) -> dict[str, object]:
    """``hand_in`` gives the moment from which it counts (Unix time)."""
    seconds = []
    for n in range(count):
        before = int(bench.scalar("SELECT count(*) FROM attempt WHERE ringing_at IS NOT NULL"))
        began = hand_in(n)
        bench.until("SELECT count(*) FROM attempt WHERE ringing_at IS NOT NULL", before + 1)
        seconds.append(unix_seconds(bench.scalar("SELECT max(ringing_at) FROM attempt")) - began)
        ended = "SELECT count(*) FROM fax WHERE direction = 'sent' AND finished_at IS NOT NULL"
        bench.until(ended, before + 1)
    return {"median_seconds": round(statistics.median(seconds), 2), "all": [round(s, 2) for s in sorted(seconds)]}


def by_door(running: Doors, document: bytes) -> Callable[[int], float]:
    def hand_in(n: int) -> float:
        began = time.time()
        with smtplib.SMTP("127.0.0.1", running.ports[0]) as client:
            client.sendmail("bob@alpha.test", [f"{FAR_NUMBER}@{DOMAIN}"], email(1_000_000 + n, document).as_bytes())
        return began

    return hand_in


def by_mailbox(bench: Bench) -> Callable[[int], float]:
    server = urlsplit(bench.environment["SMTP_URL"])

    def hand_in(n: int) -> float:
        with smtplib.SMTP(server.hostname or "", server.port or 25) as client:
            client.send_message(mail_to_box(BOX, 2_000_000 + n))
        return time.time()

    bench.until("SELECT count(*) FROM box_state WHERE idle", 1)
    return hand_in


def provision_file(home: Path, imap_port: int) -> Path:
    """The bench of mailboxes' own, with a box at the door and its line."""
    file = provision(home, [BOX], imap_port)
    whole = yaml.safe_load(file.read_text())
    alpha = whole["tenants"][0]
    alpha["fax_channels"] = 2
    alpha["mail2fax_boxes"].append({"name": "door", "email": f"door@{DOMAIN}", "door": True})
    alpha["entities"].append(
        {"name": "desk", "extension": "599", "template": "default", "send": ["bob@alpha.test"]}
        | {"mail2fax": {"box": "door"}}
    )
    file.write_text(yaml.safe_dump(whole))
    return file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--doors", type=int, default=2)
    parser.add_argument("--kills", type=int, default=60, help="so many doors end, as many at each step")
    parser.add_argument(
        "--cuts", type=int, default=20, help="so often the database cuts connections, and a worker dies"
    )
    parser.add_argument("--single", type=int, default=9, help="calls to wait for, each way")
    parser.add_argument("--longest", type=float, default=1500, help="seconds after which clients give up")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--as-door", action="store_true", help=argparse.SUPPRESS)
    choice = parser.parse_args()
    if choice.as_door:
        as_door()
        return 0
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="fx-door-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / "home"
        home.mkdir()
        database = Path(folder) / "database"
        database.mkdir()
        port, sip_port, ari_port, imap_port = free_ports(4)
        more = {"FAXROOM_IMAP_PORT": str(imap_port), "FAXROOM_PROVISION": str(provision_file(home, imap_port))}
        with (
            _postgres(database, Progress()) as url,
            instance(home, port=port, sip_port=sip_port, ari_port=ari_port, DATABASE_URL=url, **more),
        ):
            bench = Bench(home, imap_port)
            bench.engine = sa.create_engine(bench.engine.url, pool_pre_ping=True)
            if choice.single:
                result["ringing_by_mailbox"] = ringing(bench, choice.single, by_mailbox(bench))
                with doors(bench, 1) as running:
                    result["ringing_by_door"] = ringing(bench, choice.single, by_door(running, letter("single")))
                print(json.dumps(result, indent=1), flush=True)
            if choice.submissions:
                with doors(bench, choice.doors, choice.kills // (len(steps()) + 1)) as running:
                    storm = all_at_once(bench, running, choice.submissions, choice.cuts, choice.seed, choice.longest)
                    accepted, result["at_once"] = asyncio.run(storm)
                result["at_once"] |= what_became(bench, accepted)
    print(json.dumps(result.get("at_once", {}), indent=1))
    found = result.get("at_once", {})
    return int(any(found.get(name) for name in ("lost", "twice", "without_email")))


if __name__ == "__main__":
    sys.exit(main())
