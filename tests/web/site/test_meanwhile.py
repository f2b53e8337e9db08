"""What was changed while somebody waited for the company's lock."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.errors import Refused
from app.rules.mail2fax.boxes import BoxDetails, put_box
from tenants.db import db
from tenants.models import Tenant
from tests.web.cast import Browser, Cast

BOX = BoxDetails(name="Box", email="fax@alpha.test", host="imap.alpha.test", username="fax", password="secret")


def changes_meanwhile(**values: object) -> Callable[[Session, int], None]:
    """In place of the lock: another one's change is there when it is had, and what was read before is stale."""

    def lock(session: Session, tenant_id: int) -> None:
        change = sa.update(Tenant).where(Tenant.id == tenant_id).values(**values)
        session.execute(change, execution_options={"synchronize_session": False})

    return lock


def test_proof_that_is_required_meanwhile_holds_for_the_box_that_waited(
    app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.rules.mail2fax.boxes.lock_tenant", changes_meanwhile(mail_proof_required=True))
    with app.app_context():
        tenant = db.session.get_one(Tenant, cast.alpha)
        with pytest.raises(Refused, match="box_authserv_needed"):
            put_box(db.session, tenant, None, BOX)


@pytest.mark.parametrize("required", [True, False])
def test_what_the_page_says_about_proof_is_what_holds(
    app: Flask, cast: Cast, alice: Browser, monkeypatch: pytest.MonkeyPatch, required: bool
) -> None:
    with app.app_context():
        db.session.execute(sa.update(Tenant).values(mail_proof_required=required))
        db.session.commit()
    for place in ("app.web.mail2fax.boxes.lock_tenant", "app.rules.mail2fax.boxes.lock_tenant"):
        monkeypatch.setattr(place, changes_meanwhile(mail_proof_required=not required), raising=False)
    assert alice.post("/mail2fax/proof", page="/mail2fax", required="yes" if required else "no").status_code == 303
    with app.app_context():
        assert db.session.get_one(Tenant, cast.alpha).mail_proof_required == required


def test_what_the_page_says_about_warnings_is_what_holds(
    app: Flask, cast: Cast, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.figures.alerts.lock_tenant", changes_meanwhile(alert_stuck_minutes=0))
    form = {"alert_failed_percent": "80", "alert_failed_of": "10", "alert_stuck_minutes": "30"}
    assert alice.post("/figures/alerts", page="/figures/alerts", **form).status_code == 303
    with app.app_context():
        assert db.session.get_one(Tenant, cast.alpha).alert_stuck_minutes == 30
