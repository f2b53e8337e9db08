"""The outbox: a mail is a row in the transaction that caused it, and is sent from there at least once."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.faxes.fax import Fax
from app.models.sealed import SealedText
from tenants.db import BigId, Model, TenantOwned, utc_now
from tenants.models import User


class NoticeKind(StrEnum):
    OUTCOME = "outcome"  # sent, failed or unknown: to the sender, with the report
    HELD = "held"  # it is longer than its sender may expect and waits for their word
    RECEIVED = "received"  # to each user who may receive, with the document
    FORWARDED = "forwarded"  # from a colleague, with the document
    HANDED_OVER = "handed_over"  # from a colleague: it is yours now
    REMINDER = "reminder"  # nobody has looked at this and others for days
    INVITATION = "invitation"  # choose a password and come in
    PASSWORD_RESET = "password_reset"  # choose a new password
    NEW_ADDRESS = "new_address"  # an administrator says that you are reached here: is that so?
    KEY_EXPIRES = "key_expires"  # a PGP key of the user's soon counts for nothing
    SIGNED_IN = "signed_in"  # from a browser or a network that is new; ``note`` says which, in JSON
    ACCOUNT_CHANGED = "account_changed"  # password, address or second factor; ``note`` says what, in JSON
    ALERT = "alert"  # faxes fail, or are stuck
    ALL_CLEAR = "all_clear"  # they go again
    DISK_FILLING = "disk_filling"  # to the operators: soon nothing is sent or taken; ``note`` says where, in JSON
    DISK_ROOM = "disk_room"  # there is room again
    TRUNK_AWAY = "trunk_away"  # to the operators: one of several trunks takes no calls; ``note`` says which, in JSON
    TRUNK_BACK = "trunk_back"  # it does again
    MAIL_ACCEPTED = "mail_accepted"  # the mail became this fax
    MAIL_REFUSED = "mail_refused"  # why the mail became none; ``mail_id`` is its row
    MAIL_TESTED = "mail_tested"  # the mail was a test and would have become a fax; ``mail_id`` is its row
    BOX_FAULT = "box_fault"  # nothing is collected from the Mail2Fax box ``box_id``
    DIGEST = "digest"  # what became of a day's faxes; the rows of :class:`DigestEntry` say of which
    TOKEN_ENDS = "token_ends"  # what the box ``box_id`` signs in with, or ``SMTP_URL``, soon counts for nothing


class Notice(Model):
    """``message_id`` is fixed when the row is written, so that a repeated delivery is recognised as the same mail.
    ``given_up_at`` is when it was refused for good; ``cause`` is the code of the last failure and ``error`` what the
    mail server said, as long as it has not left. ``occasion`` is nothing but a key: mails of one kind to one recipient
    that have different ones are different mails (a key of the form that asked for it, the day of a reminder, of a
    key's expiry or of a refusal). What a mail is about is in columns: ``fax_id``, ``incident_id``, ``mail_id``,
    ``box_id``, ``fingerprint`` of a PGP key. All but the fax may be gone by the time that it leaves.
    ``from_user_id`` is the colleague who had it sent, ``note`` what they wrote. A mail about a person's account has no
    fax but ``user_id``, an operator's not even a tenant; ``secret`` is the token of its link, encrypted, and gone as
    soon as the mail has left."""

    __tablename__ = "notice"
    __table_args__ = (
        sa.UniqueConstraint("fax_id", "kind", "recipient", "occasion"),
        # one reminder a day, about whichever faxes
        sa.Index(
            "uq_notice_reminder",
            "recipient",
            "occasion",
            unique=True,
            sqlite_where=sa.text("kind = 'reminder'"),
            postgresql_where=sa.text("kind = 'reminder'"),
        ),
        # one warning for each key and day of expiry
        sa.Index(
            "uq_notice_key_expires",
            "recipient",
            "fingerprint",
            "occasion",
            unique=True,
            sqlite_where=sa.text("kind = 'key_expires'"),
            postgresql_where=sa.text("kind = 'key_expires'"),
        ),
        # of a mail that proves nothing but its sender's address one refusal a day is told
        sa.Index(
            "uq_notice_refused",
            "tenant_id",
            "recipient",
            "occasion",
            unique=True,
            sqlite_where=sa.text("kind = 'mail_refused' AND occasion != ''"),
            postgresql_where=sa.text("kind = 'mail_refused' AND occasion != ''"),
        ),
        # one warning for each sign-in, end of it and number of days before
        sa.Index(
            "uq_notice_token_ends",
            "recipient",
            "occasion",
            unique=True,
            sqlite_where=sa.text("kind = 'token_ends'"),
            postgresql_where=sa.text("kind = 'token_ends'"),
        ),
        # how many mails a company's people have had sent (app.rules.ground.quotas)
        sa.Index(
            "ix_notice_by_people",
            *("tenant_id", "created_at", "from_user_id"),
            sqlite_where=sa.text("from_user_id IS NOT NULL"),
            postgresql_where=sa.text("from_user_id IS NOT NULL"),
        ),
        sa.Index(
            "ix_notice_given_up",
            "tenant_id",
            "given_up_at",
            sqlite_where=sa.text("given_up_at IS NOT NULL"),
            postgresql_where=sa.text("given_up_at IS NOT NULL"),
        ),
        sa.Index(
            "ix_notice_due",
            "due_at",
            sqlite_where=sa.text("sent_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL"),
        ),
    )

    id: Mapped[BigId]
    tenant_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tenant.id"), index=True)
    fax_id: Mapped[str | None] = mapped_column(sa.ForeignKey("fax.id"))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    kind: Mapped[str] = mapped_column(sa.String(16))
    recipient: Mapped[str] = mapped_column(sa.String(320))
    occasion: Mapped[str] = mapped_column(sa.String(64), default="", server_default="")
    incident_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    mail_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    box_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    fingerprint: Mapped[str | None] = mapped_column(sa.String(64))
    from_user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    note: Mapped[str | None] = mapped_column(sa.Text)
    secret: Mapped[str | None] = mapped_column(SealedText)
    language: Mapped[str] = mapped_column(sa.String(8))
    message_id: Mapped[str] = mapped_column(sa.String(255), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    due_at: Mapped[datetime | None] = mapped_column(default=utc_now)
    tries: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]
    given_up_at: Mapped[datetime | None]
    cause: Mapped[str | None] = mapped_column(sa.String(32))
    error: Mapped[str | None] = mapped_column(sa.String(255))

    fax: Mapped[Fax | None] = relationship()
    user: Mapped[User | None] = relationship(foreign_keys=user_id)
    from_user: Mapped[User | None] = relationship(foreign_keys=from_user_id)

    @property
    def its_fax(self) -> Fax:
        """The fax that it tells of. Of a kind that tells of none: :class:`LookupError`."""
        if self.fax is None:
            raise LookupError(f"notice {self.id} ({self.kind}) tells of no fax")
        return self.fax


class DigestEntry(TenantOwned, Model):
    """A fax that its sender reads of in the next digest, or has read of in the one that ``notice_id`` is: entered in
    the transaction that ends the fax, taken into one digest in the transaction that writes it."""

    __tablename__ = "digest_entry"
    __table_args__ = (sa.UniqueConstraint("fax_id", "user_id"),)

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    fax_id: Mapped[str] = mapped_column(sa.ForeignKey("fax.id"))
    notice_id: Mapped[int | None] = mapped_column(sa.ForeignKey("notice.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    fax: Mapped[Fax] = relationship()
    user: Mapped[User] = relationship()
