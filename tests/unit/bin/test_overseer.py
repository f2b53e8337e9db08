"""What supervises writes nowhere that can fill: it goes on while the disk of its logs is full, and after that."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from supervisor import process
from supervisor.states import ProcessStates

from tests.disks import SmallDisk, small_disk
from tests.waiting import until

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "bin/lib"))
import keeping  # noqa: E402 - the set-up's own modules
import overseer  # noqa: E402 - the set-up's own modules
import processes  # noqa: E402
import supervise  # noqa: E402
import up  # noqa: E402
import watchdog  # noqa: E402
from shell import SetupError  # noqa: E402

OURS = [sys.executable, str(ROOT / "bin/lib/overseer.py")]


def test_a_program_that_does_not_stay_up_is_never_given_up() -> None:
    program = object.__new__(process.Subprocess)
    program.backoff, program.state, program.event_map = 3600, ProcessStates.STARTING, {}
    overseer._change_state_and_never_give_up(program, ProcessStates.BACKOFF)
    assert program.backoff == overseer.LONGEST_PAUSE
    assert program.delay <= time.time() + overseer.LONGEST_PAUSE


TALK = """import os, time
with open(os.environ["ALIVE"], "a") as alive:
    print(os.getpid(), file=alive)
while True:
    print("x" * 500, flush=True)
    time.sleep(0.01)
"""


class Record:
    msg = b"some words\n"
    kw = None


def test_what_there_is_no_room_for_is_left_out() -> None:
    handler = overseer.ForgivingFileHandler("/dev/full")
    handler.emit(Record())
    handler.emit(Record())


def test_a_log_goes_on_where_it_could_not_be_opened_before(tmp_path: Path) -> None:
    folder = tmp_path / "not there yet"
    handler = overseer.ForgivingFileHandler(str(folder / "web.log"))
    handler.emit(Record())
    folder.mkdir()
    handler.emit(Record())
    assert (folder / "web.log").read_bytes() == Record.msg


def test_a_log_is_bounded(tmp_path: Path) -> None:
    handler = overseer.ForgivingFileHandler(str(tmp_path / "web.log"), maxBytes=30, backupCount=2)
    for _ in range(100):
        handler.emit(Record())
    assert {path.name for path in tmp_path.iterdir()} <= {"web.log", "web.log.1", "web.log.2"}
    assert (tmp_path / "web.log.2").stat().st_size == 33


class Supervised:
    """A supervisord with one talkative program, its logs on a small disk."""

    def __init__(self, command: list[str], logs: Path, run: Path, output: Path) -> None:
        self.run, self.log = run, logs / "talk.log"
        (run / "talk.py").write_text(TALK)
        (run / "supervisord.conf").write_text(
            f"""[supervisord]
nodaemon=true
silent=true
logfile={logs}/supervisord.log
pidfile={run}/pid
childlogdir={logs}
[unix_http_server]
file={run}/asked
[program:talk]
command={sys.executable} {run}/talk.py
environment=ALIVE="{run}/alive"
startsecs=0
redirect_stderr=true
stdout_logfile={self.log}
stdout_logfile_maxbytes=20KB
stdout_logfile_backups=2
"""
        )
        with output.open("wb") as said:
            self.process = subprocess.Popen([*command, "-c", str(run / "supervisord.conf")], stdout=said, stderr=said)

    def beginnings(self) -> list[int]:
        file = self.run / "alive"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", "1m") as disk:
        yield disk


@pytest.fixture(params=["on the disk", "elsewhere"])
def supervised(disk: SmallDisk, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Supervised]:
    """What it says itself goes to the small disk as well, or not."""
    output = (disk.folder if request.param == "on the disk" else tmp_path) / "supervisord.out"
    running = Supervised(OURS, disk.folder, tmp_path, output)
    yield running
    running.end()


def test_a_full_disk_ends_no_supervisor_and_what_dies_meanwhile_is_started_anew(
    supervised: Supervised, disk: SmallDisk
) -> None:
    until(supervised.beginnings)
    for _ in range(3):
        disk.fill()
        os.kill(killed := supervised.beginnings()[-1], signal.SIGKILL)
        until(lambda killed=killed: supervised.beginnings()[-1] != killed)
        time.sleep(1)
        assert supervised.process.poll() is None
        disk.free()
    before = supervised.log.stat().st_size
    until(lambda: supervised.log.stat().st_size != before)


@pytest.mark.parametrize("supervised", ["elsewhere"], indirect=True)
def test_a_read_only_disk_ends_no_supervisor(supervised: Supervised, disk: SmallDisk) -> None:
    until(supervised.beginnings)
    until(disk.make_read_only, "nobody just writes to it")
    os.kill(supervised.beginnings()[-1], signal.SIGKILL)
    until(lambda: len(supervised.beginnings()) == 2)
    assert supervised.process.poll() is None


def test_a_supervisor_that_stands_still_is_killed_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    running = Supervised(OURS, tmp_path / "logs", tmp_path, tmp_path / "supervisord.out")
    (_, word, _), *_ = supervise.guards(SimpleNamespace(run=tmp_path))
    threading.Thread(target=watchdog.keep_asking, args=(str(tmp_path / "asked"), word, 3), daemon=True).start()
    try:
        until(running.beginnings)
        time.sleep(6)
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGSTOP)
        assert running.process.wait(60) == -signal.SIGKILL
    finally:
        running.process.kill()
        for pid in running.beginnings():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Beginnings:
    """What stands in for supervisord: processes that end when they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[subprocess.Popen[bytes]] = []
        self.ended: list[int] = []
        self.ours: list[int] = []
        monkeypatch.setattr(up, "_start", self.start)
        monkeypatch.setattr(up.supervise, "start_ours", self.start_ours)
        monkeypatch.setattr(up.supervise, "beginnings", lambda _: {})
        monkeypatch.setattr(up.processes, "end_descendants", lambda **_: self.ended.append(len(self.begun)))

    def start(self, *_: object) -> subprocess.Popen[bytes]:
        self.begun.append(subprocess.Popen(["sleep", "60"]))
        return self.begun[-1]

    def kill(self) -> None:
        self.begun[-1].kill()
        self.begun[-1].wait()

    def start_ours(self, *_: object, has_ended: Callable[[], bool]) -> None:
        if has_ended() or len(self.begun) == 2:
            raise SetupError("it does not answer")
        self.ours.append(len(self.begun))


