"""How many faxes ended on which day, how, and through whom: counted once into :class:`app.models.FaxDay`.

A fax that is over does not change any more, so it belongs to the day on which it ended, in the zone of its tenant. A
day on which something ended since the last run is counted anew from its faxes, never counted up: however often it is
done, and whoever does it at once, the figures are those of the faxes. Days of which the faxes are gone stay.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Direction, Fax, FaxDay, Scope, VoiceCall
from app.models.faxes.moves import FINAL
from app.models.figures.figures import VOICE
from app.rules.ground.days import day_bounds, day_of
from tenants.db import only_reading
from tenants.models import Tenant
from tenants.scope import lock_tenant

#: The end of a fax is a time within its transaction. So long after it the commit is there at the latest.
OVERLAP = timedelta(hours=1)

COUNTED = ("tenant_id", "day", "scope", "entity_id", "user_id", "direction", "status", "cause")
SUMS = ("faxes", "pages", "seconds")
#: What a month's rows sum up.
MONTHS = {Scope.ENTITY: Scope.ENTITY_MONTH, Scope.USER: Scope.USER_MONTH}


# ---- Counting


def count_days(session: Session, now: datetime) -> int:
    """Count every day on which something has ended since it was last counted; gives how many. Commits each."""
    with only_reading():
        tenants = session.scalars(sa.select(Tenant.id).where(Tenant.deleting_at.is_(None)).order_by(Tenant.id)).all()
        session.rollback()
    return sum(_count_tenant(session, tenant_id, now) for tenant_id in tenants)


def _count_tenant(session: Session, tenant_id: int, now: datetime) -> int:
    """Nobody who writes waits for the look at what there is to count."""
    with only_reading():
        tenant, days = session.get_one(Tenant, tenant_id), 0
        begin = tenant.counted_until - OVERLAP if tenant.counted_until else None
        session.rollback()
    if begin is None and _next_day(session, tenant_id, begin):
        _forget_days(session, tenant)
    while found := _next_day(session, tenant_id, begin):
        day, zone = found
        _begin, begin = day_bounds(day, zone)
        lock_tenant(session, tenant_id)
        session.refresh(tenant)
        if tenant.zone != zone:  # changed meanwhile: the next run begins anew
            break
        _count_day(session, tenant_id, day, zone)
        _forget_month(session, tenant_id, _month(day))
        _sum_month_before(session, tenant_id, _month(day))
        tenant.counted_until = min(begin, now)
        session.commit()
        days += 1
    session.rollback()
    with only_reading():
        this_month = _month(day_of(now, tenant.zone))
        is_owed = _unsummed(session, tenant_id, this_month) is not None
        session.rollback()
    if is_owed:
        lock_tenant(session, tenant_id)
        _sum_month_before(session, tenant_id, this_month)
        session.commit()
    return days


def _next_day(session: Session, tenant_id: int, since: datetime | None) -> tuple[date, ZoneInfo] | None:
    """On which day, in the tenant's zone, the first ended that ended then or later."""
    with only_reading():
        zone, ended_at = session.get_one(Tenant, tenant_id).zone, _next_end(session, tenant_id, since)
        session.rollback()
    return (day_of(ended_at, zone), zone) if ended_at else None


def _forget_days(session: Session, tenant: Tenant) -> None:
    """Before all is counted anew: days of which there are faxes. In another zone they were one earlier or later."""
    session.rollback()
    lock_tenant(session, tenant.id)
    session.refresh(tenant)
    if tenant.counted_until is None and (ended_at := _next_end(session, tenant.id, None)):
        first = day_of(ended_at, tenant.zone) - timedelta(days=1)
        session.execute(sa.delete(FaxDay).where(FaxDay.tenant_id == tenant.id, FaxDay.day >= first))
        session.commit()


def _next_end(session: Session, tenant_id: int, since: datetime | None) -> datetime | None:
    """When the first fax, or call to a telephone, ended that ended then or later."""
    found = [_first(session, Fax, Fax.finished_at, tenant_id, since)]
    found += [_first(session, VoiceCall, VoiceCall.ended_at, tenant_id, since)]
    return min(filter(None, found), default=None)


def _first(session: Session, table: Any, ended_at: Any, tenant_id: int, since: datetime | None) -> datetime | None:
    first = sa.select(sa.func.min(ended_at)).where(table.tenant_id == tenant_id, ended_at.is_not(None))
    return session.scalar(first.where(ended_at >= since) if since else first)


