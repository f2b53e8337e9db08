"""The time of sending, in the tenant's zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.errors import Refused
from app.rules.ground.send_times import read_send_time

ROME = ZoneInfo("Europe/Rome")
NOW = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)  # 22:00 in Rome


def read(text: str | None, now: datetime = NOW) -> datetime | None:
    return read_send_time(text, ROME, now)


@pytest.mark.parametrize("text", ["", "  ", None])
def test_nothing_typed_means_now(text):
    assert read(text) is None


def test_a_wall_time_is_read_in_the_zone_of_the_tenant():
    assert read("2026-11-23T14:35") == datetime(2026, 11, 23, 13, 35, tzinfo=UTC)


def test_the_minute_in_which_the_form_was_opened_means_now():
    assert read("2026-11-22T21:58") is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2026-11-22T21:30", "time_past"),
        ("1999-01-01T00:00", "time_past"),
        ("2099-01-01T00:00", "time_too_far"),
        ("9999-12-31T23:59", "time_too_far"),
        ("0001-01-01T00:00", "time_unreadable"),
        ("tomorrow", "time_unreadable"),
        ("2026-02-30T10:00", "time_unreadable"),
    ],
)
def test_other_times_are_answered_in_words(text, code):
    with pytest.raises(Refused) as refusal:
        read(text)
    assert (refusal.value.code, refusal.value.field) == (code, "send_at")


def test_an_hour_that_daylight_saving_skips_is_named_with_the_next_one():
    with pytest.raises(Refused) as refusal:
        read("2027-03-28T02:30")
    assert refusal.value.code == "time_skipped"
    assert refusal.value.values == {"typed": "02:30", "next": "03:30"}


def test_of_an_hour_that_comes_twice_the_first_is_meant():
    before = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    assert read("2026-10-25T02:30", before) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
