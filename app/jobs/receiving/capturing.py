"""The SIP of calls: how each was refused, and all of it, call by call, while an operator wants to see it.

Asterisk's packets contain the Call-ID and, if Asterisk knows it, the channel's name. ARI's events name each channel
with its id, which leads to the attempt.
"""

import hashlib
import logging
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from app.adapters.telephony.ari import Ari
from app.adapters.telephony.hep import Ear, Packet
from app.adapters.telephony.sip import Message, Refusal, is_cut, read_message
from app.errors import FaxroomError
from app.services.receiving.line_events import PREFIX
from app.services.trunks.ladders import Ladder, Sound, Step, Wanted, keep, note_capturing, wanted
from app.whole_numbers import read_whole
from tenants.db import utc_now

log = logging.getLogger(__name__)

#: In this order; out again the other way round.
MODULES = ("res_hep.so", "res_hep_pjsip.so")
LOOK_SECONDS = 1.0
#: What could not be begun is tried again after this.
AGAIN_SECONDS = 10.0
MOST_CALLS, MOST_CHANNELS, MOST_MESSAGES = 2_000, 5_000, 120
#: Of messages that are held: of one call, and of all. The oldest calls go first.
MOST_BYTES_OF_CALL, MOST_BYTES = 256 * 1024, 32 * 1024 * 1024
#: Calls of whom we have asked nothing, and messages of theirs in one round; addresses and accounts that we ask.
MOST_STRANGE, MOST_ASKED = 50, 500
#: A call to which nothing was said for so long is over, even where nobody said so.
SILENT_SECONDS = 2 * 3600.0
#: A call that has no channel by then never gets one: it was refused before.
NO_CHANNEL_SECONDS = 5.0
_TRUNK = re.compile(r"PJSIP/\(?(?P<trunk>.+?)(?:-t38|-audio|-voice\+|-health)?-[0-9a-f]{8}")


@dataclass(frozen=True)
class Leg:
    """One end of a call that is ours: the id of its channel, and the trunk that it is on."""

    name: str
    goes_out: bool
    trunk: str = ""


@dataclass(frozen=True)
class Said:
    """One message of a call: ``channel`` names the one it is of, empty where Asterisk knew of none; ``sent`` by us,
    None where both ends are ours."""

    at: float
    channel: str
    sent: bool | None
    message: Message

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(sys.getsizeof, (self.message.first, *self.message.lines)))


@dataclass
class Call:
    """What was said under one Call-ID with ``other``, an address. ``touched`` is on the clock that nobody sets."""

    first: Said
    other: str
    touched: float
    heard: list[Said] = field(default_factory=list)
    twice: Counter[bytes] = field(default_factory=Counter)
    size: int = 0
    is_told: bool = False
    sound: Sound | None = None
    is_t38_told: bool = False

    def add(self, said: Said) -> int:
        """Bytes that it takes more, 0 where the call is full."""
        if len(self.heard) >= MOST_MESSAGES or self.size >= MOST_BYTES_OF_CALL:
            return 0
        self.heard.append(said)
        self.size += said.size
        return said.size

    def is_heard_twice(self, payload: bytes) -> bool:
        """What we say to ourselves is told at both ends."""
        digest = hashlib.blake2b(payload, digest_size=16).digest()
        if digest not in self.twice and len(self.twice) >= MOST_MESSAGES:
            return True
        self.twice[digest] += 1
        return self.twice[digest] % 2 == 0

    def channels(self) -> set[str]:
        """Names: one, or two where we called ourselves."""
        return {said.channel for said in self.heard} - {""}

    def ladder(self, leg: Leg, channel: str | None) -> Ladder:
        """As they were told: of what is received Asterisk gives the time in milliseconds only."""
        mine = {"", *(self.channels() if channel is None else (channel,))}
        own = [said for said in self.heard if said.channel in mine]
        return Ladder(
            name=leg.name,
            began=own[0].at,
            goes_out=leg.goes_out,
            caller=self.first.message.caller,
            called=self.first.message.called,
            trunk=leg.trunk,
            steps=[Step(said.at, self._is_sent(said, leg), said.message.first, said.message.lines) for said in own],
            sound=self.sound if leg.goes_out else None,
        )

    def nameless(self) -> Leg:
        """Of a call that Asterisk has made no channel for, or told nothing of."""
        name = hashlib.sha256(self.first.message.call_id.encode()).hexdigest()[:24]
        return Leg(f"sip-{name}", self.first.sent is not False)

    def _is_sent(self, said: Said, leg: Leg) -> bool:
        """By the addresses. Where both are ours by the caller's tag: it stands in the From of what it asks, and of the
        answers to that (RFC 3261, 8.2.6.2)."""
        if said.sent is not None:
            return said.sent
        by_caller = (said.message.from_tag == self.first.message.from_tag) == said.message.is_request
        return by_caller == leg.goes_out


