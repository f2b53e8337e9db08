"""What a number has shown to the faxes of one company, and what the company says of it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.operator.trunk import Trunk
from tenants.db import BigId, Model, TenantOwned, utc_now


class Destination(TenantOwned, Model):
    """A company's own: a memory that all share would tell one company whom another faxes, by the way its first call
    goes.

    ``number`` is what was dialled. ``t38`` is a word of :class:`app.rules.sending.ladder.Shown`; ``rate`` (bit/s) and
    ``ecm`` are what got through where the line's own did not, ``trunk_id`` the trunk that did last where another one
    had failed; null: nothing to say. It is believed for so long after ``learned_at`` as
    :data:`app.rules.sending.destinations.BELIEVED`: a machine or a carrier may be mended.
    """

    __tablename__ = "destination"
    __table_args__ = (sa.UniqueConstraint("tenant_id", "number"), sa.Index("ix_destination_learned_at", "learned_at"))

    id: Mapped[BigId]
    number: Mapped[str] = mapped_column(sa.String(40))
    t38: Mapped[str | None] = mapped_column(sa.String(8))
    rate: Mapped[int | None]
    ecm: Mapped[bool | None]
    standard_only: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    station_id: Mapped[str | None] = mapped_column(sa.String(64))
    trunk_id: Mapped[int | None] = mapped_column(sa.ForeignKey("trunk.id", ondelete="SET NULL"), index=True)
    learned_at: Mapped[datetime] = mapped_column(default=utc_now)

    trunk: Mapped[Trunk | None] = relationship()


class NumberLines(TenantOwned, Model):
    """A company says that ``number`` (E.164 with +) takes so many calls at once (:mod:`app.rules.sending.called`)."""

    __tablename__ = "number_lines"
    __table_args__ = (
        sa.CheckConstraint("lines >= 1", name="lines"),
        sa.UniqueConstraint("number", "tenant_id"),
    )

    id: Mapped[BigId]
    number: Mapped[str] = mapped_column(sa.String(20))
    lines: Mapped[int]
