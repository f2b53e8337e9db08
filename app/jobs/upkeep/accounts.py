"""What has to be looked after in accounts: keys that expire, sessions and links that are long over."""

import logging
from dataclasses import asdict

import sqlalchemy as sa

from app.adapters.mail.pgp import read_public_key
from app.application import settings
from app.errors import FaxroomError
from app.models import Notice
from app.rules.outbox.token_states import write_token_warnings
from app.rules.people.accounts import write_key_warnings
from tenants.db import db, utc_now
from tenants.links import LIFETIMES, forget_old_links
from tenants.models import PgpPublicKey
from tenants.pgp_keys import note_key
from tenants.sessions import forget_old_sessions

log = logging.getLogger(__name__)

#: Keys that one run asks gpg about.
MOST_KEYS = 50


def tidy_accounts() -> None:
    session = db.session
    _learn_keys()
    write_key_warnings(session, utc_now())
    session.rollback()
    tokens = settings().smtp_tokens
    write_token_warnings(session, smtp_ends_on=tokens.ends_on if tokens else None, now=utc_now())
    session.rollback()
    forget_old_sessions(session)
    forget_old_links(session)
    _forget_secrets()
    session.commit()


def _forget_secrets() -> None:
    """Of links that nobody could open any more, however the mail fared."""
    old = Notice.created_at < utc_now() - max(LIFETIMES.values())
    db.session.execute(sa.update(Notice).where(Notice.secret.is_not(None), old).values(secret=None))


def _learn_keys() -> None:
    """Keys that came before gpg was asked about each."""
    unknown = sa.select(PgpPublicKey.id).where(PgpPublicKey.fingerprint.is_(None), PgpPublicKey.validity.is_(None))
    for key_id in db.session.scalars(unknown.limit(MOST_KEYS)).all():
        key = db.session.get_one(PgpPublicKey, key_id)
        armored = key.armored
        db.session.rollback()
        try:
            found = read_public_key(armored.encode())
        except FaxroomError as failure:
            log.warning("PGP key %s is of no use: %s", key_id, failure)
            found = None
        key = db.session.get_one(PgpPublicKey, key_id)
        twin = found and db.session.scalar(
            sa.select(PgpPublicKey.id).where(
                PgpPublicKey.user_id == key.user_id, PgpPublicKey.fingerprint == found.fingerprint
            )
        )
        if twin:
            db.session.delete(key)
        elif found:
            note_key(key, **asdict(found))
        else:
            key.validity = "unusable"
        db.session.commit()
