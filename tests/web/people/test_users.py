"""Users and roles: who is let in, as what, and by whom."""

import io
import re
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from app.errors import Refused
from app.jobs.upkeep.accounts import tidy_accounts
from app.models import Grant, Notice, PendingChange
from app.rules.people import accounts
from tenants.addresses import AddressTaken, change_address, fold
from tenants.db import db, utc_now
from tenants.models import EmailAddress, OneTimeLink, PgpPublicKey, Role, SignInSession, Tenant, User
from tenants.people import LastAdministrator, change_role, disable
from tests.unit.mail.test_pgp import Ring, ring  # noqa: F401 - the same keys
from tests.web.accounts import Post, acts, set_up_second_factor, user
from tests.web.cast import PASSWORD, Browser, Cast, make_fax, make_user

NEW = {"email": "dora@alpha.test", "name": "Dora", "role": "user", "language": "it"}
GOOD = "a long new password"


@pytest.fixture
def post(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Post:
    return Post(app, monkeypatch)


@pytest.fixture
def boss(app: Flask, charlie: Browser) -> Browser:
    """Charlie administers beta."""
    with app.app_context():
        db.session.query(User).filter_by(name="Charlie").one().role = Role.ADMIN
        db.session.commit()
    return charlie


def invite(browser: Browser, **more: str):
    return browser.post("/users/invite", page="/users/invite", **(NEW | more))


def id_of(app: Flask, email: str) -> int:
    with app.app_context():
        query = sa.select(User.id).join(EmailAddress, User.address_id == EmailAddress.id)
        return db.session.scalar(query.where(sa.func.lower(EmailAddress.address) == fold(email)))


# ---- The list


def test_the_list_shows_everybody_of_the_company_and_nobody_else(alice: Browser) -> None:
    page = alice.get("/users").text
    for text in ("Alice", "alice@alpha.test", "Bob", "Administrator", "sends: 1, receives: 0"):
        assert text in page
    assert "Charlie" not in page
    assert "Olga" not in page


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("q=ali", ["Alice"]),
        ("q=BOB@ALPHA", ["Bob"]),
        ("q=%25", []),
        ("q=_", []),
        ("role=admin", ["Alice"]),
        ("status=active", ["Alice", "Bob"]),
        ("status=closed", []),
        ("status=nonsense&role=operator&page=x", ["Alice", "Bob"]),
        ("page=99", ["Alice", "Bob"]),
    ],
)
def test_the_list_is_searched_and_filtered(alice: Browser, asked: str, names: list[str]) -> None:
    assert re.findall(r'class="cover-row" href="/users/\d+">(\w+)<', alice.get(f"/users?{asked}").text) == names


def test_with_htmx_only_the_list_is_answered(alice: Browser) -> None:
    fragment = alice.get("/users?q=bob", headers={"HX-Request": "true", "HX-Target": "people"}).text
    assert "Bob" in fragment
    assert "<html" not in fragment


def test_a_hundred_users_are_a_page(app: Flask, cast: Cast, alice: Browser) -> None:
    with app.app_context():
        tenant = db.session.get(Tenant, cast.alpha)
        for number in range(120):
            make_user(f"u{number}@alpha.test", f"Zed {number:03}", tenant, Role.USER)
        db.session.commit()
    first, second = alice.get("/users").text, alice.get("/users?page=2").text
    assert (first.count("cover-row"), second.count("cover-row")) == (100, 22)
    assert "122 users" in first
    assert "Zed 119" in second
    assert 'href="/users?page=2"' in first


# ---- Inviting


def test_an_invited_user_chooses_a_password_by_the_mailed_link_and_is_in(
    app: Flask, post: Post, alice: Browser, nobody: Browser
) -> None:
    answer = invite(alice)
    assert answer.headers["Location"] == f"/users/{id_of(app, 'dora@alpha.test')}"
    (mail,) = post.collect()
    assert mail["To"] == "dora@alpha.test"
    link = re.search(r"http://127\.0\.0\.1:8000(/invitation/\S+)", mail.get_content())[1]
    assert nobody.sign_in("dora@alpha.test", "").status_code == 422, "without a password nobody gets in"
    for _ in range(2):
        assert nobody.get(link).status_code == 200, "looking does not use it up"
    answer = nobody.post(link, page=link, password=GOOD, repeated=GOOD)
    assert answer.status_code == 303
    assert nobody.get("/profile").status_code == 200
    assert Browser(app).sign_in("dora@alpha.test", GOOD).status_code == 303
    again = Browser(app)
    assert again.get(link).status_code == 404, "The link works once"
    assert ("user.invited", "dora@alpha.test") in acts(app)
    assert ("user.accepted", "dora@alpha.test") in acts(app)


