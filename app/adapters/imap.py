"""A mailbox over IMAP (RFC 9051): signed in to at the address that was judged, with a certificate that is its own."""

import imaplib
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from app.adapters.hosts import addresses_of, is_inside
from app.errors import PermanentFailure, TemporaryFailure

SECONDS = 20
#: Folders that are named when the one that was asked for is not there.
MOST_NAMED = 12
TLS, STARTTLS, PLAIN = "tls", "starttls", "none"


@dataclass(frozen=True)
class Server:
    """``security`` is ``tls`` (from the first byte on), ``starttls`` or ``none``."""

    host: str
    port: int
    security: str


@dataclass(frozen=True)
class Found:
    """What a sign-in found; ``idle``: the server tells of new mails by itself (RFC 2177)."""

    folder: str
    messages: int
    idle: bool


@cache
def _context() -> ssl.SSLContext:
    """Reading the machine's certificates takes longer than a sign-in does."""
    return ssl.create_default_context()


class _Connection(imaplib.IMAP4):
    """To an address that is known already; the name is for the certificate only."""

    def __init__(self, server: Server, address: str) -> None:
        self.server, self.address = server, address
        super().__init__(server.host, server.port, timeout=SECONDS)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        plain = socket.create_connection((self.address, self.port), timeout or SECONDS)
        if self.server.security != TLS:
            return plain
        return _context().wrap_socket(plain, server_hostname=self.host)


class _Client(IMAPClient):
    def __init__(self, server: Server, address: str) -> None:
        self.server, self.address = server, address
        super().__init__(server.host, server.port, ssl=server.security == TLS, timeout=SECONDS)

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802 - the library's name
        return _Connection(self.server, self.address)


@contextmanager
def signed_in(server: Server, username: str, password: str, *, allowed: Iterable[str] = ()) -> Iterator[IMAPClient]:
    """A connection to the mailbox. ``allowed`` as in :func:`app.adapters.hosts.addresses_of`.

    Raises:
        PermanentFailure: ``host_inside``, ``imap_plain``: the password would travel readable through the Internet.
        TemporaryFailure: ``host_unknown``, ``imap_down``, ``imap_certificate``, ``imap_no_starttls``, ``imap_refused``.
    """
    addresses = addresses_of(server.host, server.port, allowed=allowed)
    if server.security == PLAIN and not all(is_inside(address) for address in addresses):
        raise PermanentFailure("imap_plain")
    try:
        client = _Client(server, addresses[0])
        try:
            if server.security == STARTTLS:
                if not client.has_capability("STARTTLS"):
                    raise TemporaryFailure("imap_no_starttls")
                client.starttls(_context())
            _sign_in(client, username, password)
            yield client
        finally:
            _leave(client)
    except ssl.SSLCertVerificationError as error:
        raise TemporaryFailure("imap_certificate", reason=error.verify_message) from error
    except (IMAPClientError, imaplib.IMAP4.error, OSError, EOFError) as error:
        raise TemporaryFailure("imap_down", reason=_brief(error)) from error


def _sign_in(client: IMAPClient, username: str, password: str) -> None:
    try:
        client.login(username, password)
    except LoginError as error:
        raise TemporaryFailure("imap_refused") from error


def _leave(client: IMAPClient) -> None:
    try:
        client.logout()
    except (IMAPClientError, imaplib.IMAP4.error, OSError, EOFError):
        client.shutdown()


def _brief(error: BaseException) -> str:
    """Not a server's whole greeting: whoever may name a host learns no more of it than that it answers otherwise."""
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text)[:80]


def look_into(server: Server, username: str, password: str, folder: str, *, allowed: Iterable[str] = ()) -> Found:
    """Sign in, open the folder without changing anything in it, leave.

    Raises:
        TemporaryFailure, PermanentFailure: as :func:`signed_in`, and ``imap_no_folder`` with those that are there.
    """
    with signed_in(server, username, password, allowed=allowed) as client:
        idle = client.has_capability("IDLE")
        names = [str(name) for _flags, _delimiter, name in client.list_folders()]
        known = next((name for name in names if name == folder or name.upper() == folder.upper() == "INBOX"), None)
        if known is None:
            raise TemporaryFailure("imap_no_folder", folder=folder, folders=", ".join(names[:MOST_NAMED]))
        opened = client.select_folder(known, readonly=True)
        return Found(known, int(opened[b"EXISTS"]), idle)
