"""Emails to operators about a trunk in trouble that nobody else would notice, and when that is over: one of several is
set aside, so no fax waits for it; or its registration is lost, so no call comes in.

The outbox says which emails were written, so neither an empty Redis nor a restart causes a second one.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from app.models import Notice, NoticeKind, TrunkTrouble
from app.rules.ground.trunks import enabled
from app.rules.outbox.writing import write_notices
from app.rules.sending.dispatch import lock_limits
from app.rules.sending.trunks.trouble import names_of_troubles
from app.rules.sending.trunks.used import in_use
from tenants.db import only_reading
from tenants.models import User
from tenants.people import is_operator, people_in_use

#: How the occasions of lost registrations begin; behind it the trunk's id, and since when.
_REGISTRATION = "registration "


def watch_trunks(session: Session) -> None:
    """Commits."""
    with only_reading():
        is_anything = names_of_troubles(session) or _told_and_not_over(session)
        session.rollback()
    if not is_anything:
        return
    lock_limits(session)  # of two that look at once one tells
    aside = {_occasion(trouble): (name, trouble) for name, trouble in names_of_troubles(session)}
    told = {key: note for key, note in _told_and_not_over(session).items() if not key.startswith(_REGISTRATION)}
    if len(in_use(session)) > 1:
        for occasion, (name, trouble) in aside.items():
            if occasion not in told:
                note = {"trunk": name, "since": trouble.since.isoformat(), "response": trouble.response}
                _tell_away(session, occasion, note)
    for occasion in told.keys() - aside.keys():
        _tell_back(session, occasion, told[occasion])
    session.commit()


def watch_registrations(
    session: Session, lost: Mapping[str, tuple[datetime, str]], registered: Collection[str]
) -> None:
    """``lost``: since when, and what the provider answered last, by the trunk's name; ``registered``: those that surely
    are. Of the others nobody knows. One that is set aside was told of already. Commits."""
    with only_reading():
        is_anything = lost or _registrations_told(session)
        session.rollback()
    if not is_anything:
        return
    lock_limits(session)  # of two that look at once one tells
    trunks = {trunk.id: trunk.name for trunk in enabled(session) if trunk.registers}
    told = _registrations_told(session)
    aside = {name for name, _ in names_of_troubles(session)}
    for trunk_id, name in trunks.items():
        if name in lost and name not in aside and trunk_id not in told:
            since, answer = lost[name]
            note = {"trunk": name, "since": since.isoformat(), "response": answer, "registers": True}
            _tell_away(session, f"{_REGISTRATION}{trunk_id} {since.timestamp():.6f}", note)
    for trunk_id, (occasion, standing) in told.items():
        registers = trunk_id in trunks
        if not registers or trunks[trunk_id] in registered:
            _tell_back(session, occasion, json.dumps(json.loads(standing or "{}") | {"registers": registers}))
    session.commit()


def _occasion(trouble: TrunkTrouble) -> str:
    return f"{trouble.trunk_id} {trouble.since.timestamp():.6f}"


def _told_and_not_over(session: Session) -> dict[str, str | None]:
    """Occasion → its note."""
    over = aliased(Notice)
    is_over = sa.exists().where(over.kind == NoticeKind.TRUNK_BACK, over.occasion == Notice.occasion)
    told = sa.select(Notice.occasion, Notice.note).where(Notice.kind == NoticeKind.TRUNK_AWAY, ~is_over)
    return {row[0]: row[1] for row in session.execute(told)}


def _registrations_told(session: Session) -> dict[int, tuple[str, str | None]]:
    """Occasion and note of the lost ones, by the trunk's id."""
    return {
        int(key.split()[1]): (key, note)
        for key, note in _told_and_not_over(session).items()
        if key.startswith(_REGISTRATION)
    }


def _tell_away(session: Session, occasion: str, note: Mapping[str, object]) -> None:
    _tell(session, NoticeKind.TRUNK_AWAY, people_in_use(session, is_operator), occasion, json.dumps(note))


def _tell_back(session: Session, occasion: str, note: str | None) -> None:
    """To those who were told."""
    heard = sa.select(Notice.user_id).where(Notice.kind == NoticeKind.TRUNK_AWAY, Notice.occasion == occasion)
    _tell(session, NoticeKind.TRUNK_BACK, people_in_use(session, User.id.in_(heard)), occasion, note)


def _tell(session: Session, kind: NoticeKind, users: Iterable[User], occasion: str, note: str | None) -> None:
    write_notices(session, kind, users, tenant=None, is_personal=True, occasion=occasion, note=note)
