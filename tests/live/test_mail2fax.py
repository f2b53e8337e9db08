"""A mail from any mail program becomes a fax: real SMTP, real Dovecot, the real line, and answers in the mailbox."""

import os
import smtplib
import time
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from app.models import Fax, MailFate, MailMessage, Notice, NoticeKind, Status
from app.rules.mail2fax.answers import WINDOW
from tenants.db import new_ulid, utc_now
from tests.live.instance import Instance
from tests.web.cast import pdf_bytes

pytestmark = pytest.mark.live
pytest.importorskip("app.services.mail2fax.judging")

ALICE, BOX, FAR = "alice@alpha.test", "fax@alpha.test", "+49 30 23125000"


@pytest.fixture(scope="module")
def instance() -> Instance:
    running = Instance(Path(os.environ["FAXROOM_TEST_HOME"]))
    with running.session() as session:  # what tests before these were told counts against nobody
        told = sa.update(Notice).where(Notice.kind.in_((NoticeKind.MAIL_REFUSED, NoticeKind.MAIL_TESTED)))
        session.execute(told.values(created_at=utc_now() - WINDOW))
        session.commit()
    return running


def hand_in(
    instance: Instance, *, text: str, sender: str = ALICE, subject: str = FAR, headers: dict[str, str] | None = None
) -> str:
    """As a mail program does; its Message-ID."""
    message = EmailMessage()
    for name, value in (headers or {}).items():
        message[name] = value
    message["From"], message["To"], message["Subject"] = sender, BOX, subject
    message["Message-ID"] = f"<{new_ulid()}@alpha.test>"
    message.set_content(text)
    message.add_attachment(pdf_bytes(2), maintype="application", subtype="pdf", filename="contract.pdf")
    server = urlsplit(instance.environment["SMTP_URL"])
    with smtplib.SMTP(server.hostname, server.port) as smtp:
        smtp.send_message(message)
    return message["Message-ID"]


def row_of(instance: Instance, message_id: str, *, seconds: float = 200) -> MailMessage:
    """When the message is wholly through."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with instance.session() as session:
            mine = sa.select(MailMessage).where(MailMessage.message_id == message_id)
            if row := session.scalar(mine.where(MailMessage.filed_at.is_not(None))):
                session.expunge_all()
                return row
        time.sleep(0.1)
    raise AssertionError("the mail was not collected")


def answer_to(instance: Instance, message_id: str) -> EmailMessage:
    return instance.mailed(ALICE, lambda mail: mail["In-Reply-To"] == message_id)


def report_of(instance: Instance, fax_id: str) -> EmailMessage:
    def is_report(mail: EmailMessage) -> bool:
        body = mail.get_body()
        sent = str(mail["Subject"]).startswith("[KPBX40299999] FAX successfully sent")
        return sent and body is not None and fax_id in body.get_content()

    return instance.mailed(ALICE, is_report)


def test_a_mail_becomes_a_fax_and_its_sender_is_told_twice(instance: Instance) -> None:
    message_id = hand_in(instance, text="PIN 4711")
    row = row_of(instance, message_id)
    assert row.fate == MailFate.ACCEPTED, (row.reason, row.checks)
    answer = answer_to(instance, message_id)
    assert f"/faxes/{row.fax_id}" in answer.get_content()
    assert "Pages: 2" in answer.get_content()
    instance.until(row.fax_id, lambda fax: fax.status == Status.SENT)
    assert report_of(instance, row.fax_id)["To"] == ALICE


def test_a_users_test_is_answered_as_what_it_is_and_dials_nothing(instance: Instance) -> None:
    message_id = hand_in(instance, text="PIN 4711", subject=f"test {FAR}")
    row = row_of(instance, message_id)
    assert (row.fate, row.fax_id, row.filed_in) == (MailFate.TESTED, None, "Fax done")
    answer = answer_to(instance, message_id)
    assert "Your test email passed" in str(answer["Subject"])
    assert "would be faxed to +49 30 23125000" in " ".join(answer.get_content().split())


def test_a_refusal_sends_nothing_and_is_told_only_to_who_is_sure_to_be_who_they_say(instance: Instance) -> None:
    message_id = hand_in(instance, text="PIN 4711", subject="no number")
    row = row_of(instance, message_id)
    assert (row.fate, row.fax_id) == (MailFate.REFUSED, None)
    assert "did not become a fax" in str(answer_to(instance, message_id)["Subject"])
    theirs = row_of(instance, hand_in(instance, text="PIN 4711", sender="mallory@evil.test"))
    assert (theirs.fate, theirs.answered) == (MailFate.REFUSED, False), "it may be anybody"


def test_who_forgets_the_pin_is_told_all_that_is_wrong_once_a_day(instance: Instance) -> None:
    with instance.session() as session:
        session.execute(sa.update(Notice).where(Notice.kind == NoticeKind.MAIL_REFUSED).values(occasion=""))
        session.commit()
    message_id = hand_in(instance, text="Please send this.", subject="no number")
    assert row_of(instance, message_id).answered
    answer = answer_to(instance, message_id)
    text = " ".join(answer.get_content().split())
    for told in ("1. The subject must be the fax number", "2. There is no PIN in the message", "one such answer a day"):
        assert told in text, told
    assert (answer["Auto-Submitted"], answer["References"]) == ("auto-replied", message_id)
    assert not row_of(instance, hand_in(instance, text="Please send this.")).answered


def test_the_message_lies_in_the_folder_of_what_became_of_it(instance: Instance) -> None:
    box = instance.home / "mailboxes/boxes" / BOX
    for text, folder in (("PIN 4711", ".Fax done"), ("PIN 9999", ".Fax refused")):
        message_id = hand_in(instance, text=text, subject="12" if text != "PIN 4711" else FAR)
        row_of(instance, message_id)
        assert any(message_id.encode() in file.read_bytes() for file in (box / folder).glob("[nc]*/*"))


def test_a_collector_that_is_killed_is_back_and_makes_no_second_fax(instance: Instance) -> None:
    ids = [hand_in(instance, text="PIN 4711") for _ in range(3)]
    assert instance.kill("worker.py collect")
    ids += [hand_in(instance, text="PIN 4711") for _ in range(2)]
    rows = [row_of(instance, message_id) for message_id in ids]
    assert {row.fate for row in rows} == {MailFate.ACCEPTED}
    with instance.session() as session:
        for row in rows:
            same = sa.select(sa.func.count()).select_from(MailMessage).where(MailMessage.message_id == row.message_id)
            assert session.scalar(same.where(MailMessage.fax_id.is_not(None))) == 1
        faxes = session.scalars(sa.select(Fax.id).where(Fax.id.in_([row.fax_id for row in rows]))).all()
        assert len(faxes) == len(ids)
