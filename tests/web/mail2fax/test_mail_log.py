"""The log of a box: what became of each mail and whether the box works, for the company's administrators alone."""

from datetime import timedelta

import pytest
from flask import Flask

from app.models import BoxState, Mail2FaxBox, MailFate, MailMessage
from tenants.db import db, utc_now
from tests.db.mails import make_box
from tests.web.cast import Browser, Cast, make_fax


@pytest.fixture
def box_id(app: Flask, cast: Cast) -> int:
    return make_box(app, cast)


def add(app: Flask, cast: Cast, box_id: int, uid: int = 1, **values: object) -> int:
    with app.app_context():
        values = {"fate": MailFate.REFUSED, "sender": "bob@alpha.test", "subject": "0501234567"} | values
        message = MailMessage(
            tenant_id=cast.alpha, box_id=box_id, uid_validity=1, uid=uid, digest=f"{uid:064}", size=1000, **values
        )
        db.session.add(message)
        db.session.commit()
        return message.id


def set_state(app: Flask, cast: Cast, box_id: int, **values: object) -> None:
    with app.app_context():
        db.session.add(BoxState(box_id=box_id, tenant_id=cast.alpha, **values))
        db.session.commit()


def test_an_accepted_mail_leads_to_its_fax(app: Flask, cast: Cast, alice: Browser, box_id: int):
    fax_id = make_fax(app, cast)
    message_id = add(app, cast, box_id, fate=MailFate.ACCEPTED, fax_id=fax_id, answered=True)
    page = alice.get(f"/mail2fax/{box_id}/log").text
    assert "Became a fax" in page
    assert f"/faxes/{fax_id}" in page
    assert "The sender was told by email" in alice.get(f"/mail2fax/{box_id}/log/{message_id}").text


def test_a_refused_mail_is_told_with_the_sentence_that_its_sender_reads(
    app: Flask, cast: Cast, alice: Browser, box_id: int
):
    message_id = add(app, cast, box_id, reason="too_many_pages", reason_values={"limit": 200})
    for path in (f"/mail2fax/{box_id}/log", f"/mail2fax/{box_id}/log/{message_id}"):
        assert "more than 200 pages" in alice.get(path).text


def test_what_a_stranger_wrote_is_text(app: Flask, cast: Cast, alice: Browser, box_id: int):
    message_id = add(app, cast, box_id, sender="<script>alert(1)</script>@x", subject="<b>bold</b>")
    for path in (f"/mail2fax/{box_id}/log", f"/mail2fax/{box_id}/log/{message_id}"):
        page = alice.get(path).text
        assert "<script>alert" not in page
        assert "<b>bold" not in page


def test_a_test_is_no_refusal(app: Flask, cast: Cast, alice: Browser, box_id: int):
    values = {"reason": "mail_test_passed", "reason_values": {"number": "050 123 4567"}, "answered": True}
    message_id = add(app, cast, box_id, fate=MailFate.TESTED, checks=[{"code": "pin", "passed": True}], **values)
    for path in (f"/mail2fax/{box_id}/log", f"/mail2fax/{box_id}/log/{message_id}"):
        page = alice.get(path).text
        assert "Test: nothing was dialled" in page
        assert "would be faxed to 050 123 4567" in page
        assert "Refused" not in page


def test_who_got_no_answer_because_nobody_vouches_is_named_with_what_to_do(
    app: Flask, cast: Cast, alice: Browser, box_id: int
):
    theirs = add(app, cast, box_id, reason="mail_pin_missing", user_id=cast.bob)
    strangers = add(app, cast, box_id, uid=2, reason="sender_unknown")
    assert "nobody confirmed its sender" in alice.get(f"/mail2fax/{box_id}/log/{theirs}").text
    assert "nobody confirmed its sender" not in alice.get(f"/mail2fax/{box_id}/log/{strangers}").text
    with app.app_context():
        db.session.get_one(Mail2FaxBox, box_id).authserv_id = "mx.alpha.test"
        db.session.commit()
    assert "nobody confirmed its sender" not in alice.get(f"/mail2fax/{box_id}/log/{theirs}").text


def test_a_long_log_has_pages(app: Flask, cast: Cast, alice: Browser, box_id: int):
    ids = [add(app, cast, box_id, uid=uid, subject=f"mail {uid}.") for uid in range(1, 61)]
    first = alice.get(f"/mail2fax/{box_id}/log").text
    assert "mail 60." in first
    assert "mail 11." in first
    assert "mail 10." not in first
    assert f"before={ids[10]}" in first
    second = alice.get(f"/mail2fax/{box_id}/log?before={ids[10]}").text
    assert "mail 10." in second
    assert "Newest" in second


def test_a_fault_is_told_with_what_to_do(app: Flask, cast: Cast, alice: Browser, box_id: int):
    since = utc_now() - timedelta(hours=1)
    set_state(app, cast, box_id, fault="imap_refused", fault_since=since, failures=3)
    page = alice.get(f"/mail2fax/{box_id}/log").text
    assert "does not accept this user name and password" in page
    assert "the emails wait in the mailbox" in page


def test_a_box_that_works_says_since_when_it_was_looked_into(app: Flask, cast: Cast, alice: Browser, box_id: int):
    assert "This mailbox has not been checked yet" in alice.get(f"/mail2fax/{box_id}/log").text
    set_state(app, cast, box_id, looked_at=utc_now(), idle=True)
    assert "reports new emails at once" in alice.get(f"/mail2fax/{box_id}/log").text


def test_the_log_is_the_companys_administrators_alone(
    app: Flask, cast: Cast, bob: Browser, charlie: Browser, box_id: int
):
    message_id = add(app, cast, box_id)
    for browser in (bob, charlie):
        for path in (f"/mail2fax/{box_id}/log", f"/mail2fax/{box_id}/log/{message_id}"):
            assert browser.get(path).status_code == 404


def test_a_message_of_another_box_is_a_missing_one(app: Flask, cast: Cast, alice: Browser, box_id: int):
    other = make_box(app, cast, name="other", entity_id=cast.archive)
    message_id = add(app, cast, other)
    assert alice.get(f"/mail2fax/{other}/log/{message_id}").status_code == 200
    assert alice.get(f"/mail2fax/{box_id}/log/{message_id}").status_code == 404
    assert alice.get(f"/mail2fax/{box_id}/log/999999").status_code == 404
