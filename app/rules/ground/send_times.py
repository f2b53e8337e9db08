"""The time of sending, as a person types it in the tenant's zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from app.errors import Refused

#: A form that was opened a while ago may still say the minute in which it was opened.
GRACE = timedelta(minutes=5)
HORIZON = timedelta(days=366)


def read_send_time(text: str | None, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The aware time meant by ``2026-11-23T14:35`` in ``zone``; None for now. Of two equal wall times the first.

    Raises:
        Refused: ``time_unreadable``, ``time_past``, ``time_too_far``, ``time_skipped`` (daylight saving).
    """
    if not text or not text.strip():
        return None
    try:
        wall = datetime.fromisoformat(text.strip())
        moment = (wall if wall.tzinfo else wall.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refused("time_unreadable", field="send_at") from error
    if moment < now - GRACE:
        raise Refused("time_past", field="send_at", now=now.astimezone(zone).strftime("%H:%M"))
    if moment > now + HORIZON:
        raise Refused("time_too_far", field="send_at")
    if wall.tzinfo is None and moment.astimezone(zone).replace(tzinfo=None) != wall:
        next_valid = moment.astimezone(zone).strftime("%H:%M")
        raise Refused("time_skipped", field="send_at", typed=wall.strftime("%H:%M"), next=next_valid)
    return moment if moment > now else None
