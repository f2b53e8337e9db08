"""The Mail2Fax box: a mailbox from which mails are collected and sent as faxes."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.sealed import SealedText
from tenants.db import BigId, Model, TenantOwned
from tenants.models import EmailAddress


class Mail2FaxBox(TenantOwned, Model):
    """``imap`` is a URL such as ``imaps://host:993``; password and private PGP key are encrypted at rest.

    ``poll_seconds``: how often a server without IDLE is asked. ``authserv_id`` is the name under which the mailbox's
    own server writes Authentication-Results (RFC 8601); only those are believed. ``programs`` are the addresses, with
    blanks between, whose mails become faxes although a program wrote them.
    """

    __tablename__ = "mail2fax_box"
    __table_args__ = (sa.UniqueConstraint("tenant_id", "name"),)

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

    address: Mapped[EmailAddress] = relationship(lazy="joined")
