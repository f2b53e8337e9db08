"""The public keys that vouch for a user's mails."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants.db import utc_now
from tenants.models import PgpPublicKey, User
from tenants.scope import owned_by

#: Somebody changes keys now and then, and has one for each machine at most.
MOST_KEYS = 10


class KeyRefused(Exception):
    """``reason`` is other_user or too_many."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def put_key(session: Session, user: User, *, fingerprint: str, **facts: Any) -> PgpPublicKey:
    """Enter the key, or bring the one that is there to what gpg found (a later expiry, a revocation).

    Raises:
        KeyRefused: it is a colleague's: a signature must name one person; or there are too many.
    """
    holders = owned_by(PgpPublicKey, user.company_id).where(PgpPublicKey.fingerprint == fingerprint)
    present = session.scalars(holders).all()
    if any(key.user_id != user.id for key in present):
        raise KeyRefused("other_user")
    if not present and len(user.pgp_keys) >= MOST_KEYS:
        raise KeyRefused("too_many")
    key = present[0] if present else PgpPublicKey(tenant_id=user.tenant_id, user=user)
    session.add(key)
    note_key(key, fingerprint=fingerprint, **facts)
    session.flush()
    return key


def note_key(
    key: PgpPublicKey,
    *,
    armored: str,
    fingerprint: str,
    user_ids: tuple[str, ...],
    algorithm: str,
    validity: str,
    expires_at: datetime | None,
) -> None:
    key.armored, key.fingerprint, key.user_ids = armored, fingerprint, list(user_ids)
    key.algorithm, key.validity, key.expires_at = algorithm[:32], validity, expires_at


def get_key(session: Session, user: User, key_id: int) -> PgpPublicKey | None:
    mine = owned_by(PgpPublicKey, user.company_id).where(PgpPublicKey.user_id == user.id)
    return session.scalar(mine.where(PgpPublicKey.id == key_id))


def validity_now(key: PgpPublicKey) -> str | None:
    """valid, expired, revoked or unusable; None as long as gpg was not asked."""
    if key.validity == "valid" and key.expires_at and key.expires_at <= utc_now():
        return "expired"
    return key.validity


def keys_of(session: Session, user: User) -> list[PgpPublicKey]:
    mine = sa.select(PgpPublicKey).where(PgpPublicKey.user_id == user.id)
    return list(session.scalars(mine.order_by(PgpPublicKey.created_at, PgpPublicKey.id)))
