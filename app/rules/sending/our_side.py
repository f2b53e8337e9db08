"""Faxes that wait for our own side say so on their pages: for room on our disk, or for Asterisk to read their trunk."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Fax, FaxEntity, Status
from app.models.faxes.fax import WAITS_FOR_CAUSE, WAITS_FOR_LINE
from app.rules.ground.call_ends import DISK_FULL, UNREAD

_NOT_DIALLED_YET = (Status.READY, Status.SCHEDULED)
#: Asterisk reads a trunk within a second or two: only what lasts longer is told.
READING = timedelta(seconds=10)


def say_no_room(session: Session, now: datetime) -> None:
    """What is due and may not go says so on its page. Commits."""
    due = sa.update(Fax).where(Fax.status.in_(_NOT_DIALLED_YET), Fax.due_at <= now, Fax.cause.is_(None))
    session.execute(due.values(cause=DISK_FULL))
    session.commit()


def say_unread(session: Session, line: FaxEntity, now: datetime) -> None:
    """The same of the line's faxes that go over trunks. The caller commits."""
    due = sa.update(Fax).where(Fax.entity_id == line.id, sa.text(WAITS_FOR_LINE), Fax.due_at <= now - READING)
    due = due.where(Fax.status.in_(_NOT_DIALLED_YET), Fax.cause.is_(None), Fax.dial_string.startswith("+"))
    session.execute(due.values(cause=UNREAD))


def forget_our_side(session: Session) -> None:
    """They may go, or it is said anew. The caller commits."""
    # written out, so that the database sees that the partial index serves
    waiting = sa.update(Fax).where(sa.text(WAITS_FOR_CAUSE), Fax.cause.in_((DISK_FULL, UNREAD)))
    waiting = waiting.where(Fax.status.in_(_NOT_DIALLED_YET))
    session.execute(waiting.values(cause=None))
