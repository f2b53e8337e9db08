"""Tenant, user, role, email address: who exists."""

from datetime import datetime, time
from enum import StrEnum
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from babel import Locale, UnknownLocaleError
from flask import current_app
from flask_login import UserMixin
from sqlalchemy.orm import Mapped, mapped_column, relationship

from tenants.db import BigId, Model, TenantOwned, utc_now
from tenants.languages import USUAL
from tenants.sealed import SealedText


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"
    OPERATOR = "operator"


class LinkPurpose(StrEnum):
    INVITATION = "invitation"
    PASSWORD_RESET = "password_reset"
    NEW_ADDRESS = "new_address"


class Tenant(Model):
    """A company on the shared installation. A limit of 0 means no limit (the reference's words).

    The quotas are what it may have stored (gigabytes), as drafts (megabytes), and what its people may upload and
    mail in 24 hours (:mod:`app.rules.ground.quotas`); ``calls_a_day`` and ``minutes_a_day`` how much it may dial out of
    the house in a day (:mod:`app.rules.numbers.policy`). A suspended one sends nothing and still receives;
    ``suspended_reason`` is shown to its people. Once ``deleting_at`` is set everything that it has is removed
    (:mod:`app.rules.operator.erasing`). The alert's columns say when its administrators are told that faxes fail or are
    stuck (:mod:`app.rules.figures.alerts`); 0 is never. ``counted_until``: all faxes that were over by then are in its
    figures (:mod:`app.rules.figures.figures`). ``operator_until``: so long operators may see its contents;
    ``export_key`` opens what is exported otherwise (:mod:`app.rules.operator.operator_access`).
    ``mail_proof_required``: a mail becomes a fax only if the mailbox's server vouches for its sender (SPF, DKIM,
    DMARC). ``fax_domain``: what the operator gave it for mails that are handed in to us, ``number@line.fax_domain``
    (lower case).
    """

    __tablename__ = "tenant"

    id: Mapped[BigId]
    slug: Mapped[str] = mapped_column(sa.String(63), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    serial: Mapped[str] = mapped_column(sa.String(40))
    region: Mapped[str] = mapped_column(sa.String(2))
    timezone: Mapped[str] = mapped_column(sa.String(64))
    language: Mapped[str] = mapped_column(sa.String(8), default=USUAL)
    outside_prefix: Mapped[str] = mapped_column(sa.String(4), default="0")
    fax_channels: Mapped[int] = mapped_column(default=0)
    limit_inbound: Mapped[int] = mapped_column(default=0)
    limit_outbound: Mapped[int] = mapped_column(default=0)
    limit_total: Mapped[int] = mapped_column(default=0)
    quota_storage: Mapped[int] = mapped_column(default=500, server_default="500")
    quota_drafts: Mapped[int] = mapped_column(default=10_000, server_default="10000")
    quota_uploads: Mapped[int] = mapped_column(default=20_000, server_default="20000")
    quota_mails: Mapped[int] = mapped_column(default=20_000, server_default="20000")
    calls_a_day: Mapped[int] = mapped_column(default=0, server_default="0")
    minutes_a_day: Mapped[int] = mapped_column(default=0, server_default="0")
    last_fax_number: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    second_factor_required: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    suspended_at: Mapped[datetime | None]
    suspended_reason: Mapped[str | None] = mapped_column(sa.String(500))
    deleting_at: Mapped[datetime | None]
    alert_failed_percent: Mapped[int] = mapped_column(default=80, server_default="80")
    alert_failed_of: Mapped[int] = mapped_column(default=10, server_default="10")
    alert_stuck_minutes: Mapped[int] = mapped_column(default=30, server_default="30")
    counted_until: Mapped[datetime | None]
    operator_until: Mapped[datetime | None]
    export_key: Mapped[str | None] = mapped_column(SealedText)
    mail_proof_required: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    fax_domain: Mapped[str | None] = mapped_column(sa.String(253), index=True, unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def written_as(self) -> str:
        """How its people write numbers and dates: the usual language of its country, such as ``it-IT``."""
        return _written_in(self.region)


@cache
def _written_in(region: str) -> str:
    try:
        locale = Locale.parse(f"und_{region}")
    except (UnknownLocaleError, ValueError):
        return "en-GB"
    return f"{locale.language}-{locale.territory}"


class EmailAddress(Model):
    """One row of the address registry. ``folded`` is unique over users and Mail2Fax boxes of all tenants."""

    __tablename__ = "email_address"

    id: Mapped[BigId]
    address: Mapped[str] = mapped_column(sa.String(320))
    folded: Mapped[str] = mapped_column(sa.String(320), unique=True)


class User(UserMixin, Model):
    """A person who signs in. An operator belongs to no tenant, everybody else to exactly one.

    Without ``password_hash`` nobody has accepted the invitation yet. ``second_factor_at`` is since when signing in
    needs a second factor too, a code or a passkey (:mod:`tenants.second_factor`, :mod:`tenants.passkeys`).
    ``new_email`` is where an administrator says that they are reached, until it has answered: nobody's till then.
    ``received_mail`` is how they want mails of received faxes, null as the line has it; ``digest_at`` the time of the
    company's day at which they are told of what they sent, null at once of each.
    """

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
    second_factor_at: Mapped[datetime | None]
    new_email: Mapped[str | None] = mapped_column(sa.String(320))
    received_mail: Mapped[str | None] = mapped_column(sa.String(16))
    digest_at: Mapped[time | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    tenant: Mapped[Tenant | None] = relationship(lazy="joined")
    address: Mapped[EmailAddress] = relationship(lazy="joined")
    pgp_keys: Mapped[list["PgpPublicKey"]] = relationship(back_populates="user", cascade="all, delete-orphan")

    @property
    def email(self) -> str:
        return self.address.address

    @property
    def company(self) -> Tenant:
        """The tenant of somebody who belongs to one. An operator has none: :class:`LookupError`."""
        if self.tenant is None:
            raise LookupError(f"user {self.id} is an operator and belongs to no company")
        return self.tenant

    @property
    def company_id(self) -> int:
        """As :attr:`company`, without a look at the tenant."""
        if self.tenant_id is None:
            raise LookupError(f"user {self.id} is an operator and belongs to no company")
        return self.tenant_id

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
    def is_invited(self) -> bool:
        return self.password_hash is None

    @property
    def lacks_second_factor(self) -> bool:
        """One is demanded, and this user has none yet."""
        return self.needs_second_factor and self.second_factor_at is None

    @property
    def needs_second_factor(self) -> bool:
        """The company demands one; of operators the installation does (``OPERATORS_NEED_FACTOR``)."""
        if self.tenant is None:
            return self.is_operator and bool(current_app.config.get("OPERATORS_NEED_FACTOR"))
        return self.tenant.second_factor_required

    @property
    def preferred_language(self) -> str:
        return self.language or (self.tenant.language if self.tenant else USUAL)


class PgpPublicKey(TenantOwned, Model):
    """A public key that vouches for one user's mails (Mail2Fax, RFC 3156). Exactly one primary key each.

    What gpg says of it (:mod:`app.adapters.mail.pgp`) is kept beside it; ``fingerprint`` is null until it was asked.
    ``validity`` is valid, expired, revoked or unusable, as it was when gpg was asked; from there ``expires_at`` counts.
    """

    __tablename__ = "pgp_public_key"
    __table_args__ = (sa.UniqueConstraint("user_id", "fingerprint"),)

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    armored: Mapped[str] = mapped_column(sa.Text)
    fingerprint: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    user_ids: Mapped[list[Any] | None] = mapped_column(sa.JSON)
    algorithm: Mapped[str | None] = mapped_column(sa.String(32))
    validity: Mapped[str | None] = mapped_column(sa.String(16))
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    user: Mapped[User] = relationship(back_populates="pgp_keys")


class SignInSession(Model):
    """One browser in which a user is signed in. The cookie holds the token, this row only its digest.

    ``last_seen_at`` is right to a few minutes (:mod:`tenants.sessions`). ``proved_at`` is when whoever is there last
    gave their password or factor.
    """

    __tablename__ = "sign_in_session"

    id: Mapped[BigId]
    token_digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_seen_at: Mapped[datetime] = mapped_column(default=utc_now)
    proved_at: Mapped[datetime | None] = mapped_column(default=utc_now)
    ended_at: Mapped[datetime | None]
    remote_address: Mapped[str | None] = mapped_column(sa.String(64))
    user_agent: Mapped[str | None] = mapped_column(sa.String(255))

    user: Mapped[User] = relationship(lazy="joined")


class OneTimeLink(Model):
    """A link that lets its holder choose a user's password or prove a new address, once. The mail holds the token, this
    row only its digest.

    ``submission_key`` is that of the form which asked for it: a double click makes one link.
    """

    __tablename__ = "one_time_link"
    __table_args__ = (sa.UniqueConstraint("created_by_id", "submission_key"),)

    id: Mapped[BigId]
    token_digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    purpose: Mapped[str] = mapped_column(sa.String(16))
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    created_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    submission_key: Mapped[str | None] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(foreign_keys=user_id)


class SecondFactor(Model):
    """A user's TOTP secret (RFC 6238). ``last_counter`` is that of the last code that was taken: none counts twice.

    What is pending counts for nothing until its first code was typed in.
    """

    __tablename__ = "second_factor"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), primary_key=True)
    secret: Mapped[str | None] = mapped_column(SealedText)
    last_counter: Mapped[int | None] = mapped_column(sa.BigInteger)
    pending_secret: Mapped[str | None] = mapped_column(SealedText)
    pending_codes: Mapped[str | None] = mapped_column(SealedText)
    pending_at: Mapped[datetime | None]


class RecoveryCode(Model):
    """One use in place of a code of the second factor. The digest of 80 random bits needs no slow hash."""

    __tablename__ = "recovery_code"

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    digest: Mapped[str] = mapped_column(sa.String(64))
    used_at: Mapped[datetime | None]


class Passkey(Model):
    """A key pair of which one device, or what synchronises it, holds the private half (WebAuthn).

    Binary values are base64url without padding. ``user_handle`` is what the device has of the person: nothing that
    names them. ``sign_count`` grows where the device counts, else it is 0; ``transports`` are the browser's words for
    how it is reached.
    """

    __tablename__ = "passkey"

    id: Mapped[BigId]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    credential_id: Mapped[str] = mapped_column(sa.String(1400), unique=True)
    public_key: Mapped[str] = mapped_column(sa.Text)
    user_handle: Mapped[str] = mapped_column(sa.String(64))
    sign_count: Mapped[int] = mapped_column(sa.BigInteger)
    transports: Mapped[list[str]] = mapped_column(sa.JSON)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_used_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class SpentChallenge(Model):
    """What a passkey has signed once is worth nothing a second time."""

    __tablename__ = "spent_challenge"

    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    spent_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
