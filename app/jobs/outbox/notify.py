"""The outbox goes out."""

import logging
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from app.adapters.mail.smtp import send_mail
from app.errors import FaxroomError, PermanentFailure, TemporaryFailure
from app.jobs.outbox.account_mails import account_mail
from app.jobs.outbox.alert_mails import alert_mail, disk_mail, trunk_mail
from app.jobs.outbox.digests import digest
from app.jobs.outbox.documents import attach, with_document
from app.jobs.outbox.mail_answers import answer_mail, answered_message_id
from app.jobs.running import job
from app.models import Fax, Notice, NoticeKind, Status
from app.queues import is_paused, pause
from app.rules.ground.access import receivers
from app.rules.ground.holding import held_since
from app.rules.inbox.colleague_mails import (
    forwarded_subject,
    handed_over_subject,
    reminder_subject,
    sender_name,
)
from app.rules.inbox.inbox import colleagues
from app.rules.inbox.reminding import late_items_of
from app.rules.inbox.waiting import since_text
from app.rules.numbers.naming import report_name
from app.rules.numbers.numbers import shown_number
from app.rules.outbox.notices import received_text, subject_of
from app.rules.sending.looking import may_release
from app.rules.words.sentences import damage_text, in_language, incomplete_note, other_end, pages_text, story, timestamp
from app.services.outbox.rendering import render_for
from app.services.outbox.tokens import hand_over
from app.services.sending.reports import ensure_report
from tenants.addresses import user_by_address
from tenants.db import db, only_reading, rows_changed, utc_now
from tenants.models import User

log = logging.getLogger(__name__)

#: How long one delivery may take before another worker tries: longer than its job may run.
LEASE = timedelta(seconds=150)
#: A recipient's server that asks to come back later is asked ever less often, and for so long.
LONGEST_DELAY = timedelta(hours=1)
LONGEST_WAIT = timedelta(days=5)
FEWEST_TRIES = 8
#: While our own mail server does not answer one mail asks for all, and each again as soon as it does.
PAUSE = timedelta(seconds=10)
#: Faxes that one reminder names.
MOST_LISTED = 20


@job
def deliver(notice_id: int) -> None:
    """Send one notice; returns quietly if it is sent already, another worker has it, nothing may leave, or the mail
    server has just been asked in vain: then it waits as it is, and the clock comes back for it."""
    session, now = db.session, utc_now()
    with only_reading():
        may_leave = not held_since(session) and not is_paused("mail")
        session.rollback()
    if not may_leave:
        return
    mine = sa.update(Notice).where(Notice.id == notice_id, Notice.sent_at.is_(None), Notice.due_at <= now)
    claimed = rows_changed(session, mine.values(due_at=now + LEASE, tries=Notice.tries + 1)) == 1
    session.commit()
    if not claimed:
        return
    with only_reading():
        notice = session.get_one(Notice, notice_id)
        tries, age = notice.tries, now - notice.created_at
    try:
        with only_reading():
            message = _mail_of(notice)
        session.rollback()  # no transaction while the mail server thinks
        if message:
            hand_over(lambda url, bearer: send_mail(url, message, *filter(None, [bearer])))
    except TemporaryFailure as failure:
        _wait_or_give_up(notice_id, failure, tries, age)
    except PermanentFailure as failure:
        _give_up(notice_id, failure)
    else:
        _note(notice_id, sent_at=utc_now(), due_at=None, cause=None, error=None, secret=None)


def _wait_or_give_up(notice_id: int, failure: TemporaryFailure, tries: int, age: timedelta) -> None:
    """A mail server of ours that is away refuses nobody, however long; a recipient's that never takes it does."""
    if failure.code == "mail_server_down":
        log.warning("all mails wait: %s", failure)
        pause("mail", int(PAUSE.total_seconds()))
        _note(notice_id, due_at=utc_now() + PAUSE, **_why(failure))
    elif tries >= FEWEST_TRIES and age > LONGEST_WAIT:
        _give_up(notice_id, failure)
    else:
        log.warning("notice %s waits: %s", notice_id, failure)
        delay = min(LONGEST_DELAY, timedelta(seconds=15 * 2 ** min(tries, 10)))
        _note(notice_id, due_at=utc_now() + delay, **_why(failure))


def _give_up(notice_id: int, failure: FaxroomError) -> None:
    log.error("notice %s is given up: %s", notice_id, failure)
    _note(notice_id, due_at=None, given_up_at=utc_now(), secret=None, **_why(failure))


