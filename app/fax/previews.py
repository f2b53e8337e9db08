"""The preview of a draft: asked for by the form, drawn by a job, taken over by the fax that is made of it.

Who draws it holds a lease; all that is written of it is written by whoever began last (``tries``), so that one who was
believed to be dead writes nothing. A fax waits for pages that are being drawn, and draws those itself that nobody has
begun: drafts keep no fax waiting.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import FaxroomError
from app.kinds import OFFICE_KINDS
from app.models import Document, FaxTemplate, Preview, PreviewState
from app.queues import enqueue_after_commit, preview_job
from tenants.models import User
from tenants.scope import get_owned

S = PreviewState


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
    document_id = document.id
    session.add(preview)
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        return find_preview(session, document_id, dots) or ask_preview(
            session, session.get_one(Document, document_id), dots
        )
    enqueue_after_commit(session, preview_job(document.type), preview.id)
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


# ---- Drawing


def claim_preview(session: Session, preview_id: str, *, now: datetime, lease: timedelta) -> tuple[Preview, list[str]]:
    """Begin to draw one that waits or was left behind, and forget what others have drawn of it; with the keys in the
    storage of that. Commits. The row is outside the session.

    Raises:
        LookupError: it is gone, done or another's.
    """
    preview = session.get(Preview, preview_id, populate_existing=True)
    if preview is None:
        raise LookupError(preview_id)
    tries, old = preview.tries, part_ids(preview)
    mine = sa.update(Preview).where(Preview.id == preview_id, Preview.tries == tries, _is_free(now))
    begun = {"state": S.DRAWING, "tries": tries + 1, "lease_until": now + lease, "parts": [], "pages": 0}
    if session.execute(mine.values(**begun), execution_options={"synchronize_session": False}).rowcount != 1:
        session.rollback()
        raise LookupError(preview_id)
    keys = remove_documents(session, old)
    session.commit()
    preview = session.get_one(Preview, preview_id, populate_existing=True)
    session.refresh(preview, ["source", "tenant"])
    session.expunge_all()
    session.commit()
    return preview, keys


def _is_free(now: datetime) -> sa.ColumnElement[bool]:
    over = sa.or_(Preview.lease_until.is_(None), Preview.lease_until < now)
    return sa.and_(Preview.state.in_((S.WAITING, S.DRAWING)), over)


def stale_previews(now: datetime, before: datetime, *, needs_office: bool) -> sa.Select[tuple[str]]:
    """Those that should be under way, entered before then, for the clock."""
    kind = Document.type.in_(OFFICE_KINDS) if needs_office else Document.type.not_in(OFFICE_KINDS)
    stale = sa.select(Preview.id).join(Document, Document.id == Preview.source_id)
    stale = stale.where(_is_free(now), Preview.created_at < before, kind)
    return stale.order_by(Preview.id).limit(500)


def write(session: Session, preview: Preview, **values: Any) -> bool:
    """Of the one who draws it; False if it is gone or another draws it by now. The caller commits."""
    mine = sa.update(Preview).where(Preview.id == preview.id, Preview.tries == preview.tries)
    mine = mine.where(Preview.state == S.DRAWING).values(**values)
    return session.execute(mine, execution_options={"synchronize_session": False}).rowcount == 1


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
    return session.execute(mine, execution_options={"synchronize_session": False}).rowcount == 1


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
