"""Keys of companies: what their documents are sealed with. The installation's keys seal these in turn."""

import secrets
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column

from app.models.sealed import SealedText
from tenants.db import BigId, Model, TenantOwned, utc_now
from tenants.models import Tenant

BYTES = 32


class CompanyKey(TenantOwned, Model):
    """One key of a company. The newest seals, each opens what it sealed; they go when the company does, and nothing of
    it can be read from then on. ``content`` tells whose it is (:func:`new_content`): in another company's row it opens
    nothing.
    """

    __tablename__ = "company_key"

    id: Mapped[BigId]
    content: Mapped[str] = mapped_column(SealedText)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


def new_content(tenant_id: int) -> str:
    return f"{tenant_id}:{secrets.token_hex(BYTES)}"


def key_in(content: str, tenant_id: int) -> bytes | None:
    """The key; None if it is another company's."""
    owner, _, key = content.partition(":")
    return bytes.fromhex(key) if owner == str(tenant_id) else None


@event.listens_for(Tenant, "after_insert")
def _give_key(_mapper: object, connection: sa.Connection, tenant: Tenant) -> None:
    """A company has one from the beginning, however it came about."""
    connection.execute(sa.insert(CompanyKey).values(tenant_id=tenant.id, content=new_content(tenant.id)))
