"""Many writers at SQLite's one write lock."""

import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import OperationalError

import app.jobs.running as running
from app.jobs.running import job
from app.jobs.sending import dispatch, prepare
from app.jobs.upkeep import watch
from app.models import Fax, Lane, Preview
from app.services.documents.previews import throw_away
from tenants.connections import JOB, Patience, waiting
from tenants.db import db
from tenants.models import Tenant
from tests.waiting import AT_MOST, in_time
from tests.web.cast import Cast


def test_writers_wait_for_each_other_and_lose_nothing(app, cast):
    def count(times):
        with app.app_context():
            for _ in range(times):
                tenant = db.session.get(Tenant, cast.alpha, populate_existing=True, with_for_update=True)
                tenant.last_fax_number += 1
                db.session.commit()

    with app.app_context():
        before = db.session.get_one(Tenant, cast.alpha).last_fax_number
        db.session.rollback()
    writers = [threading.Thread(target=count, args=(20,)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(200)
    with app.app_context():
        assert db.session.get_one(Tenant, cast.alpha).last_fax_number == before + 160


def test_a_writer_that_fails_lets_the_next_one_in(app, cast):
    with app.app_context():
        with pytest.raises(sa.exc.IntegrityError):
            db.session.execute(sa.insert(Fax).values(id="0" * 26))
        db.session.rollback()
        done = threading.Event()

        def write():
            with app.app_context():
                db.session.get_one(Tenant, cast.alpha).name = "Alpha Spa"
                db.session.commit()
                done.set()

        threading.Thread(target=write).start()
        assert done.wait(AT_MOST)


# ---- A turn ends, however its transaction does


@pytest.fixture
def file(app: Flask) -> Path:
    """The database's own."""
    with app.app_context():
        if db.engine.dialect.name != "sqlite":
            pytest.skip("only SQLite's writers queue up")
        return Path(db.engine.url.database)


def another_gets_through(app: Flask, cast: Cast) -> bool:
    """A writer on another connection; one that has to wait gives up after a while."""
    through = threading.Event()

    def write() -> None:
        with app.app_context(), suppress(OperationalError):
            db.session.get_one(Tenant, cast.alpha).name = "Alpha Spa"
            db.session.commit()
            through.set()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(AT_MOST)
    return through.is_set()


@contextmanager
def full_disk(file: Path) -> Iterator[None]:
    """No file of this process grows any more."""
    log, before = file.with_name(f"{file.name}-wal"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_more_than_fits(cast: Cast) -> None:
    db.session.get_one(Tenant, cast.alpha).suspended_reason = "x" * 100_000
    db.session.flush()


def test_a_commit_that_fails_lets_the_next_writer_in_at_once(app, cast, file):
    with app.app_context():
        write_more_than_fits(cast)
        with full_disk(file), pytest.raises(OperationalError):
            db.session.commit()
        assert another_gets_through(app, cast), "before anybody has rolled back"
        db.session.rollback()
        assert db.session.get_one(Tenant, cast.alpha).suspended_reason is None


def test_a_job_whose_commit_fails_lets_the_next_writer_in(app, cast, file, monkeypatch):
    monkeypatch.setattr(running, "application", lambda: app)

    @job
    def write_and_fail() -> None:
        write_more_than_fits(cast)
        with full_disk(file):
            db.session.commit()

    with pytest.raises(OperationalError):
        write_and_fail()
    assert another_gets_through(app, cast)


def test_a_rollback_that_fails_lets_the_next_writer_in(app, cast, file):
    """The connection is closed then, and with it whatever it holds."""
    with app.app_context():
        write_more_than_fits(cast)
        raw = db.session.connection().connection.dbapi_connection
        raw.set_authorizer(lambda *_: 1)  # SQLite then does nothing that it is told, not even to roll back
        with pytest.raises(sa.exc.DatabaseError):
            db.session.rollback()
        assert another_gets_through(app, cast)


def test_a_transaction_that_sqlite_itself_has_ended_is_not_committed(app, cast, file):
    """A full disk has it roll back in the middle; what follows must not count as all."""
    with app.app_context():
        db.session.get_one(Tenant, cast.alpha).name = "Alpha & Co"
        db.session.flush()
        db.session.connection().connection.dbapi_connection.execute("ROLLBACK")
        with pytest.raises(OperationalError):
            db.session.commit()
        assert another_gets_through(app, cast)


def _keep_writing(app: Flask, cast: Cast, begun: object) -> None:
    with app.app_context():
        db.engine.dispose(close=False)  # those of the parent
        db.session.get_one(Tenant, cast.alpha).name = "Alpha for ever"
        db.session.flush()
        begun.set()
        time.sleep(600)


@pytest.fixture
def writing_for_ever(app: Flask, cast: Cast, file: Path) -> Iterator[BaseProcess]:
    """Another process in the middle of a transaction."""
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(target=_keep_writing, args=(app, cast, begun), daemon=True)
    process.start()
    assert begun.wait(AT_MOST)
    yield process
    process.kill()
    process.join()


def test_a_turn_dies_with_its_process(app, cast, writing_for_ever):
    writing_for_ever.kill()
    assert another_gets_through(app, cast)


def test_who_waits_for_a_frozen_writer_is_told_after_a_while(app, cast, writing_for_ever):
    os.kill(writing_for_ever.pid, signal.SIGSTOP)
    began = time.monotonic()
    with in_time(JOB.lock), app.app_context(), waiting(Patience(statement=1, lock=0.5, idle=1)):
        with pytest.raises(OperationalError, match="locked"):
            db.session.get_one(Tenant, cast.alpha)
        db.session.rollback()
    assert time.monotonic() - began >= 0.5


def test_a_page_that_writes_says_in_time_that_a_frozen_process_has_the_turn(app, cast, alice, writing_for_ever):
    token = alice.token("/faxes")
    os.kill(writing_for_ever.pid, signal.SIGSTOP)
    with in_time(JOB.lock):
        answer = alice.client.post("/sign-out", data={"csrf_token": token})
        assert answer.status_code == 503 and "Check in a minute before you submit it again" in answer.text
        assert alice.get("/faxes").status_code == 200, "who only reads does not wait"


# ---- Who only looks does not queue


@contextmanager
def a_writer(app: Flask, cast: Cast) -> Iterator[None]:
    """Somebody else's, which does not come to an end."""
    begun, over = threading.Event(), threading.Event()

    def write() -> None:
        with app.app_context():
            db.session.get_one(Tenant, cast.alpha)
            begun.set()
            over.wait(200)
            db.session.rollback()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    assert begun.wait(AT_MOST)
    try:
        yield
    finally:
        over.set()
        thread.join(AT_MOST)


@pytest.mark.parametrize("look", ["dispatch", "prepare", "previews", "count"])
def test_a_job_that_finds_nothing_to_do_waits_for_no_writer(app, cast, file, monkeypatch, look):
    app.extensions["asterisk"] = SimpleNamespace(ping=lambda: None)
    looks = {
        "dispatch": dispatch._dispatch,
        "prepare": lambda: prepare._prepare_next(Lane.SLOW),
        "previews": lambda: throw_away(db.session, Preview.id == 1),
        "count": watch.count.__wrapped__,
    }
    # what follows a document may write, and is not what is tried here
    monkeypatch.setattr(prepare, "wake_others", lambda *_: None)
    monkeypatch.setattr(watch, "queue", lambda _: SimpleNamespace(count=0))
    with app.app_context(), a_writer(app, cast), waiting(Patience(statement=1, lock=0.3, idle=1)):
        looks[look]()  # raises where it waits
        db.session.rollback()
