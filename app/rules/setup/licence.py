"""The licence: as many fax entities as licensed fax channels. Lowering it keeps what exists and admits nothing new."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import FaxEntity
from tenants.models import Tenant
from tenants.scope import lock_tenant


@dataclass(frozen=True)
class Licence:
    """``used`` of ``channels``; more are used than licensed after the licence was lowered."""

    used: int
    channels: int

    @property
    def free(self) -> int:
        return max(0, self.channels - self.used)

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.channels


def licence_of(session: Session, tenant_id: int) -> Licence:
    """As the database has it now, whatever the session remembers of the tenant."""
    open_ones = (FaxEntity.tenant_id == tenant_id, FaxEntity.closed_at.is_(None))
    used = sa.select(sa.func.count()).select_from(FaxEntity).where(*open_ones).scalar_subquery()
    return Licence(*session.execute(sa.select(used, Tenant.fax_channels).where(Tenant.id == tenant_id)).one())


def claim_channel(session: Session, tenant_id: int) -> None:
    """To be called before a fax entity is added, in the same transaction: nobody else adds one until the commit.

    Raises:
        Refused: ``licence_used_up`` with ``used`` and ``channels``.
    """
    lock_tenant(session, tenant_id)
    licence = licence_of(session, tenant_id)
    if not licence.free:
        raise Refused("licence_used_up", field="form", used=licence.used, channels=licence.channels)
