"""Calls of shared lines that went on to a telephone: written down as Asterisk tells them, and read for the log.

Whatever is told may be told twice, and late: Asterisk keeps it until it was taken over (``asterisk/extensions.conf``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app.models import CallEnd, FaxEntity, VoiceCall
from app.rules.ground.days import day_bounds
from app.rules.numbers.callers import caller_of
from app.rules.numbers.policy import voice_goes_out
from app.rules.receiving.receiving import attempt_name
from tenants.db import reading_long, utc_now
from tenants.models import Tenant

BATCH = 500


def note_call(
    session: Session,
    *,
    node: str,
    channel_id: str,
    entity_id: int,
    caller: str,
    trunk: str = "",
    dialled: str,
    began_at: float,
    ended_at: float | None = None,
    seconds: int = 0,
    end: str | None = None,
) -> None:
    """Write down that a call runs, or how it ended. Times are Unix seconds, ``seconds`` those of the conversation. A
    line that is not there any more has no calls. Commits."""
    name = attempt_name(node, channel_id)
    call = session.scalar(sa.select(VoiceCall).where(VoiceCall.channel == name))
    entity = session.get(FaxEntity, entity_id)
    if call is None and entity is not None:
        tenant = entity.tenant
        call = VoiceCall(
            tenant_id=tenant.id,
            entity_id=entity.id,
            node=node,
            channel=name,
            caller=caller_of(session, caller, tenant.region, trunk),
            dialled=dialled[:32],
            goes_out=voice_goes_out(dialled, tenant),
            began_at=_time(began_at),
        )
        session.add(call)
    if call is not None and call.ended_at is None and ended_at is not None:
        call.ended_at, call.end = max(_time(ended_at), call.began_at), end
        if seconds:
            call.answered_at = max(call.ended_at - timedelta(seconds=seconds), call.began_at)
    session.commit()


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def open_calls(session: Session, node: str) -> list[str]:
    """Channel ids of the calls of a node of which the end is not known."""
    mine = sa.select(VoiceCall.channel).where(VoiceCall.node == node, VoiceCall.ended_at.is_(None))
    return [name.removeprefix(attempt_name(node, "")) for name in session.scalars(mine)]


def end_lost_calls(session: Session, node: str, channel_ids: Sequence[str]) -> None:
    """Their Asterisk did not live to tell how they ended. Commits."""
    names = [attempt_name(node, channel_id) for channel_id in channel_ids]
    lost = sa.update(VoiceCall).where(VoiceCall.channel.in_(names), VoiceCall.ended_at.is_(None))
    session.execute(lost.values(ended_at=utc_now(), end=CallEnd.UNKNOWN))
    session.commit()


# ---- The log


@dataclass(frozen=True)
class CallFilters:
    """Days are of the company's zone, both included."""

    entity_id: int | None = None
    since: date | None = None
    until: date | None = None


def _asked(tenant: Tenant, filters: CallFilters) -> sa.Select[VoiceCall]:
    query = sa.select(VoiceCall).where(VoiceCall.tenant_id == tenant.id)
    if filters.entity_id:
        query = query.where(VoiceCall.entity_id == filters.entity_id)
    if filters.since:
        query = query.where(VoiceCall.began_at >= day_bounds(filters.since, tenant.zone)[0])
    if filters.until:
        query = query.where(VoiceCall.began_at < day_bounds(filters.until, tenant.zone)[1])
    return query.options(joinedload(VoiceCall.entity)).order_by(VoiceCall.began_at.desc(), VoiceCall.id.desc())


@dataclass(frozen=True)
class CallPage:
    """``older`` is the id of the last one here, if there are more behind it."""

    calls: Sequence[VoiceCall]
    older: int | None


def read_calls(
    session: Session, tenant: Tenant, filters: CallFilters, *, limit: int, before: int | None = None
) -> CallPage:
    """The newest first; ``before``: those behind the call with this id."""
    query = _behind(session, tenant, _asked(tenant, filters), before)
    found = session.scalars(query.limit(limit + 1)).all()
    return CallPage(found[:limit], found[limit - 1].id if len(found) > limit else None)


def _behind(session: Session, tenant: Tenant, query: sa.Select[Any], before: int | None) -> sa.Select[Any]:
    last = session.get(VoiceCall, before) if before else None
    if last is None or last.tenant_id != tenant.id:
        return query
    earlier = VoiceCall.began_at < last.began_at
    return query.where(sa.or_(earlier, sa.and_(VoiceCall.began_at == last.began_at, VoiceCall.id < last.id)))


def all_calls(session: Session, tenant_id: int, filters: CallFilters) -> Iterator[VoiceCall]:
    """Every one that fits, newest first, a batch at a time; no transaction is open while the reader works."""
    before: int | None = None
    while True:
        with reading_long():
            tenant = session.get_one(Tenant, tenant_id)
            page = read_calls(session, tenant, filters, limit=BATCH, before=before)
            session.expunge_all()
            session.rollback()
        yield from page.calls
        if page.older is None:
            return
        before = page.older
