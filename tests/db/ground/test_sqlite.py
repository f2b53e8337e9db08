"""What every connection to SQLite is told: without it rows may lose what they refer to, and a power cut loses faxes."""

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import IntegrityError

from app.models import Fax
from tenants.db import db
from tests.web.cast import Cast, make_fax


def test_every_connection_keeps_references_and_writes_through(app: Flask, session):
    if db.engine.dialect.name != "sqlite":
        pytest.skip("only SQLite has to be told")
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 20_000}
    told = {name: session.scalar(sa.text(f"PRAGMA {name}")) for name in wanted}
    assert told == wanted
    session.rollback()
    with db.engine.connect() as connection:
        assert connection.connection.dbapi_connection.isolation_level is None, "we say BEGIN, not the driver"


def test_a_row_that_others_refer_to_cannot_go(app: Flask, cast: Cast, session):
    fax = session.get_one(Fax, make_fax(app, cast))
    with pytest.raises(IntegrityError):
        session.execute(sa.text("DELETE FROM document WHERE id = :id"), {"id": fax.pdf_id})
    session.rollback()
