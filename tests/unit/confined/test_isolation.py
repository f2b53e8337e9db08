"""The child that does the work, and the workshop from which it comes."""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.adapters.confined import confinement, isolation, room
from app.adapters.confined.isolation import run_isolated
from app.adapters.confined.yielding import GaveWay, sliced
from app.adapters.pdf import printer
from app.errors import PermanentFailure, TemporaryFailure
from tests.unit import harm, slow_to_warm
from tests.waiting import in_time, until

ROOT = Path(__file__).parents[3]
#: The niceness of whoever runs the tests.
OURS = os.nice(0)


def test_a_child_past_its_deadline_is_killed():
    run_isolated(harm.look_around, "HOME", deadline_seconds=250)  # the workshop is open
    with in_time(), pytest.raises(PermanentFailure) as failure:
        run_isolated(harm.hang, deadline_seconds=0.3)
    assert failure.value.code == "conversion_timed_out"


def test_what_has_had_its_time_gives_way_only_to_somebody_who_waits():
    asked = []
    with sliced(0.5, lambda: bool(asked.append(1))):
        assert run_isolated(harm.toil, 1.5, deadline_seconds=250) == OURS
    assert asked, "it was asked whether somebody waits"
    with sliced(0.5, lambda: True), pytest.raises(GaveWay):
        run_isolated(harm.toil, 600, deadline_seconds=120)


def test_a_second_hand_s_time_is_the_document_s():
    with sliced(0.5, lambda: True), pytest.raises(GaveWay):
        run_isolated(harm.have_another_toil, 60, deadline_seconds=120)
    with sliced(0.5, lambda: True):
        assert run_isolated(harm.toil, 0.01, deadline_seconds=250) == OURS


def test_its_time_is_one_over_all_of_its_children():
    with sliced(1.2, lambda: True):
        run_isolated(harm.toil, 0.8, deadline_seconds=250)
        with pytest.raises(GaveWay):
            run_isolated(harm.toil, 600, deadline_seconds=120)


def test_a_child_that_waits_uses_up_nothing():
    """On a busy machine time passes in which nothing was done for the document."""
    with sliced(0.1, lambda: True), pytest.raises(PermanentFailure) as late:
        run_isolated(harm.hang, deadline_seconds=1)
    assert late.value.code == "conversion_timed_out"


def test_a_child_that_works_long_goes_on_beside_the_others():
    assert run_isolated(harm.toil_until_lowered, deadline_seconds=250) == 10
    assert run_isolated(harm.toil, 0.1, deadline_seconds=250) == OURS


def test_a_second_hand_that_works_long_goes_on_beside_the_others_too():
    assert run_isolated(harm.have_another_toil_for_long, deadline_seconds=250) == 10


def test_nothing_that_a_child_has_forked_outlives_it():
    assert not Path(f"/proc/{run_isolated(harm.leave_one_behind, deadline_seconds=250)}").exists()


@pytest.mark.parametrize(
    ("work", "code"),
    [(harm.crash, "damaged"), (harm.abort, "damaged"), (harm.eat, "too_many_pixels"), (harm.stumble, "damaged")],
)
def test_a_child_that_crashes_is_a_failure_of_its_document(work, code):
    with pytest.raises(PermanentFailure) as failure:
        run_isolated(work, deadline_seconds=250)
    assert failure.value.code == code


def test_a_child_that_somebody_killed_is_no_fault_of_its_document(tmp_path):
    mark = tmp_path / "mark"
    assert run_isolated(harm.be_killed_once, str(mark), writes=[mark], deadline_seconds=250) == "whole"


def killed(mark: Path, times: int):
    """What comes of a document whose first children somebody kills."""
    end = lambda pid: os.kill(pid, signal.SIGKILL)  # noqa: E731 - a name for what is done
    return run_isolated(harm.wait_to_be_killed, str(mark), times, writes=[mark], deadline_seconds=250, on_report=end)


def test_children_that_are_killed_one_after_the_other_are_no_fault_of_their_document(tmp_path):
    assert killed(tmp_path / "mark", 3) == "whole"
    with pytest.raises(TemporaryFailure) as failure:
        killed(tmp_path / "another", 99)
    assert failure.value.code == "file_unreadable"


