"""A worker for each kind of job: none waits for another's neighbour, and none is lost or left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.crew import KINDS
from app.models import Lane
from app.queues import JOBS, LANE_JOBS, QUEUES, first_lane
from tests.waiting import until

ROOT = Path(__file__).parents[3]
#: A crew whose workers only write down who they are and sleep.
SCRIPT = """
import os, sys, time
from pathlib import Path
from app.jobs import crew, serve

def stay(queues):
    Path(sys.argv[1], str(os.getpid())).write_text(queues[0])
    time.sleep(600)

serve.run = stay
crew.Crew(["mail", "offices"]).run()
"""


def test_every_queue_is_served_and_only_drawing_helps_out_the_line() -> None:
    assert {queue for queues in KINDS.values() for queue in queues} == set(QUEUES)
    assert {kind: queues for kind, queues in KINDS.items() if queues != (kind,)} == {"documents": ("documents", "line")}
    assert {queue for queue, *_ in JOBS.values()} == set(QUEUES)


def test_what_needs_no_office_never_waits_behind_what_does() -> None:
    lanes = {kind: first_lane(kind) for kind in ("pdf", "tiff", "jpeg", "doc", "odt", "xlsx", "txt")}
    assert [kind for kind, lane in lanes.items() if lane == "documents"] == ["pdf", "tiff", "jpeg"]
    assert set(lanes.values()) == {"documents", "offices"}


def test_each_lane_is_a_queue_of_its_own() -> None:
    assert {lane: JOBS[LANE_JOBS[lane]][0] for lane in Lane} == {lane: lane.value for lane in Lane}


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, tmp_path], cwd=ROOT)
    yield process
    process.kill()
    process.wait()


def workers(folder: Path) -> dict[int, str]:
    told = {int(path.name): path.read_text() for path in folder.iterdir()}
    return {pid: kind for pid, kind in told.items() if Path(f"/proc/{pid}/stat").exists()}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_that_was_killed_is_there_again(crew: subprocess.Popen[bytes], tmp_path: Path) -> None:
    until(lambda: sorted(workers(tmp_path).values()) == ["mail", "offices"])
    killed = next(pid for pid, kind in workers(tmp_path).items() if kind == "mail")
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in workers(tmp_path) and sorted(workers(tmp_path).values()) == ["mail", "offices"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_one_that_forked_it(crew, tmp_path: Path, number: signal.Signals) -> None:
    until(lambda: len(workers(tmp_path)) == 2)
    pids = list(workers(tmp_path))
    crew.send_signal(number)
    crew.wait(60)
    until(lambda: not any(map(alive, pids)))
