"""A new address of somebody whom the company has already is nobody's before it has answered."""

import pytest
from flask import Flask

from tenants.addresses import claim_address, user_by_address
from tenants.db import db
from tests.web.accounts import LINK, Post, acts, user
from tests.web.cast import PASSWORD, Browser, Cast

NEW = "robert@free.test"


@pytest.fixture
def post(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Post:
    return Post(app, monkeypatch)


def change(browser: Browser, user_id: int, email: str = NEW):
    details = {"email": email, "name": "Bob", "role": "user", "language": ""}
    return browser.post(f"/users/{user_id}", page="/users", **details)


def mailed(post: Post) -> tuple[str, str]:
    """Whom the one new mail is to, and the path of its link."""
    (mail,) = post.collect()
    return mail["To"], LINK.search(mail.get_content())[1]


def signs_in(app: Flask, email: str) -> bool:
    return Browser(app).sign_in(email).status_code == 303


def test_nothing_changes_before_the_new_address_has_answered(
    app: Flask, cast: Cast, alice: Browser, bob: Browser, post: Post
) -> None:
    assert change(alice, cast.bob).status_code == 303
    to, link = mailed(post)
    assert to == NEW
    assert user(app, cast.bob).email == "bob@alpha.test"
    assert not signs_in(app, NEW)
    assert "has not been confirmed yet" in alice.get(f"/users/{cast.bob}").text
    assert NEW in bob.get("/profile").text
    assert bob.get(link).status_code == 200
    assert user(app, cast.bob).email == "bob@alpha.test", "mail servers open links too"
    assert bob.post(link, page=link).status_code == 303
    assert user(app, cast.bob).email == NEW
    assert user(app, cast.bob).new_email is None
    assert signs_in(app, NEW)
    assert not signs_in(app, "bob@alpha.test")
    assert sorted(mail["To"] for mail in post.collect()) == ["bob@alpha.test", NEW]
    assert [action for action, _target in acts(app)] == ["user.address_asked", "user.address_changed"]
    assert bob.get(link).status_code == 404


def test_only_the_one_whom_it_is_about_confirms_it(
    app: Flask, cast: Cast, alice: Browser, charlie: Browser, nobody: Browser, post: Post
) -> None:
    change(alice, cast.bob)
    _to, link = mailed(post)
    for browser in (alice, charlie):
        assert browser.get(link).status_code == 404
        assert browser.post(link, page="/profile").status_code == 404
    assert nobody.get(link).headers["Location"].startswith("/sign-in?next=/profile/address/")
    assert user(app, cast.bob).email == "bob@alpha.test"


def test_whoever_proves_an_address_first_has_it(
    app: Flask, cast: Cast, alice: Browser, bob: Browser, post: Post
) -> None:
    change(alice, cast.bob)
    _to, link = mailed(post)
    with app.app_context():
        claim_address(db.session, NEW)
        db.session.commit()
    answer = bob.post(link, page=link)
    assert answer.status_code == 422
    assert "an address can have only one" in answer.text
    assert user(app, cast.bob).email == "bob@alpha.test"
    assert change(alice, cast.bob, "charlie@beta.test").status_code == 422, "nor is one asked that somebody has"


def test_the_last_word_counts_and_may_be_taken_back(
    app: Flask, cast: Cast, alice: Browser, bob: Browser, post: Post
) -> None:
    change(alice, cast.bob)
    _to, first = mailed(post)
    change(alice, cast.bob, "other@free.test")
    _to, second = mailed(post)
    assert bob.get(first).status_code == 404
    change(alice, cast.bob, "bob@alpha.test")
    assert bob.get(second).status_code == 200, "the rest of the form can be saved meanwhile"
    assert alice.post(f"/users/{cast.bob}/address/withdraw", page="/users").status_code == 303
    assert bob.get(second).status_code == 404
    assert user(app, cast.bob).new_email is None


def test_another_spelling_of_the_same_address_needs_no_answer(app: Flask, cast: Cast, alice: Browser) -> None:
    change(alice, cast.bob, "Bob@Alpha.test")
    assert user(app, cast.bob).email == "Bob@Alpha.test"


def test_a_new_password_leaves_the_question_open(
    app: Flask, cast: Cast, alice: Browser, bob: Browser, post: Post
) -> None:
    change(alice, cast.bob)
    _to, link = mailed(post)
    new = "a whole new password"
    bob.post("/profile/password", page="/profile", current=PASSWORD, password=new, repeated=new)
    assert bob.post(link, page=link).status_code == 303
    with app.app_context():
        assert user_by_address(db.session, NEW).id == cast.bob
