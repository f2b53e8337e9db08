"""What an administrator has saved and not applied yet."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.sealed import SealedText
from tenants.db import BigId, Model, TenantOwned, utc_now
from tenants.models import User


class PendingChange(TenantOwned, Model):
    """One edit of one thing by one administrator, waiting to be applied (:mod:`app.rules.setup.changes`).

    ``kind`` and ``target_id`` say of what; a thing that is to be added has no ``target_id``. ``act`` is add, change or
    remove. ``before`` and ``after`` hold the fields that differ, never a secret: ``secrets`` is the JSON of those,
    sealed. An edit of the same thing by the same person goes into the same row.
    """

    __tablename__ = "pending_change"
    __table_args__ = (
        sa.UniqueConstraint("user_id", "kind", "target_id"),
        sa.CheckConstraint("act IN ('add', 'change', 'remove')", name="act"),
    )

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    target_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    act: Mapped[str] = mapped_column(sa.String(8))
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    secrets: Mapped[str | None] = mapped_column(SealedText)
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)

    user: Mapped[User] = relationship()
