"""Which faxes may go to the line now: due, within every limit, claimed in one batch under one lock.

What a round costs goes by what it can place: first the places that are free, then as many faxes as fit, read by index.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, zip_longest
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Attempt, Direction, Fax, FaxEntity, FaxTemplate, Origin, Status, Trunk
from app.models.faxes.fax import WAITS_FOR_ANY, WAITS_FOR_LINE, WAITS_FOR_NUMBER, WAITS_INSIDE
from app.models.faxes.moves import WAITING
from app.queues import enqueue_after_commit
from app.rules.ground.fair_turns import LINE, note_turns, of_company, of_owner
from app.rules.ground.holding import held_since, say_held
from app.rules.numbers.dialing import DayCaps, judge_number, rules_for
from app.rules.numbers.policy import CEILING, Ceilings, judge_dialled, policy_of
from app.rules.outbox.notices import write_outcome_notice
from app.rules.sending.called import Lines, called_by, let_in, park
from app.rules.sending.destinations import note_ways
from app.rules.sending.lifecycle import move, move_all
from app.rules.sending.our_side import forget_our_side, say_unread
from app.rules.sending.redirects import forget_if_refused
from app.rules.sending.results import by_day_for_a_person
from app.rules.sending.retry import of_a_test
from app.rules.sending.senders import Senders, hold_back
from app.rules.sending.trunks.choosing import Ways, bound_to
from app.rules.sending.trunks.trouble import is_outside
from tenants.models import Tenant

#: Any constant will do: it names the one lock under which limits are counted and claims are made.
DISPATCH_LOCK = 0xFA0
BATCH = 200


@dataclass(frozen=True)
class _Claim:
    """A fax that may go, with the number and the line of it that its call takes, and the trunk that it goes over; an
    extension has none of them."""

    fax: Fax
    called: str | None = None
    called_line: int | None = None
    trunk: Trunk | None = None


@dataclass(frozen=True)
class Limits:
    """Simultaneous calls, 0 = no limit. ``line`` is of the whole installation's line, ``outgoing`` of what goes out
    over it: the rest is for those who call."""

    line: int
    outgoing: int = 0


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
        self.limits = limits

    def has_for_line(self) -> bool:
        return not any(limit and used >= limit for used, limit in self._of_line())

    def _of_line(self) -> tuple[tuple[int, int], ...]:
        """Used and limit."""
        outbound = self.by_tenant.total()
        return (outbound + self.inbound.total(), self.limits.line), (outbound, self.limits.outgoing)

    def has_for_incoming(self, tenant: Tenant) -> bool:
        """May another call come in for this tenant?"""
        outbound, inbound = self.by_tenant[tenant.id], self.inbound[tenant.id]
        used_and_limit = ((inbound, tenant.limit_inbound), (outbound + inbound, tenant.limit_total))
        return not any(limit and used >= limit for used, limit in used_and_limit)

    def free_for(self, tenant: Tenant, entity: FaxEntity, *, most: int) -> int:
        """How many more outgoing calls there may be from this line, at most ``most``."""
        outbound, inbound = self.by_tenant[tenant.id], self.inbound[tenant.id]
        used_and_limit = (
            *self._of_line(),
            (outbound, tenant.limit_outbound),
            (outbound + inbound, tenant.limit_total),
            (self.by_entity[entity.id], entity.limit_outbound),
        )
        return max(0, min([most, *(limit - used for used, limit in used_and_limit if limit)]))

    def take(self, tenant: Tenant, entity: FaxEntity) -> None:
        """A place that is free."""
        self.by_tenant[tenant.id] += 1
        self.by_entity[entity.id] += 1


def lock_limits(session: Session) -> None:
    """Nobody else counts calls against limits until the commit. On SQLite the one write lock does it."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(DISPATCH_LOCK)))


