"""What is done to an instance: each fault holds while its context does, and is over when that ends."""

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import psycopg
from redis import RedisError

from .portal import ROOT, TETHER, Portal
from .stand_ins import MailServer

#: Who is killed; of several processes of one name one is.
KILLED = (
    *("line", "clock", "collect", "jobs", "web", "web master", "front", "redis", "asterisk", "office", "libreoffice"),
    *("jobs-line", "jobs-documents", "jobs-offices", "jobs-imports", "jobs-mail", "jobs-watch", "jobs-archive"),
    *("jobs-later", "workshop", "watchdog", "supervisord", "everything"),
)
POSTGRESQL_KILLED = ("postgresql", "postgresql's backend")
#: Who is stopped for good.
HUNG = (
    *("line", "clock", "collect", "jobs", "jobs-line", "jobs-documents", "redis", "asterisk"),
    *("front", "web master", "watchdog", "supervisord"),
)
#: Left to an instance that runs short of memory.
SPARE_BYTES = 48 * 1024**2
#: So often a limit of memory is asked for.
MEMORY_TRIES = 8
#: Left to an instance that runs short of processes.
SPARE_PROCESSES = (1, 6)
#: Left to a process that runs short of descriptors.
SCARCE = 3


@dataclass
class Room:
    """All that can be broken. ``database`` is a cluster of bin/lib/postgres.py, or None where SQLite is drilled;
    ``disk`` is whether home and database have file systems of their own."""

    portal: Portal
    mail: MailServer
    database: Any
    disk: bool
    chance: random.Random
    starting: Any = field(default_factory=threading.Lock)  # held by who starts PostgreSQL again

    def has(self) -> set[str]:
        """What faults may need."""
        postgresql = {"postgresql", "postgresql's disk"} if self.disk else {"postgresql"}
        found = {"", *(postgresql if self.database else ()), *(("disk",) if self.disk else ())}
        return found | self.portal.groups.keys()


@dataclass(frozen=True)
class Kind:
    """``probe`` is what has to work again before it is over: a fax, a docx, or the next mail. ``seconds`` is how long
    it holds, at least and at most."""

    breaking: Callable[[Room], AbstractContextManager[None]]
    seconds: tuple[float, float] = (3, 10)
    probe: Literal["fax", "word", "mail"] = "fax"
    needs: Literal["postgresql", "postgresql's disk", "disk", "processes", "memory", ""] = ""


# ---- Kills


def killing(name: str) -> Kind:
    seconds = (0.0, 0.0)
    if name in POSTGRESQL_KILLED:
        return Kind(partial(_database_killed, whole=name == "postgresql"), seconds, needs="postgresql")
    probe: Literal["fax", "word"] = "word" if name in ("office", "libreoffice", "jobs-offices") else "fax"
    return Kind(partial(_killed, name=name), seconds, probe)


@contextmanager
def _killed(room: Room, *, name: str) -> Iterator[None]:
    """kill -9. Whoever runs bin/up starts it again; all else comes back by itself."""
    if name == "everything":
        room.portal.end_at_once()
        room.portal.start()
    elif found := room.portal.find(name):
        _signal([room.chance.choice(sorted(found))], signal.SIGKILL)
    yield


@contextmanager
def _database_killed(room: Room, *, whole: bool) -> Iterator[None]:
    """One backend (the server then ends all others), or the server, which somebody starts again."""
    if whole:
        room.database.kill()
        room.database.start()
    else:
        with suppress(psycopg.Error), _administrator(room) as connection:
            backends = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> %s"
            pids = [pid for (pid,) in connection.execute(backends, [connection.info.backend_pid])]
        if pids:
            _signal([room.chance.choice(pids)], signal.SIGKILL)
    yield


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def _stopped(room: Room, *, name: str) -> Iterator[None]:
    """SIGSTOP: it is there, keeps what it holds, and does nothing."""
    found = room.portal.find(name)
    chosen = found if name in ("redis", "asterisk") else [room.chance.choice(sorted(found))] if found else []
    with _standing_still(chosen):
        yield


@contextmanager
def _hung(room: Room, *, name: str) -> Iterator[None]:
    """SIGSTOP, and nobody lets it go on. All is well only when it is gone."""
    if found := room.portal.find(name):
        stopped = room.chance.choice(sorted(found))
        room.portal.hung.append(stopped)
        _signal([stopped], signal.SIGSTOP)
    yield


