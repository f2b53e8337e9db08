"""Document → PDF → fax TIFF."""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import joinedload

from app.adapters.confined.yielding import GaveWay, sliced
from app.adapters.documents.preparation import Offices, Prepared, prepare_document
from app.adapters.pages.page_notes import Note
from app.adapters.pages.program_version import preparation_version
from app.adapters.pages.rasterizer import Resolution
from app.adapters.pages.sheets import PageSize
from app.application import this_application
from app.errors import FaxroomError, PermanentFailure, Refused, TemporaryFailure
from app.jobs.running import job
from app.models import Document, DocumentKind, Fax, FaxEntity, Lane, Origin, Preview, PreviewState, Status
from app.queues import LANE_JOBS, begin_once, enqueue_after_commit
from app.rules.outbox.notices import write_held_notice, write_outcome_notice
from app.rules.sending.called import wait_behind
from app.rules.sending.destinations import destination_of
from app.rules.sending.lifecycle import move
from app.rules.sending.looking import LONGEST, asks_first
from app.rules.sending.preparing import (
    another_waits,
    claim_next,
    let_wait,
    move_to_slow_lane,
    wake_others,
    wake_waiting,
)
from app.rules.sending.previews import Dots, failure_of, find_preview, is_alive, take_preview
from app.services.documents.documents import storage, store_document
from app.services.documents.previews import throw_away
from tenants.connections import DATABASE_DOWN, only_reading
from tenants.db import db, utc_now

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
#: So long one job begins with another document; whoever draws pages helps out the line after each job.
TOGETHER_SECONDS = 1.0
STANDARD = "standard"
#: Before the next try of what could not be prepared for another's fault.
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=10)
#: What has taken so long gives way to others who have waited so long; the next time it has four times as much.
SLICE_SECONDS, MORE_EACH_TIME, SHORTEST_WAIT = 1.5, 4, timedelta(seconds=0.5)


@job
def prepare() -> None:
    """The next PDFs, for a moment: a job takes as much of the processor as half of a light page."""
    begin_once(LANE_JOBS[Lane.DOCUMENTS])
    until, goes_on = time.monotonic() + TOGETHER_SECONDS, _prepare_next(Lane.DOCUMENTS)
    while goes_on and time.monotonic() < until:
        goes_on = _prepare_next(Lane.DOCUMENTS, wakes=False)  # who was woken by the first looks for more as well


@job
def convert() -> None:
    """The next document that needs an office."""
    begin_once(LANE_JOBS[Lane.OFFICES])
    _prepare_next(Lane.OFFICES)


@job
def prepare_slowly() -> None:
    """The next document that gave way to others."""
    begin_once(LANE_JOBS[Lane.SLOW])
    _prepare_next(Lane.SLOW)


def _prepare_next(lane: Lane, *, wakes: bool = True) -> bool:
    """Bring the accepted fax whose turn it is to *ready* or *scheduled*, or to *failed* with the reason. ``wakes``: and
    have another worker begin with the one after it.

    False when nothing waits: others have taken it.
    """
    fax = _begin(lane, wakes=wakes)
    if fax is None:
        return False
    try:
        _prepare_claimed(fax, lane)
    finally:
        with _left_to_the_next():  # else the clock wakes them
            db.session.rollback()
            wake_others(db.session, lane, utc_now())
    return True


def _prepare_claimed(fax: Fax, lane: Lane) -> None:
    mine = (Fax.id == fax.id, Fax.status == Status.PREPARING)
    with lease_renewed(Fax, *mine), tempfile.TemporaryDirectory(prefix="faxroom-prepare-") as folder:
        try:
            resolution, preview = _known_of(fax)
            if preview and _is_previewed(fax, preview):
                return
            with sliced(SLICE_SECONDS * MORE_EACH_TIME**fax.gave_way, partial(_is_wanted, fax, lane)):
                _prepare(fax, Path(folder), lane, resolution)
        except GaveWay:
            log.info("fax %s takes long and gives way", fax.id)
            move_to_slow_lane(db.session, fax.id, utc_now())
        except TemporaryFailure as failure:
            _note_waiting(fax, failure)
        except (PermanentFailure, Refused) as failure:
            _fail(fax.id, failure)


def _begin(lane: Lane, *, wakes: bool) -> Fax | None:
    """Claim the next fax, accepted or left behind by a worker that died; with all that is needed, outside the
    session."""
    session = db.session
    fax_id = claim_next(session, lane, now=utc_now(), lease=LEASE, wakes=wakes)
    parts = (joinedload(Fax.source), joinedload(Fax.tenant))
    whole = (*parts, joinedload(Fax.entity).joinedload(FaxEntity.template))
    with only_reading():
        fax = session.scalar(sa.select(Fax).where(Fax.id == fax_id).options(*whole)) if fax_id else None
        session.expunge_all()
        session.rollback()
    return fax


