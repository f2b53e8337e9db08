"""What the installation does at the moment, in counts and states: for the operator, who sees no fax."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Direction, Fax, FaxDay, FaxEntity, Scope, Status
from app.rules.figures.alerts import Stuck, stuck_faxes
from app.rules.setup.licence import Licence
from tenants.models import Tenant, User

#: Not over and on no line.
QUEUED = (Status.ACCEPTED, Status.PREPARING, Status.READY, Status.RETRYING)
SHARE_DAYS = 7


@dataclass(frozen=True)
class TenantNow:
    """One company: calls out and in, faxes that wait for the line and for their time, what is stuck; and of what was
    sent in the last days how much came through and how much did not."""

    tenant: Tenant
    licence: Licence
    users: int
    calls_out: int
    calls_in: int
    queued: int
    scheduled: int
    stuck: Stuck | None
    sent: int
    failed: int

    @property
    def state(self) -> str:
        if self.tenant.deleting_at:
            return "deleting"
        return "suspended" if self.tenant.suspended_at else "open"

    @property
    def failed_percent(self) -> int | None:
        judged = self.sent + self.failed
        return round(100 * self.failed / judged) if judged else None


def tenants_now(session: Session, now: datetime, *, only: int | None = None) -> list[TenantNow]:
    """All companies, or one, by name. Each number is one question over all of them."""
    tenants = sa.select(Tenant).order_by(Tenant.name, Tenant.id)
    entities, users = _count(session, FaxEntity, FaxEntity.closed_at.is_(None)), _count(session, User)
    calls, waiting, ended = _calls(session), _waiting(session), _ended(session, now)
    stuck = stuck_faxes(session, now)
    return [
        TenantNow(
            tenant=tenant,
            licence=Licence(entities[tenant.id], tenant.fax_channels),
            users=users[tenant.id],
            calls_out=calls[tenant.id, Direction.SENT],
            calls_in=calls[tenant.id, Direction.RECEIVED],
            queued=sum(waiting[tenant.id, status] for status in QUEUED),
            scheduled=waiting[tenant.id, Status.SCHEDULED],
            stuck=stuck.get(tenant.id),
            sent=ended[tenant.id, Status.SENT],
            failed=ended[tenant.id, Status.FAILED] + ended[tenant.id, Status.UNKNOWN],
        )
        for tenant in session.scalars(tenants.where(Tenant.id == only) if only else tenants)
    ]


def _count(session: Session, model: Any, *conditions: sa.ColumnElement[bool]) -> Counter[int]:
    grouped = sa.select(model.tenant_id, sa.func.count()).where(model.tenant_id.is_not(None), *conditions)
    return Counter(dict(session.execute(grouped.group_by(model.tenant_id)).all()))


def _calls(session: Session) -> Counter[tuple[int, str]]:
    columns = (Attempt.tenant_id, Fax.direction)
    open_calls = sa.select(*columns, sa.func.count()).join(Fax, Fax.id == Attempt.fax_id)
    return _counter(session.execute(open_calls.where(Attempt.takes_a_place()).group_by(*columns)))


def _waiting(session: Session) -> Counter[tuple[int, str]]:
    columns = (Fax.tenant_id, Fax.status)
    waiting = Fax.status.in_((*QUEUED, Status.SCHEDULED))
    return _counter(session.execute(sa.select(*columns, sa.func.count()).where(waiting).group_by(*columns)))


def _ended(session: Session, now: datetime) -> Counter[tuple[int, str]]:
    columns = (FaxDay.tenant_id, FaxDay.status)
    since = now.date() - timedelta(days=SHARE_DAYS - 1)
    sent = (FaxDay.scope == Scope.TENANT, FaxDay.day >= since, FaxDay.direction == Direction.SENT)
    return _counter(session.execute(sa.select(*columns, sa.func.sum(FaxDay.faxes)).where(*sent).group_by(*columns)))


def _counter(rows: Any) -> Counter[tuple[int, str]]:
    counts: Counter[tuple[int, str]] = Counter()
    for tenant_id, word, count in rows:
        counts[tenant_id, word] += int(count)
    return counts
