"""What the mails about Mail2Fax say: a mail became a fax, or it did not and why, or a box does not work."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask_babel import format_date, format_datetime
from flask_babel import gettext as _

from app.application import settings
from app.errors import TemporaryFailure
from app.models import Mail2FaxBox, MailMessage, Notice, NoticeKind, Status
from app.models.faxes.moves import WAITING
from app.rules.mail2fax.answers import refused_of_program
from app.rules.mail2fax.ledger import box_state_of, is_sure
from app.rules.numbers.numbers import shown_number
from app.rules.outbox.token_states import ends_at
from app.rules.words.document_sentences import DOCUMENT_REFUSALS
from app.rules.words.mail_steps import steps_of
from app.rules.words.sentences import in_language, line_time_text, pages_text, sentence
from app.services.outbox.rendering import render_for
from tenants.db import db, utc_now
from tenants.models import Tenant

#: How long an answer waits for the pages to be drawn: only then is it known how long the fax takes.
LONGEST_DRAWING = timedelta(minutes=3)
BEING_DRAWN = (Status.ACCEPTED, Status.PREPARING)
ON_ITS_WAY = (*BEING_DRAWN, *WAITING, Status.DIALING, Status.SENDING)


#: What a stranger may have written and is harmless: a telephone number.
_NUMBERS = re.compile(r"[0-9 +()/.-]*")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a mail, and what to do about it in which mail program."""

    sentence: str
    steps: list[tuple[str, str]]


def answer_mail(notice: Notice) -> tuple[str, str] | None:
    """Subject and text; None if it would say something that is no longer so."""
    if notice.user is None or not notice.user.is_active:
        return None
    texts = {
        NoticeKind.MAIL_ACCEPTED: _accepted,
        NoticeKind.MAIL_REFUSED: _refused,
        NoticeKind.MAIL_TESTED: _tested,
        NoticeKind.BOX_FAULT: _box_fault,
        NoticeKind.TOKEN_ENDS: _token_ends,
    }
    with in_language(notice.language):
        return texts[NoticeKind(notice.kind)](notice)


def answered_message_id(notice: Notice) -> str | None:
    """Of the mail that this one answers. What a program sent is told to others, and answered to nobody."""
    message = _message(notice) if notice.mail_id else None
    return message.message_id or None if message and message.user_id in (None, notice.user_id) else None


def _message(notice: Notice) -> MailMessage | None:
    mine = sa.select(MailMessage).where(MailMessage.id == notice.mail_id, MailMessage.tenant_id == notice.tenant_id)
    return db.session.scalar(mine)


def _accepted(notice: Notice) -> tuple[str, str] | None:
    fax, message = notice.fax, _message(notice)
    if fax is None or fax.status not in ON_ITS_WAY:  # the mail with the report says more
        return None
    if fax.status in BEING_DRAWN and utc_now() < notice.created_at + LONGEST_DRAWING:
        raise TemporaryFailure("fax_being_prepared")
    number = shown_number(fax.remote_number, fax.tenant)
    values = {"notice": notice, "fax": fax, "number": number, "box": message.box if message else None}
    values |= {"pages_text": pages_text, "line_time_text": line_time_text, "link": f"{_base_url()}/faxes/{fax.id}"}
    subject = _("[%(serial)s] Your fax to %(number)s is on its way", serial=fax.tenant.serial, number=number)
    return subject, render_for(notice.language, "outbox/email/mail_accepted.txt", **values)


def _refused(notice: Notice) -> tuple[str, str] | None:
    tenant, values = db.session.get_one(Tenant, notice.tenant_id), _without_fax(notice)
    subject = _("[%(serial)s] Your email did not become a fax", serial=tenant.serial)
    if values and values["count"]:
        name = values["message"].sender or "–"
        subject = _(
            "[%(serial)s] %(count)s emails of %(name)s did not become faxes",
            serial=tenant.serial,
            count=values["count"],
            name=name,
        )
    elif values and not values["is_own"]:
        subject = _("[%(serial)s] The email of a program did not become a fax", serial=tenant.serial)
    return (subject, render_for(notice.language, "outbox/email/mail_refused.txt", **values)) if values else None


def _tested(notice: Notice) -> tuple[str, str] | None:
    tenant, values = db.session.get_one(Tenant, notice.tenant_id), _without_fax(notice)
    subject = _("[%(serial)s] Your test email passed", serial=tenant.serial)
    return (subject, render_for(notice.language, "outbox/email/mail_tested.txt", **values)) if values else None


