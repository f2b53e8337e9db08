"""So that no fax sits a week unseen: whose mail box is told of what nobody has looked at for days."""

import logging
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models import Fax, Notice, NoticeKind
from app.rules.ground.access import receivers
from app.rules.ground.days import day_of
from app.rules.inbox.inbox import Item, lying
from app.rules.inbox.waiting import PATIENCE, is_reminded, late_at, reminders_go_out
from app.rules.outbox.notices import write_reminder
from tenants.db import only_reading, writing
from tenants.models import Tenant, User
from tenants.people import administers, people_in_use

log = logging.getLogger(__name__)


def late_items(session: Session, tenant: Tenant, now: datetime) -> list[Item]:
    """What nobody has looked at for too long, oldest first."""
    items = lying(session, tenant, before=now - timedelta(days=PATIENCE))
    return [item for item in items if late_at(item.waits_since, tenant.zone) <= now]


def late_items_of(session: Session, user: User, now: datetime) -> list[Item]:
    """Those of which this user is told."""
    if user.tenant is None:
        return []
    items, told = late_items(session, user.tenant, now), _Told(session)
    return [item for item in items if user.id in {other.id for other in told.of(item.fax)}]


class _Told:
    """Who is told of a fax: who may receive it, and where nobody is left who may, the administrators."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._by_entity: dict[int, list[User]] = {}

    def of(self, fax: Fax) -> list[User]:
        if fax.entity_id not in self._by_entity:
            self._by_entity[fax.entity_id] = receivers(self._session, fax) or people_in_use(
                self._session, administers(fax.tenant_id)
            )
        return self._by_entity[fax.entity_id]


def write_reminders(session: Session, now: datetime) -> int:
    """Into the outbox, at most one mail a day for each person; gives how many. Commits."""
    tenants = sa.select(Tenant.id).where(Tenant.deleting_at.is_(None)).order_by(Tenant.id)
    with only_reading():
        written = sum(_remind(session, session.get_one(Tenant, one), now) for one in session.scalars(tenants).all())
        session.rollback()
    return written


def _remind(session: Session, tenant: Tenant, now: datetime) -> int:
    if not reminders_go_out(now, tenant.zone):
        return 0
    told = _Told(session)
    oldest: dict[int, tuple[User, Fax]] = {}
    for item in late_items(session, tenant, now):
        if is_reminded(item.waits_since, now, tenant.zone):
            for user in told.of(item.fax):
                oldest.setdefault(user.id, (user, item.fax))
    day = day_of(now, tenant.zone).isoformat()
    return sum(_write_once(session, user, fax, day) for user, fax in oldest.values())


def _write_once(session: Session, user: User, fax: Fax, day: str) -> bool:
    today = (Notice.kind == NoticeKind.REMINDER, Notice.recipient == user.email, Notice.occasion == day)
    if session.scalar(sa.select(Notice.id).where(*today)) is not None:
        return False
    session.rollback()
    try:
        with writing():
            write_reminder(session, fax, user, day=day)
            session.commit()
    except IntegrityError:  # another worker was faster
        session.rollback()
        return False
    return True
