"""An SMTP and LMTP listener (RFC 5321, 2033, 3207, 4954) for people's mail servers, copiers and programs, by aiosmtpd.

It knows nothing of faxes. A :class:`Desk` is asked about everything, in threads, and its answers are said. Whoever is
neither a trusted peer nor has signed in after STARTTLS hands in nothing. What is accepted was taken by the desk before
the 250 was said.
"""

import asyncio
import ipaddress
import logging
import ssl
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.config import Peer

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Connections at once: in all, of those that are not trusted, and of one address among them; begun within a minute.
MOST_CONNECTIONS, MOST_STRANGERS, MOST_BY_ADDRESS, MOST_A_MINUTE = 1500, 300, 20, 60
#: Messages that are read or dealt with at once, in all and of one company: each may be as large as one may be.
MOST_LETTERS, MOST_OF_ONE = 16, 8
MOST_RECIPIENTS = 100
#: Wrong secrets of one address within so many seconds, for one user name and for all: after that nothing is looked at.
MOST_GUESSES, MOST_GUESSES_OF_ALL, GUESS_SECONDS = 10, 60, 600.0
#: Seconds that a client may say nothing, before and after it was let in; that a whole message may take with what
#: becomes of it (RFC 5321, 4.5.3.2.6); and that it waits for its turn (4.5.3.2.3).
SILENT, SILENT_GUEST, LETTER_SECONDS, TURN_SECONDS = 60.0, 300.0, 600.0, 60.0
#: Seconds that a client may stop within a message (RFC 5321, 4.5.3.2.5): it has a turn that others wait for.
STALLED = 180.0
#: RFC 5321 has 998 in a line; programs write longer ones, and nothing is cut.
LONGEST_LINE = 64 * 1024
LONGEST_ANSWER = 400

NOT_LET_IN = "530 5.7.0 Sign in first: STARTTLS, then AUTH with a user name and password made in Faxroom."
BUSY = "421 4.7.0 Too many connections. Try again later."
GUESSED = "454 4.7.0 Too many wrong passwords from this address. Try again later."
NO_TURN = "451 4.3.2 Too many emails at once. Try again later."
NO_CHUNKS = "502 5.5.1 BDAT is not known here. Use DATA."
FAULT = "451 4.3.0 Something went wrong here. Try again later."
MANY = f"452 4.5.3 Too many recipients, the limit is {MOST_RECIPIENTS}. Send another email to the others."


class Turned(Exception):
    """What the desk does not take; ``answer`` says why, with its codes (RFC 3463)."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer


class Desk(Protocol):
    """Each is called in a thread and may raise :class:`Turned`. Guest, sender and recipient are the desk's own."""

    def sign_in(self, username: str, secret: str) -> Any | None:
        """A guest."""

    def sender(self, host: Any, address: str) -> Any:
        """``host``: the guest who signed in, or else the trusted peer (:class:`app.config.Peer`)."""

    def company(self, sender: Any) -> object:
        """Whose messages share their turns; at once."""

    def recipient(self, sender: Any, address: str) -> Any: ...

    def take(
        self, guest: Any | None, sender: Any, recipients: Sequence[Any], content: bytes, *, each: bool
    ) -> list[str]:
        """An answer for each recipient, if ``each``, or one for all."""


@dataclass(frozen=True)
class Place:
    """Where to listen, as what, and whom to trust. ``tls`` gives the certificate of the moment."""

    host: str
    port: int
    name: str
    peers: tuple[Peer, ...]
    most_bytes: int
    lmtp: bool = False
    tls: Callable[[], ssl.SSLContext | None] = lambda: None


class _Letter(Envelope):
    """What was said before the message."""

    def __init__(self) -> None:
        super().__init__()
        self.sender: Any = None
        self.recipients: list[Any] = []
        self.asked = 0


