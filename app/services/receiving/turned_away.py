"""Calls that found no place on the line, counted for the operator. In Redis: a number that is lost harms nobody."""

from collections import Counter
from datetime import datetime, timedelta

from app.queues import redis

#: By whose limit: one caller's, one line's, that of all that come in; of the company that was called.
REASONS = ("caller", "called", "incoming", "company")
HOURS = 24


def _key(hour: datetime) -> str:
    return f"faxroom:turned-away:{hour:%Y-%m-%dT%H}"


def note_turned_away(calls: Counter[str], now: datetime) -> None:
    with redis().pipeline() as pipeline:
        for reason, count in calls.items():
            pipeline.hincrby(_key(now), reason, count)
        pipeline.expire(_key(now), timedelta(hours=HOURS + 1))
        pipeline.execute()


def turned_away(now: datetime) -> Counter[str]:
    """Of the last 24 hours, by reason."""
    with redis().pipeline() as pipeline:
        for hours in range(HOURS):
            pipeline.hgetall(_key(now - timedelta(hours=hours)))
        found = pipeline.execute()
    calls: Counter[str] = Counter()
    for hour in found:
        calls.update({reason.decode(): int(count) for reason, count in hour.items()})
    return calls
