"""Whether workers work is told by what they do: a Redis that was emptied forgets them, and they go on."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
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
    program = shutil.which("redis-server") or shutil.which("redis-server", path=ROOT / ".tools")
    if program is None:
        pytest.skip("there is no redis-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([program, "--port", str(port), "--save", "", "--bind", "127.0.0.1"])
    until(lambda: answers(port), "Redis answers")
    yield port
    server.send_signal(signal.SIGCONT)
    server.kill()
    server.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(RedisError):
        return bool(Redis(port=port, socket_timeout=1).ping())
    return False


@pytest.fixture
def environment(redis_port: int, tmp_path: Path) -> dict[str, str]:
    return {"FAXROOM_HOME": str(tmp_path), "SECRET_KEY": "a test", "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}


@pytest.fixture
def app(environment: dict[str, str]) -> Iterator[Flask]:
    app = create_app(Settings.from_environment(environment), RATELIMIT_STORAGE_URI="memory://")
    with app.app_context():
        db.create_all()
        yield app


@pytest.fixture
def worker(app: Flask, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(ROOT / "worker.py"), "jobs"]
    process = subprocess.Popen(command, env=os.environ | environment, cwd=ROOT, start_new_session=True)
    wait_until_served()
    yield process
    tell_all(process, signal.SIGKILL)
    process.wait()


def tell_all(worker: subprocess.Popen[bytes], number: int) -> None:
    """The process and those that it has forked, one for each queue."""
    os.killpg(worker.pid, number)


def freeze(worker: subprocess.Popen[bytes]) -> None:
    """All of it stands still afterwards: a signal alone is not yet obeyed."""
    tell_all(worker, signal.SIGSTOP)
    until(lambda: all(state == "T" for state in states(worker.pid)))
    redis().ping()  # by now it has taken whatever they had said


def states(group: int) -> Iterator[str]:
    """Of each process of ``group``, as proc(5) has them."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group, *_ = status.read_text().rpartition(")")[2].split()
            if int(its_group) == group:
                yield state


def wait_until_served() -> None:
    until(lambda: not unserved())


def test_workers_that_run_are_seen_again_after_redis_was_emptied(worker):
    redis().flushall()
    wait_until_served()
    assert check_health()["jobs"] == {"ok": True}


def test_a_worker_that_is_frozen_is_told_and_seen_again_when_it_goes_on(worker):
    freeze(worker)
    redis().flushall()  # what it said before has run out
    assert unserved() == set(QUEUES)
    assert check_health()["jobs"]["error"] == "not_running"
    tell_all(worker, signal.SIGCONT)
    wait_until_served()


def test_what_waits_says_nothing_about_who_works(app, worker):
    """Nor do questions that nobody answered heap up behind it."""
    freeze(worker)
    redis().flushall()
    for _ in range(50):
        queue("mail").enqueue("app.jobs.probe.probe", args=("nothing",))
    unserved(), unserved()
    assert queue("mail").count <= 52
    tell_all(worker, signal.SIGCONT)
    wait_until_served()


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
