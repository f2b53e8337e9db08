"""A mailbox over IMAP (RFC 9051): signed in to at the address that was judged, with a certificate that is its own."""

import imaplib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from app.adapters.mail.tokens import Bearer, Showing, mechanism_of, said
from app.adapters.servers.answers import Answers, TooMuch
from app.adapters.servers.hosts import addresses_of, is_inside
from app.errors import PermanentFailure, TemporaryFailure

SECONDS = 20
#: For a person who tries a box: they look at an empty page meanwhile.
TRYING_SECONDS = 4
#: How long to listen before looking whether somebody wants us to stop.
LISTEN_SECONDS = 2.0
#: More than any answer that we ask for: a server must not fill our memory. Of these so much may be lines: a hundred
#: thousand mails that wait are half of it.
MOST_BYTES, MOST_LINES = 64 * 1024 * 1024, 8 * 1024 * 1024
#: In which the whole of an answer has to come, a large mail over a slow line too; of a trial, as long as it waits.
ANSWER_SECONDS = 300
#: RFC 9051 knows no limit; imaplib's own.
LONGEST_LINE = 1_000_000
#: On a message that was dealt with, where the server lets nothing be moved.
DONE = "$FaxroomDone"
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

    def __init__(self, server: Server, address: str, seconds: float) -> None:
        self.server, self.address = server, address
        self.answers = Answers()
        self.answer_seconds = ANSWER_SECONDS if seconds > TRYING_SECONDS else seconds
        self.expect_answer()
        super().__init__(server.host, server.port, timeout=seconds)

    def expect_answer(self) -> None:
        self.answers.expect(seconds=self.answer_seconds, lines=MOST_LINES, most=MOST_BYTES)

    def _command(self, name: str, *arguments: Any) -> bytes:
        self.expect_answer()
        answer: bytes = super()._command(name, *arguments)  # type: ignore[misc]  # imaplib has it, typeshed has not
        return answer

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        plain = socket.create_connection((self.address, self.port), timeout)
        if self.server.security != TLS:
            return plain
        return _context().wrap_socket(plain, server_hostname=self.host)

    def read(self, size: int) -> bytes:
        try:
            return self.answers.read(self.sock, size)
        except TooMuch as error:
            raise self.abort(str(error)) from error

    def readline(self) -> bytes:
        try:
            line = self.answers.line(self.sock, LONGEST_LINE + 1)
        except TooMuch as error:
            raise self.abort(str(error)) from error
        if len(line) > LONGEST_LINE:
            raise self.abort("a line is too long")
        return line


class _Client(IMAPClient):
    def __init__(self, server: Server, address: str, seconds: float) -> None:
        self.server, self.address, self.seconds = server, address, seconds
        super().__init__(server.host, server.port, ssl=server.security == TLS, timeout=seconds)

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802 - the library's name
        return _Connection(self.server, self.address, self.seconds)

    def idle_check(self, timeout: float | None = None) -> list[Any]:
        """What is told while nobody asks is an answer of its own."""
        self._imap.expect_answer()
        told: list[Any] = super().idle_check(timeout=timeout)
        return told


@contextmanager
def signed_in(
    server: Server, username: str, secret: str | Bearer, *, allowed: Iterable[str] = (), seconds: float = SECONDS
) -> Iterator[IMAPClient]:
    """A connection to the mailbox, by a password or a token. ``allowed`` as in
    :func:`app.adapters.servers.hosts.addresses_of`.

    Raises:
        PermanentFailure: ``host_inside``, ``imap_plain``: the password would travel readable through the Internet.
        TemporaryFailure: ``host_unknown``, ``imap_down``, ``imap_certificate``, ``imap_no_starttls``, ``imap_refused``,
            ``imap_no_tokens``, ``imap_token_refused`` with what the server said.
    """
    addresses = addresses_of(server.host, server.port, allowed=allowed)
    if server.security == PLAIN and not all(is_inside(address) for address in addresses):
        raise PermanentFailure("imap_plain")
    try:
        client: IMAPClient = _Client(server, addresses[0], seconds)
        try:
            if server.security == STARTTLS:
                if not client.has_capability("STARTTLS"):
                    raise TemporaryFailure("imap_no_starttls")
                client.starttls(_context())
            _sign_in(client, server, username, secret)
            yield client
        finally:
            _leave(client)
    except ssl.SSLCertVerificationError as error:
        raise TemporaryFailure("imap_certificate", reason=error.verify_message) from error
    except (IMAPClientError, imaplib.IMAP4.error, OSError, EOFError) as error:
        raise TemporaryFailure("imap_down", reason=_brief(error)) from error


