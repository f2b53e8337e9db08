"""Stopping: what asks us to, and how everything that we started is ended, whatever became of it."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP. Like KeyboardInterrupt, no fault of the step that it interrupts."""


def take_charge() -> None:
    """Raise Stopped when asked to stop, and become the parent of what detaches itself (gpg-agent, soffice)."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    ignore_stop_signals()  # asked once is enough
    raise Stopped(signal.Signals(number).name)


def ignore_stop_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def descendants(pid: int, *, spared: Collection[int] = ()) -> list[int]:
    """All processes below ``pid``; left out are zombies, and ``spared`` with what is below them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        status = _status(int(entry.name))
        if not _is_over(status):
            children.setdefault(int(status[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        below = [child for child in children.get(queue.pop(), []) if child not in spared]
        found += below
        queue += below
    return found


def end_descendants(*, seconds: float, spared: Callable[[], Collection[int]] = tuple) -> None:
    """End all that we started but ``spared`` and theirs: our children first, who stop their own in order; after
    ``seconds`` whatever is left."""
    begin = time.monotonic()
    asked: set[int] = set()
    while left := descendants(os.getpid(), spared=spared()):
        waited = time.monotonic() - begin
        if waited > seconds + 3:
            break  # what even SIGKILL does not end is waiting for the kernel
        for pid in left:
            if waited > seconds:
                _signal(pid, signal.SIGKILL)
            elif pid not in asked and _parent(pid) == os.getpid():
                asked.add(pid)
                _signal(pid, signal.SIGTERM)
        reap()
        time.sleep(0.05)
    reap()


def _parent(pid: int) -> int:
    return int((_status(pid) or ["", "0"])[1])


def started(pid: int) -> str:
    """When a process was started (clock ticks, proc(5)): tells it from another that has its number later. Empty once
    it has gone."""
    fields = _status(pid)
    return "" if _is_over(fields) else fields[19]


def _is_over(status: list[str]) -> bool:
    """A zombie whose threads have ended as well: as long as one ends, it holds the ports and files of all of them."""
    return not status or (status[0] == "Z" and status[17] == "1")


def _status(pid: int) -> list[str]:
    """From its state on (proc(5)); empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:  # started through sudo
        subprocess.run(["sudo", "-n", "kill", f"-{number.value}", str(pid)], capture_output=True, check=False)


def reap() -> None:
    """Let go of children that have ended, our own and those that were left to us."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


# ---- Those of an earlier life


def remember(pids: Iterable[int], file: Path) -> None:
    """On a full disk it is left out: whoever asks goes on all the same."""
    new = file.with_suffix(".new")
    with contextlib.suppress(OSError):
        new.write_text("".join(f"{pid} {began}\n" for pid in pids if (began := started(pid))))
        new.replace(file)


def remembered(file: Path) -> list[int]:
    """Those of :func:`remember` who are still there, and not others who have their numbers by now."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            pid, began = line.split()
            if started(int(pid)) == began:
                found.append(int(pid))
    return found


def end_remembered(file: Path, *, seconds: float) -> None:
    """Wait for those who were left behind. Each was asked to end by its parent's end (setpriv --pdeathsig): one that
    stands still is let go on to hear it, and what is there after ``seconds`` is killed."""
    deadline = time.monotonic() + seconds
    for pid in remembered(file):
        _signal(pid, signal.SIGCONT)
    while (left := remembered(file)) and time.monotonic() < deadline + 3:
        if time.monotonic() > deadline:
            for pid in left:
                _signal(pid, signal.SIGKILL)
        time.sleep(0.05)
