"""gunicorn reads this where it is started. Workers end with the process that forked them, however that ends: one that
is still loading the application would hold the port, and the next web could not begin. The first process itself says
that it gets on, after each look at its workers (every second)."""

import ctypes
import os
import signal
from typing import Any

from app.jobs.pulse import say_alive

PR_SET_PDEATHSIG = 1  # prctl(2)
OWNER = os.getpid()


def post_fork(server: Any, worker: Any) -> None:
    del server, worker
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != OWNER:  # it died before we were bound to it
        os._exit(1)


def when_ready(server: Any) -> None:
    look = server.murder_workers

    def look_and_say() -> None:
        look()
        say_alive()

    server.murder_workers = look_and_say
