"""Mail2Fax boxes: entered and tested by the administrator, their secrets shown to nobody."""

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import AuditEvent, FaxEntity, Mail2FaxBox
from app.models.sealed import sealing_key
from app.rules.mail2fax.boxes import MailServer, read_server, server_url
from tenants.addresses import claim_address
from tenants.db import db
from tenants.models import Tenant
from tests.web.cast import Browser, Cast

#: Stands for one that opens what is encrypted to it; tests/unit/mail/test_pgp.py tries real ones.
KEY = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF\n-----END PGP PRIVATE KEY BLOCK-----"
FORM = {
    "name": "faxbox",
    "email": "fax@alpha.test",
    "host": "imap.alpha.test",
    "port": "",
    "security": "tls",
    "folder": "INBOX",
    "username": "fax",
    "password": "hunter2-secret",
    "private_key": KEY,
}


@pytest.fixture(autouse=True)
def opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.mail2fax.boxes.box_key_fault", lambda key: None)


def add(alice: Browser, **changes: object):
    return alice.post("/mail2fax/new", **(FORM | changes))


def add_box(app: Flask, tenant_id: int, **values: object) -> int:
    with app.app_context():
        values = {"name": "faxbox", "imap": "imaps://imap.alpha.test:993/INBOX", "username": "fax"} | values
        address = claim_address(db.session, values.pop("email", "fax@alpha.test"))
        box = Mail2FaxBox(tenant_id=tenant_id, address=address, password="hunter2-secret", **values)
        db.session.add(box)
        db.session.commit()
        return box.id


def box_of(app: Flask) -> Mail2FaxBox:
    with app.app_context():
        box = db.session.scalars(sa.select(Mail2FaxBox)).one()
        db.session.expunge_all()
        return box


def test_a_box_is_kept_with_its_server_and_its_secrets_sealed(app: Flask, alice: Browser):
    answer = add(alice)
    assert answer.status_code == 303
    box = box_of(app)
    assert (box.imap, box.password, box.private_key) == ("imaps://imap.alpha.test:993/INBOX", FORM["password"], KEY)
    with app.app_context():
        raw = db.session.execute(sa.text("SELECT password, private_key FROM mail2fax_box")).one()
    assert not any("hunter2" in text or "PRIVATE" in text for text in raw)


def test_no_secret_ever_comes_back_in_a_page_or_stands_in_the_audit_log(app: Flask, alice: Browser):
    page = add(alice)
    shown = [alice.get(page.headers["Location"]), alice.get("/mail2fax"), add(alice, host="does not exist")]
    assert not any("hunter2" in answer.text or "lQOYBF" in answer.text for answer in shown)
    with app.app_context():
        (event,) = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "box.added"))
        assert event.target == "faxbox"
        assert "hunter2" not in str(event.after)


def test_empty_secrets_leave_those_that_are_kept(app: Flask, alice: Browser):
    where = add(alice).headers["Location"]
    answer = alice.post(where, **(FORM | {"name": "renamed", "password": "", "private_key": ""}))
    assert answer.status_code == 303
    box = box_of(app)
    assert (box.name, box.password, box.private_key) == ("renamed", FORM["password"], KEY)


def test_a_kept_password_is_not_sent_to_another_server(app: Flask, alice: Browser):
    where = add(alice).headers["Location"]
    for change in ({"host": "evil.test"}, {"port": "1143"}, {"security": "none"}, {"username": "other"}):
        answer = alice.post(where, **(FORM | {"password": ""} | change))
        assert answer.status_code == 422
        assert "enter the password again" in answer.text
    assert box_of(app).imap == "imaps://imap.alpha.test:993/INBOX"


def test_what_was_typed_is_not_lost_by_a_refusal(alice: Browser):
    answer = add(alice, host="not a host", port="99999", email="nobody")
    assert answer.status_code == 422
    for text in ('value="faxbox"', 'value="not a host"', 'value="99999"', "not an email address", "A port is a number"):
        assert text in answer.text


