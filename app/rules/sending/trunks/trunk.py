"""The way to the carrier: when it is ours to mend, what waits for it, and how many calls it takes at once.

Whether a carrier refuses a call or all of ours is told by what it says of other numbers. While it takes none, one fax
at a time finds out whether it does again; the others are not dialled, and none loses an attempt.

How many calls it takes is learned. One that is refused for want of channels, while others of ours are on the line,
goes again in a moment, which costs it nothing. Where a second is refused before any has got through, they show how many
there is room for: no more are made from then on, and the fax waits for one of them to end. Every two minutes one more
is tried, as TCP does after a loss (RFC 5681): the carrier may have given us more, or somebody else may have used some
of them.
"""

from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.models import Attempt, Direction, Fax, Status, TrunkChannels, TrunkTrouble
from app.models.faxes.moves import WAITING
from app.queues import enqueue_after_commit
from app.rules.ground.call_ends import (
    BY_THE_CARRIER,
    FOR_ALL,
    FULL,
    NETWORK,
    OUR_SIDE,
    TRUNK_DOWN,
    TRUNK_SIDE,
    code_of,
    lacks_channel,
    of_code,
)
from app.rules.numbers.habits import first_trunk

#: Between two tries of a trunk that is set aside: a quarter of the time since when, within these.
SOONEST, LATEST = timedelta(seconds=30), timedelta(minutes=5)
#: A fax that finds out has so long to end before the next one does.
PROBING = timedelta(minutes=3)
#: What a carrier says of so many other numbers, and of none between anything else, it says of all; in so many calls.
OTHERS, LAST_CALLS, MEMORY = 2, 6, timedelta(hours=1)
#: Others who got through so long ago show that it is the number.
LATELY = timedelta(minutes=5)
#: After so long one call more is tried than the trunk had room for.
STEP = timedelta(minutes=2)
#: A fax that was refused so often for want of channels waits as for any other trouble of the network.
MOST_IN_VAIN = 3
#: What says nothing of the trunk.
_NO_WORD = (*OUR_SIDE, "unknown")


def is_outside(dial_string: str | None) -> bool:
    """Over the trunk; an extension comes back to our own Asterisk."""
    return (dial_string or "").startswith("+")


def trouble_of(session: Session) -> TrunkTrouble | None:
    """Of the first trunk, over which all calls go."""
    trunk = first_trunk(session)
    return session.get(TrunkTrouble, trunk.id, populate_existing=True) if trunk else None


def _first(session: Session) -> int:
    trunk = first_trunk(session)
    assert trunk is not None
    return trunk.id


# ---- The end of a call


def among_others(session: Session, fax: Fax, outcome: str, response: str | None, now: datetime) -> str:
    """The outcome, judged by what the trunk says of other numbers."""
    if not is_outside(fax.dial_string):
        return outcome
    if outcome in TRUNK_SIDE:
        return NETWORK if _others_get_through(session, fax) else outcome
    code = code_of(response)
    if code not in FOR_ALL or outcome != of_code(code):
        return outcome
    trouble = trouble_of(session)
    known = trouble is not None and code_of(trouble.response) == code
    return FOR_ALL[code] if known or _is_said_of_others(session, fax, code, now) else outcome


def _others_get_through(session: Session, fax: Fax) -> bool:
    """Since this one found the trunk away for the last time: then it is the number."""
    mine = sa.select(sa.func.max(Attempt.ended_at)).where(Attempt.fax_id == fax.id, Attempt.outcome.in_(TRUNK_SIDE))
    before = session.scalar(mine)
    if before is None:
        return False
    return session.scalar(_heard_of_others(fax, before).limit(1)) is not None


def _heard_of_others(fax: Fax, since: datetime) -> sa.Select[Any]:
    """Calls to other numbers, placed since then and over, that rang or were answered."""
    heard = Attempt.ringing_at.is_not(None) | Attempt.answered_at.is_not(None)
    return _of_others(fax, Attempt.id).where(Attempt.ended_at > since, Attempt.placed_at > since, heard)


def _is_said_of_others(session: Session, fax: Fax, code: int, now: datetime) -> bool:
    if FOR_ALL[code] == TRUNK_DOWN and session.scalar(_on_the_line().limit(1)):
        return False  # it has no room for more
    last = _of_others(fax, Fax.remote_number, Attempt.response).where(Attempt.ended_at > now - MEMORY)
    rows = session.execute(last.order_by(Attempt.ended_at.desc()).limit(LAST_CALLS)).all()
    return len({number for number, _ in takewhile(lambda row: code_of(row[1]) == code, rows)}) >= OTHERS


def _of_others(fax: Fax, *columns: InstrumentedAttribute[Any]) -> sa.Select[Any]:
    outside = Fax.dial_string.startswith("+")
    return (
        sa.select(*columns).join(Fax, Fax.id == Attempt.fax_id).where(outside, Fax.remote_number != fax.remote_number)
    )


def _on_the_line() -> sa.Select[Any]:
    talking = (Attempt.ended_at.is_(None), Attempt.answered_at.is_not(None), Fax.dial_string.startswith("+"))
    return sa.select(Attempt.id).join(Fax, Fax.id == Attempt.fax_id).where(*talking)


def note_end(session: Session, attempt: Attempt, fax: Fax, now: datetime) -> None:
    """Set the trunk aside, or let all go on. The caller commits."""
    if not is_outside(fax.dial_string):
        return
    trouble = trouble_of(session)
    if attempt.outcome in TRUNK_SIDE and (trouble or _is_for_all(session, attempt, fax, now)):
        _set_aside(session, trouble, {"outcome": attempt.outcome, "response": attempt.response}, now)
    elif trouble and attempt.placed_at and attempt.placed_at >= trouble.since and attempt.outcome not in _NO_WORD:
        _go_on(session, now)