class Calls:
    """Packets and events in, ladders out. Pure. ``is_ours`` knows this machine's addresses.

    Anybody can send us SIP. Only what we said ourselves, what comes from where we ask something, and what Asterisk has
    made a channel for is evidence; of others' calls ``MOST_STRANGE`` wait for a channel, and so many of their messages
    are read in one round. ``passed_over`` counts the rest. ``t38_alone`` are the INVITEs that Asterisk has refused
    because they offer T.38 and no sound: nobody else hears of them (docs/carriers.md).
    """

    def __init__(self, is_ours: Callable[[str], bool]) -> None:
        self._is_ours = is_ours
        self._calls: dict[str, Call] = {}
        self._strange: dict[str, Call] = {}  # began by somebody whom we have asked nothing, without a channel
        self._legs: dict[str, Leg] = {}  # name of a channel → its leg
        self._over: dict[str, Leg] = {}  # Call-ID of one that is over → its leg
        self._asked: dict[str, None] = {}  # addresses that requests of ours went to
        self._registering: dict[str, tuple[str, str]] = {}  # Call-ID → the account that registers, and where
        self.answers: dict[str, str] = {}  # account that registers → what was said to that last
        self._left = MOST_STRANGE
        self._size = 0
        self.passed_over = 0
        self.t38_alone: list[Message] = []

    def name(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            for role in ("channel", "peer"):
                channel = event.get(role)
                if isinstance(channel, dict) and "name" in channel and "id" in channel:
                    self._note(self._legs, channel["name"], channel, goes_out=role == "peer")
                    if call := _call_of(event):
                        self._note(self._over, call, channel, goes_out=True)
                        self._note_sound(call, _sound_of(event))
        _forget_oldest(self._legs, MOST_CHANNELS)
        _forget_oldest(self._over, MOST_CHANNELS)

    def _note(self, legs: dict[str, Leg], key: str, channel: dict[str, Any], *, goes_out: bool) -> None:
        known, name, trunk = legs.get(key), channel["id"], _TRUNK.fullmatch(channel["name"])
        goes_out = goes_out or name.startswith(PREFIX) or bool(known and known.goes_out)
        legs[key] = Leg(name, goes_out, trunk["trunk"] if trunk else "")

    def _note_sound(self, call_id: str, sound: Sound | None) -> None:
        if sound and (call := self._calls.get(call_id)):
            call.sound, call.is_told = sound, False

    def take(self, packet: Packet, now: float) -> None:
        from_us, to_us = self._is_ours(packet.source[0]), self._is_ours(packet.target[0])
        other = "" if from_us and to_us else packet.target[0] if from_us else packet.source[0]
        asks = from_us and not packet.payload.startswith(b"SIP/2.0 ")
        is_known = asks or other in self._asked or (from_us and to_us)
        if not (from_us or to_us) or not (is_known or _has_channel(packet) or self._may_be_read()):
            self.passed_over += 1
            return
        said = read_message(packet.payload)
        if said is None or not said.call_id or said.is_own:
            return
        if asks:
            self._asked[other] = None
            _forget_oldest(self._asked, MOST_ASKED)
        if said.method == "REGISTER":
            self._registers(said, other, asks=asks, to_us=to_us)
            return
        channel = packet.correlation if _has_channel(packet) else ""
        sent = None if from_us and to_us else from_us
        call = self._call(one := Said(packet.at, channel, sent, said), other, now, is_known=is_known)
        if call is None or (other != call.other and not channel):
            return
        call.touched, call.is_told = now, False
        if packet.source == packet.target and not channel and call.is_heard_twice(packet.payload):
            return
        self._note_refusal(call, said, from_us=from_us)
        grown = call.add(one)
        self._size += grown if said.call_id in self._calls else 0
        self._forget_what_is_too_much()

    def _note_refusal(self, call: Call, said: Message, *, from_us: bool) -> None:
        """Once for each call, however often it is refused until that is heard."""
        begin = call.first.message
        is_refusal = from_us and said.method == "INVITE" and said.first.startswith("SIP/2.0 488")
        if is_refusal and call.first.sent is not True and begin.offers_t38_alone and not call.is_t38_told:
            call.is_t38_told = True
            self.t38_alone.append(begin)

    def _may_be_read(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def _registers(self, said: Message, other: str, *, asks: bool, to_us: bool) -> None:
        """Only what is said from where we asked, to what we asked, is an answer."""
        if asks and said.is_request:
            self._registering[said.call_id] = (said.from_uri, other)
            _forget_oldest(self._registering, MOST_ASKED)
        elif to_us and not said.is_request and self._registering.get(said.call_id) == (said.from_uri, other):
            self.answers[said.from_uri] = said.first.removeprefix("SIP/2.0 ")
            _forget_oldest(self.answers, MOST_ASKED)

    def _forget_what_is_too_much(self) -> None:
        while self._calls and (len(self._calls) > MOST_CALLS or self._size > MOST_BYTES):
            self._size -= self._calls.pop(next(iter(self._calls))).size

    def _call(self, said: Said, other: str, now: float, *, is_known: bool) -> Call | None:
        """A stranger's becomes one of ours when Asterisk makes a channel for it."""
        call_id = said.message.call_id
        if call := self._calls.get(call_id):
            return call
        strange = self._strange.get(call_id)
        begins = said.message.method == "INVITE" and said.message.is_request
        if strange and said.channel:
            call = self._strange.pop(call_id)
            self._size += call.size
        elif begins and (is_known or said.channel):
            call = Call(said, other, now)
        elif strange or not begins:
            return strange
        if call is None:
            self._strange[call_id] = Call(said, other, now, [said], size=said.size, is_told=True)
            _forget_oldest(self._strange, MOST_STRANGE)
            return None
        self._calls[call_id] = call
        return call

    def ladders(self, now: float) -> list[Ladder]:
        """Of calls of which something was heard since. A new round begins."""
        self._left = MOST_STRANGE
        found = list[Ladder]()
        for call in self._calls.values():
            if not call.is_told and (told := self._told(call, now)):
                found += told
                call.is_told = True
        self._calls = {key: call for key, call in self._calls.items() if now - call.touched < SILENT_SECONDS}
        self._strange = {key: call for key, call in self._strange.items() if now - call.touched < NO_CHANNEL_SECONDS}
        self._size = sum(call.size for call in self._calls.values())
        return found

    def _told(self, call: Call, now: float) -> list[Ladder]:
        """One for each end that is ours. A call that is refused at once has no name of a channel in it."""
        channels = call.channels()
        known = [call.ladder(self._legs[name], name) for name in sorted(channels) if name in self._legs]
        if known and len(known) == len(channels):
            return known
        if not channels and (leg := self._over.get(call.first.message.call_id)):
            return [call.ladder(leg, None)]
        if now - call.touched < NO_CHANNEL_SECONDS:
            return []
        return known or [call.ladder(call.nameless(), None)]


def _has_channel(packet: Packet) -> bool:
    """Whether Asterisk names one, and not a Call-ID that somebody made look like that: one of several, or behind
    what is looked at."""
    name = packet.correlation
    is_name = name.isascii() and bool(_TRUNK.fullmatch(name))
    return is_name and name.encode() not in packet.payload and not is_cut(packet.payload)


def _call_of(event: dict[str, Any]) -> str:
    """The Call-ID that the dialplan tells when a call of ours is over."""
    told = event.get("userevent", {})
    return str(told.get("Call", "")) if told.get("eventname") == "FaxCall" else ""


def _sound_of(event: dict[str, Any]) -> Sound | None:
    """What the dialplan tells with it: ``received|sent|lost|codec``; nothing of a call that nobody answered."""
    *counted, codec = event["userevent"].get("Sound", "").split("|")
    match [read_whole(text) for text in counted]:
        case [int(received), int(sent), int(lost)]:
            return Sound(received, sent, lost, codec)
    return None


def _forget_oldest(kept: dict[str, Any], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]


@lru_cache(maxsize=1_000)
def is_ours(address: str) -> bool:
    """Whether this machine has it: nothing but its own address can be taken. No packet from elsewhere is let in with
    such an address as its sender's (a martian, RFC 1812, 5.3.7)."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((address, 0))
    except (OSError, ValueError):
        return False
    return bool(address)


class Capture:
    """Of one Asterisk. Its modules are loaded when we listen already. The ``Reason`` and the ``Retry-After`` of a
    refusal stand nowhere else, so that we always listen to one on this machine; whatever else comes is looked at only
    while somebody wants it."""

    def __init__(self, line: Ari) -> None:
        self.line = line
        self.ear: Ear | None = None
        self.is_collecting = False
        self.calls = Calls(is_ours)
        self._looked = self._tried = float("-inf")
        self._fault = ""

    def hear(self, events: list[dict[str, Any]]) -> None:
        if self.is_collecting:
            self.calls.name(events)

    def refusal(self, call_id: str, code: int) -> Refusal | None:
        """What the final response with this code said beside it to a call of ours, if that was heard."""
        return self.ear.refusal(call_id, code) if self.ear and call_id else None

    def answer_to(self, account: str) -> str:
        """What was said last to the registration of this account, such as ``sip:joe@example.org``."""
        return self.calls.answers.get(account, "")

    def t38_alone(self) -> list[Message]:
        """INVITEs that were refused since we were asked last, because they offer T.38 and no sound."""
        found, self.calls.t38_alone = self.calls.t38_alone, []
        return found

    def step(self, *, for_registration: bool = False) -> None:
        """``for_registration``: one is not accepted, and what is said to it is of interest."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked, asked = now, wanted(utc_now())
        is_asked = bool(asked) or for_registration
        if (is_asked or self.line.is_here) and self.ear is None and now - self._tried >= AGAIN_SECONDS:
            self._tried = now
            self._begin()
        elif not (is_asked or self.line.is_here) and self.ear:
            self.end()
        if self.ear and is_asked:
            self.is_collecting = self.ear.keeps = True
            note_capturing()
            self._write_down(self.ear, asked, now)
        elif self.is_collecting:
            self._end_collecting()

    def begin_anew(self) -> None:
        """Asterisk may have been started anew, without the modules; or with those of a line process that was killed."""
        if self.ear:
            self.end()
        self._tried = float("-inf")
        self.line.unload_modules(MODULES[::-1])

    def _begin(self) -> None:
        try:
            self.ear = self.line.ear()
            self.ear.keeps = False
            self.line.load_modules(MODULES)
            self._fault = ""
        except (OSError, FaxroomError) as failure:
            if self._fault != str(failure):  # which it may stay for as long as Asterisk runs
                log.warning("no SIP is captured: %s", failure)
            self._fault = str(failure)
            note_capturing(self._fault[:200])
            if self.ear:
                self.ear.close()
            self.ear = None

    def _write_down(self, ear: Ear, asked: Wanted, now: float) -> None:
        for packet in ear.take():
            self.calls.take(packet, now)
        for ladder in self.calls.ladders(now):
            if asked.keeps(ladder.name):
                keep(ladder)

    def end(self) -> None:
        """Asterisk stops telling before we stop listening."""
        try:
            self.line.unload_modules(MODULES[::-1])
        except FaxroomError as failure:
            log.warning("Asterisk goes on telling of its SIP: %s", failure)
        if self.ear:
            self.ear.close()
        self._end_collecting()
        self.ear = None

    def _end_collecting(self) -> None:
        lost = 0
        if self.ear:
            self.ear.keeps, lost, self.ear.lost = False, self.ear.lost, 0
            self.ear.take()
        if passed_over := self.calls.passed_over + lost:
            log.warning("%s SIP messages were passed over while it was captured", passed_over)
        is_ours.cache_clear()
        self.is_collecting, self.calls = False, Calls(is_ours)
