"""The Mail2Fax box: a mailbox from which mails are collected and sent as faxes, or a place at our own door."""

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.sealed import SealedText
from tenants.db import BigId, Model, TenantOwned, utc_now
from tenants.models import EmailAddress, User


class BoxSource(StrEnum):
    """Where a box's mails come from."""

    IMAP = "imap"  # collected from a mailbox elsewhere
    DOOR = "door"  # handed in by SMTP or LMTP


class Mail2FaxBox(TenantOwned, Model):
    """``imap`` is a URL such as ``imaps://host:993``; password and private PGP key are encrypted at rest.

    ``poll_seconds``: how often a server without IDLE is asked. ``authserv_id`` is the name under which the mailbox's
    own server writes Authentication-Results (RFC 8601); only those are believed. ``programs`` are the addresses, with
    blanks between, whose mails become faxes although a program wrote them. A box with a ``sign_in`` has no password: it
    signs in with tokens. A box at the door has no server, user name or password.
    """

    __tablename__ = "mail2fax_box"
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "name"),
        sa.CheckConstraint("source IN ('imap', 'door')", name="source"),
    )

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(sa.String(100))
    address_id: Mapped[int] = mapped_column(sa.ForeignKey("email_address.id"), unique=True)
    imap: Mapped[str] = mapped_column(sa.String(500))
    username: Mapped[str] = mapped_column(sa.String(320))
    password: Mapped[str] = mapped_column(SealedText)
    private_key: Mapped[str | None] = mapped_column(SealedText)
    poll_seconds: Mapped[int] = mapped_column(default=60, server_default="60")
    authserv_id: Mapped[str | None] = mapped_column(sa.String(255))
    programs: Mapped[str] = mapped_column(sa.Text, default="", server_default="")

    source: Mapped[str] = mapped_column(sa.String(8), default=BoxSource.IMAP, server_default=BoxSource.IMAP.value)

    address: Mapped[EmailAddress] = relationship(lazy="joined")
    sign_in: Mapped["BoxSignIn | None"] = relationship(back_populates="box", cascade="all, delete-orphan")

    @property
    def is_door(self) -> bool:
        return self.source == BoxSource.DOOR


class DoorCredential(TenantOwned, Model):
    """What a copier or a program signs in with at the door. The secret is ours, long and random, so its SHA-256 (hex)
    is kept and nothing slower. ``user_id`` is as whom it sends; without one it sends as the person of the company whose
    address is the sender. One that has ended stays for the log.
    """

    __tablename__ = "door_credential"

    id: Mapped[BigId]
    box_id: Mapped[int] = mapped_column(sa.ForeignKey("mail2fax_box.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    username: Mapped[str] = mapped_column(sa.String(64), unique=True)
    digest: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    used_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    box: Mapped[Mail2FaxBox] = relationship()
    user: Mapped[User | None] = relationship()


class TokenState:
    """What is known of tokens (RFC 6749). ``refresh_token`` is the newest that the token server gave, good until
    ``refresh_until`` if it said so; ``access_token`` is used again until ``access_until``. ``refused`` is the code of
    why the server gives none, since ``refused_at``."""

    refresh_token: Mapped[str | None] = mapped_column(SealedText)
    refresh_until: Mapped[datetime | None]
    access_token: Mapped[str | None] = mapped_column(SealedText)
    access_until: Mapped[datetime | None]
    refused: Mapped[str | None] = mapped_column(sa.String(40))
    refused_at: Mapped[datetime | None]


class BoxSignIn(TokenState, TenantOwned, Model):
    """How a box gets its tokens: ``provider`` is one of :data:`app.rules.mail2fax.box_sign_in.PROVIDERS`,
    ``directory`` the tenant of Microsoft Entra. ``authorize_url`` is where a person signs in to the mailbox, empty
    where nobody does; ``signed_in_as`` is who did, as the provider says. Of a service account ``client_id`` is its
    address and ``client_secret`` its private key (PEM). ``secret_ends_on`` is the last day of the secret, as its owner
    knows it. ``changed_at`` is when somebody last entered any of it."""

    __tablename__ = "box_sign_in"

    id: Mapped[BigId]
    box_id: Mapped[int] = mapped_column(sa.ForeignKey("mail2fax_box.id", ondelete="CASCADE"), unique=True)
    provider: Mapped[str] = mapped_column(sa.String(16))
    directory: Mapped[str | None] = mapped_column(sa.String(255))
    token_url: Mapped[str] = mapped_column(sa.String(500))
    authorize_url: Mapped[str] = mapped_column(sa.String(500), default="", server_default="")
    client_id: Mapped[str] = mapped_column(sa.String(255))
    client_secret: Mapped[str] = mapped_column(SealedText)
    scope: Mapped[str] = mapped_column(sa.String(1000))
    secret_ends_on: Mapped[date | None]
    signed_in_as: Mapped[str | None] = mapped_column(sa.String(320))
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)

    box: Mapped[Mail2FaxBox] = relationship(back_populates="sign_in")


class SmtpSignIn(TokenState, Model):
    """The tokens for ``SMTP_URL``; ``place`` is a digest of the settings that they were got with."""

    __tablename__ = "smtp_sign_in"

    id: Mapped[BigId]
    place: Mapped[str] = mapped_column(sa.String(64), unique=True)
