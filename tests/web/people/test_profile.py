"""One's own account: name, password, second factor, browsers."""

import re
from datetime import timedelta

import pytest
from flask import Flask

from tenants.db import db, utc_now
from tenants.models import RecoveryCode, SecondFactor, SignInSession
from tests.web.accounts import acts, code, secret_of, set_up_second_factor, user
from tests.web.cast import PASSWORD, Browser, Cast

GOOD = "a long new password"


def post(browser: Browser, path: str, **data: str):
    return browser.post(f"/profile{path}", page="/profile", **data)


# ---- Name, language, password


def test_people_change_their_name_and_language_and_nothing_else(app: Flask, cast: Cast, bob: Browser) -> None:
    post(bob, "", name="Robert", language="it", role="admin", email="x@alpha.test", tenant_id=str(cast.beta))
    row = user(app, cast.bob)
    assert (row.name, row.language, row.role) == ("Robert", "it", "user")
    assert (row.email, row.tenant_id) == ("bob@alpha.test", cast.alpha)
    assert '<html lang="it"' in bob.get("/profile").text
    assert post(bob, "", name="", language="it").status_code == 422
    assert post(bob, "", name="Bob", language="xx").status_code == 422


def test_an_operator_has_a_profile_too(olga: Browser) -> None:
    assert "ops@faxroom.test" in olga.get("/profile").text
    assert post(olga, "", name="Olga", language="it").status_code == 303


def test_a_new_password_needs_the_old_one_and_signs_out_everywhere_else(app: Flask, bob: Browser) -> None:
    elsewhere = Browser(app)
    elsewhere.sign_in("bob@alpha.test")
    answer = post(bob, "/password", current="wrong", password=GOOD, repeated=GOOD)
    assert answer.status_code == 422
    assert "This is not your password" in answer.text
    assert post(bob, "/password", current=PASSWORD, password="short", repeated="short").status_code == 422
    assert post(bob, "/password", current=PASSWORD, password=GOOD, repeated="other").status_code == 422
    assert elsewhere.get("/faxes").status_code == 200, "nothing has changed so far"
    assert post(bob, "/password", current=PASSWORD, password=GOOD, repeated=GOOD).status_code == 303
    assert bob.get("/faxes").status_code == 200
    assert elsewhere.get("/faxes").headers["Location"].startswith("/sign-in")
    assert Browser(app).sign_in("bob@alpha.test").status_code == 422
    assert Browser(app).sign_in("bob@alpha.test", GOOD).status_code == 303
    assert acts(app) == [("user.password_changed", "bob@alpha.test")]


def test_the_old_password_is_not_guessed_at_an_open_browser(bob: Browser) -> None:
    for _ in range(10):
        post(bob, "/password", current="guess", password=GOOD, repeated=GOOD)
    answer = post(bob, "/password", current=PASSWORD, password=GOOD, repeated=GOOD)
    assert answer.status_code == 422
    assert "Too many failed attempts" in answer.text


# ---- The second factor


def test_setting_up_needs_the_password_and_a_right_code(app: Flask, cast: Cast, bob: Browser) -> None:
    answer = post(bob, "/second-factor/begin", current="wrong")
    assert answer.status_code == 422
    post(bob, "/second-factor/begin", current=PASSWORD)
    page = bob.get("/profile/second-factor").text
    secret = secret_of(app, cast.bob)
    assert secret in page.replace(" ", "")
    assert 'class="qr"' in page
    assert "style=" not in page
    wrong = f"{(int(code(secret)) + 1) % 1000000:06}"
    answer = bob.post("/profile/second-factor", page="/profile/second-factor", code=wrong)
    assert answer.status_code == 422
    assert user(app, cast.bob).second_factor_at is None
    assert Browser(app).sign_in("bob@alpha.test").headers["Location"] == "/", "it does not count yet"
    answer = bob.post("/profile/second-factor", page="/profile/second-factor", code=code(secret))
    assert answer.status_code == 303
    assert user(app, cast.bob).second_factor_at
    assert ("user.second_factor_set_up", "bob@alpha.test") in acts(app)


