"""Tenant, user, role, email address: who exists."""

from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask_login import UserMixin
from sqlalchemy.orm import Mapped, mapped_column, relationship

from tenants.db import BigId, TenantOwned, db, utc_now


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"
    OPERATOR = "operator"


class Tenant(db.Model):
    """A company on the shared installation. A limit of 0 means no limit (the reference's words)."""

    __tablename__ = "tenant"

    id: Mapped[BigId]
    slug: Mapped[str] = mapped_column(sa.String(63), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    serial: Mapped[str] = mapped_column(sa.String(40))
    region: Mapped[str] = mapped_column(sa.String(2))
    timezone: Mapped[str] = mapped_column(sa.String(64))
    language: Mapped[str] = mapped_column(sa.String(8), default="en")
    outside_prefix: Mapped[str] = mapped_column(sa.String(4), default="0")
    fax_channels: Mapped[int] = mapped_column(default=0)
    limit_inbound: Mapped[int] = mapped_column(default=0)
    limit_outbound: Mapped[int] = mapped_column(default=0)
    limit_total: Mapped[int] = mapped_column(default=0)
    last_fax_number: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    suspended_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class EmailAddress(db.Model):
    """One row of the address registry. ``folded`` is unique over users and Mail2Fax boxes of all tenants."""

    __tablename__ = "email_address"

    id: Mapped[BigId]
    address: Mapped[str] = mapped_column(sa.String(320))
    folded: Mapped[str] = mapped_column(sa.String(320), unique=True)


class User(UserMixin, db.Model):
    """A person who signs in. An operator belongs to no tenant, everybody else to exactly one."""

    __tablename__ = "user"
    __table_args__ = (
        sa.CheckConstraint("(role = 'operator') = (tenant_id IS NULL)", name="operator_has_no_tenant"),
        sa.CheckConstraint("role IN ('user', 'admin', 'operator')", name="role"),
    )

    id: Mapped[BigId]
    tenant_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tenant.id"), index=True)
    address_id: Mapped[int] = mapped_column(sa.ForeignKey("email_address.id"), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    role: Mapped[str] = mapped_column(sa.String(16), default=Role.USER)
    password_hash: Mapped[str | None] = mapped_column(sa.String(255))
    language: Mapped[str | None] = mapped_column(sa.String(8))
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    tenant: Mapped[Tenant | None] = relationship(lazy="joined")
    address: Mapped[EmailAddress] = relationship(lazy="joined")
    pgp_keys: Mapped[list["PgpPublicKey"]] = relationship(back_populates="user", cascade="all, delete-orphan")

    @property
    def email(self) -> str:
        return self.address.address

    @property
    def is_active(self) -> bool:
        return self.disabled_at is None

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def is_operator(self) -> bool:
        return self.role == Role.OPERATOR

    @property
    def preferred_language(self) -> str:
        return self.language or (self.tenant.language if self.tenant else "en")


class PgpPublicKey(TenantOwned, db.Model):
    """A public key that vouches for one user's mails (Mail2Fax, RFC 3156)."""

    __tablename__ = "pgp_public_key"

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    armored: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    user: Mapped[User] = relationship(back_populates="pgp_keys")


class SignInSession(db.Model):
    """One browser in which a user is signed in. The cookie holds the token, this row only its digest."""

    __tablename__ = "sign_in_session"

    id: Mapped[BigId]
    token_digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    ended_at: Mapped[datetime | None]
    remote_address: Mapped[str | None] = mapped_column(sa.String(64))
    user_agent: Mapped[str | None] = mapped_column(sa.String(255))

    user: Mapped[User] = relationship(lazy="joined")
