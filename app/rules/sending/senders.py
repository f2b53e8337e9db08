"""Faxes that wait, of people who may not send them any more: they do not go out before an administrator says so.

Somebody has left, or may not send from the line any more, between ordering a fax and its time. It is held when it is
due, its company's administrators are told (:mod:`app.rules.figures.alerts`), and one of them releases or cancels it.
Who may send again meanwhile has it go by itself. A self-test is its administrator's, whatever their permissions are.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app.errors import Refused
from app.models import Direction, Fax, Grant, Origin
from app.models.faxes.moves import WAITING
from app.queues import enqueue_after_commit
from app.rules.ground.access import people_who_may
from tenants.db import rows_changed, utc_now
from tenants.models import User

#: Why a fax is held.
CAUSE = "sender_gone"
MOST_SHOWN = 200


def _may_send() -> sa.ColumnElement[bool]:
    allowed = people_who_may(Direction.SENT, Fax.entity_id).join(User, User.id == Grant.user_id)
    return allowed.where(Grant.user_id == Fax.user_id, User.disabled_at.is_(None)).correlate(Fax).exists()


def _is_somebodys() -> tuple[sa.ColumnElement[bool], ...]:
    """No operator of the line, no test, and not released by an administrator."""
    return Fax.user_id.is_not(None), Fax.origin != Origin.TEST, Fax.released_by_id.is_(None), Fax.look_until.is_(None)


def _of_who_may_not() -> sa.Select[Fax]:
    return sa.select(Fax).where(Fax.status.in_(WAITING), *_is_somebodys(), ~_may_send())


class Senders:
    """Whose faxes may go; each person and line is asked for once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.known: dict[tuple[int, int], bool] = {}

    def let_go(self, fax: Fax) -> bool:
        if fax.user_id is None or fax.origin == Origin.TEST or fax.released_by_id is not None:
            return True
        key = (fax.user_id, fax.entity_id)
        if key not in self.known:
            self.known[key] = bool(self.session.scalar(sa.select(_may_send()).where(Fax.id == fax.id)))
        return self.known[key]


def hold_back(session: Session, fax: Fax) -> None:
    """It is due no more. The caller commits."""
    waiting = sa.update(Fax).where(Fax.id == fax.id, Fax.status.in_(WAITING))
    session.execute(waiting.values(due_at=None, cause=CAUSE, cause_values=None))


def let_go_again(session: Session, now: datetime) -> int:
    """Of people who may send again; gives how many. Commits."""
    held = sa.select(Fax).where(Fax.status.in_(WAITING), Fax.cause == CAUSE, Fax.due_at.is_(None), _may_send())
    faxes = session.scalars(held.limit(500)).all()
    for fax in faxes:
        fax.due_at, fax.cause = _due(fax, now), None
    if faxes:
        enqueue_after_commit(session, "dispatch")
    session.commit()
    return len(faxes)


def _due(fax: Fax, now: datetime) -> datetime:
    return fax.send_at if fax.send_at and fax.send_at > now else now


def held_faxes(session: Session, tenant_id: int) -> list[Fax]:
    """What waits for an administrator's word, the next due first: those of tomorrow as well."""
    query = _of_who_may_not().where(Fax.tenant_id == tenant_id).options(joinedload(Fax.user), joinedload(Fax.entity))
    return list(session.scalars(query.order_by(Fax.send_at, Fax.id).limit(MOST_SHOWN)))


def count_held(session: Session, tenant_id: int) -> int:
    mine = _of_who_may_not().where(Fax.tenant_id == tenant_id).with_only_columns(sa.func.count(Fax.id))
    return session.scalar(mine) or 0


def held_by_person(session: Session, tenant_id: int) -> dict[int, tuple[str, int]]:
    """User → their name and how many of their faxes wait for an administrator's word."""
    mine = _of_who_may_not().join(User, User.id == Fax.user_id).where(Fax.tenant_id == tenant_id)
    counted = mine.with_only_columns(User.id, User.name, sa.func.count(Fax.id)).group_by(User.id, User.name)
    return {user_id: (name, count) for user_id, name, count in session.execute(counted.order_by(User.id))}


def get_held(session: Session, tenant_id: int, fax_id: str) -> Fax | None:
    return session.scalar(_of_who_may_not().where(Fax.tenant_id == tenant_id, Fax.id == fax_id))


def release(session: Session, fax: Fax, administrator: User) -> None:
    """It goes at its time, or now; the administrator answers for it. The caller commits.

    Raises:
        Refused: ``sender_decided``: it went or ended already, or somebody else has decided.
    """
    if not administrator.is_admin or administrator.tenant_id != fax.tenant_id:
        raise Refused("sender_decided")
    now = utc_now()
    waiting = sa.update(Fax).where(Fax.id == fax.id, Fax.status.in_(WAITING), Fax.released_by_id.is_(None))
    values = {"released_by_id": administrator.id, "due_at": _due(fax, now), "cause": None, "cause_values": None}
    if rows_changed(session, waiting.values(**values)) != 1:
        raise Refused("sender_decided")
    enqueue_after_commit(session, "dispatch")
