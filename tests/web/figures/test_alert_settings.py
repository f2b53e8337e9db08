"""When administrators are warned by mail: what may be set."""

from datetime import timedelta

import pytest
from flask import Flask

from app.models import Status
from app.rules.figures.alerts import stuck_faxes
from tenants.db import db, utc_now
from tenants.models import Tenant
from tests.web.accounts import acts
from tests.web.cast import Browser, Cast, make_fax

PAGE = "/figures/alerts"
USUAL = {"alert_failed_percent": "80", "alert_failed_of": "10", "alert_stuck_minutes": "30"}


def settings(app: Flask, tenant_id: int) -> tuple[int, int, int]:
    with app.app_context():
        tenant = db.session.get_one(Tenant, tenant_id)
        return tenant.alert_failed_percent, tenant.alert_failed_of, tenant.alert_stuck_minutes


def test_an_administrator_says_when_to_be_warned(app: Flask, cast: Cast, alice: Browser) -> None:
    assert "when 80 % of the last 10 faxes failed, and when one has been stuck for 30" in alice.get("/figures").text
    form = {"alert_failed_percent": "50", "alert_failed_of": "20", "alert_stuck_minutes": "0"}
    assert alice.post(PAGE, page=PAGE, **form).status_code == 303
    assert settings(app, cast.alpha) == (50, 20, 0)
    assert settings(app, cast.beta) == (80, 10, 30), "nobody else's"
    assert "when 50 % of the last 20 faxes failed." in alice.get("/figures").text
    assert acts(app) == [("settings.alerts_changed", "Alpha Srl")]
    alice.post(PAGE, page=PAGE, **form)
    assert len(acts(app)) == 1, "nothing was changed"
    assert "Fax settings: email warnings changed" in alice.get("/audit").text


def test_what_was_set_holds(app: Flask, cast: Cast, alice: Browser) -> None:
    make_fax(app, cast, status=Status.READY, due_at=utc_now())
    with app.app_context():
        assert stuck_faxes(db.session, utc_now()) == {}
    alice.post(PAGE, page=PAGE, **(USUAL | {"alert_stuck_minutes": "1"}))
    with app.app_context():
        assert stuck_faxes(db.session, utc_now() + timedelta(minutes=2))[cast.alpha].count == 1


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("alert_failed_percent", "101"),
        ("alert_failed_percent", "-1"),
        ("alert_failed_of", "2"),
        ("alert_failed_of", ""),
        ("alert_stuck_minutes", "1441"),
        ("alert_stuck_minutes", "²"),
        ("alert_stuck_minutes", "9" * 30),
    ],
)
def test_what_is_no_such_number_is_said_beside_its_field(
    app: Flask, cast: Cast, alice: Browser, field: str, typed: str
) -> None:
    answer = alice.post(PAGE, page=PAGE, **(USUAL | {"alert_failed_percent": "70", field: typed}))
    assert answer.status_code == 422
    assert f'id="{field}-judgment"><svg' in answer.text.replace("\n", "")
    assert f'value="{typed}"' in answer.text
    assert settings(app, cast.alpha) == (80, 10, 30)
