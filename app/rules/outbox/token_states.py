"""Tokens that are kept: used again until shortly before their end, and told of before what gets them ends."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import InvalidToken
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models import BoxSignIn, Mail2FaxBox, Notice, NoticeKind, SmtpSignIn, TokenState
from app.rules.outbox.writing import write_notices
from tenants.db import utc_now
from tenants.models import Role, Tenant, User
from tenants.people import administers, people_in_use

#: A token that ends during a sign-in would be refused.
MARGIN = timedelta(seconds=60)
#: So many days before the end administrators are told.
WARNINGS = (3, 14)

Kept = BoxSignIn | SmtpSignIn


def access_of(state: TokenState, now: datetime) -> str | None:
    """The token that can be used again."""
    if state.access_until is None or state.access_until - MARGIN <= now:
        return None
    return state.access_token


def forget_access(session: Session, kind: type[Kept], row_id: int) -> None:
    """A mail server does not take it: the next sign-in gets another one. Commits."""
    session.execute(sa.update(kind).where(kind.id == row_id).values(access_token=None, access_until=None))
    session.commit()


def note_given(
    session: Session,
    kind: type[Kept],
    row_id: int,
    *,
    access_token: str,
    seconds: int,
    refresh_token: str,
    refresh_seconds: int | None,
    asked_of: datetime | None = None,
) -> None:
    """What a token server gave; nothing of it stays where somebody has entered other settings since those of
    ``asked_of`` (``changed_at``). Commits."""
    now = utc_now()
    values: dict[str, object] = {"access_token": access_token, "access_until": now + timedelta(seconds=seconds)}
    values |= {"refused": None, "refused_at": None}
    if refresh_token:
        values |= {"refresh_token": refresh_token}
        values |= {"refresh_until": now + timedelta(seconds=refresh_seconds) if refresh_seconds else None}
    mine = sa.update(kind).where(kind.id == row_id)
    if asked_of:
        mine = mine.where(BoxSignIn.changed_at == asked_of)
    session.execute(mine.values(**values))
    session.commit()


def note_refused(session: Session, kind: type[Kept], row_id: int, code: str) -> None:
    """Commits."""
    first = sa.update(kind).where(kind.id == row_id, kind.refused.is_distinct_from(code))
    session.execute(first.values(refused=code, refused_at=utc_now()))
    session.commit()


def smtp_state(session: Session, place: str) -> SmtpSignIn:
    """The row of these settings; those of earlier ones go, and one that was sealed with a key that is gone, since the
    settings say how to begin anew. Commits."""
    mine, others = sa.select(SmtpSignIn).where(SmtpSignIn.place == place), SmtpSignIn.place != place
    try:
        if found := session.scalar(mine):
            return found
    except InvalidToken:
        others = sa.true()
    try:
        session.execute(sa.delete(SmtpSignIn).where(others), execution_options={"synchronize_session": False})
        session.add(SmtpSignIn(place=place))
        session.commit()
    except IntegrityError:  # another worker was faster
        session.rollback()
    return session.scalars(mine).one()


# ---- Before the end


def ends_at(secret_ends_on: date | None, refresh_until: datetime | None) -> datetime | None:
    """When the first of them ends: the client secret at the end of its day."""
    secret = datetime.combine(secret_ends_on, time(23, 59), UTC) if secret_ends_on else None
    return min((end for end in (secret, refresh_until) if end), default=None)


def write_token_warnings(session: Session, *, smtp_ends_on: date | None, now: datetime) -> int:
    """A mail 14 days and one 3 days before, to the administrators of a box's company and for ``SMTP_URL`` to the
    operators; gives how many. Commits."""
    count = 0
    readable = (BoxSignIn.tenant_id, BoxSignIn.box_id, BoxSignIn.secret_ends_on, BoxSignIn.refresh_until)
    for row in session.execute(sa.select(*readable).join(Mail2FaxBox).order_by(BoxSignIn.id)).all():
        end, tenant = ends_at(row.secret_ends_on, row.refresh_until), session.get_one(Tenant, row.tenant_id)
        people = people_in_use(session, administers(row.tenant_id))
        count += _warn(session, people, end, now, tenant=tenant, box_id=row.box_id)
    until = session.scalar(sa.select(sa.func.min(SmtpSignIn.refresh_until)))
    operators = session.scalars(sa.select(User).where(User.role == Role.OPERATOR, User.disabled_at.is_(None))).all()
    return count + _warn(session, list(operators), ends_at(smtp_ends_on, until), now, tenant=None, box_id=None)


def _warn(
    session: Session,
    people: list[User],
    end: datetime | None,
    now: datetime,
    *,
    tenant: Tenant | None,
    box_id: int | None,
) -> int:
    if end is None or end <= now:
        return 0
    days = next((days for days in WARNINGS if end - now <= timedelta(days=days)), None)
    if days is None:
        return 0
    occasion = f"{box_id or 'smtp'}:{end:%Y-%m-%d}:{days}"
    return sum(_warn_once(session, user, occasion, end, tenant=tenant, box_id=box_id) for user in people)


def _warn_once(
    session: Session, user: User, occasion: str, end: datetime, *, tenant: Tenant | None, box_id: int | None
) -> bool:
    told = sa.select(Notice.id).where(Notice.kind == NoticeKind.TOKEN_ENDS, Notice.recipient == user.email)
    if session.scalar(told.where(Notice.occasion == occasion)) is not None:
        return False
    about: dict[str, Any] = {"occasion": occasion, "box_id": box_id, "note": end.isoformat()}
    try:
        write_notices(session, NoticeKind.TOKEN_ENDS, [user], tenant=tenant, is_personal=True, **about)
        session.commit()
    except IntegrityError:  # another worker was faster
        session.rollback()
        return False
    return True
