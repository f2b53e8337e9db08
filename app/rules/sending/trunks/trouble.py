"""When a trunk is set aside: what would go over it takes another one or waits.

What a carrier says to other numbers shows whether it refuses one call or all of ours. While it takes none, one fax at a
time tries whether it does again. The others are not dialled there, and none loses an attempt. Each trunk is judged by
its own calls only.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.models import Attempt, Fax, Status, TrunkChannels, TrunkTrouble
from app.models.faxes.moves import WAITING
from app.queues import enqueue_after_commit
from app.rules.ground.call_ends import (
    BUSY,
    BY_THE_CARRIER,
    CALLED_OFF,
    FOR_ALL,
    FORBIDDEN,
    NETWORK,
    NO_SUCH_NUMBER,
    OUR_SIDE,
    REFUSED,
    TRUNK_DOWN,
    TRUNK_REFUSED,
    TRUNK_SIDE,
    UNHEARD_CAUSE,
    code_of,
    of_code,
    reason_of,
)
from app.rules.sending.trunks.used import in_use
from tenants.db import rows_changed

#: Between two tries of a trunk that cannot be reached. One that takes no call of ours is asked more seldom the longer
#: it does not, after a quarter of that time, so that nobody there takes us for an intruder.
SOONEST, LATEST = timedelta(seconds=30), timedelta(minutes=5)
#: What a carrier says of so many other numbers, and of none between anything else, it says of all; in so many calls.
OTHERS, LAST_CALLS, MEMORY = 2, 6, timedelta(hours=1)
#: Others who got through so long ago show that it is the number.
LATELY = timedelta(minutes=5)
#: What says nothing of the trunk.
_NO_WORD = (*OUR_SIDE, "unknown")


def is_outside(dial_string: str | None) -> bool:
    """Over a trunk; an extension comes back to our own Asterisk."""
    return (dial_string or "").startswith("+")


def troubles(session: Session) -> dict[int, TrunkTrouble]:
    """Of the trunks in use, by the trunk's id."""
    used = {trunk.id for trunk in in_use(session)}
    rows = session.scalars(sa.select(TrunkTrouble).execution_options(populate_existing=True)).all()
    return {row.trunk_id: row for row in rows if row.trunk_id in used}


def names_of_troubles(session: Session) -> Sequence[tuple[str, TrunkTrouble]]:
    """Those that are set aside, in the order of the trunks."""
    aside = troubles(session)
    return [(trunk.name, aside[trunk.id]) for trunk in in_use(session) if trunk.id in aside]


def told_of(trouble: TrunkTrouble | None) -> dict[str, str] | None:
    """What the sentence of a fax that waits for a trunk needs."""
    return {"since": trouble.since.isoformat()} if trouble else None


# ---- The end of a call


def among_others(session: Session, attempt: Attempt, outcome: str, response: str | None, now: datetime) -> str:
    """The outcome, judged by what the trunk says of other numbers."""
    if attempt.trunk_id is None:
        return outcome
    if outcome in TRUNK_SIDE:
        return NETWORK if _others_get_through(session, attempt) else outcome
    code = code_of(response)
    if code not in FOR_ALL or not _is_of_the_code(code, outcome, response):
        return outcome
    trouble = session.get(TrunkTrouble, attempt.trunk_id, populate_existing=True)
    known = trouble is not None and code_of(trouble.response) == code
    return FOR_ALL[code] if known or _is_said_of_others(session, attempt, code, now) else outcome


def _is_of_the_code(code: int, outcome: str, response: str | None) -> bool:
    """Whether it means no more than what a carrier may say to everybody: a number that is said to be none is so
    whatever others are, and a refusal (403) may have a reason that says the same in other words."""
    if code == 404 and reason_of(response) == NO_SUCH_NUMBER:
        return False
    return outcome in ((FORBIDDEN, REFUSED) if code == 403 else (of_code(code),))


def _others_get_through(session: Session, attempt: Attempt) -> bool:
    """Since this one found the trunk away for the last time: then it is the number."""
    mine = sa.select(sa.func.max(Attempt.ended_at)).where(
        Attempt.fax_id == attempt.fax_id, Attempt.trunk_id == attempt.trunk_id, Attempt.outcome.in_(TRUNK_SIDE)
    )
    before = session.scalar(mine)
    if before is None:
        return False
    return session.scalar(_heard_of_others(attempt, before).limit(1)) is not None


def _heard_of_others(attempt: Attempt, since: datetime) -> sa.Select[Any]:
    """Calls over this trunk to other numbers, placed since then, that rang, were answered or were busy: also those that
    are on the line, for a fax lasts longer than the time between two tries."""
    heard = Attempt.ringing_at.is_not(None) | Attempt.answered_at.is_not(None) | (Attempt.outcome == BUSY)
    lately = Attempt.ended_at.is_(None) | (Attempt.ended_at > since)  # by the index
    return _of_others(attempt, Attempt.id).where(lately, Attempt.placed_at > since, heard)


def _is_said_of_others(session: Session, attempt: Attempt, code: int, now: datetime) -> bool:
    if FOR_ALL[code] == TRUNK_DOWN and session.scalar(_on_the_line(attempt).limit(1)):
        return False  # it has no room for more
    last = _of_others(attempt, Fax.remote_number, Attempt.response).where(Attempt.ended_at > now - MEMORY)
    rows = session.execute(last.order_by(Attempt.ended_at.desc()).limit(LAST_CALLS)).all()
    return len({number for number, _ in takewhile(lambda row: code_of(row[1]) == code, rows)}) >= OTHERS


