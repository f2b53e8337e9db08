"""The pages of the door: a company's box without a mailbox and what signs in there, and what the operator set up."""

import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app.config import DoorSettings, Peer
from app.models import AuditEvent, DoorCredential, Mail2FaxBox
from app.rules.mail2fax.door import sign_in
from tenants.db import db, utc_now
from tests.doors import DOMAIN, credential, door_settings, make_door_box
from tests.web.cast import Browser, Cast

FORM = {"name": "Copiers", "email": f"alpha@{DOMAIN}"}


@pytest.fixture(autouse=True)
def settings(app: Flask, tmp_path: Path) -> Iterator[DoorSettings]:
    """The operator has opened the door; nobody listens."""
    before = app.config["SETTINGS"]
    app.config["SETTINGS"] = replace(before, door=door_settings(tmp_path))
    yield app.config["SETTINGS"].door
    app.config["SETTINGS"] = before


@pytest.fixture
def box(app: Flask, cast: Cast) -> int:
    return make_door_box(app, cast.alpha, cast.frontdesk)


def events(app: Flask, action: str) -> list[AuditEvent]:
    with app.app_context():
        found = list(db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == action)))
        db.session.expunge_all()
        return found


# ---- The box


def test_a_box_is_added_with_what_the_form_says_and_that_stands_in_the_audit_log(app: Flask, alice: Browser):
    values = {"authserv_id": "mx.alpha.test", "programs": "bob@alpha.test\r\nalice@alpha.test"}
    assert alice.post("/mail2fax/door/new", **FORM, **values).status_code == 303
    with app.app_context():
        box = db.session.scalars(sa.select(Mail2FaxBox)).one()
        kept = (box.name, box.address.address, box.authserv_id, box.programs, box.is_door)
    assert kept == ("Copiers", FORM["email"], "mx.alpha.test", "bob@alpha.test alice@alpha.test", True)
    (event,) = events(app, "box.added")
    assert event.after["programs"] == "bob@alpha.test alice@alpha.test"


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [
        ("programs", "charlie@beta.test", "No user of your company has the address charlie@beta.test"),
        ("programs", "not an address", "is not an email address"),
        ("email", "alpha@elsewhere.test", f"must end with {DOMAIN}"),
        ("email", f"0501234567@{DOMAIN}", "contain a letter"),
        ("authserv_id", "a,b", "A server name contains letters"),
        ("name", "", "Enter a name"),
        ("private_key", "no key", "key"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_that_was_typed_is_lost(
    app: Flask, alice: Browser, field: str, typed: str, told: str
):
    answer = alice.post("/mail2fax/door/new", **FORM | {field: typed, "programs": "bob@alpha.test"} | {field: typed})
    assert answer.status_code == 422
    assert told in answer.text
    if field != "private_key":
        assert typed in answer.text
    if field != "programs":
        assert "bob@alpha.test" in answer.text
    with app.app_context():
        assert db.session.scalar(sa.select(Mail2FaxBox.id)) is None


def test_a_box_is_changed_and_what_was_not_there_any_more_may_stay(app: Flask, box: int, alice: Browser):
    with app.app_context():
        db.session.execute(sa.update(Mail2FaxBox).values(programs="gone@alpha.test"))
        db.session.commit()
    page = alice.get(f"/mail2fax/door/{box}")
    assert "gone@alpha.test" in page.text
    assert f"+390501234567@frontdesk.{DOMAIN}" in page.text and f"+390501234567@501.{DOMAIN}" in page.text
    form = {"name": "door", "email": f"door@{DOMAIN}", "programs": "gone@alpha.test, bob@alpha.test"}
    assert alice.post(f"/mail2fax/door/{box}", **form).status_code == 303
    (event,) = events(app, "box.changed")
    assert event.after == {"programs": "gone@alpha.test bob@alpha.test"}


def test_no_box_is_added_where_the_operator_takes_no_emails(app: Flask, alice: Browser, settings: DoorSettings):
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], door=replace(settings, port=0, lmtp_port=0))
    answer = alice.post("/mail2fax/door/new", **FORM)
    assert answer.status_code == 422
    assert "Faxroom does not take emails directly here" in answer.text


# ---- What signs in