@dataclass
class Guard:
    """Who is there, and how often somebody came. One for all places of a process."""

    trusted: int = 0
    strangers: Counter[str] = field(default_factory=Counter)
    _came: dict[str, deque[float]] = field(default_factory=dict)
    _guessed: dict[str, deque[float]] = field(default_factory=dict)

    def lets_in(self, address: str, *, trusted: bool) -> bool:
        if trusted:
            return self.trusted + self.strangers.total() < MOST_CONNECTIONS
        here, all_here = self.strangers[address], self.strangers.total()
        often = _within(self._came, address, 60.0) >= MOST_A_MINUTE
        return here < MOST_BY_ADDRESS and all_here < MOST_STRANGERS and not often

    def enter(self, address: str, *, trusted: bool) -> None:
        if trusted:
            self.trusted += 1
            return
        self.strangers[address] += 1
        _note(self._came, address)

    def leave(self, address: str, *, trusted: bool) -> None:
        if trusted:
            self.trusted -= 1
            return
        self.strangers[address] -= 1
        self.strangers += Counter()  # without those that have none

    def guessed(self, address: str, username: str) -> None:
        _note(self._guessed, address)
        _note(self._guessed, _name_at(address, username))

    def has_guessed(self, address: str, username: str) -> bool:
        """A copier whose password was withdrawn tries for ever: it shuts out none of the others behind its address."""
        own = _within(self._guessed, _name_at(address, username), GUESS_SECONDS)
        return own >= MOST_GUESSES or _within(self._guessed, address, GUESS_SECONDS) >= MOST_GUESSES_OF_ALL


def _name_at(address: str, username: str) -> str:
    return f"{address} {username.strip().lower()[:64]}"


def _note(times: dict[str, deque[float]], address: str) -> None:
    if len(times) > 10_000:  # who comes from everywhere forgets nothing but what is oldest
        times.pop(next(iter(times)))
    most = max(MOST_A_MINUTE, MOST_GUESSES_OF_ALL)
    times.setdefault(address, deque(maxlen=most)).append(time.monotonic())


def _within(times: dict[str, deque[float]], address: str, seconds: float) -> int:
    since = time.monotonic() - seconds
    found = times.get(address, ())
    if found and found[-1] < since:
        del times[address]
        return 0
    return sum(1 for moment in found if moment >= since)


def group_of(address: str) -> str:
    """Whom one address stands for: of IPv6 a whole network (RFC 6177)."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        if known.ipv4_mapped:
            return str(known.ipv4_mapped)
        return str(ipaddress.ip_network((known, 64), strict=False))
    return str(known)


def peer_at(address: str, peers: Sequence[Peer]) -> Peer | None:
    """Of several networks that hold the address the narrowest counts."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = known.ipv4_mapped if isinstance(known, ipaddress.IPv6Address) else None
    around = [peer for peer in peers if (mapped or known) in peer.network]
    return max(around, key=lambda peer: peer.network.prefixlen, default=None)


def said(answer: str) -> str:
    """One line of ASCII (RFC 5321, 4.2)."""
    plain = " ".join(answer.encode("ascii", "replace").decode().split())
    return plain if len(plain) <= LONGEST_ANSWER else f"{plain[: LONGEST_ANSWER - 3]}..."