def _without_fax(notice: Notice) -> dict[str, Any] | None:
    """What is said of a mail that became no fax."""
    message = _message(notice)
    if message is None:
        return None
    zone = db.session.get_one(Tenant, notice.tenant_id).zone
    day = date.fromisoformat(notice.note) if notice.note else None
    is_own = message.user_id == notice.user_id
    return {
        "notice": notice,
        "message": message,
        "at": format_datetime(message.created_at.astimezone(zone), "medium", rebase=False),
        "faults": _faults(message),
        "is_sure": _is_sure(message),
        "number": _number(message),
        "is_own": is_own,
        "day": format_date(day, "long") if day else "",
        "count": refused_of_program(db.session, message, day, zone) if day else 0,
        "once_a_day": bool(notice.occasion),
        "link": f"{_base_url()}/profile" if is_own else f"{_base_url()}/mail2fax/{message.box_id}/log/{message.id}",
    }


def _number(message: MailMessage) -> str:
    """Where it was to go, unless the subject says so: one email may have been handed in for several."""
    passed = [check for check in message.checks or [] if check["code"] == "number" and check["passed"]]
    number = str(passed[0]["values"].get("number", "")) if passed and _is_sure(message) else ""
    return "" if number in (message.subject or "") else number


def _faults(message: MailMessage) -> list[Fault]:
    """All that is wrong with it, the reason first; each once."""
    failed = [check["values"] for check in message.checks or [] if check["passed"] is False]
    found = [(message.reason or "", message.reason_values or {}), *((values["reason"], values) for values in failed)]
    faults: dict[str, Fault] = {}
    for code, values in found:
        shown = values if _is_sure(message) else {name: _unsure(value) for name, value in values.items()}
        if code in DOCUMENT_REFUSALS and not _is_sure(message):
            shown.pop("name", None)
        fault = Fault(sentence(code, **shown), steps_of(code, message.program))
        faults.setdefault(fault.sentence, fault)
    return list(faults.values())


def _is_sure(message: MailMessage) -> bool:
    """Else nothing of the mail is repeated: whoever used the address would speak to its owner in our name."""
    return message.checks is None or is_sure(message.checks)


def _unsure(value: Any) -> Any:
    return "…" if isinstance(value, str) and not _NUMBERS.fullmatch(value) else value


def _box_fault(notice: Notice) -> tuple[str, str] | None:
    tenant = db.session.get_one(Tenant, notice.tenant_id)
    theirs = (Mail2FaxBox.id == notice.box_id, Mail2FaxBox.tenant_id == tenant.id)
    box = db.session.scalar(sa.select(Mail2FaxBox).where(*theirs))
    state = box_state_of(db.session, box) if box else None
    if box is None or state is None or state.fault is None or state.fault_since is None:
        return None
    values = {
        "notice": notice,
        "box": box,
        "since": format_datetime(state.fault_since.astimezone(tenant.zone), "medium", rebase=False),
        "why": sentence(state.fault, **{"reason": "–", **(state.fault_values or {})}),
        "link": f"{_base_url()}/mail2fax/{box.id}/log",
    }
    name = " ".join(box.name.split())
    subject = _("[%(serial)s] %(name)s: emails are not being collected", serial=tenant.serial, name=name)
    return subject, render_for(notice.language, "outbox/email/box_fault.txt", **values)


def _token_ends(notice: Notice) -> tuple[str, str] | None:
    """What signs in at a box, or at the operators' mail server, ends soon; None if it was renewed meanwhile."""
    user, end = notice.user, datetime.fromisoformat(notice.note or "")
    box = db.session.get(Mail2FaxBox, notice.box_id) if notice.box_id else None
    if user is None or (notice.box_id and (box is None or box.tenant_id != notice.tenant_id or box.sign_in is None)):
        return None
    row = box.sign_in if box else None
    if row and ends_at(row.secret_ends_on, row.refresh_until) != end:
        return None
    name = " ".join(box.name.split()) if box else "SMTP_URL"
    day = format_date(end.astimezone(user.tenant.zone if user.tenant else UTC), "long", rebase=False)
    link = f"{_base_url()}/mail2fax/{box.id}" if box else ""
    values = {"user": user, "box": box, "name": name, "day": day, "link": link}
    subject = _("%(name)s: the sign-in ends on %(day)s", name=name, day=day)
    return subject, render_for(notice.language, "outbox/email/token_ends.txt", **values)


def _base_url() -> str:
    return settings().base_url
