"""Emails to operators when one of several trunks is set aside, and when that is over. No fax waits for it, so nobody
else would notice.

The outbox says which emails were written, so neither an empty Redis nor a restart causes a second one.
"""

import json
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from app.models import Notice, NoticeKind, TrunkTrouble
from app.rules.outbox.writing import write_notices
from app.rules.sending.dispatch import lock_limits
from app.rules.sending.trunks.trouble import names_of_troubles
from app.rules.sending.trunks.used import in_use
from tenants.models import User
from tenants.people import is_operator, people_in_use


def watch_trunks(session: Session) -> None:
    """Commits."""
    lock_limits(session)  # of two that look at once one tells
    aside = {_occasion(trouble): (name, trouble) for name, trouble in names_of_troubles(session)}
    told = _told_and_not_over(session)
    if len(in_use(session)) > 1:
        for occasion, (name, trouble) in aside.items():
            if occasion not in told:
                note = {"trunk": name, "since": trouble.since.isoformat(), "response": trouble.response}
                _tell(session, NoticeKind.TRUNK_AWAY, people_in_use(session, is_operator), occasion, json.dumps(note))
    for occasion in told.keys() - aside.keys():
        heard = sa.select(Notice.user_id).where(Notice.kind == NoticeKind.TRUNK_AWAY, Notice.occasion == occasion)
        people = people_in_use(session, User.id.in_(heard))
        _tell(session, NoticeKind.TRUNK_BACK, people, occasion, told[occasion])
    session.commit()


def _occasion(trouble: TrunkTrouble) -> str:
    return f"{trouble.trunk_id} {trouble.since.timestamp():.6f}"


def _told_and_not_over(session: Session) -> dict[str, str | None]:
    """Occasion → its note."""
    over = aliased(Notice)
    is_over = sa.exists().where(over.kind == NoticeKind.TRUNK_BACK, over.occasion == Notice.occasion)
    told = sa.select(Notice.occasion, Notice.note).where(Notice.kind == NoticeKind.TRUNK_AWAY, ~is_over)
    return {row[0]: row[1] for row in session.execute(told)}


def _tell(session: Session, kind: NoticeKind, users: Iterable[User], occasion: str, note: str | None) -> None:
    write_notices(session, kind, users, tenant=None, is_personal=True, occasion=occasion, note=note)
