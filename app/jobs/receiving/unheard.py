"""Calls over a trunk from which nothing has come, not even that it tries: another trunk takes them.

RFC 3261 gives an INVITE 32 s (timer B), and has whoever gets it say so within 200 ms (17.2.1). Asterisk lets nobody
make that shorter than 6.4 s, and then for every request. So a call that has gone out three times and brought no word is
taken back where another trunk can have it. If a word comes after all, Asterisk cancels the call.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app.adapters.telephony.ari import Ari
from app.models import Attempt
from app.rules.sending.trunks.choosing import another_takes_it

LOOK_SECONDS = 0.5
#: By then it was sent at 0, 0.5 and 1.5 s (timer A).
UNHEARD = timedelta(seconds=2.5)
#: Q.850, recovery on timer expiry.
TIMER = 102


class UnheardWatch:
    """``heard`` are calls of which something has come."""

    def __init__(self, line: Ari) -> None:
        self.line = line
        self.heard: set[str] = set()

    def look(self, session: Session, now: datetime) -> None:
        """Raises TemporaryFailure."""
        waiting = session.scalars(_quiet(self.line.node, now)).all()
        self.heard &= {attempt.channel_id for attempt in waiting}
        doubtful = [attempt for attempt in waiting if attempt.channel_id not in self.heard]
        channel_ids = [one.channel_id for one in doubtful if another_takes_it(session, one, one.fax, now)]
        session.rollback()  # nobody waits for us while Asterisk is asked
        for channel_id in channel_ids:
            if self.line.has_heard(channel_id):
                self.heard.add(channel_id)
            else:
                self.line.hangup(channel_id, TIMER)


def _quiet(node: str, now: datetime) -> sa.Select[Attempt]:
    runs = (Attempt.ended_at.is_(None), Attempt.node == node, Attempt.trunk_id.is_not(None))
    unheard = (Attempt.ringing_at.is_(None), Attempt.answered_at.is_(None), Attempt.placed_at < now - UNHEARD)
    return sa.select(Attempt).where(*runs, *unheard).options(joinedload(Attempt.fax))
