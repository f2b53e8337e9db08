"""What is the matter with the way to the carrier."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Model, utc_now


class TrunkTrouble(Model):
    """While its one row is there the trunk is set aside: one fax at a time finds out whether it works again, from
    ``probe_at`` on, and the others wait. ``outcome`` and ``response`` are those of the attempt that said so last."""

    __tablename__ = "trunk_trouble"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    since: Mapped[datetime] = mapped_column(default=utc_now)
    probe_at: Mapped[datetime]
    outcome: Mapped[str] = mapped_column(sa.String(32))
    response: Mapped[str | None] = mapped_column(sa.String(120))


class TrunkChannels(Model):
    """What the trunk has shown of its room, in one row: with ``channels`` other calls of ours on it, it refused one
    more at ``full_at`` (:mod:`app.rules.sending.trunk`)."""

    __tablename__ = "trunk_channels"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    channels: Mapped[int]
    full_at: Mapped[datetime]
