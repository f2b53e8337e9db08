"""Days of a company's zone: 23 to 25 hours."""

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Its first moment and the first one of the next day."""
    first, next_one = (
        datetime.combine(one, clock_time.min, tzinfo=zone).astimezone(UTC) for one in (day, day + timedelta(days=1))
    )
    return first, next_one