def test_the_secret_is_shown_no_more_once_it_counts_and_lies_encrypted(app: Flask, cast: Cast, bob: Browser) -> None:
    secret, codes = set_up_second_factor(app, bob, cast.bob)
    for path in ("/profile", "/profile/second-factor"):
        page = bob.get(path).text.replace(" ", "")
        assert secret not in page
        assert codes[0] not in page
    with app.app_context():
        stored = db.session.connection().exec_driver_sql("SELECT secret, pending_codes FROM second_factor").one()
        digests = [row.digest for row in db.session.query(RecoveryCode)]
    assert secret not in stored[0]
    assert stored[1] is None
    assert len(digests) == 10
    assert not set(digests) & set(codes)


def test_what_was_begun_can_be_left_and_an_earlier_telephone_goes_on(app: Flask, cast: Cast, bob: Browser) -> None:
    secret, codes = set_up_second_factor(app, bob, cast.bob)
    post(bob, "/second-factor/begin", current=PASSWORD, proof=codes[0])
    assert secret_of(app, cast.bob) != secret
    post(bob, "/second-factor/give-up")
    assert secret_of(app, cast.bob) == secret
    other = Browser(app)
    other.sign_in("bob@alpha.test")
    assert other.post("/sign-in/code", page="/sign-in/code", code=code(secret, later=1)).status_code == 303


@pytest.mark.parametrize("act", ["begin", "remove", "codes"])
def test_a_factor_is_changed_by_who_has_the_password_and_the_factor(
    app: Flask, cast: Cast, bob: Browser, act: str
) -> None:
    _secret, codes = set_up_second_factor(app, bob, cast.bob)
    for proof in (None, "", "000000", "0000-0000-0000-0000"):
        assert post(bob, f"/second-factor/{act}", current=PASSWORD, proof=proof).status_code == 422
    assert post(bob, f"/second-factor/{act}", current="wrong", proof=codes[0]).status_code == 422
    assert post(bob, f"/second-factor/{act}", current=PASSWORD, proof=codes[0]).status_code in (200, 303)


def test_it_is_turned_off_with_the_password_and_a_code(app: Flask, cast: Cast, bob: Browser) -> None:
    _secret, codes = set_up_second_factor(app, bob, cast.bob)
    assert post(bob, "/second-factor/remove", current=PASSWORD, proof=codes[0]).status_code == 303
    assert Browser(app).sign_in("bob@alpha.test").headers["Location"] == "/"
    with app.app_context():
        assert db.session.query(SecondFactor).count() == db.session.query(RecoveryCode).count() == 0


def test_new_recovery_codes_replace_the_earlier_ones(app: Flask, cast: Cast, bob: Browser) -> None:
    _secret, old = set_up_second_factor(app, bob, cast.bob)
    page = post(bob, "/second-factor/codes", current=PASSWORD, proof=old[0])
    new = re.findall(r"<li>([0-9a-z-]{19})</li>", page.text)
    assert len(new) == 10
    assert new[0] not in bob.get("/profile/second-factor").text, "shown once"
    other = Browser(app)
    other.sign_in("bob@alpha.test")
    assert other.post("/sign-in/code", page="/sign-in/code", code=old[1]).status_code == 422
    assert other.post("/sign-in/code", page="/sign-in/code", code=new[0]).status_code == 303


def test_without_a_second_factor_there_are_no_recovery_codes(bob: Browser) -> None:
    assert post(bob, "/second-factor/codes", current=PASSWORD).status_code == 404


# ---- Browsers


@pytest.fixture
def phone(app: Flask, cast: Cast) -> Browser:
    """Bob's telephone, signed in beside his desk."""
    browser = Browser(app)
    browser.client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (iPhone; <b>) Version/17 Mobile Safari/604.1"
    browser.sign_in("bob@alpha.test")
    return browser


def session_ids(app: Flask, user_id: int) -> list[int]:
    with app.app_context():
        rows = db.session.query(SignInSession).filter_by(user_id=user_id, ended_at=None)
        return [row.id for row in rows.order_by(SignInSession.id)]


