"""A far end that begins its calls with T.38 alone: in front of an Asterisk, which cannot.

An Asterisk calls it with sound. It calls on with the image only (ITU-T T.38, annex D), and once that is taken it
answers the Asterisk and has it change to T.38 too. What the two then send by UDPTL goes through it.
"""

import re
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self

from app.adapters.telephony.passing import VERSION, Passed, uri_of

HOST = "127.0.0.1"
Headers = tuple[tuple[str, str], ...]


def description(media: str, *attributes: str) -> bytes:
    lines = ("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", media, *attributes, "")
    return "\r\n".join(lines).encode()


def image(port: int) -> bytes:
    """As gateways offer it."""
    return description(
        f"m=image {port} udptl t38",
        *("a=T38FaxVersion:0", "a=T38MaxBitRate:14400", "a=T38FaxRateManagement:transferredTCF"),
        *("a=T38FaxMaxBuffer:1000", "a=T38FaxMaxDatagram:400", "a=T38FaxUdpEC:t38UDPRedundancy"),
    )


def port_of(body: bytes, kind: str) -> int:
    found = re.search(rf"^m={kind} ([0-9]+)", body.decode(), re.MULTILINE)
    return int(found[1]) if found else 0


@dataclass
class Leg:
    """One dialog of ours (RFC 3261, 12)."""

    there: tuple[str, int]
    call_id: str
    ours: str  # From of what we ask, with our tag
    theirs: str
    target: str
    routes: list[str] = field(default_factory=list)
    sequence: int = 1
    invite: Passed | None = None  # theirs, which we have to answer

    def request(self, method: str, here: int, body: bytes = b"", *, more: Headers = (), sequence: int = 0) -> bytes:
        headers = (
            ("Via", f"{VERSION}/UDP {HOST}:{here};rport;branch=z9hG4bK{uuid.uuid4().hex}"),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in self.routes),
            *(("From", self.ours), ("To", self.theirs), ("Call-ID", self.call_id)),
            ("CSeq", f"{sequence or self.sequence} {method}"),
            ("Contact", f"<sip:far@{HOST}:{here}>"),
            *((("Content-Type", "application/sdp"),) if body else ()),
            *more,
        )
        return Passed(f"{method} {self.target} {VERSION}", headers, body).write()


def answer_to(request: Passed, status: str, here: int, *, tag: str = "", body: bytes = b"") -> bytes:
    to = request.get("To") if request.to_tag or not tag else f"{request.get('To')};tag={tag}"
    headers = [("Via", via) for via in request.all("Via")] + [
        ("Record-Route", one) for one in request.all("Record-Route")
    ]
    headers += [("From", request.get("From")), ("To", to), ("Call-ID", request.call_id), ("CSeq", request.get("CSeq"))]
    headers += [("Contact", f"<sip:far@{HOST}:{here}>")]
    headers += [("Content-Type", "application/sdp")] if body else []
    return Passed(f"{VERSION} {status}", tuple(headers), body).write()


def _is_of_before(message: Passed, leg: Leg | None) -> bool:
    """What still comes of a call that is over ends no other."""
    is_asked = message.status is None and message.method != "ACK"
    return is_asked and (leg is None or message.call_id != leg.call_id)


