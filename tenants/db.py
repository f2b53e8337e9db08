"""The SQLAlchemy handle, the base class, the column types that every table shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declared_attr, mapped_column, registry
from ulid import ULID

from tenants.connections import only_reading, read_only, reading_long, writing

NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


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


class Database(SQLAlchemy):
    """The handle. ``session`` hands all that a session can do on to that of the request or job."""

    if TYPE_CHECKING:
        session: Session  # type: ignore[assignment]  # a proxy that every function of ours takes as a session


db = Database(model_class=Base)

if TYPE_CHECKING:

    class Model(Base):
        __abstract__ = True
        __table__: ClassVar[sa.Table]

else:
    Model = db.Model


def rows_changed(session: Session, statement: sa.UpdateBase, **options: Any) -> int:
    """Execute an INSERT, UPDATE or DELETE; how many rows it met. ``options`` are those of :meth:`Session.execute`."""
    return cast("sa.CursorResult[Any]", session.execute(statement, **options)).rowcount


@contextmanager
def rows_kept() -> Iterator[None]:
    """What the session has read stays as it was read when a transaction is committed in here, instead of being read
    again: between looks that decide nothing. Who decides reads anew, as each transaction does that was rolled back."""
    session: Session = cast("Any", db.session)()  # itself, not its proxy
    session.expire_on_commit = False
    try:
        yield
    finally:
        session.expire_on_commit = True


def end_reading(session: Session) -> None:
    """End a transaction that has only read; see :func:`rows_kept`."""
    session.commit()


def id_of(row: Base) -> Any:
    """Without a look into the database, as ``row.id`` would take after a commit."""
    identity = sa.inspect(row).identity
    if identity is None:
        raise LookupError("what was committed is in the database")
    return identity[0]


__all__ = [
    "Base",
    "BigId",
    "Model",
    "TenantOwned",
    "Ulid",
    "UtcDateTime",
    "db",
    "end_reading",
    "id_of",
    "new_ulid",
    "only_reading",
    "read_only",
    "reading_long",
    "rows_changed",
    "rows_kept",
    "utc_now",
    "writing",
]