@contextmanager
def _left_behind(room: Room) -> Iterator[None]:
    """bin/up is killed while its Asterisk, its front and its Redis stand still, and so do not hear that it has gone:
    they hold its ports when whoever runs it starts it again."""
    left = [pid for name in ("asterisk", "front", "redis") for pid in room.portal.find(name)]
    room.portal.hung += left
    _signal(left, signal.SIGSTOP)
    room.portal.process.kill()
    room.portal.process.wait()
    room.portal.start()
    yield


@contextmanager
def _standing_still(pids: list[int]) -> Iterator[None]:
    _signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pids, signal.SIGCONT)


# ---- Redis


@contextmanager
def _redis_emptied(room: Room) -> Iterator[None]:
    with suppress(RedisError):
        room.portal.redis().flushall()
    yield


@contextmanager
def _redis_full(room: Room) -> Iterator[None]:
    """maxmemory below what it holds, with noeviction: everything that writes is refused."""
    with suppress(RedisError):
        room.portal.redis().config_set("maxmemory", 1)
    yield
    with suppress(RedisError):
        room.portal.redis().config_set("maxmemory", 0)


# ---- PostgreSQL


def _administrator(room: Room) -> psycopg.Connection:
    connection = psycopg.connect(room.database.administrator, dbname="portal", autocommit=True, connect_timeout=5)
    connection.execute("SET statement_timeout = 10000")
    return connection


END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'portal'"


@contextmanager
def _connections_terminated(room: Room) -> Iterator[None]:
    with suppress(psycopg.Error), _administrator(room) as connection:
        for _ in range(3):
            connection.execute(END_ALL)
            time.sleep(0.5)
    yield


@contextmanager
def _connections_scarce(room: Room) -> Iterator[None]:
    with suppress(psycopg.Error), _administrator(room) as connection:
        connection.execute("ALTER ROLE portal CONNECTION LIMIT 3")
        connection.execute(END_ALL)
    yield
    with suppress(psycopg.Error), _administrator(room) as connection:
        connection.execute("ALTER ROLE portal CONNECTION LIMIT -1")


@contextmanager
def _table_locked(room: Room) -> Iterator[None]:
    with _administrator(room) as connection, connection.transaction():
        connection.execute("LOCK TABLE fax IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def _database_stopped(room: Room) -> Iterator[None]:
    with _standing_still(room.database.processes()):
        yield


# ---- Asterisk


@contextmanager
def _http_reloaded(room: Room) -> Iterator[None]:
    room.portal.asterisk_says("module reload http")
    room.portal.asterisk_says("module reload res_ari.so")
    yield


@contextmanager
def _stream_cut(room: Room) -> Iterator[None]:
    room.portal.cable.cut()
    yield


# ---- Another portal


@contextmanager
def _frozen_beside_another(room: Room) -> Iterator[None]:
    """A second portal works on the same database and the same line while all that works in the first stands still; then
    both work, and then the first alone."""
    environment = room.portal.environment | room.portal.settings
    with ExitStack() as stack:
        for command in ("jobs", "line", "clock"):
            stack.enter_context(_beside(room, command, environment))
        time.sleep(3)
        names = ("line", "clock", "jobs", "web", *(name for name in KILLED if name.startswith("jobs-")))
        pids = [pid for name in names for pid in room.portal.find(name)]
        with _standing_still(pids):
            yield
        time.sleep(3)


@contextmanager
def _beside(room: Room, command: str, environment: dict[str, str]) -> Iterator[None]:
    words = [*TETHER, ROOT / ".tools/venv/bin/python", ROOT / "worker.py", command]
    with (room.portal.home.parent / f"another-{command}.log").open("ab") as log:
        process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


# ---- Resources


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    """Not a byte is free on this file system."""
    filling = disk / "filling"
    try:
        _fill(filling)
        yield
    finally:
        filling.unlink(missing_ok=True)


@contextmanager
def _databases_disk_full(room: Room) -> Iterator[None]:
    """The server ends of it, and somebody starts it again."""
    with _full(room.database.data.parent):
        yield
    time.sleep(1)
    with room.starting:
        if room.database.process.poll() is not None:
            room.database.start()


@contextmanager
def _processes_scarce(room: Room) -> Iterator[None]:
    """The instance may have as many processes and threads as it has now, and one or a few more: with these LibreOffice
    begins a document and aborts."""
    group = room.portal.groups["processes"]
    most = group / "pids.max"
    most.write_text(f"{int((group / 'pids.current').read_text()) + room.chance.randint(*SPARE_PROCESSES)}")
    yield
    most.write_text("max")


@contextmanager
def _memory_scarce(room: Room) -> Iterator[None]:
    """The instance may have as much memory as it has now, and a page or two to draw: the kernel kills whom it likes."""
    group = room.portal.groups["memory"]
    most = next(file for file in (group / "memory.max", group / "memory.limit_in_bytes") if file.exists())
    _limit_memory(group, most)
    try:
        yield
    finally:
        most.write_text("max" if most.name == "memory.max" else "-1")


def _limit_memory(group: Path, most: Path) -> None:
    """The older version of control groups refuses (EBUSY) a limit below what it cannot take away just now; what is used
    grows meanwhile, so it is asked for anew, with a little more each time."""
    for spare in range(1, MEMORY_TRIES + 1):
        try:
            most.write_text(f"{fixed_memory(group) + spare * SPARE_BYTES}")
            return
        except OSError as error:
            if error.errno != errno.EBUSY or spare == MEMORY_TRIES:
                raise


def fixed_memory(group: Path) -> int:
    """Bytes that the kernel cannot take away: all but what it can read again from files. What lies on a tmpfs is among
    them, and so is what the kernel itself holds for the processes."""
    used = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    current = next(file for name in ("memory.current", "memory.usage_in_bytes") if (file := group / name).exists())
    whole = "total_" if "total_inactive_file" in used else ""
    return int(current.read_text()) - sum(int(used[f"{whole}{name}"]) for name in ("inactive_file", "active_file"))


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as stream:
        for size in (1024**2, 4096):
            with suppress(OSError):
                while shutil.disk_usage(file.parent).free:
                    stream.write(bytes(size))


@contextmanager
def _descriptors_scarce(room: Room) -> Iterator[None]:
    """Those who serve people and the line may open but a few files more."""
    before: dict[int, tuple[int, int]] = {}
    for pid in (*room.portal.find("web"), *room.portal.find("line"), *room.portal.find("jobs-line")):
        with suppress(OSError):
            before[pid] = limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            highest = max((int(name.name) for name in Path(f"/proc/{pid}/fd").iterdir()), default=100)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + SCARCE, limits[1]))
    yield
    for pid, limits in before.items():
        with suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


