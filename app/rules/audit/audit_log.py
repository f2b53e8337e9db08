"""Reading the audit log: one page of it, newest first, as fast with many rows as with few.

An event's place is its time and, between equal times, its id; each filter has an index that holds this order.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload, load_only

from app.models import AuditEvent
from app.rules.ground.days import day_bounds
from tenants.db import reading_long
from tenants.models import EmailAddress, Tenant, User

#: Rows that the export reads at a time.
BATCH = 1_000

Place = tuple[datetime, int]


@dataclass(frozen=True)
class AuditFilters:
    """Who, what and when; the days are the company's, both included. ``action`` ends in a dot for all of a thing."""

    user_id: int | None = None
    action: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class AuditEntry:
    event: AuditEvent
    person: str | None
    email: str | None
    is_operator: bool


def read_events(
    session: Session,
    tenant_id: int | None,
    zone: ZoneInfo,
    filters: AuditFilters,
    *,
    size: int,
    before: Place | None = None,
    after: Place | None = None,
) -> list[AuditEvent]:
    """The newest of the tenant's, or those next to a place: the older ones ``before`` it, the newer ones ``after`` it.
    Newest first in any case. Without a tenant: the acts on the installation itself."""
    query = sa.select(AuditEvent).where(AuditEvent.tenant_id == tenant_id, *_conditions(filters, zone))
    place = sa.tuple_(AuditEvent.at, AuditEvent.id)
    if after:
        nearest = query.where(place > _literal(after)).order_by(AuditEvent.at, AuditEvent.id).limit(size)
        return list(session.scalars(nearest))[::-1]
    if before:
        query = query.where(place < _literal(before))
    return list(session.scalars(query.order_by(AuditEvent.at.desc(), AuditEvent.id.desc()).limit(size)))


def _literal(place: Place) -> Any:
    return sa.tuple_(sa.literal(place[0], AuditEvent.at.type), place[1])


def _conditions(filters: AuditFilters, zone: ZoneInfo) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if filters.user_id:
        conditions.append(AuditEvent.user_id == filters.user_id)
    if filters.action:
        conditions.append(_action(filters.action))
    if filters.since:
        conditions.append(AuditEvent.at >= day_bounds(filters.since, zone)[0])
    if filters.until:
        conditions.append(AuditEvent.at < day_bounds(filters.until, zone)[1])
    return conditions


def _action(action: str) -> sa.ColumnElement[bool]:
    if not action.endswith("."):
        return AuditEvent.action == action
    return AuditEvent.action.startswith(action, autoescape=True)


def with_people(session: Session, events: list[AuditEvent]) -> list[AuditEntry]:
    """Each event with who did it, in one more question."""
    ids = {event.user_id for event in events if event.user_id}
    query = sa.select(User.id, User.name, User.tenant_id, EmailAddress.address)
    query = query.join(EmailAddress, EmailAddress.id == User.address_id).where(User.id.in_(ids))
    people = {row.id: row for row in session.execute(query)} if ids else {}
    return [_entry(event, people) for event in events]


def _entry(event: AuditEvent, people: Mapping[int, Any]) -> AuditEntry:
    person = people.get(event.user_id) if event.user_id else None
    if person is None:
        return AuditEntry(event, None, None, False)
    return AuditEntry(event, person.name, person.address, person.tenant_id is None)


def all_events(session: Session, tenant_id: int, zone: ZoneInfo, filters: AuditFilters) -> Iterator[AuditEntry]:
    """All of them, newest first, a batch at a time; no transaction is open while the reader works."""
    place: Place | None = None
    while True:
        with reading_long():
            events = read_events(session, tenant_id, zone, filters, size=BATCH, before=place)
            entries = with_people(session, events)
            session.expunge_all()
            session.rollback()
        yield from entries
        if len(events) < BATCH:
            return
        place = (events[-1].at, events[-1].id)


def people_of_log(session: Session, tenant_id: int) -> list[User]:
    """Who stands in the log, by name."""
    acted = sa.exists().where(AuditEvent.tenant_id == tenant_id, AuditEvent.user_id == User.id)
    mine = sa.or_(User.tenant_id == tenant_id, User.tenant_id.is_(None))
    shown = (
        load_only(User.name, User.tenant_id),
        joinedload(User.address),
        joinedload(User.tenant).load_only(Tenant.id),
    )
    return list(session.scalars(sa.select(User).where(mine, acted).options(*shown).order_by(User.name, User.id)))


def differences(event: AuditEvent) -> list[tuple[str, Any, Any]]:
    """(field, before, after) of what the event says to have changed; None where there was or is nothing. What was left
    empty in something new is no change."""
    before, after = event.before or {}, event.after or {}
    names = [*before, *(name for name in after if name not in before)]
    found = [(name, before.get(name), after.get(name)) for name in names]
    return [change for change in found if not all(value in (None, "", [], {}) for value in change[1:])]
