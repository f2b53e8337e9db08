"""The numbers of the installation, and whose they are."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.models.setup.entity import FaxEntity
from tenants.db import BigId, Model, utc_now


class PoolNumber(Model):
    """A public number (E.164 with +) that the operator has. ``tenant_id`` is the company that it was given to. One that
    was taken back since ``released_at`` rests (:mod:`app.rules.numbers.pool`); ``last_holder_id`` had it then.
    ``to_approve``: a company uses it, and no operator has said so yet."""

    __tablename__ = "pool_number"

    id: Mapped[BigId]
    number: Mapped[str] = mapped_column(sa.String(20), unique=True)
    tenant_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tenant.id"), index=True)
    to_approve: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    released_at: Mapped[datetime | None]
    last_holder_id: Mapped[int | None] = mapped_column(sa.BigInteger)


class StrayCall(Model):
    """A number as the network wrote it, or a name, which leads to no fax entity, and the calls for it. ``reason``:
    nobody, resting, several, no_number, t38_only. ``number`` is what was meant, as E.164, where one number can be;
    ``caller`` who called last, as a fax would say it."""

    __tablename__ = "stray_call"

    id: Mapped[BigId]
    called: Mapped[str] = mapped_column(sa.String(40), unique=True)
    reason: Mapped[str] = mapped_column(sa.String(10))
    number: Mapped[str | None] = mapped_column(sa.String(20), index=True)
    caller: Mapped[str | None] = mapped_column(sa.String(32))
    calls: Mapped[int] = mapped_column(default=1)
    last_at: Mapped[datetime] = mapped_column(default=utc_now)


@event.listens_for(Session, "before_flush")
def _know_every_number(session: Session, _context: object, _instances: object) -> None:
    """Whichever way a number came to a fax entity, the pool has it; what no operator gave is shown to them."""
    entities = [one for one in (*session.new, *session.dirty) if isinstance(one, FaxEntity) and one.number]
    wanted = {entity.number: entity for entity in entities if sa.inspect(entity).attrs.number.history.has_changes()}
    if not wanted:
        return
    here = {one.number for one in session.new if isinstance(one, PoolNumber)}
    with session.no_autoflush:
        known = here | set(session.scalars(sa.select(PoolNumber.number).where(PoolNumber.number.in_(wanted))))
    for number, entity in wanted.items():
        tenant_id = entity.tenant_id or (entity.tenant.id if entity.tenant else None)
        if number not in known:
            session.add(PoolNumber(number=number, tenant_id=tenant_id, to_approve=True))