def anything_waits(session: Session, now: datetime) -> bool:
    """Whether a round may find something to claim; to be asked without a lock."""
    parked = sa.select(Fax.id).where(sa.text(WAITS_FOR_NUMBER)).limit(1)
    is_due = session.execute(_lines_with_something_due(now).limit(1)).first() is not None
    return is_due or session.scalar(parked) is not None


def claim_due(
    session: Session, *, now: datetime, limits: Limits, node: str, read: Mapping[str, str] | None = None
) -> list[Attempt]:
    """Claim what may go now: one open attempt each, committed before anybody dials.

    Companies take turns, and so do the lines of one, so that who has ten thousand faxes does not keep the others
    waiting. What it costs goes by the places that are free and the lines that have something, not by what waits. A
    restored installation claims nothing before somebody has looked. ``read`` is as in :class:`Ways`.
    """
    lock_limits(session)
    if held_since(session):
        say_held(session, now)
        session.commit()
        return []
    forget_our_side(session)
    lines = Lines(session)
    let_in(session, lines)
    room = Room(session, limits)
    policy, ceilings, ways = policy_of(session), Ceilings(session, now), Ways(session, now, read)
    senders = Senders(session)
    caps, may_go, behind = DayCaps(session, now), list[_Claim](), list[Fax]()
    round_ = _Round(session, now, room)
    for fax, line in round_.in_turn():
        rules = rules_for(line.template, fax.origin)
        forget_if_refused(session, fax, policy, rules)
        dialled, called = fax.dial_string or "", called_by(fax)
        way = ways.of(fax, line.entity) if is_outside(dialled) else None
        if fault := judge_dialled(policy, dialled) or judge_number(rules, fax.remote_number or ""):
            _refuse(session, fax, fault)
        elif not senders.let_go(fax):
            hold_back(session, fax)
        elif (morning := _not_before(session, fax, now)) > now:
            _put_off(session, fax, morning, fax.cause, (Status.RETRYING,), fax.cause_values)
        elif way and not way.open and bound_to(fax):
            _refuse(session, fax, Refused("trunk_test_off"))
        elif way and not way.open:
            if fax.origin == Origin.TEST:  # that is what it was to find out
                _refuse(session, fax, Refused(of_a_test(ways.why_closed(fax, line.entity))))
            else:
                ways.wait(fax, line.entity)
        elif way and ceilings.is_reached(line.tenant) and fax.origin == Origin.TEST:
            _refuse(session, fax, Refused("ceiling_today"))
        elif way and ceilings.is_reached(line.tenant):
            _put_off(session, fax, ceilings.next_day(line.tenant), CEILING, WAITING)
        elif fax.status != Status.RETRYING and not caps.may_take(line.tenant, line.entity, rules):
            until, cap = caps.next_day(line.tenant), {"limit": rules.daily_cap}
            _put_off(session, fax, until, "daily_cap", (Status.READY, Status.SCHEDULED), cap)
        elif called and not lines.free(called, fax.tenant_id):
            behind.append(fax)
        elif way and way.is_unread:
            say_unread(session, line.entity, now)
            round_.stay_inside(line)
        elif way and not way.trunk:
            if way.is_narrowed:
                line.has_narrowed = True
            else:  # nor is there a channel for any other of its faxes
                round_.stay_inside(line)
        else:
            trunk = way.trunk if way else None
            room.take(line.tenant, line.entity)
            number_line = lines.take(called) if called else None
            may_go.append(_Claim(fax, called, number_line, trunk))
            caps.take(fax, line.entity)
            if trunk:
                ceilings.take(line.tenant)
                ways.take(trunk)
    park(session, behind)
    claimed = _claim(session, may_go, node)
    note_ways(session, claimed, now)
    note_turns(session, LINE, {attempt.entity_id: attempt.tenant_id for attempt in claimed}, now)
    if round_.is_cut_short:
        enqueue_after_commit(session, "dispatch")
    session.commit()
    return claimed


def _refuse(session: Session, fax: Fax, fault: Refused) -> None:
    """The rules, or the policy, have changed since it was accepted."""
    told = {"cause": fault.code, "cause_values": fault.values or None}
    if move(session, fax.id, Status.FAILED, only_from=WAITING, **told):
        write_outcome_notice(session, fax)


