"""What a hostile document might make of the child that reads it."""

import ctypes
import os
import socket
import time
from pathlib import Path


def hang(_report):
    time.sleep(30)


def toil(_report, seconds):
    """Until the processor has worked for so long; gives its niceness."""
    while time.process_time() < seconds:
        pass
    return os.nice(0)


def crash(_report):
    ctypes.string_at(0)


def eat(_report):
    return len(bytearray(8 * 1024**3))


def stumble(_report):
    return 1 / 0


def be_killed_once(_report, mark):
    """As by somebody who kills the workshop, whose children end with it."""
    if Path(mark).stat().st_size:
        return "whole"
    Path(mark).write_text("begun")
    os._exit(9)


def wait_to_be_killed(report, mark, times):
    """As often as that; ``mark`` counts."""
    so_far = Path(mark).stat().st_size
    if so_far == times:
        return "whole"
    Path(mark).write_text("x" * (so_far + 1))
    report(os.getpid())
    return time.sleep(60)


def find_no_thread(_report):
    raise RuntimeError("can't start new thread")


def lie(report):
    os.write(report.__closure__[0].cell_contents, b'{"failure": "SystemExit", "code": "x", "values": {}}\n')


def look_around(report, name):
    report("looking")
    return [os.environ.get(name), os.getppid(), os.getpid()]


def try_everything(_report, given, written, canary, caller):
    """What a child that was taken over could still do: name → what came of it."""
    tries = {
        "read what it was given": lambda: Path(given).read_text(),
        "write what it was given": lambda: Path(written).write_text("x"),
        "read another file": lambda: Path(canary).read_text(),
        "write beside": lambda: Path(written + "2").write_text("x"),
        "write what it reads": lambda: Path(given).write_text("x"),
        "list a folder": lambda: list(Path(canary).parent.iterdir()),
        "look into its own environment": lambda: Path("/proc/self/environ").read_text(),
        "look into its caller's": lambda: Path(f"/proc/{caller}/environ").read_text(),
        "open its caller's files": lambda: list(Path(f"/proc/{caller}/fd").iterdir()),
        "go to the network": lambda: socket.socket(socket.AF_INET),
        "go to a local server": lambda: socket.socket(socket.AF_UNIX),
        "end its caller": lambda: os.kill(caller, 0),
        "run a program": lambda: os.execv("/usr/bin/true", ["true"]),
    }
    return {name: _outcome(attempt) for name, attempt in tries.items()}


def _outcome(attempt):
    try:
        attempt()
    except PermissionError:
        return "no"
    return "yes"
