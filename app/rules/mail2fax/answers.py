"""Mails that answer mails to a Mail2Fax box, and the one about a box that does not work: rows of the outbox.

A mail is answered only to the user whose address it came from. Who proved who they are is told of every mail; whose
address alone speaks for them is told once a day, because anybody could have written it. Nobody else is told anything.
"""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import BoxState, Fax, MailMessage, Notice, NoticeKind
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
    """That a mail of a program that may send here became no fax: to the administrators, since no program is answered;
    about each program once a day."""
    occasion = f"{_today(user)} {user.id}"
    people = [one for one in people_in_use(session, administers(message.tenant_id)) if one.id != user.id]
    told = [one for one in people if not _was_told(session, one, occasion)]
    about: dict[str, Any] = {"mail_id": message.id, "occasion": occasion}
    write_notices(session, NoticeKind.MAIL_REFUSED, told, tenant=user.tenant, is_personal=True, **about)


def _today(user: User) -> str:
    return utc_now().astimezone(user.company.zone).date().isoformat()


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
