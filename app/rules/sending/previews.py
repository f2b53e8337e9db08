"""The preview of a draft: asked for by the form, drawn by a job, taken over by the fax that is made of it.

They wait in lanes and are drawn by turns, as documents are (:mod:`app.rules.ground.fair_turns`), a few of one person at
a time. What takes long gives way to others, and is begun anew in the slow lane, as is what somebody has begun and not
finished.

Who draws it holds a lease; all that is written of it is written by whoever began last (``tries``), so that one who was
believed to be dead writes nothing. A fax waits for pages that are being drawn, and draws those itself that nobody has
begun: drafts keep no fax waiting.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from app.errors import FaxroomError
from app.kinds import OFFICE_KINDS
from app.models import Document, FaxTemplate, Preview, PreviewLane, PreviewState
from app.queues import LOOK_JOBS, enqueue_after_commit
from app.rules.ground.fair_turns import JUST_OVER, Turns, note_turns
from tenants.db import rows_changed
from tenants.models import User
from tenants.scope import get_owned

S = PreviewState
#: Previews of one person that are drawn at a time; the others wait.
MOST_OF_ONE = 2


@dataclass(frozen=True)
class Dots:
    """What the dots of a document depend on beside itself; ``version`` is the program's."""

    resolution: str
    page_size: str
    version: str

    @classmethod
    def of(cls, template: FaxTemplate, version: str) -> "Dots":
        return cls(template.resolution, template.page_size, version)

    def of_preview(self, preview: Preview) -> bool:
        return self == Dots(preview.resolution, preview.page_size, preview.version)


def ask_preview(session: Session, document: Document, dots: Dots) -> Preview:
    """The preview of a draft, begun if there is none. Commits."""
    found = find_preview(session, document.id, dots)
    if found:
        return found
    values = {"resolution": dots.resolution, "page_size": dots.page_size, "version": dots.version}
    preview = Preview(tenant_id=document.tenant_id, source_id=document.id, **values)
    document_id, lane = document.id, _first_lane(document.type)
    session.add(preview)
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        return find_preview(session, document_id, dots) or ask_preview(
            session, session.get_one(Document, document_id), dots
        )
    enqueue_after_commit(session, LOOK_JOBS[lane])
    session.commit()
    return preview


def find_preview(session: Session, source_id: str | None, dots: Dots) -> Preview | None:
    of_source = sa.select(Preview).where(Preview.source_id == source_id, Preview.version == dots.version)
    same = of_source.where(Preview.resolution == dots.resolution, Preview.page_size == dots.page_size)
    return session.scalar(same.execution_options(populate_existing=True))


def get_preview(session: Session, preview_id: str, user: User) -> Preview | None:
    """One of a document that this very user uploaded; a colleague's and a foreign one are like missing ones."""
    if not user.tenant_id or not preview_id.isascii() or not preview_id.isalnum():
        return None
    preview = get_owned(session, Preview, preview_id, user.tenant_id)
    return preview if preview and preview.source.user_id == user.id else None


def _first_lane(document_type: str) -> PreviewLane:
    return PreviewLane.OFFICES if document_type in OFFICE_KINDS else PreviewLane.DOCUMENTS


# ---- Drawing


def _waits(lane: PreviewLane) -> sa.ColumnElement[bool]:
    """Of a preview and its document: it is to be drawn ``now``, a parameter, and its owner's turn may come."""
    needs_office = Document.type.in_(OFFICE_KINDS)
    kinds = {PreviewLane.DOCUMENTS: ~needs_office, PreviewLane.OFFICES: needs_office, PreviewLane.SLOW: sa.true()}
    is_begun = Preview.tries > 0
    is_in_lane = sa.and_(kinds[lane], is_begun if lane == PreviewLane.SLOW else ~is_begun)
    return sa.and_(Preview.source_id == Document.id, is_in_lane, _is_free(_NOW), _under_way() < MOST_OF_ONE)


_NOW: sa.BindParameter[datetime] = sa.bindparam("now")
#: Made once: an alias takes longer than the question.
_DRAWN, _GIVEN = aliased(Preview, name="drawn"), aliased(Document, name="given")


def _under_way() -> sa.ScalarSelect[int]:
    """How many previews of the owner of the document are being drawn."""
    alive = (_DRAWN.state == S.DRAWING, _DRAWN.lease_until >= _NOW, _DRAWN.tenant_id == Preview.tenant_id)
    same = (_GIVEN.id == _DRAWN.source_id, _GIVEN.user_id == Document.user_id)
    count = sa.select(sa.func.count()).where(*alive, *same)
    return count.correlate(Preview, Document).scalar_subquery()


@cache
def _turns(lane: PreviewLane) -> Turns:
    return Turns(lane, Preview.id, tenant=Preview.tenant_id, user=Document.user_id, waiting=_waits(lane))


def preview_waits(session: Session, lane: PreviewLane, now: datetime) -> bool:
    return _turns(lane).anybody(session, now=now)


def another_preview_waits(
    session: Session, preview: Preview, lane: PreviewLane, *, now: datetime, since: datetime
) -> bool:
    """Whether another person has waited in this lane since then."""
    is_anothers = Document.user_id != preview.source.user_id
    return _turns(lane).anybody(session, is_anothers, Preview.created_at < since, now=now)