def test_an_address_that_anybody_holds_is_refused_without_telling_whose(app: Flask, cast: Cast, alice: Browser):
    add_box(app, cast.beta, email="fax@beta.test")
    for address in ("Charlie@beta.test", "fax@beta.test", "bob@alpha.test"):
        answer = add(alice, email=address)
        assert answer.status_code == 422
        assert "This address is already in use" in answer.text
        assert "Charlie<" not in answer.text
        assert "Beta" not in answer.text


def test_a_key_that_opens_nothing_is_refused_with_the_reason(alice: Browser, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.web.mail2fax.boxes.box_key_fault", lambda key: "box_key_passphrase")
    answer = add(alice)
    assert answer.status_code == 422
    assert "protected by a passphrase" in answer.text


def test_only_a_private_key_is_taken_for_one(alice: Browser):
    public = KEY.replace("PRIVATE", "PUBLIC")
    assert "This is a public key" in add(alice, private_key=public).text
    assert "not contain a PGP private key" in add(alice, private_key="hello").text


def test_a_mailbox_inside_the_installation_is_refused(app: Flask, cast: Cast, alice: Browser):
    box_id = add_box(app, cast.alpha, imap="imap://127.0.0.1:1/INBOX")
    page = alice.post(f"/mail2fax/{box_id}/test")
    assert "inside the installation" in page.text
    object.__setattr__(app.config["SETTINGS"], "private_hosts", ("yes",))
    page = alice.post(f"/mail2fax/{box_id}/test", htmx=True)
    assert "does not respond" in page.text
    assert "<html" not in page.text


# ---- How often it is asked, and whose notes are believed


def test_the_schedule_and_the_servers_name_are_kept_and_audited(app: Flask, alice: Browser):
    where = add(alice, poll_seconds="300", authserv_id="mx.alpha.test").headers["Location"]
    box = box_of(app)
    assert (box.poll_seconds, box.authserv_id) == (300, "mx.alpha.test")
    page = alice.get(where).text
    assert 'value="300"' in page
    assert 'value="mx.alpha.test"' in page
    alice.post(where, **(FORM | {"password": "", "poll_seconds": "", "authserv_id": ""}))
    box = box_of(app)
    assert (box.poll_seconds, box.authserv_id) == (60, None)
    with app.app_context():
        (event,) = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "box.changed"))
        assert event.after["authserv_id"] is None
        assert event.before["poll_seconds"] == 300


@pytest.mark.parametrize(
    "pasted",
    [
        "Authentication-Results: mx.alpha.test; dkim=pass header.d=alpha.test",
        "authentication-results:mx.alpha.test 1;\r\n spf=none",
        " mx.alpha.test ",
    ],
)
def test_the_servers_name_is_read_from_the_whole_line(app: Flask, alice: Browser, pasted: str):
    assert add(alice, authserv_id=pasted).status_code == 303
    assert box_of(app).authserv_id == "mx.alpha.test"


@pytest.mark.parametrize("seconds", ["9", "3601", "-5", "1e3", "often", "\u0661\u0662"])
def test_a_schedule_that_no_server_bears_is_refused(alice: Browser, seconds: str):
    answer = add(alice, poll_seconds=seconds)
    assert answer.status_code == 422
    assert "from 10 to 3600" in answer.text


@pytest.mark.parametrize("name", ["spf=pass", "<b>mx</b>", "mx.alpha.test/1", "x" * 300])
def test_what_is_no_servers_name_is_refused(alice: Browser, name: str):
    answer = add(alice, authserv_id=name)
    assert answer.status_code == 422
    assert "letters, digits, dots and hyphens" in answer.text
    assert "<b>mx" not in answer.text


def required(app: Flask, cast: Cast) -> bool:
    with app.app_context():
        return db.session.get_one(Tenant, cast.alpha).mail_proof_required


