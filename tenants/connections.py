"""Connections to the database: how each begins, who may write when, and how long anybody waits for it.

Every wait has a limit (:class:`Patience`). A lock lives in a transaction, or in the kernel beside one, so that it ends
with its transaction and dies with its process.
"""

import fcntl
import os
import select
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.errors import NumericValueOutOfRange, _WaitTimeout
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

#: What a database raises that is away, full, frozen or held by somebody else. Nothing was written then.
DATABASE_DOWN = (
    *(sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError),
    *(sa.exc.DisconnectionError, sa.exc.TimeoutError),  # of the pool: all connections are taken
)


def beyond_any_row(error: Exception) -> bool:
    """Whether a number was asked for that no column can hold: SQLite's driver takes 64 bits, PostgreSQL a bigint."""
    if isinstance(error, sa.exc.DataError):
        return isinstance(error.orig, NumericValueOutOfRange)
    return isinstance(error, OverflowError) and "SQLite INTEGER" in str(error)


@dataclass(frozen=True)
class Patience:
    """How long to wait for the database, in seconds. ``statement`` of 0: for ever."""

    statement: float
    lock: float
    #: How long a transaction may do nothing. PostgreSQL ends it, so that a frozen process keeps no lock.
    idle: float


#: Somebody looks at an empty page: within 5 s they have to read something.
PAGE = Patience(statement=4, lock=3, idle=120)
#: What is noted beside an answer, and holds it up.
ASIDE = Patience(statement=1, lock=0.5, idle=120)
JOB = Patience(statement=60, lock=20, idle=300)
#: What goes through all faxes of a company: files of the log, deletions, figures.
LONG = Patience(statement=600, lock=20, idle=300)
#: The form of the database changes while nothing else runs.
MIGRATION = Patience(statement=0, lock=60, idle=0)

CONNECT_SECONDS = 2  # to each address of the server; psycopg knows no shorter
POOL_SECONDS = 3  # whole ones
#: PostgreSQL tells by itself that a statement took too long; one that is frozen or cut off is given up a little later.
GRACE_SECONDS = 0.7
#: The network's own limits (libpq), for answers that may take long.
NETWORK = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}

#: Questions as short as a page's are not compiled, which takes longer than they last. In a transaction that asks the
#: same ten times they are not planned once for any company and any word, however many faxes have it. And what they need
#: is in memory, or on a disk without a moving head: PostgreSQL would rather read an index whole than a list in its
#: order.
POSTGRESQL = """
SET jit = off;
SET plan_cache_mode = force_custom_plan;
SET seq_page_cost = 0.2;
SET random_page_cost = 0.2;
"""
#: Between two looks for the turn of a writer, at first and at most. A turn lasts a millisecond or two; a look costs
#: 50 µs of the processor, so that eight who looked every millisecond would take two fifths of one.
LOOK_SECONDS = (0.0005, 0.004)
#: Who has waited so long looks as often as who has just come, else those would always be before them.
OFTEN_AGAIN_SECONDS = 0.1

#: Set while a web request only reads. SQLite then begins deferred and does not wait for a writer.
read_only: ContextVar[bool] = ContextVar("read_only", default=False)
patience: ContextVar[Patience] = ContextVar("patience", default=JOB)


@contextmanager
def only_reading() -> Iterator[None]:
    """What begins in here only reads, after a request and in a job too."""
    token = read_only.set(True)
    try:
        yield
    finally:
        read_only.reset(token)


@contextmanager
def writing() -> Iterator[None]:
    """What begins in here writes, between what only reads. To be entered without a transaction, and left without."""
    token = read_only.set(False)
    try:
        yield
    finally:
        read_only.reset(token)


@contextmanager
def waiting(wanted: Patience) -> Iterator[None]:
    """Transactions that begin in here wait so long for the database."""
    token = patience.set(wanted)
    try:
        yield
    finally:
        patience.reset(token)


@contextmanager
def reading_long() -> Iterator[None]:
    """A part of a file that is made while it travels: it only reads, and may take longer than a page."""
    with only_reading(), waiting(LONG):
        yield


# ---- SQLite


