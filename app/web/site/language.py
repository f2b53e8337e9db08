"""The reader's language, and times in the zone of the reader's company."""

from datetime import date, datetime, tzinfo
from datetime import time as clock_time
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time, get_timezone_location
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol
from flask import Flask, g, has_request_context, request
from flask_babel import Babel, get_locale
from flask_login import current_user
from markupsafe import Markup, escape

from app.kinds import ENDINGS
from app.rules.words import sentences
from app.rules.words.document_sentences import kinds_text, warning_texts, warnings_of
from tenants.db import utc_now
from tenants.languages import LOCALES, USUAL


def init_app(app: Flask) -> None:
    Babel(app, locale_selector=choose_locale, timezone_selector=lambda: str(zone()))
    for function in (time_element, header_time, zone_name, size_text, number_text):
        app.add_template_filter(function)
    app.add_template_filter(sentences.pages_text)
    app.add_template_filter(sentences.status_label)
    app.add_template_filter(sentences.story)
    app.add_template_filter(warning_texts)
    app.add_template_global(warnings_of)
    app.add_template_global(kinds_text)
    app.jinja_env.globals["DOCUMENT_ENDINGS"] = ENDINGS
    app.add_template_global(sentences.line_time_text)
    app.context_processor(lambda: {"language": language(), "now": utc_now(), "zone": zone()})


def language() -> str:
    """What the user chose, else the company's; before sign-in what the browser asks for. A page about a fault knows the
    user's language from what was said before the fault."""
    if not has_request_context():  # a mail or a report, which forces its reader's
        return USUAL
    if current_user and current_user.is_authenticated:
        wanted = current_user.preferred_language
        chosen = wanted if wanted in LOCALES else USUAL
        g.language = chosen
        return chosen
    return g.get("language") or request.accept_languages.best_match(LOCALES, USUAL)


def choose_locale() -> str:
    return LOCALES[language()]


def zone() -> ZoneInfo:
    user = current_user._get_current_object() if has_request_context() else None
    tenant = user.tenant if user and user.is_authenticated else None
    return tenant.zone if tenant else ZoneInfo("UTC")


def time_element(when: datetime | None, style: str = "short") -> Markup:
    """``<time>`` in the zone of the company: the hour alone if it is today, the full text as its title."""
    if when is None:
        return Markup("")
    local = when.astimezone(zone())
    full = f"{_day(local.date(), 'EEEE d MMMM y', get_locale())}, {local:%H:%M:%S}"
    text = moment_text(local, style)
    at = local.isoformat(timespec="seconds")
    return Markup(f'<time datetime="{at}" title="{escape(full)}">{escape(text)}</time>')


def moment_text(local: datetime, style: str) -> str:
    """``local`` is in the zone of the company."""
    day, locale = local.date(), get_locale()
    if style == "seconds":
        return f"{_day(day, 'd MMM', locale)}, {local:%H:%M:%S}"
    today = utc_now().astimezone(local.tzinfo).date()
    if style == "short" and day == today:
        return _hour(clock_time(local.hour, local.minute), locale)
    pattern = "d MMM" if style == "short" and day.year == today.year else "d MMM y"
    return f"{_day(day, pattern, locale)}, {local:%H:%M}"


@lru_cache(maxsize=10_000)  # a list says it a hundred times, of the same days
def _day(day: date, pattern: str, locale: Locale) -> str:
    return format_date(day, pattern, locale=locale)


@lru_cache(maxsize=3_000)  # the first page of a busy day says nothing else
def _hour(hour: clock_time, locale: Locale) -> str:
    return format_time(hour, "short", locale=locale)


def header_time(when: datetime) -> Markup:
    """The time as a fax machine prints it on top of a page."""
    local = when.astimezone(zone())
    text = format_datetime(local, "EEE d MMM y HH:mm", tzinfo=zone(), locale=get_locale())
    return Markup('<time datetime="{}">{}</time>').format(local.isoformat(timespec="minutes"), text)


def zone_name(where: tzinfo) -> str:
    """``Rome``, as the reader calls the city of the zone."""
    return get_timezone_location(where, locale=get_locale(), return_city=True)


def size_text(count: int) -> str:
    """A file's size in the unit in which it is a handy number."""
    if count < 1_000_000:
        return f"{number_text(max(1, round(count / 1000)))} kB"
    return f"{format_decimal(count / 1_000_000, '0.0', locale=get_locale())} MB"


def number_text(number: float) -> str:
    """As ``format_decimal`` writes it, with three places at most: pages have thousands of them."""
    if isinstance(number, int) and 0 <= number < 1000:
        return str(number)
    text = f"{number:,}" if isinstance(number, int) else f"{number:,.3f}".rstrip("0").rstrip(".")
    return text.translate(_number_signs(get_locale()))


@lru_cache
def _number_signs(locale: Locale) -> dict[int, str]:
    return {ord(","): get_group_symbol(locale), ord("."): get_decimal_symbol(locale)}
