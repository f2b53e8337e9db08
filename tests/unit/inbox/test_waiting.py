"""Working days until a fax has waited too long."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.rules.inbox.waiting import is_reminded, late_at, reminders_go_out, working_days

ROME = ZoneInfo("Europe/Rome")
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ROME)


@pytest.mark.parametrize(
    ("came", "late"),
    [
        ("2026-11-23T10:00", "2026-11-25T10:00"),  # Monday → Wednesday
        ("2026-11-26T15:00", "2026-11-30T15:00"),  # Thursday → Monday
        ("2026-11-27T15:00", "2026-12-01T15:00"),  # Friday → Tuesday
        ("2026-11-28T03:00", "2026-12-02T00:00"),  # Saturday counts as Monday morning
        ("2026-11-29T23:00", "2026-12-02T00:00"),
        ("2026-10-23T10:00", "2026-10-27T10:00"),  # over the end of summer time, by the wall clock
    ],
)
def test_two_working_days_are_counted_without_weekends(came, late):
    assert late_at(datetime.fromisoformat(came).replace(tzinfo=ROME), ROME).isoformat()[:16] == late


def test_whatever_comes_is_told_of_within_a_week():
    for hour in range(14 * 24):
        came = MONDAY + timedelta(hours=hour)
        now = came
        while not (reminders_go_out(now, ROME) and is_reminded(came, now, ROME)):
            now += timedelta(minutes=15)
        assert now - came < timedelta(days=7), came


def test_reminders_come_daily_in_the_first_week_and_then_weekly():
    days = [
        n
        for n in range(60)
        if is_reminded(MONDAY, now := MONDAY + timedelta(days=n), ROME) and reminders_go_out(now, ROME)
    ]
    assert [working_days(MONDAY, MONDAY + timedelta(days=n), ROME) for n in days] == [
        2,
        3,
        4,
        5,
        10,
        15,
        20,
        25,
        30,
        35,
        40,
    ]


def test_nobody_is_reminded_at_night_or_at_the_weekend():
    assert not reminders_go_out(MONDAY.replace(hour=7, minute=59), ROME)
    assert reminders_go_out(MONDAY.replace(hour=8), ROME)
    assert not reminders_go_out(MONDAY + timedelta(days=5), ROME)
