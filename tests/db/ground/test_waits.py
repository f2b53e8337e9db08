"""Every wait for the database has an end: read back from the database itself, and tried."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

import app.jobs.running as running
from app.factory import LOOKUPS
from app.jobs.running import job
from app.jobs.upkeep import erase, sweep, watch
from tenants import connections
from tenants.connections import (
    ASIDE,
    CONNECT_SECONDS,
    DATABASE_DOWN,
    JOB,
    LONG,
    MIGRATION,
    PAGE,
    POOL_SECONDS,
    Patience,
    patience,
    reading_long,
    waiting,
)
from tenants.db import db
from tenants.models import Tenant
from tests.waiting import AT_MOST, in_time, silent_server
from tests.web.cast import Browser

SHORT = Patience(statement=0.5, lock=0.3, idle=1)
#: Within which a page has to be there.
PAGE_SECONDS = 5


@pytest.fixture
def postgresql(app: Flask) -> None:
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            pytest.skip("only PostgreSQL has these limits")


def limits(session: Session) -> Patience:
    """As the database itself has them for this transaction."""
    if session.get_bind().dialect.name == "sqlite":
        lock = session.scalar(sa.text("PRAGMA busy_timeout")) / 1000
        return Patience(patience.get().statement, lock, patience.get().idle)
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    told = [session.scalar(sa.text(f"SELECT setting FROM pg_settings WHERE name = '{name}'")) for name in names]
    session.rollback()
    return Patience(*(int(value) / 1000 for value in told))


@pytest.mark.parametrize("wanted", [PAGE, ASIDE, JOB, LONG, MIGRATION, PAGE])
def test_the_database_has_the_limits_that_are_wanted_now(session, wanted):
    with waiting(wanted):
        assert limits(session).lock == pytest.approx(wanted.lock, abs=0.01)
        assert limits(session).statement == wanted.statement
        assert limits(session).idle == wanted.idle
        session.rollback()


def test_a_page_a_job_and_what_takes_long_have_theirs(app, cast, alice: Browser, session, monkeypatch):
    seen: list[Patience] = []
    monkeypatch.setattr("app.web.faxes.fax_pages.read_page", lambda *_, **__: seen.append(limits(db.session)) or 1 / 0)
    monkeypatch.setattr(running, "application", lambda: app)
    app.config["TESTING"] = False
    alice.get("/faxes")
    assert [(one.statement, one.idle) for one in seen] == [(PAGE.statement, PAGE.idle)]
    assert patience.get() == JOB, "a request leaves nothing behind"
    job(lambda: seen.append(patience.get()))()
    assert seen[-1] == JOB
    with reading_long():
        assert limits(session).statement == LONG.statement
        session.rollback()


@pytest.mark.parametrize(
    ("module", "name", "argument"), [(erase, "erase", [1]), (sweep, "sweep", []), (watch, "count", [])]
)
def test_what_goes_through_all_of_a_company_is_not_cut_off(app, cast, monkeypatch, module, name, argument):
    seen: list[Patience] = []

    def note(*_: object, **__: object) -> None:
        seen.append(patience.get())
        raise KeyError

    monkeypatch.setattr(running, "application", lambda: app)
    first = {"erase": "tenants_to_erase", "sweep": "utc_now", "count": "count_days"}[name]
    monkeypatch.setattr(module, first, note)
    with pytest.raises(KeyError):
        getattr(module, name)(*argument)
    assert seen == [LONG]


def test_a_page_comes_in_time_whichever_limit_is_reached():
    assert max(PAGE.statement + connections.GRACE_SECONDS, PAGE.lock, POOL_SECONDS, CONNECT_SECONDS) < PAGE_SECONDS
    assert ASIDE.lock + ASIDE.statement < PAGE_SECONDS - PAGE.lock, "what is noted beside an answer holds it up"


def test_names_are_looked_up_for_a_few_seconds_at_most(app):
    assert os.environ["RES_OPTIONS"] == LOOKUPS == "timeout:1 attempts:2"


def test_who_waits_for_a_connection_is_told_after_a_while(app, session):
    assert db.engine.pool._timeout == POOL_SECONDS


# ---- An outsider's lock


@pytest.fixture
def locked(app: Flask, postgresql: None) -> Iterator[None]:
    """Somebody else holds all of the companies, and does not let go."""
    with app.app_context():
        engine = db.engine
    with engine.connect() as outsider:
        outsider.execute(sa.text("LOCK TABLE tenant IN ACCESS EXCLUSIVE MODE"))
        yield
        outsider.rollback()


def test_a_page_says_in_time_that_somebody_else_holds_the_rows(app, cast, alice, locked):
    app.config["TESTING"] = False
    began = time.monotonic()
    with in_time(JOB.lock):
        answer = alice.get("/faxes")
    assert answer.status_code == 503 and "Your faxes are safe" in answer.text
    assert time.monotonic() - began > PAGE.lock - 0.5


def test_a_statement_that_takes_too_long_is_ended_by_the_database(session, postgresql):
    with in_time(JOB.statement / 2), waiting(SHORT), pytest.raises(DATABASE_DOWN, match="statement timeout"):
        session.execute(sa.text("SELECT pg_sleep(600)"))


def test_a_transaction_of_a_process_that_is_frozen_loses_its_locks(app, cast, session, postgresql):
    with waiting(Patience(statement=30, lock=30, idle=1)):
        session.get(Tenant, cast.alpha, with_for_update=True)
        done = threading.Event()

        def write() -> None:
            with app.app_context():
                db.session.get_one(Tenant, cast.alpha).name = "Alpha Spa"
                db.session.commit()
                done.set()

        threading.Thread(target=write, daemon=True).start()
        assert done.wait(AT_MOST)
        with pytest.raises(DATABASE_DOWN):
            session.execute(sa.text("SELECT 1"))
        session.rollback()


# ---- A server that is frozen, or restarted


def pid_of(connection: sa.Connection) -> int:
    return connection.scalar(sa.text("SELECT pg_backend_pid()"))


def test_a_server_that_is_frozen_is_given_up(app, session, postgresql):
    """It cannot end its statement itself: whoever waits does."""
    with waiting(SHORT):
        pid = pid_of(session.connection())
        try:
            os.kill(pid, signal.SIGSTOP)
        except (ProcessLookupError, PermissionError):
            pytest.skip("the server runs elsewhere")
        try:
            with in_time(JOB.statement / 2):
                with pytest.raises(DATABASE_DOWN, match="does not answer"):
                    session.execute(sa.text("SELECT 1"))
                session.rollback()
        finally:
            os.kill(pid, signal.SIGCONT)
    assert session.scalar(sa.text("SELECT 1")) == 1, "on another connection"


def test_connections_that_the_server_has_closed_are_left_without_anybody_noticing(app, cast, alice, postgresql):
    assert alice.get("/faxes").status_code == 200
    with app.app_context(), db.engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {}"
        connection.execute(sa.text(others.format("datname = current_database()")))
        connection.rollback()
    assert alice.get("/faxes").status_code == 200


def test_a_server_that_takes_connections_and_is_silent_is_given_up(postgresql):
    with silent_server() as silent:
        engine = sa.create_engine(f"postgresql+psycopg://a:b@127.0.0.1:{silent.port}/c")
        with in_time(), pytest.raises(DATABASE_DOWN):
            engine.connect()
        assert 0 < silent.came() * CONNECT_SECONDS < PAGE_SECONDS


def test_a_network_that_is_cut_off_ends_a_long_wait_too(app, session, postgresql):
    raw: psycopg.Connection = session.connection().connection.dbapi_connection
    told = raw.info.get_parameters()
    assert {name: told[name] for name in connections.NETWORK} == {k: str(v) for k, v in connections.NETWORK.items()}
