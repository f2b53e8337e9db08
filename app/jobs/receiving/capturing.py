"""While an operator wants to see it: what goes over the line in SIP, put together by call.

Asterisk's packets name the channel, where it knows it, and hold the Call-ID; ARI's events name each channel with its
id, after which the attempt is named.
"""

import hashlib
import logging
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.adapters.telephony.ari import Ari
from app.adapters.telephony.hep import Ear, Packet
from app.adapters.telephony.sip import Message, read_message
from app.errors import FaxroomError
from app.services.receiving.line_events import PREFIX
from app.services.trunks.ladders import Ladder, Step, Wanted, keep, note_capturing, wanted
from tenants.db import utc_now

log = logging.getLogger(__name__)

#: In this order; out again the other way round.
MODULES = ("res_hep.so", "res_hep_pjsip.so")
LOOK_SECONDS = 1.0
#: What could not be begun is tried again after this.
AGAIN_SECONDS = 10.0
MOST_CALLS, MOST_CHANNELS, MOST_MESSAGES = 2_000, 5_000, 120
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


@dataclass
class Call:
    """What was said under one Call-ID. ``touched`` is on the clock that nobody sets."""

    first: Message
    touched: float
    heard: list[tuple[Packet, Message]] = field(default_factory=list)
    twice: Counter[bytes] = field(default_factory=Counter)
    is_told: bool = False

    def channels(self) -> set[str]:
        """Names: one, or two where we called ourselves."""
        return {packet.correlation for packet, _ in self.heard} - {self.first.call_id}

    def ladder(self, leg: Leg, channel: str | None) -> Ladder:
        """As they were told: of what is received Asterisk gives the time in milliseconds only."""
        mine = self.channels() if channel is None else {channel}
        mine.add(self.first.call_id)
        own = [heard for heard in self.heard if heard[0].correlation in mine]
        return Ladder(
            name=leg.name,
            began=own[0][0].at,
            goes_out=leg.goes_out,
            caller=self.first.caller,
            called=self.first.called,
            trunk=leg.trunk,
            steps=[
                Step(packet.at, self._by_caller(said) == leg.goes_out, said.first, said.lines) for packet, said in own
            ],
        )

    def stranger(self) -> Leg:
        """Of a call that Asterisk has made no channel for, or told nothing of."""
        name = hashlib.sha256(self.first.call_id.encode()).hexdigest()[:24]
        return Leg(f"sip-{name}", "User-Agent: Faxroom" in self.first.lines)

    def _by_caller(self, said: Message) -> bool:
        """Its tag stands in the From of what it asks, and of the answers to that (RFC 3261, 8.2.6.2)."""
        return (said.from_tag == self.first.from_tag) == said.is_request


class Calls:
    """Packets and events in, ladders out. Pure."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._legs: dict[str, Leg] = {}  # name of a channel, or the Call-ID of one that is over → its leg
        self.answers: dict[str, str] = {}  # account that registers → what was said to that last

    def name(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            for role in ("channel", "peer"):
                channel = event.get(role)
                if isinstance(channel, dict) and "name" in channel and "id" in channel:
                    self._note(channel["name"], channel, goes_out=role == "peer")
                    if call := _call_of(event):
                        self._note(call, channel, goes_out=True)
        _forget_oldest(self._legs, MOST_CHANNELS)

    def _note(self, key: str, channel: dict[str, Any], *, goes_out: bool) -> None:
        known, name, trunk = self._legs.get(key), channel["id"], _TRUNK.fullmatch(channel["name"])
        goes_out = goes_out or name.startswith(PREFIX) or bool(known and known.goes_out)
        self._legs[key] = Leg(name, goes_out, trunk["trunk"] if trunk else "")

    def take(self, packet: Packet, now: float) -> None:
        said = read_message(packet.payload)
        if said is None or not said.call_id:
            return
        if said.method == "REGISTER" and not said.is_request:
            self.answers[said.from_uri] = said.first.removeprefix("SIP/2.0 ")
        call = self._calls.get(said.call_id)
        if call is None:
            if said.method != "INVITE" or not said.is_request:
                return
            call = self._calls[said.call_id] = Call(said, now)
            _forget_oldest(self._calls, MOST_CALLS)
        call.touched, call.is_told = now, False
        if packet.source == packet.target and packet.correlation == said.call_id:  # our own call: heard at both ends
            call.twice[packet.payload] += 1
            if call.twice[packet.payload] % 2 == 0:
                return
        if len(call.heard) < MOST_MESSAGES:
            call.heard.append((packet, said))

    def ladders(self, now: float) -> list[Ladder]:
        """Of calls of which something was heard since."""
        found = list[Ladder]()
        for call in self._calls.values():
            if not call.is_told and (told := self._told(call, now)):
                found += told
                call.is_told = True
        self._calls = {key: call for key, call in self._calls.items() if now - call.touched < SILENT_SECONDS}
        return found

    def _told(self, call: Call, now: float) -> list[Ladder]:
        """One for each end that is ours. A call that is refused at once has no name of a channel in it."""
        channels = call.channels()
        known = [call.ladder(self._legs[name], name) for name in sorted(channels) if name in self._legs]
        if known and len(known) == len(channels):
            return known
        if not channels and (leg := self._legs.get(call.first.call_id)):
            return [call.ladder(leg, None)]
        if now - call.touched < NO_CHANNEL_SECONDS:
            return []
        return known or [call.ladder(call.stranger(), None)]


def _call_of(event: dict[str, Any]) -> str:
    """The Call-ID that the dialplan tells when a call of ours is over."""
    told = event.get("userevent", {})
    return str(told.get("Call", "")) if told.get("eventname") == "FaxCall" else ""


def _forget_oldest(kept: dict[str, Any], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]


class Capture:
    """Of one Asterisk. Its modules are loaded when we listen already, and not longer than somebody wants it."""

    def __init__(self, line: Ari) -> None:
        self.line = line
        self.ear: Ear | None = None
        self.calls = Calls()
        self._looked = self._tried = float("-inf")

    def hear(self, events: list[dict[str, Any]]) -> None:
        if self.ear:
            self.calls.name(events)

    def answer_to(self, account: str) -> str:
        """What was said last to the registration of this account, such as ``sip:joe@example.org``."""
        return self.calls.answers.get(account, "")

    def step(self, *, for_registration: bool = False) -> None:
        """``for_registration``: one is not accepted, and what is said to it is of interest."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked, asked = now, wanted(utc_now())
        is_asked = bool(asked) or for_registration
        if is_asked and self.ear is None and now - self._tried >= AGAIN_SECONDS:
            self._tried = now
            self._begin()
        elif not is_asked and self.ear:
            self.end()
        if self.ear:
            note_capturing()
            self._write_down(self.ear, asked, now)

    def begin_anew(self) -> None:
        """Asterisk may have been started anew, without the modules; or with those of a line process that was killed."""
        if self.ear:
            self.end()
        self._tried = float("-inf")
        self.line.unload_modules(MODULES[::-1])

    def _begin(self) -> None:
        try:
            self.ear = self.line.ear()
            self.line.load_modules(MODULES)
        except (OSError, FaxroomError) as failure:
            log.warning("no SIP is captured: %s", failure)
            note_capturing(str(failure)[:200])
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
        self.ear, self.calls = None, Calls()
