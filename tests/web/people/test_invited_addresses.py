"""An address that was only invited belongs to nobody: another company may invite it, and who answers first has it."""

import pytest
import sqlalchemy as sa
from flask import Flask

from tenants.addresses import user_by_address
from tenants.db import db
from tenants.models import EmailAddress, Role, User
from tests.web.accounts import Post
from tests.web.cast import PASSWORD, Browser, Cast

DORA = {"email": "Dora@free.test", "name": "Dora", "role": "user", "language": "en"}
CHOSEN = {"password": "a whole new password", "repeated": "a whole new password"}


@pytest.fixture
def post(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Post:
    return Post(app, monkeypatch)


@pytest.fixture
def carla(app: Flask, cast: Cast, charlie: Browser) -> Browser:
    """Charlie administers beta for once."""
    with app.app_context():
        db.session.get_one(User, cast.charlie).role = Role.ADMIN
        db.session.commit()
    return charlie


def invite(browser: Browser, **more: str) -> int:
    return browser.post("/users/invite", page="/users/invite", **DORA | more).status_code


def owner(app: Flask, email: str = "dora@free.test") -> int | None:
    with app.app_context():
        user = user_by_address(db.session, email)
        return user.tenant_id if user else None


def test_two_companies_invite_one_address_and_who_answers_first_has_it(
    app: Flask, cast: Cast, alice: Browser, carla: Browser, nobody: Browser, post: Post
) -> None:
    assert invite(alice) == 303
    squatted = post.link()
    assert owner(app) is None
    assert invite(carla, email="dora@FREE.test") == 303, "that alpha has invited it keeps nobody out"
    wanted = post.link()
    assert nobody.post(wanted, page=wanted, **CHOSEN).status_code == 303
    assert owner(app) == cast.beta
    late = Browser(app).post(squatted, page=squatted, **CHOSEN)
    assert late.status_code == 422
    assert "This address now has an account at another company" in late.text
    assert owner(app) == cast.beta
    assert Browser(app).sign_in("dora@free.test", CHOSEN["password"]).status_code == 303


def test_one_address_is_once_whatever_is_invited_afterwards(
    app: Flask, cast: Cast, alice: Browser, carla: Browser, post: Post
) -> None:
    assert invite(alice) == 303
    assert invite(alice, email="DORA@free.test") == 422, "one company invites it once"
    link = post.link()
    assert Browser(app).post(link, page=link, **CHOSEN).status_code == 303
    assert invite(carla) == 422
    with app.app_context():
        folded = sa.select(EmailAddress.folded).where(EmailAddress.folded.like("dora%"))
        assert db.session.scalars(folded).all() == ["dora@free.test"]


def test_an_invited_address_signs_nobody_in_and_gets_no_link_by_asking(
    app: Flask, cast: Cast, alice: Browser, nobody: Browser, post: Post
) -> None:
    invite(alice)
    post.collect()
    for typed in ("dora@free.test", f"dora@free.test INVITED BY {cast.alpha}"):
        assert nobody.sign_in(typed, PASSWORD).status_code == 422
        nobody.post("/password", page="/password", email=typed)
    assert post.collect() == []


def test_a_wrong_address_of_an_invitation_is_changed_and_still_nobodys(
    app: Flask, cast: Cast, alice: Browser, carla: Browser
) -> None:
    invite(alice)
    with app.app_context():
        dora = db.session.scalar(sa.select(User).where(User.name == "Dora")).id
    assert alice.post(f"/users/{dora}", page="/users", **DORA | {"email": "dora@other.test"}).status_code == 303
    assert owner(app, "dora@other.test") is None
    assert invite(carla, email="dora@other.test") == 303


def test_a_file_of_people_names_whom_the_company_invited_already(app: Flask, cast: Cast, alice: Browser) -> None:
    invite(alice)
    text = "email,name\ndora@free.test,Dora\nemil@free.test,Emil\n"
    page = alice.post("/users/import", page="/users/import", text=text)
    assert page.status_code == 422
    assert page.text.count("This address is already in use") == 1, "and the other can be invited"
