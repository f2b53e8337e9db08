"""What the answers to mails say, to whom, and as what they are marked."""

from datetime import timedelta
from email.message import EmailMessage

import pytest
import sqlalchemy as sa
from flask import Flask

import app.jobs.running as running
from app.jobs.outbox import notify
from app.models import BoxState, Fax, MailFate, MailMessage, Notice, Status
from app.rules.mail2fax.answers import (
    answer_accepted,
    answer_refused,
    answer_tested,
    tell_of_fault,
    tell_of_program,
)
from app.rules.words.mail_steps import NAMES
from tenants.db import db, utc_now
from tenants.models import User
from tests.db.mails import make_box
from tests.web.cast import Cast, make_fax


@pytest.fixture
def sent(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[EmailMessage]:
    """What the mail server was handed; the jobs run in this very application."""
    taken: list[EmailMessage] = []
    monkeypatch.setattr(running, "application", lambda: app)
    monkeypatch.setattr(notify, "send_mail", lambda url, message: taken.append(message))
    return taken


def message_of(app: Flask, cast: Cast, **values: object) -> MailMessage:
    box_id = make_box(app, cast)
    values = {"message_id": "<its@id>", "digest": "0" * 64, "size": 1, "subject": "0501234567"} | values
    message = MailMessage(
        tenant_id=cast.alpha, box_id=box_id, uid_validity=1, uid=1, user_id=cast.bob, sender="bob@alpha.test", **values
    )
    db.session.add(message)
    db.session.flush()
    return message


def accept(app: Flask, cast: Cast, **fax: object) -> str:
    fax_id = make_fax(app, cast, **({"status": Status.READY, "line_seconds": 130} | fax))
    with app.app_context():
        message = message_of(app, cast, fate=MailFate.ACCEPTED, fax_id=fax_id)
        answer_accepted(db.session, db.session.get_one(Fax, fax_id), message, db.session.get_one(User, cast.bob))
        db.session.commit()
    return fax_id


def deliver(app: Flask, *, later: timedelta = timedelta(0)) -> None:
    with app.app_context():
        past = utc_now() - timedelta(seconds=1)
        values = {"due_at": past} | ({"created_at": past - later} if later else {})
        db.session.execute(sa.update(Notice).values(**values))
        db.session.commit()
        ids = db.session.scalars(sa.select(Notice.id)).all()
        db.session.rollback()
    for notice_id in ids:
        notify.deliver(notice_id)


def test_an_accepted_mail_is_answered_with_number_pages_time_and_link(app: Flask, cast: Cast, sent: list[EmailMessage]):
    fax_id = accept(app, cast)
    deliver(app)
    (mail,) = sent
    assert mail["To"] == "bob@alpha.test"
    assert mail["Subject"] == "[KPBX40299999] Your fax to 050 123 4567 is on its way"
    text = mail.get_content()
    for told in ("fax@alpha.test", "050 123 4567", "Pages: 2", "about 2 minutes", f"/faxes/{fax_id}"):
        assert told in text, told


def test_an_answer_names_what_it_answers_and_asks_for_no_answer(app: Flask, cast: Cast, sent: list[EmailMessage]):
    accept(app, cast)
    deliver(app)
    (mail,) = sent
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["In-Reply-To"] == mail["References"] == "<its@id>"


def test_the_answer_waits_until_the_pages_are_drawn_but_not_for_ever(app: Flask, cast: Cast, sent: list[EmailMessage]):
    accept(app, cast, status=Status.PREPARING, line_seconds=None)
    deliver(app)
    assert sent == []
    deliver(app, later=timedelta(minutes=5))
    assert "Time on the line" not in sent[0].get_content()


@pytest.mark.parametrize("status", [Status.SENT, Status.FAILED, Status.CANCELLED, Status.UNKNOWN])
def test_nobody_is_told_that_a_fax_is_on_its_way_that_is_over(
    app: Flask, cast: Cast, sent: list[EmailMessage], status: Status
):
    accept(app, cast, status=status)
    deliver(app)
    assert sent == []


def refuse(app: Flask, cast: Cast, **values: object) -> None:
    with app.app_context():
        message = message_of(app, cast, fate=MailFate.REFUSED, **values)
        answer_refused(db.session, message, db.session.get_one(User, cast.bob))
        db.session.commit()


def test_a_refusal_says_which_rule_failed_and_where_to_read_how_it_goes(
    app: Flask, cast: Cast, sent: list[EmailMessage]
):
    refuse(app, cast, reason="too_many_pages", reason_values={"limit": 200})
    deliver(app)
    (mail,) = sent
    text = mail.get_content().replace("\n", " ")
    for told in ("Nothing was sent", "more than 200 pages", "0501234567", "/profile"):
        assert told in text, told
    assert mail["Auto-Submitted"] == "auto-replied"


def test_a_test_that_passed_is_no_refusal(app: Flask, cast: Cast, sent: list[EmailMessage]):
    with app.app_context():
        values = {"fate": MailFate.TESTED, "reason": "mail_test_passed", "reason_values": {"number": "050 123 4567"}}
        message = message_of(app, cast, subject="test 0501234567", **values)
        answer_tested(db.session, message, db.session.get_one(User, cast.bob))
        db.session.commit()
    deliver(app)
    (mail,) = sent
    assert mail["Subject"] == "[KPBX40299999] Your test email passed"
    assert (mail["Auto-Submitted"], mail["In-Reply-To"]) == ("auto-replied", "<its@id>")
    text = " ".join(mail.get_content().split())
    assert "everything is right" in text
    assert "would be faxed to 050 123 4567" in text
    assert "did not become" not in text


@pytest.mark.parametrize(("subject", "told"), [("Contract", True), ("050 123 4567@frontdesk", False)])
def test_a_refusal_says_where_the_fax_was_to_go_unless_the_subject_does(
    app: Flask, cast: Cast, sent: list[EmailMessage], subject: str, told: bool
):
    checks = [
        {"code": "proof", "passed": True, "values": {}},
        {"code": "number", "passed": True, "values": {"number": "050 123 4567"}},
    ]
    refuse(app, cast, reason="mail_no_document", checks=checks, subject=subject)
    deliver(app)
    assert ("To: 050 123 4567" in sent[0].get_content()) is told


def test_a_refusal_is_written_in_the_senders_language(app: Flask, cast: Cast, sent: list[EmailMessage]):
    with app.app_context():
        db.session.get_one(User, cast.bob).language = "it"
        db.session.commit()
    refuse(app, cast, reason="too_many_pages", reason_values={"limit": 200})
    deliver(app)
    assert "più di 200 pagine" in sent[0].get_content()


def test_a_message_id_that_is_none_names_nothing(app: Flask, cast: Cast, sent: list[EmailMessage]):
    refuse(app, cast, reason="document_missing", message_id="")
    deliver(app)
    assert sent[0]["In-Reply-To"] is None


def test_a_user_who_left_is_not_answered(app: Flask, cast: Cast, sent: list[EmailMessage]):
    refuse(app, cast, reason="document_missing")
    with app.app_context():
        db.session.get_one(User, cast.bob).disabled_at = utc_now()
        db.session.commit()
    deliver(app)
    assert sent == []


def break_box(app: Flask, cast: Cast) -> int:
    with app.app_context():
        box_id, since = make_box(app, cast), utc_now()
        state = BoxState(box_id=box_id, tenant_id=cast.alpha, fault="imap_refused", fault_since=since, failures=2)
        db.session.add(state)
        db.session.flush()
        tell_of_fault(db.session, state, since)
        db.session.commit()
        return box_id


def test_the_administrators_are_told_what_is_wrong_with_a_box(app: Flask, cast: Cast, sent: list[EmailMessage]):
    box_id = break_box(app, cast)
    deliver(app)
    (mail,) = sent
    assert mail["To"] == "alice@alpha.test"
    assert mail["Subject"] == "[KPBX40299999] fax: emails are not being collected"
    text = mail.get_content().replace("\n", " ")
    for told in ("does not accept this user name", "Nothing is lost", f"/mail2fax/{box_id}/log"):
        assert told in text, told


def test_a_box_that_works_again_before_the_mail_went_out_is_no_news(app: Flask, cast: Cast, sent: list[EmailMessage]):
    break_box(app, cast)
    with app.app_context():
        db.session.execute(sa.update(BoxState).values(fault=None, fault_since=None))
        db.session.commit()
    deliver(app)
    assert sent == []


# ---- All faults in one mail

FAILED = [
    {"code": "proof", "passed": None, "values": {}},
    {"code": "subject", "passed": False, "values": {"reason": "mail_subject"}},
    {"code": "pin", "passed": True, "values": {}},
    {"code": "documents", "passed": False, "values": {"reason": "mail_attachment_type", "name": "visit evil.test"}},
    {"code": "signature", "passed": False, "values": {"reason": "mail_signature_missing"}},
]


def test_all_faults_are_told_in_one_mail_the_reason_first(app: Flask, cast: Cast, sent: list[EmailMessage]):
    refuse(app, cast, reason="mail_subject", reason_values={"reason": "mail_subject"}, checks=FAILED)
    deliver(app)
    text = " ".join(sent[0].get_content().split())
    places = [text.index(told) for told in ("1. The subject must", "2. visit evil.test is not", "3. This email is not")]
    assert places == sorted(places)
    assert "one such answer a day" not in text


@pytest.mark.parametrize("program", ["outlook", "apple", "thunderbird", "gmail", None])
def test_the_steps_are_those_of_the_senders_own_mail_program(
    app: Flask, cast: Cast, sent: list[EmailMessage], program: str | None
):
    refuse(app, cast, reason="mail_signature_missing", checks=FAILED, program=program)
    deliver(app)
    text = sent[0].get_content()
    named = {code for code, name in NAMES.items() if f"   {name}: " in text}
    assert named == ({program} if program else set(NAMES))


def test_what_anybody_may_have_written_is_not_repeated_in_our_name(app: Flask, cast: Cast, sent: list[EmailMessage]):
    checks = [check for check in FAILED if check["code"] != "pin"]
    values = {"reason": "mail_attachment_type", "reason_values": checks[2]["values"], "subject": "visit evil.test"}
    with app.app_context():
        message = message_of(app, cast, fate=MailFate.REFUSED, checks=checks, **values)
        answer_refused(db.session, message, db.session.get_one(User, cast.bob), proven=False)
        db.session.commit()
    deliver(app)
    text = " ".join(sent[0].get_content().split())
    assert "evil.test" not in text
    assert "is not of a kind that can be faxed" in text
    assert "one such answer a day" in text
    assert "someone used your address" in text


def test_administrators_are_told_of_a_programs_mail_and_nobody_is_answered(
    app: Flask, cast: Cast, sent: list[EmailMessage]
):
    with app.app_context():
        message = message_of(app, cast, fate=MailFate.REFUSED, reason="mail_pin_missing", checks=FAILED)
        tell_of_program(db.session, message, db.session.get_one(User, cast.bob))
        db.session.commit()
    deliver(app)
    (mail,) = sent
    assert (mail["To"], mail["In-Reply-To"], mail["Auto-Submitted"]) == ("alice@alpha.test", None, "auto-generated")
    assert mail["Subject"] == "[KPBX40299999] The email of a program did not become a fax"
    text = " ".join(mail.get_content().split())
    assert "the email that bob@alpha.test sent to fax@alpha.test" in text
    assert "/log/" in text


OF_A_PROGRAM = [{"code": "person", "passed": True, "values": {"why": "generated"}}, *FAILED]


def test_at_the_end_of_the_day_administrators_hear_how_many_of_a_programs_mails_were_refused(
    app: Flask, cast: Cast, sent: list[EmailMessage]
):
    with app.app_context():
        first = message_of(app, cast, fate=MailFate.REFUSED, reason="mail_pin_missing", checks=OF_A_PROGRAM)
        bob = db.session.get_one(User, cast.bob)
        values = {name: getattr(first, name) for name in ("tenant_id", "box_id", "uid_validity", "size", "sender")}
        values |= {"fate": MailFate.REFUSED, "reason": "mail_pin_missing", "user_id": cast.bob}
        tell_of_program(db.session, first, bob)
        for n, checks in enumerate((OF_A_PROGRAM, OF_A_PROGRAM, FAILED)):  # the last one was written by Bob himself
            message = MailMessage(uid=100 + n, digest=f"{n}" * 64, checks=checks, **values)
            db.session.add(message)
            db.session.flush()
            if checks is OF_A_PROGRAM:
                tell_of_program(db.session, message, bob)
        db.session.execute(sa.update(Notice).values(due_at=utc_now()))
        db.session.commit()
    deliver(app)
    assert [mail["Subject"] for mail in sent] == [
        "[KPBX40299999] The email of a program did not become a fax",
        "[KPBX40299999] 3 emails of bob@alpha.test did not become faxes",
    ]
    assert "3 emails that bob@alpha.test sent on" in " ".join(sent[1].get_content().split())
