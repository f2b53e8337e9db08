"""Passkeys: made in the profile, asked for after the password or in its place, and good for nothing a second time."""

import html
import json
import re
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask

from app.web.people import passkeys
from tenants.db import db
from tenants.models import Passkey, RecoveryCode, Tenant
from tests.authenticator import Device
from tests.web.accounts import Post, acts, set_up_second_factor, user
from tests.web.cast import PASSWORD, Browser, Cast
from tests.web.people.test_step_up import make_stale

pytestmark = pytest.mark.any_database

HERE = "http://localhost"
FACTOR = "/profile/second-factor"
OPTIONS = re.compile(r'data-passkey="create" data-options="([^"]+)"')


@pytest.fixture(autouse=True)
def _here(app: Flask) -> None:
    """The address that people use is the one that the browsers of the tests open."""
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], base_url=HERE)


@pytest.fixture
def post(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Post:
    return Post(app, monkeypatch)


@pytest.fixture
def laptop() -> Device:
    return Device(HERE)


def creation(browser: Browser) -> dict:
    return json.loads(html.unescape(OPTIONS.search(browser.get("/profile/passkeys/new").text)[1]))


def begin(browser: Browser, **proof: str) -> int:
    return browser.post("/profile/passkeys/begin", page=FACTOR, **({"current": PASSWORD} | proof)).status_code


def add(browser: Browser, device: Device, name: str = "Laptop", **proof: str):
    assert begin(browser, **proof) == 303
    return put(browser, device.create(creation(browser)), name)


def put(browser: Browser, answer: str, name: str = "Laptop"):
    return browser.post("/profile/passkeys", page="/profile/passkeys/new", passkey=answer, name=name)


def asked(browser: Browser, path: str = "/sign-in/passkey") -> dict:
    return browser.get(path).get_json(force=True)


def confirm(browser: Browser, device: Device) -> str:
    return device.sign(asked(browser, "/confirm/passkey"))


def alone(browser: Browser, device: Device):
    browser.token("/sign-in")
    return browser.post("/sign-in/passkey", page="/sign-in", passkey=device.sign(asked(browser)))


def second(browser: Browser, device: Device, email: str = "bob@alpha.test"):
    browser.sign_in(email)
    answer = device.sign(asked(browser, "/sign-in/passkey?second=1"))
    return browser.post("/sign-in/code", page="/sign-in/code", passkey=answer)


def is_in(browser: Browser) -> bool:
    return browser.get("/faxes").status_code == 200


def rows(app: Flask) -> list[Passkey]:
    with app.app_context():
        found = list(db.session.scalars(sa.select(Passkey).order_by(Passkey.id)))
        db.session.expunge_all()
        return found


# ---- Adding


def test_the_first_passkey_is_a_second_factor_and_brings_recovery_codes(
    app: Flask, cast: Cast, bob: Browser, laptop: Device, post: Post
) -> None:
    elsewhere = Browser(app)
    elsewhere.sign_in("bob@alpha.test")
    page = add(bob, laptop, "Work laptop").text
    codes = re.findall(r"<li>([0-9a-z-]{19})</li>", page)
    assert len(codes) == 10
    assert user(app, cast.bob).second_factor_at
    assert ("user.passkey_added", "bob@alpha.test") in acts(app)
    assert "The passkey “Work laptop” was added" in post.collect()[-1].get_content()
    (row,) = rows(app)
    assert (row.name, row.transports) == ("Work laptop", ["internal"])
    assert not is_in(elsewhere), "who came in without it is out"
    other = Browser(app)
    other.sign_in("bob@alpha.test")
    assert other.post("/sign-in/code", page="/sign-in/code", code=codes[0]).status_code == 303
    assert "It is on" not in bob.get(FACTOR).text, "no telephone shows codes"


def test_a_passkey_is_added_by_who_has_just_proved_who_they_are(bob: Browser, laptop: Device) -> None:
    assert "Your password" in bob.post("/profile/passkeys/begin", page=FACTOR).text
    assert begin(bob, current="wrong") == 422
    assert bob.get("/profile/passkeys/new").headers["Location"] == FACTOR
    assert put(bob, "{}").headers["Location"] == FACTOR


def test_a_second_one_needs_the_first_or_a_code(app: Flask, cast: Cast, bob: Browser, laptop: Device) -> None:
    page = add(bob, laptop).text
    codes = re.findall(r"<li>([0-9a-z-]{19})</li>", page)
    assert begin(bob) == 422, "the password alone is not enough"
    assert begin(bob, proof="0000-0000-0000-0000") == 422
    phone = Device(HERE)
    assert begin(bob, current="", passkey=confirm(bob, laptop)) == 303, "a passkey that has asked for a finger is both"
    assert put(bob, phone.create(creation(bob)), "Phone").status_code == 303
    assert add(bob, Device(HERE), "Key", proof=codes[0]).status_code == 303
    assert [row.name for row in rows(app)] == ["Laptop", "Phone", "Key"]
    with app.app_context():
        assert db.session.query(RecoveryCode).filter(RecoveryCode.used_at.is_(None)).count() == 9


def test_a_key_that_asks_nothing_needs_the_password_beside_it(bob: Browser) -> None:
    plain = Device(HERE, verifies=False)
    add(bob, plain)
    assert begin(bob, current="", passkey=confirm(bob, plain)) == 422
    assert begin(bob, passkey=confirm(bob, plain)) == 303


def test_the_device_is_told_what_it_has_already_and_is_entered_once(app: Flask, bob: Browser, laptop: Device) -> None:
    add(bob, laptop)
    begin(bob, current="", passkey=confirm(bob, laptop))
    options = creation(bob)
    assert [one["id"] for one in options["excludeCredentials"]] == [rows(app)[0].credential_id]
    assert "was already added" in put(bob, laptop.create(options)).text
    assert len(rows(app)) == 1


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines"])
def test_a_passkey_has_a_name(app: Flask, bob: Browser, laptop: Device, name: str) -> None:
    begin(bob)
    answer = put(bob, laptop.create(creation(bob)), name)
    assert answer.status_code == 422
    assert rows(app) == []


def test_nobody_collects_passkeys_without_end(app: Flask, bob: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.people.profile.MOST_PASSKEYS", 1)
    laptop = Device(HERE)
    add(bob, laptop)
    answer = bob.post("/profile/passkeys/begin", page=FACTOR, passkey=confirm(bob, laptop))
    assert "Remove one first" in answer.text


# ---- Signing in


def test_it_signs_in_after_the_password(app: Flask, bob: Browser, nobody: Browser, laptop: Device) -> None:
    add(bob, laptop)
    assert second(nobody, laptop).headers["Location"] == "/"
    assert is_in(nobody)
    assert rows(app)[0].last_used_at


def test_it_signs_in_by_itself_if_its_device_has_asked(app: Flask, bob: Browser, laptop: Device) -> None:
    add(bob, laptop)
    browser = Browser(app)
    assert alone(browser, laptop).status_code == 303
    assert is_in(browser)
    laptop.verifies = False
    page = alone(Browser(app), laptop)
    assert page.status_code == 422
    assert "Enter your password first" in page.text
    assert second(Browser(app), laptop).status_code == 303


def test_a_closed_account_does_not_come_in_by_a_passkey(
    app: Flask, cast: Cast, alice: Browser, bob: Browser, laptop: Device
) -> None:
    add(bob, laptop)
    alice.post(f"/users/{cast.bob}/disable", page="/users")
    assert alone(Browser(app), laptop).status_code == 403


def test_an_answer_counts_once(app: Flask, bob: Browser, laptop: Device) -> None:
    add(bob, laptop)
    laptop.counts, laptop.count = False, 99
    thief = Browser(app)
    thief.token("/sign-in")
    answer = laptop.sign(asked(thief))
    cookie = thief.client.get_cookie("session").value
    assert thief.post("/sign-in/passkey", page="/sign-in", passkey=answer).status_code == 303
    thief.client.set_cookie("session", cookie)
    again = thief.client.post("/sign-in/passkey", data={"passkey": answer, "csrf_token": thief.token("/sign-in")})
    assert again.status_code == 422
    assert "came too late" in again.text


def test_an_answer_is_for_one_purpose_one_person_and_one_browser(
    app: Flask, cast: Cast, bob: Browser, alice: Browser, laptop: Device
) -> None:
    add(bob, laptop)
    at_desk = confirm(bob, laptop)
    browser = Browser(app)
    browser.token("/sign-in")
    assert browser.post("/sign-in/passkey", page="/sign-in", passkey=at_desk).status_code == 422
    asked(browser)
    other = Browser(app)
    other.token("/sign-in")
    assert other.post("/sign-in/passkey", page="/sign-in", passkey=laptop.sign(asked(browser))).status_code == 422
    assert begin(alice, current="", passkey=confirm(alice, laptop)) == 422, "it is Bob's"


def test_an_answer_is_given_within_ten_minutes(app: Flask, bob: Browser, laptop: Device, monkeypatch) -> None:
    add(bob, laptop)
    browser = Browser(app)
    browser.token("/sign-in")
    answer = laptop.sign(asked(browser))
    now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + passkeys.ANSWER_SECONDS + 2)
    assert "came too late" in browser.post("/sign-in/passkey", page="/sign-in", passkey=answer).text


@pytest.mark.parametrize(
    "twist",
    [
        {"origin": "https://localhost.evil.test"},
        {"origin": "http://localhost:8080"},
        {"rp_id": "evil.test"},
        {"user_handle": "bm90IGJvYg"},
        {"count": 0},
        {"key": Device(HERE).key},
        {"credential_id": b"somebody else's"},
    ],
    ids=["another origin", "another port", "another site", "another person", "a copy", "another key", "unknown"],
)
def test_what_is_not_signed_here_by_this_very_passkey_lets_nobody_in(
    app: Flask, bob: Browser, laptop: Device, twist: dict
) -> None:
    laptop.count = 5
    add(bob, laptop)
    browser = Browser(app)
    answer = alone(browser, replace(laptop, **twist))
    assert answer.status_code == 422
    assert not is_in(browser)
    assert alone(browser, laptop).status_code == 303, "and the owner is not kept out"


@pytest.mark.parametrize(
    "answer", ["", "{}", "[]", "null", '{"id": 1}', '{"response": {"clientDataJSON": "e30"}}', "x" * 30_000, "\ud83d\0"]
)
def test_what_is_no_answer_is_refused_like_a_wrong_one(app: Flask, cast: Cast, bob: Browser, answer: str) -> None:
    browser = Browser(app)
    answer = answer.encode("utf-8", "replace").decode()
    assert browser.post("/sign-in/passkey", page="/sign-in", passkey=answer).status_code == 422
    assert begin(bob, passkey=answer or "{}") == 422
    assert put(bob, answer).status_code == 303
    begin(bob)
    assert put(bob, answer).status_code == 422


def test_refused_passkeys_are_in_the_log_and_slowed_down(app: Flask, bob: Browser, laptop: Device) -> None:
    add(bob, laptop)
    stranger = Browser(app)
    for _ in range(10):
        stranger.sign_in("bob@alpha.test")
        answer = Device(HERE).sign(asked(stranger, "/sign-in/passkey?second=1"))
        assert stranger.post("/sign-in/code", page="/sign-in/code", passkey=answer).status_code == 422
    assert "Too many failed attempts" in second(stranger, laptop).text


# ---- Confirming


def test_it_confirms_dangerous_acts(app: Flask, cast: Cast, alice: Browser, laptop: Device) -> None:
    add(alice, laptop)
    make_stale(app)
    form = {"email": "bob@alpha.test", "name": "Bobby", "role": "user", "language": ""}
    page = alice.post(f"/users/{cast.bob}", **form)
    assert page.status_code == 403
    assert "Use a passkey" in page.text
    assert 'name="passkey" hidden' not in page.text, "an answer is not held with what was typed"
    wrong = alice.post(f"/users/{cast.bob}", **form, step_up="", passkey=confirm(alice, Device(HERE)))
    assert wrong.status_code == 422
    done = alice.post(f"/users/{cast.bob}", **form, step_up="", passkey=confirm(alice, laptop))
    assert done.status_code == 303
    assert user(app, cast.bob).name == "Bobby"


# ---- Renaming and removing


def test_one_is_renamed_and_one_removed_and_the_last_takes_the_recovery_codes_with_it(
    app: Flask, cast: Cast, bob: Browser, laptop: Device, post: Post
) -> None:
    add(bob, laptop)
    phone = Device(HERE)
    begin(bob, current="", passkey=confirm(bob, laptop))
    put(bob, phone.create(creation(bob)), "Phone")
    first, other = (row.id for row in rows(app))
    assert bob.post(f"/profile/passkeys/{first}", page=FACTOR, name="Old laptop").status_code == 303
    assert bob.post(f"/profile/passkeys/{first}", page=FACTOR, name="").status_code == 422
    assert [row.name for row in rows(app)] == ["Old laptop", "Phone"]
    assert bob.post(f"/profile/passkeys/{other}/remove", page=FACTOR, current=PASSWORD).status_code == 422
    post.collect()
    assert bob.post(f"/profile/passkeys/{other}/remove", page=FACTOR, passkey=confirm(bob, laptop)).status_code == 303
    assert "The passkey “Phone” was removed" in post.collect()[-1].get_content()
    assert alone(Browser(app), phone).status_code == 422
    assert bob.post(f"/profile/passkeys/{first}/remove", page=FACTOR, passkey=confirm(bob, laptop)).status_code == 303
    assert user(app, cast.bob).second_factor_at is None
    with app.app_context():
        assert db.session.query(RecoveryCode).count() == 0
    assert "second factor of your Faxroom account was removed" in post.collect()[-1].get_content()
    wanted = ["user.passkey_added", "user.passkey_added", "user.passkey_renamed", *["user.passkey_removed"] * 2]
    assert [action for action, _target in acts(app)] == wanted
    assert Browser(app).sign_in("bob@alpha.test").headers["Location"] == "/"


def test_nobody_touches_the_passkey_of_somebody_else(
    app: Flask, bob: Browser, alice: Browser, charlie: Browser, laptop: Device
) -> None:
    add(bob, laptop)
    (mine,) = rows(app)
    for browser in (alice, charlie):
        assert browser.post(f"/profile/passkeys/{mine.id}", page=FACTOR, name="x").status_code == 404
        assert browser.post(f"/profile/passkeys/{mine.id}/remove", page=FACTOR, current=PASSWORD).status_code == 404


def test_a_telephone_and_a_passkey_stand_side_by_side(app: Flask, cast: Cast, bob: Browser, laptop: Device) -> None:
    _secret, codes = set_up_second_factor(app, bob, cast.bob)
    assert add(bob, laptop, proof=codes[0]).status_code == 303, "recovery codes are there already"
    answer = bob.post(f"{FACTOR}/remove", page=FACTOR, passkey=confirm(bob, laptop))
    assert answer.status_code == 303
    assert user(app, cast.bob).second_factor_at
    browser = Browser(app)
    browser.sign_in("bob@alpha.test")
    page = browser.get("/sign-in/code").text
    assert "Use a passkey, or enter a recovery code" in page
    assert browser.post("/sign-in/code", page="/sign-in/code", code=codes[1]).status_code == 303


def test_a_company_s_demand_is_met_by_a_passkey_whose_last_one_stays(
    app: Flask, cast: Cast, bob: Browser, laptop: Device
) -> None:
    with app.app_context():
        db.session.get_one(Tenant, cast.alpha).second_factor_required = True
        db.session.commit()
    assert bob.get("/faxes").headers["Location"] == FACTOR
    add(bob, laptop)
    assert is_in(bob)
    (mine,) = rows(app)
    assert "/remove" not in bob.get(FACTOR).text
    answer = bob.post(f"/profile/passkeys/{mine.id}/remove", page=FACTOR, passkey=confirm(bob, laptop))
    assert answer.status_code == 404


def test_an_operator_s_demand_is_met_by_a_passkey(app: Flask, olga: Browser, laptop: Device) -> None:
    app.config["OPERATORS_NEED_FACTOR"] = True
    assert olga.get("/operator").headers["Location"] == FACTOR
    add(olga, laptop)
    assert olga.get("/operator").status_code == 200


def test_an_administrator_removes_lost_passkeys_as_a_lost_telephone(
    app: Flask, cast: Cast, alice: Browser, bob: Browser, laptop: Device
) -> None:
    add(bob, laptop)
    alice.post(f"/users/{cast.bob}/second-factor", page="/users")
    assert rows(app) == []
    assert Browser(app).sign_in("bob@alpha.test").headers["Location"] == "/"
    assert alone(Browser(app), laptop).status_code == 422


# ---- Where


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://localhost", "Add a passkey"),
        ("https://fax.example.org", "Passkeys work only at this address"),
        ("http://fax.example.org", "they need a host name and HTTPS"),
        ("http://192.0.2.7:8000", "they need a host name and HTTPS"),
    ],
)
def test_the_page_says_where_passkeys_work(app: Flask, bob: Browser, nobody: Browser, url: str, words: str) -> None:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], base_url=url)
    assert words in bob.get(FACTOR).text
    assert ("Sign in with a passkey" in nobody.get("/sign-in").text) == (url == HERE)
    assert nobody.get("/sign-in/passkey").status_code == (404 if "host name" in words else 200)
