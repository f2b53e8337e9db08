"""In and out."""

import re
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pyotp
import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from app.config import Settings
from app.factory import create_app
from app.models import Notice
from app.web.people import sign_in
from tenants.db import db, utc_now
from tenants.models import EmailAddress, OneTimeLink, SecondFactor, SignInSession, Tenant, User
from tenants.passwords import hash_password
from tenants.people import WeakPassword, check_password
from tests.web.accounts import Post, code, set_up_second_factor, user
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
    assert "The email address or password is wrong" in answer.text
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


def guess(browser: Browser, address: str, password: str = "guess") -> TestResponse:
    return browser.client.post(
        "/sign-in",
        data={"email": "bob@alpha.test", "password": password, "csrf_token": browser.token()},
        environ_base={"REMOTE_ADDR": address},
    )


def test_guessing_one_account_from_an_address_is_slowed_down(nobody: Browser) -> None:
    for _ in range(10):
        assert guess(nobody, "192.0.2.1").status_code == 422
    answer = guess(nobody, "192.0.2.1", PASSWORD)
    assert answer.status_code == 429, "even the right password waits"
    assert int(answer.headers["Retry-After"]) >= 60
    assert "Too many failed attempts. Wait" in answer.text
    assert 'value="bob@alpha.test"' in answer.text
    assert nobody.sign_in("alice@alpha.test").status_code == 303, "others do not"


def test_no_stranger_keeps_the_owner_out_however_many_addresses_they_have(app: Flask, cast: Cast) -> None:
    stranger = Browser(app)
    for turn in range(40):
        assert guess(stranger, f"192.0.2.{turn}").status_code == 422
    assert guess(Browser(app), "198.51.100.7", PASSWORD).status_code == 303


def test_the_owners_browser_comes_in_from_the_very_address_of_the_guesses(app: Flask, bob: Browser) -> None:
    bob.post("/sign-out")
    stranger = Browser(app)
    for _ in range(11):
        last = guess(stranger, "192.0.2.1")
    assert last.status_code == 429
    assert guess(bob, "192.0.2.1", PASSWORD).status_code == 303
    bob.post("/sign-out")
    for _ in range(10):
        assert guess(bob, "192.0.2.1").status_code == 422
    assert guess(bob, "192.0.2.1").status_code == 429, "and is slowed down by itself"


def test_a_cookie_that_somebody_made_up_is_no_known_browser(app: Flask, cast: Cast, bob: Browser) -> None:
    stranger = Browser(app)
    for value in ("x", bob.client.get_cookie("known").value[:-2] + "xx"):
        stranger.client.set_cookie("known", value)
        for _ in range(11):
            last = guess(stranger, f"192.0.2.{len(value) % 200}")
        assert last.status_code == 429
        assert guess(bob, f"192.0.2.{len(value) % 200}", PASSWORD).status_code in (302, 303)


def test_an_address_of_ipv6_is_its_whole_network(nobody: Browser) -> None:
    for turn in range(10):
        assert guess(nobody, f"2001:db8::{turn + 1:x}").status_code == 422
    assert guess(nobody, "2001:db8::ffff").status_code == 429
    assert guess(nobody, "2001:db8:0:1::1").status_code == 422


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


# ---- The code after the password


@pytest.fixture
def factor(app: Flask, cast: Cast, bob: Browser) -> tuple[str, list[str]]:
    """Bob's secret and recovery codes; the code of now is used up already."""
    return set_up_second_factor(app, bob, cast.bob)


def give_code(browser: Browser, text: str, **more: str):
    return browser.post("/sign-in/code", page="/sign-in/code", code=text, **more)