class _Turns:
    """The queue of those who write to one file. A turn is a lock of the kernel, which ends with its holder.

    SQLite's own waiting sleeps for ever longer, up to 100 ms, though the lock is free again after one or two.
    """

    def __init__(self, path: str) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:  # the disk is full or read-only, or there is no descriptor left
            raise sqlite3.OperationalError(f"unable to open {path}: {error.strerror}") from error

    def take(self, until: float) -> None:
        """Raises OperationalError when the time is up: who has the turn is frozen, or stuck."""
        shortest, longest = LOOK_SECONDS
        pause, often = shortest, time.monotonic() + OFTEN_AGAIN_SECONDS
        while not self._is_ours():
            if (now := time.monotonic()) > until:
                raise sqlite3.OperationalError("database is locked: another writer does not come to an end")
            time.sleep(pause)
            pause = min(pause * 2, longest) if now < often else shortest

    def _is_ours(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def give_back(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)


class _Queued(sqlite3.Connection):
    """Has its turn for as long as its transaction writes, however that ends."""

    def __init__(self, database: str, *arguments: Any, **options: Any) -> None:
        super().__init__(database, *arguments, **options)
        file = Path(database).resolve()  # a link may lead to it, and where that is nothing can be made
        self._turns = _Turns(f"{file}-queue") if file.is_file() else None
        self._writes = False

    def begin(self) -> None:
        self._wait_at_most(patience.get().lock)
        self.execute("BEGIN")

    def begin_writing(self) -> None:
        """Writers take SQLite's one write lock at BEGIN: a later upgrade would fail at once instead of waiting."""
        until = time.monotonic() + patience.get().lock
        if self._turns:
            self._turns.take(until)
        try:
            self._wait_at_most(until - time.monotonic())  # for who does not queue: a backup, a person's own sqlite3
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._end()
            raise
        self._writes = True

    def _wait_at_most(self, seconds: float) -> None:
        self.execute(f"PRAGMA busy_timeout={max(0, round(seconds * 1000))}")

    def commit(self) -> None:
        """One that fails is rolled back here: SQLAlchemy takes a failed commit for the end of the transaction and hands
        the connection to the next as it is, with the turn and SQLite's lock."""
        try:
            if self._writes and not self.in_transaction:  # a full disk has SQLite roll back by itself
                raise sqlite3.OperationalError("the transaction was rolled back before its end")
            super().commit()
        except BaseException:
            self.rollback()
            raise
        self._end()

    def rollback(self) -> None:
        """A connection that cannot even do this is closed, which ends all that it holds."""
        try:
            super().rollback()
        except BaseException:
            self.close()
            raise
        self._end()

    def _end(self) -> None:
        self._writes = False
        if self._turns:
            self._turns.give_back()

    def close(self) -> None:
        try:
            super().close()
        finally:
            if self._turns:
                self._turns.close()
                self._turns = None


# ---- PostgreSQL


class _Limited(psycopg.Connection):
    """Does not wait for ever for a server that is frozen or cut off; it is of no use afterwards."""

    seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.seconds if timeout is None else timeout)
        except _WaitTimeout as error:
            if timeout is not None:  # somebody else's, who deals with it
                raise
            self.close()
            raise psycopg.OperationalError("the database does not answer") from error

    def be_patient(self, wanted: Patience) -> None:
        """Outside of a transaction; holds for those that follow."""
        limits = {
            "statement_timeout": wanted.statement,
            "lock_timeout": wanted.lock,
            "idle_in_transaction_session_timeout": wanted.idle,
        }
        self.seconds = wanted.statement + GRACE_SECONDS if wanted.statement else None
        self.execute("; ".join(f"SET {name} = {round(seconds * 1000)}" for name, seconds in limits.items()))
        self.commit()

    def is_over(self) -> bool:
        """The server has said something while nobody asked: that it ends this connection."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))


# ---- What SQLAlchemy is told


@event.listens_for(Engine, "do_connect")
def _connect(dialect: sa.Dialect, _record: Any, arguments: Any, options: dict[str, Any]) -> Any:
    if dialect.name == "sqlite":
        options.setdefault("factory", _Queued)
        return None
    if dialect.name == "postgresql":
        return _Limited.connect(*arguments, **{"connect_timeout": CONNECT_SECONDS, **NETWORK, **options})
    return None


@event.listens_for(Engine, "connect")
def _prepare(connection: Any, _record: Any) -> None:
    if isinstance(connection, _Limited):
        connection.seconds = CONNECT_SECONDS
        connection.execute(POSTGRESQL)
        connection.commit()
    if isinstance(connection, sqlite3.Connection):
        # The driver's own transaction handling is switched off: _begin says BEGIN itself.
        connection.isolation_level = None
        busy = f"busy_timeout={round(PAGE.lock * 1000)}"
        for pragma in (busy, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Pool, "checkout")
def _be_patient(connection: Any, record: Any, _proxy: Any) -> None:
    """A connection that was closed meanwhile is left for a fresh one, without asking the server each time."""
    if not isinstance(connection, _Limited):
        return
    wanted = patience.get()
    try:
        if connection.is_over():
            raise sa.exc.DisconnectionError("the database has closed this connection")
        if record.info.get("patience") != wanted:
            connection.be_patient(wanted)
            record.info["patience"] = wanted
    except psycopg.OperationalError as error:
        raise sa.exc.DisconnectionError(str(error)) from error


@event.listens_for(Engine, "begin")
def _begin(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    raw: Any = connection.connection.dbapi_connection
    try:
        if not isinstance(raw, _Queued):  # a file of its own, which nobody else writes: that of a backup
            raw.execute("BEGIN")
        elif read_only.get():
            raw.begin()
        else:
            raw.begin_writing()
    except sqlite3.Error as error:  # SQLAlchemy makes its own kind of what a statement raises, and not of this
        raise sa.exc.DBAPIError.instance("BEGIN", (), error, sqlite3.Error, dialect=connection.dialect) from error