def _count_day(session: Session, tenant_id: int, day: date, zone: ZoneInfo) -> None:
    session.execute(sa.delete(FaxDay).where(FaxDay.tenant_id == tenant_id, FaxDay.day == day))
    first, end = day_bounds(day, zone)
    when = (Fax.finished_at >= first, Fax.finished_at < end)
    faxes = _faxes((Fax.tenant_id == tenant_id, *when, Fax.status.in_(FINAL)))
    calls = _calls((VoiceCall.tenant_id == tenant_id, VoiceCall.ended_at >= first, VoiceCall.ended_at < end))
    scopes = [
        _grouped(faxes, tenant_id, day, Scope.TENANT),
        _grouped(faxes, tenant_id, day, Scope.ENTITY),
        _grouped(faxes, tenant_id, day, Scope.USER).where(faxes.c.user_id.is_not(None)),
        _grouped(calls, tenant_id, day, Scope.TENANT),
        _grouped(calls, tenant_id, day, Scope.ENTITY),
    ]
    session.execute(sa.insert(FaxDay).from_select([*COUNTED, *SUMS], sa.union_all(*scopes)))


# ---- Months


def _month(day: date) -> date:
    return day.replace(day=1)


def _month_before(day: date) -> date:
    return _month(_month(day) - timedelta(days=1))


def _forget_month(session: Session, tenant_id: int, first: date) -> None:
    """Before a day of it is counted: it is summed when a later month begins."""
    mine = FaxDay.tenant_id == tenant_id
    session.execute(sa.delete(FaxDay).where(mine, FaxDay.scope.in_(MONTHS.values()), FaxDay.day == first))


def _sum_month_before(session: Session, tenant_id: int, first: date) -> None:
    if month := _unsummed(session, tenant_id, first):
        _sum_month(session, tenant_id, month)


def _unsummed(session: Session, tenant_id: int, first: date) -> date | None:
    """The last month before this one that has days, unless it is summed: whoever was killed leaves it to the next."""
    mine = FaxDay.tenant_id == tenant_id
    last = session.scalar(
        sa.select(sa.func.max(FaxDay.day)).where(mine, FaxDay.scope == Scope.TENANT, FaxDay.day < first)
    )
    if last is None:
        return None
    is_summed = sa.select(FaxDay.id).where(mine, FaxDay.scope == Scope.ENTITY_MONTH, FaxDay.day == _month(last))
    return _month(last) if session.scalar(is_summed.limit(1)) is None else None


def _sum_month(session: Session, tenant_id: int, first: date) -> None:
    following = _month(first + timedelta(days=31))
    mine = FaxDay.tenant_id == tenant_id
    for scope, month in MONTHS.items():
        keys = [FaxDay.entity_id, FaxDay.user_id, FaxDay.direction, FaxDay.status, FaxDay.cause]
        sums = [sa.cast(sa.func.sum(getattr(FaxDay, name)), FaxDay.__table__.c[name].type) for name in SUMS]
        fixed = (sa.cast(tenant_id, sa.BigInteger), sa.literal(first, sa.Date), sa.literal(str(month), sa.String))
        of_month = (mine, FaxDay.scope == scope, FaxDay.day >= first, FaxDay.day < following)
        query = sa.select(*fixed, *keys, *sums).where(*of_month).group_by(*keys)
        session.execute(sa.insert(FaxDay).from_select([*COUNTED, *SUMS], query))


# ---- Days


def _faxes(of_day: Iterable[sa.ColumnElement[bool]]) -> sa.CTE:
    """The faxes of the day, each with its pages and its seconds on the line."""
    lasted = sa.extract("epoch", Attempt.ended_at) - sa.extract("epoch", Attempt.answered_at)
    calls = sa.select(Attempt.fax_id, sa.func.sum(lasted).label("seconds")).join(Fax, Fax.id == Attempt.fax_id)
    calls = calls.where(*of_day, Attempt.answered_at.is_not(None), Attempt.ended_at.is_not(None))
    on_line = calls.group_by(Attempt.fax_id).subquery()
    pages = sa.case((Fax.direction == Direction.SENT, Fax.pages_done), else_=sa.func.coalesce(Fax.pages, 0))
    columns = (Fax.entity_id, Fax.user_id, Fax.direction, Fax.status, Fax.cause)
    seconds = sa.func.coalesce(on_line.c.seconds, 0).label("seconds")
    query = sa.select(*columns, pages.label("pages"), seconds).outerjoin(on_line, on_line.c.fax_id == Fax.id)
    return query.where(*of_day).cte("faxes")


def _calls(of_day: Iterable[sa.ColumnElement[bool]]) -> sa.CTE:
    """The calls to telephones of the day, in the columns of :func:`_faxes`."""
    lasted = sa.extract("epoch", VoiceCall.ended_at) - sa.extract("epoch", VoiceCall.answered_at)
    nobody, nothing = sa.cast(sa.null(), sa.BigInteger).label("user_id"), sa.cast(sa.null(), sa.String(40))
    direction, status = sa.cast(sa.literal(VOICE), sa.String(8)).label("direction"), VoiceCall.end.label("status")
    pages, seconds = sa.literal(0, sa.Integer).label("pages"), sa.func.coalesce(lasted, 0).label("seconds")
    columns = (VoiceCall.entity_id, nobody, direction, status, nothing.label("cause"), pages, seconds)
    return sa.select(*columns).where(*of_day).cte("calls")


