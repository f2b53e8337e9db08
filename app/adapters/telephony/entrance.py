"""The T.38 entrance: where carriers call that begin with T.38 alone (ITU-T T.38, annex D), which Asterisk refuses.

It stands before Asterisk as a proxy that records its route (RFC 3261, 16), by UDP over IPv4. For a call that offers an
image and no sound it first calls Asterisk with sound, of which nothing is said or heard, and once Asterisk has answered
it changes that to the image by a re-INVITE (RFC 3264, 8). What Asterisk answers to that is the answer to the far end's
INVITE. Pages then go between these two directly.

Both ends have one dialog with the same tags. Only the far end's requests are counted one further than it counts
them, by as many as were put in between: that stands in the route that both have recorded, so that nothing has to be
remembered of a call that is set up, and it goes on when this process is another one. The route is signed: who was not
in the call does not know it, and gets nothing to Asterisk with it.

A call with sound is passed on as it is, but for the size of its packets: Asterisk answers with the size that is
offered and sends such packets (use_ptime), and nothing makes it ask for another.
"""

import asyncio
import hmac
import ipaddress
import logging
import random
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from app.adapters.telephony.packets import asking_for
from app.adapters.telephony.passing import VERSION, NoMessage, Passed, Via, address_of, uri_of
from app.adapters.telephony.sip import OWN_DOMAIN, read_message
from app.adapters.telephony.transactions import GIVEN_UP, T2, Call, Repeated

log = logging.getLogger(__name__)

Address = tuple[str, int]
HERE = "127.0.0.1"
#: Calls of one trunk that are being set up, and how long such a one may take: Asterisk ends it sooner.
MOST_CALLS, LONGEST_RINGING = 1_000, 600.0
#: Who has put its own offer in our way is asked again after so long, so often (RFC 3261, 14.1).
PENDING_SECONDS, MOST_TRIES = (2.1, 4.0), 4
_ROUTE = re.compile(r";[ \t]*faxroom=(?P<word>(?P<ahead>[0-9]{1,2})\.(?P<trunk>[a-z0-9-]+)\.(?P<sign>[0-9a-f]{32}))")
_SOUND = "v=0\r\no={origin}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 0\r\na=ptime:20\r\n"
_ORIGIN = re.compile(rb"^o=(\S+ \S+) ([0-9]{1,18}) (IN IP[46] \S+)", re.MULTILINE)
_IMAGE = re.compile(rb"^m=image [1-9]", re.MULTILINE | re.IGNORECASE)
#: Of the far end's INVITE what holds for the change as well.
_KEPT = ("Contact", "Allow", "Supported", "Session-Expires", "Min-SE", "User-Agent", "Content-Type")
#: What Asterisk asks when the fax is over, to go back to the sound that there never was. Who has none refuses, and
#: Asterisk 22 then forgets to hang up; of 481 it makes the end of the call (RFC 3261, 12.2.1.2).
_BACK = "back"
_WORDS = (_BACK, *map(str, range(MOST_TRIES + 1)))
_TOLD = ("Reason", "Warning", "Retry-After")


class _Deaf(asyncio.DatagramProtocol):
    """Where Asterisk's sound goes until it is changed to the image."""