class Door:
    """All that listens in a process. ``begin`` and ``end`` are of its event loop."""

    def __init__(self, desk: Desk, *, workers: int) -> None:
        self.desk, self.guard = desk, Guard()
        self.asking = ThreadPoolExecutor(4, "door-ask")
        self.taking = ThreadPoolExecutor(workers, "door-take")
        self.letters = asyncio.Semaphore(MOST_LETTERS)
        self.by_company: dict[object, asyncio.Semaphore] = {}
        self.taken = 0
        self._servers: list[asyncio.Server] = []

    async def begin(self, place: Place) -> int:
        """The port, which was chosen if it was 0."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: self._protocol(place), place.host, place.port, backlog=1024)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def _protocol(self, place: Place) -> SMTP:
        return _Lmtp(self, place) if place.lmtp else _Smtp(self, place)

    async def end(self, seconds: float) -> None:
        """Nobody else comes in; whose message is being dealt with hears what became of it."""
        for server in self._servers:
            server.close()
        finish = time.monotonic() + seconds
        while self.taken and time.monotonic() < finish:
            await asyncio.sleep(0.05)

    async def ask(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.asking, question)

    async def take(self, question: Callable[[], T]) -> T:
        self.taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.taking, question)
        finally:
            self.taken -= 1

    def turns_of(self, company: object) -> asyncio.Semaphore:
        return self.by_company.setdefault(company, asyncio.Semaphore(MOST_OF_ONE))


class _Handler:
    """aiosmtpd's hooks."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's names
        self, server: Any, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250 ENHANCEDSTATUSCODES"]

    async def handle_MAIL(  # noqa: N802
        self, server: "_Smtp", _session: Session, envelope: _Letter, address: str, options: list[str]
    ) -> str:
        host = server.guest or server.peer
        if host is None:
            return NOT_LET_IN
        try:
            envelope.sender = await self.door.ask(lambda: self.door.desk.sender(host, address))
        except Turned as turned:
            return said(turned.answer)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Session, envelope: _Letter, address: str, options: list[str]
    ) -> str:
        envelope.asked += 1
        if envelope.asked > MOST_RECIPIENTS:
            return MANY
        try:
            found = await self.door.ask(lambda: self.door.desk.recipient(envelope.sender, address))
        except Turned as turned:
            return said(turned.answer)
        envelope.recipients.append(found)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: "_Smtp", _session: Session, envelope: _Letter) -> str:  # noqa: N802
        server.is_read()
        content = envelope.original_content or b""
        desk, guest, each = self.door.desk, server.guest, server.is_lmtp
        take = self.door.take(lambda: desk.take(guest, envelope.sender, envelope.recipients, content, each=each))
        try:
            return "\r\n".join(said(answer) for answer in await take)
        except Turned as turned:
            return said(turned.answer)

    async def handle_exception(self, error: Exception) -> str:
        log.warning("a connection broke: %r", error, exc_info=not isinstance(error, OSError | ssl.SSLError))
        return FAULT


