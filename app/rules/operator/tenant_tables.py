"""What a company has, in whatever table: one that is added tomorrow is exported and emptied as well."""

from typing import Any

import sqlalchemy as sa

from tenants.db import db
from tenants.models import EmailAddress


def tables() -> list[sa.Table]:
    """What is referred to comes before what refers to it."""
    return list(db.metadata.sorted_tables)


def belongs(table: sa.Table, tenant_id: int) -> sa.ColumnElement[bool] | None:
    """The condition for the tenant's rows, by their own column or by those that they refer to; None for a table of
    which a tenant has nothing."""
    if "tenant_id" in table.c:
        return table.c.tenant_id == tenant_id
    conditions = []
    for key in table.foreign_keys:
        parent = key.column.table
        of_parent = belongs(parent, tenant_id) if parent is not table else None
        if of_parent is not None:
            conditions.append(key.parent.in_(sa.select(key.column).where(of_parent)))
    return sa.or_(*conditions) if conditions else None


def address_columns(table: sa.Table) -> list[sa.Column[Any]]:
    """Those that lead to the address registry: the table's rows are owners of addresses."""
    return [key.parent for key in table.foreign_keys if key.column.table is EmailAddress.__table__]
