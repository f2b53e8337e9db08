"""The hold of a restored installation: asked by whatever leaves the house."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Fax, Hold, Status

#: Why a fax waits, as its page says it.
CAUSE = "held"
_NOT_DIALLED_YET = (Status.READY, Status.SCHEDULED)


def held_since(session: Session) -> datetime | None:
    """Since when nothing may leave; None in an installation that is free."""
    return session.scalar(sa.select(Hold.since))


def say_held(session: Session, now: datetime) -> None:
    """What is due and may not go says so on its page. The caller commits."""
    due = sa.update(Fax).where(Fax.status.in_(_NOT_DIALLED_YET), Fax.due_at <= now, Fax.cause.is_distinct_from(CAUSE))
    session.execute(due.values(cause=CAUSE))


def release(session: Session) -> None:
    """Somebody has looked. The caller commits."""
    session.execute(sa.delete(Hold))
    waiting = sa.update(Fax).where(Fax.status.in_(_NOT_DIALLED_YET), Fax.cause == CAUSE)
    session.execute(waiting.values(cause=None))