def _is_wanted(fax: Fax, lane: Lane) -> bool:
    """Somebody else has waited for this place, and not only since a moment ago: another may be free."""
    return asked_in_between(lambda now: another_waits(db.session, fax, lane, now=now, since=now - SHORTEST_WAIT))


def asked_in_between(question: Callable[[datetime], bool]) -> bool:
    """What the database says while a document is worked on, or a round gathers. One that is away for a moment wants
    nothing."""
    try:
        with only_reading():
            return question(utc_now())
    except DATABASE_DOWN:
        return False
    finally:
        db.session.rollback()


@contextmanager
def lease_renewed(model: type[Fax] | type[Preview], *mine: sa.ColumnElement[bool]) -> Iterator[None]:
    """Keep the lease while this process lives; it ends by itself when the process is killed."""
    app, finished = this_application(), threading.Event()

    def renew() -> None:
        while not finished.wait(LEASE.total_seconds() / 3):
            with app.app_context(), _left_to_the_next():
                db.session.execute(sa.update(model).where(*mine).values(lease_until=utc_now() + LEASE))
                db.session.commit()

    renewal = threading.Thread(target=renew, daemon=True)
    renewal.start()
    try:
        yield
    finally:
        finished.set()
        renewal.join()


@contextmanager
def _left_to_the_next() -> Iterator[None]:
    """A database that is away for a moment ends no renewal: the lease is good for two more."""
    try:
        yield
    except DATABASE_DOWN as error:
        log.warning("a lease is renewed later: %s", error)


# ---- What is known of it before


def _known_of(fax: Fax) -> tuple[str, Preview | None]:
    """Its resolution, which is the template's unless the machine is known to take no more than standard; and pages that
    somebody has looked at, if they have that."""
    session, template = db.session, fax.entity.template
    with only_reading():
        known = destination_of(session, fax.tenant_id, fax.dial_string or "", utc_now())
        resolution = STANDARD if known and known.standard_only else template.resolution
        is_usual = resolution == template.resolution
        preview = find_preview(session, fax.source_id, Dots.of(template, preparation_version())) if is_usual else None
        session.expunge_all()
        session.rollback()  # drawing takes a while: hold no lock
    return resolution, preview


def _is_previewed(fax: Fax, preview: Preview) -> bool:
    """Whether the pages were drawn for a look before, and are what goes out; or are being drawn: then the fax waits for
    them. What nobody has begun to draw is drawn here, and what nobody draws any more."""
    session, now = db.session, utc_now()
    if is_alive(preview, now):
        _let_wait(fax, preview, now)
        return True
    if preview.state == PreviewState.DONE:
        return _take_over(fax, preview)
    if preview.state == PreviewState.FAILED and take_preview(session, preview, PreviewState.FAILED):
        code, values = failure_of(preview)
        session.commit()
        raise PermanentFailure(code, **values)
    throw_away(session, Preview.id == preview.id)
    return False


def _let_wait(fax: Fax, preview: Preview, now: datetime) -> None:
    """The one who draws sends for somebody when the pages are there. They may just have come while this was written."""
    session = db.session
    let_wait(session, fax.id, now)
    there = session.get(Preview, preview.id, populate_existing=True)
    if fax.source_id and (there is None or not is_alive(there, now)):
        wake_waiting(session, fax.source_id, utc_now(), is_over=False)
    session.commit()


def _take_over(fax: Fax, preview: Preview) -> bool:
    """False if another fax has just taken them."""
    session = db.session
    if not take_preview(session, preview, PreviewState.DONE):
        session.rollback()
        return False
    _refuse_unasked(fax, preview.pages)
    pages = Pages(preview.pages, preview.line_seconds or 0, preview.notes, preview.pdf_id, preview.tiff_id)
    _finish(fax, pages, stored=[])
    return True


# ---- Drawing


def _prepare(fax: Fax, folder: Path, lane: Lane, resolution: str) -> None:
    template, offices = fax.entity.template, Offices(offices_of(is_slow=lane == Lane.SLOW), fax.tenant.written_as)
    made = drawn(fax.its_source, folder, offices, resolution=resolution, page_size=template.page_size)
    _refuse_unasked(fax, made.facts.pages)
    pdf, tiff = store_drawn(fax.its_source, made)
    pages = Pages(made.facts.pages, round(made.facts.seconds), list(made.facts.notes), pdf.id if pdf else None, tiff.id)
    _finish(fax, pages, stored=[document for document in (pdf, tiff) if document])


