"""Copies go to the archives."""

import logging
from contextlib import closing
from datetime import timedelta

import sqlalchemy as sa

from app.errors import FaxroomError, PermanentFailure
from app.jobs.running import job
from app.models import ArchiveCopy, ArchiveKind
from app.rules.archives.archive import claim_copy, delay_after, due_copies_of, file_of, object_name, spare
from app.services.archives.archiving import open_place, write_copy
from app.services.documents.documents import storage
from app.services.sending.reports import ensure_report
from tenants.db import db, utc_now

log = logging.getLogger(__name__)

#: How long one copy may take before another worker tries: longer than its job may run.
LEASE = timedelta(minutes=11)


@job
def archive_fax(fax_id: str) -> None:
    """Make all copies that a fax is owed now, place after place."""
    due = due_copies_of(db.session, fax_id, utc_now())
    db.session.rollback()
    for copy_id in due:
        _archive(copy_id)


@job
def archive(copy_id: int) -> None:
    """Make one copy; returns quietly if it is made already or another worker makes it."""
    _archive(copy_id)


def _archive(copy_id: int) -> None:
    session = db.session
    if not claim_copy(session, copy_id, lease=LEASE):
        return
    copy = session.get_one(ArchiveCopy, copy_id)
    tries = copy.tries
    if tries == 1 and spare(session, copy):
        return
    try:
        name = _copy(copy)
    except FaxroomError as failure:
        log.warning("copy %s waits: %s", copy_id, failure)
        _note(copy_id, due_at=utc_now() + delay_after(tries), error=failure.code)
    else:
        _note(copy_id, done_at=utc_now(), error=None, object_name=name)


def _copy(copy: ArchiveCopy) -> str | None:
    """The name of the copy; None where there is nothing to copy any more."""
    session, fax, place = db.session, copy.fax, copy.place
    if copy.kind == ArchiveKind.REPORTS:
        ensure_report(session, fax)
    document = file_of(fax, copy.kind)
    if document is None:
        return None
    target, encrypted = open_place(fax.tenant, place), place.encrypted
    name, key, size = object_name(fax, copy.kind, document), document.storage_key, document.size
    session.rollback()  # no transaction while bytes travel
    try:
        source = storage().open(key)
    except PermanentFailure as failure:
        raise PermanentFailure("archive_no_original", key=key) from failure
    with closing(source):
        return write_copy(target, name, source, size, encrypted=encrypted)


def _note(copy_id: int, **values: object) -> None:
    db.session.rollback()
    db.session.execute(sa.update(ArchiveCopy).where(ArchiveCopy.id == copy_id).values(**values))
    db.session.commit()