class _Smtp(SMTP):
    """One connection, of a trusted ``peer`` by its address, or with a ``guest`` who has signed in."""

    line_length_limit = LONGEST_LINE
    is_lmtp = False

    def __init__(self, door: Door, place: Place) -> None:
        self.door, self.place = door, place
        self.address, self.inside = "", False
        self.peer: Peer | None = None
        self.guest: Any | None = None
        self.command_size_limits = defaultdict(
            lambda: SMTP.command_size_limit
        )  # the library has one for all connections
        self.letter_bytes: int | None = None  # of the message that is being read
        self.letter_ends = 0.0
        super().__init__(
            _Handler(door),
            data_size_limit=place.most_bytes,
            enable_SMTPUTF8=True,
            hostname=place.name,
            ident="Faxroom",
            tls_context=place.tls(),
            timeout=SILENT,
            authenticator=lambda *given: AuthResult(success=True, auth_data=given[-1]),  # looked at below, in a thread
            loop=asyncio.get_running_loop(),
        )

    def _create_envelope(self) -> Envelope:
        return _Letter()

    async def push(self, status: Any) -> None:
        """In ASCII (RFC 5321, 4.2): the library repeats what the client wrote, whatever bytes these were."""
        text = status.decode("ascii", "replace") if isinstance(status, bytes) else status
        lines = text.encode("ascii", "replace").split(b"\r\n")
        await super().push(b"\r\n".join(line.replace(b"\r", b" ") for line in lines))

    # ---- Coming and going

    @property
    def trusted(self) -> bool:
        return self.peer is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self.inside:
            peer = transport.get_extra_info("peername") or ("",)
            self.peer, self.address = peer_at(peer[0], self.place.peers), group_of(peer[0])
            if not self.door.guard.lets_in(self.address, trusted=self.trusted):
                transport.write(f"{BUSY}\r\n".encode())  # type: ignore[attr-defined]
                transport.close()
                return
            self.inside = True
            self.door.guard.enter(self.address, trusted=self.trusted)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.inside:
            return
        self.inside = False
        self.door.guard.leave(self.address, trusted=self.trusted)
        super().connection_lost(error)

    def eof_received(self) -> bool | None:
        return super().eof_received() if self.inside else None

    def data_received(self, data: bytes) -> None:
        """A line without an end would be kept in memory as far as it goes."""
        if not self.inside:
            return
        if self.letter_bytes is not None:
            self.letter_bytes += len(data)
            if self.letter_bytes > 2 * self.place.most_bytes and self.transport:
                self.transport.close()
                return
            self._reset_timeout(max(0.001, min(STALLED, self.letter_ends - time.monotonic())))
        super().data_received(data)

    def _reset_timeout(self, duration: float | None = None) -> None:
        super()._reset_timeout(duration or (SILENT_GUEST if self.trusted or self.guest else SILENT))

    # ---- Signing in

    async def auth_PLAIN(self, _server: Any, args: list[str]) -> AuthResult:  # noqa: N802
        return await self._looked_at(await super().auth_PLAIN(_server, args))

    async def auth_LOGIN(self, _server: Any, args: list[str]) -> AuthResult:  # noqa: N802
        return await self._looked_at(await super().auth_LOGIN(_server, args))

    async def _looked_at(self, given: AuthResult) -> AuthResult:
        if not given.success or not isinstance(given.auth_data, LoginPassword):
            return given
        username, secret = (part.decode("utf-8", "replace") for part in given.auth_data)
        if self.door.guard.has_guessed(self.address, username):
            return AuthResult(success=False, handled=False, message=GUESSED)
        try:
            self.guest = await self.door.ask(lambda: self.door.desk.sign_in(username, secret))
        except Turned as turned:
            return AuthResult(success=False, handled=False, message=said(turned.answer))
        if self.guest is None:
            self.door.guard.guessed(self.address, username)
            log.warning("%s: a wrong user name or password", self.address)
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True)

    # ---- A message

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The library's reader fails on some of what is no address; and none has bytes that are no UTF-8, or signs that
        nobody sees."""
        try:
            address, rest = super()._getaddr(arg)
        except Exception:  # of the email package, whatever it is
            return None, None
        return (address, rest) if address is None or address.isprintable() else (None, None)

    async def smtp_BDAT(self, _arg: str) -> None:  # noqa: N802
        """RFC 3030. It was not offered: what comes next would be a message, and is not read as commands."""
        await self.push(NO_CHUNKS)
        if self.transport:
            self.transport.close()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """In its turn: each may be large, and what is read lies in memory."""
        letter = self.envelope
        if not isinstance(letter, _Letter) or letter.sender is None or not letter.rcpt_tos:
            await super().smtp_DATA(arg)
            return
        own = self.door.turns_of(self.door.desk.company(letter.sender))
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await own.acquire()
                try:
                    await self.door.letters.acquire()
                except BaseException:
                    own.release()
                    raise
        except TimeoutError:
            await self.push(NO_TURN)
            return
        self.letter_bytes, self.letter_ends = 0, time.monotonic() + LETTER_SECONDS
        self._reset_timeout(min(STALLED, LETTER_SECONDS))
        try:
            await super().smtp_DATA(arg)
        finally:
            self.letter_bytes = None
            self.door.letters.release()
            own.release()

    def is_read(self) -> None:
        """The message is whole: from here on it is us who take time."""
        self.letter_bytes = None
        self._reset_timeout(max(0.001, self.letter_ends - time.monotonic()))


class _Lmtp(_Smtp, LMTP):
    """RFC 2033: another greeting, and after the message an answer for each recipient."""

    is_lmtp = True
    awaited = 0

    async def push(self, status: Any) -> None:
        text = status.decode() if isinstance(status, bytes) else status
        if text.startswith("354") and self.envelope:
            self.awaited = len(self.envelope.rcpt_tos)
        elif self.awaited:
            count, self.awaited = self.awaited, 0
            text = text if "\r\n" in text else "\r\n".join([text] * count)
        await super().push(text)