def _sign_in(client: IMAPClient, server: Server, username: str, secret: str | Bearer) -> None:
    if isinstance(secret, Bearer):
        _show_token(client, server, username, secret)
        return
    try:
        client.login(username, secret)
    except LoginError as error:
        _demand_answer(error)
        raise TemporaryFailure("imap_refused") from error


def _show_token(client: IMAPClient, server: Server, username: str, bearer: Bearer) -> None:
    offered = [name.decode("ascii", "replace").upper() for name in client.capabilities()]
    mechanism = mechanism_of(name.removeprefix("AUTH=") for name in offered if name.startswith("AUTH="))
    if mechanism is None:
        raise TemporaryFailure("imap_no_tokens")
    showing = Showing(mechanism, username, bearer, host=server.host, port=server.port)
    try:
        client.sasl_login(mechanism, showing)
    except LoginError as error:
        _demand_answer(error)
        raise TemporaryFailure("imap_token_refused", reason=showing.refused or said(str(error))) from None


def _demand_answer(error: LoginError) -> None:
    """A connection that breaks off during a sign-in has refused nobody; IMAPClient tells both alike."""
    if isinstance(error.__context__, imaplib.IMAP4.abort):
        raise error.__context__


def _leave(client: IMAPClient) -> None:
    try:
        client.logout()
    except (IMAPClientError, imaplib.IMAP4.error, OSError, EOFError):
        client.shutdown()


def _brief(error: BaseException) -> str:
    """Not a server's whole greeting: whoever may name a host learns no more of it than that it answers otherwise."""
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text)[:80]


def look_into(
    server: Server, username: str, secret: str | Bearer, folder: str, *, allowed: Iterable[str] = ()
) -> Found:
    """Sign in, open the folder without changing anything in it, leave.

    Raises:
        TemporaryFailure, PermanentFailure: as :func:`signed_in`, and ``imap_no_folder`` with those that are there.
    """
    with signed_in(server, username, secret, allowed=allowed, seconds=TRYING_SECONDS) as client:
        idle = client.has_capability("IDLE")
        known = _known_folder(client, folder)
        opened = client.select_folder(known, readonly=True)
        return Found(known, int(opened[b"EXISTS"]), idle)


def _known_folder(client: IMAPClient, folder: str) -> str:
    """As the server writes it."""
    names = [str(name) for _flags, _delimiter, name in client.list_folders()]
    known = next((name for name in names if name == folder or name.upper() == folder.upper() == "INBOX"), None)
    if known is None:
        raise TemporaryFailure("imap_no_folder", folder=folder, folders=", ".join(names[:MOST_NAMED]))
    return known


# ---- Collecting


@dataclass(frozen=True)
class Waiting:
    """A message of the folder that nobody has marked as done with."""

    uid: int
    size: int


