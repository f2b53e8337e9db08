"""Who lives and does nothing is killed, and nobody else; who does something says so."""

import errno
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.jobs import pulse
from app.jobs.serve import OVERTIME_SECONDS, Worker
from tests.waiting import until

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "bin/lib"))
import processes  # noqa: E402 - the set-up's own modules
import watchdog as guard  # noqa: E402
from steps import complain  # noqa: E402

import front  # noqa: E402

TALK = "import time\nfrom app.jobs.pulse import say_alive\nwhile True:\n    say_alive()\n    time.sleep(0.1)"
ANSWER = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
while True:
    c, _ = s.accept(); c.recv(100); c.send(b"here"); c.close()
"""


@pytest.fixture
def watchdog(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A watchdog that waits for two seconds, for those who speak and for one that is asked at ``asked``."""
    watchdog = begin_watchdog(tmp_path)
    yield watchdog, tmp_path
    watchdog.kill()
    watchdog.wait()


def begin_watchdog(run: Path) -> subprocess.Popen[bytes]:
    words = ["--notify", run / "notify", "--silent", "2", "--ask", "2", run / "asked", "GET /"]
    for name in ("notify", "answers"):
        (run / name).unlink(missing_ok=True)
    watchdog = subprocess.Popen([sys.executable, ROOT / "bin/lib/watchdog.py", *words, "--answer", run / "answers"])
    until((run / "answers").exists)
    return watchdog


@pytest.fixture
def run(watchdog: tuple[subprocess.Popen[bytes], Path]) -> Path:
    return watchdog[1]


@pytest.fixture(params=["speaks", "is asked"])
def part(run: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    told = [sys.executable, "-c", *((TALK,) if request.param == "speaks" else (ANSWER, run / "asked"))]
    if request.param == "front":
        front.configure(run / "front", web=run / "web.sock", listen=f"unix:{run}/front.sock", proxies=0)
        (run / "asked").symlink_to(front.alive_socket(run / "front"))
        told = [*front.command(run / "front")]
    environment = os.environ | {"FAXROOM_NOTIFY_SOCKET": str(run / "notify")}
    process = subprocess.Popen(told, cwd=ROOT, env=environment)
    if request.param == "speaks":
        until(lambda: process.pid in processes.remembered(run / "notify.known"))
    else:
        until(lambda: answers(run / "asked"))
    yield process
    process.kill()
    process.wait()


def answers(path: Path) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        line.sendall(b"GET /\r\n")
        line.recv(1)  # that it has ended is an answer too
        return True
    return False


@pytest.mark.parametrize("part", ["speaks", "is asked", "front"], indirect=True)
def test_who_stands_still_is_killed_and_who_works_is_not(watchdog, part: subprocess.Popen[bytes]) -> None:
    """The watchdog holds no more however long it watches."""
    handles = Path(f"/proc/{watchdog[0].pid}/fd")
    before = len(list(handles.iterdir()))
    time.sleep(4)
    assert part.poll() is None
    assert len(list(handles.iterdir())) <= before + 2  # those of a question that is just being asked
    part.send_signal(signal.SIGSTOP)
    assert part.wait(60) == -signal.SIGKILL


SILENT = "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); time.sleep(600)"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has accounts for others")
def test_who_may_write_where_one_is_asked_leads_the_watchdog_to_nobody_else(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SILENT, tmp_path / "another's"])
    (tmp_path / "asked").symlink_to(tmp_path / "another's")
    os.lchown(tmp_path / "asked", 65534, 65534)
    try:
        asking = threading.Thread(target=guard.keep_asking, args=(str(tmp_path / "asked"), b"\n", 1), daemon=True)
        asking.start()
        until((tmp_path / "another's").exists)
        time.sleep(5)
        assert process.poll() is None
        os.lchown(tmp_path / "asked", 0, 0)
        assert process.wait(60) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()


def test_a_part_that_stood_still_for_a_moment_goes_on(part: subprocess.Popen[bytes]) -> None:
    part.send_signal(signal.SIGSTOP)
    time.sleep(0.7)
    part.send_signal(signal.SIGCONT)
    time.sleep(4)
    assert part.poll() is None


#: Forty that speak in the same moments, each of whom is to be heard; tells how many are gone five seconds later.
CHORUS = """
import os, signal, sys, time
from app.jobs.pulse import say_alive
begin, singers = time.monotonic() + 1, []
while len(singers) < 40:
    singers.append(os.fork())
    if not singers[-1]:
        for beat in range(60):
            time.sleep(max(0, begin + beat - time.monotonic()))
            say_alive()
        os._exit(0)
time.sleep(begin + 5 - time.monotonic())
gone = [pid for pid in singers if os.waitpid(pid, os.WNOHANG) != (0, 0)]
for pid in set(singers) - set(gone):
    os.kill(pid, signal.SIGKILL)
sys.exit(len(gone))
"""


