"""The instance that is drilled: one bin/up with a home and ports of its own, its processes, and what it says."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import sqlalchemy as sa
import yaml
from redis import Redis

from .far_end import ASTERISK_ROOT
from .ledger import Told
from .stand_ins import Cable

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bin/lib"))
import processes  # noqa: E402 - the set-up's own module
from supervise import TETHER  # noqa: E402

import asterisk  # noqa: E402

SENDERS, PASSWORD = ("ada@drill.test", "ben@drill.test"), "of-the-drill"
SECONDS_TO_START = 900
#: Every cause of a retry, so that nobody waits for minutes for what the drill broke.
RETRY_SECONDS = 3
MOST_ATTEMPTS = 10
CAUSES = ("busy", "no_answer", "congestion", "far_end_no_fax", "capped", "other", "protocol_error", "dropped")


def provision(file: Path) -> Path:
    template = {"name": "default", "header": "Drill", "station_id": "+39 050 9655637"}
    template |= {"max_attempts": MOST_ATTEMPTS, "retry_delays": dict.fromkeys((*CAUSES, "incomplete"), RETRY_SECONDS)}
    entity = {"name": "desk", "extension": "501", "number": "+390509655637", "template": "default"}
    company = {"slug": "drill", "name": "Drill", "serial": "KPBX40299999", "region": "IT", "timezone": "Europe/Rome"}
    company |= {"language": "en", "outside_prefix": "0", "fax_channels": 1}
    people = [{"email": email, "name": email[:3], "password": PASSWORD, "role": "admin"} for email in SENDERS]
    company |= {"users": people, "templates": [template], "entities": [entity | {"send": list(SENDERS)}]}
    file.write_text(yaml.safe_dump({"tenants": [company]}))
    return file


class Portal:
    """``ari_port`` is where the portal looks for its Asterisk; that is behind a :class:`Cable` which can be cut."""

    def __init__(self, home: Path, *, port: int, sip_port: int, ari_port: int, real_ari_port: int, **more: str) -> None:
        self.home, self.url = home, f"http://127.0.0.1:{port}"
        own = {"FAXROOM_HOME": home, "FAXROOM_PORT": port, "FAXROOM_SIP_PORT": sip_port, "FAXROOM_ARI_PORT": ari_port}
        own["FAXROOM_PROVISION"] = provision(home.parent / "drill.yaml")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FAXROOM_")}
        self.environment = kept | {name: str(value) for name, value in own.items()} | more
        self.cable = Cable(ari_port, real_ari_port)
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._has_cable = False
        self._starting = threading.Lock()
        self.hung: list[int] = []  # stopped for good, by the drill
        self.groups = control_groups(f"drill-{os.getpid()}")

    # ---- Its life

    def start(self) -> None:
        """Until it is ready. One that ends before is begun anew, as whoever runs bin/up in production would. Of two who
        start it at once the second waits, and finds it there."""
        with self._starting:
            if self.process is None or self.process.poll() is not None:
                self._start()

    def _start(self) -> None:
        end = time.monotonic() + SECONDS_TO_START
        self._begin()
        while not (self.home / "run/ready").exists():
            if time.monotonic() > end:
                raise SystemExit(f"The instance did not start:\n{self.log.read_text()[-3000:]}")
            if self.process and self.process.poll() is not None:
                time.sleep(1)
                self._begin()
            if not self._has_cable and self._moved.exists() and self._has_an_asterisk():
                self._listen()  # not before: bin/up wants to see the port free
            time.sleep(0.1)
        if not self._has_cable:
            self._move_asterisk()
            self._listen()

    def _has_an_asterisk(self) -> bool:
        """Of this bin/up: those of the one before may still be there when it asks for its ports."""
        assert self.process
        return not set(self.find("asterisk")).isdisjoint(processes.descendants(self.process.pid))

    def _begin(self) -> None:
        self.starts += 1
        self.cable.be_gone()
        self._has_cable = False
        (self.home / "run/ready").unlink(missing_ok=True)
        joining = "".join(f"echo $$ > {group}/cgroup.procs && " for group in {*self.groups.values()})
        enter = ["sh", "-c", f'{joining}exec "$@"', "--"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*enter, *TETHER, ROOT / "bin/up"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> Path:
        return self.home.parent / f"up-{self.starts}.log"

    @property
    def _moved(self) -> Path:
        """Where Asterisk reads that it has another port than the portal thinks."""
        return self.home / "asterisk/etc/local/http.conf"

    def _move_asterisk(self) -> None:
        """Once: whoever does so after each start cuts the calls that have begun meanwhile."""
        self._moved.write_text(f"bindport = {self.cable.to}\n")
        self._moved.chmod(0o644)
        pids = self.find("asterisk")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        _until_gone(pids)

    def _listen(self) -> None:
        """The cable leads from the one port to the other."""
        self.cable.listen()
        self._has_cable = True

    def stop(self) -> None:
        """As Ctrl-C would."""
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.cable.be_gone()
        for group in {*self.groups.values()}:
            with suppress(OSError):
                group.rmdir()

    def end_at_once(self) -> None:
        """kill -9 of bin/up, and with it of everything."""
        assert self.process
        pids = processes.descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        _until_gone(pids)

    # ---- Its processes

    def tree(self) -> list[int]:
        """bin/up and all below it."""
        assert self.process
        return [] if self.process.poll() is not None else [self.process.pid, *processes.descendants(self.process.pid)]

    def name_of(self, pid: int) -> str:
        """As in :data:`WORDS`, or as the kernel calls it."""
        if self.process and pid == self.process.pid:
            return "bin/up"
        line, comm = _line(pid), _comm(pid)
        known = [comm] if comm.startswith("jobs-") else [name for name, words in WORDS.items() if words in line]
        return next(iter(known), "web" if "gunicorn" in line else comm or "just gone")

    def find(self, name: str) -> list[int]:
        """Processes by the names of :data:`WORDS`, ``jobs-<kind>`` for a worker and ``workshop`` for its children."""
        assert self.process
        below = processes.descendants(self.process.pid)
        comms, lines = {pid: _comm(pid) for pid in below}, {pid: _line(pid) for pid in below}
        parents = {pid: _parent(pid) for pid in below}
        is_worker = {pid: comms[pid].startswith("jobs-") for pid in below}
        nested = {pid: is_worker[pid] and is_worker.get(parents[pid], False) for pid in below}
        if name.startswith("jobs-"):
            return [pid for pid in below if comms[pid] == name[:15] and not nested[pid]]
        if name == "workshop":
            return [pid for pid in below if nested[pid]]
        if name == "office":  # who speaks for a LibreOffice in its room, without the process that watches it
            speakers = [pid for pid in below if lines[pid].startswith(WORDS[name])]
            return [pid for pid in speakers if parents[pid] not in speakers]
        web = [pid for pid in below if "gunicorn" in lines[pid]]
        if name == "web":
            return [pid for pid in web if parents[pid] in web]
        if name == "web master":
            return [pid for pid in web if parents[pid] not in web]
        return [pid for pid in below if WORDS[name] in lines[pid] and not is_worker[pid]]

    def asterisk_says(self, words: str) -> str:
        """The answer to a command; empty from one that was killed just now."""
        command = [part for part in asterisk.command(ASTERISK_ROOT, self.home / "asterisk") if part != "-f"]
        with suppress(subprocess.SubprocessError):
            done = subprocess.run([*command, "-rx", words], check=True, capture_output=True, text=True, timeout=20)
            return done.stdout
        return ""

    def is_off_the_line(self) -> bool:
        return self.asterisk_says("core show channels count").startswith("0 active channels")

    # ---- What it says

    @property
    def settings(self) -> dict[str, str]:
        lines = (self.home / "faxroom.env").read_text().splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def redis(self) -> Redis:
        return Redis.from_url(self.settings["REDIS_URL"], socket_timeout=5, socket_connect_timeout=5)

    @contextmanager
    def _database(self) -> Iterator[sa.Connection]:
        """Looked into as an outsider would."""
        url = self.settings.get("DATABASE_URL") or f"sqlite:///{self.home}/faxroom.sqlite3"
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            yield connection

    def has_reached_a_line(self, fax_id: str) -> bool:
        """Its call rings, is answered or is over."""
        query = "SELECT 1 FROM attempt WHERE fax_id = :id AND coalesce(ringing_at, answered_at, ended_at) IS NOT NULL"
        with suppress(sa.exc.SQLAlchemyError), self._database() as connection:
            return connection.execute(sa.text(query), {"id": fax_id}).first() is not None
        return False

    def unfinished(self) -> int:
        """Faxes and mails that are still under way; 1 where the database does not say."""
        faxes = "SELECT count(*) FROM fax WHERE finished_at IS NULL"
        mails = "SELECT count(*) FROM notice WHERE sent_at IS NULL AND due_at IS NOT NULL"
        with suppress(sa.exc.SQLAlchemyError), self._database() as connection:
            return sum(connection.execute(sa.text(query)).scalar_one() for query in (faxes, mails))
        return 1

    def told(self) -> list[Told]:
        calls = "SELECT count(*) FROM attempt WHERE fax_id = fax.id"
        broken_off = f"{calls} AND answered_at IS NOT NULL AND outcome NOT IN ('success', 'unknown')"
        faxes = f"SELECT id, submission_key, status, cause, ({calls}), ({broken_off}) FROM fax"
        mails = "SELECT fax_id, message_id FROM notice WHERE kind = 'outcome'"
        with self._database() as connection:
            outcomes: dict[str, list[str]] = {}
            for fax_id, message_id in connection.execute(sa.text(mails)):
                outcomes.setdefault(fax_id, []).append(message_id)
            rows = connection.execute(sa.text(faxes)).all()
        return [Told(id_, *rest, mails=tuple(outcomes.get(id_, ()))) for id_, *rest in rows]

    def is_well(self) -> bool:
        self.hung = list(filter(processes.started, self.hung))
        if self.hung:
            return False
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/healthz", timeout=10, trust_env=False).status_code == httpx.codes.OK
        return False


#: Name of a process → what its command line holds.
WORDS = {
    "line": "worker.py line",
    "clock": "worker.py clock",
    "collect": "worker.py collect",
    "jobs": "worker.py jobs",
    "redis": "redis-server",
    "front": "/usr/sbin/nginx",
    "asterisk": "sbin/asterisk",
    "office": "/usr/bin/python3 -s -m app.adapters.offices.office",
    "libreoffice": "soffice.bin",
    "watchdog": "bin/lib/watchdog.py",
    "supervisord": "bin/lib/overseer.py",
}


#: What can be held by a control group → where such groups are made and the file that holds it, of both versions.
HOLDERS = {
    "processes": (("pids", "pids.max"), ("", "pids.max")),
    "memory": (("memory", "memory.limit_in_bytes"), ("", "memory.max")),
}


def control_groups(name: str) -> dict[str, Path]:
    """What can be held on this machine → the control group in which it is."""
    found: dict[str, Path] = {}
    for what, places in HOLDERS.items():
        for hierarchy, file in places:
            group = Path("/sys/fs/cgroup", hierarchy, name)
            with suppress(OSError):
                group.mkdir(exist_ok=True)
                if (group / file).exists():
                    found.setdefault(what, group)
                elif group not in found.values():
                    group.rmdir()
    return found


def _until_gone(pids: list[int]) -> None:
    """A zombie has gone as well: who has inherited it may never ask for it."""
    end = time.monotonic() + 20
    while any(map(processes.started, pids)) and time.monotonic() < end:
        time.sleep(0.05)


def _comm(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _parent(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