class Entrance(asyncio.DatagramProtocol):
    """``sip_port`` is Asterisk's, on this machine. ``trunk_of`` knows whose an address is, as Asterisk does, or says
    that it is nobody's. ``vouching`` is the value of ``header`` by which Asterisk knows a call of that trunk; nobody
    else's goes through. ``packet_for`` says of a call with sound how many milliseconds a packet is to hold, and of most
    that they are to be as they are. ``address`` is the one by which carriers reach us, where this machine does not know
    it."""

    def __init__(
        self,
        *,
        port: int,
        sip_port: int,
        secret: str,
        trunk_of: Callable[[str], str | None],
        header: str,
        vouching: Callable[[str], str],
        packet_for: Callable[[Passed, str], Awaitable[int | None]],
        address: str = "",
    ) -> None:
        self.port, self.asterisk, self._trunk_of = port, (HERE, sip_port), trunk_of
        self._secret, self._header, self._vouching, self._address = secret, header, vouching, address
        self._packet_for = packet_for
        self._calls: dict[tuple[str, str], Call] = {}
        self._to: asyncio.DatagramTransport | None = None
        self._deaf: asyncio.DatagramTransport | None = None
        self._refused, self._refused_last = 0, ""
        self._looking_up = set[asyncio.Task[None]]()
        #: Calls with sound of which it is not known yet how large packets are to be.
        self._asking = set[tuple[str, str]]()

    async def open(self, bind: str = "0.0.0.0") -> None:
        """
        Raises:
            OSError: somebody else has the port.
        """
        loop = asyncio.get_running_loop()
        self._to, _ = await loop.create_datagram_endpoint(lambda: self, (bind, self.port))
        self._deaf, _ = await loop.create_datagram_endpoint(_Deaf, (HERE, 0))
        self.port = self._to.get_extra_info("sockname")[1]

    def close(self) -> None:
        for call in list(self._calls.values()):
            self._forget(call)
        for transport in filter(None, (self._to, self._deaf)):
            transport.close()

    def take_refused(self) -> str:
        """How many requests of strangers since it was last asked, and where the last came from; empty if none."""
        told = f"{self._refused} requests, the last from {self._refused_last}" if self._refused else ""
        self._refused = 0
        return told

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if not data.strip(b"\r\n\0"):  # to keep a way open (RFC 5626, 3.5.1)
            return
        where = (str(addr[0]), int(addr[1]))
        try:
            message = Passed.read(data)
            if message.status is not None:
                self._answered(message, where)
            elif where == self.asterisk:
                self._asked_by_asterisk(message)
            else:
                self._asked(message, where, data)
        except NoMessage as error:
            log.debug("nothing to pass on from %s: %s", where[0], error)

    def error_received(self, exc: Exception) -> None:
        log.debug("not delivered: %s", exc)  # it is said again, or given up

    def _send(self, raw: bytes, where: Address) -> None:
        if self._to and not self._to.is_closing():
            self._to.sendto(raw, where)

    # ---- Who we are

    def _host(self, where: Address) -> str:
        """Our address as the other side sees it."""
        if where == self.asterisk:
            return HERE
        if self._address:
            return self._address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            try:
                asked.connect(where)
            except OSError as error:
                raise NoMessage(str(error)) from None
            return str(asked.getsockname()[0])

    def _sign(self, *said: object) -> str:
        return hmac.new(self._secret.encode(), "\n".join(map(str, said)).encode(), "sha256").hexdigest()[:32]

    def _routes(self, message: Passed, far: Address, trunk: str, ahead: int) -> tuple[str, str]:
        """That towards Asterisk on top, so that each end has its own nearest (RFC 5658)."""
        word = f"{ahead}.{trunk}.{self._sign('route', ahead, trunk, message.call_id)}"
        near, outer = (f"<sip:{self._host(to)}:{self.port};lr;faxroom={word}>" for to in (self.asterisk, far))
        return near, outer

    def _without_ours(self, message: Passed) -> tuple[Passed, tuple[str, int] | None]:
        """A request without our part of its route, and what that said: the trunk, and how far we count ahead."""
        routes, told = message.all("Route"), None
        while routes and (found := _ROUTE.search(uri_of(routes[0]))):
            if found["sign"] != self._sign("route", int(found["ahead"]), found["trunk"], message.call_id):
                break
            told = (found["trunk"], int(found["ahead"]))
            routes.pop(0)
        return (message.having("Route", *routes) if told else message), told

    # ---- What the far end asks

    def _asked(self, message: Passed, where: Address, raw: bytes) -> None:
        message = message.without(self._header)
        message = message.having("Via", message.via.seen_from(where).text, *message.all("Via")[1:])
        message, told = self._without_ours(message)
        is_own = any(OWN_DOMAIN.search(value) for _, value in message.headers)
        if told and message.to_tag and not is_own:  # without the tag it begins something
            trunk, ahead = told
            self._to_asterisk(message.numbered(message.sequence + ahead), trunk, ahead)
            return
        message, found = message.without("Route"), self._trunk_of(where[0])
        said = read_message(raw) if found else None
        if found is None or said is None or is_own:
            self._refused, self._refused_last = self._refused + 1, where[0]
            self._reply(message, "403 Forbidden")
        elif message.method == "ACK":
            self._acknowledged(message, found)
        elif message.to_tag:
            self._reply(message, "481 Call/Transaction Does Not Exist")
        elif message.method == "INVITE":
            self._invited(message, where, found, is_alone=said.offers_t38_alone)
        elif message.method == "CANCEL":
            self._cancelled(message, found)
        elif message.method == "OPTIONS":
            self._reply(message, "200 OK")
        else:
            self._reply(message, "405 Method Not Allowed", ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS"))

    def _to_asterisk(self, message: Passed, trunk: str, ahead: int) -> bytes:
        vouched = message.having(self._header, self._vouching(trunk))
        return self._pass_on(vouched, self.asterisk, str(ahead))

    def _pass_on(self, message: Passed, to: Address, word: str) -> bytes:
        """With a branch that is the same whenever the same is said, and of its CANCEL and ACK (RFC 3261, 16.11)."""
        told = message.get("Max-Forwards")
        left = int(told) if re.fullmatch("[0-9]{1,3}", told) else 70
        if left <= 0:
            self._reply(message, "483 Too Many Hops")
            return b""
        via = message.via
        branch = self._branch(via, message)
        passed = message.having("Max-Forwards", str(left - 1))
        passed = passed.having("Via", self._via(to, branch, word), *message.all("Via"))
        self._send(raw := passed.write(), to)
        return raw

    def _branch(self, via: Via, message: Passed) -> str:
        return self._sign("branch", via.parameter("branch"), via.sender, message.call_id)

    def _via(self, to: Address, branch: str, word: str = "0") -> str:
        return f"{VERSION}/UDP {self._host(to)}:{self.port};branch=z9hG4bK{branch};faxroom={word};rport"

    def _invited(self, invite: Passed, where: Address, trunk: str, *, is_alone: bool) -> None:
        call = self._calls.get((invite.call_id, invite.from_tag))
        if call and call.trunk != trunk:
            self._reply(invite, "482 Loop Detected")  # RFC 3261, 8.2.2.2
            return
        if call and call.invite.sequence == invite.sequence:  # said again
            if call.final:
                self._send(call.final, call.invite.via.target)
            elif call.answer is None:  # else Asterisk, which has answered it, would take it for another call
                self._send(call.passed_on, self.asterisk)
            return
        if call:  # tried anew after a refusal
            self._forget(call)
        if is_alone and sum(one.trunk == trunk for one in self._calls.values()) >= MOST_CALLS:
            self._reply(invite, "503 Service Unavailable", ("Retry-After", "10"))
            return
        routes = self._routes(invite, where, trunk, ahead=1 if is_alone else 0)
        begun = invite.having("Record-Route", *routes, *invite.all("Record-Route"))
        if not is_alone:
            self._when_found(self._with_sound(begun, trunk))
            return
        begun = _unreliable(begun).of_body(self._sound(invite.body))
        call = Call(invite, trunk, self._to_asterisk(begun, trunk, 0), sequence=invite.sequence)
        if call.passed_on:
            self._calls[call.key] = call
            self._forget_after(call, LONGEST_RINGING)

    async def _with_sound(self, invite: Passed, trunk: str) -> None:
        """What is said of the call meanwhile is not heard: it is said again."""
        key = (invite.call_id, invite.from_tag)
        if key in self._asking:
            return
        self._asking.add(key)
        try:
            packet = await self._packet_for(invite, trunk)
        finally:
            self._asking.discard(key)
        if packet and invite.get("Content-Type").lower().startswith("application/sdp"):
            invite = invite.of_body(asking_for(invite.body, packet))
        with suppress(NoMessage):
            self._to_asterisk(invite, trunk, 0)

    def _sound(self, image: bytes) -> bytes:
        """Of which the image is the next version (RFC 3264, 8)."""
        assert self._deaf
        found = _ORIGIN.search(image)
        whose, version, where = found.groups() if found else (b"- 1", b"1", b"IN IP4 0.0.0.0")
        origin = b"%b %d %b" % (whose, max(int(version) - 1, 0), where)
        port = self._deaf.get_extra_info("sockname")[1]
        return _SOUND.format(origin=origin.decode("latin-1"), host=HERE, port=port).encode("latin-1")

    def _call_of(self, message: Passed, trunk: str) -> Call | None:
        """What another trunk has begun is not its to end."""
        call = self._calls.get((message.call_id, message.from_tag))
        return call if call and call.trunk == trunk else None

    def _acknowledged(self, ack: Passed, trunk: str) -> None:
        """Of a refusal: it goes from hop to hop (RFC 3261, 17.1.1.3)."""
        call = self._call_of(ack, trunk)
        if call and call.is_ours:
            call.stop("final")
        else:
            self._to_asterisk(ack, trunk, 0)

    def _cancelled(self, cancel: Passed, trunk: str) -> None:
        if (cancel.call_id, cancel.from_tag) in self._asking:
            return
        call = self._call_of(cancel, trunk)
        if call is None or call.answer is None:
            self._to_asterisk(cancel, trunk, 0)
            return
        self._reply(cancel, "200 OK")
        if not call.final:
            self._refuse(call, "487 Request Terminated")

    # ---- What Asterisk asks

    def _asked_by_asterisk(self, message: Passed) -> None:
        message, told = self._without_ours(message)
        call = self._calls.get((message.call_id, message.to_tag))
        if call and (call.is_ours or not call.final):
            self._asked_too_early(call, message)
        elif told:
            routes = message.all("Route")
            target = address_of(uri_of(routes[0]) if routes else message.first.split(" ")[1])
            goes_back = bool(told[1]) and message.method == "INVITE" and not _IMAGE.search(message.body)
            self._to_far_end(message, target, _BACK if goes_back else "0")
        elif message.method != "ACK":
            self._reply(message, "481 Call/Transaction Does Not Exist", to=self.asterisk)

    def _to_far_end(self, message: Passed, target: Address, word: str) -> None:
        """Whose address may be a name. Others do not wait until it is found."""
        try:
            ipaddress.IPv4Address(target[0])
        except ValueError:
            self._when_found(self._to_name(message, target, word))
        else:
            self._pass_on(message, target, word)

    def _when_found(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._looking_up.add(task)
        task.add_done_callback(self._looking_up.discard)

    async def _to_name(self, message: Passed, target: Address, word: str) -> None:
        with suppress(OSError, NoMessage):
            found = await asyncio.get_running_loop().getaddrinfo(*target, family=socket.AF_INET)
            self._pass_on(message, (str(found[0][4][0]), target[1]), word)

    def _asked_too_early(self, call: Call, message: Passed) -> None:
        """While the far end has no answer yet."""
        if message.method == "BYE":
            self._reply(message, "200 OK", to=self.asterisk)
            call.stop("change", "end")
            if not call.final:
                self._refuse(call, "480 Temporarily Unavailable", _of(message, _TOLD), is_ended=True)
        elif message.method != "ACK":
            self._reply(message, "491 Request Pending", to=self.asterisk)

    # ---- What is answered

    def _answered(self, answer: Passed, where: Address) -> None:
        """Of others only what Asterisk has asked is answered, and to it."""
        ours, *others = answer.all("Via")
        word = Via(ours).parameter("faxroom") or ""
        if word not in _WORDS:
            return
        rest = answer.having("Via", *others)
        if where != self.asterisk:
            branch = f"z9hG4bK{self._branch(rest.via, answer)}" if others else None
            if Via(ours).parameter("branch") != branch:  # nothing that we have passed on
                return
            if word == _BACK and (answer.status or 0) >= 300:
                rest = replace(rest, first=f"{VERSION} 481 Call/Transaction Does Not Exist")
            self._send(rest.write(), self.asterisk)
            return
        call = self._calls.get((answer.call_id, answer.from_tag))
        if not others:
            if call:
                self._answered_us(call, answer)
        elif call and answer.method == "INVITE" and answer.sequence == call.invite.sequence and word == "0":
            self._answered_sound(call, rest)
        else:
            ahead = int(word) if word != _BACK else 0
            self._send(rest.numbered(answer.sequence - ahead).write(), Via(others[0]).target)

    def _answered_sound(self, call: Call, answer: Passed) -> None:
        status = answer.status or 0
        if status < 200:
            self._send(answer.of_body(b"").write(), call.invite.via.target)
        elif status >= 300:
            self._send(answer.write(), call.invite.via.target)
            self._forget_after(call, GIVEN_UP)
        else:
            is_first, call.answer = call.answer is None, answer
            self._say(call, "ACK", call.invite.sequence, secrets.token_hex(12))
            if is_first:
                self._change(call)

    def _change(self, call: Call) -> None:
        if call.final or self._calls.get(call.key) is not call:
            return
        call.sequence, call.branch, call.tries = call.sequence + 1, secrets.token_hex(12), call.tries + 1
        say = lambda: self._say(call, "INVITE", call.sequence, call.branch)  # noqa: E731
        call.repeated["change"] = Repeated(say, lambda: self._refuse(call, "504 Server Time-out"))

    def _say(self, call: Call, method: str, sequence: int, branch: str) -> None:
        """In the dialog that Asterisk has with the far end (RFC 3261, 12.2.1.1)."""
        assert call.answer
        invite, contact = call.invite, uri_of(call.answer.get("Contact"))
        headers = [("Via", self._via(self.asterisk, branch)), ("Max-Forwards", "70")]
        headers += [("From", invite.get("From")), ("To", call.answer.get("To")), ("Call-ID", invite.call_id)]
        headers += [("CSeq", f"{sequence} {method}"), (self._header, self._vouching(call.trunk))]
        if method == "INVITE":
            headers += _of(_unreliable(invite), _KEPT)
        request = Passed(f"{method} {contact} {VERSION}", tuple(headers), invite.body if method == "INVITE" else b"")
        self._send(request.write(), self.asterisk)

    def _answered_us(self, call: Call, answer: Passed) -> None:
        status = answer.status or 0
        if answer.method == "BYE" and status >= 200:
            call.stop("end")
        if answer.method != "INVITE" or answer.sequence != call.sequence:
            return
        call.stop("change")
        if status < 200:
            return
        if status >= 300:
            self._say(call, "ACK", call.sequence, call.branch)
        if call.is_ours:
            if status < 300:
                self._say(call, "ACK", call.sequence, secrets.token_hex(12))
        elif status < 300 and _IMAGE.search(answer.body):
            self._let_in(call, answer)
        elif status < 300:
            self._say(call, "ACK", call.sequence, secrets.token_hex(12))
            self._refuse(call, "488 Not Acceptable Here")
        elif status == 491 and call.tries < MOST_TRIES:
            asyncio.get_running_loop().call_later(random.uniform(*PENDING_SECONDS), self._change, call)
        elif not call.final:
            self._refuse(call, answer.first.removeprefix(f"{VERSION} "), _of(answer, _TOLD))

    def _let_in(self, call: Call, answer: Passed) -> None:
        """Asterisk says it again until the far end has acknowledged it; so do we."""
        assert call.answer
        if not call.final:
            routes = self._routes(call.invite, call.invite.via.target, call.trunk, call.sequence - call.invite.sequence)
            told = call.answer.having("Record-Route", *routes, *call.invite.all("Record-Route"))
            call.final = told.of_body(answer.body).write()
            self._forget_after(call, GIVEN_UP)
        self._send(call.final, call.invite.via.target)

    def _refuse(self, call: Call, status: str, told: Iterable[tuple[str, str]] = (), *, is_ended: bool = False) -> None:
        """The far end is told until it says that it has heard it. Asterisk's call ends, unless it has."""
        call.stop("change")
        tag = call.answer.to_tag if call.answer else secrets.token_hex(8)
        call.final, call.is_ours = _reply(call.invite, status, told, tag).write(), True
        say = lambda: self._send(call.final, call.invite.via.target)  # noqa: E731
        call.repeated["final"] = Repeated(say, lambda: None, T2)
        self._forget_after(call, 2 * GIVEN_UP)
        if not is_ended:
            self._end(call)

    def _end(self, call: Call) -> None:
        branch = secrets.token_hex(12)
        say = lambda: self._say(call, "BYE", call.sequence + 1, branch)  # noqa: E731
        call.repeated["end"] = Repeated(say, lambda: None, T2)

    # ---- The rest

    def _reply(self, request: Passed, status: str, *told: tuple[str, str], to: Address | None = None) -> None:
        if request.method != "ACK":
            answer = _reply(request, status, told, self._sign("tag", request.call_id)[:16])
            self._send(answer.write(), to or request.via.target)

    def _forget_after(self, call: Call, seconds: float) -> None:
        if call.forgetting:
            call.forgetting.cancel()
        call.forgetting = asyncio.get_running_loop().call_later(seconds, self._forget, call)

    def _forget(self, call: Call) -> None:
        call.stop()
        if call.forgetting:
            call.forgetting.cancel()
        if self._calls.get(call.key) is call:
            del self._calls[call.key]


def _reply(request: Passed, status: str, told: Iterable[tuple[str, str]], tag: str) -> Passed:
    """RFC 3261, 8.2.6."""
    to = request.get("To") if request.to_tag else f"{request.get('To')};tag={tag}"
    headers = [("Via", via) for via in request.all("Via")]
    headers += [("From", request.get("From")), ("To", to), ("Call-ID", request.call_id), ("CSeq", request.get("CSeq"))]
    return Passed(f"{VERSION} {status}", (*headers, *told))


def _of(message: Passed, names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, value) for name in names if (value := message.get(name))]


def _unreliable(invite: Passed) -> Passed:
    """What we take out of provisional answers nobody may acknowledge (RFC 3262)."""
    for name in ("Supported", "Require"):
        invite = invite.having(name, *(option for option in invite.all(name) if option.lower() != "100rel"))
    return invite
