"""The page of a line's self-test. The call itself is in tests/live/test_self_test.py."""

import re

import sqlalchemy as sa
from flask import Flask

from app.models import Attempt, Direction, Document, Fax, Status, Trunk
from tenants.db import db, utc_now
from tenants.models import Tenant
from tests.web.cast import Browser, Cast, changes, make_fax

SEEN = re.compile(r"result\?seen=([^\"&]+)")


def path(cast: Cast) -> str:
    return f"/entities/{cast.archive}/test"


def start(browser: Browser, cast: Cast, **more: object) -> object:
    return browser.post(path(cast), page=path(cast), **more)


def made(app: Flask) -> list[Fax]:
    with app.app_context():
        found = list(db.session.scalars(sa.select(Fax).where(Fax.origin == "test")))
        db.session.expunge_all()
        return found


def test_a_line_is_tested_with_a_page_of_its_own(app: Flask, cast: Cast, alice: Browser):
    assert "This line has not been tested yet." in alice.get(path(cast)).text
    answer = start(alice, cast, submission="k")
    assert (answer.status_code, answer.headers["Location"]) == (303, path(cast))
    (test,) = made(app)
    assert (test.status, test.entity_id, test.user_id) == (Status.ACCEPTED, cast.archive, cast.alice)
    with app.app_context():
        document = db.session.get_one(Document, test.source_id)
        assert (document.pages, document.name) == (1, "self-test-502.pdf")
        with app.extensions["storage"].open(document.storage_key) as file:
            assert file.read(4) == b"%PDF"
        assert [event.action for event in db.session.scalars(changes())] == ["entity.tested"]


def test_a_double_click_is_one_test_and_a_running_one_is_waited_for(app: Flask, cast: Cast, alice: Browser):
    start(alice, cast, submission="k")
    assert start(alice, cast, submission="k").status_code == 303
    answer = start(alice, cast, submission="other")
    assert answer.status_code == 422
    assert "A test of this line is running." in answer.text
    assert len(made(app)) == 1
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Document)) == 1


def test_while_it_runs_the_page_asks_for_what_is_new_only(app: Flask, cast: Cast, alice: Browser):
    start(alice, cast)
    page = alice.get(path(cast)).text
    assert 'data-test="running"' in page
    assert "Test again" not in page
    assert '<meta http-equiv="refresh"' in page, "without JavaScript it is loaded anew"
    seen = SEEN.search(page)[1]
    assert alice.get(f"{path(cast)}/result?seen={seen}").status_code == 204
    with app.app_context():
        db.session.execute(sa.update(Fax).values(status=Status.DIALING))
        db.session.commit()
    assert alice.get(f"{path(cast)}/result?seen={seen}").status_code == 200


def test_what_came_of_it_stands_on_the_page(app: Flask, cast: Cast, alice: Browser):
    start(alice, cast)
    (test,) = made(app)
    with app.app_context():
        now = utc_now()
        db.session.execute(
            sa.update(Fax).where(Fax.id == test.id).values(status=Status.SENT, pages=1, pages_done=1, finished_at=now)
        )
        attempt = Attempt(fax_id=test.id, tenant_id=cast.alpha, entity_id=cast.archive, n=1, channel_id="a", node="n")
        attempt.answered_at = attempt.ended_at = now
        attempt.mode, attempt.rate, attempt.ecm, attempt.outcome = "audio", 9600, True, "success"
        db.session.add(attempt)
        db.session.commit()
    more = {"direction": Direction.RECEIVED, "status": Status.RECEIVED, "pages": 1, "origin": "line"}
    make_fax(app, cast, entity_id=cast.archive, test_of_id=test.id, **more)
    page = alice.get(path(cast)).text
    assert 'data-test="doubt"' in page
    for text in ("G.711. The template asks for T.38.", "9,600 bit/s. The template allows up to 14,400.", "1 of 1 page"):
        assert text in page
    assert "hx-get" not in page.partition('id="test-result"')[2].partition(">")[0], "nothing is asked any more"


def test_the_way_through_the_carrier_is_a_choice_where_there_is_one(app: Flask, cast: Cast, alice: Browser):
    line = f"/entities/{cast.frontdesk}/test"
    with app.app_context():
        trunk = db.session.scalar(sa.select(Trunk)) or Trunk(name="main", port=5060)
        trunk.host = "carrier.example"
        db.session.add(trunk)
        db.session.commit()
    assert "costs a call" not in alice.get(path(cast)).text, "the archive has no public number"
    assert 'value="inner" checked' in alice.get(line).text
    assert alice.post(line, page=line, way="outer").status_code == 303
    (test,) = made(app)
    assert test.dial_string == "+390509655637"
    with app.app_context():
        ended = {"status": Status.FAILED, "cause": "busy", "finished_at": utc_now()}
        db.session.execute(sa.update(Fax).values(**ended))
        attempt = Attempt(fax_id=test.id, tenant_id=cast.alpha, entity_id=cast.frontdesk, n=1, channel_id="a", node="n")
        attempt.ended_at, attempt.outcome = utc_now(), "busy"
        db.session.add(attempt)
        db.session.commit()
    page = alice.get(line).text
    assert "The test through the carrier failed." in page
    assert "The call went out, but no fax from this test came back to this line." in page
    assert "through the carrier" in alice.get(f"/faxes/{test.id}").text


def test_there_is_no_way_through_a_carrier_that_is_not_there(app: Flask, cast: Cast, alice: Browser):
    answer = start(alice, cast, way="outer")
    assert answer.status_code == 422
    assert "This line cannot be tested through the carrier" in answer.text
    assert made(app) == []


def test_a_failure_says_why(app: Flask, cast: Cast, alice: Browser):
    start(alice, cast)
    with app.app_context():
        db.session.execute(sa.update(Fax).values(status=Status.FAILED, cause="busy", finished_at=utc_now()))
        db.session.commit()
    page = alice.get(path(cast)).text
    assert 'data-test="bad"' in page
    assert "The line was busy." in page
    assert "Test again" in page


def test_a_suspended_company_tests_nothing(app: Flask, cast: Cast, alice: Browser):
    with app.app_context():
        db.session.get_one(Tenant, cast.alpha).suspended_at = utc_now()
        db.session.commit()
    answer = start(alice, cast)
    assert answer.status_code == 422
    assert "suspended" in answer.text
    assert made(app) == []


def test_a_line_of_another_company_is_a_missing_one(app: Flask, cast: Cast, alice: Browser, bob: Browser):
    theirs = f"/entities/{cast.beta_line}/test"
    for where in (theirs, f"{theirs}/result", "/entities/987654/test"):
        assert alice.get(where).status_code == 404
    assert alice.post(theirs, page="/faxes").status_code == 404
    assert bob.get(path(cast)).status_code == 404, "and only administrators test"
    assert bob.post(path(cast), page="/faxes").status_code == 404
    assert made(app) == []
