"""How long a received fax waits: in working days, and in words."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, format_time
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _

from app.rules.ground.days import day_of

#: Working days that a fax may lie before its colleagues are reminded. With a weekend that is less than a week.
PATIENCE = 2
#: From then on a mail comes every working day of the first week, afterwards once a week.
DAILY = 5
#: Reminders are read in the morning, not at night.
OPENING_HOUR = 8


def is_working_day(day: datetime) -> bool:
    """Monday to Friday: holidays differ from town to town."""
    return day.weekday() < 5


def late_at(since: datetime, zone: ZoneInfo) -> datetime:
    """When something that waits since then has waited too long. What comes at a weekend comes on Monday morning."""
    wall = since.astimezone(zone).replace(tzinfo=None)
    while not is_working_day(wall):
        wall = (wall + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    for _n in range(PATIENCE):
        wall += timedelta(days=1)
        while not is_working_day(wall):
            wall += timedelta(days=1)
    return wall.replace(tzinfo=zone)


def working_days(since: datetime, now: datetime, zone: ZoneInfo) -> int:
    """How many working days have begun after the one of ``since``."""
    day, today = day_of(since, zone), day_of(now, zone)
    weeks, rest = divmod((today - day).days, 7)
    return 5 * weeks + sum((day + timedelta(days=n)).weekday() < 5 for n in range(1, rest + 1))


def is_reminded(since: datetime, now: datetime, zone: ZoneInfo) -> bool:
    """Whether a mail about it is due on this day: daily at first, then weekly."""
    days = working_days(since, now, zone)
    return late_at(since, zone) <= now and (days <= DAILY or days % DAILY == 0)


def reminders_go_out(now: datetime, zone: ZoneInfo) -> bool:
    local = now.astimezone(zone)
    return is_working_day(local) and local.hour >= OPENING_HOUR


def since_text(since: datetime, now: datetime, zone: ZoneInfo) -> str:
    """``since 10:12``, ``since yesterday``, ``since Monday, 3 days``, ``since 3 Nov, 20 days``."""
    days = (day_of(now, zone) - day_of(since, zone)).days
    if days <= 0:
        return _("since %(when)s", when=format_time(since, "short", tzinfo=zone, locale=get_locale()))
    if days == 1:
        return _("since yesterday")
    if days < 7:
        weekday = format_datetime(since, "EEEE", tzinfo=zone, locale=get_locale())
        return ngettext("since %(weekday)s, %(num)d day", "since %(weekday)s, %(num)d days", days, weekday=weekday)
    pattern = "d MMM" if days < 300 else "d MMM y"
    date = format_datetime(since, pattern, tzinfo=zone, locale=get_locale())
    return ngettext("since %(date)s, %(num)d day", "since %(date)s, %(num)d days", days, date=date)
