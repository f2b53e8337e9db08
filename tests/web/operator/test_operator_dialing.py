"""The page of the operator's dialing policy."""

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import AuditEvent, CalledNumber
from app.rules.numbers.policy import Policy, policy_of
from tenants.db import db
from tenants.models import Tenant
from tests.web.cast import Browser, Cast

PAGE = "/operator/dialing"
NUMBERS = "/operator/dialing/numbers"


def test_countries_are_read_by_name_in_either_language_or_by_code(app: Flask, cast: Cast, olga: Browser) -> None:
    answer = olga.post(PAGE, page=PAGE, countries="Italy, de\nRegno Unito;FR", satellite_allowed="1")
    assert answer.status_code == 303
    with app.app_context():
        assert policy_of(db.session) == Policy(("DE", "FR", "GB", "IT"), satellite_allowed=True)
        event = db.session.scalar(sa.select(AuditEvent).where(AuditEvent.action == "policy.changed"))
        assert event.after == {"countries": ["DE", "FR", "GB", "IT"], "satellite_allowed": True}
    assert "United Kingdom" in olga.get(PAGE).text


def test_what_is_no_country_is_named_and_nothing_typed_is_lost(app: Flask, cast: Cast, olga: Browser) -> None:
    answer = olga.post(PAGE, page=PAGE, countries="Italy\nAtlantis", premium_allowed="1")
    assert answer.status_code == 422
    assert "“Atlantis” is not a country." in answer.text
    assert "Italy\nAtlantis</textarea>" in answer.text
    assert 'name="premium_allowed" value="1" checked' in answer.text
    with app.app_context():
        assert policy_of(db.session) == Policy()


def test_the_ceilings_of_a_company_are_on_its_page(app: Flask, cast: Cast, olga: Browser) -> None:
    page = f"/operator/tenants/{cast.alpha}"
    with app.app_context():
        tenant = db.session.get(Tenant, cast.alpha)
        names = ("name", "serial", "region", "timezone", "language", "outside_prefix", "fax_channels")
        values = {name: str(getattr(tenant, name)) for name in names}
        values |= dict.fromkeys(("limit_inbound", "limit_outbound", "limit_total"), "0")
    assert olga.post(page, page=page, **values, calls_a_day="40", minutes_a_day="90").status_code == 303
    assert olga.post(page, page=page, **values).status_code == 303, "a form without them leaves them"
    with app.app_context():
        tenant = db.session.get(Tenant, cast.alpha)
        assert (tenant.calls_a_day, tenant.minutes_a_day) == (40, 90)


def test_an_operator_says_which_numbers_take_several_calls(app: Flask, olga: Browser) -> None:
    assert olga.post(NUMBERS, page=PAGE, number="+39 055 1234567", lines="3").status_code == 303
    assert "+390551234567" in olga.get(PAGE).text
    with app.app_context():
        assert db.session.get_one(CalledNumber, "+390551234567").lines == 3
    olga.post(NUMBERS, page=PAGE, number="+390551234567")
    with app.app_context():
        assert db.session.get(CalledNumber, "+390551234567") is None


@pytest.mark.parametrize(
    ("number", "count", "told"),
    [
        ("055 1234567", "2", "Enter the complete number with its country code"),
        ("+39 055 1234567", "0", "Enter a whole number from 1 to 1000."),
        ("+39 055 1234567", "many", "Enter a whole number from 1 to 1000."),
    ],
)
def test_what_is_wrong_with_such_a_number_is_told_and_what_was_typed_stays(
    app: Flask, olga: Browser, number: str, count: str, told: str
) -> None:
    answer = olga.post(NUMBERS, page=PAGE, number=number, lines=count)
    assert answer.status_code == 422
    assert told in answer.text
    assert number in answer.text
