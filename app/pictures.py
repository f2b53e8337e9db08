"""The picture of a fax's first page, as the line carries it. Drawn after the dialing: nobody waits for it."""

import tempfile
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.adapters.rasterizer import page_picture
from app.intake.documents import storage, store_document
from app.models import Document, DocumentKind, Fax

WIDTH = 720  # pixels


def ensure_picture(session: Session, fax: Fax) -> Document | None:
    """The picture of a prepared or received fax; None for one without pages. Commits."""
    if fax.picture is None and fax.tiff is not None:
        fax_id, tenant_id, key = fax.id, fax.tenant_id, fax.tiff.storage_key
        session.rollback()  # drawing takes a while: hold no lock
        with storage().local_copy(key) as tiff, tempfile.NamedTemporaryFile(suffix=".png") as target:
            target.write(page_picture(tiff, 1, WIDTH))
            target.flush()
            picture = store_document(
                session,
                Path(target.name),
                tenant_id=tenant_id,
                kind=DocumentKind.PICTURE,
                file_type="png",
                name=f"{fax_id}.png",
                pages=1,
            )
        keep_if_first(session, fax_id, Fax.picture_id, picture)
        session.refresh(fax)
    return fax.picture


def keep_if_first(session: Session, fax_id: str, column: sa.orm.InstrumentedAttribute, document: Document) -> None:
    """Let ``column`` of the fax refer to ``document`` unless somebody else was faster: theirs stays. Commits."""
    session.flush()
    first = sa.update(Fax).where(Fax.id == fax_id, column.is_(None)).values({column: document.id})
    if session.execute(first).rowcount == 1:
        session.commit()
        return
    key = document.storage_key
    session.rollback()
    storage().delete(key)
