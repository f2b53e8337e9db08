"""The child that does the work, and the workshop from which it comes."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.adapters.isolation import run_isolated
from app.errors import PermanentFailure
from tests.unit import harm

ROOT = Path(__file__).parents[2]


def test_a_child_past_its_deadline_is_killed():
    run_isolated(harm.look_around, "HOME", deadline_seconds=30)  # the workshop is open
    began = time.monotonic()
    with pytest.raises(PermanentFailure) as failure:
        run_isolated(harm.hang, deadline_seconds=0.3)
    assert failure.value.code == "conversion_timed_out"
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("work", "code"), [(harm.crash, "damaged"), (harm.eat, "too_many_pixels"), (harm.stumble, "damaged")]
)
def test_a_child_that_crashes_is_a_failure_of_its_document(work, code):
    with pytest.raises(PermanentFailure) as failure:
        run_isolated(work, deadline_seconds=10)
    assert failure.value.code == code


def test_a_child_taken_over_by_its_document_cannot_say_what_it_likes():
    with pytest.raises(PermanentFailure) as failure:
        run_isolated(harm.lie, deadline_seconds=5)
    assert failure.value.code == "damaged"


def test_a_child_knows_no_secret_of_its_owner(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "the owner's")
    told = []
    name, workshop, _ = run_isolated(harm.look_around, "SECRET_KEY", deadline_seconds=10, on_report=told.append)
    assert (name, told) == (None, ["looking"])
    assert b"SECRET_KEY" not in Path(f"/proc/{workshop}/environ").read_bytes()


def test_each_document_has_a_child_of_its_own_even_at_the_same_time():
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(run_isolated, harm.look_around, "HOME", deadline_seconds=30) for _ in range(24)]
    children = [call.result()[2] for call in calls]
    assert len(set(children)) == 24
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_a_workshop_that_was_killed_is_opened_again():
    _, workshop, _ = run_isolated(harm.look_around, "HOME", deadline_seconds=10)
    os.kill(workshop, signal.SIGKILL)
    _, another, _ = run_isolated(harm.look_around, "HOME", deadline_seconds=30)
    assert another != workshop


def test_the_workshop_and_its_children_end_with_their_owner():
    script = """
import sys, threading
from app.adapters.isolation import run_isolated
from tests.unit import harm
print(*run_isolated(harm.look_around, "HOME", deadline_seconds=30)[1:2], flush=True)
run_isolated(harm.hang, deadline_seconds=30)
"""
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    workshop = int(owner.stdout.readline())
    children = _wait(lambda: Path(f"/proc/{workshop}/task/{workshop}/children").read_text().split())
    owner.kill()
    owner.wait()
    _wait(lambda: not any(_lives(int(pid)) for pid in (workshop, *children)))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait(condition):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come true within 10 s")
