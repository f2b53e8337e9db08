"""A machine's clock is set: what waits for so many seconds goes on waiting for as many.

What waits for a time of day, because a person or a rule wants that, is left to the clock as it is now. So is what was
placed on the line: for when a call is given up too late is better than too early.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.models import ArchiveCopy, BoxState, Fax, LastTurn, Notice, Preview, Status
from app.rules.numbers.policy import CEILING
from tenants.db import rows_changed

#: A clock that is held in step by small corrections does not jump.
SMALLEST = timedelta(seconds=5)

_COLUMNS: tuple[InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None], ...] = (
    *(Fax.due_at, Fax.lease_until, Notice.due_at),
    *(ArchiveCopy.due_at, BoxState.due_at, BoxState.lease_until, Preview.lease_until),
)


def shift_waits(session: Session, *, before: datetime, now: datetime) -> int:
    """It would be ``before`` now, had nobody set the clock. Gives how many waits go on. Commits."""
    shifted = 0
    for column in _COLUMNS:
        waiting = sa.select(*column.class_.__mapper__.primary_key, column).where(column > before)
        if column is Fax.due_at:
            waiting = waiting.where(~_wanted_then())
        for *key, until in session.execute(waiting).all():
            mine = sa.and_(
                *(part == value for part, value in zip(column.class_.__mapper__.primary_key, key, strict=True))
            )
            row = sa.update(column.class_).where(mine, column == until).values({column.key: until + (now - before)})
            shifted += rows_changed(session, row.execution_options(synchronize_session=False))
    session.execute(sa.delete(LastTurn))  # whose turn it was when, is of the clock as it was
    session.commit()
    return shifted


def _wanted_then() -> sa.ColumnElement[bool]:
    """A time that somebody chose, or the day on which a line may send again."""
    chosen = sa.and_(Fax.status == Status.SCHEDULED, Fax.send_at.is_not(None))
    return sa.or_(chosen, sa.func.coalesce(Fax.cause, "").in_(("daily_cap", CEILING)))