def _not_before(session: Session, fax: Fax, now: datetime) -> datetime:
    """It may have waited for something else, such as a trunk, since it was said when to call again."""
    return by_day_for_a_person(session, fax, now, fax.pages_done) if fax.status == Status.RETRYING else now


def _put_off(
    session: Session,
    fax: Fax,
    until: datetime,
    cause: str | None,
    only_from: Iterable[Status],
    values: dict[str, Any] | None = None,
) -> None:
    """It was taken in time and is not given up: its line goes on with it when the next day begins."""
    waiting = sa.update(Fax).where(Fax.id == fax.id, Fax.status.in_(only_from))
    session.execute(waiting.values(due_at=until, cause=cause, cause_values=values, redirected_to=None))


@dataclass
class _Line:
    """A fax entity that has something due. ``company_turn`` and ``turn``: when it was its company's turn last, and its
    own. ``urgent``: whether what comes next is, as far as it was read. ``has_narrowed``: one was met that trunks have
    passed on, and of those that are left to it none has a channel."""

    entity: FaxEntity
    tenant: Tenant
    template: FaxTemplate
    company_turn: datetime | None
    turn: datetime | None
    urgent: bool
    has_narrowed: bool = False
    waiting: Iterator[Fax | None] | None = None


class _Round:
    """What is due, each with a place that is free for it."""

    def __init__(self, session: Session, now: datetime, room: Room) -> None:
        self.session, self.now, self.room = session, now, room
        #: More was met that may not go than one round looks at.
        self.is_cut_short = False
        self._seen: set[str] = set()

    def stay_inside(self, line: _Line) -> None:
        """Of what else it has, only what goes to extensions is looked at in this round."""
        first = _first_due(self.session, line.entity.id, self.now, BATCH, WAITS_INSIDE)
        inside = [fax for fax in first if fax.id not in self._seen]
        line.urgent = any(fax.urgent for fax in inside)
        line.waiting = _noting_what_is_urgent(line, inside, goes_on=False)

    def in_turn(self) -> Iterator[tuple[Fax, _Line]]:
        """Next is always who has the fewest calls, and of those the one whose last turn is longest ago: first among the
        companies, then among the lines of one, of which those with something urgent come first."""
        room = self.room
        rows = self.session.execute(_lines_with_something_due(self.now)).all() if room.has_for_line() else []
        lines = [_Line(*row) for row in rows]

        def place(line: _Line) -> tuple[object, ...]:
            calls = (room.by_tenant[line.tenant.id], room.by_entity[line.entity.id])
            own = (not line.urgent, calls[1], _at(line.turn), line.entity.id)
            return calls[0], _at(line.company_turn), line.tenant.id, *own

        heap = [(place(line), number) for number, line in enumerate(lines)]
        heapq.heapify(heap)
        while heap and room.has_for_line():
            known, number = heapq.heappop(heap)
            line = lines[number]
            if (current := place(line)) != known:  # another line of the company has had a turn since
                heapq.heappush(heap, (current, number))
                continue
            free = room.free_for(line.tenant, line.entity, most=BATCH)
            if line.waiting is None and free:
                line.waiting = self._due(line, first=free)
            for fax in islice(line.waiting or (), 1 if free else 0):
                if fax:
                    self._seen.add(fax.id)
                    yield fax, line
                heapq.heappush(heap, (place(line), number))

    def _due(self, line: _Line, *, first: int) -> Iterator[Fax | None]:
        """Of one line, the urgent ones first, in order: as many at first as there are places; then, where some of them
        may not go, those behind them, up to ``BATCH``; then, where trunks have passed some on, as many that none has.
        None where it was thought to have something urgent and has not: its turn may come later."""
        reads = [(BATCH, WAITS_FOR_LINE), (BATCH, WAITS_FOR_ANY)]
        if first < BATCH:
            reads.insert(0, (first, WAITS_FOR_LINE))
        for count, waits in reads:
            if waits == WAITS_FOR_ANY and not line.has_narrowed:
                break
            found = list(_first_due(self.session, line.entity.id, self.now, count, waits))
            new = [fax for fax in found if fax.id not in self._seen]
            if line.urgent and new and not new[0].urgent:
                line.urgent = False
                yield None
            yield from _noting_what_is_urgent(line, new, goes_on=len(found) == count)
            if len(found) < count:
                return
        self.is_cut_short = True


