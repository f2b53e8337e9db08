"""Calls of shared lines that went on to a telephone."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.setup.entity import FaxEntity
from tenants.db import BigId, Model, TenantOwned


class CallEnd(StrEnum):
    """How a call to a telephone ended."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    GAVE_UP = "gave_up"  # the caller hung up while it rang
    UNREACHABLE = "unreachable"  # the telephone system did not take it
    LONGEST = "longest"  # we ended it: the operator's longest duration
    LIMIT = "limit"  # it was not put through: as many calls at once as may be
    FAX = "fax"  # the caller was a fax machine after all
    UNKNOWN = "unknown"  # Asterisk ended before it had told


class VoiceCall(TenantOwned, Model):
    """One call that came in on a shared line, was no fax, and went on to the line's voice destination.

    ``channel`` is its name on its node, unique on the installation. ``caller`` is E.164 with + or bare digits, None if
    it was withheld; ``dialled`` the voice destination of that moment. ``began_at`` is when the telephone was dialled,
    ``answered_at`` when somebody took it; ``end`` is set with ``ended_at``. ``goes_out``: what was dialled may be a
    public number, and counts against the company's ceiling of a day (:mod:`app.rules.numbers.policy`).
    """

    __tablename__ = "voice_call"
    __table_args__ = (
        sa.UniqueConstraint("channel"),
        sa.Index("ix_voice_call_log", "tenant_id", "began_at", "id"),
        sa.Index("ix_voice_call_line", "entity_id", "began_at", "id"),
        # what ended when: figures
        sa.Index(
            "ix_voice_call_ended",
            *("tenant_id", "ended_at"),
            sqlite_where=sa.text("ended_at IS NOT NULL"),
            postgresql_where=sa.text("ended_at IS NOT NULL"),
        ),
        sa.Index(
            "ix_voice_call_open",
            "node",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    id: Mapped[BigId]
    entity_id: Mapped[int] = mapped_column(sa.ForeignKey("fax_entity.id"))
    node: Mapped[str] = mapped_column(sa.String(64))
    channel: Mapped[str] = mapped_column(sa.String(64))
    caller: Mapped[str | None] = mapped_column(sa.String(32))
    dialled: Mapped[str] = mapped_column(sa.String(32))
    goes_out: Mapped[bool]
    began_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    end: Mapped[str | None] = mapped_column(sa.String(12))

    entity: Mapped[FaxEntity] = relationship()
