"""Which document is prepared next: by turns between companies, then between their people, then in order.

A document waits in a lane (``Fax.lane``). A job names no fax; it takes the next one of its lane. What takes long while
others wait gives its place up and is begun anew in the slow lane, each time with more time before it has to give way
again. While somebody's document is there their other ones wait, so that twenty such documents take no more places than
one. And one person has one office: an office that gives a document up takes seconds to start anew, which is longer than
another's fax may wait, so that there has to be one that need not.
"""

from datetime import datetime, timedelta
from functools import cache

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from app.models import Fax, Lane, Status
from app.models.faxes.fax import UNPREPARED
from app.queues import LANE_JOBS, enqueue_after_commit
from app.rules.ground.fair_turns import JUST_OVER, Turn, Turns, note_turns
from app.rules.sending.lifecycle import move
from tenants.db import only_reading, rows_changed

#: Until a fax asks again for pages that are being drawn for a look; much less than the lease of one that is prepared.
LOOKED_AT = timedelta(seconds=5)
#: Another fax of the same person. Made once: an alias of a row of forty columns takes longer than the question.
_SLOW, _BEGUN = aliased(Fax, name="slow"), aliased(Fax, name="begun")


def _waits(lane: Lane) -> sa.ColumnElement[bool]:
    """Nobody has begun, or whoever did has died or given up for now, which is what :func:`_at` says. The statuses are
    written out, so that the database sees that the partial index serves."""
    is_free = sa.or_(Fax.status == Status.ACCEPTED, Fax.lease_until < sa.bindparam("now"))
    waiting = sa.and_(Fax.lane == lane, sa.text(f"fax.{UNPREPARED}"), is_free)
    if lane == Lane.OFFICES:
        return sa.and_(waiting, ~_has_slow_one(), ~_has_an_office())
    return waiting if lane == Lane.SLOW else sa.and_(waiting, ~_has_slow_one())


def _has_slow_one() -> sa.Exists:
    """Whose fax it is, has another one in the slow lane, and not for another's fault such as an office that is away."""
    return _has_another(_SLOW, _SLOW.lane == Lane.SLOW, sa.text(f"slow.{UNPREPARED}"))


def _has_an_office() -> sa.Exists:
    """Another document of theirs is being converted, and does not only wait for pages that are drawn."""
    is_begun = (sa.text(f"begun.{UNPREPARED}"), _BEGUN.status == Status.PREPARING)
    is_drawn = _BEGUN.lease_until > sa.bindparam("after_a_look")
    return _has_another(_BEGUN, _BEGUN.lane == Lane.OFFICES, *is_begun, is_drawn)


def _has_another(other: type[Fax], *which: sa.ColumnExpressionArgument[bool]) -> sa.Exists:
    same = (other.tenant_id == Fax.tenant_id, other.user_id == Fax.user_id)
    return sa.exists().where(*which, other.cause.is_(None), *same).correlate(Fax)


def _at(now: datetime) -> dict[str, datetime]:
    return {"now": now, "after_a_look": now + LOOKED_AT}


_GOES_ON = (Fax.cause.is_(None), Fax.look_until.is_(None))
_PREPARED = sa.select(Fax.id).where(Fax.lane == Lane.DOCUMENTS, sa.text(f"fax.{UNPREPARED}"), *_GOES_ON).limit(1)


@cache
def _turns(lane: Lane) -> Turns:
    return Turns(lane, Fax.id, tenant=Fax.tenant_id, user=Fax.user_id, waiting=_waits(lane))


def somebody_waits(session: Session, lane: Lane, now: datetime) -> bool:
    return _turns(lane).anybody(session, **_at(now))


def anybody_is_prepared(session: Session) -> bool:
    """Or is about to be, by those who draw pages: a moment later it goes to the line. So does none that waits for
    another's fault, or for somebody to look at its pages."""
    return session.scalar(_PREPARED) is not None


def waiting_in_lanes(session: Session) -> dict[str, int]:
    """How many documents are not prepared yet, by lane."""
    unprepared = sa.select(Fax.lane, sa.func.count()).where(sa.text(f"fax.{UNPREPARED}"), Fax.lane.is_not(None))
    found = dict(session.execute(unprepared.group_by(Fax.lane)).all())
    return {lane.value: found.get(lane, 0) for lane in Lane}


