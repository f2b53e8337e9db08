"""Signed-in browsers: opened at sign-in with a fresh token, ended at sign-out, both on the server."""

import hashlib
import secrets
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants.db import rows_changed, utc_now
from tenants.models import SignInSession, User

#: A browser that nobody used for so long is signed out, and one that has been signed in for so long in any case.
IDLE = timedelta(days=30)
AGE = timedelta(days=90)
#: How exactly it is known when a browser was last seen: not every request writes.
SEEN_EVERY = timedelta(minutes=5)


def token_digest(token: str) -> str:
    """Of a random token, which needs no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def open_session(session: Session, user: User, *, remote_address: str | None, user_agent: str | None) -> str:
    """Note that ``user`` signed in and return the token for the cookie. It is stored nowhere else."""
    token = secrets.token_urlsafe(32)
    row = SignInSession(token_digest=token_digest(token), user_id=user.id, remote_address=remote_address)
    row.user_agent = (user_agent or "")[:255]
    session.add(row)
    return token


def _open() -> sa.Select[SignInSession]:
    now = utc_now()
    return sa.select(SignInSession).where(
        SignInSession.ended_at.is_(None),
        SignInSession.last_seen_at > now - IDLE,
        SignInSession.created_at > now - AGE,
    )


def session_of(session: Session, token: str) -> SignInSession | None:
    """The open session of this token, unless its user's account is disabled."""
    row = session.scalar(_open().where(SignInSession.token_digest == token_digest(token)))
    return row if row and row.user.is_active else None


def user_of(session: Session, token: str) -> User | None:
    """The user of a session that has not ended and whose account is not disabled."""
    row = session_of(session, token)
    return row.user if row else None


def sessions_of(session: Session, user: User) -> list[SignInSession]:
    """The browsers in which the user is signed in, the one that was used last first."""
    mine = _open().where(SignInSession.user_id == user.id)
    return list(session.scalars(mine.order_by(SignInSession.last_seen_at.desc(), SignInSession.id.desc())))


def is_seen_anew(row: SignInSession) -> bool:
    """True if it is time to note that the browser is in use."""
    return row.last_seen_at < utc_now() - SEEN_EVERY


def note_seen(connection: sa.Connection, session_id: int) -> None:
    """Apart from whatever the request does; of several requests at once one writes."""
    stale = SignInSession.last_seen_at < utc_now() - SEEN_EVERY
    row = sa.update(SignInSession).where(SignInSession.id == session_id, stale)
    connection.execute(row.values(last_seen_at=utc_now()))


def end_session(session: Session, token: str) -> None:
    _end(session, SignInSession.token_digest == token_digest(token))


def end_session_of(session: Session, user: User, session_id: int) -> bool:
    """End one of the user's own; False if they have none of this id that is open."""
    return _end(session, SignInSession.id == session_id, SignInSession.user_id == user.id) > 0


def end_sessions(session: Session, user: User, *, except_token: str = "") -> int:
    """Sign the user out everywhere, or everywhere else; gives how many browsers that were."""
    others = SignInSession.token_digest != token_digest(except_token)
    return _end(session, SignInSession.user_id == user.id, others)


def _end(session: Session, *which: sa.ColumnElement[bool]) -> int:
    ended = sa.update(SignInSession).where(SignInSession.ended_at.is_(None), *which).values(ended_at=utc_now())
    return rows_changed(session, ended)


def forget_old_sessions(session: Session) -> None:
    """Rows that have said nothing for the longest time that a session may last."""
    old = utc_now() - AGE
    session.execute(sa.delete(SignInSession).where(SignInSession.last_seen_at < old))