def _of_others(attempt: Attempt, *columns: InstrumentedAttribute[Any]) -> sa.Select[Any]:
    others = (Attempt.trunk_id == attempt.trunk_id, Fax.remote_number != attempt.fax.remote_number)
    return sa.select(*columns).join(Fax, Fax.id == Attempt.fax_id).where(*others)


def _on_the_line(attempt: Attempt) -> sa.Select[Any]:
    talking = (Attempt.ended_at.is_(None), Attempt.answered_at.is_not(None), Attempt.trunk_id == attempt.trunk_id)
    return sa.select(Attempt.id).where(*talking)


def note_end(session: Session, attempt: Attempt, now: datetime) -> None:
    """Set the trunk aside, or let all go on. The caller commits."""
    if attempt.trunk_id is None:
        return
    trouble = session.get(TrunkTrouble, attempt.trunk_id, populate_existing=True)
    if attempt.outcome in TRUNK_SIDE and (trouble or _is_for_all(session, attempt, now)):
        told = {"outcome": attempt.outcome, "response": attempt.response}
        set_aside(session, attempt.trunk_id, trouble, told, now)
    elif trouble and attempt.placed_at and attempt.placed_at >= trouble.since and attempt.outcome not in _NO_WORD:
        go_on(session, attempt.trunk_id, now)
    elif attempt.outcome == CALLED_OFF:
        note_found_nothing(session, attempt.trunk_id, now)


def note_found_nothing(session: Session, trunk_id: int | None, now: datetime) -> None:
    """A call that was to find out whether a trunk that is set aside works was not made: the next one does, of those
    that wait for it. The caller commits."""
    probe = sa.update(TrunkTrouble).where(TrunkTrouble.trunk_id == trunk_id, TrunkTrouble.probe_at > now)
    if rows_changed(session, probe.values(probe_at=now)):
        waiting = sa.update(Fax).where(Fax.status.in_(WAITING), Fax.cause.in_(TRUNK_SIDE), Fax.due_at > now)
        session.execute(waiting.values(due_at=now))


def note_heard(session: Session, channel_ids: Iterable[str], now: datetime) -> None:
    """It rings, or somebody has answered: a trunk that was set aside takes calls again. The caller commits."""
    aside = sa.select(TrunkTrouble.trunk_id).join(Attempt, Attempt.trunk_id == TrunkTrouble.trunk_id)
    since = Attempt.placed_at >= TrunkTrouble.since
    for trunk_id in set(session.scalars(aside.where(Attempt.channel_id.in_(channel_ids), since))):
        go_on(session, trunk_id, now)


def _is_for_all(session: Session, attempt: Attempt, now: datetime) -> bool:
    """What a carrier says of one number, while others get through, keeps that one waiting alone."""
    if _was_taken_back(attempt):
        return _is_silent_to_others(session, attempt, now)
    if attempt.outcome == TRUNK_DOWN or code_of(attempt.response) in BY_THE_CARRIER:
        return True
    return session.scalar(_heard_of_others(attempt, now - LATELY).limit(1)) is None


def _was_taken_back(attempt: Attempt) -> bool:
    """Unheard, and long before the network's own time was up (:mod:`app.jobs.receiving.unheard`)."""
    return attempt.outcome == TRUNK_DOWN and not attempt.response and attempt.hangup_cause == UNHEARD_CAUSE


def _is_silent_to_others(session: Session, attempt: Attempt, now: datetime) -> bool:
    """A single one that was taken back may have met a moment: the last call to another number met silence too, and
    none is being heard."""
    if session.scalar(_on_the_line(attempt).limit(1)):
        return False
    last = _of_others(attempt, Attempt.outcome, Attempt.response).where(Attempt.ended_at > now - LATELY)
    found = session.execute(last.order_by(Attempt.ended_at.desc(), Attempt.id.desc()).limit(1)).first()
    return found is not None and found.outcome == TRUNK_DOWN and not found.response


def set_aside(
    session: Session, trunk_id: int, trouble: TrunkTrouble | None, told: dict[str, str | None], now: datetime
) -> None:
    """It is not called over before the next try. The caller commits."""
    if trouble is None:  # who takes none has shown nothing of how many there is room for
        session.execute(sa.delete(TrunkChannels).where(TrunkChannels.trunk_id == trunk_id))
    long_since = now - trouble.since if trouble and told["outcome"] == TRUNK_REFUSED else timedelta(0)
    pause = min(max(long_since / 4, SOONEST), LATEST)
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(TrunkTrouble).values(trunk_id=trunk_id, since=now, probe_at=now + pause, **told)
    session.execute(row.on_conflict_do_update(index_elements=["trunk_id"], set_={"probe_at": now + pause, **told}))
    if trouble is None:
        enqueue_after_commit(session, "watch")


def go_on(session: Session, trunk_id: int, now: datetime) -> None:
    """It takes calls again: what waits for any trunk may go. The caller commits."""
    session.execute(sa.delete(TrunkTrouble).where(TrunkTrouble.trunk_id == trunk_id))
    waiting = sa.update(Fax).where(Fax.status.in_(WAITING), Fax.cause.in_(TRUNK_SIDE))
    never_dialled = waiting.where(Fax.status != Status.RETRYING)
    session.execute(never_dialled.values(due_at=now, cause=None, cause_values=None))
    session.execute(waiting.values(due_at=now, cause=NETWORK, cause_values=None))
    enqueue_after_commit(session, "watch")


def waiting_for_it(session: Session) -> dict[int, int]:
    """Company → how many of its faxes wait for a trunk."""
    waiting = sa.select(Fax.tenant_id, sa.func.count()).where(Fax.status.in_(WAITING), Fax.cause.in_(TRUNK_SIDE))
    return dict(session.execute(waiting.group_by(Fax.tenant_id)).all())
