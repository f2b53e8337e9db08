"""Office documents → PDF, by offices. Any number of them, each with a LibreOffice of its own.

A server does one document at a time, so a lock on this machine per server picks a free one; a server that other
machines use as well simply queues what comes.

An office's fault is no verdict on a document. One that was killed, hangs or has no room on its disk or for its threads
says nothing; what fails in an office that has worked before may fail for that. Only what fails twice in a fresh office,
with room and all of its time, is the document's own doing.
"""

import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.adapters.documents.documents import inspect
from app.adapters.documents.office_sources import settled
from app.adapters.documents.pdf_characters import characters_without_font
from app.adapters.offices.office_protocol import KILLED, NO_ROOM, TOO_WIDE
from app.adapters.offices.offices import UNREACHABLE, Fault, Office, Unconfined, office_at
from app.adapters.pages.rasterizer import PAGE_LIMIT
from app.errors import PermanentFailure, Refused, TemporaryFailure

#: How long to wait for a free server before the document goes back to the queue.
QUEUE_SECONDS = 30
#: How long one that ended is away at most: its supervisor starts it again.
RESTART_SECONDS = 15
#: In how many fresh offices a document has to fail.
VERDICTS = 2
#: What needs to be said once only.
CERTAIN = ("encrypted", "sheet_too_wide")
#: Offices tried in one go; what then is without a verdict is tried again later.
MOST_TRIES = 4


@dataclass(frozen=True)
class _Free:
    """One that has just answered. ``fresh``: no document was given to it since it was started."""

    office: Office
    fresh: bool


class _Failed(Exception):
    """One try. ``verdict`` is what it says of the document; None if the office is to blame."""

    def __init__(self, reason: str, verdict: PermanentFailure | None = None) -> None:
        super().__init__(reason)
        self.verdict = verdict


def convert_to_pdf(
    source: bytes | Path,
    *,
    kind: str,
    servers: list[str],
    deadline_seconds: float,
    queue_seconds: float = QUEUE_SECONDS,
    name: str = "",
    locale: str = "",
    on_warning: Callable[[dict[str, Any]], None] | None = None,
) -> bytes:
    """``kind`` is one that needs an office (:mod:`app.kinds`), as judged by ``documents.inspect``. ``name`` is that of
    the file, ``locale`` how its sender writes numbers and dates, such as ``it-IT``. ``on_warning`` is told what the
    sender should know.

    Raises:
        PermanentFailure: ``encrypted``, ``damaged``, ``conversion_timed_out``; ``sheet_too_wide`` (the name of the
            ``sheet``, and the ``limit`` of pages) where it would have to be shrunk beyond reading;
            ``office_unconfined`` where LibreOffice would see more than the document.
        TemporaryFailure: ``converter_down`` when no server answers, ``converter_busy`` when none became free,
            ``converter_failed`` when those that tried were to blame; ``file_unreadable`` when the document could not
            be settled before.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    with tempfile.TemporaryDirectory(prefix="faxroom-") as folder:
        data = settled(data, kind, Path(folder))
    wanted = {"kind": kind, "name": name[:200], "locale": locale}
    offices = [office_at(server) for server in servers]
    verdicts, reason = 0, ""
    for _ in range(MOST_TRIES):
        with _free_office(offices, queue_seconds) as free:
            try:
                pdf, told = _ask(free.office, data, wanted, deadline_seconds)
            except _Failed as failed:
                reason = str(failed)
                verdicts += failed.verdict is not None and free.fresh
                if failed.verdict and (verdicts >= VERDICTS or failed.verdict.code in CERTAIN):
                    raise failed.verdict from failed
                continue
        if told.get("tracked") and on_warning:
            on_warning({"kind": "tracked_changes"})
        if told["missing"] and on_warning:
            on_warning({"kind": "missing_characters", "characters": told["missing"]})
        return pdf
    raise TemporaryFailure("converter_failed", reason=reason)


def office_command(python: str, *, socket: Path, deadline: float) -> list[str]:
    """What a supervisor runs for one server, from the project's root; it has to be started again whenever it ends."""
    return [python, "-m", "app.adapters.offices.office_server", "--socket", str(socket), "--deadline", str(deadline)]


def servers_that_answer(servers: list[str]) -> list[str]:
    """For a health check: accepts a connection; a busy one does."""
    return [server for server in servers if office_at(server).connects()]


