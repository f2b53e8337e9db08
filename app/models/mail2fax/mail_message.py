"""Mails that were collected from Mail2Fax boxes, what became of each, and how each box is doing."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.faxes.fax import Fax
from app.models.setup.entity import FaxEntity
from app.models.setup.mailbox import Mail2FaxBox
from tenants.db import BigId, Model, TenantOwned, utc_now
from tenants.models import User


class MailFate(StrEnum):
    ACCEPTED = "accepted"  # a fax was made of it
    REFUSED = "refused"  # with the reason
    REPEATED = "repeated"  # its fax was made of an earlier copy
    TESTED = "tested"  # a user's test: it would have become a fax


class MailMessage(TenantOwned, Model):
    """One message of one mailbox, entered in the transaction that makes its fax: what is here is done with.

    ``digest`` (hex) is over what the sender wrote, Message-ID included, and not over what servers on the way added
    (:func:`app.rules.mail2fax.ledger.message_digest`). One delivery is dealt with once, one content makes one fax of a
    box, one signature one fax of a company: the three unique indexes decide. ``subject`` is without secrets. ``checks``
    is what was looked at, in order: code, passed (null: did not matter), values. ``filed_at`` is when the message was
    moved to ``filed_in`` on the server, or only marked there if that is null; without ``filed_at`` that is still to do.
    ``guesses`` are the wrong PINs that were put forward in it, each as a keyed digest, with blanks between: who repeats
    one has guessed once. ``program`` wrote it (:mod:`app.services.mail2fax.mail_programs`), where that is known.
    """

    __tablename__ = "mail_message"
    __table_args__ = (
        sa.UniqueConstraint("box_id", "uid_validity", "uid", "message_id", "digest", name="uq_mail_message_delivery"),
        sa.Index(
            "uq_mail_message_fax",
            "box_id",
            "digest",
            unique=True,
            sqlite_where=sa.text("fate = 'accepted'"),
            postgresql_where=sa.text("fate = 'accepted'"),
        ),
        sa.Index(
            "uq_mail_message_signature",
            "tenant_id",
            "signature_digest",
            unique=True,
            sqlite_where=sa.text("fate = 'accepted'"),
            postgresql_where=sa.text("fate = 'accepted'"),
        ),
        # the box's log, newest first
        sa.Index("ix_mail_message_box", "box_id", "id"),
        # what was put forward as a PIN in the last hour, sender by sender
        sa.Index(
            "ix_mail_message_guesses",
            *("box_id", "sender", "created_at"),
            sqlite_where=sa.text("guesses IS NOT NULL"),
            postgresql_where=sa.text("guesses IS NOT NULL"),
        ),
        sa.Index("ix_mail_message_fax", "fax_id"),
        # what is still in the folder
        sa.Index(
            "ix_mail_message_left",
            "box_id",
            "uid_validity",
            sqlite_where=sa.text("filed_in IS NULL"),
            postgresql_where=sa.text("filed_in IS NULL"),
        ),
        sa.CheckConstraint("fate IN ('accepted', 'refused', 'repeated', 'tested')", name="fate"),
    )

    id: Mapped[BigId]
    box_id: Mapped[int | None] = mapped_column(sa.ForeignKey("mail2fax_box.id", ondelete="SET NULL"))
    uid_validity: Mapped[int] = mapped_column(sa.BigInteger)
    uid: Mapped[int] = mapped_column(sa.BigInteger)
    message_id: Mapped[str] = mapped_column(sa.String(255), default="")
    digest: Mapped[str] = mapped_column(sa.String(64))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    sender: Mapped[str | None] = mapped_column(sa.String(320))
    subject: Mapped[str | None] = mapped_column(sa.String(255))
    fate: Mapped[str] = mapped_column(sa.String(8))
    reason: Mapped[str | None] = mapped_column(sa.String(40))
    reason_values: Mapped[dict[str, Any] | None]
    checks: Mapped[list[Any] | None] = mapped_column(sa.JSON)
    signature_digest: Mapped[str | None] = mapped_column(sa.String(64))
    guesses: Mapped[str | None] = mapped_column(sa.Text)
    program: Mapped[str | None] = mapped_column(sa.String(16))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    entity_id: Mapped[int | None] = mapped_column(sa.ForeignKey("fax_entity.id"))
    fax_id: Mapped[str | None] = mapped_column(sa.ForeignKey("fax.id"))
    answered: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    filed_at: Mapped[datetime | None]
    filed_in: Mapped[str | None] = mapped_column(sa.String(255))

    box: Mapped[Mail2FaxBox | None] = relationship()
    user: Mapped[User | None] = relationship()
    entity: Mapped[FaxEntity | None] = relationship()
    fax: Mapped[Fax | None] = relationship()


class BoxState(TenantOwned, Model):
    """Who collects a box at the moment, and how that goes.

    ``holder`` has it until ``lease_until``; past that another process takes it. ``due_at`` is when to look again.
    ``looked_at`` is when the folder was last read, ``idle`` whether the server tells of new mails by itself. ``fault``
    is a code since ``fault_since``; ``told_at`` is when the administrators had their one mail about it.
    """

    __tablename__ = "box_state"

    box_id: Mapped[int] = mapped_column(
        sa.ForeignKey("mail2fax_box.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    holder: Mapped[str | None] = mapped_column(sa.String(64))
    lease_until: Mapped[datetime | None]
    due_at: Mapped[datetime] = mapped_column(default=utc_now)
    looked_at: Mapped[datetime | None]
    idle: Mapped[bool | None]
    failures: Mapped[int] = mapped_column(default=0)
    fault: Mapped[str | None] = mapped_column(sa.String(40))
    fault_values: Mapped[dict[str, Any] | None]
    fault_since: Mapped[datetime | None]
    told_at: Mapped[datetime | None]

    box: Mapped[Mail2FaxBox] = relationship()
