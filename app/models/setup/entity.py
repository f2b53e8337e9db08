"""The fax entity: what a fax machine is, with the users who may send from it and receive at it."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from app.models.sealed import SealedText
from app.models.setup.mailbox import Mail2FaxBox
from app.models.setup.template import FaxTemplate
from tenants.db import BigId, Model, TenantOwned, utc_now
from tenants.models import Tenant, User


class Authentication(StrEnum):
    """How a mail to the entity's Mail2Fax box proves who sent it."""

    NONE = "none"
    PIN = "pin"
    PGP = "pgp"


class ReceivedMail(StrEnum):
    """How somebody is mailed what came in, from what shows most to what shows least."""

    ATTACHED = "attached"  # the document with the mail
    ENCRYPTED = "encrypted"  # the same, encrypted to the reader's PGP key
    NOTICE = "notice"  # a link, and no document


#: A machine without a calling tone waits about a minute for an answer, a person is given six rings.
FAX_AFTER = 30


def _unique_while_open(name: str, *columns: str) -> sa.Index:
    is_open = sa.text("closed_at IS NULL")
    return sa.Index(name, *columns, unique=True, sqlite_where=is_open, postgresql_where=is_open)


class FaxEntity(TenantOwned, Model):
    """``extension`` is unique in the tenant, ``number`` (E.164 with +) on the whole installation. ``number_since`` is
    when it got its number.

    One that was removed stays as the line of its faxes, with ``closed_at``: it needs no licence, nobody may use it, and
    its name, extension and number are free for others.

    ``received_mail`` is how people are mailed what comes in: attached, encrypted or notice
    (:mod:`app.rules.outbox.mailing`). ``fax_after``: so many seconds the telephone of a shared line rings before the
    call is answered as a fax; 0 for never.
    ``trunk_id`` is the trunk that its faxes are sent over where it takes calls.
    """

    __tablename__ = "fax_entity"
    __table_args__ = (
        _unique_while_open("uq_fax_entity_name", "tenant_id", "name"),
        _unique_while_open("uq_fax_entity_extension", "tenant_id", "extension"),
        _unique_while_open("uq_fax_entity_number", "number"),
        sa.CheckConstraint("authentication IN ('none', 'pin', 'pgp')", name="authentication"),
    )

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(sa.String(100))
    extension: Mapped[str] = mapped_column(sa.String(16))
    number: Mapped[str | None] = mapped_column(sa.String(20))
    number_since: Mapped[datetime | None]
    template_id: Mapped[int | None] = mapped_column(sa.ForeignKey("fax_template.id"))  # null only once it is closed
    limit_outbound: Mapped[int] = mapped_column(default=0)
    shared_with_voice: Mapped[bool] = mapped_column(default=False)
    voice_destination: Mapped[str | None] = mapped_column(sa.String(32))
    fax_after: Mapped[int] = mapped_column(default=FAX_AFTER, server_default=str(FAX_AFTER))
    box_id: Mapped[int | None] = mapped_column(sa.ForeignKey("mail2fax_box.id"))
    authentication: Mapped[str] = mapped_column(sa.String(8), default=Authentication.NONE)
    pin: Mapped[str | None] = mapped_column(SealedText)
    encryption_required: Mapped[bool] = mapped_column(default=False)
    received_mail: Mapped[str] = mapped_column(sa.String(16), default=ReceivedMail.ATTACHED, server_default="attached")
    closed_at: Mapped[datetime | None]
    trunk_id: Mapped[int | None] = mapped_column(sa.ForeignKey("trunk.id", ondelete="SET NULL"), index=True)

    tenant: Mapped[Tenant] = relationship()
    template: Mapped[FaxTemplate] = relationship()
    box: Mapped[Mail2FaxBox | None] = relationship()
    grants: Mapped[list["Grant"]] = relationship(back_populates="entity", cascade="all, delete-orphan")


class FormerNumber(Model):
    """A number that an entity of the tenant ``holder_id`` had and gave up; None once that tenant is deleted. What came
    for it before it has its next holder is not for that one."""

    __tablename__ = "former_number"

    id: Mapped[BigId]
    number: Mapped[str] = mapped_column(sa.String(20), index=True)
    holder_id: Mapped[int | None] = mapped_column(sa.BigInteger)


@event.listens_for(FaxEntity.number, "set", active_history=True)
def _begin_to_hold(entity: FaxEntity, number: str | None, before: object, _initiator: object) -> None:
    if number != before:
        entity.number_since = utc_now()


@event.listens_for(Session, "before_flush")
def _remember_former_numbers(session: Session, _context: object, _instances: object) -> None:
    for entity in [one for one in session.dirty if isinstance(one, FaxEntity)]:
        session.add_all(FormerNumber(number=number, holder_id=entity.tenant_id) for number in _given_up(entity))


def _given_up(entity: FaxEntity) -> set[str]:
    changed = sa.inspect(entity).attrs
    closed = [entity.number] if any(changed.closed_at.history.added or ()) else []
    return {number for number in [*(changed.number.history.deleted or ()), *closed] if number}


class Grant(TenantOwned, Model):
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
