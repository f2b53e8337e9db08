"""What Asterisk has read of the trunks, in a Redis of the test's own."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.models import Trunk
from app.queues import connect
from app.rules.sending.trunks.fields import version_of
from app.rules.sending.trunks.table import fields_of
from app.services.trunks.reading import note_read
from tests.unit.upkeep.test_working import redis_port  # noqa: F401

NODE, SINCE = "asterisk", datetime(2026, 12, 1, 8, tzinfo=UTC)


@pytest.fixture
def redis(app: Flask, redis_port: int) -> Iterator[None]:  # noqa: F811
    before = app.extensions["redis"]
    app.extensions["redis"] = connect(f"redis://127.0.0.1:{redis_port}/0")
    yield
    app.extensions["redis"] = before


def versions(app: Flask, session: Session) -> dict[str, str]:
    """Of the trunks as they are."""
    key = app.config["SETTINGS"].secret_key
    return {trunk.name: version_of(fields_of(trunk), key) for trunk in session.scalars(sa.select(Trunk))}


@pytest.fixture
def all_read(app: Flask, session: Session, cast: object, redis: None) -> None:
    note_read(NODE, SINCE, versions(app, session))