def test_a_machine_without_a_thread_left_is_no_fault_of_the_document():
    with pytest.raises(TemporaryFailure) as failure:
        run_isolated(harm.find_no_thread, deadline_seconds=250)
    assert failure.value.code == "file_unreadable"


def test_a_report_that_cannot_be_printed_is_printed_later(monkeypatch):
    def broken(*_arguments, **_more):
        raise PermanentFailure("damaged")

    monkeypatch.setattr(printer, "run_isolated", broken)
    with pytest.raises(TemporaryFailure):
        printer.print_pdf("<p>x")


def test_a_child_taken_over_by_its_document_cannot_say_what_it_likes():
    with pytest.raises(PermanentFailure) as failure:
        run_isolated(harm.lie, deadline_seconds=250)
    assert failure.value.code == "damaged"


def test_a_child_knows_no_secret_of_its_owner(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "the owner's")
    told = []
    name, workshop, _ = run_isolated(harm.look_around, "SECRET_KEY", deadline_seconds=250, on_report=told.append)
    assert (name, told) == (None, ["looking"])
    assert b"SECRET_KEY" not in Path(f"/proc/{workshop}/environ").read_bytes()


@pytest.mark.skipif(not confinement.can_confine(), reason="this kernel has no Landlock")
def test_a_child_reaches_the_files_it_was_given_and_nothing_else(tmp_path):
    given, written, canary = tmp_path / "given", tmp_path / "written", tmp_path / "another's fax"
    given.write_text("mine")
    canary.write_text("another's")
    names = (str(given), str(written), str(canary), os.getpid())
    came = run_isolated(harm.try_everything, *names, reads=[given], writes=[written], deadline_seconds=250)
    assert {name for name, answer in came.items() if answer == "yes"} == {
        "read what it was given",
        "write what it was given",
    }
    assert written.read_text() == "x"


FILTERED = """
import ctypes, os
from app.adapters.confined import confinement
libc, me = ctypes.CDLL(None), os.getpid()
libc.prctl(confinement.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
confinement.apply_filter(confinement.call_filter())
signalled = (libc.kill(me, 0), libc.tgkill(me, me, 0))
print(*signalled, libc.setpriority(0, me, 19), libc.sched_setaffinity(me, 8, bytes([255] * 8)))
"""


