"""Redis only wakes workers: one that is down or silent holds nobody up."""

import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from redis import RedisError

from app.config import Settings
from app.factory import create_app
from app.queues import SECONDS, begin_once, connect, enqueue, redis
from app.services.upkeep.health import beat
from tests.waiting import AT_MOST, Silent, silent_server


@pytest.fixture
def silent() -> Iterator[Silent]:
    with silent_server() as server:
        yield server


@pytest.fixture
def app(silent: Silent, tmp_path) -> Flask:
    environment = {
        "FAXROOM_HOME": str(tmp_path),
        "SECRET_KEY": "a test",
        "REDIS_URL": f"redis://127.0.0.1:{silent.port}/0",
    }
    return create_app(Settings.from_environment(environment), RATELIMIT_STORAGE_URI="memory://")


def test_a_redis_that_is_silent_holds_up_neither_jobs_nor_the_line(app):
    ended = []

    def work() -> None:
        with app.app_context():
            enqueue("dispatch")
            ended.append("enqueue")
            with pytest.raises(RedisError):
                beat("line")
            ended.append("beat")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(AT_MOST)
    assert ended == ["enqueue", "beat"]


def test_each_wait_for_redis_ends_after_a_second(app, silent):
    told = redis_of(app).connection_pool.connection_kwargs
    assert (told["socket_connect_timeout"], told["socket_timeout"]) == (SECONDS, SECONDS) == (1, 1)
    fresh = connect(f"redis://127.0.0.1:{silent.port}/0")
    before = silent.came()
    with pytest.raises(RedisError):
        fresh.ping()
    assert silent.came() == before + 1, "neither greeting, connecting nor command is repeated"


def redis_of(app):
    with app.app_context():
        return redis()


def test_a_job_that_cannot_say_that_it_has_begun_goes_on(app):
    with app.app_context():
        begin_once("dispatch")