def _why(failure: FaxroomError) -> dict[str, str]:
    """The code, and what the mail server said."""
    return {"cause": failure.code[:32], "error": str(failure.values.get("reason") or failure)[:255]}


def _note(notice_id: int, **values: object) -> None:
    db.session.rollback()
    db.session.execute(sa.update(Notice).where(Notice.id == notice_id).values(**values))
    db.session.commit()


def outcome_mail(notice: Notice) -> EmailMessage:
    """The one mail about a fax that was sent or not, with the report."""
    fax, settings = notice.its_fax, current_app.config["SETTINGS"]
    report = ensure_report(db.session, fax)
    text = render_for(
        notice.language,
        "outbox/email/outcome.txt",
        fax=fax,
        sent=fax.status == Status.SENT,
        number=shown_number(fax.remote_number, fax.tenant),
        story=story,
        timestamp=timestamp,
        pages_text=pages_text,
        link=f"{settings.base_url}/faxes/{fax.id}",
    )
    message = _mail(notice, text)
    attach(message, report, report_name(fax))
    return message


def held_mail(notice: Notice) -> EmailMessage | None:
    """A fax waits for its sender's word; nothing to send if they have said it, or taken the fax back, meanwhile."""
    fax = notice.its_fax
    if not may_release(fax):
        return None
    number, base_url = shown_number(fax.remote_number, fax.tenant), current_app.config["SETTINGS"].base_url
    values = {"fax": fax, "number": number, "pages": pages_text(fax.pages or 0), "timestamp": timestamp}
    text = render_for(notice.language, "outbox/email/held.txt", **values, link=f"{base_url}/faxes/{fax.id}")
    with in_language(notice.language):
        subject = _(
            "[%(serial)s] FAX to %(number)s is waiting for your answer", serial=fax.tenant.serial, number=number
        )
        return _mail(notice, text, subject)


def received_mail(notice: Notice) -> EmailMessage:
    """The mail about a fax that came in, with the document. What is not whole is said after the lines for programs."""
    fax, text = notice.its_fax, received_text(notice.its_fax)
    with in_language(notice.language):
        note = incomplete_note(fax) if fax.status == Status.INCOMPLETE else damage_text(fax)
    if note:
        text += f"\n{note}\n"
    return with_document(notice, _mail(notice, text), lambda: _mail(notice, text))


def forwarded_mail(notice: Notice) -> EmailMessage:
    """A colleague passes a received fax on, with the document."""
    whole, without = (
        _colleague_mail(notice, "outbox/email/forwarded.txt", forwarded_subject, has_document=has_document)
        for has_document in (True, False)
    )
    return with_document(notice, whole, lambda: without)


def handed_over_mail(notice: Notice) -> EmailMessage:
    """A colleague has given the fax away. Its document came with the mail about its reception."""
    return _colleague_mail(notice, "outbox/email/handed_over.txt", handed_over_subject)


def _colleague_mail(
    notice: Notice, template: str, subject: Callable[[Notice], str], *, has_document: bool = False
) -> EmailMessage:
    fax, settings = notice.its_fax, current_app.config["SETTINGS"]
    values: dict[str, object] = {"notice": notice, "fax": fax, "name": sender_name(notice), "number": other_end(fax)}
    values |= {"timestamp": timestamp, "pages_text": pages_text, "link": f"{settings.base_url}/faxes/{fax.id}"}
    text = render_for(notice.language, template, has_document=has_document, **values)
    with in_language(notice.language):
        return _mail(notice, text, subject(notice))


def reminder_mail(notice: Notice) -> EmailMessage | None:
    """What nobody has looked at for days; nothing to send if somebody has meanwhile."""
    user, now = user_by_address(db.session, notice.recipient), utc_now()
    items = late_items_of(db.session, user, now) if user and user.is_active else []
    if not items:
        return None
    base_url = current_app.config["SETTINGS"].base_url
    values = {"notice": notice, "items": items[:MOST_LISTED], "more": len(items[MOST_LISTED:]), "count": len(items)}
    values |= {"other_end": other_end, "since_text": since_text, "now": now, "zone": notice.its_fax.tenant.zone}
    text = render_for(notice.language, "outbox/email/reminder.txt", base_url=base_url, **values)
    with in_language(notice.language):
        return _mail(notice, text, reminder_subject(notice, len(items)))


def mail_about_account(notice: Notice) -> EmailMessage | None:
    """An invitation, a new password, a key that expires, a sign-in from somewhere new, a change."""
    told = account_mail(notice)
    return _mail(notice, told[1], told[0]) if told else None


