"""Mails that answer mails to a Mail2Fax box, and the one about a box that does not work: rows of the outbox.

A mail is answered only to the user whose address it came from. Who proved who they are is told of every mail; whose
address alone speaks for them is told once a day, because anybody could have written it. Nobody else is told anything.
"""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import BoxState, Fax, MailFate, MailMessage, Notice, NoticeKind
from app.rules.ground.days import day_bounds, day_of
from app.rules.outbox.writing import write_notices
from tenants.db import utc_now
from tenants.models import Tenant, User
from tenants.people import administers, people_in_use

#: Passed tests that one person is told of within an hour; further ones are in the log only.
WINDOW = timedelta(hours=1)
MOST_TOLD = 10
#: By then a letter is drawn, so that the answer can say how long it takes.
DRAWING = timedelta(seconds=4)


def answer_accepted(session: Session, fax: Fax, message: MailMessage, user: User) -> None:
    """It is on its way: number, pages, time. In the transaction that accepts it."""
    due_at = utc_now() + DRAWING
    about: dict[str, Any] = {"mail_id": message.id, "fax_id": fax.id, "due_at": due_at}
    write_notices(session, NoticeKind.MAIL_ACCEPTED, [user], tenant=user.tenant, is_personal=True, **about)
    message.answered = True


def answer_refused(session: Session, message: MailMessage, user: User, *, proven: bool = True) -> None:
    """Why there is no fax. Unless they proved who they are, once on each day of their company.

    Raises:
        IntegrityError: this very moment another mail of theirs was answered, the first one of the day.
    """
    occasion = "" if proven else _today(user)
    if occasion and _was_told(session, user, occasion):
        return
    _tell_without_fax(session, NoticeKind.MAIL_REFUSED, message, user, occasion=occasion)


def answer_tested(session: Session, message: MailMessage, user: User) -> None:
    """That all is right, unless the user had many such mails within the hour."""
    lately = sa.select(sa.func.count()).where(
        Notice.user_id == user.id, Notice.kind == NoticeKind.MAIL_TESTED, Notice.created_at > utc_now() - WINDOW
    )
    if (session.scalar(lately) or 0) < MOST_TOLD:
        _tell_without_fax(session, NoticeKind.MAIL_TESTED, message, user)


def tell_of_program(session: Session, message: MailMessage, user: User) -> None:
    """That a mail of a program that may send here became no fax: to the administrators, since no program is answered.
    About each program the first one of a day is told at once, and how many there were when the day is over."""
    occasion = f"{_today(user)} {user.id}"
    day = day_of(utc_now(), user.company.zone)
    _begin, end = day_bounds(day, user.company.zone)
    about: dict[str, Any] = {"mail_id": message.id, "tenant": user.tenant, "is_personal": True}
    for one in people_in_use(session, administers(message.tenant_id)):
        if one.id == user.id:
            continue
        if not _was_told(session, one, occasion):
            write_notices(session, NoticeKind.MAIL_REFUSED, [one], occasion=occasion, **about)
        elif not _was_told(session, one, f"{occasion} all"):
            later: dict[str, Any] = {"occasion": f"{occasion} all", "due_at": end, "note": day.isoformat()}
            write_notices(session, NoticeKind.MAIL_REFUSED, [one], **later, **about)


def refused_of_program(session: Session, message: MailMessage, day: date, zone: ZoneInfo) -> int:
    """How many emails that a program wrote, in the name of whom this one is, became no fax on a day."""
    begin, end = day_bounds(day, zone)
    query = sa.select(MailMessage.checks).where(
        MailMessage.tenant_id == message.tenant_id,
        MailMessage.user_id == message.user_id,
        MailMessage.fate == MailFate.REFUSED,
        MailMessage.created_at >= begin,
        MailMessage.created_at < end,
    )
    return sum(1 for checks in session.scalars(query) if _is_of_program(checks))


def _is_of_program(checks: list[Any] | None) -> bool:
    return any(check["code"] == "person" and check["values"].get("why") for check in checks or [])


def _today(user: User) -> str:
    return day_of(utc_now(), user.company.zone).isoformat()


def _was_told(session: Session, user: User, occasion: str) -> bool:
    same = sa.select(Notice.id).where(Notice.kind == NoticeKind.MAIL_REFUSED, Notice.tenant_id == user.tenant_id)
    return session.scalar(same.where(Notice.recipient == user.email, Notice.occasion == occasion).limit(1)) is not None


def _tell_without_fax(
    session: Session, kind: NoticeKind, message: MailMessage, user: User, *, occasion: str = ""
) -> None:
    about: dict[str, Any] = {"mail_id": message.id, "occasion": occasion}
    write_notices(session, kind, [user], tenant=user.tenant, is_personal=True, **about)
    message.answered = True


def tell_of_fault(session: Session, state: BoxState, now: datetime) -> None:
    """One mail to each administrator of the company; no second one until the box has worked again."""
    state.told_at = now
    people = people_in_use(session, administers(state.tenant_id))
    tenant = session.get_one(Tenant, state.tenant_id)
    write_notices(session, NoticeKind.BOX_FAULT, people, tenant=tenant, is_personal=True, box_id=state.box_id)
