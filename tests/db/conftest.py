"""The rules on a real database: SQLite, or the PostgreSQL of TEST_DATABASE_URL."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from tenants.db import db
from tests.web.conftest import app, cast  # noqa: F401 - the same application and the same cast as the pages


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:  # noqa: F811
    with app.app_context():
        yield db.session
