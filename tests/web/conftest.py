"""The pages against a real database: SQLite, or the PostgreSQL of TEST_DATABASE_URL.

The fixed cast: Alice administers alpha, Bob works there, Charlie belongs to beta and must see nothing of alpha, Olga
operates the installation.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache

from app.config import Settings
from app.factory import create_app
from app.models import Trunk
from tenants.connections import JOB, patience, read_only
from tenants.db import db, utc_now
from tenants.models import Role, Tenant
from tests.schema import begin_empty, made_once
from tests.shared import has_first, share_compiled, share_rules
from tests.web.cast import Browser, Cast, make_entity, make_tenant, make_user

ROOT = Path(__file__).parents[2]
#: tmpfs(5).
MEMORY = Path("/dev/shm")
sys.path.insert(0, str(ROOT / "bin/lib"))
import assets  # noqa: E402 - the set-up's own module

share_rules()


@pytest.fixture(scope="session", autouse=True)
def _translations() -> None:
    assets.compile_translations(ROOT)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what is made once for all applications: the tables and the compiled templates."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder that waits for no disk, where the machine has one: each commit of SQLite is written through."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="faxroom-", dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def app(tmp_path: Path, memory: Path, kept: Path) -> Iterator[Flask]:
    """An application with an empty database. Nothing listens on its Redis: what it enqueues, the clock would. What a
    test does is done as in a process of its own: whatever the one before has left of reading and patience is gone."""
    read_only.set(False)
    patience.set(JOB)
    url = os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{memory}/test.sqlite3"
    settings = Settings.from_environment(
        {
            "FAXROOM_HOME": str(tmp_path),
            "SECRET_KEY": "a secret of the tests",
            "DATABASE_URL": url,
            "REDIS_URL": "redis://127.0.0.1:23999/0",
        }
    )
    app = create_app(settings, TESTING=True, RATELIMIT_STORAGE_URI="memory://", PROPAGATE_EXCEPTIONS=False)
    app.jinja_env.bytecode_cache = FileSystemBytecodeCache(str(kept))
    with app.app_context():
        if has_first(db.engine):
            share_compiled(db.engine)
        begin_empty(kept / "empty.sqlite3")
        share_compiled(db.engine)
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def cast(app: Flask) -> Cast:
    with app.app_context():
        return made_once(_cast)


def _cast() -> Cast:
    db.session.add(Trunk(name="main", host="127.0.0.1", port=5060, from_environment=True))
    alpha = make_tenant("alpha", "Alpha Srl", "KPBX40299999")
    beta = make_tenant("beta", "Beta SpA", "KPBX40288888")
    alice = make_user("alice@alpha.test", "Alice", alpha, Role.ADMIN)
    bob = make_user("bob@alpha.test", "Bob", alpha, Role.USER)
    charlie = make_user("charlie@beta.test", "Charlie", beta, Role.USER)
    olga = make_user("ops@faxroom.test", "Olga", None, Role.OPERATOR)
    frontdesk = make_entity(alpha, "frontdesk", "501", "+390509655637", senders=[alice, bob])
    archive = make_entity(alpha, "archive", "502", None, senders=[alice])
    beta_line = make_entity(beta, "office", "501", "+390509655638", senders=[charlie])
    people = (alpha, beta, frontdesk, archive, beta_line, alice, bob, charlie, olga)
    ids = Cast(*(row.id for row in people))
    db.session.commit()
    return ids


@pytest.fixture
def midday(app: Flask, cast: Cast) -> None:
    """Alpha is where it is past twelve o'clock: none of its days ends while a test counts what is done in it."""
    with app.app_context():
        db.session.get_one(Tenant, cast.alpha).timezone = f"Etc/GMT{utc_now().hour - 12:+d}"
        db.session.commit()


@pytest.fixture
def nobody(app: Flask, cast: Cast) -> Browser:
    return Browser(app)


def _signed_in(app: Flask, email: str) -> Browser:
    browser = Browser(app)
    assert browser.sign_in(email).status_code == 303
    return browser


@pytest.fixture
def alice(app: Flask, cast: Cast) -> Browser:
    return _signed_in(app, "alice@alpha.test")


@pytest.fixture
def bob(app: Flask, cast: Cast) -> Browser:
    return _signed_in(app, "bob@alpha.test")


@pytest.fixture
def charlie(app: Flask, cast: Cast) -> Browser:
    return _signed_in(app, "charlie@beta.test")


@pytest.fixture
def olga(app: Flask, cast: Cast) -> Browser:
    return _signed_in(app, "ops@faxroom.test")
