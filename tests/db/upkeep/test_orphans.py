"""Files without a row go after a day, and nothing else does."""

import io
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session
from ulid import ULID

import app.jobs.running as running
from app.jobs.upkeep import orphans
from app.jobs.upkeep.sweep import sweep
from app.models import Document, DocumentKind, Fax
from app.services.documents.documents import storage, store_document
from tenants.db import utc_now
from tests.web.cast import Cast, make_fax

ROOT = Path(__file__).parents[3]
OLD, YOUNG = timedelta(days=2), timedelta(hours=23)


class Marks(dict):
    """As much of Redis as the sweep asks for."""

    def exists(self, name: str) -> bool:
        return name in self

    def set(self, name: str, value: str, ex: int | None = None) -> None:
        self[name] = value.encode()

    def delete(self, name: str) -> None:
        self.pop(name, None)


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Marks:
    kept = Marks()
    monkeypatch.setattr(orphans, "redis", lambda: kept)
    return kept


@pytest.fixture(autouse=True)
def known(app: Flask, cast: Cast) -> str:
    """The database knows a fax, and its file."""
    return make_fax(app, cast)


def root(app: Flask) -> Path:
    return Path(app.config["SETTINGS"].storage_url.removeprefix("file://"))


def leave(app: Flask, *, age: timedelta = OLD, name: str = "{id}.pdf", tenant: int = 1) -> Path:
    """A file in the storage of which the database knows nothing."""
    at = utc_now() - age
    key = f"{tenant}/{at:%Y/%m}/{name.format(id=ULID.from_datetime(at))}"
    storage().inner.write(key, io.BytesIO(b"%PDF nobody knows"))
    return set_age(root(app) / key, age)


def set_age(path: Path, age: timedelta) -> Path:
    os.utime(path, (time.time() - age.total_seconds(),) * 2)
    return path


def keep(app: Flask, session: Session, cast: Cast, folder: Path, *, age: timedelta = OLD) -> Path:
    """A file that the database knows, as old as the others."""
    path = folder / "letter.pdf"
    path.write_bytes(b"%PDF a letter")
    document = store_document(
        session, path, tenant_id=cast.alpha, kind=DocumentKind.PDF, file_type="pdf", name="letter.pdf"
    )
    old_id = str(ULID.from_datetime(utc_now() - age))
    kept = root(app) / document.storage_key
    document.storage_key = f"{cast.alpha}/2026/01/{old_id}.pdf"
    new = root(app) / document.storage_key
    new.parent.mkdir(parents=True, exist_ok=True)
    kept.rename(new)
    session.commit()
    return set_age(new, age)


def look(behind: str = "") -> str:
    return orphans.look_on(behind, time.monotonic() + 60)


def test_what_a_kill_left_between_storage_and_database_goes_after_a_day(app, cast, session, tmp_path):
    lost, half = leave(app), leave(app, name=".new-{id}.pdf-0a1b2c3d")
    young, kept = leave(app, age=YOUNG), keep(app, session, cast, tmp_path)
    assert look() == ""
    assert [path.exists() for path in (lost, half, young, kept)] == [False, False, True, True]


KILLED = """
import os, signal, sys
from pathlib import Path
from app.factory import create_app
from app.services.documents.documents import store_document
from app.models import DocumentKind
from tenants.db import db

with create_app().app_context():
    path = Path(sys.argv[1])
    store_document(
        db.session, path, tenant_id=int(sys.argv[2]), kind=DocumentKind.PDF, file_type="pdf", name="letter.pdf"
    )
    db.session.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_killed_between_storage_and_commit_leaves_nothing_for_good(app, cast, session, tmp_path):
    path = tmp_path / "letter.pdf"
    path.write_bytes(b"%PDF a letter")
    settings = app.config["SETTINGS"]
    own = {"FAXROOM_HOME": settings.home, "SECRET_KEY": settings.secret_key, "DATABASE_URL": settings.database_url}
    own |= {"REDIS_URL": settings.redis_url, "PATH": os.environ["PATH"]}
    session.rollback()
    arguments = [sys.executable, "-c", KILLED, str(path), str(cast.alpha)]
    environment = {name: str(value) for name, value in own.items()}
    before = set(root(app).rglob("*.pdf"))
    worker = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert worker.returncode == -signal.SIGKILL, worker.stderr
    (left,) = set(root(app).rglob("*.pdf")) - before
    look()
    assert left.exists(), "not before a day is over"
    old = left.rename(left.with_name(f"{ULID.from_datetime(utc_now() - OLD)}.pdf"))
    set_age(old, OLD)
    look()
    assert not old.exists()


def test_a_file_that_was_copied_today_or_named_today_stays(app, session):
    """Whoever brings a storage back from a backup gives every file a new time or keeps the old one."""
    fresh_time = set_age(leave(app), timedelta())
    fresh_name = set_age(leave(app, age=YOUNG), OLD)
    look()
    assert fresh_time.exists() and fresh_name.exists()


@pytest.mark.parametrize("name", ["letter.pdf", "{id}", "x{id}.pdf", "{id}.pdf.bak", ".{id}.pdf", "{id}.pdf-0a1b2c3d"])
def test_what_is_not_named_as_we_name_files_stays(app, session, name):
    path = leave(app, name=name)
    look()
    assert path.exists()


def test_what_is_behind_a_link_stays(app, session, tmp_path):
    inside = leave(app, tenant=7)
    (root(app) / "7").rename(tmp_path / "elsewhere")
    (root(app) / "7").symlink_to(tmp_path / "elsewhere")
    look()
    assert inside.exists()


def test_files_of_which_most_are_unknown_are_left_and_told(app, session, caplog):
    """The database came back from a backup that is older than the storage: the files are all there is."""
    left = [leave(app) for _ in range(30)]
    look()
    assert all(path.exists() for path in left)
    assert "Is this the storage of this database?" in caplog.text


def test_a_database_that_knows_no_file_removes_none(app, session):
    lost = leave(app)
    session.execute(sa.update(Fax).values(source_id=None, pdf_id=None))
    session.execute(sa.delete(Document))
    session.commit()
    look()
    assert lost.exists()


def test_the_next_run_goes_on_where_time_was_up_and_the_day_after_all_is_looked_at_anew(
    app, cast, session, monkeypatch, marks
):
    lost = sorted(leave(app, age=OLD + timedelta(hours=n)) for n in range(3))
    monkeypatch.setattr(orphans, "BATCH", 1)
    for left in (2, 1, 0):
        orphans.remove_orphans(seconds=-1)
        assert sum(path.exists() for path in lost) == left
        assert orphans.DONE not in marks
    orphans.remove_orphans(seconds=-1)
    assert orphans.DONE in marks and orphans.PLACE not in marks
    late = leave(app)
    orphans.remove_orphans()
    assert late.exists(), "once a day is enough"
    del marks[orphans.DONE]
    orphans.remove_orphans()
    assert not late.exists()


def test_the_sweep_removes_them(app, session, marks, monkeypatch):
    monkeypatch.setattr(running, "application", lambda: app)
    lost = leave(app)
    session.rollback()
    sweep()
    assert not lost.exists()