def claim_next(session: Session, lane: Lane, *, now: datetime, lease: timedelta, wakes: bool = True) -> str | None:
    """Take the document whose turn it is, for as long as ``lease``; its fax's id. None where nothing waits. Commits,
    and wakes somebody for the next one, unless the same job has done so before."""
    while turn := _next(session, lane, now):
        if _take(session, turn.id, now=now, until=now + lease):
            note_turns(session, lane, {turn.user_id: turn.tenant_id} if turn.user_id else {}, now)
            if wakes:
                _wake(session, lane, now)
            session.commit()
            return turn.id
        session.rollback()  # another worker was faster
    session.rollback()
    return None


def _next(session: Session, lane: Lane, now: datetime) -> Turn | None:
    """Whoever takes it looks whether it is still there: nobody who writes has to wait for the search."""
    with only_reading():
        session.rollback()
        found = _turns(lane).next(session, **_at(now))
        session.rollback()
    return found


def _take(session: Session, fax_id: str, *, now: datetime, until: datetime) -> bool:
    if move(session, fax_id, Status.PREPARING, lease_until=until):
        return True
    left_behind = sa.update(Fax).where(Fax.id == fax_id, Fax.status == Status.PREPARING, Fax.lease_until < now)
    return rows_changed(session, left_behind.values(lease_until=until)) == 1


def another_waits(session: Session, fax: Fax, lane: Lane, *, now: datetime, since: datetime) -> bool:
    """Whether another company or person has waited in this lane since then."""
    is_another = sa.or_(Fax.tenant_id != fax.tenant_id, Fax.user_id != fax.user_id)
    return _turns(lane).anybody(session, is_another, Fax.created_at < since, **_at(now))


def move_to_slow_lane(session: Session, fax_id: str, now: datetime) -> None:
    """Its place is free at once. Commits."""
    mine = sa.update(Fax).where(Fax.id == fax_id, Fax.status == Status.PREPARING)
    session.execute(mine.values(lane=Lane.SLOW, gave_way=Fax.gave_way + 1, lease_until=now - JUST_OVER))
    enqueue_after_commit(session, LANE_JOBS[Lane.SLOW])
    session.commit()


def wake_others(session: Session, lane: Lane, now: datetime) -> None:
    """Those of the same person whom the end of one in this lane lets in."""
    for freed in {Lane.OFFICES: (Lane.OFFICES,), Lane.SLOW: (Lane.DOCUMENTS, Lane.OFFICES)}.get(lane, ()):
        _wake(session, freed, now)
    session.commit()


def _wake(session: Session, lane: Lane, now: datetime) -> None:
    """A worker, when the caller commits, if there is something for it."""
    if somebody_waits(session, lane, now):
        enqueue_after_commit(session, LANE_JOBS[lane])


def let_wait(session: Session, fax_id: str, now: datetime) -> None:
    """For pages that are being drawn for a look; its turn goes to others for a moment. Commits."""
    mine = sa.update(Fax).where(Fax.id == fax_id, Fax.status == Status.PREPARING)
    session.execute(mine.values(lease_until=now + LOOKED_AT))
    session.commit()


def wake_waiting(session: Session, source_id: str, now: datetime, *, is_over: bool) -> None:
    """The faxes that wait for these pages, when the caller commits. Where it is over they need no office any more."""
    waiting = (Fax.source_id == source_id, Fax.status == Status.PREPARING, Fax.lease_until < now + LOOKED_AT)
    lanes = {lane for lane in session.scalars(sa.select(Fax.lane).where(*waiting)) if lane}
    values = {"lease_until": now - JUST_OVER} | ({"lane": Lane.DOCUMENTS} if is_over else {})
    session.execute(sa.update(Fax).where(*waiting).values(values), execution_options={"synchronize_session": False})
    for lane in {Lane.DOCUMENTS} if lanes and is_over else lanes:
        enqueue_after_commit(session, LANE_JOBS[lane])