def test_the_token_is_in_the_database_in_clear_at_no_time_and_gone_when_the_mail_has_left(
    app: Flask, post: Post, alice: Browser
) -> None:
    invite(alice)
    with app.app_context():
        notice, link = db.session.query(Notice).one(), db.session.query(OneTimeLink).one()
        token, digest = notice.secret, link.token_digest
        stored = db.session.scalar(sa.text("SELECT secret FROM notice"))
    assert token
    assert token not in stored
    assert token != digest
    assert token in post.link()
    with app.app_context():
        assert db.session.scalar(sa.text("SELECT secret FROM notice")) is None


def test_an_invitation_expires_after_seven_days_and_is_replaced_by_the_next(
    app: Flask, post: Post, alice: Browser, nobody: Browser
) -> None:
    invite(alice)
    first, dora = post.link(), id_of(app, "dora@alpha.test")
    assert "An email with a link was already sent within the last minute" in _follow(alice, f"/users/{dora}/invitation")
    assert post.collect() == [], "a double click sends one mail"
    _age(app, minutes=2)
    alice.post(f"/users/{dora}/invitation", page=f"/users/{dora}")
    second = post.link()
    assert nobody.get(first).status_code == 404
    assert nobody.get(second).status_code == 200
    _age(app, days=7)
    assert nobody.get(second).status_code == 404
    assert "the link has expired" in alice.get(f"/users/{dora}").text


def _age(app: Flask, **passed: int) -> None:
    with app.app_context():
        for link in db.session.query(OneTimeLink):
            link.created_at, link.expires_at = (
                when - timedelta(**passed) for when in (link.created_at, link.expires_at)
            )
        db.session.commit()


def _follow(browser: Browser, path: str, **data: str) -> str:
    """The page after the form."""
    page = path.rpartition("/")[0] if "/users/" in path else "/profile"
    answer = browser.post(path, page=page, **data)
    return browser.get(answer.headers["Location"]).text


def test_a_mail_that_waited_until_its_link_was_replaced_is_not_sent(app: Flask, post: Post, alice: Browser) -> None:
    invite(alice)
    dora = id_of(app, "dora@alpha.test")
    _age(app, minutes=2)
    alice.post(f"/users/{dora}/invitation", page=f"/users/{dora}")
    assert len(post.collect()) == 1


@pytest.mark.parametrize("email", ["charlie@beta.test", "CHARLIE@beta.test", "ops@faxroom.test", "bob@alpha.test"])
def test_an_address_that_is_taken_is_refused_without_telling_whose_it_is(
    app: Flask, post: Post, alice: Browser, email: str
) -> None:
    answer = invite(alice, email=email)
    assert answer.status_code == 422
    assert "This address is already in use." in answer.text
    assert 'value="Dora"' in answer.text, "what was typed is kept"
    for name in ("Charlie", "Beta", "Olga"):
        assert name not in answer.text
    assert post.collect() == []


def test_a_double_click_invites_once_and_leads_to_the_same_user(app: Flask, post: Post, alice: Browser) -> None:
    key = {"submission": "the same form"}
    first, second = invite(alice, **key), invite(alice, **key)
    assert first.headers["Location"] == second.headers["Location"]
    assert len(post.collect()) == 1


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("email", "", "Enter an email address"),
        ("email", "no address", "This is not an email address"),
        ("email", "a@alpha.test\nBcc: b@alpha.test", "This is not an email address"),
        ("name", "", "Enter a name"),
        ("name", "x" * 101, "up to 100 characters"),
        ("name", "two\nlines", "up to 100 characters"),
        ("role", "operator", "Choose a role"),
        ("language", "xx", "Choose a language"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    app: Flask, post: Post, alice: Browser, field: str, value: str, sentence: str
) -> None:
    answer = invite(alice, **{field: value})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert id_of(app, "dora@alpha.test") is None


def test_forged_fields_are_ignored(app: Flask, cast: Cast, alice: Browser) -> None:
    invite(alice, tenant_id=str(cast.beta), is_admin="1", password_hash="x", id=str(cast.alice))
    dora = user(app, id_of(app, "dora@alpha.test"))
    assert (dora.tenant_id, dora.role, dora.password_hash) == (cast.alpha, "user", None)