def digest_mail(notice: Notice) -> EmailMessage | None:
    """A day's faxes, as a table where the mail program shows one."""
    told = digest(notice)
    if told is None:
        return None
    message = _mail(notice, told.text, told.subject)
    message.add_alternative(told.html, subtype="html", cte="quoted-printable")
    return message


def mail_of_alert(notice: Notice) -> EmailMessage | None:
    """Faxes fail or are stuck; or they go again."""
    told = alert_mail(notice)
    return _mail(notice, told[1], told[0]) if told else None


def mail_about_disks(notice: Notice) -> EmailMessage | None:
    """A disk fills up; or there is room again."""
    told = disk_mail(notice)
    return _mail(notice, told[1], told[0]) if told else None


def mail_about_trunk(notice: Notice) -> EmailMessage | None:
    """One of several trunks takes no calls; or it does again."""
    told = trunk_mail(notice)
    return _mail(notice, told[1], told[0]) if told else None


def mail_about_mail2fax(notice: Notice) -> EmailMessage | None:
    """The answer to a mail (RFC 3834), or what is wrong with a box."""
    told = answer_mail(notice)
    if told is None:
        return None
    message, answered = _mail(notice, told[1], told[0]), answered_message_id(notice)
    if answered:
        message.replace_header("Auto-Submitted", "auto-replied")
        message["In-Reply-To"] = message["References"] = answered
    return message


MAILS: dict[NoticeKind, Callable[[Notice], EmailMessage | None]] = {
    NoticeKind.OUTCOME: outcome_mail,
    NoticeKind.HELD: held_mail,
    NoticeKind.RECEIVED: received_mail,
    NoticeKind.FORWARDED: forwarded_mail,
    NoticeKind.HANDED_OVER: handed_over_mail,
    NoticeKind.REMINDER: reminder_mail,
    NoticeKind.INVITATION: mail_about_account,
    NoticeKind.PASSWORD_RESET: mail_about_account,
    NoticeKind.NEW_ADDRESS: mail_about_account,
    NoticeKind.KEY_EXPIRES: mail_about_account,
    NoticeKind.SIGNED_IN: mail_about_account,
    NoticeKind.ACCOUNT_CHANGED: mail_about_account,
    NoticeKind.ALERT: mail_of_alert,
    NoticeKind.ALL_CLEAR: mail_of_alert,
    NoticeKind.DISK_FILLING: mail_about_disks,
    NoticeKind.DISK_ROOM: mail_about_disks,
    NoticeKind.TRUNK_AWAY: mail_about_trunk,
    NoticeKind.TRUNK_BACK: mail_about_trunk,
    NoticeKind.MAIL_ACCEPTED: mail_about_mail2fax,
    NoticeKind.MAIL_REFUSED: mail_about_mail2fax,
    NoticeKind.MAIL_TESTED: mail_about_mail2fax,
    NoticeKind.BOX_FAULT: mail_about_mail2fax,
    NoticeKind.TOKEN_ENDS: mail_about_mail2fax,
    NoticeKind.DIGEST: digest_mail,
}


#: Who may see the fax that such a mail brings or is about.
READERS: dict[NoticeKind, Callable[[Session, Fax], list[User]]] = {
    NoticeKind.RECEIVED: receivers,
    NoticeKind.FORWARDED: colleagues,
    NoticeKind.HANDED_OVER: colleagues,
}


def _mail_of(notice: Notice) -> EmailMessage | None:
    kind = NoticeKind(notice.kind)
    readers = READERS.get(kind)
    if readers and not _is_among(notice.recipient, readers(db.session, notice.its_fax)):
        log.info("notice %s is not sent: who it is for may not see the fax any more", notice.id)
        return None
    return MAILS[kind](notice)


def _is_among(address: str, allowed: list[User]) -> bool:
    """Asked when the mail leaves: while a mail server is away it may wait for days, and rights are withdrawn in them.
    Where the address has changed hands or is nobody's, the mail is not for whoever reads it now."""
    user = user_by_address(db.session, address)
    return user is not None and user.id in {one.id for one in allowed}


def _mail(notice: Notice, text: str, subject: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject or subject_of(notice.its_fax)
    message["From"] = current_app.config["SETTINGS"].mail_from
    message["To"] = notice.recipient
    message["Date"] = format_datetime(utc_now())
    message["Message-ID"] = notice.message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday note answers it
    message.set_content(text, cte="quoted-printable")  # no server on the way takes away a blank
    return message