def drawn(
    source: Document,
    folder: Path,
    offices: Offices,
    *,
    resolution: str,
    page_size: str,
    on_page: Callable[[int], None] | None = None,
) -> Prepared:
    """The pages of a document, and the PDF that was made on the way."""
    with storage().local_copy(source.storage_key) as path:
        return prepare_document(
            path,
            source.type,
            folder,
            name=source.name,
            offices=offices,
            on_page=on_page,
            resolution=cast("Resolution", resolution),  # a template has no other
            page_size=cast("PageSize", page_size),
        )


def store_drawn(source: Document, made: Prepared) -> tuple[Document | None, Document]:
    """The rows of what :func:`drawn` has made; the caller commits."""
    name, pdf, pages = Path(source.name).stem, None, made.facts.pages
    if source.type != "pdf":
        pdf = _store(made.pdf, source.tenant_id, DocumentKind.PDF, "pdf", f"{name}.pdf", pages)
        pdf.warnings = made.warnings or None
    tiff = _store(made.tiff, source.tenant_id, DocumentKind.TIFF, "tif", f"{name}.tif", pages)
    db.session.flush()
    return pdf, tiff


def _is_unexpected(fax: Fax, pages: int) -> bool:
    """Whether its sender does not know that it has so many, and has to say that all of them are wanted. To send a fax
    again is to say so."""
    return asks_first(fax.its_source.type, pages) and fax.pages != pages and fax.resend_of_id is None


def _refuse_unasked(fax: Fax, pages: int) -> None:
    """Raises PermanentFailure where nobody is there to be asked: it came by mail or from a program."""
    if fax.origin != Origin.WEB and _is_unexpected(fax, pages):
        raise PermanentFailure("many_sheet_pages", pages=pages)


def offices_of(*, is_slow: bool) -> list[str]:
    """The first one never has what takes long, unless it is the only one."""
    offices = list(current_app.config["SETTINGS"].unoserver_urls)
    return offices[1:] or offices if is_slow else offices


def _store(path: Path, tenant_id: int, kind: DocumentKind, file_type: str, name: str, pages: int) -> Document:
    return store_document(db.session, path, tenant_id=tenant_id, kind=kind, file_type=file_type, name=name, pages=pages)


@dataclass(frozen=True)
class Pages:
    """What goes over the line; ``pdf_id`` is of a document that is not one itself."""

    count: int
    line_seconds: int
    notes: list[Note]
    pdf_id: str | None
    tiff_id: str | None


def _finish(fax: Fax, pages: Pages, *, stored: list[Document]) -> None:
    """Rows of the new documents and the move in one commit; nothing of it if the fax was cancelled meanwhile."""
    session, now, asks = db.session, utc_now(), _is_unexpected(fax, pages.count)
    look_until = now + LONGEST if asks else fax.look_until
    later = fax.send_at is not None and fax.send_at > now
    due_at = fax.send_at if later else now
    done = move(
        session,
        fax.id,
        Status.SCHEDULED if later else Status.READY,
        due_at=None if look_until else due_at,
        look_until=look_until,
        lease_until=None,
        cause=None,
        pages=pages.count,
        line_seconds=pages.line_seconds,
        page_notes=pages.notes,
        pdf_id=pages.pdf_id or fax.source_id,
        tiff_id=pages.tiff_id,
    )
    if not done:
        keys = [document.storage_key for document in stored]
        session.rollback()
        for key in keys:
            storage().delete(key)
        return
    if not later and not look_until:
        wait_behind(session, fax)
    if asks:
        write_held_notice(session, session.get_one(Fax, fax.id, populate_existing=True))
    enqueue_after_commit(session, "dispatch")
    session.commit()
    throw_away(session, Preview.source_id == fax.source_id)  # drawn for lines that were not chosen in the end


def _note_waiting(fax: Fax, failure: TemporaryFailure) -> None:
    """The document stays where it is; the clock tries again when the lease has run out, ever later the longer it has
    waited: one that ends every office may not keep the others from them."""
    log.warning("fax %s waits: %s", fax.id, failure)
    session, now = db.session, utc_now()
    session.rollback()
    waiting = sa.update(Fax).where(Fax.id == fax.id, Fax.status == Status.PREPARING)
    pause = min(max((now - fax.created_at) / 4, SHORTEST_PAUSE), LONGEST_PAUSE)
    session.execute(waiting.values(cause=failure.code, lease_until=now + pause))
    session.commit()


def _fail(fax_id: str, failure: FaxroomError) -> None:
    session = db.session
    session.rollback()
    told = {"cause": failure.code, "cause_values": failure.values or None}
    if move(session, fax_id, Status.FAILED, only_from=(Status.PREPARING,), **told):
        write_outcome_notice(session, session.get_one(Fax, fax_id, populate_existing=True))
    session.commit()