@pytest.mark.parametrize(
    ("password", "repeated", "sentence"),
    [
        ("short", "short", "at least 12 characters"),
        ("x" * 201, "x" * 201, "200 characters at most"),
        ("dora@alpha.test", "dora@alpha.test", "Do not use your name or email address"),
        (GOOD, "another one", "do not match"),
    ],
)
def test_a_weak_password_is_refused_and_the_link_stays(
    post: Post, alice: Browser, nobody: Browser, password: str, repeated: str, sentence: str
) -> None:
    invite(alice)
    link = post.link()
    answer = nobody.post(link, page=link, password=password, repeated=repeated)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert nobody.post(link, page=link, password=GOOD, repeated=GOOD).status_code == 303


def test_a_link_for_one_purpose_is_none_for_another(post: Post, alice: Browser, nobody: Browser) -> None:
    invite(alice)
    assert nobody.get(post.link().replace("invitation", "password")).status_code == 404


# ---- Withdrawing


def withdraw(browser: Browser, user_id: int):
    return browser.post(f"/users/{user_id}/withdrawal", page=f"/users/{user_id}")


def test_a_withdrawn_invitation_leaves_no_link_no_account_and_a_free_address(
    app: Flask, post: Post, alice: Browser, nobody: Browser
) -> None:
    invite(alice)
    link, dora = post.link(), id_of(app, "dora@alpha.test")
    assert "Withdraw the invitation" in alice.get(f"/users/{dora}").text
    answer = withdraw(alice, dora)
    assert answer.headers["Location"] == "/users"
    assert "The invitation for Dora was withdrawn" in alice.get("/users").text
    assert nobody.get(link).status_code == 404
    assert alice.get(f"/users/{dora}").status_code == 404
    assert alice.post(f"/users/{dora}/withdrawal", page="/users").status_code == 404, "a double click"
    assert acts(app)[-1] == ("user.invitation_withdrawn", "dora@alpha.test")
    assert invite(alice, submission="another form").status_code == 303, "the address is free"
    assert "invitation withdrawn" in alice.get("/audit").text


def test_what_an_invited_user_was_given_goes_with_the_invitation(app: Flask, cast: Cast, alice: Browser) -> None:
    invite(alice)
    dora = id_of(app, "dora@alpha.test")
    with app.app_context():
        key = PgpPublicKey(tenant_id=cast.alpha, user_id=dora, armored="…", fingerprint="A" * 40)
        grant = Grant(tenant_id=cast.alpha, entity_id=cast.frontdesk, user_id=dora, may_receive=True)
        values = {"before": {}, "after": {f"grant:{dora}": "both", "name": "Renamed"}, "act": "change"}
        saved = PendingChange(tenant_id=cast.alpha, user_id=cast.alice, kind="entity", target_id=1, **values)
        db.session.add_all([key, grant, saved])
        db.session.commit()
    assert withdraw(alice, dora).headers["Location"] == "/users"
    with app.app_context():
        assert db.session.query(PgpPublicKey).count() == 0
        assert db.session.query(Grant).filter_by(user_id=dora).count() == 0
        assert db.session.query(PendingChange).one().after == {"name": "Renamed"}


def test_no_mail_follows_a_withdrawn_invitation(app: Flask, cast: Cast, post: Post, alice: Browser) -> None:
    invite(alice)
    with app.app_context():
        about_a_fax = Notice(tenant_id=cast.alpha, kind="received", recipient="dora@alpha.test", language="en")
        about_a_fax.message_id = "<1@alpha.test>"
        db.session.add(about_a_fax)
        db.session.commit()
    withdraw(alice, id_of(app, "dora@alpha.test"))
    assert post.collect() == []
    with app.app_context():
        assert [(notice.secret, notice.due_at) for notice in db.session.query(Notice)] == [(None, None)] * 2


def test_who_has_come_in_or_has_faxes_is_not_withdrawn(app: Flask, cast: Cast, alice: Browser) -> None:
    assert alice.post(f"/users/{cast.bob}/withdrawal", page="/users").status_code == 404
    invite(alice)
    dora = id_of(app, "dora@alpha.test")
    make_fax(app, cast, user_id=dora)
    assert withdraw(alice, dora).headers["Location"] == f"/users/{dora}"
    assert "Close it instead" in alice.get(f"/users/{dora}").text
    assert user(app, dora).is_active


