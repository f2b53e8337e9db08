"""Statements of SQL that are put together of pieces, as a search is.

Of SQLAlchemy's expressions that takes longer than the answer does: the log's questions have up to thirty conditions,
and other ones with each text and each reader. Values never stand in the text; a piece is safe wherever it is put.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants.db import UtcDateTime


@dataclass(frozen=True)
class Sql:
    """A piece with a pair of braces for each of its values."""

    text: str
    values: tuple[object, ...] = ()


def sql(text: str, *given: object) -> Sql:
    """The text with what is given in the place of its braces: pieces as they are, anything else as a value."""
    values: list[object] = []
    for one in given:
        values += one.values if isinstance(one, Sql) else [one]
    return Sql(text.format(*(one.text if isinstance(one, Sql) else "{}" for one in given)), tuple(values))


def joined(between: str, pieces: Iterable[Sql]) -> Sql:
    pieces = list(pieces)
    return Sql(between.join(piece.text for piece in pieces), tuple(v for piece in pieces for v in piece.values))


def all_of(pieces: Iterable[Sql]) -> Sql:
    pieces = list(pieces)
    return joined(" AND ", pieces) if pieces else Sql("TRUE")


def any_of(pieces: Iterable[Sql]) -> Sql:
    pieces = list(pieces)
    return sql("({})", joined(" OR ", pieces)) if pieces else Sql("FALSE")


def one_of(column: str, values: Iterable[object]) -> Sql:
    """The column has one of these values."""
    values = list(values)
    return sql(f"{column} IN ({{}})", joined(", ", (Sql("{}", (value,)) for value in values))) if values else any_of([])


def condition(piece: Sql) -> sa.TextClause:
    """The piece for a select of SQLAlchemy's."""
    text, values = _named(piece)
    times = _times(values)
    typed = [sa.bindparam(name, value, UtcDateTime() if name in times else None) for name, value in values.items()]
    return sa.text(text).bindparams(*typed)


def ask(session: Session, piece: Sql, *, times: tuple[str, ...] = ()) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """The answer to a whole statement; ``times`` are the names of the columns that hold one."""
    text, values = _named(piece)
    return session.execute(_statement(text, _times(values), times), values).all()


def _named(piece: Sql) -> tuple[str, dict[str, object]]:
    """The text with names and what they stand for; a value that is in ten places is sent once."""
    names: dict[tuple[type, object], str] = {}
    for value in piece.values:
        names.setdefault((type(value), value), f"v{len(names)}")
    text = piece.text.format(*(f":{names[type(value), value]}" for value in piece.values))
    # A word of an enumeration would go to PostgreSQL under its name in Python.
    return text, {name: str(value) if isinstance(value, str) else value for (_type, value), name in names.items()}


def _times(values: dict[str, object]) -> tuple[str, ...]:
    return tuple(name for name, value in values.items() if isinstance(value, datetime))


@lru_cache(maxsize=500)
def _statement(text: str, times_in: tuple[str, ...], times_out: tuple[str, ...]) -> sa.Executable:
    statement = sa.text(text).bindparams(*(sa.bindparam(name, type_=UtcDateTime()) for name in times_in))
    return statement.columns(**{name: UtcDateTime() for name in times_out}) if times_out else statement
