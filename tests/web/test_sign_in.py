"""In and out."""

import pytest
from flask import Flask

from tenants.db import db, utc_now
from tenants.models import SignInSession, Tenant, User
from tests.web.cast import PASSWORD, Browser, Cast, make_document


def test_sign_in_leads_to_the_send_form(nobody: Browser) -> None:
    assert nobody.sign_in("bob@alpha.test").headers["Location"] == "/"
    assert nobody.get("/").headers["Location"] == "/faxes/send"


def test_sign_in_disregards_the_case_of_the_address(nobody: Browser) -> None:
    assert nobody.sign_in(" BOB@Alpha.Test ").status_code == 303


def test_sign_in_goes_on_to_the_page_that_was_asked_for(nobody: Browser) -> None:
    asked = nobody.get("/faxes?direction=received").headers["Location"]
    assert asked == "/sign-in?next=/faxes?direction%3Dreceived"
    answer = nobody.post(asked, page=asked, email="bob@alpha.test", password=PASSWORD)
    assert answer.headers["Location"] == "/faxes?direction=received"


def test_sign_in_never_leads_to_another_site(nobody: Browser) -> None:
    assert nobody.sign_in("bob@alpha.test", next="//evil.test/").headers["Location"] == "/"


@pytest.mark.parametrize("email", ["bob@alpha.test", "nobody@alpha.test"])
def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(nobody: Browser, email: str) -> None:
    answer = nobody.sign_in(email, "wrong")
    assert answer.status_code == 422
    assert "Email address or password is wrong" in answer.text
    assert f'value="{email}"' in answer.text, "what was typed is kept"
    assert "wrong<" not in answer.text.replace("is wrong", ""), "but never a password"


def test_a_session_rotates_at_sign_in_and_ends_at_sign_out(app: Flask, nobody: Browser) -> None:
    with nobody.client.session_transaction() as session:
        session["planted"] = "by somebody else"
    nobody.sign_in("bob@alpha.test")
    with nobody.client.session_transaction() as session:
        first = dict(session)
    assert "planted" not in first
    nobody.client.get("/")
    nobody.sign_in("bob@alpha.test")
    with nobody.client.session_transaction() as session:
        assert session["token"] != first["token"]
    with app.app_context():
        ended = [row.ended_at for row in db.session.query(SignInSession).order_by(SignInSession.id)]
    assert [when is not None for when in ended] == [True, False]
    nobody.post("/sign-out")
    assert nobody.get("/faxes").headers["Location"].startswith("/sign-in")


def test_a_copied_cookie_is_worthless_after_sign_out(app: Flask, bob: Browser) -> None:
    with bob.client.session_transaction() as session:
        stolen = dict(session)
    bob.post("/sign-out")
    thief = Browser(app)
    with thief.client.session_transaction() as session:
        session.update(stolen)
    assert thief.get("/faxes").headers["Location"].startswith("/sign-in")


def test_guessing_one_account_is_slowed_down_from_wherever_it_comes(nobody: Browser) -> None:
    for turn in range(10):
        answer = nobody.client.post(
            "/sign-in",
            data={"email": "bob@alpha.test", "password": "guess", "csrf_token": nobody.token()},
            environ_base={"REMOTE_ADDR": f"192.0.2.{turn}"},
        )
        assert answer.status_code == 422
    answer = nobody.sign_in("bob@alpha.test")
    assert answer.status_code == 429, "even the right password waits"
    assert int(answer.headers["Retry-After"]) >= 60
    assert "Too many wrong tries. Wait" in answer.text
    assert 'value="bob@alpha.test"' in answer.text
    assert nobody.sign_in("alice@alpha.test").status_code == 303, "others do not"


def test_guessing_many_accounts_from_one_address_is_slowed_down(app: Flask, nobody: Browser) -> None:
    token = nobody.token()
    tries = [
        nobody.client.post("/sign-in", data={"email": f"{n}@x.test", "password": "x", "csrf_token": token}).status_code
        for n in range(51)
    ]
    assert tries == [422] * 50 + [429]


def test_right_passwords_are_never_counted(app: Flask, cast: Cast) -> None:
    for _ in range(12):
        assert Browser(app).sign_in("bob@alpha.test").status_code == 303


def test_a_closed_account_is_told_only_to_who_knows_its_password(app: Flask, nobody: Browser, bob: Browser) -> None:
    with app.app_context():
        db.session.query(User).filter_by(name="Bob").one().disabled_at = utc_now()
        db.session.commit()
    assert bob.get("/faxes").headers["Location"].startswith("/sign-in"), "and who is in is out"
    assert "This account is closed" not in nobody.sign_in("bob@alpha.test", "wrong").text
    answer = nobody.sign_in("bob@alpha.test")
    assert answer.status_code == 403
    assert "This account is closed" in answer.text


def test_who_belongs_to_a_suspended_company_comes_in_and_sends_nothing(app: Flask, cast: Cast, bob: Browser) -> None:
    with app.app_context():
        db.session.query(Tenant).filter_by(slug="alpha").one().suspended_at = utc_now()
        draft = make_document(app, cast.alpha)
        draft.user_id = cast.bob
        db.session.commit()
        draft_id = draft.id
    assert bob.get("/faxes").status_code == 200
    assert Browser(app).sign_in("bob@alpha.test").status_code == 303
    answer = bob.post("/faxes/send", entity=str(cast.frontdesk), to="0501234567", draft=draft_id)
    assert answer.status_code == 422
    assert "is suspended, so nothing can be sent" in answer.text


def test_the_page_is_in_the_users_language(app: Flask, bob: Browser) -> None:
    with app.app_context():
        db.session.query(User).filter_by(name="Bob").one().language = "it"
        db.session.commit()
    page = bob.get("/faxes/send").text
    assert '<html lang="it"' in page
    assert "Linea di origine" in page


def test_appearance_is_chosen_without_a_script_too(bob: Browser) -> None:
    answer = bob.post("/theme", theme="dark", back="/faxes?direction=sent")
    assert answer.headers["Location"] == "/faxes?direction=sent"
    assert 'data-theme="dark"' in bob.get("/faxes").text
    assert bob.post("/theme", theme="dark", back="//evil.test").headers["Location"] == "/"
    bob.post("/theme", theme="<script>", back="/faxes")
    assert 'data-theme="dark"' in bob.get("/faxes").text