class Datagrams:
    """A port of loopback, and a thread that hands on what comes."""

    def __init__(self, take: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.port = self._socket.getsockname()[1]
        self._take, self._over = take, False
        threading.Thread(target=self._run, daemon=True, name="datagrams").start()

    def _run(self) -> None:
        while not self._over:
            with suppress(OSError):
                raw, where = self._socket.recvfrom(65535)
                if len(raw) > 1:  # one byte of T.38 is none either
                    self._take(raw, where)

    def send(self, raw: bytes, where: tuple[str, int]) -> None:
        with suppress(OSError):
            self._socket.sendto(raw, where)

    def close(self) -> None:
        self._over = True
        self.send(b"", (HOST, self.port))
        self._socket.close()


class ImageFirst:
    """One call at a time, until it is to begin anew. ``port`` is what the sending Asterisk takes for its trunk,
    ``there`` where it calls on to, with ``headers`` besides. ``said`` is what was heard from there."""

    def __init__(self, there: tuple[str, int], headers: Headers = ()) -> None:
        self.there, self.headers = there, headers
        self.said: list[Passed] = []
        self.near: Leg | None = None
        self.far: Leg | None = None
        self.invite = b""
        self._near, self._far = Datagrams(self._from_asterisk), Datagrams(self._from_there)
        self._sound = Datagrams(lambda raw, where: None)
        self._near_image, self._far_image = Datagrams(self._outwards), Datagrams(self._inwards)
        self._outside = self._inside = (HOST, 9)
        self.port = self._near.port

    def __enter__(self) -> Self:
        return self

    def begin_anew(self) -> None:
        self.said, self.near, self.far = [], None, None

    def __exit__(self, *_: object) -> None:
        for one in (self._near, self._far, self._sound, self._near_image, self._far_image):
            one.close()

    def _outwards(self, raw: bytes, where: tuple[str, int]) -> None:
        self._far_image.send(raw, self._outside)

    def _inwards(self, raw: bytes, where: tuple[str, int]) -> None:
        self._near_image.send(raw, self._inside)

    # ---- The Asterisk that sends

    def _from_asterisk(self, raw: bytes, where: tuple[str, int]) -> None:
        message = Passed.read(raw)
        if message.status is None and message.method == "INVITE" and not message.to_tag:
            if self.near is None:
                self._begin(message, where)
        elif _is_of_before(message, self.near):
            self._near.send(answer_to(message, "200 OK", self._near.port), where)
        elif message.status is None and message.method == "ACK":
            self._change_asterisk()
        elif message.status is None:
            self._near.send(answer_to(message, "200 OK", self._near.port), where)
            if message.method in ("BYE", "CANCEL") and self.far:
                self.hang_up()
        elif message.method == "INVITE" and message.status == 200 and self.near:
            self._inside = (HOST, port_of(message.body, "image"))
            self._near.send(self.near.request("ACK", self._near.port), self.near.there)

    def _begin(self, invite: Passed, where: tuple[str, int]) -> None:
        tag, number = uuid.uuid4().hex[:8], invite.first.split("sip:")[1].split("@")[0]
        ours = f"{invite.get('To')};tag={tag}"
        self.near = Leg(where, invite.call_id, ours, invite.get("From"), uri_of(invite.get("Contact")), invite=invite)
        self._near.send(answer_to(invite, "100 Trying", self._near.port), where)
        caller = re.sub(r";.*", "", invite.get("From"))
        self.call(number, caller)

    def _change_asterisk(self) -> None:
        if self.near and self.near.sequence == 1:
            self.near.sequence += 1
            offer = image(self._near_image.port)
            self._near.send(self.near.request("INVITE", self._near.port, offer), self.near.there)

    # ---- Where it calls

    def call(self, number: str, caller: str) -> None:
        target = f"sip:{number}@{HOST}:{self.there[1]}"
        self.far = Leg(self.there, uuid.uuid4().hex, f"{caller};tag={uuid.uuid4().hex[:8]}", f"<{target}>", target)
        self.invite = self.far.request("INVITE", self._far.port, image(self._far_image.port), more=self.headers)
        threading.Thread(target=self._repeat, args=(self.invite,), daemon=True).start()

    def _repeat(self, invite: bytes) -> None:
        """Until something is heard (RFC 3261, 17.1.1.2)."""
        for pause in (0.5, 1, 2, 4, 8):
            self._far.send(invite, self.there)
            time.sleep(pause)
            if self.said or invite != self.invite:
                return

    def cancel(self) -> None:
        invite = Passed.read(self.invite)
        cancel = replace(invite, first=invite.first.replace("INVITE", "CANCEL"), body=b"").without("Content-Type")
        self._far.send(cancel.having("CSeq", "1 CANCEL").write(), self.there)

    def offer_again(self) -> None:
        """As whoever refreshes a session does (RFC 4028)."""
        assert self.far
        self.far.sequence += 1
        self._far.send(self.far.request("INVITE", self._far.port, image(self._far_image.port)), self.there)

    def hang_up(self) -> None:
        assert self.far
        self.far.sequence += 1
        self._far.send(self.far.request("BYE", self._far.port), self.there)

    def _from_there(self, raw: bytes, where: tuple[str, int]) -> None:
        message = Passed.read(raw)
        if _is_of_before(message, self.far):
            self._far.send(answer_to(message, "481 Call/Transaction Does Not Exist", self._far.port), where)
            return
        self.said.append(message)
        if message.status is None:
            if message.method == "INVITE" and not port_of(message.body, "image"):
                self._far.send(answer_to(message, "488 Not Acceptable Here", self._far.port), where)
            elif message.method != "ACK":
                again = image(self._far_image.port) if message.method == "INVITE" else b""
                self._far.send(answer_to(message, "200 OK", self._far.port, body=again), where)
            if message.method == "BYE" and self.near:
                self.near.sequence += 1
                self._near.send(self.near.request("BYE", self._near.port), self.near.there)
        elif message.method == "INVITE" and message.status >= 200:
            self._final(message)

    def statuses(self) -> list[int]:
        """All that was said to the INVITE."""
        return [said.status for said in self.said if said.status and said.method == "INVITE"]

    def answered(self, method: str) -> bool:
        return any(said.status == 200 and said.method == method for said in self.said)

    @property
    def tag(self) -> str:
        """The other side's, of the answer."""
        return next(said.to_tag for said in self.said if said.status == 200 and said.method == "INVITE")

    def requests(self) -> list[str]:
        return [said.method for said in self.said if said.status is None]

    def _final(self, answer: Passed) -> None:
        assert self.far and answer.status
        if answer.status >= 300:
            invite = Passed.read(self.invite)
            ack = replace(invite, first=invite.first.replace("INVITE", "ACK"), body=b"").without("Content-Type")
            self._far.send(ack.having("CSeq", "1 ACK").having("To", answer.get("To")).write(), self.there)
            return
        self.far.theirs, self.far.target = answer.get("To"), uri_of(answer.get("Contact"))
        self.far.routes = self.far.routes or answer.all("Record-Route")[::-1]  # of the first answer alone
        self._far.send(self.far.request("ACK", self._far.port, sequence=answer.sequence), self.there)
        self._outside = (HOST, port_of(answer.body, "image"))
        if self.near and self.near.invite and self.near.sequence == 1:
            sound = description(f"m=audio {self._sound.port} RTP/AVP 8", "a=ptime:20")
            tag = self.near.ours.rpartition("tag=")[2]
            answered = answer_to(self.near.invite, "200 OK", self._near.port, tag=tag, body=sound)
            self._near.send(answered, self.near.there)
