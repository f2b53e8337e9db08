"""Mails that answer mails to a Mail2Fax box, and the one about a box that does not work: rows of the outbox.

A mail is answered only to the user whose address it came from, and only if the rules are sure that it is theirs
(``answerable``): nobody else gets a mail because somebody wrote their name.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import BoxState, Fax, MailMessage, Notice, NoticeKind
from app.queues import enqueue_after_commit
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
    _write(session, NoticeKind.MAIL_ACCEPTED, [user], occasion=str(message.id), fax_id=fax.id, due_at=due_at)
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
    _write(session, kind, [user], occasion=str(message.id))
    message.answered = True


def tell_of_fault(session: Session, state: BoxState, now: datetime) -> None:
    """One mail to each administrator of the company; no second one until the box has worked again."""
    state.told_at = now
    people = people_in_use(session, administers(state.tenant_id))
    _write(session, NoticeKind.BOX_FAULT, people, occasion=f"{state.box_id} {state.fault_since:%Y-%m-%d %H:%M:%S}")


def _write(session: Session, kind: NoticeKind, users: Iterable[User], **more: Any) -> None:
    notices = [
        Notice(
            tenant_id=user.tenant_id,
            user_id=user.id,
            kind=kind,
            recipient=user.email,
            language=user.preferred_language,
            message_id=f"<{uuid4()}@faxroom.{session.get_one(Tenant, user.tenant_id).slug}.invalid>",
            **more,
        )
        for user in users
    ]
    session.add_all(notices)
    session.flush()
    for notice in notices:
        enqueue_after_commit(session, "deliver", notice.id)