def test_of_an_acceptance_and_a_withdrawal_at_once_one_counts(
    app: Flask, post: Post, alice: Browser, nobody: Browser
) -> None:
    invite(alice)
    link, dora = post.link(), id_of(app, "dora@alpha.test")
    start = threading.Barrier(2)

    def accept() -> None:
        start.wait()
        nobody.post(link, page=link, password=GOOD, repeated=GOOD)

    def take_back() -> None:
        start.wait()
        withdraw(alice, dora)

    _together(lambda act: act(), [(accept,), (take_back,)])
    came_in = Browser(app).sign_in("dora@alpha.test", GOOD).status_code == 303
    assert came_in == (id_of(app, "dora@alpha.test") is not None)
    assert came_in != (("user.invitation_withdrawn", "dora@alpha.test") in acts(app))


# ---- Changing


def test_an_administrator_changes_name_role_and_language_and_asks_for_the_address(
    app: Flask, cast: Cast, alice: Browser
) -> None:
    form = {"email": "robert@alpha.test", "name": "Robert", "role": "admin", "language": "it"}
    alice.post(f"/users/{cast.bob}", page=f"/users/{cast.bob}", **form)
    bob = user(app, cast.bob)
    assert (bob.name, bob.role, bob.language) == ("Robert", "admin", "it")
    # the new address counts when its owner has answered (test_new_addresses.py)
    assert bob.email == "bob@alpha.test"
    assert Browser(app).sign_in("bob@alpha.test").status_code == 303
    assert Browser(app).sign_in("robert@alpha.test").status_code == 422
    assert ("user.changed", "bob@alpha.test") in acts(app)


def test_an_address_elsewhere_is_no_address_to_change_to(app: Flask, cast: Cast, alice: Browser) -> None:
    form = {"email": "Charlie@beta.test", "name": "Robert", "role": "user"}
    answer = alice.post(f"/users/{cast.bob}", page=f"/users/{cast.bob}", **form)
    assert answer.status_code == 422
    assert "This address is already in use." in answer.text
    assert 'value="Robert"' in answer.text
    assert (user(app, cast.bob).email, user(app, cast.bob).name) == ("bob@alpha.test", "Bob")


def test_a_change_of_spelling_is_no_other_address(app: Flask, cast: Cast, alice: Browser) -> None:
    alice.post(f"/users/{cast.bob}", page=f"/users/{cast.bob}", email="Bob@Alpha.test", name="Bob", role="user")
    assert user(app, cast.bob).email == "Bob@Alpha.test"


def test_a_link_that_was_mailed_to_the_old_address_is_dead(
    app: Flask, post: Post, alice: Browser, nobody: Browser
) -> None:
    invite(alice)
    link, dora = post.link(), id_of(app, "dora@alpha.test")
    alice.post(f"/users/{dora}", page=f"/users/{dora}", **(NEW | {"email": "d@alpha.test"}))
    assert nobody.get(link).status_code == 404


def test_of_two_that_change_to_one_address_at_once_one_wins(app: Flask, cast: Cast) -> None:
    start, outcomes = threading.Barrier(2), []

    def race(user_id: int) -> None:
        with app.app_context():
            entry = db.session.get_one(User, user_id).address
            address_id = entry.id
            db.session.rollback()
            start.wait()
            try:
                change_address(db.session, db.session.get_one(EmailAddress, address_id), "same@alpha.test")
                db.session.commit()
                outcomes.append("won")
            except AddressTaken:
                outcomes.append("taken")

    _together(race, [(cast.bob,), (cast.charlie,)])
    assert sorted(outcomes) == ["taken", "won"]