def test_the_password_alone_opens_nothing_where_a_code_is_asked_for(nobody: Browser, factor) -> None:
    answer = nobody.sign_in("bob@alpha.test", next="/faxes?direction=sent")
    assert answer.headers["Location"] == "/sign-in/code?next=/faxes?direction%3Dsent"
    assert nobody.get("/faxes").headers["Location"].startswith("/sign-in")
    secret, _codes = factor
    answer = give_code(nobody, code(secret, later=1), next="/faxes?direction=sent")
    assert answer.headers["Location"] == "/faxes?direction=sent"
    assert nobody.get("/faxes").status_code == 200


def test_a_code_counts_once(app: Flask, nobody: Browser, factor) -> None:
    secret, _codes = factor
    with app.app_context():
        at_set_up = db.session.scalars(sa.select(SecondFactor)).one().last_counter
    first, second = (pyotp.TOTP(secret).generate_otp(at_set_up + later) for later in (0, 1))
    nobody.sign_in("bob@alpha.test")
    answer = give_code(nobody, first)
    assert answer.status_code == 422, "it was used when the second factor was set up"
    assert "was already used" in answer.text
    assert give_code(nobody, second).status_code == 303
    thief = Browser(app)
    thief.sign_in("bob@alpha.test")
    assert give_code(thief, second).status_code == 422
    assert give_code(thief, first).status_code == 422, "nor does one from before the last"


def test_a_recovery_code_counts_once_too_and_its_owner_hears_how_many_are_left(
    app: Flask, nobody: Browser, factor
) -> None:
    _secret, codes = factor
    nobody.sign_in("bob@alpha.test")
    assert give_code(nobody, codes[0].upper().replace("-", " ")).status_code == 303
    assert "You have 9 recovery codes left" in nobody.get("/profile").text
    other = Browser(app)
    other.sign_in("bob@alpha.test")
    assert give_code(other, codes[0]).status_code == 422


def test_guessing_codes_is_slowed_down_and_the_password_does_not_forgive_it(
    app: Flask, nobody: Browser, factor
) -> None:
    secret, codes = factor
    for _ in range(10):
        nobody.sign_in("bob@alpha.test")
        assert give_code(nobody, "000000").status_code == 422
    nobody.sign_in("bob@alpha.test")
    for right in (code(secret, later=1), codes[0]):
        answer = give_code(nobody, right)
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 60


