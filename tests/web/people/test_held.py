"""The page on which administrators decide on faxes of people who may not send any more."""

import sqlalchemy as sa
from flask import Flask

from app.models import AuditEvent, Fax, Status
from tenants.db import db, utc_now
from tenants.models import User
from tests.web.cast import Browser, Cast, make_fax


def leave(app: Flask, cast: Cast) -> None:
    with app.app_context():
        db.session.get_one(User, cast.bob).disabled_at = utc_now()
        db.session.commit()


def whole(app: Flask, fax_id: str) -> Fax:
    with app.app_context():
        return db.session.get_one(Fax, fax_id)


def test_an_administrator_sees_them_and_lets_one_go_and_cancels_the_other(
    app: Flask, cast: Cast, alice: Browser
) -> None:
    first, second = (make_fax(app, cast, status=Status.SCHEDULED) for _ in range(2))
    assert "Nothing is held" in alice.get("/held").text
    leave(app, cast)
    assert "2 faxes are held" in alice.get("/entities").text
    page = alice.get("/held").text
    assert page.count("account closed") == 2
    assert alice.post(f"/held/{first}/release", page="/held").status_code == 303
    assert alice.post(f"/held/{second}/cancel", page="/held").status_code == 303
    assert whole(app, first).released_by_id == cast.alice
    assert whole(app, second).status == Status.CANCELLED
    assert "Nothing is held" in alice.get("/held").text
    assert alice.post(f"/held/{first}/release", page="/held").status_code == 404
    with app.app_context():
        acts = sa.select(AuditEvent.action).where(AuditEvent.tenant_id == cast.alpha).order_by(AuditEvent.id)
        assert db.session.scalars(acts).all()[-2:] == ["fax.released", "fax.cancelled"]


def test_the_fax_s_own_page_says_what_it_waits_for(app: Flask, cast: Cast, alice: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.SCHEDULED, cause="sender_gone")
    with app.app_context():
        db.session.get_one(Fax, fax_id).due_at = None
        db.session.commit()
    assert "It is sent only if an administrator releases it." in alice.get(f"/faxes/{fax_id}").text
