"""The Mail2Fax tester and what users read about sending by mail."""

import io

import pytest
from flask import Flask

from app.models import Fax, Mail2FaxBox, MailMessage, Notice
from tenants.db import db
from tenants.models import Tenant
from tests.db.mails import make_box, tells_pin, write_mail
from tests.unit.mail.test_pgp import Ring
from tests.web.cast import Browser, Cast


@pytest.fixture
def box_id(app: Flask, cast: Cast) -> int:
    return make_box(app, cast)


def drop(browser: Browser, box_id: int, raw: bytes):
    path = f"/mail2fax/{box_id}/tester"
    return browser.post(path, page="/profile", mail=(io.BytesIO(raw), "mail.eml"))


def test_a_mail_that_would_be_accepted_is_told_so_and_leaves_nothing(app: Flask, alice: Browser, box_id: int):
    page = drop(alice, box_id, write_mail().as_bytes())
    assert page.status_code == 200
    assert "This email would become a fax." in page.text
    with app.app_context():
        assert not any(db.session.query(model).count() for model in (Fax, MailMessage, Notice))


def test_each_rule_is_shown_with_its_outcome(alice: Browser, box_id: int):
    page = drop(alice, box_id, write_mail(sender="Bob@alpha.test", text="PIN 4712").as_bytes()).text
    assert "This email would be refused." in page
    assert "Faxes are accepted only from the email address of a user" in page
    assert "The PIN in the message is wrong" in page
    assert page.count("Failed") == 2


def test_the_pin_is_never_shown(alice: Browser, box_id: int):
    assert not tells_pin(drop(alice, box_id, write_mail(subject="050 1234567 4711").as_bytes()).text)


def test_a_strangers_words_are_text(alice: Browser, box_id: int):
    page = drop(alice, box_id, write_mail(subject="<script>alert(1)</script>").as_bytes()).text
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    "raw", [b"", b"\0\xff" * 500, b"From: x", b"Content-Type: multipart/mixed; boundary=x\n\n--x" * 9]
)
def test_what_is_no_mail_breaks_nothing(alice: Browser, box_id: int, raw: bytes):
    assert drop(alice, box_id, raw).status_code in (200, 422)


def test_a_message_of_the_log_shows_what_was_looked_at_when_it_came(
    app: Flask, cast: Cast, alice: Browser, box_id: int
):
    checks = [{"code": "pin", "passed": False, "values": {"reason": "pin_wrong"}}]
    with app.app_context():
        row = MailMessage(tenant_id=cast.alpha, box_id=box_id, uid_validity=1, uid=1, digest="0" * 64, size=1)
        row.fate, row.reason, row.checks = "refused", "pin_wrong", checks
        db.session.add(row)
        db.session.commit()
        message_id = row.id
    page = alice.get(f"/mail2fax/{box_id}/log/{message_id}").text
    assert "The PIN is in the message" in page
    assert "Failed" in page


def test_only_the_companys_administrators_test(bob: Browser, charlie: Browser, box_id: int):
    for browser in (bob, charlie):
        assert browser.get(f"/mail2fax/{box_id}/tester").status_code in (403, 404)


def test_users_read_how_their_mails_have_to_be(app: Flask, cast: Cast, bob: Browser, charlie: Browser, box_id: int):
    page = bob.get("/profile").text
    assert "fax@alpha.test" in page
    assert "bob@alpha.test" in page
    assert "the line's PIN" in page
    assert not tells_pin(page)
    assert "test 050 1234567" in page
    assert "Send a fax by email" not in charlie.get("/profile").text


def test_users_read_that_the_mail_server_has_to_vouch(app: Flask, cast: Cast, bob: Browser, box_id: int):
    assert "must confirm the sender" not in bob.get("/profile").text
    with app.app_context():
        db.session.get_one(Tenant, cast.alpha).mail_proof_required = True
        db.session.commit()
    assert "must confirm the sender" in bob.get("/profile").text


def test_the_public_key_of_the_box_is_for_those_who_may_send(
    app: Flask, cast: Cast, bob: Browser, charlie: Browser, box_id: int, tmp_path_factory: pytest.TempPathFactory
):
    ring = Ring(str(tmp_path_factory.mktemp("r")))
    path = f"/profile/mail/{cast.frontdesk}/public-key.asc"
    assert bob.get(path).status_code == 404
    with app.app_context():
        db.session.get_one(Mail2FaxBox, box_id).private_key = ring.secret(ring.make("Box <fax@alpha.test>")).decode()
        db.session.commit()
    assert path in bob.get("/profile").text
    key = bob.get(path)
    assert key.text.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    assert "PRIVATE" not in key.text
    assert charlie.get(path).status_code == 404
