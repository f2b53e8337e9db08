"""Which calls bring nothing: by what was heard, and by what came since."""

import itertools

import pytest

from app.adapters.telephony.ari import FaxProgress
from app.jobs.receiving.silence import LOOK_SECONDS, SilenceWatch
from app.rules.ground.call_ends import GAVE_UP

NOTHING = FaxProgress(file="/gone", pages=0, began=False, rate=14400)
FAX = FaxProgress(file="/gone", pages=0, began=True, rate=14400)


class FakeLine:
    """One call, to which ``seconds`` and what Asterisk says of it then are given."""

    def __init__(self, application, progress, packets=lambda seconds: None, lost_after=None):
        self.application, self.of, self.packets_at, self.lost_after = application, progress, packets, lost_after
        self.seconds, self.ended, self.asked = 0.0, None, 0

    def channels(self):
        dialplan = {"app_name": self.application}
        return [] if self.ended else [{"id": "1.1", "name": "PJSIP/x-1", "dialplan": dialplan}]

    def progress(self, names):
        fax = self.of(self.seconds)
        return {name: fax for name in names if fax}

    def packets_received(self, channel_id):
        return self.packets_at(self.seconds)

    def ask_fax_status(self, session):
        self.asked += 1
        if self.lost_after is not None:
            lost = self.seconds >= self.lost_after + 15
            self.watch.hear_status(session, lost=lost, now=self.seconds + 0.5)

    def hangup(self, channel_id, cause):
        assert (channel_id, cause) == ("1.1", GAVE_UP)
        self.ended = self.seconds

    def run(self, seconds):
        """When the watch has ended the call, which it saw for the first time just before it would have looked again."""
        self.watch = watch = SilenceWatch(self)
        for self.seconds in itertools.takewhile(lambda at: at < seconds, itertools.count(LOOK_SECONDS, LOOK_SECONDS)):
            watch.look(self.seconds)
            if self.ended:
                return self.ended
        return None


@pytest.mark.parametrize("application", ["SendFAX", "ReceiveFAX"])
@pytest.mark.parametrize("packets", [0, 2, 50])
def test_a_call_without_a_signal_of_a_fax_machine_ends_within_45_seconds(application, packets):
    ended = FakeLine(application, lambda at: NOTHING, lambda at: int(packets * at)).run(100)
    assert 36 < ended <= 45


def test_a_fax_that_began_late_goes_on():
    line = FakeLine("ReceiveFAX", lambda at: FAX if at > 34 else NOTHING, lambda at: int(50 * at))
    assert line.run(1000) is None


def test_a_call_that_asterisk_does_not_tell_of_goes_on():
    assert FakeLine("SendFAX", lambda at: None).run(1000) is None


@pytest.mark.parametrize("application", ["Wait", "Dial", "Stasis"])
def test_a_conversation_is_no_silent_fax(application):
    assert FakeLine(application, lambda at: NOTHING).run(1000) is None


@pytest.mark.parametrize("application", ["SendFAX", "ReceiveFAX"])
def test_a_fax_that_stops_in_the_middle_of_a_page_ends_a_minute_later(application):
    line = FakeLine(application, lambda at: FAX, lambda at: int(50 * min(at, 100) + 2 * max(0, at - 100)))
    assert 100 + 45 < line.run(1000) <= 100 + 60 + 2 * 15


def test_a_slow_page_goes_on_as_long_as_something_comes():
    assert FakeLine("ReceiveFAX", lambda at: FAX, lambda at: int(17 * at)).run(3000) is None


def test_a_page_that_goes_out_may_take_as_long_as_the_slowest_rate_needs(tmp_path):
    """A network that carries no silence brings nothing meanwhile."""
    page = tmp_path / "page.tif"
    page.write_bytes(bytes(100_000))
    fax = FaxProgress(file=str(page), pages=0, began=True, rate=14400)
    ended = FakeLine("SendFAX", lambda at: fax, lambda at: 0).run(3000)
    assert 333 + 60 < ended < 333 + 60 + 60


def test_pages_that_are_confirmed_are_progress():
    def fax(at):
        return FaxProgress(file="/gone", pages=int(at // 50), began=True, rate=14400)

    assert FakeLine("ReceiveFAX", fax, lambda at: 0).run(1000) is None


@pytest.mark.parametrize(("rate", "seconds"), [(14400, 555), (2400, 3333)])
def test_a_page_of_t38_whose_packets_nobody_counts_has_the_time_of_the_longest_page(rate, seconds):
    fax = FaxProgress(file="/gone", pages=0, began=True, rate=rate)
    ended = FakeLine("ReceiveFAX", lambda at: fax).run(5000)
    assert seconds + 60 < ended < seconds + 60 + 60


@pytest.mark.parametrize("stops", [40, 100, 1000])
def test_a_page_that_stops_in_the_middle_of_t38_ends_a_minute_later(stops):
    ended = FakeLine("ReceiveFAX", lambda at: FAX, lost_after=stops).run(5000)
    assert stops + 30 < ended <= stops + 60 + 2 * 15


def test_a_carrier_that_comes_back_is_not_lost():
    class Returning(FakeLine):
        def ask_fax_status(self, session):
            self.watch.hear_status(session, lost=100 <= self.seconds <= 125, now=self.seconds + 0.5)

    assert Returning("ReceiveFAX", lambda at: FAX).run(5000) is None


def test_a_long_page_of_t38_goes_on_as_long_as_its_carrier_is_there():
    assert FakeLine("ReceiveFAX", lambda at: FAX, lost_after=10_000).run(5000) is None


def test_an_ordinary_page_of_t38_is_not_asked_about():
    def fax(at):
        return FaxProgress(file="/gone", pages=int(at // 15), began=True, rate=14400)

    line = FakeLine("ReceiveFAX", fax, lost_after=10_000)
    assert (line.run(300), line.asked) == (None, 0)


def test_a_page_that_goes_out_by_t38_is_not_asked_about():
    line = FakeLine("SendFAX", lambda at: FAX, lost_after=0)
    line.run(55)
    assert line.asked == 0


def test_pages_of_t38_go_on():
    def fax(at):
        return FaxProgress(file="/gone", pages=int(at // 500), began=True, rate=14400)

    assert FakeLine("ReceiveFAX", fax).run(5000) is None
