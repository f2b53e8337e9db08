"""Mails that answer mails to a Mail2Fax box, and the one about a box that does not work: rows of the outbox.

A mail is answered only to the user whose address it came from, and only if the rules are sure that it is theirs
(``answerable``): nobody else gets a mail because somebody wrote their name.
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

#: Refusals and passed tests that one person is told of within an hour; further ones are in the log only.
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


def answer_refused(session: Session, message: MailMessage, user: User) -> None:
    """Why there is no fax, unless the user had many such mails within the hour."""
    _tell_without_fax(session, NoticeKind.MAIL_REFUSED, message, user)


def answer_tested(session: Session, message: MailMessage, user: User) -> None:
    """That all is right, unless the user had many such mails within the hour."""
    _tell_without_fax(session, NoticeKind.MAIL_TESTED, message, user)


def _tell_without_fax(session: Session, kind: NoticeKind, message: MailMessage, user: User) -> None:
    kinds = (NoticeKind.MAIL_REFUSED, NoticeKind.MAIL_TESTED)
    lately = sa.select(sa.func.count()).where(
        Notice.user_id == user.id, Notice.kind.in_(kinds), Notice.created_at > utc_now() - WINDOW
    )
    if (session.scalar(lately) or 0) >= MOST_TOLD:
        return
    write_notices(session, kind, [user], tenant=user.tenant, is_personal=True, mail_id=message.id)
    message.answered = True


def tell_of_fault(session: Session, state: BoxState, now: datetime) -> None:
    """One mail to each administrator of the company; no second one until the box has worked again."""
    state.told_at = now
    people = people_in_use(session, administers(state.tenant_id))
    tenant = session.get_one(Tenant, state.tenant_id)
    write_notices(session, NoticeKind.BOX_FAULT, people, tenant=tenant, is_personal=True, box_id=state.box_id)
