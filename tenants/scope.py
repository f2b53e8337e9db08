"""Every query by tenant. A row of another tenant and a row that does not exist give the same answer."""

from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants.db import TenantOwned
from tenants.models import User

Owned = TypeVar("Owned", bound=TenantOwned | User)


def owned_by(model: type[Owned], tenant_id: int) -> sa.Select[Owned]:
    """A select over the rows of ``model`` that belong to the tenant; refine it with ``where`` and ``order_by``."""
    return sa.select(model).where(model.tenant_id == tenant_id)


def get_owned(session: Session, model: type[Owned], row_id: int | str | None, tenant_id: int) -> Owned | None:
    """The row with this id if it belongs to the tenant, else None."""
    (key,) = sa.inspect(model).primary_key
    return session.scalars(owned_by(model, tenant_id).where(key == row_id)).one_or_none()


def lock_tenant(session: Session, tenant_id: int) -> None:
    """Serialise what counts against a tenant's licence. On SQLite the transaction's write lock serves already."""
    from_tenant = sa.text("SELECT id FROM tenant WHERE id = :id FOR UPDATE")
    if session.get_bind().dialect.name != "sqlite":
        session.execute(from_tenant, {"id": tenant_id})
