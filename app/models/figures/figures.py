"""What the pages with numbers are drawn from, and what the alerts remember."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import BigId, Model, TenantOwned, utc_now

#: In place of a direction: calls of shared lines that went on to a telephone (:class:`app.models.VoiceCall`).
VOICE = "voice"


class Scope(StrEnum):
    """Whose faxes a row of :class:`FaxDay` counts."""

    TENANT = "tenant"
    ENTITY = "entity"
    USER = "user"
    ENTITY_MONTH = "entity_m"  # all days of a month that is over, under its first
    USER_MONTH = "user_m"


class FaxDay(TenantOwned, Model):
    """How many faxes ended on a day (in the zone of the tenant) with one status and cause: those of the whole tenant,
    of one entity or of one user. Each fax is counted once in each scope that it has; ``seconds`` are on the line. Rows
    of the direction ``voice`` count calls to telephones, with how they ended as status and the seconds of talk.

    Made anew from the faxes for each day that something happened on (:mod:`app.rules.figures.figures`), never counted
    up. Months are the sums of their days: a year of many users is read quickly.
    """

    __tablename__ = "fax_day"
    __table_args__ = (
        sa.Index("ix_fax_day_tenant", "tenant_id", "scope", "day"),
        sa.Index("ix_fax_day_all", "scope", "day"),
    )

    id: Mapped[BigId]
    day: Mapped[date]
    scope: Mapped[str] = mapped_column(sa.String(8))
    entity_id: Mapped[int | None] = mapped_column(sa.ForeignKey("fax_entity.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"), index=True)
    direction: Mapped[str] = mapped_column(sa.String(8))
    status: Mapped[str] = mapped_column(sa.String(12))
    cause: Mapped[str | None] = mapped_column(sa.String(40))
    faxes: Mapped[int]
    pages: Mapped[int]
    seconds: Mapped[int] = mapped_column(sa.BigInteger)


class AlertKind(StrEnum):
    FAILING = "failing"  # most of the last faxes failed
    STUCK = "stuck"  # something should have gone on long ago
    SENDERS = "senders"  # faxes wait whose senders may not send any more (app.rules.sending.senders)
    TRUNK = "trunk"  # the carrier is away, or takes no calls of ours (app.rules.sending.trunks.trouble)
    CEILING = "ceiling"  # the operator's ceiling of a day is reached (app.rules.numbers.policy)


class AlertIncident(TenantOwned, Model):
    """From the alert to the all-clear. ``facts`` are what the mail says: as it began, and as it ended.

    ``about_id`` is the person whose faxes wait (*senders*), 0 where it is about the company.
    """

    __tablename__ = "alert_incident"
    __table_args__ = (
        sa.Index(
            "uq_alert_incident_open",
            "tenant_id",
            "kind",
            "about_id",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    id: Mapped[BigId]
    kind: Mapped[str] = mapped_column(sa.String(8))
    about_id: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    facts: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    began_at: Mapped[datetime] = mapped_column(default=utc_now)
    ended_at: Mapped[datetime | None]
