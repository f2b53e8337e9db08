"""How the next call to a machine differs: each failed transmission changes what may have been at fault.

Pure. The rates are the highest of ITU-T V.17, V.29 and V.27ter: spandsp begins with the highest of a modem that it
may use (0.0.6, t30.c: set_min_rec_data_bits and its table of fallbacks) and knows no limit in between.

A failure by sound (G.711) is most likely a lost packet: a signal of T.30 lasts a second or more, at least 50 packets,
and one missing packet spoils it. In packets of 60 ms, the same second is 17. After a failure without a page, the next
call uses the other size. After a refusal of 60 ms, all further calls use the usual size.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from app.rules.ground.call_ends import DROPPED, FAILED, MEDIA, STALLED

#: bit/s.
RATES = (14400, 9600, 4800)
#: Milliseconds of sound in one packet of RTP: what everybody sends, and what is offered after a failure by sound.
USUAL_PACKET, LARGE_PACKET = 20, 60
T38, AUDIO = "T38", "audio"
#: Ends of a call with a machine by which another way may help. *success* with fewer pages than there were is one.
OF_THE_TRANSMISSION = (FAILED, DROPPED, STALLED, "success")
#: What spandsp says of a machine that takes 98 lines to the inch and no more.
STANDARD_ONLY = "cannot receive at the resolution"


class Shown(StrEnum):
    """What a number has shown of T.38: it works; a call by it came to nothing, and one by audio got through; or it was
    waited for, and nobody offered it."""

    WORKS = "works"
    FAILS = "fails"
    IN_VAIN = "in_vain"


@dataclass(frozen=True)
class Way:
    """How a call goes. ``t38``: it is waited for; ``rate``: the highest, in bit/s; ``standard``: 98 lines to the
    inch; ``packet``: milliseconds of sound in each of ours, offered to the far end as well."""

    t38: bool
    rate: int
    ecm: bool
    standard: bool = False
    packet: int = USUAL_PACKET


@dataclass(frozen=True)
class Memory:
    """What a number has shown before (:class:`app.models.Destination`)."""

    t38: str | None = None
    rate: int | None = None
    ecm: bool | None = None
    standard_only: bool = False


@dataclass(frozen=True)
class Tried:
    """A call of the same fax to the same number that is over; ``way`` is None where it was not kept."""

    way: Way | None
    outcome: str
    mode: str | None = None
    pages: int = 0
    error: str = ""

    @property
    def came_to_nothing_by_t38(self) -> bool:
        return self.outcome in OF_THE_TRANSMISSION and self.mode == T38 and not self.pages


def kept_rate(rate: int) -> int:
    """What a call with this limit begins with."""
    return min((known for known in RATES if known >= rate), default=RATES[0])


def next_way(wish: Way, shown: Memory | None, tried: Iterable[Tried]) -> Way:
    """``wish`` is what the line's template says."""
    way, t38_is_left, large_is_left = _first(wish, shown), wish.t38, True
    for call in tried:
        if call.outcome != MEDIA and call.outcome not in OF_THE_TRANSMISSION:
            continue
        way = call.way or way
        t38_is_left = t38_is_left and not call.came_to_nothing_by_t38 and not (way.t38 and call.mode == AUDIO)
        large_is_left = large_is_left and not (call.outcome == MEDIA and way.packet == LARGE_PACKET)
        way = _after(way, call, wish, t38_is_left=t38_is_left, large_is_left=large_is_left)
    return way


def _first(wish: Way, shown: Memory | None) -> Way:
    known = shown or Memory()
    return Way(
        t38=wish.t38 and known.t38 not in (Shown.FAILS, Shown.IN_VAIN),
        rate=min(wish.rate, known.rate or wish.rate),
        ecm=wish.ecm or bool(known.ecm),
        standard=wish.standard or known.standard_only,
    )


def _after(way: Way, call: Tried, wish: Way, *, t38_is_left: bool, large_is_left: bool) -> Way:
    if call.outcome == MEDIA and way.packet == LARGE_PACKET:
        return replace(way, packet=USUAL_PACKET)
    if call.outcome == MEDIA:
        return replace(way, t38=wish.t38 and not way.t38)
    if is_standard_only(call.error):
        return replace(way, standard=True)
    if call.came_to_nothing_by_t38:
        return replace(way, t38=False, ecm=True)
    if call.mode == AUDIO:
        way = replace(way, packet=_next_packet(way, call) if large_is_left else USUAL_PACKET)
    if call.pages and way.rate < wish.rate:  # it gets on by it, page by page
        return replace(way, t38=call.mode == T38)
    rate = next((slower for slower in RATES if slower < way.rate), None)
    if rate:
        return replace(way, t38=call.mode == T38, rate=rate, ecm=True)
    return replace(way, t38=call.mode != T38 and t38_is_left, rate=wish.rate, ecm=True)


def _next_packet(way: Way, call: Tried) -> int:
    """Large ones by which pages get through are kept; and any by which they did before the far end hung up, as it may
    do so on purpose: HylaFAX with a limit of pages does, and its modem takes none of 60 ms."""
    if call.pages and (way.packet == LARGE_PACKET or call.outcome == DROPPED):
        return way.packet
    return USUAL_PACKET if way.packet == LARGE_PACKET else LARGE_PACKET


def is_standard_only(error: str | None) -> bool:
    return STANDARD_ONLY in (error or "")
