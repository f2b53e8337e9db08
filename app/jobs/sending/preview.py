"""Pages of a draft, drawn while its sender fills the form, and shown as they are ready."""

import itertools
import logging
import tempfile
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from app.adapters.confined.yielding import GaveWay, sliced
from app.adapters.documents.preparation import Offices
from app.adapters.fax_files.fax_tiff import read_pages, write_pages
from app.adapters.pages.program_version import preparation_version
from app.errors import PermanentFailure, Refused, TemporaryFailure
from app.jobs.running import job
from app.jobs.sending.prepare import (
    LEASE,
    MORE_EACH_TIME,
    SHORTEST_WAIT,
    SLICE_SECONDS,
    asked_in_between,
    drawn,
    lease_renewed,
    offices_of,
    store_drawn,
)
from app.kinds import OFFICE_KINDS
from app.models import Document, DocumentKind, Lane, Preview, PreviewLane, PreviewState
from app.queues import LOOK_JOBS, begin_once
from app.rules.sending.preparing import somebody_waits, wake_waiting
from app.rules.sending.previews import (
    another_preview_waits,
    claim_next_preview,
    give_way,
    part_ids,
    remove_documents,
    told,
    write,
)
from app.services.documents.documents import storage, store_document
from app.services.documents.previews import throw_away
from tenants.db import db, utc_now

log = logging.getLogger(__name__)

#: The first page is shown at once, more of them as often as this.
SHOW_SECONDS = 1.0
#: Before the next try of what could not be drawn for another's fault.
PAUSE = timedelta(seconds=10)


class Gone(Exception):
    """Nobody wants these pages any more, or another worker draws them."""


@job
def preview() -> None:
    """The pages of the next PDF that is looked at."""
    _draw_next(PreviewLane.DOCUMENTS)


@job
def preview_convert() -> None:
    """Of the next document that needs an office."""
    _draw_next(PreviewLane.OFFICES)


@job
def preview_slowly() -> None:
    """Of the next one that gave way to others, or that somebody has begun and not finished."""
    _draw_next(PreviewLane.SLOW)


def _draw_next(lane: PreviewLane) -> None:
    """Draw the pages of the draft whose turn it is. Returns quietly when none waits."""
    begin_once(LOOK_JOBS[lane])
    found = claim_next_preview(db.session, lane, now=utc_now(), lease=LEASE)
    if found is None:
        return
    row, left = found
    _delete(left)
    if row.version != preparation_version():  # asked for by a program that was replaced meanwhile
        throw_away(db.session, Preview.id == row.id)
        return
    mine = (Preview.id == row.id, Preview.tries == row.tries, Preview.state == PreviewState.DRAWING)
    with lease_renewed(Preview, *mine), tempfile.TemporaryDirectory(prefix="faxroom-preview-") as folder:
        try:
            with sliced(SLICE_SECONDS * MORE_EACH_TIME ** (row.tries - 1), partial(_is_wanted, row, lane)):
                _draw(row, Path(folder), lane)
        except GaveWay:
            log.info("preview %s takes long and gives way", row.id)
            _give_way(row)
        except Gone:
            log.info("preview %s is not wanted any more", row.id)
        except TemporaryFailure as failure:
            log.warning("preview %s waits: %s", row.id, failure)
            again = {"state": PreviewState.WAITING, "lease_until": utc_now() + PAUSE, "cause": failure.code}
            _conclude(row, [], **again)
        except (PermanentFailure, Refused) as failure:
            _conclude(row, [], state=PreviewState.FAILED, lease_until=None, **told(failure))


def _is_wanted(row: Preview, lane: PreviewLane) -> bool:
    """Somebody else has waited for this place, or a fax for this office."""

    def question(now: datetime) -> bool:
        if row.source.type in OFFICE_KINDS and somebody_waits(db.session, Lane.OFFICES, now):
            return True
        return another_preview_waits(db.session, row, lane, now=now, since=now - SHORTEST_WAIT)

    return asked_in_between(question)


def _give_way(row: Preview) -> None:
    session, now = db.session, utc_now()
    session.rollback()
    if give_way(session, row, now):
        wake_waiting(session, row.source_id, now, is_over=False)
    session.commit()


def _draw(row: Preview, folder: Path, lane: PreviewLane) -> None:
    shown = _Shown(row, folder)
    on_page = None if row.source.pages == 1 else shown.note
    offices = Offices(offices_of(is_slow=lane == PreviewLane.SLOW), row.tenant.written_as)
    paper = {"resolution": row.resolution, "page_size": row.page_size}
    made = drawn(row.source, folder, offices, on_page=on_page, **paper)
    facts, (pdf, tiff) = made.facts, store_drawn(row.source, made)
    _conclude(
        row,
        [document for document in (pdf, tiff) if document],
        state=PreviewState.DONE,
        lease_until=None,
        cause=None,
        pages=facts.pages,
        page_bytes=list(facts.page_bytes),
        notes=list(facts.notes),
        line_seconds=round(facts.seconds),
        pdf_id=pdf.id if pdf else None,
        tiff_id=tiff.id,
    )


class _Shown:
    """The pages that can be seen while the others are drawn."""

    def __init__(self, row: Preview, folder: Path) -> None:
        self.row, self.folder, self.pages, self.at = row, folder, 0, 0.0

    def note(self, number: int) -> None:
        """That a page is in the file of those who draw. Raises :class:`Gone`."""
        if self.pages and time.monotonic() - self.at < SHOW_SECONDS:
            return
        path, first = self.folder / "part.tif", self.pages + 1
        pages = list(itertools.islice(read_pages(self.folder / "pages.tif"), self.pages, number))
        write_pages(path, pages, total=len(pages))
        part = store_document(
            db.session,
            path,
            tenant_id=self.row.tenant_id,
            kind=DocumentKind.TIFF,
            file_type="tif",
            name=path.name,
            pages=len(pages),
        )
        db.session.flush()
        self.row.parts = [*self.row.parts, [first, len(pages), part.id]]
        if not write(db.session, self.row, parts=self.row.parts, pages=number):
            _forget([part])
            raise Gone
        db.session.commit()
        self.pages, self.at = number, time.monotonic()


def _conclude(row: Preview, stored: list[Document], **values: object) -> None:
    """What became of it and its whole files, in one commit; the parts go. Nothing of it if nobody wants it any more."""
    session = db.session
    session.flush()
    if not write(session, row, parts=[], **values):
        _forget(stored)
        return
    keys = remove_documents(session, part_ids(row))
    wake_waiting(session, row.source_id, utc_now(), is_over=values["state"] != PreviewState.WAITING)
    session.commit()
    _delete(keys)


def _forget(documents: list[Document]) -> None:
    keys = [document.storage_key for document in documents]
    db.session.rollback()
    _delete(keys)


def _delete(keys: list[str]) -> None:
    db.session.commit()
    for key in keys:
        storage().delete(key)
