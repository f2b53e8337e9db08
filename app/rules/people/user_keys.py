"""A key that somebody gives for a user, after gpg has read it."""

from typing import Any

from sqlalchemy.orm import Session

from app.errors import Refused
from tenants.models import PgpPublicKey, User
from tenants.pgp_keys import MOST_KEYS, KeyRefused, put_key


def enter_key(session: Session, user: User, facts: dict[str, Any]) -> PgpPublicKey:
    """``facts`` are the fields of :class:`app.adapters.mail.pgp.PublicKey`. Raises Refused."""
    try:
        return put_key(session, user, **facts)
    except KeyRefused as refusal:
        raise Refused(f"key_{refusal.reason}", field="key", limit=MOST_KEYS) from refusal
