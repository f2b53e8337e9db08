"""When most faxes of a company fail, or something is stuck, its administrators are told: once, and when it is over.

Two clocks at once do no harm: of each kind a company has one open incident at most, of faxes that are held one for each
person who ordered them, and its mails are written in the transaction that opens or ends it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import (
    AlertIncident,
    AlertKind,
    Attempt,
    Direction,
    Fax,
    FaxEntity,
    FaxTemplate,
    Notice,
    NoticeKind,
    Status,
)
from app.models.faxes.moves import WAITING
from app.rules.ground.call_ends import without_text
from app.rules.numbers.policy import has_ceiling, use_today
from app.rules.outbox.writing import write_notices
from app.rules.sending.senders import held_by_person
from app.rules.sending.trunks.trouble import names_of_troubles, waiting_for_it
from tenants.db import only_reading
from tenants.models import Tenant, User
from tenants.people import administers, is_operator, people_in_use
from tenants.scope import lock_tenant

#: What counts as sent or not: who cancels has not failed.
JUDGED = (Status.SENT, Status.FAILED, Status.UNKNOWN)
#: Older ones say nothing about today.
MEMORY = timedelta(days=7)
MOST_CAUSES = 3


@dataclass(frozen=True)
class Failing:
    """``failed`` of the last ``of`` sent faxes, and the most frequent causes."""

    failed: int
    of: int
    causes: list[tuple[str, int]]

    def is_too_much(self, percent: int) -> bool:
        return self.failed * 100 >= percent * self.of


@dataclass(frozen=True)
class Stuck:
    """``count`` faxes should have gone on long ago, the first of them since ``oldest``."""

    count: int
    oldest: datetime

    def with_more(self, count: int, oldest: datetime) -> "Stuck":
        return Stuck(self.count + count, min(self.oldest, oldest))


# ---- What is the matter


def last_faxes(session: Session, tenant: Tenant, now: datetime) -> Failing | None:
    """None while there are too few to judge by."""
    last = (
        sa.select(Fax.status, Fax.cause)
        .where(
            Fax.tenant_id == tenant.id,
            Fax.finished_at > now - MEMORY,
            Fax.direction == Direction.SENT,
            Fax.status.in_(JUDGED),
        )
        .order_by(Fax.finished_at.desc())
        .limit(tenant.alert_failed_of)
    )
    rows = session.execute(last).all()
    if len(rows) < tenant.alert_failed_of:
        return None
    causes = Counter(cause or "other" for status, cause in rows if status != Status.SENT)
    return Failing(causes.total(), len(rows), causes.most_common(MOST_CAUSES))


def stuck_faxes(session: Session, now: datetime) -> dict[int, Stuck]:
    """Tenant → what is older than the tenant allows. What waits because the company is suspended is not stuck."""
    found: dict[int, Stuck] = {}
    for minutes, tenants in _by_patience(session).items():
        before = now - timedelta(minutes=minutes)
        going = [tenant_id for tenant_id, suspended in tenants.items() if not suspended]
        for tenant_id, count, oldest in [
            *session.execute(_waiting(before, going)),
            *session.execute(_unprepared(before, list(tenants))),
            *_calls(session, before, list(tenants)),
        ]:
            found[tenant_id] = found[tenant_id].with_more(count, oldest) if tenant_id in found else Stuck(count, oldest)
    return found


def _by_patience(session: Session) -> dict[int, dict[int, bool]]:
    """Minutes → tenants that allow so many, each with whether it is suspended."""
    query = sa.select(Tenant.id, Tenant.alert_stuck_minutes, Tenant.suspended_at)
    groups: dict[int, dict[int, bool]] = defaultdict(dict)
    for tenant_id, minutes, suspended_at in session.execute(
        query.where(Tenant.alert_stuck_minutes > 0, Tenant.deleting_at.is_(None))
    ):
        groups[minutes][tenant_id] = suspended_at is not None
    return groups


def _waiting(before: datetime, tenants: list[int]) -> sa.Select[int, int, Any]:
    """Due long ago, and on no line."""
    query = sa.select(Fax.tenant_id, sa.func.count(), sa.func.min(Fax.due_at)).where(
        Fax.status.in_(WAITING), Fax.due_at < before
    )
    return query.where(Fax.tenant_id.in_(tenants)).group_by(Fax.tenant_id)


def _unprepared(before: datetime, tenants: list[int]) -> sa.Select[int, int, datetime]:
    early = Fax.status.in_((Status.ACCEPTED, Status.PREPARING))
    query = sa.select(Fax.tenant_id, sa.func.count(), sa.func.min(Fax.created_at)).where(early, Fax.created_at < before)
    return query.where(Fax.tenant_id.in_(tenants)).group_by(Fax.tenant_id)


def _calls(session: Session, before: datetime, tenants: list[int]) -> Iterable[tuple[int, int, datetime]]:
    """On the line for longer than the line's template lets a call ring and last."""
    longest = FaxTemplate.ring_seconds + FaxTemplate.max_seconds
    query = (
        sa.select(Attempt.tenant_id, Attempt.created_at, longest)
        .join(FaxEntity, FaxEntity.id == Attempt.entity_id)
        .join(FaxTemplate, FaxTemplate.id == FaxEntity.template_id)
        .where(Attempt.ended_at.is_(None), Attempt.created_at < before, Attempt.tenant_id.in_(tenants))
    )
    for tenant_id, created_at, seconds in session.execute(query):
        if created_at + timedelta(seconds=seconds) < before:
            yield tenant_id, 1, created_at