class Mailbox:
    """An open folder. ``uid_validity`` and a uid together name a message of it for good (RFC 9051, 2.3.1.1).

    Every method may raise what :func:`signed_in` makes ``imap_down`` of: the connection is of no use then.
    """

    def __init__(self, client: IMAPClient, folder: str) -> None:
        """Raises:
        TemporaryFailure: ``imap_no_folder``.
        """
        self.client = client
        opened = client.select_folder(_known_folder(client, folder))
        self.uid_validity = int(opened[b"UIDVALIDITY"])
        self.can_idle = bool(client.has_capability("IDLE"))
        self._made: dict[str, str] = {}

    def waiting(self) -> list[Waiting]:
        """In the order in which they came."""
        self._untagged().pop("EXISTS", None)
        uids = self.client.search(["UNDELETED", "UNKEYWORD", DONE])
        sizes = self.client.fetch(uids, ["RFC822.SIZE"]) if uids else {}
        found = [Waiting(uid, int(sizes[uid][b"RFC822.SIZE"])) for uid in uids if b"RFC822.SIZE" in sizes.get(uid, {})]
        return sorted(found, key=lambda message: message.uid)

    def has_news(self) -> bool:
        """Whether something new has come since the last :meth:`waiting`. A server may tell of it beside any answer and
        then not again (RFC 2177); Dovecot, while idle, is silent about what came just before."""
        self.client.noop()
        return "EXISTS" in self._untagged()

    def _untagged(self) -> dict[str, list[bytes]]:
        told: dict[str, list[bytes]] = self.client._imap.untagged_responses
        return told

    def fetch(self, uid: int, *, most: int | None = None) -> bytes | None:
        """The message as it lies there, or its first ``most`` bytes (RFC 3501, 6.4.5), left unread; None if it is
        gone."""
        part, found = ("", "") if most is None else (f"<0.{most}>", "<0>")
        answer = self.client.fetch([uid], [f"BODY.PEEK[]{part}"]).get(uid, {})
        message: bytes | None = answer.get(f"BODY[]{found}".encode())
        return message

    def file(self, uid: int, folder: str) -> str | None:
        """Move a message to ``folder``, which is made if it is not there; gives its full name. Where that is not
        allowed the message is marked as done with, and None is given. One that is gone already is no fault."""
        try:
            target = self._folder(folder)
            self._move(uid, target)
            return target
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            self._mark(uid)
            return None

    def _folder(self, name: str) -> str:
        if name not in self._made:
            full = self._prefix() + name
            if not self.client.folder_exists(full):
                self.client.create_folder(full)
                self.client.subscribe_folder(full)
            self._made[name] = full
        return self._made[name]

    def _prefix(self) -> str:
        """What a folder of one's own begins with, such as ``INBOX.`` (RFC 2342)."""
        if not self.client.has_capability("NAMESPACE"):
            return ""
        personal = self.client.namespace().personal
        return str(personal[0][0]) if personal else ""

    def _move(self, uid: int, target: str) -> None:
        if self.client.has_capability("MOVE"):
            self.client.move([uid], target)
            return
        self.client.copy([uid], target)
        self.client.add_flags([uid], ["\\Deleted"], silent=True)
        if self.client.has_capability("UIDPLUS"):
            self.client.uid_expunge([uid])

    def _mark(self, uid: int) -> None:
        """A folder that even this cannot be written to is kept apart by our own rows."""
        try:
            self.client.add_flags([uid], ["\\Seen", DONE], silent=True)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            return

    def idle(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the server tells of something new, at most so long, or until ``until`` says so; True if it did."""
        self.client.idle()
        heard = self._hear(seconds, until)
        self.client.idle_done()
        return heard

    def _hear(self, seconds: float, until: Callable[[], bool]) -> bool:
        end = time.monotonic() + seconds
        while not until() and (left := end - time.monotonic()) > 0:
            slice_seconds, began = min(left, LISTEN_SECONDS), time.monotonic()
            said = self.client.idle_check(timeout=slice_seconds)
            if any(len(line) > 1 and line[1] in (b"EXISTS", b"RECENT") for line in said):
                return True
            if not said and time.monotonic() - began < slice_seconds / 2:
                raise imaplib.IMAP4.abort("the server has closed the connection")
        return False
