"""Stopping: what asks us to, and how everything that we started is ended, whatever became of it."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection
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
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.parent.name))
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
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


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
