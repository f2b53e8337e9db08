"""Which faxes may go to the line now: due, within every limit, claimed in one batch under one lock."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.fax.dialing import TEST, DayCaps, DialingRules, judge_number
from app.fax.lifecycle import WAITING, move, move_all
from app.fax.notices import write_outcome_notice
from app.models import Attempt, Direction, Fax, FaxEntity, FaxTemplate, Status
from tenants.models import Tenant

#: Any constant will do: it names the one lock under which limits are counted and claims are made.
DISPATCH_LOCK = 0xFA0
BATCH = 200


@dataclass(frozen=True)
class Limits:
    """Simultaneous calls, 0 = no limit. ``line`` is of the whole installation's line."""

    line: int


class Room:
    """What is free under each limit; taking a place uses it up."""

    def __init__(self, session: Session, limits: Limits) -> None:
        where = (Fax.direction, Attempt.tenant_id, Attempt.entity_id)
        open_calls = sa.select(*where, sa.func.count()).join(Fax).where(Attempt.takes_a_place()).group_by(*where)
        self.by_tenant, self.by_entity, self.inbound = Counter[int](), Counter[int](), Counter[int]()
        for direction, tenant_id, entity_id, calls in session.execute(open_calls):
            if direction == Direction.SENT:
                self.by_tenant[tenant_id] += calls
                self.by_entity[entity_id] += calls
            else:
                self.inbound[tenant_id] += calls
        self.line = limits.line

    def has_for_incoming(self, tenant: Tenant) -> bool:
        """May another call come in for this tenant?"""
        outbound, inbound = self.by_tenant[tenant.id], self.inbound[tenant.id]
        used_and_limit = ((inbound, tenant.limit_inbound), (outbound + inbound, tenant.limit_total))
        return not any(limit and used >= limit for used, limit in used_and_limit)

    def take(self, tenant: Tenant, entity: FaxEntity) -> bool:
        """Take a place for an outgoing call, if there is one."""
        outbound, inbound = self.by_tenant[tenant.id], self.inbound[tenant.id]
        used_and_limit = (
            (self.by_tenant.total() + self.inbound.total(), self.line),
            (outbound, tenant.limit_outbound),
            (outbound + inbound, tenant.limit_total),
            (self.by_entity[entity.id], entity.limit_outbound),
        )
        if any(limit and used >= limit for used, limit in used_and_limit):
            return False
        self.by_tenant[tenant.id] += 1
        self.by_entity[entity.id] += 1
        return True


def lock_limits(session: Session) -> None:
    """Nobody else counts calls against limits until the commit. On SQLite the one write lock does it."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(DISPATCH_LOCK)))


def claim_due(session: Session, *, now: datetime, limits: Limits, node: str) -> list[Attempt]:
    """Claim what may go now: one open attempt each, committed before anybody dials.

    Entities take turns, so that one with a thousand faxes does not keep the others waiting.
    """
    lock_limits(session)
    room = Room(session, limits)
    caps, may_go = DayCaps(session, now), []
    for fax, tenant, entity, template in session.execute(_due(now)).all():
        rules = DialingRules() if fax.origin == TEST else DialingRules.of(template)
        if fault := judge_number(rules, fax.remote_number or ""):
            _refuse(session, fax, fault)
        elif fax.status == Status.RETRYING or caps.may_take(tenant, entity, rules):
            if room.take(tenant, entity):
                may_go.append(fax)
                caps.take(fax, entity)
        else:
            _put_off(session, fax, caps.next_day(tenant), rules.daily_cap)
    claimed = _claim(session, may_go, node)
    session.commit()
    return claimed


def _refuse(session: Session, fax: Fax, fault: Refused) -> None:
    """The rules have changed since it was accepted."""
    told = {"cause": fault.code, "cause_values": fault.values or None}
    if move(session, fax.id, Status.FAILED, only_from=WAITING, **told):
        write_outcome_notice(session, fax)


def _put_off(session: Session, fax: Fax, until: datetime, cap: int) -> None:
    """It was taken in time and is not given up: its line goes on with it when the next day begins."""
    waiting = sa.update(Fax).where(Fax.id == fax.id, Fax.status.in_((Status.READY, Status.SCHEDULED)))
    session.execute(waiting.values(due_at=until, cause="daily_cap", cause_values={"limit": cap}))


def _due(now: datetime) -> sa.Select:
    turn = sa.func.row_number().over(partition_by=Fax.entity_id, order_by=(Fax.due_at, Fax.id)).label("turn")
    due = sa.select(Fax.id, turn).where(Fax.status.in_(WAITING), Fax.due_at <= now).subquery()
    return (
        sa.select(Fax, Tenant, FaxEntity, FaxTemplate)
        .join(due, due.c.id == Fax.id)
        .join(Tenant, Tenant.id == Fax.tenant_id)
        .join(FaxEntity, FaxEntity.id == Fax.entity_id)
        .join(FaxTemplate, FaxTemplate.id == FaxEntity.template_id)
        .where(Tenant.suspended_at.is_(None), due.c.turn <= BATCH)
        .order_by(due.c.turn, Fax.due_at, Fax.id)
    )


def _claim(session: Session, faxes: list[Fax], node: str) -> list[Attempt]:
    ids = [fax.id for fax in faxes]
    tried = sa.select(Attempt.fax_id, sa.func.max(Attempt.n)).where(Attempt.fax_id.in_(ids)).group_by(Attempt.fax_id)
    last = dict(session.execute(tried).all())
    moved = move_all(session, ids, Status.DIALING, due_at=None)
    attempts = [_attempt(fax, last.get(fax.id, 0) + 1, node) for fax in faxes if fax.id in moved]
    session.add_all(attempts)
    session.flush()
    return attempts


def _attempt(fax: Fax, n: int, node: str) -> Attempt:
    return Attempt(
        fax_id=fax.id,
        tenant_id=fax.tenant_id,
        entity_id=fax.entity_id,
        n=n,
        channel_id=f"fax-{fax.id}-{n}",
        node=node,
        first_page=fax.pages_done + 1,
    )


def mark_placed(session: Session, attempt_ids: list[int], now: datetime) -> list[int]:
    """The fence before the ARI request: the attempts that are still ours to dial, in order. Commits.

    An attempt that the reconciliation has taken back meanwhile is not among them.
    """
    still_open = sa.update(Attempt).where(Attempt.id.in_(attempt_ids))
    still_open = still_open.where(Attempt.ended_at.is_(None), Attempt.placed_at.is_(None)).values(placed_at=now)
    still_open = still_open.returning(Attempt.id).execution_options(synchronize_session=False)
    placed = set(session.scalars(still_open))
    session.commit()
    return [attempt_id for attempt_id in attempt_ids if attempt_id in placed]