def test_browsers_are_listed_and_ended_one_by_one(app: Flask, cast: Cast, bob: Browser, phone: Browser) -> None:
    page = bob.get("/profile").text
    assert "Safari, iPhone" in page
    assert "this one" in page
    assert "&lt;b&gt;" not in page
    _desk, other = session_ids(app, cast.bob)
    assert post(bob, f"/sessions/{other}/end").status_code == 303
    assert phone.get("/faxes").headers["Location"].startswith("/sign-in")
    assert bob.get("/faxes").status_code == 200
    assert post(bob, f"/sessions/{other}/end").status_code == 404


def test_all_others_are_ended_at_once(app: Flask, cast: Cast, bob: Browser, phone: Browser) -> None:
    post(bob, "/sessions/end")
    assert phone.get("/faxes").headers["Location"].startswith("/sign-in")
    assert bob.get("/faxes").status_code == 200


def test_nobody_ends_the_session_of_somebody_else(
    app: Flask, cast: Cast, bob: Browser, charlie: Browser, alice: Browser
) -> None:
    (desk,) = session_ids(app, cast.bob)
    for browser in (charlie, alice):
        answer = post(browser, f"/sessions/{desk}/end")
        assert answer.status_code == 404
    assert bob.get("/faxes").status_code == 200


@pytest.mark.parametrize(
    ("seen", "opened", "lives"),
    [(29, 29, True), (31, 31, False), (1, 89, True), (0, 91, False)],
)
def test_a_browser_that_is_idle_or_old_is_signed_out(
    app: Flask, bob: Browser, seen: int, opened: int, lives: bool
) -> None:
    with app.app_context():
        now = utc_now()
        values = {"last_seen_at": now - timedelta(days=seen), "created_at": now - timedelta(days=opened)}
        db.session.query(SignInSession).update(values)
        db.session.commit()
    assert (bob.get("/faxes").status_code == 200) == lives


def test_that_a_browser_is_in_use_is_noted_every_few_minutes_only(app: Flask, bob: Browser) -> None:
    def seen_at():
        with app.app_context():
            return db.session.query(SignInSession).one().last_seen_at

    first = seen_at()
    bob.get("/faxes")
    assert seen_at() == first
    with app.app_context():
        db.session.query(SignInSession).update({"last_seen_at": utc_now() - timedelta(minutes=6)})
        db.session.commit()
    bob.get("/faxes")
    second = seen_at()
    assert second > first
    bob.post("/theme", theme="dark")
    assert seen_at() == second


def test_the_picture_is_drawn_whole_in_whatever_size(bob: Browser) -> None:
    """A picture without a view box is cut where the style sheet makes it smaller."""
    post(bob, "/second-factor/begin", current=PASSWORD)
    picture = re.search(r"<svg[^>]*class=\"qr\"[^>]*>", bob.get("/profile/second-factor").text)[0]
    assert "viewBox" in picture
    assert "width=" not in picture


# ---- Mails about faxes


def test_people_choose_how_they_are_mailed(app: Flask, cast: Cast, bob: Browser) -> None:
    assert post(bob, "/mails", received_mail="encrypted", outcomes="daily", digest_at="07:30").status_code == 303
    row = user(app, cast.bob)
    assert (row.received_mail, row.digest_at.isoformat()) == ("encrypted", "07:30:00")
    page = bob.get("/profile").text
    assert 'value="07:30"' in page
    assert 'value="encrypted" selected' in page
    assert post(bob, "/mails", received_mail="", outcomes="each", digest_at="07:30").status_code == 303
    row = user(app, cast.bob)
    assert (row.received_mail, row.digest_at) == (None, None)


def test_a_time_that_is_none_is_told_and_what_was_chosen_stays_on_the_page(bob: Browser) -> None:
    answer = post(bob, "/mails", received_mail="notice", outcomes="daily", digest_at="25:00")
    assert answer.status_code == 422
    assert "Enter a time of day, such as 18:00." in answer.text
    assert 'value="notice" selected' in answer.text
    assert post(bob, "/mails", received_mail="plain", outcomes="each").status_code == 422
