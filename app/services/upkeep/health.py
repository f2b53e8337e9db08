"""Does every part answer? For ``/healthz`` and ``faxroom doctor``."""

import http.client
import json
import logging
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask, current_app
from redis import RedisError

from app.adapters.documents.converter import servers_that_answer
from app.application import this_application
from app.errors import FaxroomError, TemporaryFailure
from app.queues import redis
from app.rules.sending.trunks.trouble import names_of_troubles
from app.rules.sending.trunks.used import in_use
from app.services.documents.disk_room import disks
from app.services.documents.documents import storage
from app.services.trunks.states import RESTART, faults, unseen
from app.services.upkeep.working import signs, unserved
from tenants.connections import PAGE, waiting
from tenants.db import db, only_reading, utc_now

log = logging.getLogger(__name__)

#: Seconds after which a process that does not beat is taken for dead.
ALIVE_SECONDS = 20

#: Seconds after which a check is not waited for any longer: that it takes so long is an answer too.
LONGEST = 4.0

_LOCAL = socket.gethostname()

#: What to do about each part, in the administrator's words.
ADVICE = {
    "database": "Check DATABASE_URL and that the database accepts connections; then run: bin/faxroom db upgrade",
    "redis": "Check REDIS_URL and that the server runs. Nothing is lost: the clock queues everything again.",
    "storage": "Check STORAGE_URL: the folder must be writable, or the bucket reachable with these credentials.",
    "asterisk": "Check ARI_URL, ARI_USER and ARI_PASSWORD, and that Asterisk runs with res_ari and res_fax_spandsp.",
    "converter": "Check UNOSERVER_URL and that LibreOffice's unoserver runs. PDFs are still sent.",
    "jobs": "Start it: worker.py jobs",
    "line": "Start it next to Asterisk: worker.py line. If it runs, Asterisk refuses its connection: see its log.",
    "clock": "Start it: worker.py clock",
    "collect": "Start it: worker.py collect",
    "door": "Start it: worker.py door. If it does not stay up, its log says why: a port in use, a certificate.",
    "entrance": "Start it next to Asterisk: worker.py entrance. If it does not stay up, its log says why.",
    "front": "nginx, which takes requests for the web. bin/up restarts it; front.log says why it stops.",
    "trunk": "The carrier cannot be reached, takes no calls or has not accepted the registration: check the trunk's "
    "address and account, and the network. Faxes wait and go out as soon as it works again; see docs/trunks.md. "
    "After trunk_restart: restart bin/up, because Asterisk was started without a trunk outside this machine.",
    "room": "A disk is full, so no fax is sent or received. Free some space; bin/faxroom doctor says where.",
}
#: What to do where a part could not even be asked.
NO_THREAD = (
    "No thread is left for this check. Raise the limit of processes (ulimit -u, TasksMax, pids.max), "
    "or stop what uses them up."
)


def beat(process: str) -> None:
    """Say that a process is alive."""
    redis().set(f"faxroom:alive:{process}", "1", ex=ALIVE_SECONDS)


@dataclass(frozen=True)
class Unclaimed:
    """A file of received pages that belongs to nobody. ``called`` is empty where not even that is known."""

    file: str
    called: str
    caller: str


def note_unclaimed(files: list[Unclaimed]) -> None:
    """Written by the line process at each reconciliation."""
    redis().set("faxroom:unclaimed", json.dumps([asdict(file) for file in files]))


def unclaimed_files() -> list[Unclaimed]:
    return [Unclaimed(**file) for file in json.loads(cast("bytes", redis().get("faxroom:unclaimed") or b"[]"))]


def _database() -> None:
    db.session.execute(sa.text("SELECT 1 FROM tenant LIMIT 1"))


def _redis() -> None:
    redis().ping()


def _storage() -> None:
    storage().check()


def _asterisk() -> None:
    current_app.extensions["asterisk"].ping()


def _converter() -> None:
    """One answering server is enough to convert."""
    urls = current_app.config["SETTINGS"].unoserver_urls
    if not servers_that_answer(list(urls)):
        raise TemporaryFailure("converter_down", reason=", ".join(urls))


def _jobs() -> None:
    if missing := unserved():
        raise TemporaryFailure("not_running", queues=", ".join(sorted(missing)))


def _beats(process: str) -> Callable[[], None]:
    def check() -> None:
        if not redis().exists(f"faxroom:alive:{process}"):
            raise TemporaryFailure("not_running", process=process)

    return check


def _door() -> None:
    """Only where the operator has one."""
    if current_app.config["SETTINGS"].door.is_open:
        _beats("door")()


def _entrance() -> None:
    """Likewise."""
    if current_app.config["SETTINGS"].entrance_port:
        _beats("entrance")()


def _front() -> None:
    """Where none runs, the web itself is asked, or an operator's own proxy."""
    if address := current_app.config["SETTINGS"].front:
        with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=LONGEST)) as connection:
            connection.request("GET", "/front")
            if connection.getresponse().status != http.HTTPStatus.NO_CONTENT:
                raise TemporaryFailure("not_running", process="front")


