"""Files whose time is up go, in small batches, so that nobody waits for it."""

import logging
import time

import sqlalchemy as sa

from app.errors import TemporaryFailure
from app.models import Retention
from app.rules.archives.retention import note_erased, remove_batch, to_erase
from app.services.documents.documents import storage
from tenants.db import db

log = logging.getLogger(__name__)

#: One run stops after so long; the next one goes on.
SECONDS = 200


def remove_expired(seconds: float = SECONDS) -> None:
    """Of all companies. May be killed at any point and run by two at once."""
    until = time.monotonic() + seconds
    rules = [(rule.tenant_id, rule.kind, rule.days) for rule in db.session.scalars(sa.select(Retention))]
    db.session.rollback()
    for tenant_id, kind, days in rules:
        while time.monotonic() < until and (count := remove_batch(db.session, tenant_id, kind, days)):
            log.info("retention: the %s files of %d faxes of company %s go after %s days", kind, count, tenant_id, days)
            _erase()
    _erase()


def _erase() -> None:
    """What the storage does not delete now is deleted by the next run."""
    waiting = to_erase(db.session)
    db.session.rollback()  # no transaction while the storage works
    erased = []
    try:
        for document_id, key in waiting:
            storage().delete(key)
            erased.append(document_id)
    except (TemporaryFailure, OSError) as failure:
        log.warning("retention: the storage deletes nothing now: %s", failure)
    if erased:
        note_erased(db.session, erased)