def _is_for_all(session: Session, attempt: Attempt, fax: Fax, now: datetime) -> bool:
    """What a carrier says of one number, while others get through, keeps that one waiting alone."""
    if attempt.outcome == TRUNK_DOWN or code_of(attempt.response) in BY_THE_CARRIER:
        return True
    return session.scalar(_heard_of_others(fax, now - LATELY).limit(1)) is None


def _set_aside(session: Session, trouble: TrunkTrouble | None, told: dict[str, str | None], now: datetime) -> None:
    if trouble is None:  # who takes none has shown nothing of how many there is room for
        session.execute(sa.delete(TrunkChannels))
    pause = min(max((now - trouble.since) / 4, SOONEST), LATEST) if trouble else SOONEST
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(TrunkTrouble).values(trunk_id=_first(session), since=now, probe_at=now + pause, **told)
    session.execute(row.on_conflict_do_update(index_elements=["trunk_id"], set_={"probe_at": now + pause, **told}))
    if trouble is None:
        enqueue_after_commit(session, "watch")


def _go_on(session: Session, now: datetime) -> None:
    session.execute(sa.delete(TrunkTrouble))
    waiting = sa.update(Fax).where(Fax.status.in_(WAITING), Fax.cause.in_(TRUNK_SIDE))
    never_dialled = waiting.where(Fax.status != Status.RETRYING)
    session.execute(never_dialled.values(due_at=now, cause=None, cause_values=None))
    session.execute(waiting.values(due_at=now, cause=NETWORK, cause_values=None))
    enqueue_after_commit(session, "watch")


# ---- Before a call


class Way:
    """Whether this round of dispatching may use the trunk: if it is set aside, for one fax that finds out."""

    def __init__(self, session: Session, now: datetime) -> None:
        self.session, self.now = session, now
        self.trouble = trouble_of(session)

    def is_open(self) -> bool:
        return self.trouble is None or self.trouble.probe_at <= self.now

    def take(self) -> None:
        """A call goes over it."""
        if self.trouble:
            self.trouble.probe_at = self.now + PROBING

    def wait(self, fax: Fax) -> None:
        """It says why, and is looked at again when the next try is due."""
        assert self.trouble is not None
        waiting = sa.update(Fax).where(Fax.id == fax.id, Fax.status.in_(WAITING))
        values = {"due_at": self.trouble.probe_at, "cause": self.trouble.outcome, "cause_values": None}
        self.session.execute(waiting.values(**values))


def waiting_for_it(session: Session) -> dict[int, int]:
    """Company → how many of its faxes wait for the trunk."""
    waiting = sa.select(Fax.tenant_id, sa.func.count()).where(Fax.status.in_(WAITING), Fax.cause.in_(TRUNK_SIDE))
    return dict(session.execute(waiting.group_by(Fax.tenant_id)).all())


# ---- How many calls it takes


def channels(session: Session, now: datetime) -> int:
    """Calls that we may have on the trunk at once; 0 where it has never refused one for that."""
    trunk = first_trunk(session)
    row = session.get(TrunkChannels, trunk.id, populate_existing=True) if trunk else None
    return row.channels + max(0, (now - row.full_at) // STEP) if row else 0


def want_of_channels(
    session: Session, attempt: Attempt, response: str | None, cause: int | None, now: datetime
) -> str | None:
    """:data:`FULL` where that is why an outside call was refused; if it is said again before any call gets through,
    less is put on the trunk from now on. None if it says nothing of the kind. The caller commits."""
    if not lacks_channel(response, cause):
        return None
    others = session.scalar(_on_the_trunk().where(Attempt.id != attempt.id)) or 0
    if not others:
        return None
    mine = sa.select(sa.func.count()).select_from(Attempt).where(Attempt.fax_id == attempt.fax_id)
    if (session.scalar(mine.where(Attempt.outcome == FULL)) or 0) >= MOST_IN_VAIN:
        return NETWORK
    if not _was_full_before(session, now):
        return FULL
    allowed = channels(session, now)
    row = {"channels": min(others, allowed or others), "full_at": now}
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    learned = dialect.insert(TrunkChannels).values(trunk_id=_first(session), **row)
    session.execute(learned.on_conflict_do_update(index_elements=["trunk_id"], set_=row))
    return FULL


def _was_full_before(session: Session, now: datetime) -> bool:
    """A call was refused for that lately, and none that was placed after it has got through. What is said of one number
    alone may be of the network behind it, for which a gateway says 503 too (RFC 3398, 7.2.4.1)."""
    refused = sa.select(sa.func.max(Attempt.placed_at)).where(Attempt.outcome == FULL, Attempt.ended_at > now - STEP)
    last = session.scalar(refused)
    if last is None:
        return False
    heard = sa.select(Attempt.id).join(Fax, Fax.id == Attempt.fax_id).where(Fax.dial_string.startswith("+"))
    heard = heard.where(Attempt.ended_at.is_(None) | (Attempt.ended_at > last), Attempt.placed_at > last)
    heard = heard.where(Attempt.ringing_at.is_not(None) | Attempt.answered_at.is_not(None))
    return session.scalar(heard.limit(1)) is None


def _on_the_trunk() -> sa.Select[int]:
    """Calls that were placed and are not over."""
    is_open = (Attempt.ended_at.is_(None), Attempt.placed_at.is_not(None))
    goes_out = (Fax.direction == Direction.SENT, Fax.dial_string.startswith("+"))
    placed = sa.select(sa.func.count()).select_from(Attempt).join(Fax, Fax.id == Attempt.fax_id)
    return placed.where(*is_open, *goes_out)
