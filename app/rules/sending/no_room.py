"""Faxes that wait until there is room on our own disk again."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Fax, Status
from app.models.faxes.fax import WAITS_FOR_CAUSE
from app.rules.ground.call_ends import DISK_FULL

_NOT_DIALLED_YET = (Status.READY, Status.SCHEDULED)


def say_no_room(session: Session, now: datetime) -> None:
    """What is due and may not go says so on its page. Commits."""
    due = sa.update(Fax).where(Fax.status.in_(_NOT_DIALLED_YET), Fax.due_at <= now, Fax.cause.is_(None))
    session.execute(due.values(cause=DISK_FULL))
    session.commit()


def say_room_again(session: Session) -> None:
    """The caller commits."""
    # written out, so that the database sees that the partial index serves
    waiting = sa.update(Fax).where(sa.text(WAITS_FOR_CAUSE), Fax.cause == DISK_FULL)
    waiting = waiting.where(Fax.status.in_(_NOT_DIALLED_YET))
    session.execute(waiting.values(cause=None))
