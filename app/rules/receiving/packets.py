"""How large the packets of sound are to be in the next call from a number to a line.

The rule is that of the calls that we make (:mod:`app.rules.sending.ladder`): after a call that failed by sound the
other size, in turns. Nobody is asked in a first call, and nobody whose number is not known.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Direction, Fax, FaxEntity, Status
from app.rules.numbers.called import trunk_in
from app.rules.numbers.callers import caller_of
from app.rules.numbers.routing import find_line
from app.rules.sending.ladder import AUDIO, RATES, USUAL_PACKET, Tried, Way, next_way

#: A fax machine that has failed calls again within minutes, a person within the day.
REMEMBERED = timedelta(hours=6)
#: So many calls are looked at.
MOST_CALLS = 500


def packet_wanted(session: Session, called: str, caller: str, now: datetime) -> int:
    """Milliseconds of sound in a packet. ``called`` and ``caller`` are as Asterisk tells them of a call that waits."""
    entity = find_line(session, called).entity
    number = entity and caller_of(session, caller, entity.tenant.region, trunk_in(called))
    return next_packet(_tried(session, entity, number, now)) if entity and number else USUAL_PACKET


def next_packet(tried: Iterable[Tried]) -> int:
    """After these calls by sound, none of which was whole."""
    return next_way(Way(t38=False, rate=RATES[0], ecm=True), None, tried).packet


def _tried(session: Session, entity: FaxEntity, number: str, now: datetime) -> list[Tried]:
    """Since the last whole fax, in order, as long as each came soon after the one before."""
    newest_first = (
        sa.select(Fax.created_at, Fax.status, Attempt.outcome, Attempt.mode, Attempt.pages_confirmed)
        .join(Attempt, Attempt.fax_id == Fax.id)
        .where(
            Fax.tenant_id == entity.tenant_id,
            Fax.entity_id == entity.id,
            Fax.direction == Direction.RECEIVED,
            Fax.remote_number == number,
            Fax.test_of_id.is_(None),
            Attempt.ended_at.is_not(None),
        )
        .order_by(Fax.created_at.desc(), Fax.id.desc())
        .limit(MOST_CALLS)
    )
    tried, next_at = list[Tried](), now
    for at, status, outcome, mode, pages in session.execute(newest_first):
        if status == Status.RECEIVED or next_at - at > REMEMBERED:
            break
        next_at = at
        if mode == AUDIO:
            tried.insert(0, Tried(None, outcome or "", mode, pages))
    return tried