@pytest.fixture
def beginnings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Beginnings]:
    found = Beginnings(monkeypatch)
    yield found
    found.kill()


def supervised_by(tmp_path: Path) -> up.Supervised:
    instance = SimpleNamespace(log=tmp_path, run=tmp_path)
    return up.Supervised(instance, {}, [], keeping.Keeper([], folder=tmp_path, logs=tmp_path))


def test_a_supervisor_that_was_killed_is_followed_by_another(beginnings: Beginnings, tmp_path: Path) -> None:
    running = supervised_by(tmp_path)
    running.start()
    running.start_ours()
    running.look()
    assert (len(beginnings.begun), beginnings.ours, beginnings.ended) == (1, [1], [])
    beginnings.kill()
    running.look()  # the second takes nothing, and is ended
    running.look()
    assert (len(beginnings.begun), beginnings.ours, beginnings.ended) == (3, [1, 3], [1, 2])


@pytest.mark.parametrize("with_ours", [False, True])
def test_a_supervisor_that_is_killed_during_the_first_start_is_followed_by_another(
    beginnings: Beginnings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_ours: bool
) -> None:
    running = supervised_by(tmp_path)
    running.start()
    if with_ours:
        running.start_ours()
    beginnings.kill()
    if not with_ours:
        running.start_ours()
    monkeypatch.setattr(up, "_health", lambda _: {"web": "away"} if 3 not in beginnings.ours else {})
    up._wait_until_ready(running, print)
    assert beginnings.ours[-1] == len(beginnings.begun) == 3


def test_a_supervisor_that_does_not_stay_up_at_all_ends_the_start_with_its_log(
    beginnings: Beginnings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "supervisord.out").write_text("Error: a section is missing\n")
    monkeypatch.setattr(up, "_health", lambda _: beginnings.kill() or {"web": "away"})
    running = supervised_by(tmp_path)
    running.start()
    with pytest.raises(SetupError, match="a section is missing"):
        up._wait_until_ready(running, print)


def begun(file: Path) -> list[int]:
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def rests_of(kept: keeping.Kept, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds for which it is not started anew after each end from now on."""
    rests: list[float] = []
    wait = kept._over.wait
    monkeypatch.setattr(kept._over, "wait", lambda seconds: rests.append(seconds) or wait(seconds))
    return rests


def test_what_bin_up_runs_itself_is_back_at_once_and_stays_when_all_else_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, log = tmp_path / "begun", tmp_path / "front.log"
    talk = f"import os, subprocess; print('x' * 100, flush=True); open({str(file)!r}, 'a').write(f'{{os.getpid()}} '); "
    program = supervise.Program("front", (sys.executable, "-c", talk + "subprocess.run(['sleep', '600'])"))
    keeper = keeping.Keeper([program], folder=tmp_path, logs=tmp_path)
    with keeper.keeping():
        until(lambda: begun(file) and len(processes.descendants(begun(file)[0])) == 1)
        child = processes.descendants(begun(file)[0])[0]
        other = subprocess.Popen(["sleep", "600"])
        keeper.end_others(seconds=0.1)
        other.wait()
        assert set(processes.descendants(os.getpid())) == {begun(file)[0], child}
        time.sleep(keeping.SHORTEST_LIFE)
        rests = rests_of(keeper.all[0], monkeypatch)
        os.kill(begun(file)[-1], signal.SIGKILL)
        until(lambda: len(begun(file)) == 2)
        assert len(rests) == 1 and rests[0] <= 0
        assert (keeper.starts(), keeper.pids()) == ({"front": 2}, {begun(file)[-1]})
        until(lambda: len(log.read_text().split()) == 2)
        os.kill(child, signal.SIGKILL)  # what a killed one leaves behind is not ours to end in this test
    assert processes.descendants(os.getpid()) == []
    time.sleep(1.5)
    assert len(begun(file)) == 2


def test_a_log_of_theirs_is_bounded_and_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LOG_BYTES", 10)
    program = supervise.Program("front", ("/bin/echo", "some words"))
    kept = keeping.Kept(program, folder=tmp_path, log=tmp_path / "front.log")
    kept._run()
    kept._run()
    assert (tmp_path / "front.log").read_text() == (tmp_path / "front.log.1").read_text() == "some words\n"
    away = keeping.Kept(program, folder=tmp_path, log=tmp_path / "not there/front.log")
    away._run()
    assert away.starts == 1
