"""Whether workers work is told by what they do (those that run: test_running_workers.py)."""

import contextlib
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis, RedisError
from rq.serializers import JSONSerializer
from rq.utils import import_attribute

from app.config import Settings
from app.factory import create_app
from app.jobs.serve import Worker
from app.queues import JOBS, QUEUES, queue, redis
from app.services.receiving.turned_away import note_turned_away, turned_away
from app.services.upkeep import health
from app.services.upkeep.health import check_health
from app.services.upkeep.working import SIGN_HOLDS, Sign, give_sign, note_served, signs, unserved
from tenants.db import db
from tests.waiting import in_time, until

ROOT = Path(__file__).parents[3]


@pytest.fixture
def redis_port() -> Iterator[int]:
    with running_redis() as port:
        yield port


@contextmanager
def running_redis() -> Iterator[int]:
    program = shutil.which("redis-server") or shutil.which("redis-server", path=ROOT / ".tools")
    if program is None:
        pytest.skip("there is no redis-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([program, "--port", str(port), "--save", "", "--bind", "127.0.0.1"])
    try:
        until(lambda: answers(port), "Redis answers")
        yield port
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(RedisError):
        return bool(Redis(port=port, socket_timeout=1).ping())
    return False


def environment_of(home: Path, redis_port: int) -> dict[str, str]:
    return {"FAXROOM_HOME": str(home), "SECRET_KEY": "a test", "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}


@contextmanager
def running_app(environment: dict[str, str]) -> Iterator[Flask]:
    app = create_app(Settings.from_environment(environment), RATELIMIT_STORAGE_URI="memory://")
    with app.app_context():
        db.create_all()
        yield app


@pytest.fixture
def app(redis_port: int, tmp_path: Path) -> Iterator[Flask]:
    with running_app(environment_of(tmp_path, redis_port)) as app:
        yield app


def test_a_worker_at_a_long_job_counts_for_its_queues_until_the_jobs_time_is_over(app):
    give_sign("one", Sign("here", ["documents", "mail"], left=200))
    give_sign("two", Sign("here", ["line"], left=0))
    note_served("line")
    assert unserved() == set(QUEUES) - {"documents", "mail", "line"}
    give_sign("one", Sign("here", ["documents", "mail"], left=0))
    assert unserved() == set(QUEUES) - {"line"}


def test_a_worker_that_says_nothing_any_more_is_forgotten(app):
    give_sign("one", Sign("here", ["line"], left=0))
    assert len(signs()) == 1
    assert 0 < redis().ttl("faxroom:workers:one") <= SIGN_HOLDS
    redis().delete("faxroom:workers:one")
    assert signs() == [] and redis().scard("faxroom:workers") == 0


def test_health_leaves_the_patience_of_everybody_else_as_it_is(app):
    """RQ's own list of workers makes whoever asks for it wait for minutes from then on."""
    before = dict(redis().connection_pool.connection_kwargs)
    check_health()
    assert redis().connection_pool.connection_kwargs == before


def test_health_is_told_in_time_though_everything_is_silent(redis_port: int, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = {"FAXROOM_HOME": str(tmp_path), "SECRET_KEY": "a test", "REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        settings |= {"ARI_URL": f"http://127.0.0.1:{port}", "UNOSERVER_URL": f"http://127.0.0.1:{port}"}
        app = create_app(Settings.from_environment(settings), RATELIMIT_STORAGE_URI="memory://")
        with in_time(), app.app_context():
            parts = check_health()
    assert health.LONGEST < 5
    assert not any(parts[name]["ok"] for name in ("redis", "asterisk", "jobs", "clock", "line", "collect"))
    assert all(part.get("advice") for part in parts.values() if not part["ok"])


def test_calls_that_found_no_place_are_told_for_a_day(app: Flask) -> None:
    now = datetime(2026, 12, 1, 10, 30, tzinfo=UTC)
    assert turned_away(now) == Counter()
    note_turned_away(Counter(caller=2, company=1), now - timedelta(hours=2))
    note_turned_away(Counter(caller=3), now)
    note_turned_away(Counter(caller=100), now - timedelta(hours=24))
    assert turned_away(now) == Counter(caller=5, company=1)


def note_done(what: str) -> None:
    redis().set("done", what)


def test_a_job_that_waited_during_an_upgrade_finds_its_function_where_it_lies_now(app, monkeypatch):
    monkeypatch.setitem(JOBS, "deliver", ("mail", f"{__name__}.note_done", 60))
    queue("mail").enqueue("app.jobs.where_it_was.deliver", "a mail")
    Worker([queue("mail")], connection=redis(), serializer=JSONSerializer).work(burst=True)
    assert redis().get("done") == b"a mail"


def test_the_function_of_a_job_has_its_name_and_is_there():
    for name, (_queue, path, _seconds) in JOBS.items():
        assert path.rpartition(".")[2] == name
        assert callable(import_attribute(path))
