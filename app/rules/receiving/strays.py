"""Calls that reached nobody: never lost in silence. The operator sees all of them, a company those for its numbers."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import PoolNumber, StrayCall
from app.rules.numbers.callers import caller_of
from app.rules.numbers.routing import Found
from tenants.models import Tenant

#: Called numbers that are kept: strangers can make up as many as they like.
MOST_STRAYS = 500
#: phonenumbers' word for no country: whose number it is nobody knows.
ANY_REGION = "ZZ"
#: It has offered T.38 and no sound, which Asterisk refuses whoever is called (docs/carriers.md).
T38_ALONE = "t38_only"


def note_stray(session: Session, found: Found, caller: str, now: datetime) -> None:
    """A call came that leads to no fax entity. Commits."""
    called, last_caller = found.called[:40], caller_of(session, caller, ANY_REGION, found.trunk)
    row = session.scalar(sa.select(StrayCall).where(StrayCall.called == called))
    if row is None:
        oldest = sa.select(StrayCall.id).order_by(StrayCall.last_at.desc()).offset(MOST_STRAYS - 1)
        session.execute(sa.delete(StrayCall).where(StrayCall.id.in_(session.scalars(oldest).all())))
        row = StrayCall(called=called, calls=0)
        session.add(row)
    row.caller = last_caller
    row.reason, row.number, row.calls, row.last_at = found.reason or "nobody", found.number, row.calls + 1, now
    session.commit()


def strays(session: Session, *, most: int = 50) -> list[StrayCall]:
    """The newest first."""
    return list(session.scalars(sa.select(StrayCall).order_by(StrayCall.last_at.desc()).limit(most)))


def strays_of(session: Session, tenant: Tenant, *, most: int = 20) -> list[StrayCall]:
    """Those for numbers that the company has and no line of it, the newest first."""
    own = sa.select(PoolNumber.number).where(PoolNumber.tenant_id == tenant.id)
    for_nobody = (StrayCall.number.in_(own), StrayCall.reason != T38_ALONE)
    query = sa.select(StrayCall).where(*for_nobody).order_by(StrayCall.last_at.desc())
    return list(session.scalars(query.limit(most)))
