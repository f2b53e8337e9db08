"""How many calls at once a number takes, on the page of a fax to it."""

from flask import Flask

from app.models import AuditEvent, Fax, NumberLines
from tenants.db import db
from tests.web.cast import Browser, Cast, make_fax

NUMBER = "+390501234567"
TITLE = "Calls at once to this number"


def sent(app: Flask, cast: Cast) -> str:
    fax_id = make_fax(app, cast)
    with app.app_context():
        db.session.get_one(Fax, fax_id).dial_string = NUMBER
        db.session.commit()
    return fax_id


def said(app: Flask) -> list[tuple[int, str, int]]:
    with app.app_context():
        return [(row.tenant_id, row.number, row.lines) for row in db.session.query(NumberLines)]


def test_an_administrator_sets_and_takes_back_how_many_lines_a_number_has(app: Flask, cast: Cast, alice: Browser):
    fax_id = sent(app, cast)
    assert TITLE in alice.get(f"/faxes/{fax_id}").text
    assert alice.post(f"/faxes/{fax_id}/lines", lines="3").status_code == 303
    assert said(app) == [(cast.alpha, NUMBER, 3)]
    assert 'value="3"' in alice.get(f"/faxes/{fax_id}").text
    with app.app_context():
        event = db.session.query(AuditEvent).filter_by(action="number.lines_set").one()
        assert (event.target, event.after) == (NUMBER, {"lines": 3})
    alice.post(f"/faxes/{fax_id}/lines", lines="")
    assert said(app) == []


def test_what_cannot_be_is_said_and_stays_as_it_was_typed(app: Flask, cast: Cast, alice: Browser):
    answer = alice.post(f"/faxes/{sent(app, cast)}/lines", lines="many")
    assert answer.status_code == 422
    assert "Enter a whole number from 1 to 30." in answer.text
    assert 'value="many"' in answer.text
    assert said(app) == []


def test_a_user_neither_sees_nor_sets_it(app: Flask, cast: Cast, bob: Browser):
    fax_id = sent(app, cast)
    assert TITLE not in bob.get(f"/faxes/{fax_id}").text
    assert bob.post(f"/faxes/{fax_id}/lines", lines="3").status_code == 404
    assert said(app) == []
