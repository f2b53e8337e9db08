"""The rules on a real database: SQLite, or the PostgreSQL of TEST_DATABASE_URL."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.orm import Session

import app.jobs.running as running
from app.models import FaxEntity, Mail2FaxBox
from app.services.mail2fax.judging import Verdict, judge
from tenants.db import db, utc_now
from tests.db.mail_attacks import Judge, kill_agent, register
from tests.db.mails import make_box
from tests.db.receptions import Phone
from tests.unit.mail.test_pgp import Ring
from tests.web.cast import Cast, may_receive
from tests.web.conftest import alice, app, cast, kept, memory, midday  # noqa: F401 - the same application and cast as the pages


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:  # noqa: F811
    with app.app_context():
        yield db.session


@pytest.fixture
def phone(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Phone:  # noqa: F811
    """The jobs run in this very application. Bob may receive at the front desk as Alice does."""
    monkeypatch.setattr(running, "application", lambda: app)
    app.extensions["asterisk"] = Phone()
    with app.app_context():
        may_receive(cast.bob, cast.frontdesk)
    return app.extensions["asterisk"]


@pytest.fixture
def spool(app: Flask) -> Path:  # noqa: F811
    folder = app.config["SETTINGS"].spool / "incoming"
    folder.mkdir(parents=True)
    return folder


# ---- Mails to a box


@pytest.fixture
def judged(app: Flask, session: Session, cast: Cast) -> Judge:  # noqa: F811
    box_id = make_box(app, cast)

    def ask(raw: bytes, *, dry: bool = False, **entity: object) -> Verdict:
        line, box = session.get_one(FaxEntity, cast.frontdesk), session.get_one(Mail2FaxBox, box_id)
        for name, value in entity.items():
            setattr(box if name in ("private_key", "authserv_id") else line, name, value)
        session.commit()
        return judge(session, box, raw, now=utc_now(), settings=app.config["SETTINGS"], dry=dry)

    return ask


@pytest.fixture(scope="module")
def ring() -> Iterator[Ring]:
    with tempfile.TemporaryDirectory(prefix="ring-", dir="/tmp") as folder:
        yield Ring(folder)
        kill_agent(folder)


@pytest.fixture(scope="module")
def bob_key(ring: Ring) -> str:
    fingerprint = ring.make("Bob <bob@alpha.test>")
    ring.run("--quick-add-uid", fingerprint, "Robert <robert@home.test>")
    return fingerprint


@pytest.fixture(scope="module")
def eve_key(ring: Ring) -> str:
    """With Bob's name on it."""
    return ring.make("Bob <bob@alpha.test> (work)")


@pytest.fixture
def registered(session: Session, cast: Cast, ring: Ring, bob_key: str) -> str:  # noqa: F811
    register(session, cast.alpha, cast.bob, ring.public(bob_key))
    return bob_key


@pytest.fixture(scope="module")
def box_key(ring: Ring) -> str:
    ring.run("--quick-gen-key", "Box <fax@alpha.test>", "future-default", "default", "2y")
    return ring.secret("=Box <fax@alpha.test>").decode()
