"""All rows of a company, for a file that it can take away: every table, without what lets anybody in."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Document
from app.rules.operator.tenant_tables import address_columns, belongs, tables
from tenants.db import reading_long
from tenants.models import EmailAddress, Tenant
from tenants.sealed import SealedText

#: Rows that are read at a time.
BATCH = 1_000
#: What lets somebody in, or is of no use elsewhere.
LEFT_OUT_TABLES = frozenset(
    {
        "sign_in_session",
        "one_time_link",
        "second_factor",
        "recovery_code",
        "passkey",
        "unread",
        "former_number",
        "hold",
        "company_key",
    }
    | {"dialing_policy", "spent_challenge", "stray_call", "trunk", "trunk_trouble", "trunk_channels", "called_number"}
    | {"smtp_sign_in"}
)
LEFT_OUT_COLUMNS = frozenset({"password_hash", "token_digest", "digest", "submission_key", "search_text", "guesses"})

Row = dict[str, Any]


def exported_tables(tenant_id: int) -> list[sa.Table]:
    """The tenant's own row first."""
    mine = [table for table in tables() if table.name not in LEFT_OUT_TABLES and belongs(table, tenant_id) is not None]
    return [Tenant.__table__, *mine]


def columns_of(table: sa.Table) -> list[str]:
    names = [
        column.name
        for column in table.c
        if column.name not in LEFT_OUT_COLUMNS and not isinstance(column.type, SealedText)
    ]
    return [*names, "address"] if address_columns(table) else names


def rows_of(session: Session, table: sa.Table, tenant_id: int) -> Iterator[Row]:
    """In the order of their keys, a batch at a time; no transaction is open while the reader works."""
    mine = table.c.id == tenant_id if table is Tenant.__table__ else belongs(table, tenant_id)
    if mine is None:
        return
    keys = list(table.primary_key.columns)
    query = sa.select(*_selected(table), *(key.label(f"key_{key.name}") for key in keys)).where(mine).order_by(*keys)
    if owned := address_columns(table):
        query = query.join(EmailAddress.__table__, EmailAddress.id == owned[0])
    place: tuple[Any, ...] | None = None
    while True:
        beyond = query.where(sa.tuple_(*keys) > place) if place else query
        with reading_long():
            rows = session.execute(beyond.limit(BATCH)).mappings().all()
            session.rollback()
        if not rows:
            return
        place = tuple(rows[-1][f"key_{key.name}"] for key in keys)
        for row in rows:
            yield {name: _plain(row[name]) for name in columns_of(table)}


def _selected(table: sa.Table) -> list[sa.ColumnElement[Any]]:
    columns: list[sa.ColumnElement[Any]] = [table.c[name] for name in columns_of(table) if name != "address"]
    return [*columns, EmailAddress.address.label("address")] if address_columns(table) else columns


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) or hasattr(value, "isoformat") else value


def documents_of(session: Session, tenant_id: int) -> Iterator[tuple[str, str, str]]:
    """(id, type, storage key) of each document, a batch at a time."""
    last = ""
    while True:
        query = sa.select(Document.id, Document.type, Document.storage_key).where(Document.tenant_id == tenant_id)
        with reading_long():
            rows = session.execute(query.where(Document.id > last).order_by(Document.id).limit(BATCH)).all()
            session.rollback()
        if not rows:
            return
        last = rows[-1].id
        yield from ((row.id, row.type, row.storage_key) for row in rows)
