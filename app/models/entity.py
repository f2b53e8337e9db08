"""The fax entity: what a fax machine is, with the users who may send from it and receive at it."""

from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.mailbox import Mail2FaxBox
from app.models.sealed import SealedText
from app.models.template import FaxTemplate
from tenants.db import BigId, TenantOwned, db
from tenants.models import Tenant, User


class Authentication(StrEnum):
    """How a mail to the entity's Mail2Fax box proves who sent it."""

    NONE = "none"
    PIN = "pin"
    PGP = "pgp"


class FaxEntity(TenantOwned, db.Model):
    """``extension`` is unique in the tenant, ``number`` (E.164 with +) on the whole installation."""

    __tablename__ = "fax_entity"
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "name"),
        sa.UniqueConstraint("tenant_id", "extension"),
        sa.CheckConstraint("authentication IN ('none', 'pin', 'pgp')", name="authentication"),
    )

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(sa.String(100))
    extension: Mapped[str] = mapped_column(sa.String(16))
    number: Mapped[str | None] = mapped_column(sa.String(20), unique=True)
    template_id: Mapped[int] = mapped_column(sa.ForeignKey("fax_template.id"))
    limit_outbound: Mapped[int] = mapped_column(default=0)
    shared_with_voice: Mapped[bool] = mapped_column(default=False)
    voice_destination: Mapped[str | None] = mapped_column(sa.String(32))
    box_id: Mapped[int | None] = mapped_column(sa.ForeignKey("mail2fax_box.id"))
    authentication: Mapped[str] = mapped_column(sa.String(8), default=Authentication.NONE)
    pin: Mapped[str | None] = mapped_column(SealedText)
    encryption_required: Mapped[bool] = mapped_column(default=False)

    tenant: Mapped[Tenant] = relationship()
    template: Mapped[FaxTemplate] = relationship()
    box: Mapped[Mail2FaxBox | None] = relationship()
    grants: Mapped[list["Grant"]] = relationship(back_populates="entity", cascade="all, delete-orphan")


class Grant(TenantOwned, db.Model):
    """What one user may do with one fax entity."""

    __tablename__ = "grant"
    __table_args__ = (sa.UniqueConstraint("entity_id", "user_id"),)

    id: Mapped[BigId]
    entity_id: Mapped[int] = mapped_column(sa.ForeignKey("fax_entity.id"))
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    may_send: Mapped[bool] = mapped_column(default=False)
    may_receive: Mapped[bool] = mapped_column(default=False)

    entity: Mapped[FaxEntity] = relationship(back_populates="grants")
    user: Mapped[User] = relationship()