@pytest.mark.skipif(confinement.why_no_fence() is not None, reason="no libseccomp")
def test_the_filter_alone_keeps_a_child_from_other_processes():
    """Before Linux 6.12, Landlock says nothing of signals."""
    done = subprocess.run([sys.executable, "-c", FILTERED], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["-1"] * 4, done.stderr


FENCED = """
import os, sys
from app.adapters.confined import confinement
from tests.unit import harm
folder = sys.argv.pop(1)
confinement.landlock_version = lambda known=min(int(sys.argv.pop(1)), confinement.landlock_version()): known
confinement.fence(folder=folder, shown=[sys.argv[2].replace("canary", "shown")])
if sys.argv.pop(1) == "LibreOffice":
    confinement.apply_filter(confinement.call_filter(confinement.LIBREOFFICE))
os.chdir(folder)
harm.try_everything_behind_the_fence()
"""
OWN = {"write in its folder", "begin a thread", "run a program", "wait at a socket"}


def behind_the_fence(folder, *, version, who):
    """What a program that was taken over there can do, of all that it tries, as on a kernel that old."""
    inside, outside = folder / "inside", folder / "outside"
    inside.mkdir()
    outside.mkdir()
    for name in ("canary", "shown"):
        (outside / name).write_text("another's")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(outside / "socket"))
        listening.listen()
        arguments = (inside, version, who, outside / "canary", os.getpid(), outside / "socket")
        command = [sys.executable, "-c", FENCED, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert (outside / "canary").read_text() == (outside / "shown").read_text() == "another's"
    return set(done.stdout.splitlines())


@pytest.mark.skipif(confinement.why_no_fence() is not None, reason="no Landlock or no libseccomp")
@pytest.mark.parametrize("version", [1, 2, 3, 4, 6, 9])
def test_a_libreoffice_behind_the_fence_reaches_its_folder_and_nothing_else(tmp_path, version):
    assert behind_the_fence(tmp_path, version=version, who="LibreOffice") == OWN


@pytest.mark.skipif(confinement.why_no_fence() is not None, reason="no Landlock or no libseccomp")
def test_who_speaks_for_it_may_connect_and_set_it_back_and_no_more(tmp_path):
    allowed = {"connect to a socket", "slow its caller down"}
    assert behind_the_fence(tmp_path, version=9, who="gpg") - allowed == OWN


def test_a_program_stands_behind_the_fence_where_there_are_no_namespaces(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "there_are_rooms", lambda: False)
    (tmp_path / "home").mkdir()
    (tmp_path / "canary").write_text("another's")
    look = f"echo mine >own; cat own; cat {tmp_path}/canary; ls /proc"
    command = room.confined_command(["sh", "-c", look], str(tmp_path / "home"))
    done = subprocess.run(command, cwd=tmp_path / "home", capture_output=True, text=True, timeout=60)
    assert done.stdout == "mine\n"
    monkeypatch.setattr(confinement, "why_no_fence", lambda: "there is none")
    assert room.confined_command(["gpg"], "/home") == ["gpg"]


def test_a_place_that_cannot_be_written_is_no_fault_of_the_document(tmp_path):
    with pytest.raises(TemporaryFailure, match="file_unreadable"):
        run_isolated(harm.look_around, "HOME", writes=[tmp_path / "gone" / "pages.tif"], deadline_seconds=250)


def test_a_child_knows_its_own_files_by_any_name(tmp_path):
    """A storage may be a link to another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "given").write_text("mine")
    (tmp_path / "storage").symlink_to(tmp_path / "disk")
    given = tmp_path / "storage" / "given"
    names = (str(given), str(tmp_path / "written"), str(given), os.getpid())
    came = run_isolated(harm.try_everything, *names, reads=[given], writes=[tmp_path / "written"], deadline_seconds=250)
    assert came["read what it was given"] == "yes"


def test_each_document_has_a_child_of_its_own_even_at_the_same_time():
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(run_isolated, harm.look_around, "HOME", deadline_seconds=250) for _ in range(24)]
    children = [call.result()[2] for call in calls]
    assert len(set(children)) == 24
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def the_one_that_waits():
    """The workshop, and the pid of the child that it has forked before it is needed."""
    _, workshop, _ = run_isolated(harm.look_around, "HOME", deadline_seconds=250)
    (child,) = until(lambda: _children(workshop))
    until(lambda: _sleeps(child))
    return workshop, child


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_child_waits_for_the_next_document_and_opens_no_other():
    _, waiting = the_one_that_waits()
    served = [run_isolated(harm.look_around, "HOME", deadline_seconds=250)[2] for _ in range(2)]
    assert served[0] == waiting
    assert served[1] != waiting
    assert not Path(f"/proc/{waiting}").exists()


def test_a_child_that_waited_is_limited_and_confined_as_any_other():
    for work, code in ((harm.eat, "too_many_pixels"), (harm.crash, "damaged")):
        the_one_that_waits()
        with pytest.raises(PermanentFailure) as failure:
            run_isolated(work, deadline_seconds=250)
        assert failure.value.code == code


@pytest.mark.skipif(not confinement.can_confine(), reason="this kernel has no Landlock")
def test_a_child_that_waited_reaches_the_files_it_was_given_and_nothing_else(tmp_path):
    given, canary = tmp_path / "given", tmp_path / "another's fax"
    given.write_text("mine")
    canary.write_text("another's")
    names = (str(given), str(tmp_path / "written"), str(canary), os.getpid())
    the_one_that_waits()
    came = run_isolated(harm.try_everything, *names, reads=[given], writes=[tmp_path / "written"], deadline_seconds=250)
    assert {name for name, answer in came.items() if answer == "yes"} == {
        "read what it was given",
        "write what it was given",
    }


def test_a_document_waits_for_no_child_that_is_not_ready():
    workshop, _ = run_isolated(slow_to_warm.who, deadline_seconds=250)
    warming = until(lambda: _children(workshop))[0]
    assert run_isolated(slow_to_warm.who, deadline_seconds=250)[1] != warming
    until(lambda: _listens_to(slow_to_warm.TOLD, warming))
    os.kill(warming, slow_to_warm.TOLD)
    until(lambda: run_isolated(slow_to_warm.who, deadline_seconds=250)[1] == warming)


def test_a_child_that_was_killed_while_it_waited_is_replaced():
    workshop, waiting = the_one_that_waits()
    os.kill(waiting, signal.SIGKILL)
    until(lambda: not _lives(waiting))
    _, same, child = run_isolated(harm.look_around, "HOME", deadline_seconds=250)
    assert same == workshop
    assert child != waiting


def test_a_workshop_that_was_killed_is_opened_again():
    _, workshop, _ = run_isolated(harm.look_around, "HOME", deadline_seconds=250)
    os.kill(workshop, signal.SIGKILL)
    _, another, _ = run_isolated(harm.look_around, "HOME", deadline_seconds=250)
    assert another != workshop


def test_the_workshop_and_its_children_end_with_their_owner():
    script = """
import sys, threading
from app.adapters.confined import confinement
from app.adapters.pdf import printer
from app.adapters.confined.isolation import run_isolated
from tests.unit import harm
print(*run_isolated(harm.look_around, "HOME", deadline_seconds=250)[1:2], flush=True)
run_isolated(harm.hang, deadline_seconds=250)
"""
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    workshop = int(owner.stdout.readline())
    children = until(lambda: Path(f"/proc/{workshop}/task/{workshop}/children").read_text().split())
    owner.kill()
    owner.wait()
    until(lambda: not any(_lives(int(pid)) for pid in (workshop, *children)))


@pytest.fixture
def workshop():
    opened = isolation.Workshop()
    yield opened
    opened.line.close()
    opened.process.wait(60)


def _begun(workshop, work):
    """A child that works, and the first that it says."""
    reading, writing = os.pipe()
    request = {"module": work.__module__, "function": work.__name__, "arguments": [], "reads": [], "writes": []}
    child = workshop.begin(request | {"seconds": 250, "memory": isolation.MEMORY}, writing)
    os.close(writing)
    with os.fdopen(reading) as said:
        return child, json.loads(said.readline())["report"]


def test_nothing_that_a_child_has_forked_outlives_the_workshop(workshop):
    _, stray = _begun(workshop, harm.leave_one_behind_and_hang)
    assert _lives(stray)
    workshop.line.close()  # as it is when its owner ends
    workshop.process.wait(60)
    assert not _lives(stray)


def test_what_a_workshop_says_too_late_is_no_answer_to_another_question(workshop):
    child, _ = _begun(workshop, harm.leave_one_behind_and_hang)
    workshop.process.send_signal(signal.SIGSTOP)
    workshop.line.settimeout(0.1)
    assert child.end() is None
    workshop.process.send_signal(signal.SIGCONT)
    if workshop.line.fileno() >= 0:
        workshop.line.settimeout(60)
    with pytest.raises(OSError):
        _begun(workshop, harm.leave_one_behind_and_hang)


def _sleeps(pid: int) -> bool:
    """For half a second: it waits for something."""
    states = set()
    for _ in range(10):
        states.add(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0])
        time.sleep(0.05)
    return states == {"S"}


def _listens_to(number: signal.Signals, pid: int) -> bool:
    """SigCgt, proc(5)."""
    caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(caught, 16) >> (number - 1) & 1)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_of_the_web_opens_its_workshop_before_the_first_form(monkeypatch):
    monkeypatch.setattr(isolation, "_workshops", isolation._Workshops())
    settings = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    with ThreadPoolExecutor(2) as pool:
        settings["post_worker_init"](SimpleNamespace(cfg=SimpleNamespace(threads=2), tpool=pool))
    assert isolation._workshops.open is not None
    isolation._workshops.open.line.close()  # it ends with its owner