def test_of_many_that_speak_at_the_same_moment_none_is_killed(run: Path) -> None:
    """The kernel keeps ten words for the watchdog (net.unix.max_dgram_qlen)."""
    environment = os.environ | {"FAXROOM_NOTIFY_SOCKET": str(run / "notify")}
    assert subprocess.run([sys.executable, "-c", CHORUS], cwd=ROOT, env=environment, timeout=60).returncode == 0


def test_who_waits_for_room_leaves_the_machine_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf, socket.socket(deaf.family, deaf.type) as others:
        deaf.bind(path)
        others.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                others.sendto(b"x", path)
        monkeypatch.setenv("FAXROOM_NOTIFY_SOCKET", path)
        begun = time.monotonic(), time.thread_time()
        pulse.say_alive()
        assert time.monotonic() - begun[0] >= pulse.PATIENCE_SECONDS
        assert time.thread_time() - begun[1] < pulse.PATIENCE_SECONDS / 10


@pytest.mark.parametrize("part", ["speaks"], indirect=True)
def test_who_stood_still_before_the_watchdog_was_started_anew_is_not_forgotten(watchdog, part) -> None:
    first, run = watchdog
    part.send_signal(signal.SIGSTOP)
    first.kill()
    first.wait()
    second = begin_watchdog(run)
    try:
        assert part.wait(60) == -signal.SIGKILL
    finally:
        second.kill()
        second.wait()


HEARS = "import time; print(flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"


@pytest.mark.parametrize(("code", "seconds", "ended_by"), [(HEARS, 100, signal.SIGTERM), (DEAF, 1, signal.SIGKILL)])
def test_who_was_left_behind_standing_still_is_cleared_away_by_the_next_start(
    tmp_path: Path, code: str, seconds: int, ended_by: signal.Signals
) -> None:
    left = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert left.stdout and left.stdout.readline()
    processes.remember([left.pid], tmp_path / "started")
    left.send_signal(signal.SIGSTOP)
    left.terminate()  # by its parent's end
    processes.end_remembered(tmp_path / "started", seconds=seconds)
    assert left.wait(60) == -ended_by


def test_whoever_has_the_number_by_now_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "started").write_text(f"{os.getpid()} 1\nnonsense\n")
    processes.end_remembered(tmp_path / "started", seconds=0)


def test_a_number_that_another_process_has_by_now_is_nobody_who_was_watched(tmp_path: Path) -> None:
    (tmp_path / "notify.known").write_text(f"{os.getpid()} 1\nnonsense\n")
    assert guard._remembered(tmp_path / "notify.known") == {}
    assert guard._remembered(tmp_path / "not there") == {}


def test_the_watchdog_says_that_it_goes_on_and_one_that_stands_still_is_killed(watchdog) -> None:
    process, run = watchdog
    threading.Thread(target=guard.keep_asking, args=(str(run / "answers"), b"\n", 3), daemon=True).start()
    time.sleep(6)
    assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    assert process.wait(60) == -signal.SIGKILL


def test_a_loop_that_hangs_gives_no_sign_though_its_process_lives(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setattr(pulse, "SECONDS", 0.02)
        of_loop = pulse.Pulse()
        assert heard.recv(100) == b"WATCHDOG=1"
        of_loop.stepped -= pulse.STEP_SECONDS
        heard.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(1000):  # what was on its way
                heard.recv(100)
        of_loop.step()
        heard.settimeout(60)
        assert heard.recv(100) == b"WATCHDOG=1"


def test_a_worker_gets_on_while_it_waits_and_within_the_time_of_its_job():
    worker = object.__new__(Worker)
    assert worker.gets_on()
    worker.busy_until = time.monotonic() - OVERTIME_SECONDS + 30
    assert worker.gets_on()
    worker.busy_until = time.monotonic() - OVERTIME_SECONDS - 1
    assert not worker.gets_on()


class Full(io.StringIO):
    """A file on a disk without room."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_where_there_is_no_room_to_say_so_it_is_killed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Full())
    still = subprocess.Popen(["sleep", "600"])
    watched = guard.Watched(still.pid)
    watched.kill("a test")
    watched.close()
    assert still.wait(60) == -signal.SIGKILL
    complain("a test")