def _grouped(faxes: sa.CTE, tenant_id: int, day: date, scope: Scope) -> sa.Select[Any]:
    """In the order of COUNTED and SUMS."""
    nothing = sa.cast(sa.null(), sa.BigInteger)
    entity = faxes.c.entity_id if scope == Scope.ENTITY else nothing
    user = faxes.c.user_id if scope == Scope.USER else nothing
    outcome = (faxes.c.direction, faxes.c.status, faxes.c.cause)
    keys = [*(key for key in (entity, user) if isinstance(key, sa.Column)), *outcome]
    fixed = (sa.cast(tenant_id, sa.BigInteger), sa.literal(day, sa.Date), sa.literal(str(scope), sa.String))
    sums = (
        sa.func.count(),
        sa.cast(sa.func.sum(faxes.c.pages), sa.Integer),
        sa.cast(sa.func.round(sa.func.sum(faxes.c.seconds)), sa.BigInteger),
    )
    return sa.select(*fixed, entity, user, *outcome, *sums).group_by(*keys)


# ---- Reading


@dataclass(frozen=True)
class Counted:
    """One row of an answer: ``key`` is a day, the id of an entity, of a user or of a tenant."""

    key: Any
    direction: str
    status: str
    cause: str | None
    faxes: int
    pages: int
    seconds: int


def by_day(
    session: Session,
    *,
    tenant_id: int | None,
    since: date,
    until: date,
    entity_id: int | None = None,
    user_id: int | None = None,
    by_month: bool = False,
) -> list[Counted]:
    """Of one tenant or of all; of all its faxes, of those of one entity, or of what one user sent. ``by_month`` sums
    whole months, each under its first day."""
    scope = Scope.ENTITY if entity_id else Scope.USER if user_id else Scope.TENANT
    of = [FaxDay.entity_id == entity_id] if entity_id else [FaxDay.user_id == user_id] if user_id else []
    where = _within(scope, tenant_id, since, until, *of)
    if not by_month:
        return _read(session, FaxDay.day, where, causes=True)
    number = sa.extract("year", FaxDay.day) * 12 + sa.extract("month", FaxDay.day) - 1
    rows = _read(session, number, where, causes=True)
    return [replace(row, key=date(int(row.key) // 12, int(row.key) % 12 + 1, 1)) for row in rows]


def by_entity(session: Session, *, tenant_id: int, since: date, until: date) -> list[Counted]:
    return _read(session, FaxDay.entity_id, _in_sum(Scope.ENTITY, tenant_id, since, until))


def by_user(session: Session, *, tenant_id: int, since: date, until: date) -> list[Counted]:
    return _read(session, FaxDay.user_id, _in_sum(Scope.USER, tenant_id, since, until))


def by_tenant(session: Session, *, since: date, until: date) -> list[Counted]:
    return _read(session, FaxDay.tenant_id, _within(Scope.TENANT, None, since, until))


def _within(
    scope: Scope, tenant_id: int | None, since: date, until: date, *more: sa.ColumnElement[bool]
) -> list[sa.ColumnElement[bool]]:
    of_tenant = [FaxDay.tenant_id == tenant_id] if tenant_id is not None else []
    return [FaxDay.scope == scope, FaxDay.day >= since, FaxDay.day <= until, *of_tenant, *more]


def _in_sum(scope: Scope, tenant_id: int, since: date, until: date) -> list[sa.ColumnElement[bool]]:
    """As ``_within``, for who does not ask for single days: whole months, and the days of the last two."""
    days_from = _month_before(until)
    if since.day != 1 or since >= days_from:
        return _within(scope, tenant_id, since, until)
    months = sa.and_(FaxDay.scope == MONTHS[scope], FaxDay.day >= since, FaxDay.day < days_from)
    days = sa.and_(FaxDay.scope == scope, FaxDay.day >= days_from, FaxDay.day <= until)
    return [FaxDay.tenant_id == tenant_id, sa.or_(months, days)]


def _read(session: Session, key: Any, where: list[sa.ColumnElement[bool]], *, causes: bool = False) -> list[Counted]:
    keys = [key, FaxDay.direction, FaxDay.status, *([FaxDay.cause] if causes else [])]
    cause = FaxDay.cause if causes else sa.null()
    sums = [sa.cast(sa.func.sum(getattr(FaxDay, name)), sa.BigInteger) for name in SUMS]
    query = sa.select(key, FaxDay.direction, FaxDay.status, cause, *sums).where(*where).group_by(*keys).order_by(key)
    return [Counted(*row) for row in session.execute(query)]