def _together(act, arguments: list[tuple]) -> None:
    threads = [threading.Thread(target=act, args=each) for each in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- Closing


def test_a_closed_account_is_signed_out_at_once_and_opened_again_with_its_password(
    app: Flask, cast: Cast, alice: Browser, bob: Browser
) -> None:
    alice.post(f"/users/{cast.bob}/disable", page=f"/users/{cast.bob}")
    assert bob.get("/faxes").headers["Location"].startswith("/sign-in")
    assert Browser(app).sign_in("bob@alpha.test").status_code == 403
    alice.post(f"/users/{cast.bob}/enable", page=f"/users/{cast.bob}")
    assert bob.get("/faxes").headers["Location"].startswith("/sign-in"), "the old session stays dead"
    assert Browser(app).sign_in("bob@alpha.test").status_code == 303
    assert [act for act, _target in acts(app)] == ["user.disabled", "user.enabled"]


def test_closing_kills_links_too(app: Flask, post: Post, alice: Browser, nobody: Browser) -> None:
    invite(alice)
    link, dora = post.link(), id_of(app, "dora@alpha.test")
    for act in ("disable", "enable"):
        alice.post(f"/users/{dora}/{act}", page=f"/users/{dora}")
        assert nobody.get(link).status_code == 404


def test_the_last_administrator_can_be_neither_closed_nor_demoted(app: Flask, cast: Cast, alice: Browser) -> None:
    assert "Make someone else an administrator first" in _follow(alice, f"/users/{cast.alice}/disable")
    answer = alice.post(
        f"/users/{cast.alice}", page=f"/users/{cast.alice}", email="alice@alpha.test", name="A", role="user"
    )
    assert answer.status_code == 422
    assert "Make someone else an administrator first" in answer.text
    assert user(app, cast.alice).is_active
    assert user(app, cast.alice).is_admin


def test_one_who_was_only_invited_does_not_count_as_an_administrator(app: Flask, cast: Cast, alice: Browser) -> None:
    invite(alice, role="admin")
    alice.post(f"/users/{cast.alice}/disable", page=f"/users/{cast.alice}")
    assert user(app, cast.alice).is_active


@pytest.mark.parametrize("act", [disable, lambda session, user: change_role(session, user, Role.USER)])
def test_of_two_administrators_who_remove_each_other_one_stays(app: Flask, cast: Cast, act) -> None:
    with app.app_context():
        db.session.get(User, cast.bob).role = Role.ADMIN
        db.session.commit()
    start = threading.Barrier(2)

    def race(user_id: int) -> None:
        with app.app_context():
            start.wait()
            try:
                act(db.session, db.session.get_one(User, user_id))
                db.session.commit()
            except LastAdministrator:
                db.session.rollback()

    _together(race, [(cast.alice,), (cast.bob,)])
    with app.app_context():
        left = db.session.query(User).filter_by(tenant_id=cast.alpha, role="admin", disabled_at=None).count()
    assert left == 1


# ---- Passwords and second factors of others


def test_an_administrator_has_a_link_for_a_new_password_sent(
    app: Flask, cast: Cast, post: Post, alice: Browser, bob: Browser, nobody: Browser
) -> None:
    alice.post(f"/users/{cast.bob}/password", page=f"/users/{cast.bob}")
    (mail,) = post.collect()
    assert "Alice, your administrator" in mail.get_content()
    link = re.search(r"8000(/password/\S+)", mail.get_content())[1]
    assert bob.get("/faxes").status_code == 200, "until it is used, nothing changes"
    nobody.post(link, page=link, password=GOOD, repeated=GOOD)
    assert bob.get("/faxes").headers["Location"].startswith("/sign-in")
    assert Browser(app).sign_in("bob@alpha.test").status_code == 422
    assert [act for act, _ in acts(app)] == ["user.password_reset_sent", "user.password_reset"]


def test_an_administrator_removes_a_lost_second_factor(app: Flask, cast: Cast, alice: Browser, bob: Browser) -> None:
    set_up_second_factor(app, bob, cast.bob)
    assert Browser(app).sign_in("bob@alpha.test").headers["Location"] == "/sign-in/code"
    alice.post(f"/users/{cast.bob}/second-factor", page=f"/users/{cast.bob}")
    assert bob.get("/faxes").headers["Location"].startswith("/sign-in")
    assert Browser(app).sign_in("bob@alpha.test").headers["Location"] == "/"
    assert ("user.second_factor_reset", "bob@alpha.test") in acts(app)


def test_an_administrator_signs_somebody_out(cast: Cast, alice: Browser, bob: Browser) -> None:
    assert "signed out of every browser" in _follow(alice, f"/users/{cast.bob}/sessions")
    assert bob.get("/faxes").headers["Location"].startswith("/sign-in")


def test_the_company_may_demand_a_second_factor(app: Flask, cast: Cast, alice: Browser, bob: Browser) -> None:
    assert "A second factor is now required for everyone" not in bob.get("/faxes").text
    alice.post("/users/second-factor", page="/users", required="yes")
    for browser in (alice, bob):
        assert browser.get("/faxes").headers["Location"] == "/profile/second-factor"
        assert browser.get("/profile").headers["Location"] == "/profile/second-factor"
    assert bob.get("/faxes", headers={"HX-Request": "true"}).headers["HX-Redirect"] == "/profile/second-factor"
    assert "Your company requires a second factor" in bob.get("/profile/second-factor").text
    set_up_second_factor(app, bob, cast.bob)
    assert bob.get("/faxes").status_code == 200
    answer = bob.post("/profile/second-factor/remove", page="/profile/second-factor", current=PASSWORD)
    assert answer.status_code == 404, "nobody leaves it while it is demanded"
    assert ("users.second_factor_required", "Alpha Srl") in acts(app)


# ---- A file


def upload(browser: Browser, content: str | bytes):
    content = content.encode() if isinstance(content, str) else content
    data = {"csrf_token": browser.token("/users/import"), "file": (io.BytesIO(content), "people.csv")}
    return browser.client.post("/users/import", data=data)


FILE = "email;name;role;language\r\nmaria@alpha.test;Maria Rossi;user;it\r\nPaul@alpha.test;Paul;Admin;\r\n"


@pytest.mark.parametrize(
    "content",
    [
        *(FILE, "\ufeff" + FILE, FILE.replace(";", ","), FILE.replace(";", "\t"), FILE.replace("\r\n", "\n\n")),
        *(FILE.replace(";", "\t").encode("utf-16"), FILE.replace("\r\n", "\r"), "sep=;\r\n" + FILE),
    ],
    ids=["semicolons", "byte order mark", "commas", "tabs", "empty lines", "Unicode text", "Macintosh", "told"],
)
def test_a_file_is_first_only_checked_and_then_imported_whole(
    app: Flask, post: Post, alice: Browser, content: str | bytes
) -> None:
    page = upload(alice, content)
    assert page.status_code == 200
    assert "2 users would be invited. Nothing has been done yet" in page.text
    assert post.collect() == []
    text = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.S)[1]
    key = re.search(r'name="submission" value="([^"]+)"', page.text)[1]
    for _ in range(2):
        answer = alice.post("/users/import", page="/users/import", text=text, submission=key, really="yes")
        assert answer.headers["Location"] == "/users?status=invited"
    assert sorted(mail["To"] for mail in post.collect()) == ["Paul@alpha.test", "maria@alpha.test"]
    assert user(app, id_of(app, "paul@alpha.test")).role == "admin"
    assert user(app, id_of(app, "maria@alpha.test")).language == "it"