def claim_next_preview(
    session: Session, lane: PreviewLane, *, now: datetime, lease: timedelta
) -> tuple[Preview, list[str]] | None:
    """The one whose turn it is, as :func:`claim_preview` gives it; None where nothing waits."""
    while turn := _turns(lane).next(session, now=now):
        with suppress(LookupError):
            return claim_preview(session, turn.id, now=now, lease=lease)
    session.rollback()
    return None


def claim_preview(session: Session, preview_id: str, *, now: datetime, lease: timedelta) -> tuple[Preview, list[str]]:
    """Begin to draw one that waits or was left behind, and forget what others have drawn of it; with the keys in the
    storage of that. Commits, and wakes somebody for the next one. The row is outside the session.

    Raises:
        LookupError: it is gone, done or another's.
    """
    preview = session.get(Preview, preview_id, populate_existing=True)
    if preview is None:
        raise LookupError(preview_id)
    tries, old, source = preview.tries, part_ids(preview), preview.source
    lane = PreviewLane.SLOW if tries else _first_lane(source.type)
    mine = sa.update(Preview).where(Preview.id == preview_id, Preview.tries == tries, _is_free(now))
    begun = {"state": S.DRAWING, "tries": tries + 1, "lease_until": now + lease, "parts": [], "pages": 0}
    if rows_changed(session, mine.values(**begun), execution_options={"synchronize_session": False}) != 1:
        session.rollback()
        raise LookupError(preview_id)
    keys = remove_documents(session, old)
    note_turns(session, lane, {source.user_id: source.tenant_id} if source.user_id else {}, now)
    if preview_waits(session, lane, now):
        enqueue_after_commit(session, LOOK_JOBS[lane])
    session.commit()
    preview = session.get_one(Preview, preview_id, populate_existing=True)
    session.refresh(preview, ["source", "tenant"])
    session.expunge_all()
    session.commit()
    return preview, keys


def _is_free(now: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
    over = sa.or_(Preview.lease_until.is_(None), Preview.lease_until < now)
    return sa.and_(Preview.state.in_((S.WAITING, S.DRAWING)), over)


def give_way(session: Session, preview: Preview, now: datetime) -> bool:
    """Somebody else draws it anew, in the slow lane; what was drawn can be seen until then. The caller commits."""
    enqueue_after_commit(session, LOOK_JOBS[PreviewLane.SLOW])
    return write(session, preview, state=S.WAITING, lease_until=now - JUST_OVER)


def write(session: Session, preview: Preview, **values: Any) -> bool:
    """Of the one who draws it; False if it is gone or another draws it by now. The caller commits."""
    mine = sa.update(Preview).where(Preview.id == preview.id, Preview.tries == preview.tries)
    mine = mine.where(Preview.state == S.DRAWING).values(**values)
    return rows_changed(session, mine, execution_options={"synchronize_session": False}) == 1


def part_ids(preview: Preview) -> list[str]:
    return [document_id for _first, _pages, document_id in preview.parts]


def remove_documents(session: Session, ids: Collection[str]) -> list[str]:
    """Remove rows that only a preview has known; gives the keys in the storage, to delete when the caller has
    committed. What a kill leaves there in between goes as a file without a row."""
    rows = session.scalars(sa.select(Document).where(Document.id.in_(ids))).all() if ids else []
    keys = [row.storage_key for row in rows]
    session.execute(sa.delete(Document).where(Document.id.in_(ids)), execution_options={"synchronize_session": False})
    return keys


# ---- Where it ends


def take_preview(session: Session, preview: Preview, state: PreviewState) -> bool:
    """Remove the row in this state, as the one who uses what it led to; False if somebody was faster. The caller
    commits."""
    mine = sa.delete(Preview).where(Preview.id == preview.id, Preview.state == state, Preview.tries == preview.tries)
    return rows_changed(session, mine, execution_options={"synchronize_session": False}) == 1


def discard_previews(session: Session, which: sa.ColumnElement[bool], limit: int = 500) -> list[str]:
    """Remove them with all that was drawn; gives the keys in the storage, to delete when the caller has committed. Whom
    this takes the pages from that they wait for, draws them again."""
    keys: list[str] = []
    for preview in session.scalars(sa.select(Preview).where(which).limit(limit)).all():
        if not take_preview(session, preview, PreviewState(preview.state)):
            continue
        ids = [*part_ids(preview), *filter(None, (preview.pdf_id, preview.tiff_id))]
        keys += remove_documents(session, ids)
        session.expunge(preview)
    return keys


def is_alive(preview: Preview, now: datetime) -> bool:
    """Somebody draws it at this moment."""
    return preview.state == S.DRAWING and preview.lease_until is not None and preview.lease_until >= now


def failure_of(preview: Preview) -> tuple[str, dict[str, Any]]:
    return preview.cause or "damaged", preview.cause_values or {}


def told(failure: FaxroomError) -> dict[str, Any]:
    return {"cause": failure.code, "cause_values": failure.values or None}
