"""Alembic's environment, run through ``bin/faxroom db upgrade`` (Flask-Migrate)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from flask import current_app
from sqlalchemy import Connection
from sqlalchemy.types import TypeDecorator

from tenants.connections import MIGRATION, waiting

target = current_app.extensions["migrate"].db


def _render_plainly(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write our own column types as what they are in the database: a migration must not change when they do."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def _belongs_here(item: Any, _name: str | None, kind: str, reflected: bool, _other: Any) -> bool:
    """Alembic does not ask an index for which database it is meant."""
    only_on = item.info.get("only_on") if kind == "index" and not reflected else None
    return only_on in (None, context.get_context().dialect.name)


@contextmanager
def _tables_may_be_rebuilt(connection: Connection) -> Iterator[None]:
    """SQLite changes a table by copying and dropping it, which foreign keys to its rows forbid. The pragma has no
    effect within a transaction, so it is set around it; what is left dangling undoes the whole."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if dangling:
            raise RuntimeError(f"the migration would leave references to rows that are gone: {dangling[:5]}")


def _run(connection: Connection) -> None:
    """One transaction for all of it."""
    context.configure(
        connection=connection,
        target_metadata=target.metadata,
        render_item=_render_plainly,
        include_object=_belongs_here,
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()
        _check_references(connection)


with waiting(MIGRATION), target.engine.connect() as connection, _tables_may_be_rebuilt(connection):
    _run(connection)
