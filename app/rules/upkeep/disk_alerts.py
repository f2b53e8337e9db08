"""When a disk fills up the operators are told: once, while there is room for the mail, and when it is over.

What was told last is what the outbox says, so that no second mail follows from an emptied Redis or a restart.
"""

import json
from collections.abc import Iterable, Mapping
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Notice, NoticeKind
from app.rules.outbox.writing import write_notices
from app.rules.sending.dispatch import lock_limits
from tenants.models import User
from tenants.people import is_operator, people_in_use

_KINDS = (NoticeKind.DISK_FILLING, NoticeKind.DISK_ROOM)


def watch_disks(session: Session, filling: Mapping[str, int], *, least: int, is_over: bool) -> None:
    """``filling``: what lies there → megabytes free, of the disks that fill up; ``least`` have to be left. Commits."""
    lock_limits(session)  # of two that look at once one tells
    last = session.scalar(sa.select(Notice).where(Notice.kind.in_(_KINDS)).order_by(Notice.id.desc()).limit(1))
    is_told = last is not None and last.kind == NoticeKind.DISK_FILLING
    if filling and not is_told:
        note = json.dumps({"free": filling, "least": least})
        _tell(session, NoticeKind.DISK_FILLING, people_in_use(session, is_operator), note=note)
    elif last and is_told and is_over:
        heard = sa.select(Notice.user_id).where(Notice.kind == last.kind, Notice.occasion == last.occasion)
        _tell(session, NoticeKind.DISK_ROOM, people_in_use(session, User.id.in_(heard)))
    session.commit()


def _tell(session: Session, kind: NoticeKind, users: Iterable[User], note: str | None = None) -> None:
    write_notices(session, kind, users, tenant=None, is_personal=True, occasion=str(uuid4()), note=note)
