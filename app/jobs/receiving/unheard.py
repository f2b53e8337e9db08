"""Calls over a trunk that has answered nothing at all, not even “trying”: another trunk takes them.

RFC 3261 gives an INVITE 32 s (timer B), and wants the other side to answer within 200 ms (17.2.1). Asterisk allows no
timer B below 6.4 s, and only for all requests together. So a call that was sent out several times and got no answer is
taken back, if another trunk can have it. If an answer comes after all, Asterisk cancels the call.

The time counts from when Asterisk says that it dials, not from when we asked it to: it may place sixty calls at once.
"""

import time
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app.adapters.telephony.ari import Ari
from app.models import Attempt
from app.rules.ground.call_ends import UNHEARD_CAUSE
from app.rules.sending.trunks.choosing import Ways, take_free
from app.rules.sending.trunks.used import in_use
from tenants.db import only_reading

LOOK_SECONDS = 0.5
#: By UDP it was sent at 0, 0.5 and 1.5 s by then (timer A).
UNHEARD = timedelta(seconds=2.5)
#: TCP and TLS send it once; a connection is asked for at 0, 1, 3 and 7 s (RFC 6298, 2).
UNHEARD_BY_TCP = timedelta(seconds=8)
#: Timer B: Asterisk ends it.
TOO_LATE = timedelta(seconds=32)


class UnheardWatch:
    """``out``: when Asterisk said that it dials (monotonic), of the calls of which nothing is known to have come."""

    def __init__(self, line: Ari) -> None:
        self.line = line
        self.out: dict[str, float] = {}

    def dials(self, channel_id: str) -> None:
        self.out.setdefault(channel_id, time.monotonic())

    def is_heard(self, channel_id: str) -> None:
        """Or over."""
        self.out.pop(channel_id, None)

    def begin_anew(self) -> None:
        """What was told meanwhile is not known: those calls are left to Asterisk."""
        self.out.clear()

    def look(self, session: Session, now: datetime) -> None:
        """Raises TemporaryFailure."""
        self.out = {channel_id: at for channel_id, at in self.out.items() if not _is_out_for(at, TOO_LATE)}
        late = [channel_id for channel_id, at in self.out.items() if _is_out_for(at, UNHEARD)]
        if not late:
            return
        with only_reading():
            doubtful = self._doubtful(session, late, now) if len(in_use(session)) > 1 else []
            session.rollback()  # nobody waits for us while Asterisk is asked
        for channel_id in doubtful:
            is_heard = self.line.has_heard(channel_id)
            self.is_heard(channel_id)
            if not is_heard:
                self.line.hangup(channel_id, UNHEARD_CAUSE)

    def _doubtful(self, session: Session, late: list[str], now: datetime) -> list[str]:
        """Those that another trunk has a channel for, each its own."""
        calls = [one for one in session.scalars(_unheard(self.line.node, late)) if self._is_due(one)]
        if not calls:
            return []
        ways = Ways(session, now)
        return [one.channel_id for one in calls if take_free(ways, one, one.fax)]

    def _is_due(self, attempt: Attempt) -> bool:
        is_udp = attempt.trunk is not None and attempt.trunk.transport == "udp"
        return _is_out_for(self.out[attempt.channel_id], UNHEARD if is_udp else UNHEARD_BY_TCP)


def _is_out_for(since: float, patience: timedelta) -> bool:
    return time.monotonic() - since >= patience.total_seconds()


def _unheard(node: str, channel_ids: list[str]) -> sa.Select[Attempt]:
    runs = (Attempt.ended_at.is_(None), Attempt.node == node, Attempt.channel_id.in_(channel_ids))
    unheard = (Attempt.trunk_id.is_not(None), Attempt.ringing_at.is_(None), Attempt.answered_at.is_(None))
    whole = (joinedload(Attempt.fax), joinedload(Attempt.trunk))
    return sa.select(Attempt).where(*runs, *unheard).order_by(Attempt.id).options(*whole)
