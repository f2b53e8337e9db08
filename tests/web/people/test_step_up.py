"""Dangerous acts ask who is there, if that was not asked a moment ago."""

import io
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from app.web.people.step_up import DANGEROUS, is_dangerous
from tenants.db import db, utc_now
from tenants.models import SignInSession, Tenant, User
from tests.web.accounts import set_up_second_factor
from tests.web.cast import PASSWORD, Browser, Cast


def make_stale(app: Flask, minutes: int = 31) -> None:
    with app.app_context():
        db.session.execute(sa.update(SignInSession).values(proved_at=utc_now() - timedelta(minutes=minutes)))
        db.session.commit()


def role(app: Flask, user_id: int) -> str:
    with app.app_context():
        return db.session.get_one(User, user_id).role


CHANGED = {"email": "bob@alpha.test", "name": "Bob <b> & Co.\nline", "role": "admin", "language": ""}


def test_an_act_of_long_after_the_sign_in_is_not_done_before_the_password(
    app: Flask, cast: Cast, alice: Browser
) -> None:
    make_stale(app)
    path = f"/users/{cast.bob}"
    asked = alice.post(path, **CHANGED | {"name": "Bobby"})
    assert asked.status_code == 403
    assert "Confirm that it is you" in asked.text
    assert role(app, cast.bob) == "user"
    wrong = alice.post(path, **CHANGED | {"name": "Bobby"}, step_up="not it")
    assert wrong.status_code == 422
    assert "This is not your password." in wrong.text
    assert role(app, cast.bob) == "user"
    done = alice.post(path, **CHANGED | {"name": "Bobby"}, step_up=PASSWORD)
    assert done.status_code == 303
    assert role(app, cast.bob) == "admin"
    assert alice.post(path, **CHANGED | {"name": "Bobby", "role": "user"}).status_code == 303, "it lasts for a while"


def test_what_was_typed_is_held_as_it_was(app: Flask, cast: Cast, alice: Browser) -> None:
    make_stale(app)
    page = alice.post(f"/users/{cast.bob}", **CHANGED).text
    assert 'name="name" hidden readonly>\nBob &lt;b&gt; &amp; Co.\nline</textarea>' in page
    assert 'name="role" hidden readonly>\nadmin</textarea>' in page


def test_who_has_a_second_factor_gives_a_code_and_not_the_password(app: Flask, cast: Cast, alice: Browser) -> None:
    _secret, codes = set_up_second_factor(app, alice, cast.alice)
    make_stale(app)
    path, form = f"/users/{cast.bob}", CHANGED | {"name": "Bobby"}
    assert alice.post(path, **form, step_up=PASSWORD).status_code == 422
    assert alice.post(path, **form, step_up=codes[0]).status_code == 303
    make_stale(app)
    assert alice.post(path, **form, step_up=codes[0]).status_code == 422, "a code counts once"


def test_a_file_that_asks_is_given_after_the_proof(app: Flask, cast: Cast, alice: Browser) -> None:
    make_stale(app, minutes=11)
    answer = alice.get("/faxes/log.csv?direction=sent")
    assert answer.status_code == 303
    confirm = answer.headers["Location"]
    assert confirm == "/confirm?next=/faxes/log.csv?direction%3Dsent"
    assert alice.post(confirm, page=confirm, step_up="wrong").status_code == 422
    gone = alice.post(confirm, page=confirm, step_up=PASSWORD)
    assert gone.headers["Location"] == "/faxes/log.csv?direction=sent"
    assert alice.get("/faxes/log.csv?direction=sent").mimetype == "text/csv"


def test_the_confirmation_never_leads_to_another_site(alice: Browser) -> None:
    answer = alice.post("/confirm?next=//evil.test/", page="/confirm", step_up=PASSWORD)
    assert answer.headers["Location"] == "/"


def test_every_act_of_an_operator_asks(app: Flask, cast: Cast, olga: Browser) -> None:
    make_stale(app)
    for act in ("suspend", "reopen", "export", "administrators", "delete"):
        answer = olga.post(f"/operator/tenants/{cast.alpha}/{act}", page="/operator/tenants", slug="alpha")
        assert answer.status_code == 403, act
    assert olga.get("/operator/tenants").status_code == 200, "looking does not"
    with app.app_context():
        assert db.session.get_one(Tenant, cast.alpha).suspended_at is None


def test_an_upload_leads_back_to_its_form(app: Flask, cast: Cast, alice: Browser) -> None:
    make_stale(app)
    data = {"key_file": (io.BytesIO(b"a key"), "bob.asc"), "csrf_token": alice.token("/users")}
    page = alice.client.post(
        f"/users/{cast.bob}/keys", data=data, headers={"Referer": f"http://localhost/users/{cast.bob}"}
    )
    assert page.status_code == 403
    assert f'<a href="/users/{cast.bob}">' in page.text


@pytest.mark.parametrize("endpoint", sorted(DANGEROUS))
def test_what_is_named_as_dangerous_exists(app: Flask, endpoint: str) -> None:
    assert endpoint in app.view_functions
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint == endpoint]
    assert any(is_dangerous(endpoint, method) for rule in rules for method in rule.methods or ())


@pytest.mark.parametrize("blueprint", ["operator", "operator_dialing", "operator_numbers", "operator_trunks"])
def test_every_act_on_every_page_of_the_operator_is_dangerous(app: Flask, blueprint: str) -> None:
    acts = [
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith(f"{blueprint}.") and "POST" in (rule.methods or ())
    ]
    assert acts
    assert all(is_dangerous(endpoint, "POST") for endpoint in acts)
