"""Links that let their holder do one thing once: accept an invitation, choose a new password, prove a new address."""

import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants.db import rows_changed, utc_now
from tenants.models import LinkPurpose, OneTimeLink, User
from tenants.sessions import token_digest

LIFETIMES = {
    LinkPurpose.INVITATION: timedelta(days=7),
    LinkPurpose.PASSWORD_RESET: timedelta(hours=1),
    LinkPurpose.NEW_ADDRESS: timedelta(days=7),
}
#: Whoever has one of these chooses the account's password.
LETTING_IN = (LinkPurpose.INVITATION, LinkPurpose.PASSWORD_RESET)
#: A second mail within so short a time is a double click.
PAUSE = timedelta(minutes=1)


def make_link(
    session: Session, user: User, purpose: LinkPurpose, *, by: User | None = None, submission_key: str | None = None
) -> str:
    """A fresh link to ``user``'s account; gives its token, which is stored nowhere. An invitation ends earlier links,
    one to a new address those to another.

    Raises:
        sqlalchemy.exc.IntegrityError: at the next flush, when the form with this key has made one already.
    """
    if purpose == LinkPurpose.INVITATION:
        end_links(session, user)
    if purpose == LinkPurpose.NEW_ADDRESS:
        end_links(session, user, purpose)
    token = secrets.token_urlsafe(32)
    link = OneTimeLink(token_digest=token_digest(token), purpose=purpose, user_id=user.id)
    link.created_by_id, link.submission_key = by.id if by else None, submission_key
    link.expires_at = utc_now() + LIFETIMES[purpose]
    session.add(link)
    return token


def open_link(session: Session, token: str, purpose: LinkPurpose) -> OneTimeLink | None:
    """The link of this token, if it still leads somewhere: not used, not expired, its account not disabled."""
    mine = sa.select(OneTimeLink).where(OneTimeLink.token_digest == token_digest(token), OneTimeLink.purpose == purpose)
    link = session.scalar(mine.where(OneTimeLink.ended_at.is_(None), OneTimeLink.expires_at > utc_now()))
    return link if link and link.user.is_active else None


def use_link(session: Session, link: OneTimeLink) -> bool:
    """Of two that use it at once, one does. With it every other link that lets into the account ends too."""
    mine = sa.update(OneTimeLink).where(OneTimeLink.id == link.id, OneTimeLink.ended_at.is_(None))
    used = rows_changed(session, mine.values(ended_at=utc_now())) == 1
    if used:
        end_links(session, link.user)
    return used


def end_links(session: Session, user: User, *purposes: LinkPurpose) -> None:
    """What was mailed so far opens nothing any more; without ``purposes`` whatever lets in."""
    mine = sa.update(OneTimeLink).where(OneTimeLink.user_id == user.id, OneTimeLink.ended_at.is_(None))
    session.execute(mine.where(OneTimeLink.purpose.in_(purposes or LETTING_IN)).values(ended_at=utc_now()))


def was_just_made(session: Session, user: User, purpose: LinkPurpose) -> bool:
    recent = sa.select(OneTimeLink.id).where(OneTimeLink.user_id == user.id, OneTimeLink.purpose == purpose)
    recent = recent.where(OneTimeLink.ended_at.is_(None), OneTimeLink.created_at > utc_now() - PAUSE)
    return session.scalar(recent.limit(1)) is not None


def invited_until(session: Session, user: User) -> datetime | None:
    """Until when the invitation may be accepted; None if there is none, or it has expired."""
    mine = sa.select(sa.func.max(OneTimeLink.expires_at)).where(
        OneTimeLink.user_id == user.id,
        OneTimeLink.purpose == LinkPurpose.INVITATION,
        OneTimeLink.ended_at.is_(None),
        OneTimeLink.expires_at > utc_now(),
    )
    return session.scalar(mine)


def made_by_form(session: Session, by: User, submission_key: str) -> OneTimeLink | None:
    """What this very form has made already."""
    mine = sa.select(OneTimeLink).where(OneTimeLink.created_by_id == by.id)
    return session.scalar(mine.where(OneTimeLink.submission_key == submission_key))


def forget_old_links(session: Session) -> None:
    """Long after they could be used: until then a form that comes a second time is known by them."""
    session.execute(sa.delete(OneTimeLink).where(OneTimeLink.expires_at < utc_now() - timedelta(days=30)))