def test_half_a_sign_in_ends_after_ten_minutes_and_with_a_new_password(
    app: Flask, cast: Cast, nobody: Browser, factor, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody.sign_in("bob@alpha.test")
    with monkeypatch.context() as patch:
        now = time.time()
        patch.setattr(sign_in.time, "time", lambda: now + 601)
        assert nobody.get("/sign-in/code").headers["Location"] == "/sign-in"
    nobody.sign_in("bob@alpha.test")
    with app.app_context():
        db.session.get(User, cast.bob).password_hash = "another"
        db.session.commit()
    assert nobody.get("/sign-in/code").headers["Location"] == "/sign-in"


def test_without_a_password_there_is_no_page_for_codes(nobody: Browser, factor) -> None:
    assert nobody.get("/sign-in/code").headers["Location"] == "/sign-in"
    assert nobody.post("/sign-in/code", page="/sign-in", code="000000").headers["Location"] == "/sign-in"


def test_a_closed_account_does_not_finish_signing_in(app: Flask, cast: Cast, nobody: Browser, factor) -> None:
    nobody.sign_in("bob@alpha.test")
    with app.app_context():
        db.session.get(User, cast.bob).disabled_at = utc_now()
        db.session.commit()
    assert nobody.get("/sign-in/code").headers["Location"] == "/sign-in"


# ---- A lost password


GOOD = "a long new password"


@pytest.fixture
def post(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Post:
    monkeypatch.setattr(sign_in, "RESET_SECONDS", 0)
    return Post(app, monkeypatch)


def lose(browser: Browser, email: str):
    return browser.post("/password", page="/password", email=email)


def test_a_lost_password_is_replaced_by_a_mailed_link(app: Flask, post: Post, nobody: Browser, bob: Browser) -> None:
    assert 'href="/password"' in nobody.get("/sign-in").text
    lose(nobody, " BOB@alpha.test ")
    link = post.link()
    assert nobody.get(link).status_code == 200
    assert nobody.post(link, page=link, password=GOOD, repeated=GOOD).status_code == 303
    assert nobody.get("/faxes").status_code == 200
    assert bob.get("/faxes").headers["Location"].startswith("/sign-in"), "every session has ended"
    assert Browser(app).sign_in("bob@alpha.test").status_code == 422
    assert Browser(app).sign_in("bob@alpha.test", GOOD).status_code == 303
    assert nobody.get(link).status_code == 404


def test_whether_an_address_exists_is_told_to_nobody(app: Flask, post: Post, nobody: Browser) -> None:
    with app.app_context():
        db.session.query(User).filter_by(name="Charlie").one().disabled_at = utc_now()
        db.session.commit()
    pages = []
    for email in (
        "bob@alpha.test",
        "no.body@alpha.test",
        "charlie@beta.test",
        "nonsense",
        "bob@alpha.test\nBcc: x@x.test",
    ):
        answer = lose(nobody, email)
        page = re.sub(r'value="[^"]{20,}"', "", answer.text)
        pages.append((answer.status_code, re.sub(r"account for .*?, an email", "", page, flags=re.S)))
    assert len(set(pages)) == 1
    assert [mail["To"] for mail in post.collect()] == ["bob@alpha.test"]


def test_the_answer_takes_its_time_whether_or_not_a_mail_is_written(
    app: Flask, cast: Cast, nobody: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    clock = SimpleNamespace(time=time.time, monotonic=lambda: 100.0, sleep=waited.append)
    monkeypatch.setattr(sign_in, "time", clock)
    for email in ("bob@alpha.test", "no.body@alpha.test"):
        lose(nobody, email)
    assert waited == [sign_in.RESET_SECONDS] * 2


def test_a_link_for_a_new_password_works_for_an_hour(app: Flask, post: Post, nobody: Browser) -> None:
    lose(nobody, "bob@alpha.test")
    link = post.link()
    for minutes, status in ((59, 200), (61, 404)):
        with app.app_context():
            row = db.session.query(OneTimeLink).one()
            row.expires_at = row.created_at + timedelta(hours=1) - timedelta(minutes=minutes)
            db.session.commit()
        assert nobody.get(link).status_code == status
    assert nobody.post(link, page="/sign-in", password=GOOD, repeated=GOOD).status_code == 404


def test_one_account_gets_three_mails_an_hour_and_nobody_is_told(
    app: Flask, cast: Cast, post: Post, nobody: Browser
) -> None:
    for _ in range(6):
        assert lose(nobody, "bob@alpha.test").status_code == 200
        with app.app_context():
            db.session.query(OneTimeLink).update({"created_at": utc_now() - timedelta(minutes=2)})
            db.session.commit()
    with app.app_context():
        assert db.session.query(Notice).count() == 3


def test_one_address_asks_for_twenty_mails_and_then_waits(app: Flask, post: Post, nobody: Browser) -> None:
    answers = [lose(nobody, f"{n}@alpha.test").status_code for n in range(21)]
    assert answers == [200] * 20 + [429]


def test_a_mailbox_alone_does_not_get_past_a_second_factor(app: Flask, post: Post, nobody: Browser, factor) -> None:
    lose(nobody, "bob@alpha.test")
    link = post.link()
    answer = nobody.post(link, page=link, password=GOOD, repeated=GOOD)
    assert answer.headers["Location"] == "/sign-in"
    assert nobody.get("/faxes").headers["Location"].startswith("/sign-in")
    assert nobody.sign_in("bob@alpha.test", GOOD).headers["Location"] == "/sign-in/code"


def test_every_link_dies_with_the_first_that_is_used(app: Flask, post: Post, nobody: Browser) -> None:
    lose(nobody, "bob@alpha.test")
    first = post.link()
    with app.app_context():
        db.session.query(OneTimeLink).update({"created_at": utc_now() - timedelta(minutes=2)})
        db.session.commit()
    lose(nobody, "bob@alpha.test")
    second = post.link()
    assert nobody.get(first).status_code == 200, "somebody else who asks does not spoil it"
    nobody.post(second, page=second, password=GOOD, repeated=GOOD)
    assert nobody.get(first).status_code == 404


def test_an_operator_can_lose_a_password_too(app: Flask, cast: Cast, post: Post, nobody: Browser) -> None:
    lose(nobody, "ops@faxroom.test")
    link = post.link()
    nobody.post(link, page=link, password=GOOD, repeated=GOOD)
    assert nobody.get("/operator/tenants").status_code == 200
    assert user(app, cast.olga).second_factor_at is None


# ---- What the owner of an account hears


def test_a_sign_in_from_somewhere_new_is_told_by_mail(app: Flask, cast: Cast, bob: Browser, post: Post) -> None:
    assert post.collect() == [], "the first of all is no news"
    assert Browser(app).sign_in("bob@alpha.test").status_code == 303
    assert post.collect() == [], "nor is the same network and kind of browser"
    assert guess(Browser(app), "203.0.113.9", PASSWORD).status_code == 303
    (mail,) = post.collect()
    assert mail["To"] == "bob@alpha.test"
    assert mail["Subject"] == "New sign-in to your Faxroom account"
    assert "From: 203.0.113.9" in mail.get_content()
    assert "/password" in mail.get_content()
    assert guess(Browser(app), "203.0.113.9", PASSWORD).status_code == 303
    assert post.collect() == [], "it is known from now on"


def test_another_browser_at_a_known_address_is_new(app: Flask, cast: Cast, bob: Browser, post: Post) -> None:
    other = Browser(app)
    other.client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"
    assert other.sign_in("bob@alpha.test").status_code == 303
    (mail,) = post.collect()
    assert "Browser: Firefox, Linux" in mail.get_content()


# ---- Passwords that others try first


@pytest.mark.parametrize(
    "password", ["password1234", "P@ssw0rd1234", "qwertyuiop12", "123456789012", "aaaaaaaaaaaaaa", "faxroom12345"]
)
def test_a_password_that_is_known_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword, match="known"):
        check_password(password, _somebody())


def test_eleven_characters_are_too_few_and_words_that_nobody_knows_are_fine() -> None:
    with pytest.raises(WeakPassword, match="short"):
        check_password("k7#mQ2zp!x4", _somebody())
    for password in ("correct horse battery", "faxroom-demo", "k7#mQ2zp!x4v", "lampada verde mare"):
        check_password(password, _somebody())


def _somebody() -> User:
    return User(name="Dora Rossi", address=EmailAddress(address="dora@alpha.test", folded="dora@alpha.test"))


def test_a_password_that_is_too_short_by_now_still_signs_in(app: Flask, cast: Cast) -> None:
    with app.app_context():
        db.session.get_one(User, cast.bob).password_hash = hash_password("0ld-pass10")
        db.session.commit()
    assert Browser(app).sign_in("bob@alpha.test", "0ld-pass10").status_code == 303


# ---- Cookies


def test_over_https_no_neighbouring_host_can_set_our_cookies(tmp_path: Path) -> None:
    environment = {"FAXROOM_HOME": str(tmp_path), "SECRET_KEY": "a test", "FAXROOM_URL": "https://fax.example.test"}
    app = create_app(Settings.from_environment(environment))
    assert app.config["SESSION_COOKIE_NAME"] == "__Host-session"
    browser = app.test_client()
    answer = browser.get("/sign-in", base_url="https://fax.example.test")
    (cookie,) = [value for value in answer.headers.getlist("Set-Cookie") if "session" in value]
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_over_plain_http_they_have_their_plain_names(bob: Browser) -> None:
    assert bob.client.get_cookie("session") is not None
    assert bob.client.get_cookie("known") is not None
