"""A SIP end that does as it likes, on a UDP port of loopback: redirects, answers and says nothing, calls in floods.

No SIP stack (RFC 3261): one answer to each INVITE, nothing is said twice. Speaks G.711 A-law or nothing.
"""

import itertools
import re
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

HOST = "127.0.0.1"
PACKET_SECONDS = 0.02
#: So many packets of silence end a sound, and so many seconds without any.
PAUSE_PACKETS, PAUSE_SECONDS = 8, 2.0
#: 20 ms of silence in A-law (ITU-T G.711), behind twelve bytes of RTP (RFC 3550).
SILENCE = b"\xd5" * 160
#: As long, of somebody who makes himself heard: a tone of 200 Hz, which no fax machine has.
VOICE = (bytes([0xE0 ^ 0x55]) * 20 + bytes([0x60 ^ 0x55]) * 20) * 4
Message = tuple[str, list[tuple[str, str]], str]
#: What is said to an INVITE, one after the other: a response with its headers, line by line, or seconds to wait.
Script = tuple[str | float, ...]


@dataclass
class Call:
    """``number`` is whom it was for; ``status`` the final answer that was heard to a call of ours; ``headers`` those of
    the INVITE that came, by their names in small letters, and its request URI as ``uri``."""

    number: str
    began: float = field(default_factory=time.monotonic)
    answered: float | None = None
    ended: float | None = None
    status: int | None = None
    refused_after: float | None = None
    rang: float | None = None
    heard: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """From the answer to the end."""
        return self.ended - self.answered if self.answered and self.ended else None


@dataclass
class Sound:
    """What was heard without a pause: when it began, and the numbers of its first and its last packet (RFC 3550, 5.1).
    Packets are counted and not timed: on a busy machine some come late and then at once. A tone's silence has its own.
    """

    began: float
    source: tuple[str, int]
    first: int
    last: int

    @property
    def seconds(self) -> float:
        return ((self.last - self.first) % 2**16 + 1) * PACKET_SECONDS