def test_proof_is_required_only_where_every_box_can_have_it(app: Flask, cast: Cast, alice: Browser):
    where = add(alice).headers["Location"]
    add_box(app, cast.beta, email="fax@beta.test", name="theirs")
    refused = alice.post("/mail2fax/proof", required="yes")
    assert refused.status_code == 422
    assert "every email to them would be refused: faxbox" in refused.text
    assert "theirs" not in refused.text
    assert not required(app, cast)
    alice.post(where, **(FORM | {"password": "", "authserv_id": "mx.alpha.test"}))
    assert alice.post("/mail2fax/proof", required="yes").status_code == 303
    assert required(app, cast)
    with app.app_context():
        (event,) = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "mail2fax.changed"))
        assert (event.before, event.after) == ({"mail_proof_required": False}, {"mail_proof_required": True})
        assert not db.session.get_one(Tenant, cast.beta).mail_proof_required


def test_where_proof_is_required_no_box_loses_its_servers_name(app: Flask, cast: Cast, alice: Browser):
    where = add(alice, authserv_id="mx.alpha.test").headers["Location"]
    alice.post("/mail2fax/proof", required="yes")
    for answer in (
        alice.post(where, **(FORM | {"password": "", "authserv_id": ""})),
        add(alice, name="second", email="second@alpha.test"),
    ):
        assert answer.status_code == 422
        assert "Your company requires proof" in answer.text
    assert box_of(app).authserv_id == "mx.alpha.test"
    assert alice.post("/mail2fax/proof").status_code == 303
    assert not required(app, cast)
    assert add(alice, name="second", email="second@alpha.test").status_code == 303


def test_what_holds_already_is_no_act(app: Flask, alice: Browser):
    add(alice)
    alice.post("/mail2fax/proof")
    with app.app_context():
        assert not db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "mail2fax.changed")).all()


def test_a_box_says_where_the_address_alone_is_enough(app: Flask, cast: Cast, alice: Browser):
    box_id = add_box(app, cast.alpha, authserv_id="mx.alpha.test")
    with app.app_context():
        line = db.session.get_one(FaxEntity, cast.frontdesk)
        line.box_id, line.authentication = box_id, "none"
        db.session.commit()
    assert "frontdesk: the sender's address alone is enough" in alice.get(f"/mail2fax/{box_id}").text
    alice.post("/mail2fax/proof", required="yes")
    assert "address alone is enough" not in alice.get(f"/mail2fax/{box_id}").text


def test_a_box_with_a_pin_says_that_who_forgets_it_gets_no_answer(app: Flask, cast: Cast, alice: Browser):
    box_id = add_box(app, cast.alpha)
    assert "If someone forgets the PIN" not in alice.get(f"/mail2fax/{box_id}").text
    with app.app_context():
        line = db.session.get_one(FaxEntity, cast.frontdesk)
        line.box_id, line.authentication, line.pin = box_id, "pin", "4711"
        db.session.commit()
    assert "If someone forgets the PIN" in alice.get(f"/mail2fax/{box_id}").text
    alice.post(f"/mail2fax/{box_id}", **(FORM | {"authserv_id": "mx.alpha.test"}))
    assert "If someone forgets the PIN" not in alice.get(f"/mail2fax/{box_id}").text


def test_a_box_that_an_entity_has_is_not_removed(app: Flask, cast: Cast, alice: Browser):
    box_id = add_box(app, cast.alpha)
    with app.app_context():
        db.session.get_one(FaxEntity, cast.frontdesk).box_id = box_id
        db.session.commit()
    assert "These fax lines use this box: frontdesk" in alice.post(f"/mail2fax/{box_id}/remove", really="yes").text
    with app.app_context():
        db.session.get_one(FaxEntity, cast.frontdesk).box_id = None
        db.session.commit()
    assert "Remove faxbox?" in alice.post(f"/mail2fax/{box_id}/remove").text
    assert alice.post(f"/mail2fax/{box_id}/remove", really="yes").status_code == 303
    assert add(alice).status_code == 303, "its address is free again"