def _room() -> str | None:
    if disks().full():
        raise TemporaryFailure("disk_full")
    filling = [f"{place.name}: {place.megabytes} MB free" for place in disks().filling()]
    return f"Free some space soon. {', '.join(filling)}" if filling else None


_RESTART = ". Restart bin/up: Asterisk was started without a trunk outside this machine and cannot reach one by UDP."


def _trunk() -> str | None:
    """Set aside by what calls came to (:mod:`app.rules.sending.trunks.trouble`), or lost
    (:mod:`app.services.trunks.states`). Where there is another, faxes go over that one."""
    lost = {name: trouble.outcome for name, trouble in names_of_troubles(db.session)}
    used, unknown = [trunk.name for trunk in in_use(db.session)], list[str]()
    with suppress(RedisError):
        lost = {name: state.fault for name, state in faults(utc_now()).items() if name in used} | lost
        unknown = [name for name in unseen(used, utc_now()) if name not in lost]
    if not lost:
        return f"Nothing has been seen of these trunks for a minute: {', '.join(unknown)}" if unknown else None
    if len(lost) >= len(used):
        names = f" ({', '.join(lost)})" if len(lost) > 1 else ""
        raise TemporaryFailure(f"{next(iter(lost.values()))}{names}")
    told = ", ".join(f"{name}: {fault}" for name, fault in (lost | dict.fromkeys(unknown, "unknown")).items())
    return f"Other trunks work. {told}{_RESTART if RESTART in lost.values() else ''}"


#: Each raises what is wrong; what has to be done soon is its answer.
CHECKS: dict[str, Callable[[], str | None]] = {
    "database": _database,
    "redis": _redis,
    "storage": _storage,
    "asterisk": _asterisk,
    "converter": _converter,
    "jobs": _jobs,
    "line": _beats("line"),
    "clock": _beats("clock"),
    "collect": _beats("collect"),
    "door": _door,
    "entrance": _entrance,
    "front": _front,
    "trunk": _trunk,
    "room": _room,
}


@dataclass(frozen=True)
class Node:
    """A machine that does our work: since when its Asterisk runs, how many workers it has."""

    name: str
    workers: int
    asterisk_since: datetime | None = None


def nodes(parts: dict[str, dict[str, Any]]) -> list[Node]:
    """As far as Asterisk and Redis tell; who does not answer stands among the parts, and is not asked again."""
    workers: Counter[str] = Counter()
    with suppress(RedisError):
        workers.update(sign.host for sign in signs())
    since: dict[str, datetime] = {}
    if not parts.get("asterisk", {}).get("ok"):
        return [Node(name, workers[name]) for name in sorted(workers)]
    with suppress(FaxroomError):
        host = urlsplit(current_app.config["SETTINGS"].ari_url).hostname or ""
        since[_LOCAL if _is_loopback(host) else host] = current_app.extensions["asterisk"].ping()
    return [Node(name, workers[name], since.get(name)) for name in sorted({*workers, *since})]


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def check_health() -> dict[str, dict[str, Any]]:
    """Every part → ``{"ok": bool}``, with ``error`` and ``advice`` where it is not, ``warning`` where it soon is not.
    Parts are asked side by side."""
    app = this_application()
    pool = ThreadPoolExecutor(len(CHECKS))
    asked = {name: _asked(pool, app, name) for name in CHECKS}
    wait([answer for answer in asked.values() if answer], timeout=LONGEST)
    pool.shutdown(wait=False)
    return {name: _told(name, answer) for name, answer in asked.items()}


def check_part(name: str) -> dict[str, Any]:
    """One of them, asked here."""
    return _check(this_application(), name)


def _asked(pool: ThreadPoolExecutor, app: Flask, name: str) -> Future[dict[str, Any]] | None:
    """None where this process may have no thread more."""
    try:
        return pool.submit(_check, app, name)
    except RuntimeError as error:
        log.warning("%s was not asked: %s", name, error)
        return None


def _told(name: str, answer: Future[dict[str, Any]] | None) -> dict[str, Any]:
    if answer is None:
        return {"ok": False, "error": "no_thread", "advice": NO_THREAD}
    if not answer.done():
        return {"ok": False, "error": "TimeoutError", "advice": ADVICE[name]}
    return answer.result()


def _check(app: Flask, name: str) -> dict[str, Any]:
    with app.app_context(), waiting(PAGE), only_reading():
        try:
            warning = CHECKS[name]()
        except Exception as error:  # one that nobody foresaw is an answer too
            log.warning("%s does not answer: %s", name, error)
            return {"ok": False, "error": _brief(error), "advice": ADVICE[name]}
    return {"ok": True, "warning": warning} if warning else {"ok": True}


def _brief(error: Exception) -> str:
    """Enough to act on; the details, which may name hosts and users, are in the log."""
    return error.code if isinstance(error, FaxroomError) else type(error).__name__