def test_a_password_is_shown_once_and_opens_the_door_until_it_is_ended(
    app: Flask, cast: Cast, box: int, alice: Browser
):
    made = alice.post(f"/mail2fax/door/{box}/credentials", credential_name="Copier 2nd floor", person=str(cast.bob))
    assert made.headers["Cache-Control"] == "no-store"
    username, secret = re.findall(r'<dd class="mono break">([^<]+)</dd>', made.text)[:2]
    with app.app_context():
        guest = sign_in(db.session, username, secret, utc_now())
        assert guest and (guest.user_id, guest.box_id) == (cast.bob, box)
    page = alice.get(f"/mail2fax/door/{box}").text
    assert username in page and secret not in page and secret.replace(" ", "") not in page
    (event,) = events(app, "door.credential_made")
    assert event.after == {"name": "Copier 2nd floor", "username": username, "person": "bob@alpha.test"}
    assert alice.post(f"/mail2fax/door/{box}/credentials/{guest.credential_id}/end").status_code == 303
    with app.app_context():
        assert sign_in(db.session, username, secret, utc_now()) is None
    assert len(events(app, "door.credential_ended")) == 1


def test_a_password_is_made_for_nobody_of_another_company(app: Flask, cast: Cast, box: int, alice: Browser):
    for person in (str(cast.charlie), "0", "x", "-1", "9" * 30):
        answer = alice.post(f"/mail2fax/door/{box}/credentials", credential_name="Copier", person=person)
        assert answer.status_code == 422, person
        assert "Choose a person from the list" in answer.text
        assert 'value="Copier"' in answer.text
    assert alice.post(f"/mail2fax/door/{box}/credentials", credential_name=" ").status_code == 422
    with app.app_context():
        assert db.session.scalar(sa.select(DoorCredential.id)) is None


# ---- The operator's page


def test_the_operator_sees_for_which_companies_a_server_speaks_and_which_do_not_exist(
    app: Flask, box: int, olga: Browser, settings: DoorSettings
):
    peers = (Peer(ip_network("10.0.0.5"), frozenset({"alpha", "gone"})), Peer(ip_network("10.1.0.0/24")))
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], door=replace(settings, peers=peers))
    page = " ".join(re.sub(r"<[^>]+>", " ", olga.get("/operator/door").text).split())
    assert "10.0.0.5/32 for alpha, gone 10.1.0.0/24 for all companies" in page
    assert "names companies that do not exist: gone." in page
    assert "Alpha" in page


def test_the_operators_page_without_anything_wrong_says_nothing_of_it(olga: Browser):
    page = olga.get("/operator/door").text
    assert "127.0.0.0/8" in page
    assert "do not exist" not in page


# ---- The command line


def run(app: Flask, *words: str) -> tuple[int, str]:
    with app.app_context():  # as flask does for a group of commands
        result = app.test_cli_runner().invoke(args=["door", *words])
    return result.exit_code, result.output


def test_passwords_are_made_listed_and_ended_by_the_command_line(app: Flask, cast: Cast, box: int):
    which = ("--tenant", "alpha", "--box", "door")
    code, told = run(app, "make", *which, "--as", "bob@alpha.test", "Copier")
    assert code == 0
    username, secret = told.split()
    with app.app_context():
        guest = sign_in(db.session, username, secret, utc_now())
        assert guest and guest.user_id == cast.bob
    assert run(app, "list", *which)[1].startswith(f"{username}  Copier, sends as bob@alpha.test, last used: 20")
    assert run(app, "end", *which, username) == (0, f"{username} can no longer sign in.\n")
    assert run(app, "list", *which) == (0, "")
    assert [len(events(app, f"door.credential_{act}")) for act in ("made", "ended")] == [1, 1]


def test_the_command_line_tells_what_is_not_there(app: Flask, cast: Cast, box: int):
    credential(app, box)
    alpha, beta = ("--tenant", "alpha", "--box", "door"), ("--tenant", "beta", "--box", "door")
    told = {
        ("list", *beta): "beta has no box door without a mailbox.",
        ("make", *alpha, "--as", "charlie@beta.test", "Copier"): "There is no user charlie@beta.test in alpha.",
        ("make", *alpha, "x" * 101): "100",
        ("end", *alpha, "nobody"): "door has no user name nobody.",
    }
    for words, text in told.items():
        code, output = run(app, *words)
        assert code == 1 and text in output, words