def test_the_private_key_can_be_taken_away(app: Flask, cast: Cast, alice: Browser):
    box_id = add_box(app, cast.alpha, private_key=KEY)
    alice.post(f"/mail2fax/{box_id}/forget-key")
    assert box_of(app).private_key is None


def test_only_the_companys_own_administrator_reaches_a_box(app: Flask, cast: Cast, bob: Browser, alice: Browser):
    theirs = add_box(app, cast.beta)
    mine = add_box(app, cast.alpha, email="other@alpha.test")
    for path in ("", "/test", "/forget-key", "/remove"):
        assert alice.post(f"/mail2fax/{theirs}{path}", **FORM).status_code == 404
        assert bob.post(f"/mail2fax/{mine}{path}", **FORM).status_code == 404
    assert alice.get(f"/mail2fax/{theirs}").status_code == 404
    for path in ("/mail2fax", "/mail2fax/new", f"/mail2fax/{mine}"):
        assert bob.get(path).status_code == 404
    assert "fax@alpha.test" not in alice.get("/mail2fax").text


def test_a_forged_company_is_ignored(app: Flask, cast: Cast, alice: Browser):
    add(alice, tenant_id=str(cast.beta), address_id="1")
    assert box_of(app).tenant_id == cast.alpha


def test_the_url_of_a_server_is_read_as_it_is_written():
    servers = [
        MailServer("imap.example.org", 993, "tls"),
        MailServer("10.0.0.1", 1143, "none", "Fax/Eingänge 2026"),
        MailServer("2001:db8::1", 143, "starttls", "INBOX"),
    ]
    assert [read_server(server_url(server)) for server in servers] == servers
    assert read_server("imap://127.0.0.1:1143") == MailServer("127.0.0.1", 1143, "none", "INBOX")
    assert read_server("imaps://imap.example.org") == servers[0]


def test_reseal_makes_every_secret_open_with_the_new_key_alone(app: Flask, cast: Cast):
    add_box(app, cast.alpha, private_key=KEY)
    old, new = app.config["SEALING_KEYS"][0], sealing_key("a new secret")
    app.config["SEALING_KEYS"] = [new, old]
    with app.app_context():
        told = app.test_cli_runner().invoke(args=["reseal"])
    assert told.exit_code == 0, told.output
    assert "1 mail2fax_box.password" in told.output
    app.config["SEALING_KEYS"] = [new]
    box = box_of(app)
    assert (box.password, box.private_key) == ("hunter2-secret", KEY)


def test_reseal_names_what_none_of_the_keys_opens(app: Flask, cast: Cast):
    add_box(app, cast.alpha)
    app.config["SEALING_KEYS"] = [sealing_key("another secret")]
    with app.app_context():
        told = app.test_cli_runner().invoke(args=["reseal"])
    assert told.exit_code == 1
    assert "mail2fax_box.password: 1" in told.output


# ---- Scanners and programs


def test_programs_are_named_one_below_the_other_and_that_stands_in_the_audit_log(app: Flask, alice: Browser):
    assert add(alice, programs="bob@alpha.test\r\n alice@alpha.test, bob@alpha.test").status_code == 303
    assert box_of(app).programs == "bob@alpha.test alice@alpha.test"
    page = alice.get("/mail2fax/1").text
    assert "bob@alpha.test\nalice@alpha.test</textarea>" in page
    with app.app_context():
        event = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "box.added")).one()
        assert event.after["programs"] == "bob@alpha.test alice@alpha.test"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("scanner", "scanner is not an email address"),
        ("copier@alpha.test", "No user of your company has the address copier@alpha.test"),
        ("charlie@beta.test", "No user of your company has the address charlie@beta.test"),
        ("BOB@alpha.test", "No user of your company has the address BOB@alpha.test"),
    ],
)
def test_a_program_needs_a_user_of_the_company(app: Flask, alice: Browser, typed: str, told: str):
    answer = add(alice, programs=typed)
    assert answer.status_code == 422
    assert told in answer.text
    assert f"{typed}</textarea>" in answer.text, "nothing typed is lost"
