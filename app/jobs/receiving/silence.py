"""Calls that were answered and bring nothing are ended, both ways: they would hold a place that a fax could have.

Asterisk itself ends a call without any RTP after 30 s (``rtp_timeout``), with a portal or without. But spandsp's clocks
run on what is heard, not on time: whoever gives a packet now and then would hold a call for hours. So the process
beside Asterisk looks at how far each fax is. In T.38 those clocks run on time, but of a page that comes in with error
correction and stops spandsp waits for the rest for ever (0.0.6, t30.c: the carrier is "not found", and no timer runs).
Lines of a page are told by nobody: spandsp keeps a page in memory until its end. But after 15 s without a packet it
says itself that the carrier is lost. Asterisk's console alone tells that, so only a page that has lasted for a while is
asked about.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from app.adapters.telephony.ari import Ari, FaxProgress
from app.rules.ground.call_ends import GAVE_UP

log = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
#: Without a signal of a fax machine for so long a call is ended: with the looks between, within 45 s of the answer.
SILENT_SECONDS = 38.0
SAMPLE_SECONDS = 15.0
#: A second. Of a page that comes in something is heard all the time: 50 packets a second are usual (RFC 3551). While a
#: page goes out the far end is silent, and some networks then carry no packets.
FEWEST_PACKETS = 5.0
STALLED_SECONDS = 60.0
#: A page of T.38 that lasts longer is asked about; most do not.
ASK_AFTER_SECONDS = 20.0
#: A carrier that was lost may come back for so long. It has been away for 15 to 30 s when that is heard.
LOST_SECONDS = 30.0
SLOWEST_RATE = 2400  # bit/s, ITU-T T.30
#: A page of noise at 204 × 196 has three quarters of that.
MOST_PAGE_BYTES = 1_000_000
SENDS = {"SendFAX": True, "ReceiveFAX": False}


@dataclass
class Watched:
    """A call with a fax machine of ours at this end. Times are of a monotonic clock.

    ``moved_at`` is when something came last: a page (``page_at``), or packets enough to be one.
    """

    name: str
    sends: bool
    since: float
    began: bool = False
    moved_at: float = 0.0
    page_at: float = 0.0
    sampled_at: float = 0.0
    pages: int = 0
    packets: int = 0
    session: int = -1
    lost_at: float | None = None

    def hears_nothing(self, now: float) -> bool:
        return not self.began and now - self.since >= SILENT_SECONDS

    def is_to_sample(self, now: float) -> bool:
        return self.began and now - self.sampled_at >= SAMPLE_SECONDS

    def begin(self, now: float) -> None:
        self.began = True
        self.moved_at = self.sampled_at = self.page_at = now

    def sample(self, now: float, pages: int, packets: int | None) -> None:
        """``packets`` None: there is no RTP to count."""
        enough = packets is not None and packets - self.packets >= FEWEST_PACKETS * (now - self.sampled_at)
        if pages != self.pages:
            self.page_at, self.lost_at = now, None
        if enough or pages != self.pages:
            self.moved_at = now
        self.sampled_at, self.pages, self.packets = now, pages, packets or 0

    def is_to_ask(self, now: float, packets: int | None) -> bool:
        return not self.sends and packets is None and now - self.page_at >= ASK_AFTER_SECONDS

    def note_status(self, now: float, *, lost: bool) -> None:
        self.lost_at = (self.lost_at or now) if lost else None
        if not lost:
            self.moved_at = now

    def has_stalled(self, now: float, page_seconds: float) -> bool:
        """``page_seconds``: so long may a page take of which nothing tells that it goes on."""
        if self.lost_at is not None and now - self.lost_at >= LOST_SECONDS:
            return True
        return self.began and now - self.moved_at >= STALLED_SECONDS + page_seconds


class SilenceWatch:
    """Of one Asterisk. What it cannot tell is not held against a call."""

    def __init__(self, line: Ari) -> None:
        self.line = line
        self.calls: dict[str, Watched] = {}

    def look(self, now: float) -> None:
        """
        Raises:
            TemporaryFailure: ``line_down``.
        """
        faxing = {c["id"]: c for c in self.line.channels() if c.get("dialplan", {}).get("app_name") in SENDS}
        self.calls = {
            channel_id: self.calls.get(channel_id)
            or Watched(channel["name"], SENDS[channel["dialplan"]["app_name"]], now)
            for channel_id, channel in faxing.items()
        }
        asked = {i: call for i, call in self.calls.items() if call.hears_nothing(now) or call.is_to_sample(now)}
        told = self.line.progress({call.name for call in asked.values()}) if asked else {}
        for channel_id, call in asked.items():
            if call.name in told and self._brings_nothing(channel_id, call, told[call.name], now):
                log.info("%s brings nothing any more and is ended", channel_id)
                self.line.hangup(channel_id, GAVE_UP)

    def hear_status(self, session: int, *, lost: bool, now: float) -> None:
        """What was asked about a fax is told as an event."""
        for call in self.calls.values():
            if call.session == session:
                call.note_status(now, lost=lost)

    def _brings_nothing(self, channel_id: str, call: Watched, fax: FaxProgress, now: float) -> bool:
        if not call.began:
            if not fax.began:
                return True
            call.begin(now)
        packets = self.line.packets_received(channel_id)
        call.sample(now, fax.pages, packets)
        if call.is_to_ask(now, packets):
            call.session = fax.session
            self.line.ask_fax_status(fax.session)
        return call.has_stalled(now, _page_seconds(call, fax, packets))


def _page_seconds(call: Watched, fax: FaxProgress, packets: int | None) -> float:
    if call.sends:  # all of its pages at the slowest
        return _size(fax.file) * 8 / SLOWEST_RATE
    return 0 if packets is not None else MOST_PAGE_BYTES * 8 / max(fax.rate, SLOWEST_RATE)


def _size(file: str) -> int:
    try:
        return Path(file).stat().st_size
    except OSError:
        return 0
