"""The dialing rules, without a database."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from app.errors import Refused
from app.rules.ground.days import day_bounds, day_of
from app.rules.numbers.dialing import DialingRules, judge_cap, judge_number, read_prefixes
from app.rules.numbers.policy import is_emergency

PISA, MILAN, LONDON, PREMIUM = "+390501234567", "+390212345678", "+442071838750", "+39899123456"
ROME = ZoneInfo("Europe/Rome")
TODAY, TOMORROW = date(2026, 11, 23), date(2026, 11, 24)


def judged(number: str, **rules: object) -> str | None:
    fault = judge_number(DialingRules(**rules), number)
    return fault.code if fault else None


def test_without_rules_everything_but_premium_and_emergency_is_dialled():
    assert [judged(number) for number in (PISA, LONDON, "501")] == [None] * 3
    assert judged(PREMIUM) == "number_premium"


def test_premium_numbers_are_dialled_only_when_allowed():
    assert judged(PREMIUM, premium_allowed=True) is None
    assert judged(PREMIUM, allowed=("+39899",)) == "number_premium", "an allowed beginning does not allow the fee"


@pytest.mark.parametrize("number", [PREMIUM, "+499001234567", "+449098790000", "+19005551234", "+979123456789"])
def test_premium_numbers_of_other_countries_are_known(number):
    assert judged(number) == "number_premium"


@pytest.mark.parametrize("number", ["+39112", "+39118", "+49110", "+1911", "+44999"])
def test_emergency_numbers_are_dialled_by_no_rule(number):
    assert is_emergency(number)
    assert judged(number, premium_allowed=True, allowed=(number,)) == "number_emergency"


def test_with_allowed_beginnings_only_those_are_dialled():
    assert judged(PISA, allowed=("+39050", "+44")) is None
    assert judged(LONDON, allowed=("+39050", "+44")) is None
    assert judged(MILAN, allowed=("+39050", "+44")) == "number_not_allowed"


def test_a_forbidden_beginning_wins_over_an_allowed_one():
    assert judged(PISA, allowed=("+39",), forbidden=("+39050",)) == "number_forbidden"
    assert judged(MILAN, allowed=("+39",), forbidden=("+39050",)) is None
    assert judged(PISA, allowed=("+39050",), forbidden=("+39",)) == "number_forbidden"


def test_the_refusal_names_the_beginning():
    fault = judge_number(DialingRules(forbidden=("+39", "+39050")), PISA)
    assert (fault.field, fault.values) == ("to", {"prefix": "+39050"})


def test_extensions_of_the_own_plan_are_not_judged():
    assert judged("501", allowed=("+44",), forbidden=("+39", "+5")) is None


@pytest.mark.parametrize(
    ("typed", "region", "read"),
    [
        ("+39 050", "IT", ["+39050"]),
        ("0039-050", "IT", ["+39050"]),
        ("050", "IT", ["+39050"]),
        ("899, 892\n+44 9", "IT", ["+39899", "+39892", "+449"]),
        ("030", "DE", ["+4930"]),
        ("0900;0137", "DE", ["+49900", "+49137"]),
        ("900", "US", ["+1900"]),
        ("", "IT", []),
        (" \r\n ,", "IT", []),
        ("+39 050\n+39050", "IT", ["+39050"]),
        ("+1", "IT", ["+1"]),
    ],
)
def test_beginnings_are_read_as_people_type_them(typed, region, read):
    assert read_prefixes(typed, region) == read


@pytest.mark.parametrize("typed", ["+", "0049x", "+0", "all", "+39@", "+39*", "+1234567890123456", "00"])
def test_what_is_no_beginning_is_named(typed):
    with pytest.raises(Refused) as refusal:
        read_prefixes(f"+44\n{typed}", "IT")
    assert (refusal.value.code, refusal.value.values) == ("prefix_unreadable", {"typed": typed[:40]})


def test_there_is_an_end_of_beginnings():
    with pytest.raises(Refused, match="prefix_too_many"):
        read_prefixes("\n".join(f"+1{n}" for n in range(101)), "IT")


def cap(ordered: int, *, day: date = TODAY, daily_cap: int = 3) -> str | None:
    fault = judge_cap(DialingRules(daily_cap=daily_cap), ordered=ordered, day=day, today=TODAY)
    return fault.code if fault else None


def test_the_cap_of_a_day_is_reached_and_not_passed():
    assert [cap(ordered) for ordered in (0, 2, 3, 4)] == [None, None, "daily_cap", "daily_cap"]
    assert cap(3, day=TOMORROW) == "daily_cap_on"
    assert cap(10_000, daily_cap=0) is None


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 11, 23), 24), (date(2026, 3, 29), 23), (date(2026, 10, 25), 25)]
)
def test_a_day_is_the_companys_and_as_long_as_it_is_there(day, hours):
    first, end = day_bounds(day, ROME)
    assert (end - first).total_seconds() == hours * 3600
    assert day_of(first, ROME) == day
    assert day_of(end, ROME) > day


def test_the_evening_in_utc_is_tomorrow_in_rome():
    assert day_of(datetime(2026, 11, 23, 23, 30, tzinfo=UTC), ROME) == TOMORROW
