"""A database that was restored from a backup knows less than the line did: what it believes to be waiting may have gone
out since. Dialing it again would send it twice; so a person is asked to look."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Direction, Fax, Status
from app.models.faxes.moves import FINAL
from app.rules.ground.holding import held_since, release
from app.rules.outbox.notices import write_outcome_notice
from app.rules.sending.lifecycle import move
from app.rules.sending.results import CallFacts, close_attempt
from tenants.db import utc_now


def in_doubt(session: Session, *, now: datetime) -> list[Fax]:
    """What may have gone out since the backup: all that is under way but what is ordered for a time to come.

    Of an installation that has been held since its restore, neither what was taken meanwhile nor what would have become
    due meanwhile is in doubt.
    """
    since = held_since(session)
    under_way = sa.select(Fax).where(Fax.direction == Direction.SENT, Fax.status.not_in(FINAL))
    later = sa.and_(Fax.status == Status.SCHEDULED, Fax.due_at > (since or now))
    doubtful = under_way.where(sa.not_(later))
    return list(session.scalars((doubtful.where(Fax.created_at < since) if since else doubtful).order_by(Fax.id)))


def give_up(session: Session, faxes: list[Fax]) -> None:
    """They end as *outcome unknown*, their senders are told by mail, and the hold is over. Commits."""
    release(session)
    for fax in faxes:
        open_attempts = sa.select(Attempt.id).where(Attempt.fax_id == fax.id, Attempt.ended_at.is_(None))
        for attempt_id in session.scalars(open_attempts).all():
            close_attempt(session, attempt_id, CallFacts("unknown", ended_at=utc_now().timestamp()))
        if move(session, fax.id, Status.UNKNOWN, cause="restored", cause_values=None):
            session.refresh(fax)
            write_outcome_notice(session, fax)
    session.commit()
