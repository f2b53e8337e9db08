"""A configuration template for the fax settings; fax entities share one."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import BigId, Model, TenantOwned


class FaxTemplate(TenantOwned, Model):
    """How a line sends.

    ``station_id`` is the TSI/CSI of ITU-T T.30 (20 characters of digits, plus and space), ``header`` the text on top
    of each page, ``max_rate`` in bit/s, ``max_seconds`` the longest call. ``max_attempts`` are tries that a
    machine took, ``max_dials`` calls that reached none, within ``dial_hours``. ``retry_delays`` overrides the delay in
    seconds by cause (see :mod:`app.rules.sending.retry`). The rest are the dialing rules
    (:mod:`app.rules.numbers.dialing`): prefixes are E.164 with +, ``daily_cap`` counts faxes of one entity in a day, 0
    for no limit.
    """

    __tablename__ = "fax_template"
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "name"),
        sa.CheckConstraint("resolution IN ('standard', 'fine')", name="resolution"),
        sa.CheckConstraint("page_size IN ('A4', 'Letter')", name="page_size"),
        sa.CheckConstraint("max_attempts >= 1", name="max_attempts"),
    )

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(sa.String(100))
    header: Mapped[str] = mapped_column(sa.String(50), default="")
    station_id: Mapped[str] = mapped_column(sa.String(20), default="")
    resolution: Mapped[str] = mapped_column(sa.String(8), default="fine")
    page_size: Mapped[str] = mapped_column(sa.String(8), default="A4")
    ecm: Mapped[bool] = mapped_column(default=True)
    t38: Mapped[bool] = mapped_column(default=True)
    max_rate: Mapped[int] = mapped_column(default=14400)
    max_attempts: Mapped[int] = mapped_column(default=5)
    max_dials: Mapped[int] = mapped_column(default=12, server_default="12")
    dial_hours: Mapped[int] = mapped_column(default=24, server_default="24")
    ring_seconds: Mapped[int] = mapped_column(default=60)
    max_seconds: Mapped[int] = mapped_column(default=3600)
    retry_delays: Mapped[dict[str, Any] | None]
    allowed_prefixes: Mapped[list[Any]] = mapped_column(sa.JSON, default=list, server_default="[]")
    forbidden_prefixes: Mapped[list[Any]] = mapped_column(sa.JSON, default=list, server_default="[]")
    premium_allowed: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    daily_cap: Mapped[int] = mapped_column(default=0, server_default="0")
