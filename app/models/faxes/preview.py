"""The pages of a draft, prepared while the send form is filled: what is looked at, and what goes out."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.faxes.fax import Document
from tenants.db import Model, TenantOwned, Ulid, utc_now
from tenants.models import Tenant


class PreviewState(StrEnum):
    WAITING = "waiting"
    DRAWING = "drawing"
    DONE = "done"
    FAILED = "failed"


class PreviewLane(StrEnum):
    """Where a preview waits to be drawn, as documents do (:class:`app.models.faxes.fax.Lane`)."""

    DOCUMENTS = "looks"
    OFFICES = "office_looks"
    SLOW = "slow_looks"  # somebody has begun it, and gave way, died or found no office


class Preview(TenantOwned, Model):
    """One for each document and what else its dots depend on: ``resolution`` and ``page_size`` of the line's template,
    and ``version`` of the program.

    The fax that is made of it takes over its files and its row goes (:mod:`app.rules.sending.previews`); else it goes
    with its draft. ``tries`` counts who has begun to draw it: what an earlier one has drawn is not shown any more.
    ``lease_until`` is until when the present one is believed to be alive, or, of one that waits, before when it is not
    worth another try. ``pages`` can be seen so far; until it is done they lie in ``parts``: first page, number of
    pages and id of a document each. ``page_bytes`` is the image data of each page, ``notes`` as in
    :mod:`app.rules.words.page_warnings`.
    """

    __tablename__ = "preview"
    __table_args__ = (sa.UniqueConstraint("source_id", "resolution", "page_size", "version"),)

    id: Mapped[Ulid]
    source_id: Mapped[str] = mapped_column(sa.ForeignKey("document.id"))
    resolution: Mapped[str] = mapped_column(sa.String(8))
    page_size: Mapped[str] = mapped_column(sa.String(8))
    version: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(8), default=PreviewState.WAITING)
    tries: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    pages: Mapped[int] = mapped_column(default=0)
    parts: Mapped[list[Any]] = mapped_column(sa.JSON, default=list)
    page_bytes: Mapped[list[Any]] = mapped_column(sa.JSON, default=list)
    notes: Mapped[list[Any]] = mapped_column(sa.JSON, default=list)
    line_seconds: Mapped[int | None]
    pdf_id: Mapped[str | None] = mapped_column(sa.ForeignKey("document.id"))
    tiff_id: Mapped[str | None] = mapped_column(sa.ForeignKey("document.id"))
    cause: Mapped[str | None] = mapped_column(sa.String(32))
    cause_values: Mapped[dict[str, Any] | None]

    source: Mapped[Document] = relationship(foreign_keys=source_id)
    pdf: Mapped[Document | None] = relationship(foreign_keys=pdf_id)
    tiff: Mapped[Document | None] = relationship(foreign_keys=tiff_id)
    tenant: Mapped[Tenant] = relationship()
