"""Mails about what happens to an account that its owner may not have done: so that they hear of it at once."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import NoticeKind
from app.rules.people.accounts import write_account_notice
from tenants.db import utc_now
from tenants.models import SignInSession, User


def tell_change(session: Session, user: User, change: str, *, recipient: str | None = None, **more: Any) -> None:
    """``change`` is a key of :data:`app.jobs.outbox.account_mails.CHANGES`; ``recipient`` is an address that was
    theirs."""
    note = json.dumps({"change": change, "at": utc_now().isoformat(), **more})
    write_account_notice(session, user, NoticeKind.ACCOUNT_CHANGED, note=note, recipient=recipient)


def tell_sign_in(session: Session, user: User, *, browser: str, address: str | None) -> None:
    note = json.dumps({"browser": browser, "address": address, "at": utc_now().isoformat()})
    write_account_notice(session, user, NoticeKind.SIGNED_IN, note=note)


def is_new_place(
    session: Session, user: User, *, is_known_browser: bool, address: str | None, user_agent: str | None
) -> bool:
    """Whether a sign-in comes from a browser or an address that the account has not had in the last 90 days. The first
    sign-in of all is no news to whoever does it. Asked before its own session is entered."""
    mine = sa.select(SignInSession.id).where(SignInSession.user_id == user.id)
    if session.scalar(mine.limit(1)) is None:
        return False
    mine = mine.where(SignInSession.remote_address == address)
    if not is_known_browser:
        mine = mine.where(SignInSession.user_agent == (user_agent or "")[:255])
    return session.scalar(mine.limit(1)) is None
