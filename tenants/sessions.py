"""Signed-in browsers: opened at sign-in with a fresh token, ended at sign-out, both on the server."""

import hashlib
import secrets

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants.db import utc_now
from tenants.models import SignInSession, User


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def open_session(session: Session, user: User, *, remote_address: str | None, user_agent: str | None) -> str:
    """Note that ``user`` signed in and return the token for the cookie. It is stored nowhere else."""
    token = secrets.token_urlsafe(32)
    row = SignInSession(token_digest=_digest(token), user_id=user.id, remote_address=remote_address)
    row.user_agent = (user_agent or "")[:255]
    session.add(row)
    return token


def user_of(session: Session, token: str) -> User | None:
    """The user of a session that has not ended and whose account is not disabled."""
    query = sa.select(SignInSession).where(SignInSession.token_digest == _digest(token))
    row = session.scalar(query.where(SignInSession.ended_at.is_(None)))
    return row.user if row and row.user.is_active else None


def end_session(session: Session, token: str) -> None:
    query = sa.update(SignInSession).where(SignInSession.token_digest == _digest(token))
    session.execute(query.where(SignInSession.ended_at.is_(None)).values(ended_at=utc_now()))
