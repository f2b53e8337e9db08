"""An empty database for each test, whose tables are made once: making them takes longer than most tests. So does the
fixed cast, by way of the models."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from tenants.db import db, utc_now

Made = TypeVar("Made")

#: What the table of the faxes is marked with that ``create_all`` made: a test that drops the tables takes it along.
AS_THE_MODELS_SAY = "as the models say"
#: Rows go one by one where there are few; TRUNCATE makes every index anew, and those of the faxes are many.
EMPTY = """
DO $$
DECLARE name regclass;
BEGIN
    SET LOCAL session_replication_role = replica; -- neither references nor the audit log's triggers
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
        IF pg_relation_size(name) > 1000000 THEN
            EXECUTE 'TRUNCATE ' || name || ' CASCADE';
        ELSIF pg_relation_size(name) > 0 THEN
            EXECUTE 'DELETE FROM ' || name;
        END IF;
    END LOOP;
    PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence; -- ALTER SEQUENCE makes a file anew, ten times as dear
END $$
"""


@dataclass
class _Rows:
    """What a maker has made in an empty database, and what it has returned."""

    when: datetime
    tables: list[tuple[sa.Table, list[dict[str, Any]]]]
    returned: Any


_kept: dict[Callable[[], Any], _Rows] = {}


def made_once(make: Callable[[], Made]) -> Made:
    """What ``make`` makes where no row is yet: by itself the first time, then by the rows that it made, whose times are
    those of now."""
    if make in _kept:
        _enter(_kept[make])
    else:
        returned = make()
        with db.engine.connect() as connection:
            rows = [(table, connection.execute(table.select()).mappings()) for table in db.metadata.sorted_tables]
            tables = [(table, found) for table, mappings in rows if (found := [dict(row) for row in mappings])]
        _kept[make] = _Rows(utc_now(), tables, returned)
    return _kept[make].returned


def _enter(made: _Rows) -> None:
    later = utc_now() - made.when
    with db.engine.begin() as connection:
        for table, rows in made.tables:
            values = [
                {key: told + later if isinstance(told, datetime) else told for key, told in row.items()} for row in rows
            ]
            connection.execute(table.insert(), values)
            if connection.dialect.name == "postgresql" and isinstance(table.c.get("id", sa.null()).type, sa.Integer):
                last = max(row["id"] for row in rows)
                connection.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(table.name, "id"), last)))


def begin_empty(template: Path) -> None:
    """Within an application's context: its tables, as the models say, with no row in them. ``template`` is where a file
    of SQLite is kept from one test to the next."""
    if db.engine.dialect.name == "postgresql":
        _begin_empty_on_postgresql()
    else:
        _begin_with_a_copy(template, Path(db.engine.url.database))


def _begin_empty_on_postgresql() -> None:
    with db.engine.begin() as connection:
        marked = sa.text("SELECT obj_description(to_regclass('public.fax'), 'pg_class')")
        if connection.scalar(marked) == AS_THE_MODELS_SAY:
            connection.exec_driver_sql(EMPTY)
            return
    db.drop_all()
    db.create_all()
    with db.engine.begin() as connection:
        connection.exec_driver_sql(f"COMMENT ON TABLE fax IS '{AS_THE_MODELS_SAY}'")


def _begin_with_a_copy(template: Path, database: Path) -> None:
    if template.exists():
        shutil.copy(template, database)
        return
    db.create_all()
    db.engine.dispose()  # what its journal still holds is in the file then
    shutil.copy(database, template)