class Stranger:
    """``answers``: called number → status and contact of a redirect, or None to answer the call; another number there
    is not. ``scripts``: called number → all that is said to it. ``packets`` is how many packets of silence go out in
    each second of an answered call; 0: not one. ``says`` is what is in each of them. ``sounds`` is what was heard.
    """

    def __init__(self, host: str = HOST, *, packets: float = 0, says: bytes = SILENCE) -> None:
        self.host, self.packets, self.says = host, packets, says
        self.sounds: list[Sound] = []
        self.answers: dict[str, tuple[str, str] | None] = {}
        self.scripts: dict[str, Script] = {}
        self.calls: dict[str, Call] = {}
        self._tags: dict[str, str] = {}
        self._others: dict[str, tuple[tuple[str, int], str]] = {}  # of a call: whom we speak with
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.port = self._socket.getsockname()[1]
        self._media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._media.bind((host, 0))
        self._heard_at = 0.0
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, daemon=True, name="stranger").start()
        threading.Thread(target=self._listen, daemon=True, name="stranger's ear").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._socket.close()
        self._media.close()

    def of(self, number: str) -> list[Call]:
        return [call for call in self.calls.values() if call.number == number]

    # ---- What comes

    def _run(self) -> None:
        while not self._over.is_set():
            with suppress(OSError):
                raw, where = self._socket.recvfrom(65535)
                if len(raw) > len("\r\n\r\n") + 1:
                    self._take(_read(raw), where)

    def _take(self, message: Message, where: tuple[str, int]) -> None:
        first, headers, _ = message
        call_id = _header(headers, "call-id", "i")
        if first.startswith("SIP/2.0"):
            self._hear(int(first.split()[1]), call_id, message, where)
        elif first.startswith("INVITE"):
            self._invited(call_id, message, where)
        elif first.startswith("CANCEL"):
            self._reply(message, where, "200 OK")
            self._give_up(call_id, message, where)
        elif not first.startswith("ACK"):
            self._reply(message, where, "200 OK")
            if first.startswith("BYE") and call_id in self.calls:
                self.calls[call_id].ended = time.monotonic()

    def _invited(self, call_id: str, message: Message, where: tuple[str, int]) -> None:
        first = message[0]
        number = re.match(r"INVITE sips?:([^@;>]*)", first)[1]
        if call_id in self.calls:  # said again, or a change of a call that runs: which is not for us
            if self.calls[call_id].answered and _header(message[1], "to", "t").find("tag=") > 0:
                self._reply(message, where, "488 Not Acceptable Here")
            return
        self.calls[call_id] = Call(number, headers=dict(message[1]) | {"uri": first.split()[1]})
        if number in self.scripts:
            threading.Thread(target=self._play, args=(call_id, message, where), daemon=True).start()
        elif number not in self.answers:
            self._reply(message, where, "404 Not Found")
        elif redirect := self.answers[number]:
            status, contact = redirect
            self._reply(message, where, status, f"Contact: <{contact}>")
        else:
            self._answer(call_id, message, where)

    def _answer(self, call_id: str, message: Message, where: tuple[str, int]) -> None:
        self._reply(message, where, "200 OK", body=self._description(), tag=call_id[:8])
        self._others[call_id] = (where, _header(message[1], "from", "f"))
        self.calls[call_id].answered = time.monotonic()
        self._speak(call_id, message[2])

    def _play(self, call_id: str, message: Message, where: tuple[str, int]) -> None:
        call = self.calls[call_id]
        for said in self.scripts[call.number]:
            if call.ended or self._over.is_set():
                return
            if isinstance(said, float):
                time.sleep(said)
                continue
            if said == "200 OK":
                self._answer(call_id, message, where)
                continue
            status, *headers = said.split("\n")
            if status >= "2":
                call.ended = time.monotonic()
            with suppress(OSError):
                self._reply(message, where, status, *headers, tag=call_id[:8])

    def _give_up(self, call_id: str, message: Message, where: tuple[str, int]) -> None:
        """What an INVITE gets that is taken back (RFC 3261, 9.2)."""
        call = self.calls.get(call_id)
        if call and not call.ended:
            call.ended, (first, headers, body) = time.monotonic(), message
            invited = [
                (name, value.replace("CANCEL", "INVITE") if name == "cseq" else value) for name, value in headers
            ]
            self._reply((first, invited, body), where, "487 Request Terminated", tag=call_id[:8])

    def _hear(self, status: int, call_id: str, message: Message, where: tuple[str, int]) -> None:
        call = self.calls[call_id]
        call.heard = True
        if status == 180:
            call.rang = call.rang or time.monotonic()
        if status < 200 or "INVITE" not in _header(message[1], "cseq", "cseq"):
            return
        self._send("ACK", call_id, where, to=_header(message[1], "to", "t"), number=call.number)
        if call.status is None:
            call.status, now = status, time.monotonic()
            if status < 300:
                call.answered = now
                self._others[call_id] = (where, _header(message[1], "to", "t"))
                self._speak(call_id, message[2])
            else:
                call.ended, call.refused_after = now, now - call.began

    # ---- What goes

    def call(self, number: str, port: int, *, caller: str = "+390511234567", to: str = "") -> Call:
        """Call an Asterisk at this port of loopback, as its trunk does. ``to``: another number in the header To."""
        call_id = secrets.token_hex(12)
        self._tags[call_id] = caller
        self.calls[call_id] = call = Call(number)
        where, to = (HOST, port), f"<sip:{to or number}@{HOST}>"
        sent = self._send("INVITE", call_id, where, number=number, to=to, body=self._description())
        threading.Thread(target=self._say_again, args=(call, sent, where), daemon=True).start()
        return call

    def _say_again(self, call: Call, sent: bytes, where: tuple[str, int]) -> None:
        """An INVITE of which nothing is heard, for packets get lost (RFC 3261, 17.1.1.2)."""
        for pause in (0.5, 1, 2, 4):
            if self._over.wait(pause) or call.heard:
                return
            with suppress(OSError):
                self._socket.sendto(sent, where)

    def hang_up(self, call: Call) -> None:
        """One that was answered, by them or by us."""
        call_id = next(call_id for call_id, one in self.calls.items() if one is call)
        where, to = self._others[call_id]
        self._send("BYE", call_id, where, number=call.number, to=to)
        call.ended = time.monotonic()

    def _send(
        self, method: str, call_id: str, where: tuple[str, int], *, number: str, to: str, body: str = ""
    ) -> bytes:
        lines = [
            f"{method} sip:{number}@{HOST}:{where[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{secrets.token_hex(8)}",
            "Max-Forwards: 70",
            f"From: <sip:{self._tags.get(call_id, 'far')}@{self.host}>;tag={call_id[:8]}",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {2 if method == 'BYE' else 1} {method}",
            f"Contact: <sip:far@{self.host}:{self.port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        sent = "\r\n".join([*lines, "", body]).encode()
        self._socket.sendto(sent, where)
        return sent

    def _reply(
        self, message: Message, where: tuple[str, int], status: str, *more: str, body: str = "", tag: str = ""
    ) -> None:
        _, headers, _ = message
        to = _header(headers, "to", "t")
        lines = [
            f"SIP/2.0 {status}",
            *(f"Via: {value}" for name, value in headers if name in ("via", "v")),
            f"From: {_header(headers, 'from', 'f')}",
            f"To: {to}" if "tag=" in to else f"To: {to};tag={tag or secrets.token_hex(6)}",
            f"Call-ID: {_header(headers, 'call-id', 'i')}",
            f"CSeq: {_header(headers, 'cseq', 'cseq')}",
            *(more or [f"Contact: <sip:far@{self.host}:{self.port}>"]),
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._socket.sendto("\r\n".join([*lines, "", body]).encode(), where)

    def _description(self) -> str:
        """RFC 4566."""
        port = self._media.getsockname()[1]
        lines = [
            "v=0",
            f"o=- 1 1 IN IP4 {self.host}",
            "s=-",
            f"c=IN IP4 {self.host}",
            "t=0 0",
            f"m=audio {port} RTP/AVP 8",
        ]
        return "\r\n".join([*lines, "a=rtpmap:8 PCMA/8000", "a=sendrecv", ""])

    def _speak(self, call_id: str, description: str) -> None:
        if self.packets and (found := re.search(r"m=audio ([0-9]+)", description)):
            arguments = (self.calls[call_id], (HOST, int(found[1])))
            threading.Thread(target=self._hiss, args=arguments, daemon=True).start()

    def _hiss(self, call: Call, where: tuple[str, int]) -> None:
        source = secrets.token_bytes(4)
        for number in itertools.count():
            if call.ended or self._over.wait(1 / self.packets):
                return
            head = bytes([0x80, 8]) + (number % 2**16).to_bytes(2) + (number * 160 % 2**32).to_bytes(4) + source
            with suppress(OSError):
                self._media.sendto(head + self.says, where)

    def _listen(self) -> None:
        """A-law's magnitude is in seven bits, each second one the other way round (ITU-T G.711)."""
        while not self._over.is_set():
            with suppress(OSError):
                raw, source = self._media.recvfrom(2048)
                if max(((sign ^ 0x55) & 0x7F for sign in raw[12:]), default=0) >= 0x20:
                    self._note_sound(source, int.from_bytes(raw[2:4]), time.monotonic())

    def _note_sound(self, source: tuple[str, int], number: int, now: float) -> None:
        last = next((sound for sound in reversed(self.sounds) if sound.source == source), None)
        goes_on = last and (number - last.last) % 2**16 < PAUSE_PACKETS and now - self._heard_at < PAUSE_SECONDS
        self._heard_at = now
        if last and goes_on:
            last.last = number
        else:
            self.sounds.append(Sound(now, source, number, number))


def _read(raw: bytes) -> Message:
    head, _, body = raw.decode("latin-1").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, [(name.strip().lower(), value.strip()) for name, _, value in pairs], body


def _header(headers: Sequence[tuple[str, str]], *names: str) -> str:
    return next((value for name, value in headers if name in names), "")