FAULTS: dict[str, Kind] = {
    "redis stopped": Kind(partial(_stopped, name="redis")),
    "redis emptied": Kind(_redis_emptied, (0, 0)),
    "redis full": Kind(_redis_full),
    "ari torn": Kind(lambda room: room.portal.cable.torn()),
    "ari silent": Kind(lambda room: room.portal.cable.held(), (5, 20)),
    "websocket cut": Kind(_stream_cut, (0, 0)),
    "asterisk stopped": Kind(partial(_stopped, name="asterisk"), (3, 15)),
    "http reloaded": Kind(_http_reloaded, (0, 0)),
    "line frozen": Kind(partial(_stopped, name="line"), (5, 40)),
    "web frozen": Kind(partial(_stopped, name="web")),
    "clock frozen": Kind(partial(_stopped, name="clock")),
    "worker frozen": Kind(partial(_stopped, name="jobs-line"), (3, 40)),
    "preparing frozen": Kind(partial(_stopped, name="jobs-documents"), (3, 40)),
    **{f"{name} hung": Kind(partial(_hung, name=name), (0, 0)) for name in HUNG},
    "left behind": Kind(_left_behind, (0, 0)),
    "libreoffice stopped": Kind(partial(_stopped, name="libreoffice"), (3, 20), "word"),
    "office stopped": Kind(partial(_stopped, name="office"), (3, 20), "word"),
    "smtp gone": Kind(lambda room: room.mail.being("gone"), probe="mail"),
    "smtp silent": Kind(lambda room: room.mail.being("silent"), probe="mail"),
    "smtp refusing": Kind(lambda room: room.mail.being("refusing"), probe="mail"),
    "smtp dying": Kind(lambda room: room.mail.being("dying"), probe="mail"),
    "frozen beside another": Kind(_frozen_beside_another, (10, 40)),
    "descriptors scarce": Kind(_descriptors_scarce),
    "disk full": Kind(lambda room: _full(room.portal.home.parent), (5, 15), needs="disk"),
    "processes scarce": Kind(_processes_scarce, (5, 15), "word", needs="processes"),
    "memory scarce": Kind(_memory_scarce, (5, 15), needs="memory"),
    "postgresql's disk full": Kind(_databases_disk_full, (5, 15), needs="postgresql's disk"),
    "connections terminated": Kind(_connections_terminated, (0, 0), needs="postgresql"),
    "connections scarce": Kind(_connections_scarce, needs="postgresql"),
    "postgresql stopped": Kind(_database_stopped, needs="postgresql"),
    "table locked": Kind(_table_locked, needs="postgresql"),
}
