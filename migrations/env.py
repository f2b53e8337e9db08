"""Alembic's environment, run through ``bin/faxroom db upgrade`` (Flask-Migrate)."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from flask import current_app
from sqlalchemy import Connection
from sqlalchemy.types import TypeDecorator

target = current_app.extensions["migrate"].db


def _render_plainly(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write our own column types as what they are in the database: a migration must not change when they do."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def _run(connection: Connection) -> None:
    """One transaction for all of it."""
    context.configure(
        connection=connection,
        target_metadata=target.metadata,
        render_item=_render_plainly,
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()


with target.engine.connect() as connection:
    _run(connection)