def _noting_what_is_urgent(line: _Line, faxes: list[Fax], *, goes_on: bool) -> Iterator[Fax]:
    """Behind an urgent one may be another that was not read yet."""
    for fax, after in zip_longest(faxes, faxes[1:]):
        line.urgent = after.urgent if after else goes_on and fax.urgent
        yield fax


def _at(turn: datetime | None) -> float:
    return turn.timestamp() if turn else float("-inf")


def _lines_with_something_due(now: datetime) -> sa.Select[FaxEntity, Tenant, FaxTemplate, datetime, datetime, bool]:
    has_urgent, has_normal = (
        sa.exists().where(Fax.entity_id == FaxEntity.id, *_is_due(now, urgent=urgent)) for urgent in (True, False)
    )
    turns = (of_company(LINE), of_owner(LINE, FaxEntity.id))
    return (
        sa.select(FaxEntity, Tenant, FaxTemplate, *turns, has_urgent)
        .join(Tenant, Tenant.id == FaxEntity.tenant_id)
        .join(FaxTemplate, FaxTemplate.id == FaxEntity.template_id)
        .where(Tenant.suspended_at.is_(None), sa.or_(has_urgent, has_normal))
    )


def _is_due(
    now: datetime, *, urgent: bool, waits: str = WAITS_FOR_LINE
) -> tuple[sa.ColumnExpressionArgument[bool], ...]:
    """The statuses are written out, so that the database sees that the partial index serves."""
    return sa.text(f"fax.{waits}"), Fax.urgent == urgent, Fax.due_at <= now


def _first_due(
    session: Session, entity_id: int, now: datetime, count: int, waits: str = WAITS_FOR_LINE
) -> Iterator[Fax]:
    """So many of one line, the urgent ones first."""
    for urgent in (True, False):
        due = sa.select(Fax).where(Fax.entity_id == entity_id, *_is_due(now, urgent=urgent, waits=waits))
        found = session.scalars(due.order_by(Fax.due_at, Fax.id).limit(count)).all()
        yield from found
        count -= len(found)


def _claim(session: Session, claims: list[_Claim], node: str) -> list[Attempt]:
    ids = [claim.fax.id for claim in claims]
    tried = sa.select(Attempt.fax_id, sa.func.max(Attempt.n)).where(Attempt.fax_id.in_(ids)).group_by(Attempt.fax_id)
    last = dict(session.execute(tried).all())
    moved = move_all(session, ids, Status.DIALING, due_at=None)
    attempts = []
    for claim in claims:
        if claim.fax.id in moved:
            attempt = _attempt(claim.fax, last.get(claim.fax.id, 0) + 1, node)
            attempt.called, attempt.called_line = claim.called, claim.called_line
            attempt.trunk_id = claim.trunk.id if claim.trunk else None
            attempts.append(attempt)
    session.add_all(attempts)
    session.flush()
    return attempts


def _attempt(fax: Fax, n: int, node: str) -> Attempt:
    """With the header of its pages: the template may say something else by the time that somebody asks."""
    template = fax.entity.template
    return Attempt(
        fax_id=fax.id,
        tenant_id=fax.tenant_id,
        entity_id=fax.entity_id,
        n=n,
        channel_id=f"fax-{fax.id}-{n}",
        node=node,
        first_page=fax.pages_done + 1,
        dialled=fax.redirected_to,
        header_name=template.header or None,
        header_station=template.station_id if template.header else None,
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
