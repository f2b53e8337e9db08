"""How many calls a trunk takes at once: as many as are set for it, and no more than it has shown.

A call that is refused because no channel is free, while others of ours are on the trunk, is made again in a moment, or
over another trunk, at no cost. If a second one is refused before any gets through, the open calls show how many fit: no
more are made, and the fax waits for one of them to end. Every two minutes one more is tried, as TCP does after a loss
(RFC 5681): the carrier may have given us more, or somebody else may have used some of them.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.models import Attempt, TrunkChannels
from app.rules.ground.call_ends import FULL, NETWORK, lacks_channel

#: After so long one call more is tried than the trunk had room for.
STEP = timedelta(minutes=2)
#: A fax that was refused so often for want of channels waits as for any other trouble of the network.
MOST_IN_VAIN = 3


def learned_channels(session: Session, trunk_id: int, now: datetime) -> int:
    """Calls that we may have on the trunk at once by what it has shown; 0 where it has never refused one for that."""
    row = session.get(TrunkChannels, trunk_id, populate_existing=True)
    return row.channels + max(0, (now - row.full_at) // STEP) if row else 0


def want_of_channels(
    session: Session, attempt: Attempt, response: str | None, cause: int | None, now: datetime
) -> str | None:
    """:data:`FULL` where that is why a call over a trunk was refused; if it is said again before any call gets through,
    less is put on the trunk from now on. None if it says nothing of the kind. The caller commits."""
    if attempt.trunk_id is None or not lacks_channel(response, cause):
        return None
    others = session.scalar(_on_the_trunk(attempt.trunk_id).where(Attempt.id != attempt.id)) or 0
    if not others:
        return None
    mine = sa.select(sa.func.count()).select_from(Attempt).where(Attempt.fax_id == attempt.fax_id)
    mine = mine.where(Attempt.outcome == FULL, Attempt.trunk_id == attempt.trunk_id)
    if (session.scalar(mine) or 0) >= MOST_IN_VAIN:
        return NETWORK
    if not _was_full_before(session, attempt.trunk_id, now):
        return FULL
    allowed = learned_channels(session, attempt.trunk_id, now)
    row = {"channels": min(others, allowed or others), "full_at": now}
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    learned = dialect.insert(TrunkChannels).values(trunk_id=attempt.trunk_id, **row)
    session.execute(learned.on_conflict_do_update(index_elements=["trunk_id"], set_=row))
    return FULL


def _was_full_before(session: Session, trunk_id: int, now: datetime) -> bool:
    """A call was refused for that lately, and none that was placed after it has got through. What is said of one number
    alone may be of the network behind it, for which a gateway says 503 too (RFC 3398, 7.2.4.1)."""
    ours = Attempt.trunk_id == trunk_id
    refused = sa.select(sa.func.max(Attempt.placed_at)).where(ours, Attempt.outcome == FULL)
    last = session.scalar(refused.where(Attempt.ended_at > now - STEP))
    if last is None:
        return False
    heard = sa.select(Attempt.id).where(ours, Attempt.placed_at > last)
    heard = heard.where(Attempt.ended_at.is_(None) | (Attempt.ended_at > last))
    heard = heard.where(Attempt.ringing_at.is_not(None) | Attempt.answered_at.is_not(None))
    return session.scalar(heard.limit(1)) is None


def _on_the_trunk(trunk_id: int) -> sa.Select[int]:
    """Calls that were placed and are not over."""
    is_open = (Attempt.ended_at.is_(None), Attempt.placed_at.is_not(None), Attempt.trunk_id == trunk_id)
    return sa.select(sa.func.count()).select_from(Attempt).where(*is_open)
