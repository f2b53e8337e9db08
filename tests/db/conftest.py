"""The rules on a real database: SQLite, or the PostgreSQL of TEST_DATABASE_URL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

import app.jobs.running as running
from app.models import Grant
from tenants.db import db
from tests.db.receptions import Phone
from tests.web.cast import Cast
from tests.web.conftest import app, cast  # noqa: F401 - the same application and the same cast as the pages


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:  # noqa: F811
    with app.app_context():
        yield db.session


@pytest.fixture
def phone(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Phone:  # noqa: F811
    """The jobs run in this very application. Bob may receive at the front desk as Alice does."""
    monkeypatch.setattr(running, "application", lambda: app)
    app.extensions["line"] = Phone()
    with app.app_context():
        grants = sa.update(Grant).where(Grant.user_id == cast.bob, Grant.entity_id == cast.frontdesk)
        db.session.execute(grants.values(may_receive=True))
        db.session.commit()
    return app.extensions["line"]


@pytest.fixture
def spool(app: Flask) -> Path:  # noqa: F811
    folder = app.config["SETTINGS"].spool / "incoming"
    folder.mkdir(parents=True)
    return folder
