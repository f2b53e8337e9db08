"""Removes what nobody needs any more: drafts that were never sent, what numbers have shown too long ago, sessions that
ended long ago, files whose time is up, files that no row names, files for programs that a kill left behind."""

from datetime import timedelta

import sqlalchemy as sa

from app.jobs.running import long_job
from app.jobs.upkeep.accounts import tidy_accounts
from app.jobs.upkeep.leftovers import remove_leftovers
from app.jobs.upkeep.orphans import remove_orphans
from app.jobs.upkeep.retention import remove_expired
from app.models import Document, DocumentKind, Fax, Preview
from app.rules.sending.destinations import forget_old
from app.services.documents.documents import storage
from app.services.documents.previews import throw_away
from tenants.db import db, utc_now

DRAFT_AGE = timedelta(days=1)


@long_job
def sweep() -> None:
    """Delete drafts after a day: first the row, then the file, so that no row ever lacks its file."""
    session = db.session
    _remove_previews()
    used = sa.exists().where(Fax.source_id == Document.id)
    old = sa.select(Document).where(Document.kind == DocumentKind.SOURCE, Document.created_at < utc_now() - DRAFT_AGE)
    old = old.where(~sa.exists().where(Preview.source_id == Document.id))
    drafts = session.scalars(old.where(~used, Document.removed_at.is_(None)).limit(500)).all()
    keys = [draft.storage_key for draft in drafts]
    for draft in drafts:
        session.delete(draft)
    session.commit()
    for key in keys:
        storage().delete(key)
    forget_old(session, utc_now())
    session.commit()
    tidy_accounts()
    remove_expired()
    remove_orphans()
    remove_leftovers()


def _remove_previews() -> None:
    """With their drafts, and with documents whose time is up."""
    removed = sa.select(Document.id).where(Document.removed_at.is_not(None))
    over = sa.or_(Preview.created_at < utc_now() - DRAFT_AGE, Preview.source_id.in_(removed))
    throw_away(db.session, over)
