"""Offices as the jobs reach them: on this machine by a socket, elsewhere by TLS with a secret.

unix:PATH               one of ours (``office_server.py``), in a folder that only we may enter
https://SECRET@HOST     a plain unoserver behind something that ends TLS and asks for the secret; see docs/install.md
http://127.0.0.1:PORT   the same on this machine, by who knows what he does; in clear to nowhere else
"""

import http.client
import os
import socket
import ssl
import time
import xmlrpc.client
from abc import ABC, abstractmethod
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from xml.parsers.expat import ExpatError

from app.adapters.confined.room import NOBODY
from app.adapters.confined.yielding import working
from app.adapters.offices.office_protocol import UNCONFINED, receive, send, user_of
from app.kinds import KINDS, WRITTEN_BY

if TYPE_CHECKING:
    from _typeshed import SizedBuffer

CONNECT_SECONDS = 2
#: Beyond its own deadline a server gets this long to say so.
GRACE_SECONDS = 3
#: How long a server that is alive takes to say so.
STATE_SECONDS = 5

UNREACHABLE = (OSError, http.client.HTTPException, ExpatError)


class Fault(Exception):
    """The office answered that it did not convert. ``code`` as in ``office_protocol.py``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Unconfined(Exception):
    """The office opens no document, because it would not be confined."""


@dataclass(frozen=True)
class State:
    """``documents``: how many were given to it since it was started. ``guard``: what stands around it, where it says
    so."""

    documents: int
    has_room: bool
    guard: str = ""


class Office(ABC):
    address: str

    @abstractmethod
    def connects(self) -> bool:
        """Accepts a connection; a busy one does."""

    @abstractmethod
    def state(self) -> State:
        """Raises what is ``UNREACHABLE``, ``Unconfined``, ``Fault``."""

    @abstractmethod
    def convert(self, data: bytes, wanted: dict[str, str], deadline_seconds: float) -> tuple[Any, dict[str, Any]]:
        """What it gives for a PDF, and what it tells of the document (:mod:`app.adapters.offices.office_protocol`).
        ``wanted`` has a ``kind``, and maybe a ``name`` and a ``locale``. Raises what is ``UNREACHABLE``, ``Fault``."""


def office_at(address: str) -> Office:
    """Raises:
    ValueError: with a sentence, for an address at which no office may be asked.
    """
    url = urlsplit(address)
    if url.scheme == "unix" and url.path.startswith("/"):
        return _Beside(address, Path(url.path))
    if url.scheme == "https" and url.hostname and (url.username or url.password):
        return _Elsewhere(address)
    if url.scheme == "http" and _is_loopback(url.hostname or ""):
        return _Elsewhere(address)
    raise ValueError(
        f"UNOSERVER_URL: {_without_secret(address)} is not taken. Documents go to unix:/PATH on this machine, or to "
        "https://SECRET@HOST elsewhere: in clear or without a secret to nobody."
    )


def _without_secret(address: str) -> str:
    return f"{urlsplit(address).scheme}://{address.rpartition('@')[2].rpartition('//')[2]}"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


class _Beside(Office):
    def __init__(self, address: str, path: Path) -> None:
        self.address, self.path = address, path

    def connects(self) -> bool:
        try:
            self._line().close()
        except OSError:
            return False
        return True

    def state(self) -> State:
        told, _ = self._ask({"do": "state"}, b"", STATE_SECONDS)
        return State(int(told["documents"]), bool(told["has_room"]), str(told.get("guard", "")))

    def convert(self, data: bytes, wanted: dict[str, str], deadline_seconds: float) -> tuple[bytes, dict[str, Any]]:
        told, pdf = self._ask({"do": "convert", **wanted}, data, deadline_seconds + GRACE_SECONDS)
        return pdf, told

    def _ask(self, question: dict[str, Any], data: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        began = time.monotonic()
        with self._line() as line, working() as look:
            line.settimeout(seconds)
            send(line, question, data)
            told, body = receive(line, seconds=seconds - (time.monotonic() - began), look=look)
        if told.get("fault") == UNCONFINED:
            raise Unconfined(told.get("reason", ""))
        if "fault" in told:
            raise Fault(told["fault"], str(told.get("reason", "")))
        return told, body

    def _line(self) -> socket.socket:
        """To a server of ours, of root's or of one that root has made nobody, and of nobody else's who came first."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(CONNECT_SECONDS)
            line.connect(str(self.path))
            user = user_of(line)
            if user not in (0, os.geteuid(), NOBODY):
                raise ConnectionRefusedError(f"{self.path} is answered by user {user}")
        except OSError:
            line.close()
            raise
        return line


class _Elsewhere(Office):
    """A plain unoserver, by XML-RPC. It tells no state: it counts as fresh."""

    def __init__(self, address: str) -> None:
        self.url = urlsplit(address)
        self.address = _without_secret(address)

    def connects(self) -> bool:
        port = self.url.port or (443 if self.url.scheme == "https" else 2003)
        try:
            socket.create_connection((self.url.hostname or "", port), timeout=CONNECT_SECONDS).close()
        except OSError:
            return False
        return True

    def state(self) -> State:
        try:
            with self._proxy(STATE_SECONDS) as proxy:
                proxy.info()
        except xmlrpc.client.Fault as fault:
            raise Fault(fault.faultCode, fault.faultString) from fault
        return State(0, has_room=True)

    def convert(self, data: bytes, wanted: dict[str, str], deadline_seconds: float) -> tuple[Any, dict[str, Any]]:
        kind = KINDS[wanted["kind"]]
        written = (WRITTEN_BY[kind.family], ["ExportNotes=false", "ExportFormFields=false"], False)
        arguments = (None, data, None, "pdf", *written, kind.opened_by, None)
        try:
            with self._proxy(deadline_seconds + GRACE_SECONDS) as proxy:
                return proxy.convert(*arguments), {}
        except xmlrpc.client.Fault as fault:
            raise Fault(fault.faultCode, fault.faultString) from fault

    def _proxy(self, seconds: float) -> xmlrpc.client.ServerProxy:
        transport = _Transport(seconds, self.url.scheme == "https")
        host, secret = self.url.netloc.rpartition("@")[2], self.url.netloc.rpartition("@")[0]
        if secret:
            word = b64encode(unquote(secret if ":" in secret else f"faxroom:{secret}").encode()).decode()
            transport.headers = [("Authorization", f"Basic {word}")]
        address = f"{self.url.scheme}://{host}{self.url.path}"
        return xmlrpc.client.ServerProxy(
            address, transport=transport, headers=transport.headers, allow_none=True, use_builtin_types=True
        )


class _Transport(xmlrpc.client.Transport):
    """The stock one waits for ever, and asks a second time when the connection breaks."""

    def __init__(self, seconds: float, secure: bool) -> None:
        super().__init__(use_builtin_types=True)
        self.seconds, self.secure = seconds, secure
        self.headers: list[tuple[str, str]] = []

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> http.client.HTTPConnection:
        host = host if isinstance(host, str) else host[0]
        if self.secure:
            return http.client.HTTPSConnection(host, timeout=self.seconds, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, timeout=self.seconds)

    def send_headers(self, connection: http.client.HTTPConnection, headers: list[tuple[str, str]]) -> None:
        super().send_headers(connection, [*headers, *self.headers])

    def request(
        self, host: tuple[str, dict[str, str]] | str, handler: str, request_body: "SizedBuffer", verbose: bool = False
    ) -> tuple[Any, ...]:
        return self.single_request(host, handler, request_body, verbose)
