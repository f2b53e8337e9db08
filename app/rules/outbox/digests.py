"""Digests: one mail a day about what became of the faxes that a person sent, for those who choose it.

A fax that ends is entered in the transaction that ends it. A digest takes all that are entered and in none yet, in the
transaction that writes its mail: each fax is told of once.
"""

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app.models import DigestEntry, Fax, Notice, NoticeKind
from app.rules.outbox.writing import write_notices
from tenants.db import only_reading, rows_changed
from tenants.models import User


def read_time(text: str) -> time | None:
    """``18:00``, as a browser's field for it gives it."""
    found = _TIME.fullmatch(text)
    return time(int(found[1]), int(found[2])) if found else None


_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def enter(session: Session, user: User, fax: Fax) -> None:
    """The caller commits."""
    session.add(DigestEntry(tenant_id=fax.tenant_id, user_id=user.id, fax_id=fax.id))


def last_moment(at: time, zone: ZoneInfo, now: datetime) -> datetime:
    """When it was last that time of the day there."""
    here = now.astimezone(zone)
    today = datetime.combine(here.date(), at, zone)
    return today if today <= here else datetime.combine(here.date() - timedelta(days=1), at, zone)


def write_digests(session: Session, now: datetime) -> int:
    """Into the outbox, for everybody whose time has come; gives how many. Commits."""
    untold = sa.select(DigestEntry.user_id, sa.func.min(DigestEntry.created_at)).join(User)
    untold = untold.where(DigestEntry.notice_id.is_(None), User.disabled_at.is_(None))
    oldest = untold.group_by(DigestEntry.user_id).order_by(DigestEntry.user_id)
    with only_reading():  # this worker is not in a hurry, and for most it is not time
        found = session.execute(oldest).all()
        due = [user_id for user_id, since in found if _is_due(session.get_one(User, user_id), since, now)]
        session.rollback()
    return sum(_write(session, session.get_one(User, user_id)) for user_id in due)


def _is_due(user: User, since: datetime, now: datetime) -> bool:
    """Who does not want digests any more gets what is left at once."""
    return not user.digest_at or since < last_moment(user.digest_at, user.company.zone, now)


def _write(session: Session, user: User) -> bool:
    """Of two workers at once the first writes it."""
    (notice,) = write_notices(session, NoticeKind.DIGEST, [user], tenant=user.company, is_personal=True)
    mine = sa.update(DigestEntry).where(DigestEntry.user_id == user.id, DigestEntry.notice_id.is_(None))
    if not rows_changed(session, mine.values(notice_id=notice.id)):
        session.rollback()
        return False
    session.commit()
    return True


def entries_of(session: Session, notice: Notice) -> list[DigestEntry]:
    """What a digest tells, in the order in which it happened."""
    mine = sa.select(DigestEntry).where(DigestEntry.notice_id == notice.id, DigestEntry.tenant_id == notice.tenant_id)
    return list(session.scalars(mine.options(joinedload(DigestEntry.fax)).order_by(DigestEntry.id)))
