"""gunicorn reads this where it is started. The first process loads the application before it listens, so that whoever
comes meanwhile is told at once, and forks its workers, so that one that was killed is followed by another within a
second. Workers end with the process that forked them, however that ends. The first process itself says that it gets on,
after each look at its workers (every second)."""

import os
import threading
from contextlib import suppress
from typing import Any

from app.adapters.confined.confinement import end_with
from app.adapters.confined.isolation import open_workshop
from app.jobs.pulse import say_alive

preload_app = True
OWNER = os.getpid()


def post_fork(server: Any, worker: Any) -> None:
    del server, worker
    end_with(OWNER)


def post_worker_init(worker: Any) -> None:
    """All its threads are there from the beginning: gunicorn would make them as they are needed, and a worker that gets
    none just then ends (worker class gthread). And so is its workshop, where files are judged: what it has to load
    takes a second, for which the first forms of a crowd would wait."""
    with suppress(OSError):  # there is no process left just now; the first form opens it
        open_workshop()
    count = worker.cfg.threads
    together = threading.Barrier(count)
    with suppress(RuntimeError):  # there are none just now; a request that finds one is answered all the same
        for _ in range(count):
            worker.tpool.submit(_meet, together)


def _meet(together: threading.Barrier) -> None:
    with suppress(threading.BrokenBarrierError):
        together.wait(5)


def when_ready(server: Any) -> None:
    look = server.murder_workers

    def look_and_say() -> None:
        look()
        say_alive()

    server.murder_workers = look_and_say
