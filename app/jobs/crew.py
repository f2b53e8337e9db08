"""``worker.py jobs``: a worker for each kind of work, so that what one of them waits for holds up no other kind.

They are forked from one process that has loaded everything: what they have in common is in memory once. One that ends,
however it ends, is forked anew; all end with the process that forked them.
"""

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from types import FrameType

from app.adapters.confined.confinement import end_with
from app.jobs import serve
from app.jobs.pulse import say_alive
from app.jobs.running import application

log = logging.getLogger(__name__)

#: Kind → the queues that it serves, in its order. Whoever draws pages helps out the line: its jobs are short, and they
#: wait for nothing that drawing does not wait for.
KINDS: dict[str, tuple[str, ...]] = {
    "line": ("line",),
    "documents": ("documents", "line"),
    "offices": ("offices",),
    "slow": ("slow",),
    "previews": ("previews",),
    "preview_offices": ("preview_offices",),
    "slow_previews": ("slow_previews",),
    "imports": ("imports",),
    "mail": ("mail",),
    "watch": ("watch",),
    "archive": ("archive",),
    "later": ("later",),
}
#: A worker that ends at once, such as one without Redis, is not forked at once.
SHORTEST_LIFE = 1.0
#: Between two looks at who has ended, with a sign of life at each.
LOOK_SECONDS = 0.5
PR_SET_NAME = 15

_libc = ctypes.CDLL(None)


#: What takes long, what is only looked at, and what nobody waits for at that second is done beside the others, not in
#: their stead: nice(1).
NICENESS = {"watch": 5, "mail": 5, "slow": 10, "previews": 5, "preview_offices": 5, "slow_previews": 15}


def run(*, documents: int) -> None:
    """Keep all workers running until SIGTERM, then let each finish its job. Each office has one that waits for it; half
    as many as draw pages work on what takes long."""
    offices = len(application().config["SETTINGS"].unoserver_urls)
    gc.collect()
    gc.freeze()  # a collection in a worker would touch, and so copy, every page that they share
    counts = {"documents": documents, "offices": offices, "slow": max(1, documents // 2)}
    Crew([kind for kind in KINDS for _ in range(counts.get(kind, 1))]).run()


class Crew:
    """Which process is which worker."""

    def __init__(self, kinds: list[str]) -> None:
        self.kinds = kinds
        self.workers: dict[int, tuple[str, float]] = {}
        self.stopping = False

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for kind in self.kinds:
            self._fork(kind)
        while self.workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                say_alive()
                time.sleep(LOOK_SECONDS)
                continue
            kind, since = self.workers.pop(pid, ("", 0.0))
            if not kind or self.stopping:
                continue
            log.info("the worker for %s ended (%s)", kind, os.waitstatus_to_exitcode(status))
            time.sleep(max(0.0, SHORTEST_LIFE - (time.monotonic() - since)))
            self._fork(kind)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.stopping = True
        for pid in self.workers:
            os.kill(pid, signal.SIGTERM)  # ours until waited for: nobody else has this number

    def _fork(self, kind: str) -> None:
        """Signals wait meanwhile: one that came between would miss the new worker, or find it half made."""
        both = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, both)
        try:
            if self.stopping:
                return
            owner, pid = os.getpid(), os.fork()
            if pid == 0:
                _work(kind, owner, both)
            self.workers[pid] = (kind, time.monotonic())
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, both)


def _work(kind: str, owner: int, blocked: set[signal.Signals]) -> None:
    """In the worker; never returns."""
    code = 1
    try:
        for number in blocked:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        end_with(owner, signal.SIGTERM)
        _libc.prctl(PR_SET_NAME, f"jobs-{kind}".encode(), 0, 0, 0)
        os.nice(NICENESS.get(kind, 0))
        serve.run(list(KINDS[kind]))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        log.exception("the worker for %s ended", kind)
    finally:
        sys.stderr.flush()
        os._exit(code)
