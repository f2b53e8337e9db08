"""Where copies of faxes go, which of them are still to be made, and how long files are kept."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.faxes.fax import Fax
from app.models.sealed import SealedText
from tenants.db import BigId, Model, TenantOwned, utc_now


class ArchiveKind(StrEnum):
    """What an archive holds and what a retention is about; also the names of an archive's folders."""

    SENT = "sent"
    RECEIVED = "received"
    REPORTS = "reports"


class PlaceKind(StrEnum):
    FOLDER = "folder"
    S3 = "s3"


class ArchivePlace(TenantOwned, Model):
    """A place that every fax's files are copied to, as far as it ``keeps_`` them.

    ``folder`` is below what the operator allows, or the prefix of the objects' names. ``endpoint`` is a URL such as
    ``https://s3.example.com``; without one it is AWS's own for ``region``. ``encrypted``: files are sealed before they
    leave (:mod:`app.adapters.storage.sealed_files`). ``position`` is the order in which copies are made.
    """

    __tablename__ = "archive_place"
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "name"),
        sa.CheckConstraint("kind IN ('folder', 's3')", name="kind"),
    )

    id: Mapped[BigId]
    position: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(sa.String(100))
    kind: Mapped[str] = mapped_column(sa.String(8))
    enabled: Mapped[bool] = mapped_column(default=True)
    encrypted: Mapped[bool] = mapped_column(default=True)
    keeps_sent: Mapped[bool] = mapped_column(default=True)
    keeps_received: Mapped[bool] = mapped_column(default=True)
    keeps_reports: Mapped[bool] = mapped_column(default=True)
    folder: Mapped[str] = mapped_column(sa.String(200), default="")
    endpoint: Mapped[str | None] = mapped_column(sa.String(300))
    region: Mapped[str | None] = mapped_column(sa.String(40))
    bucket: Mapped[str | None] = mapped_column(sa.String(63))
    access_key: Mapped[str | None] = mapped_column(sa.String(200))
    secret_key: Mapped[str | None] = mapped_column(SealedText)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ArchiveCopy(TenantOwned, Model):
    """One file of one fax on its way to one place: written in the transaction that ended the fax.

    It is tried again until ``done_at``; ``due_at`` is when. ``object_name`` is where the copy lies.
    """

    __tablename__ = "archive_copy"
    __table_args__ = (
        sa.UniqueConstraint("fax_id", "kind", "place_id"),
        sa.Index(
            "ix_archive_copy_due",
            "due_at",
            sqlite_where=sa.text("done_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL"),
        ),
        sa.Index(
            "ix_archive_copy_open",
            "place_id",
            "due_at",
            sqlite_where=sa.text("done_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL"),
        ),
    )

    id: Mapped[BigId]
    fax_id: Mapped[str] = mapped_column(sa.ForeignKey("fax.id"))
    place_id: Mapped[int] = mapped_column(sa.ForeignKey("archive_place.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(8))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    due_at: Mapped[datetime] = mapped_column(default=utc_now)
    tries: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(sa.String(255))
    done_at: Mapped[datetime | None]
    object_name: Mapped[str | None] = mapped_column(sa.String(500))

    fax: Mapped[Fax] = relationship()
    place: Mapped[ArchivePlace] = relationship()


class Retention(Model):
    """Files of one kind go so many days after their fax was over. Without a row they stay for ever."""

    __tablename__ = "retention"
    __table_args__ = (sa.CheckConstraint("days >= 1", name="days"),)

    tenant_id: Mapped[int] = mapped_column(sa.ForeignKey("tenant.id"), primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    days: Mapped[int]
