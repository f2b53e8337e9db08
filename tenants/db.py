"""The SQLAlchemy handle, the base class, the column types that every table shares."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psycopg
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, registry
from ulid import ULID

#: Set while a web request only reads. SQLite then begins deferred and does not wait for a writer.
read_only: ContextVar[bool] = ContextVar("read_only", default=False)

NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

#: Questions as short as a page's are not compiled, which takes longer than they last. In a transaction that asks the
#: same ten times they are not planned once for any company and any word, however many faxes have it. And what they need
#: is in memory, or on a disk without a moving head: PostgreSQL would rather read an index whole than a list in its
#: order.
POSTGRESQL = """
SET jit = off;
SET plan_cache_mode = force_custom_plan;
SET seq_page_cost = 0.2;
SET random_page_cost = 0.2;
"""


@contextmanager
def only_reading() -> Iterator[None]:
    """What begins in here only reads, after a request and in a job too."""
    token = read_only.set(True)
    try:
        yield
    finally:
        read_only.reset(token)


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware datetime in UTC on every database. A naive value is a programmer's error and is refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_ulid() -> str:
    """A fresh ULID: 26 characters that sort by time and that no restored or second database repeats."""
    return str(ULID())


BigId = Annotated[
    int,
    mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
]
Ulid = Annotated[str, mapped_column(sa.String(26), primary_key=True, default=new_ulid)]


class Base(DeclarativeBase):
    registry = registry(
        metadata=sa.MetaData(naming_convention=NAMES),
        type_annotation_map={datetime: UtcDateTime, dict[str, Any]: sa.JSON},
    )


class TenantOwned:
    """Mixin of every row that belongs to a tenant. It is reached through :mod:`tenants.scope`, never by id alone."""

    @declared_attr
    def tenant_id(cls) -> Mapped[int]:
        return mapped_column(sa.ForeignKey("tenant.id"), index=True)


db = SQLAlchemy(model_class=Base)


class _Queued(sqlite3.Connection):
    """Writers queue up for SQLite's one write lock by a lock of the kernel, which wakes the next at once.

    SQLite itself has who waits sleep for ever longer, up to 100 ms, though the lock is free again after one or two.
    """

    def __init__(self, database: str, *arguments: Any, **options: Any) -> None:
        super().__init__(database, *arguments, **options)
        in_file = Path(database).is_file()
        self._queue = os.open(f"{database}-queue", os.O_RDWR | os.O_CREAT, 0o600) if in_file else None

    def begin_writing(self) -> None:
        if self._queue is not None:
            fcntl.flock(self._queue, fcntl.LOCK_EX)
        try:
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._let_next()
            raise

    def commit(self) -> None:
        super().commit()
        self._let_next()

    def rollback(self) -> None:
        super().rollback()
        self._let_next()

    def close(self) -> None:
        super().close()
        if self._queue is not None:
            os.close(self._queue)
            self._queue = None

    def _let_next(self) -> None:
        if self._queue is not None:
            fcntl.flock(self._queue, fcntl.LOCK_UN)


@event.listens_for(Engine, "do_connect")
def _queue_up(dialect: sa.Dialect, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
    if dialect.name == "sqlite":
        options.setdefault("factory", _Queued)


@event.listens_for(Engine, "connect")
def _prepare(connection: Any, _record: Any) -> None:
    if isinstance(connection, psycopg.Connection):
        connection.execute(POSTGRESQL)
        connection.commit()
    if isinstance(connection, sqlite3.Connection):
        # The driver's own transaction handling is switched off: _begin_sqlite says BEGIN itself.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=20000"):
            connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: sa.Connection) -> None:
    """Writers take SQLite's one write lock at BEGIN: a later upgrade would fail at once instead of waiting."""
    if connection.dialect.name == "sqlite":
        if read_only.get():
            connection.exec_driver_sql("BEGIN")
        else:
            connection.connection.dbapi_connection.begin_writing()
