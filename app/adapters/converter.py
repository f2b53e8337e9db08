"""Office documents → PDF, through unoserver. Any number of servers, each with a LibreOffice of its own.

A server does one document at a time, so a lock on this machine per server picks a free one; a server that other
machines use as well simply queues what comes.
"""

import fcntl
import hashlib
import http.client
import os
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from app.adapters.documents import inspect
from app.adapters.rasterizer import count_pdf_pages
from app.errors import PermanentFailure, Refused, TemporaryFailure

CONNECT_SECONDS = 2
#: Beyond its own deadline a server gets this long to say so.
GRACE_SECONDS = 3
#: How long to wait for a free server before the document goes back to the queue.
QUEUE_SECONDS = 120

#: The kind as judged → LibreOffice's filter. Named, so that it never guesses a type of its own.
IMPORT_FILTERS = {"doc": "MS Word 97", "docx": "MS Word 2007 XML", "odt": "writer8"}
EXPORT_OPTIONS = [
    "UseTaggedPDF=false",
    "ExportBookmarks=false",
    "ExportNotes=false",
    "ExportFormFields=false",
    "ReduceImageResolution=true",
    "MaxImageResolution=300",
]
#: In a fault: LibreOffice itself is gone, whatever the document.
GONE = ("DisposedException", "Binary URP bridge", "disposed", "connection", "Connection")


class _ServerLost(Exception):
    """The server or its LibreOffice ended in the middle of a document."""


def convert_to_pdf(
    source: bytes | Path,
    *,
    kind: str,
    servers: list[str],
    deadline_seconds: float,
    queue_seconds: float = QUEUE_SECONDS,
) -> bytes:
    """``kind`` is doc, docx or odt, as judged by ``documents.inspect``.

    Raises:
        PermanentFailure: ``encrypted``, ``damaged``, ``conversion_timed_out``.
        TemporaryFailure: ``converter_down`` when no server answers, ``converter_busy`` when none became free.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    queue_until = time.monotonic() + queue_seconds
    for last_try in (False, True):
        with _free_server(servers, queue_until) as server:
            try:
                pdf = _ask(server, data, kind, deadline_seconds)
                break
            except _ServerLost as lost:
                # Once may be somebody else's doing (a restart), twice is this document's.
                if last_try:
                    raise PermanentFailure("damaged") from lost
    _check(pdf)
    return pdf


def office_command(python: str, *, port: int, uno_port: int, profile_dir: Path, deadline: float) -> list[str]:
    """What a supervisor runs for one server, from the project's root; it has to be started again whenever it ends."""
    arguments = ["--port", str(port), "--uno-port", str(uno_port), "--profile", str(profile_dir)]
    return [python, "-m", "app.adapters.office_server", *arguments, "--deadline", str(deadline)]


def servers_that_answer(servers: list[str]) -> list[str]:
    """For a health check: accepts a connection; a busy one does."""
    return [server for server in servers if _connects(server)]


# ---- Choosing


@contextmanager
def _free_server(servers: list[str], until: float) -> Iterator[str]:
    """A server that answers and that nobody on this machine is using."""
    while True:
        up = servers_that_answer(servers)
        for server in up:
            if (lock := _lock(server)) is not None:
                try:
                    yield server
                finally:
                    os.close(lock)
                return
        if not up:
            raise TemporaryFailure("converter_down")
        if time.monotonic() >= until:
            raise TemporaryFailure("converter_busy")
        time.sleep(0.05)


def _lock(server: str) -> int | None:
    """A lock that ends with this process, however it ends; None when somebody has it."""
    folder = Path(tempfile.gettempdir()) / f"faxroom-office-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(server.encode()).hexdigest()[:16]
    handle = os.open(folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _connects(server: str) -> bool:
    address = urlsplit(server)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 2003, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
    except OSError:
        return False
    finally:
        connection.close()
    return True


# ---- Asking


class _Transport(xmlrpc.client.Transport):
    """The stock one waits for ever, and asks a second time when the connection breaks."""

    def __init__(self, seconds: float) -> None:
        super().__init__(use_builtin_types=True)
        self.seconds = seconds

    def make_connection(self, host: str) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(host, timeout=self.seconds)

    def request(self, host: str, handler: str, request_body: bytes, verbose: bool = False) -> object:
        return self.single_request(host, handler, request_body, verbose)


def _ask(server: str, data: bytes, kind: str, deadline_seconds: float) -> bytes:
    began = time.monotonic()
    transport = _Transport(deadline_seconds + GRACE_SECONDS)
    proxy = xmlrpc.client.ServerProxy(server, transport=transport, allow_none=True, use_builtin_types=True)
    arguments = (None, data, None, "pdf", "writer_pdf_Export", EXPORT_OPTIONS, False, IMPORT_FILTERS[kind], None)
    try:
        return proxy.convert(*arguments)
    except TimeoutError as error:
        raise PermanentFailure("conversion_timed_out") from error
    except xmlrpc.client.Fault as fault:
        if any(word in fault.faultString for word in GONE):
            raise _lost(began, deadline_seconds) from fault
        raise PermanentFailure(_reason(data)) from fault
    except (OSError, http.client.HTTPException) as error:
        raise _lost(began, deadline_seconds) from error
    finally:
        transport.close()


def _lost(began: float, deadline_seconds: float) -> Exception:
    """A server that gives up on a document ends; so does one that is stopped or crashes."""
    late = time.monotonic() - began >= deadline_seconds - 0.5
    return PermanentFailure("conversion_timed_out") if late else _ServerLost()


def _reason(data: bytes) -> str:
    with _as_file(data) as path:
        try:
            inspect(path)
        except Refused as refusal:
            return "encrypted" if refusal.code == "encrypted" else "damaged"
    return "damaged"


def _check(pdf: object) -> None:
    """LibreOffice is believed only as far as its file goes: a PDF with at least one page."""
    if not isinstance(pdf, bytes) or not pdf.startswith(b"%PDF-"):
        raise PermanentFailure("damaged")
    with _as_file(pdf) as path:
        count_pdf_pages(path)


@contextmanager
def _as_file(data: bytes) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="faxroom-") as file:
        file.write(data)
        file.flush()
        yield Path(file.name)
