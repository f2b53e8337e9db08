"""Nothing that a page needs to say that the database is down comes from the database."""

import time

import pytest
from flask import Flask
from sqlalchemy.exc import InternalError, OperationalError, TimeoutError

from tenants.db import db
from tenants.models import User
from tests.web.cast import Browser, Cast, make_fax

SAFE = "Your faxes are safe"
ITALIAN = {"Accept-Language": "it-IT,it;q=0.9,en;q=0.5"}


@pytest.fixture
def down(app: Flask, monkeypatch: pytest.MonkeyPatch):
    """Called: from now on no connection to the database is to be had."""

    def take_away(error: Exception | None = None) -> None:
        error = error or OperationalError("connect", None, Exception("connection refused at 10.1.2.3"))

        def refuse(*_: object, **__: object) -> None:
            raise error

        with app.app_context():
            db.engine.dispose()
            monkeypatch.setattr(db.engine, "raw_connection", refuse)
            monkeypatch.setattr(db.engine.pool, "connect", refuse)

    app.config["TESTING"] = False
    return take_away


@pytest.mark.parametrize(
    "error",
    [
        None,
        TimeoutError("all connections are taken"),
        InternalError("SELECT", None, Exception("idle-in-transaction timeout")),
    ],
)
def test_who_is_signed_in_reads_our_own_page(bob: Browser, down, error: Exception | None) -> None:
    down(error)
    answer = bob.get("/faxes")
    assert answer.status_code == 503
    assert SAFE in answer.text and "Reload this page in a minute" in answer.text
    assert answer.text.count("</html>") == 1 and "faxroom.css" in answer.text
    assert "10.1.2.3" not in answer.text
    assert answer.headers["Retry-After"] and answer.headers["Cache-Control"] == "no-store"


def test_it_is_in_the_language_of_the_browser(bob: Browser, down) -> None:
    down()
    answer = bob.get("/faxes", headers=ITALIAN)
    assert '<html lang="it"' in answer.text
    assert "I tuoi fax sono al sicuro" in answer.text
    assert "Ricarica questa pagina fra un minuto" in answer.text


def test_where_the_fault_comes_later_it_is_in_the_language_of_the_person(
    app: Flask, cast: Cast, bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("SELECT", None, Exception("server closed the connection"))

    app.config["TESTING"] = False
    monkeypatch.setattr("app.web.faxes.fax_pages.read_page", fail)
    with app.app_context():
        db.session.get_one(User, cast.bob).language = "it"
        db.session.commit()
    answer = bob.get("/faxes", headers={"Accept-Language": "en"})
    assert answer.status_code == 503
    assert '<html lang="it"' in answer.text and "I tuoi fax sono al sicuro" in answer.text


def test_who_has_sent_a_form_off_is_told_to_look_before_repeating_it(bob: Browser, down) -> None:
    token = bob.token("/faxes")
    down()
    answer = bob.client.post("/sign-out", data={"csrf_token": token})
    assert answer.status_code == 503
    assert SAFE in answer.text and "Check in a minute before you submit it again" in answer.text


def test_a_part_of_a_page_is_answered_with_a_part(app: Flask, cast: Cast, bob: Browser, down) -> None:
    fax = make_fax(app, cast)
    down()
    answer = bob.get(f"/faxes/{fax}/status?seen=1", headers={"HX-Request": "true"})
    assert answer.status_code == 503
    assert answer.headers["HX-Retarget"] == "#trouble"
    assert answer.text.lstrip().startswith('<p id="trouble"') and "<html" not in answer.text
    assert "continues automatically" in answer.text and "data-stays" not in answer.text


def test_what_was_done_in_a_part_of_a_page_stays_to_be_read(bob: Browser, down) -> None:
    token = bob.token("/faxes")
    down()
    answer = bob.client.post("/sign-out", data={"csrf_token": token}, headers={"HX-Request": "true"})
    assert answer.status_code == 503
    assert "data-stays" in answer.text and "Check in a minute before you submit it again" in answer.text


def test_nothing_of_the_database_is_asked_for_it(app: Flask, bob: Browser, down, monkeypatch) -> None:
    """Each question may cost the time until it is given up, and a page has five seconds in all."""
    asked: list[float] = []

    def slow(*_: object, **__: object) -> None:
        asked.append(time.monotonic())
        raise OperationalError("connect", None, Exception("timeout"))

    down()
    with app.app_context():
        monkeypatch.setattr(db.engine, "raw_connection", slow)
    assert bob.get("/faxes").status_code == 503
    assert len(asked) == 1


def test_sign_in_is_shown_without_a_database_and_says_why_nobody_comes_in(nobody: Browser, down) -> None:
    token = nobody.token("/sign-in")
    down()
    assert nobody.get("/sign-in").status_code == 200
    answer = nobody.client.post("/sign-in", data={"csrf_token": token, "email": "bob@alpha.test", "password": "x"})
    assert answer.status_code == 503 and SAFE in answer.text


def test_health_stays_what_machines_read(nobody: Browser, down) -> None:
    down()
    answer = nobody.get("/healthz")
    assert answer.status_code == 503
    assert answer.json["parts"]["database"]["ok"] is False


def test_the_next_request_is_answered_when_the_database_is_back(app: Flask, bob: Browser, down, monkeypatch) -> None:
    down()
    assert bob.get("/faxes").status_code == 503
    monkeypatch.undo()
    assert bob.get("/faxes").status_code == 200


def test_advice_that_was_asked_for_with_a_form_is_nothing_that_was_done(bob: Browser, down) -> None:
    token = bob.token("/faxes")
    down()
    answer = bob.client.post("/faxes/send/number", data={"csrf_token": token}, headers={"HX-Request": "true"})
    assert answer.status_code == 503 and "data-stays" not in answer.text
