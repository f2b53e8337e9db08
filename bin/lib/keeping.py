"""What bin/up runs itself and not by supervisord: the front and Asterisk. They stay when supervisord ends with all that
it runs, so that people are told meanwhile and calls go on."""

import contextlib
import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import processes
from supervise import TETHER, Program

#: One that ends at once is not started at once.
SHORTEST_LIFE = 1.0
#: Its log is cut at so many bytes, looked at every so many seconds; what was is kept beside it, once.
LOG_BYTES, LOOK_SECONDS = 10 * 1024**2, 60.0
#: All that we started has so long to end, and what we keep after that.
ENDING_SECONDS = 15


class Kept:
    """One program. A thread waits for its end and starts the next one. ``starts`` counts."""

    def __init__(self, program: Program, *, folder: Path, log: Path) -> None:
        self.program, self.folder, self.log = program, folder, log
        self.starts = 0
        self.pid: int | None = None
        self._over = threading.Event()

    def start(self) -> None:
        """The process is bound to the thread that starts it (prctl(2)), which lives as long as this one."""
        threading.Thread(target=self._keep, daemon=True, name=self.program.name).start()

    def let_go(self) -> None:
        """Its next end is the last one."""
        self._over.set()

    def _keep(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            with contextlib.suppress(OSError):  # no process left, no room: tried again
                self._run()
            self._over.wait(SHORTEST_LIFE - (time.monotonic() - began))

    def _run(self) -> None:
        self._bound_log()
        command = [*TETHER, *self.program.command]
        with _appended(self.log) as log:
            running = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=self.program.umask,
            )
        self.pid, self.starts = running.pid, self.starts + 1
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(running.pid)
            try:
                while not select.select([handle], [], [], LOOK_SECONDS)[0]:
                    self._bound_log()
            finally:
                os.close(handle)
        running.wait()

    def _bound_log(self) -> None:
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > LOG_BYTES:
                shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
                os.truncate(self.log, 0)


def _appended(log: Path) -> contextlib.AbstractContextManager[IO[bytes] | int]:
    """Where it can be opened at all: a log may fail."""
    try:
        return log.open("ab")
    except OSError:
        return contextlib.nullcontext(subprocess.DEVNULL)


class Keeper:
    """All of them, in the order in which they are started."""

    def __init__(self, programs: Iterable[Program], *, folder: Path, logs: Path) -> None:
        self.all = [Kept(program, folder=folder, log=logs / f"{program.name}.log") for program in programs]

    def pids(self) -> set[int]:
        return {kept.pid for kept in self.all if kept.pid is not None}

    def starts(self) -> dict[str, int]:
        return {kept.program.name: kept.starts for kept in self.all}

    def end_others(self, *, seconds: float) -> None:
        processes.end_descendants(seconds=seconds, spared=self.pids)

    @contextlib.contextmanager
    def keeping(self) -> Iterator["Keeper"]:
        """They run, and end after all else that we started: what is under way is answered."""
        for kept in self.all:
            kept.start()
        try:
            yield self
        finally:
            self.end_others(seconds=ENDING_SECONDS)
            for kept in self.all:
                kept.let_go()
            processes.end_descendants(seconds=ENDING_SECONDS)