# ---- Telling it once


class Matter(NamedTuple):
    """What an incident is about; ``about_id`` is a person or 0."""

    tenant_id: int
    kind: str
    about_id: int = 0


def watch(session: Session, now: datetime) -> int:
    """Open and end incidents, with their mails; gives how many. Commits each."""
    changed = 0
    with only_reading():
        stuck, trunk = stuck_faxes(session, now), _trunk_facts(session)
        tenants = session.scalars(sa.select(Tenant).where(Tenant.deleting_at.is_(None)).order_by(Tenant.id)).all()
        open_ones = {Matter(i.tenant_id, i.kind, i.about_id) for i in session.scalars(_open())}
        wanted = [finding for tenant in tenants for finding in _findings(session, tenant, stuck, now)]
        wanted += [(Matter(tenant.id, AlertKind.TRUNK), trunk.get(tenant.id)) for tenant in tenants]
        session.rollback()
    held = {matter for matter, _facts in wanted if matter.kind == AlertKind.SENDERS}
    wanted += [(matter, None) for matter in open_ones - held if matter.kind == AlertKind.SENDERS]
    for matter, facts in wanted:
        if bool(facts) != (matter in open_ones):
            changed += _open_incident(session, matter, facts) if facts else _end(session, matter, now)
    return changed


def _findings(
    session: Session, tenant: Tenant, stuck: dict[int, Stuck], now: datetime
) -> Iterable[tuple[Matter, dict[str, Any] | None]]:
    """What is the matter, None for nothing. Where it cannot be told nothing is said."""
    failing = Matter(tenant.id, AlertKind.FAILING)
    if not tenant.alert_failed_percent or not tenant.alert_failed_of:
        yield failing, None
    elif last := last_faxes(session, tenant, now):
        facts = {"failed": last.failed, "of": last.of, "causes": last.causes}
        yield failing, facts if last.is_too_much(tenant.alert_failed_percent) else None
    used = use_today(session, tenant, now) if has_ceiling(tenant) else None
    reached = used is not None and used.reaches(tenant)
    ceiling = {"calls": used.calls, "minutes": round(used.seconds / 60)} if used and reached else None
    yield Matter(tenant.id, AlertKind.CEILING), ceiling
    for user_id, (name, count) in held_by_person(session, tenant.id).items():
        yield Matter(tenant.id, AlertKind.SENDERS, user_id), {"count": count, "person": name}
    mine = stuck.get(tenant.id)
    stands = {"count": mine.count, "oldest": mine.oldest.isoformat()} if mine else None
    yield Matter(tenant.id, AlertKind.STUCK), stands


def _trunk_facts(session: Session) -> dict[int, dict[str, Any]]:
    """Company with faxes that wait for a trunk → what is the matter with the first of those that are set aside."""
    if not (aside := names_of_troubles(session)):
        return {}
    _, trouble = aside[0]
    told: dict[str, Any] = {"trunks": [name for name, _ in aside], "since": trouble.since.isoformat()}
    # it may have been another company's call
    told |= {"outcome": trouble.outcome, "response": trouble.response and without_text(trouble.response)}
    return {tenant_id: told | {"count": count} for tenant_id, count in waiting_for_it(session).items()}


def _open(**of: Any) -> sa.Select[AlertIncident]:
    return sa.select(AlertIncident).filter_by(ended_at=None, **of)


def _open_incident(session: Session, matter: Matter, facts: dict[str, Any]) -> bool:
    lock_tenant(session, matter.tenant_id)
    if session.scalar(_open(**matter._asdict())):
        session.rollback()
        return False
    incident = AlertIncident(**matter._asdict(), facts=facts)
    session.add(incident)
    session.flush()
    _tell(session, incident, NoticeKind.ALERT, _told(session, matter))
    session.commit()
    return True


def _end(session: Session, matter: Matter, now: datetime) -> bool:
    """The all-clear goes to those who had the alert."""
    lock_tenant(session, matter.tenant_id)
    incident = session.scalar(_open(**matter._asdict()))
    if incident is None:
        session.rollback()
        return False
    incident.ended_at = now
    had_it = sa.select(Notice.user_id).where(
        Notice.tenant_id == matter.tenant_id, Notice.kind == NoticeKind.ALERT, Notice.incident_id == incident.id
    )
    _tell(session, incident, NoticeKind.ALL_CLEAR, people_in_use(session, User.id.in_(had_it)))
    session.commit()
    return True


def _told(session: Session, matter: Matter) -> list[User]:
    """The company's administrators; of what is stuck the operators too: it may be the installation that
    stands; and of a ceiling, which is theirs. Of the trunk they are told once, whose faxes soever wait."""
    meant = administers(matter.tenant_id)
    is_news = matter.kind == AlertKind.TRUNK and len(session.scalars(_open(kind=matter.kind)).all()) == 1
    if is_news or matter.kind in (AlertKind.STUCK, AlertKind.CEILING):
        meant = sa.or_(meant, is_operator)
    return people_in_use(session, meant)


def _tell(session: Session, incident: AlertIncident, kind: NoticeKind, users: Iterable[User]) -> None:
    tenant = session.get_one(Tenant, incident.tenant_id)
    write_notices(session, kind, users, tenant=tenant, is_personal=True, incident_id=incident.id)
