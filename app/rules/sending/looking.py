"""A fax that its sender wants to look at before it goes: prepared, held, sent or given up by a word; by itself it ends.

It has the statuses of every fax. While ``look_until`` is set nothing is due, whatever the status says. A spreadsheet
that has become more pages than its sender may expect is one, unless they have said that they know (``Fax.pages``).
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.kinds import KINDS, Family
from app.models import Fax, Status
from app.queues import enqueue_after_commit
from app.rules.ground.access import sendable_entities
from app.rules.outbox.notices import write_outcome_notice
from app.rules.sending.lifecycle import move
from tenants.db import rows_changed, utc_now
from tenants.models import User

#: How long a fax waits for its sender to look; as long as a draft is kept.
LONGEST = timedelta(days=1)
#: What its pages are shown in.
HELD = (Status.READY, Status.SCHEDULED)
NOT_YET = (Status.ACCEPTED, Status.PREPARING)
#: A spreadsheet that takes more may well not be what its sender thinks of.
MOST_SHEET_PAGES = 20


def asks_first(document_type: str, pages: int) -> bool:
    """Whether a document of so many pages goes out only if its sender says that all of them are wanted."""
    return KINDS[document_type].family is Family.SHEET and pages > MOST_SHEET_PAGES


def may_release(fax: Fax) -> bool:
    """Its pages are there to be looked at."""
    return fax.look_until is not None and fax.status in HELD


def release_fax(session: Session, fax: Fax, user: User) -> bool:
    """It goes now, or at the time that was ordered; False if it went or ended already. Commits.

    Raises:
        Refused: the user may not send from its line.
    """
    if fax.entity_id not in {entity.id for entity in sendable_entities(session, user)}:
        raise Refused("entity_not_allowed")
    now = utc_now()
    due_at = fax.send_at if fax.send_at and fax.send_at > now else now
    held = sa.update(Fax).where(Fax.id == fax.id, Fax.status.in_(HELD), Fax.look_until.is_not(None))
    done = rows_changed(session, held.values(look_until=None, due_at=due_at)) == 1
    if done:
        enqueue_after_commit(session, "dispatch")
    session.commit()
    return done


def overdue(now: datetime) -> sa.Select[str]:
    """Faxes that nobody has looked at in time."""
    return sa.select(Fax.id).where(Fax.look_until < now, Fax.status.in_((*NOT_YET, *HELD)))


def give_up_overdue(session: Session, now: datetime) -> None:
    """They end, and their senders are told by mail; unless somebody has just let them go. Commits each."""
    for fax_id in session.scalars(overdue(now).limit(500)).all():
        still = sa.update(Fax).where(Fax.id == fax_id, Fax.look_until < now).values(look_until=None)
        is_still = rows_changed(session, still) == 1
        if is_still and move(session, fax_id, Status.CANCELLED, only_from=(*NOT_YET, *HELD), cause="not_looked_at"):
            write_outcome_notice(session, session.get_one(Fax, fax_id, populate_existing=True))
        session.commit()
