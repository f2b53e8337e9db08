"""An empty database for each test, whose tables are made once: making them takes longer than most tests."""

import shutil
from pathlib import Path

import sqlalchemy as sa

from tenants.db import db

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
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' LOOP
        EXECUTE 'ALTER SEQUENCE ' || name || ' RESTART';
    END LOOP;
END $$
"""


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
