"""A Redis that was emptied forgets the workers, and they go on; one that stands still is told."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.queues import QUEUES, queue, redis
from app.services.upkeep.health import check_health
from app.services.upkeep.working import unserved
from tests.unit.upkeep.test_working import ROOT, environment_of, running_app, running_redis
from tests.waiting import AT_MOST, until


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """Goes on after each test; the tests are within the context of its application."""
    with running_redis() as port:
        environment = environment_of(tmp_path_factory.mktemp("home"), port)
        with running_app(environment):
            command = [sys.executable, str(ROOT / "worker.py"), "jobs"]
            process = subprocess.Popen(command, env=os.environ | environment, cwd=ROOT, start_new_session=True)
            try:
                wait_until_served()
                yield process
            finally:
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


def test_workers_that_run_are_seen_again_after_redis_was_emptied(worker, monkeypatch):
    monkeypatch.setattr("app.services.upkeep.health.LONGEST", AT_MOST)
    redis().flushall()
    wait_until_served()
    assert check_health()["jobs"] == {"ok": True}


def test_a_worker_that_is_frozen_is_told_and_seen_again_when_it_goes_on(worker, monkeypatch):
    monkeypatch.setattr("app.services.upkeep.health.LONGEST", AT_MOST)
    freeze(worker)
    redis().flushall()  # what it said before has run out
    assert unserved() == set(QUEUES)
    assert check_health()["jobs"]["error"] == "not_running"
    tell_all(worker, signal.SIGCONT)
    wait_until_served()


def test_what_waits_says_nothing_about_who_works(worker):
    """Nor do questions that nobody answered heap up behind it."""
    freeze(worker)
    redis().flushall()
    for _ in range(50):
        queue("mail").enqueue("app.jobs.probe.probe", args=("nothing",))
    unserved(), unserved()
    assert queue("mail").count <= 52
    tell_all(worker, signal.SIGCONT)
    wait_until_served()