def test_a_file_that_was_just_small_enough_is_imported_as_it_was_checked(app: Flask, alice: Browser) -> None:
    """A browser gives each line of the text an end of two bytes."""
    rows = "".join(f"p{number}@alpha.test;{'P' * 50}\n" for number in range(200))
    text = f"email;name\n{rows}".ljust(200_000, "\n")
    assert upload(alice, text).status_code == 200
    sent = text.replace("\n", "\r\n")
    answer = alice.post("/users/import", page="/users/import", text=sent, submission="once", really="yes")
    assert answer.headers["Location"] == "/users?status=invited"


def test_each_bad_row_is_named_and_nobody_is_invited(app: Flask, post: Post, alice: Browser) -> None:
    content = (
        "email;name;role;language\n"
        "good@alpha.test;Good;user;en\n"
        "charlie@beta.test;Taken;user;en\n"
        "GOOD@alpha.test;Twice;user;en\n"
        "nonsense;Nonsense;user;en\n"
        "a@alpha.test;;user;en\n"
        "b@alpha.test;B;operator;en\n"
        "c@alpha.test;C;user;fr\n"
        "d@alpha.test;D;user;en;more\n"
    )
    page = upload(alice, content)
    assert page.status_code == 422
    assert "Nobody was invited: 7 rows need correcting" in page.text
    wrong = re.findall(r'data-label="Line">(\d+)<.*?people-problem">([^<]+)<', page.text, re.S)
    assert [int(line) for line, _ in wrong] == [3, 4, 5, 6, 7, 8, 9]
    for (_, said), sentence in zip(
        wrong,
        [
            "is already in use",
            "already in line 2",
            "not an email address",
            "Enter a name",
            "a role",
            "a language",
            "more cells",
        ],
        strict=True,
    ):
        assert sentence in said
    assert "Beta" not in page.text
    answer = alice.post("/users/import", page="/users/import", text=content, really="yes")
    assert answer.status_code == 422
    assert post.collect() == []
    assert id_of(app, "good@alpha.test") is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "This file contains no users"),
        (b"email;name\n", "This file contains no users"),
        (b"\xff\xfee\x00m", "not UTF-8 text"),
        ("email;name\nmüller@alpha.test;Müller\n".encode("latin-1"), "not UTF-8 text"),
        (b"name;role\nBob;user\n", "must name the columns"),
        (b"email;name;tenant_id\na@b.test;A;2\n", "must name the columns"),
        (b"email;name;name\na@b.test;A;2\n", "must name the columns"),
        (b'email;name\na@b.test;"A\n', "Line 2 cannot be read"),
        (b"email;name\n" + b"a@b.test;A\n" * 501, "more than 500 rows"),
        (b"email;name\n" + b"a" * 200_001, "larger than 200 kB"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_as_a_whole(alice: Browser, content: bytes, sentence: str) -> None:
    answer = upload(alice, content)
    assert answer.status_code == 422
    assert sentence in answer.text


# ---- Keys


def give_key(browser: Browser, user_id: int, content: bytes):
    data = {"csrf_token": browser.token(f"/users/{user_id}"), "key_file": (io.BytesIO(content), "key.asc")}
    return browser.client.post(f"/users/{user_id}/keys", data=data)


def test_a_public_key_is_entered_shown_and_removed(
    app: Flask,
    cast: Cast,
    alice: Browser,
    bob: Browser,
    ring: Ring,  # noqa: F811
) -> None:
    fingerprint = ring.make("Bob of users <bob@alpha.test>")
    for _ in range(2):
        assert give_key(alice, cast.bob, ring.public(fingerprint)).status_code == 303
    pages = [alice.get(f"/users/{cast.bob}").text, bob.get("/profile").text]
    for page in pages:
        assert page.replace(" ", "").count(fingerprint) == (2 if page is pages[0] else 1), "once, and in its button"
        assert "Bob of users &lt;bob@alpha.test&gt;" in page
        assert "Valid" in page
    assert "/keys/" not in pages[1], "people see their keys, administrators change them"
    key_id = re.search(r"/keys/(\d+)/remove", pages[0])[1]
    alice.post(f"/users/{cast.bob}/keys/{key_id}/remove", page=f"/users/{cast.bob}")
    assert "No keys yet" in alice.get(f"/users/{cast.bob}").text
    assert [act for act, _ in acts(app)] == ["user.key_added", "user.key_added", "user.key_removed"]


def test_a_secret_key_is_refused_and_not_kept(
    app: Flask,
    cast: Cast,
    alice: Browser,
    ring: Ring,  # noqa: F811
) -> None:
    fingerprint = ring.make("Careless <careless@alpha.test>")
    answer = give_key(alice, cast.bob, ring.secret(fingerprint))
    assert answer.status_code == 422
    assert "This is a secret key. It was not saved." in answer.text
    assert "PRIVATE" not in answer.text
    with app.app_context():
        assert db.session.query(PgpPublicKey).count() == 0


def paste_key(browser: Browser, user_id: int, text: str):
    return browser.post(f"/users/{user_id}/keys", page=f"/users/{user_id}", key=text)


def test_a_pasted_key_that_is_refused_stays_in_the_form(
    cast: Cast,
    alice: Browser,
    ring: Ring,  # noqa: F811
) -> None:
    answer = paste_key(alice, cast.bob, "-----BEGIN PGP <PUBLIC> KEY BLOCK-----\nhalf of it")
    assert answer.status_code == 422
    assert ">-----BEGIN PGP &lt;PUBLIC&gt; KEY BLOCK-----\nhalf of it</textarea>" in answer.text
    secret = ring.secret(ring.make("Careless <careless@alpha.test>")).decode()
    for text in (secret, secret + "\n" * 200_000):
        answer = paste_key(alice, cast.bob, text)
        assert answer.status_code == 422
        assert secret.splitlines()[3] not in answer.text, "a secret would stand in the page"


def test_a_key_stands_for_one_person(cast: Cast, alice: Browser, ring: Ring) -> None:  # noqa: F811
    content = ring.public(ring.make("Shared <shared@alpha.test>"))
    assert give_key(alice, cast.bob, content).status_code == 303
    answer = give_key(alice, cast.alice, content)
    assert answer.status_code == 422
    assert "already belongs to another user" in answer.text


def test_thirty_days_before_a_key_expires_its_owner_is_told_once(
    app: Flask,
    cast: Cast,
    post: Post,
    alice: Browser,
    ring: Ring,  # noqa: F811
) -> None:
    soon, late = ring.make("Soon <s@alpha.test>", expires="29d"), ring.make("Late <l@alpha.test>", expires="40d")
    for fingerprint in (soon, late):
        give_key(alice, cast.bob, ring.public(fingerprint))
    for _ in range(2):
        with app.app_context():
            tidy_accounts()
    (mail,) = post.collect()
    assert mail["To"] == "bob@alpha.test"
    assert "PGP" in mail["Subject"]
    assert soon in mail.get_content()


def test_a_key_that_came_before_gpg_was_asked_is_learnt_by_the_sweep(
    app: Flask,
    cast: Cast,
    ring: Ring,  # noqa: F811
) -> None:
    fingerprint = ring.make("Old file <o@alpha.test>")
    with app.app_context():
        for armored in (ring.public(fingerprint).decode(), "rubbish"):
            db.session.add(PgpPublicKey(tenant_id=cast.alpha, user_id=cast.bob, armored=armored))
        db.session.commit()
        tidy_accounts()
        keys = db.session.query(PgpPublicKey).order_by(PgpPublicKey.id).all()
        assert [(key.fingerprint, key.validity) for key in keys] == [(fingerprint, "valid"), (None, "unusable")]


# ---- Who may

#: Signed with the second in which they were made (itsdangerous).
TOKENS = re.compile(r"[\w-]+\.[\w-]{6}\.[\w-]{27}")
ACTS = ("", "/disable", "/enable", "/invitation", "/password", "/second-factor", "/sessions", "/keys", "/keys/1/remove")


def test_to_others_these_pages_do_not_exist(app: Flask, cast: Cast, bob: Browser, boss: Browser, olga: Browser) -> None:
    for path in ("/users", "/users/invite", "/users/import", f"/users/{cast.bob}"):
        for browser in (bob, olga):
            assert browser.get(path).status_code == 404, path
    for browser, page in ((bob, "/faxes"), (boss, "/users"), (olga, "/operator/tenants")):
        for act in ACTS:
            answer = browser.post(f"/users/{cast.bob}{act}", page=page, **NEW)
            assert answer.status_code == 404, act
    assert boss.get(f"/users/{cast.bob}").status_code == 404
    nobodys, anothers = (TOKENS.sub("", boss.get(f"/users/{number}").text) for number in (99999, cast.bob))
    assert nobodys.replace("/users/99999", "") == anothers.replace(f"/users/{cast.bob}", ""), (
        "as if nobody had this number"
    )
    assert acts(app) == []
    assert user(app, cast.bob).is_active


def test_a_key_of_a_colleague_is_not_removed_through_another_user(
    app: Flask,
    cast: Cast,
    alice: Browser,
    ring: Ring,  # noqa: F811
) -> None:
    give_key(alice, cast.bob, ring.public(ring.make("Mine <m@alpha.test>")))
    with app.app_context():
        key_id = db.session.scalar(sa.select(PgpPublicKey.id))
    assert alice.post(f"/users/{cast.alice}/keys/{key_id}/remove", page="/users").status_code == 404


# ---- What others build on


def test_an_invitation_can_be_written_for_another_company_by_an_operator(app: Flask, cast: Cast, post: Post) -> None:
    with app.app_context():
        tenant, olga = db.session.get(Tenant, cast.beta), db.session.get(User, cast.olga)
        details = accounts.Details("first@beta.test", "First", "admin", "en")
        accounts.invite(db.session, tenant, details, by=olga)
        with pytest.raises(Refused):
            accounts.invite(db.session, tenant, details, by=olga)
        db.session.commit()
    (mail,) = post.collect()
    assert mail["To"] == "first@beta.test"
    assert "Beta SpA on Faxroom" in mail.get_content()


def test_old_sessions_and_links_are_swept_away(app: Flask, cast: Cast, bob: Browser) -> None:
    with app.app_context():
        db.session.query(SignInSession).update({"last_seen_at": utc_now() - timedelta(days=91)})
        expired = utc_now() - timedelta(days=31)
        db.session.add(OneTimeLink(token_digest="x", purpose="invitation", user_id=cast.bob, expires_at=expired))
        db.session.commit()
        tidy_accounts()
        assert db.session.query(SignInSession).count() == 0
        assert db.session.query(OneTimeLink).count() == 0
