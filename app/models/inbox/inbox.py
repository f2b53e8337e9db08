"""The shared inbox: who has not yet looked at a received fax, and who did what with it."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.faxes.fax import Fax
from tenants.db import BigId, Model, TenantOwned, utc_now
from tenants.models import User


class Unread(TenantOwned, Model):
    """One received fax that one user has not opened. Written with the fax for each user who may receive at its entity,
    removed when that user opens it: counting it costs what is unread, not what was ever received."""

    __tablename__ = "unread"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), primary_key=True)
    fax_id: Mapped[str] = mapped_column(sa.ForeignKey("fax.id"), primary_key=True, index=True)


class InboxAct(StrEnum):
    TAKEN = "taken"
    HANDED_OVER = "handed_over"
    RELEASED = "released"
    DONE = "done"
    REOPENED = "reopened"
    FORWARDED = "forwarded"


class InboxEvent(TenantOwned, Model):
    """What a colleague did with a received fax, and when. ``to_user_id`` is to whom it was handed or forwarded,
    ``note`` what they were told with it."""

    __tablename__ = "inbox_event"

    id: Mapped[BigId]
    fax_id: Mapped[str] = mapped_column(sa.ForeignKey("fax.id"), index=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"))
    act: Mapped[str] = mapped_column(sa.String(16))
    to_user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    note: Mapped[str | None] = mapped_column(sa.Text)
    at: Mapped[datetime] = mapped_column(default=utc_now)

    fax: Mapped[Fax] = relationship()
    user: Mapped[User] = relationship(foreign_keys=user_id)
    to_user: Mapped[User | None] = relationship(foreign_keys=to_user_id)