def why_unconfined(servers: list[str]) -> str | None:
    """What an office that opens no document says why; None where none does."""
    for office in map(office_at, servers):
        try:
            office.state()
        except Unconfined as refusal:
            return str(refusal)
        except (*UNREACHABLE, Fault):
            continue
    return None


def guards_of(servers: list[str]) -> list[str]:
    """What stands around the offices that say so, each once: namespaces, or Landlock and seccomp."""
    found = dict[str, None]()
    for office in map(office_at, servers):
        with suppress(Unconfined, *UNREACHABLE, Fault):
            found[office.state().guard] = None
    return [guard for guard in found if guard]


# ---- Choosing


@contextmanager
def _free_office(offices: list[Office], seconds: float) -> Iterator[_Free]:
    """A server that answers, for itself and its LibreOffice, and that nobody on this machine is using. Those that have
    just failed are started again."""
    began = time.monotonic()
    while True:
        up, deaf = [office for office in offices if office.connects()], 0
        for office in up:
            if (lock := _lock(office.address)) is None:
                continue
            try:
                if free := _free(office):
                    yield free
                    return
                deaf += 1
            finally:
                os.close(lock)
        waited = time.monotonic() - began
        if not up and waited >= min(RESTART_SECONDS, seconds):
            raise TemporaryFailure("converter_down")
        if waited >= seconds:
            raise TemporaryFailure("converter_down" if deaf == len(up) else "converter_busy")
        time.sleep(0.05)


def _lock(address: str) -> int | None:
    """A lock that ends with this process, however it ends; None when somebody has it.

    Raises:
        TemporaryFailure: ``converter_failed``: somebody else has made the folder of the locks.
    """
    folder = Path(tempfile.gettempdir()) / f"faxroom-office-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise TemporaryFailure("converter_failed", reason=f"{folder} is not ours alone: remove it")
    name = hashlib.sha256(address.encode()).hexdigest()[:16]
    handle = os.open(folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _free(office: Office) -> _Free | None:
    """None for one that does not answer in time, which ends it, or has no room."""
    try:
        state = office.state()
    except Unconfined as refusal:
        raise PermanentFailure("office_unconfined", reason=str(refusal)) from refusal
    except (*UNREACHABLE, Fault):
        return None
    return _Free(office, fresh=state.documents == 0) if state.has_room else None


# ---- Asking


def _ask(office: Office, data: bytes, wanted: dict[str, str], deadline_seconds: float) -> tuple[bytes, dict[str, Any]]:
    began = time.monotonic()
    try:
        pdf, told = office.convert(data, wanted, deadline_seconds)
    except Fault as fault:
        if fault.code == TOO_WIDE:
            told = {"kind": wanted["kind"], "sheet": str(fault)[:100], "limit": PAGE_LIMIT}
            raise _Failed(str(fault), PermanentFailure("sheet_too_wide", **told)) from fault
        blames_office = fault.code in (KILLED, NO_ROOM)
        raise _Failed(str(fault), None if blames_office else PermanentFailure(_reason(data))) from fault
    except UNREACHABLE as error:
        # A server that gives up on a document at its deadline ends; before it, it was ended.
        late = time.monotonic() - began >= deadline_seconds - 0.5
        raise _Failed(str(error), PermanentFailure("conversion_timed_out") if late else None) from error
    try:
        told |= _check(pdf)
    except PermanentFailure as failure:
        raise _Failed(str(failure), failure) from failure
    return pdf, told


def _reason(data: bytes) -> str:
    with _as_file(data) as path:
        try:
            inspect(path)
        except Refused as refusal:
            return "encrypted" if refusal.code == "encrypted" else "damaged"
    return "damaged"


def _check(pdf: object) -> dict[str, Any]:
    """LibreOffice is believed only as far as its file goes: a PDF with at least one page. Gives the characters in it
    that no font draws (``missing``)."""
    if not isinstance(pdf, bytes) or not pdf.startswith(b"%PDF-"):
        raise PermanentFailure("damaged")
    with _as_file(pdf) as path:
        return {"missing": characters_without_font(path)}


@contextmanager
def _as_file(data: bytes) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="faxroom-") as file:
        file.write(data)
        file.flush()
        yield Path(file.name)
