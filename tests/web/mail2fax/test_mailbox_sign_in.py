"""An administrator signs in to a box's mailbox at a token server of our own, and comes back."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import AuditEvent, BoxSignIn, Mail2FaxBox
from app.rules.mail2fax.box_sign_in import SignInDetails
from app.rules.mail2fax.boxes import BoxDetails, put_box
from app.rules.outbox.token_states import write_token_warnings
from app.services.mail2fax.box_access import access_to
from app.web.mail2fax import mailbox_sign_in
from tenants.db import db, utc_now
from tenants.models import Tenant
from tests.token_server import CLIENT, SECRET, TokenServer, running_token_server
from tests.web.cast import Browser, Cast

pytestmark = pytest.mark.any_database

FAX = "fax@alpha.test"
REFUSED_HERE = "was not started in this browser"


@pytest.fixture(scope="module")
def running() -> Iterator[TokenServer]:
    with running_token_server(FAX) as server:
        yield server


@pytest.fixture
def server(app: Flask, running: TokenServer) -> TokenServer:
    app.config["SETTINGS"] = replace(
        app.config["SETTINGS"], base_url="https://fax.example.org", private_hosts=("127.0.0.1",)
    )
    fresh = TokenServer(FAX, redirect_uri="https://fax.example.org/mail2fax/signed-in")
    for name in ("answer", "life", "username", "redirect_uri", "codes", "claims", "offline", "refresh", "asked"):
        setattr(running, name, getattr(fresh, name))
    return running


@pytest.fixture
def box(app: Flask, cast: Cast, server: TokenServer) -> int:
    return add_box(app, cast.alpha, server)


def add_box(app: Flask, tenant_id: int, server: TokenServer, *, email: str = FAX, **more: str) -> int:
    typed = {"token_url": server.url, "authorize_url": server.authorize_url, "client_id": CLIENT}
    typed |= {"client_secret": SECRET, "scope": "openid mail offline_access"} | more
    details = BoxDetails(
        name="box", email=email, host="imap.alpha.test", username=FAX, sign_in=SignInDetails("other", **typed)
    )
    with app.app_context():
        box = put_box(db.session, db.session.get_one(Tenant, tenant_id), None, details)
        db.session.commit()
        return box.id


def begin(browser: Browser, box: int) -> str:
    """Where the page that is shown leads to."""
    page = browser.post(f"/mail2fax/{box}/sign-in")
    assert page.status_code == 200
    return page.text.split('primary" href="')[1].split('"')[0].replace("&amp;", "&")


def go(target: str) -> str:
    """To the provider, and to where it sends the browser: the path on our site."""
    back = urlsplit(httpx.get(target).headers["Location"])
    assert f"{back.scheme}://{back.netloc}" == "https://fax.example.org"
    return f"{back.path}?{back.query}"


def come_back(browser: Browser, path: str) -> str:
    """What the person is told then."""
    return browser.get(path, follow_redirects=True).text


def row_of(app: Flask) -> BoxSignIn:
    with app.app_context():
        row = db.session.scalars(sa.select(BoxSignIn)).one()
        db.session.expunge_all()
        return row


def test_who_signs_in_gives_the_box_a_refresh_token_that_is_sealed(app, server, box, alice):
    told = come_back(alice, go(begin(alice, box)))
    assert f"Signed in as {FAX}. Now test the mailbox." in told
    row = row_of(app)
    assert {row.refresh_token} == server.refresh
    assert row.signed_in_as == FAX
    with app.app_context():
        raw = str(db.session.execute(sa.text("SELECT * FROM box_sign_in")).all())
        events = str([event.after for event in db.session.scalars(sa.select(AuditEvent))])
        assert access_to(db.session.get_one(Mail2FaxBox, box))[3].token in server.good
    secrets = (row.refresh_token, row.access_token, SECRET)
    assert not [secret for secret in secrets if secret in raw + events + told]
    assert FAX in events
    assert len(server.asked) == 1, "the token that came with it is used"


def test_what_is_asked_for_is_asked_with_a_state_a_nonce_a_challenge_and_the_exact_address(server, box, alice):
    first, second = (parse_qs(urlsplit(begin(alice, box)).query) for _ in range(2))
    assert first["redirect_uri"] == ["https://fax.example.org/mail2fax/signed-in"]
    assert first["code_challenge_method"] == ["S256"]
    assert first["login_hint"] == [FAX]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 43
        assert first[name] != second[name]
    assert SECRET not in str(first)


def test_the_code_goes_out_with_the_verifier_of_the_challenge(server, box, alice):
    come_back(alice, go(begin(alice, box)))
    (asked,) = server.asked
    assert asked["grant_type"] == "authorization_code"
    assert asked["redirect_uri"] == "https://fax.example.org/mail2fax/signed-in"
    assert len(asked["code_verifier"]) >= 43


@pytest.mark.parametrize("change", ["state", "twice", "late", "another browser", "none begun"])
def test_an_answer_that_this_browser_did_not_ask_for_changes_nothing(
    app, cast, server, box, alice, charlie, monkeypatch, change
):
    path = go(begin(alice, box))
    if change == "state":
        path = path.replace("state=", "state=x")
    if change == "twice":
        come_back(alice, path)
        server.refresh = {"of the first"}
    if change == "late":
        late = time.time() + mailbox_sign_in.LONGEST + 1
        monkeypatch.setattr(mailbox_sign_in.time, "time", lambda: late)
    before, asked = row_of(app).refresh_token, len(server.asked)
    browser = Browser(app) if change in ("another browser", "none begun") else alice
    if change == "another browser":
        browser.sign_in("alice@alpha.test")
        begin(browser, box)
    if change == "none begun":
        browser.sign_in("alice@alpha.test")
    assert REFUSED_HERE in come_back(browser, path)
    assert (row_of(app).refresh_token, len(server.asked)) == (before, asked)


def test_a_stranger_s_answer_ends_what_was_begun(server, box, alice):
    """Whoever can have a browser open an address gets one guess."""
    path = go(begin(alice, box))
    assert REFUSED_HERE in come_back(alice, "/mail2fax/signed-in?code=evil&state=evil")
    assert REFUSED_HERE in come_back(alice, path)
    assert server.asked == []


def test_only_the_company_s_own_administrator_begins(app, cast, server, box, bob, charlie):
    other = add_box(app, cast.beta, server, email="fax@beta.test")
    for browser, known in ((bob, box), (charlie, box), (charlie, other)):
        assert browser.post(f"/mail2fax/{known}/sign-in").status_code == 404
        assert browser.get("/mail2fax/signed-in?code=a&state=b").status_code == 404


def test_nobody_finishes_for_a_box_of_another_company(app, cast, server, box, alice):
    path = go(begin(alice, box))
    with app.app_context():
        for table in (Mail2FaxBox, BoxSignIn):
            db.session.execute(sa.update(table).values(tenant_id=cast.beta))
        db.session.commit()
    assert alice.get(path).status_code == 404
    assert server.asked == []


@pytest.mark.parametrize(
    "claims", [{"nonce": "another"}, {"aud": "another"}, {"exp": 1}, {"nonce": None}, {"iss": 5}, {"exp": "x"}]
)
def test_who_signed_in_is_believed_only_of_this_very_sign_in(app, server, box, alice, claims):
    server.claims = claims
    assert "does not belong to this sign-in" in come_back(alice, go(begin(alice, box)))
    assert row_of(app).refresh_token is None


@pytest.mark.parametrize("token", [b"", b"x", b"a.b.c", b"e30.W10.x", b"e30." + b"A" * 30_000 + b".x"])
def test_an_id_token_that_is_none_is_refused(app, server, box, alice, token):
    server.answer = (200, b'{"access_token": "a", "refresh_token": "b", "id_token": "%s"}' % token)
    assert "does not belong to this sign-in" in come_back(alice, go(begin(alice, box)))
    assert row_of(app).refresh_token is None


def test_who_refuses_is_told_so_in_words_and_nothing_changes(app, server, box, alice):
    state = parse_qs(urlsplit(begin(alice, box)).query)["state"][0]
    given = {"error": "access_denied", "error_description": "<b>no</b>", "state": state}
    told = come_back(alice, f"/mail2fax/signed-in?{urlencode(given)}")
    assert "The sign-in was cancelled" in told
    assert "<b>no</b>" not in told
    assert server.asked == []


def test_words_of_a_stranger_are_not_shown(server, box, alice):
    begin(alice, box)
    assert "Call 0900" not in come_back(alice, "/mail2fax/signed-in?error=Call+0900&state=x")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((400, b'{"error": "invalid_grant", "error_description": "AADSTS70008: old"}'), "does not accept this sign-in"),
        ((401, b'{"error": "invalid_client"}'), "does not accept the client ID and client secret"),
        ((500, b"oops"), "does not respond as it should"),
        ((200, b"[]"), "does not respond as it should"),
    ],
)
def test_what_the_token_server_refuses_is_told_and_what_is_kept_stays(app, server, box, alice, answer, told):
    come_back(alice, go(begin(alice, box)))
    before = row_of(app).refresh_token
    server.answer = answer
    assert told in come_back(alice, go(begin(alice, box)))
    assert row_of(app).refresh_token == before


def test_access_for_an_hour_only_is_not_taken_for_more(app, server, box, alice):
    server.offline = False
    assert "no refresh token" in come_back(alice, go(begin(alice, box)))
    assert row_of(app).access_token is None


def test_settings_that_somebody_changed_meanwhile_are_not_given_the_token(app, server, box, alice):
    path = go(begin(alice, box))
    with app.app_context():
        db.session.execute(sa.update(BoxSignIn).values(changed_at=utc_now() + timedelta(seconds=1)))
        db.session.commit()
    assert "Someone changed the box while you were signing in" in come_back(alice, path)
    assert row_of(app).refresh_token is None


def test_a_token_server_that_somebody_entered_meanwhile_never_hears_the_code(app, server, box, alice):
    path = go(begin(alice, box))
    with app.app_context():
        row = db.session.scalars(sa.select(BoxSignIn)).one()
        row.token_url, row.changed_at = f"{server.url}?another", utc_now() + timedelta(seconds=1)
        db.session.commit()
    assert "Someone changed the box while you were signing in" in come_back(alice, path)
    assert server.asked == []


def test_another_account_than_the_box_s_is_told(server, box, alice):
    server.username = "alice@alpha.test"
    told = come_back(alice, go(begin(alice, box)))
    assert "You signed in as alice@alpha.test, but the user name of this box is fax@alpha.test" in told


def test_a_refresh_token_that_ends_is_told_of_before(app, server, box, alice):
    come_back(alice, go(begin(alice, box)))
    with app.app_context():
        assert write_token_warnings(db.session, smtp_ends_on=None, now=utc_now()) == 1


def test_a_sign_in_can_be_forgotten(app, server, box, alice):
    come_back(alice, go(begin(alice, box)))
    assert "Forget the sign-in" in alice.get(f"/mail2fax/{box}").text
    alice.post(f"/mail2fax/{box}/forget-sign-in")
    row = row_of(app)
    assert (row.refresh_token, row.access_token, row.signed_in_as) == (None, None, None)
    assert "Nobody has signed in to the mailbox." in alice.get(f"/mail2fax/{box}").text


def test_a_box_without_a_provider_s_page_has_nowhere_to_sign_in(app, cast, server, alice):
    box = add_box(app, cast.alpha, server, authorize_url="")
    assert alice.post(f"/mail2fax/{box}/sign-in").status_code == 404
    assert "Sign in to the mailbox" not in alice.get(f"/mail2fax/{box}").text


FORM = {"name": "g", "email": FAX, "host": "imap.gmail.com", "security": "tls", "username": FAX, "client_id": "c"}


@pytest.mark.parametrize(
    ("more", "page", "scope", "wanted"),
    [
        (
            {"way": "google", "host": "imap.gmail.com"},
            "https://accounts.google.com/o/oauth2/v2/auth?",
            "https://mail.google.com/ openid email",
            {"access_type": ["offline"], "prompt": ["select_account consent"]},
        ),
        (
            {"way": "microsoft", "host": "outlook.office365.com", "directory": "alpha.test"},
            "https://login.microsoftonline.com/alpha.test/oauth2/v2.0/authorize?",
            "https://outlook.office.com/IMAP.AccessAsUser.All offline_access openid email",
            {"prompt": ["select_account"]},
        ),
    ],
)
def test_a_box_of_microsoft_or_google_is_saved_first_and_leads_to_their_page(
    app, cast, server, alice, more, page, scope, wanted
):
    saved = alice.post("/mail2fax/new", **(FORM | {"client_secret": SECRET} | more))
    assert saved.status_code == 303
    target = begin(alice, int(saved.headers["Location"].rpartition("/")[2]))
    asked = parse_qs(urlsplit(target).query)
    assert target.startswith(page)
    assert asked["scope"] == [scope]
    assert asked | wanted == asked


def test_a_box_of_google_says_that_nobody_has_signed_in_and_asks_nobody(app, cast, server, alice):
    alice.post("/mail2fax/new", **(FORM | {"client_secret": SECRET, "way": "google"}))
    with app.app_context():
        box = db.session.scalars(sa.select(Mail2FaxBox.id)).one()
    assert "Nobody has signed in to the mailbox. Sign in on" in alice.post(f"/mail2fax/{box}/test").text
    with app.app_context():
        assert db.session.scalars(sa.select(BoxSignIn.refused)).one() is None


def test_another_mail_server_is_never_shown_the_old_sign_in(app, server, box, alice):
    come_back(alice, go(begin(alice, box)))
    form = FORM | {"way": "other", "host": "imap.evil.example", "client_id": CLIENT, "client_secret": SECRET}
    form |= {"token_url": server.url, "authorize_url": server.authorize_url, "scope": "openid mail offline_access"}
    answer = alice.post(f"/mail2fax/{box}", **form)
    assert answer.status_code == 303
    assert "Now sign in to the mailbox" in alice.get(answer.headers["Location"]).text
    assert row_of(app).refresh_token is None


def test_a_page_that_is_no_address_of_a_page_is_refused(cast, server, alice):
    form = FORM | {"way": "other", "token_url": server.url, "client_secret": "s"}
    answer = alice.post("/mail2fax/new", **form, authorize_url="javascript:alert(1)")
    assert answer.status_code == 422
    assert "Write the sign-in page" in answer.text
