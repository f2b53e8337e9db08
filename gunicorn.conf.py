"""gunicorn reads this where it is started. Workers end with the process that forked them, however that ends: one that
is still loading the application would hold the port, and the next web could not begin."""

import ctypes
import os
import signal
from typing import Any

PR_SET_PDEATHSIG = 1  # prctl(2)
OWNER = os.getpid()


def post_fork(server: Any, worker: Any) -> None:
    del server, worker
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != OWNER:  # it died before we were bound to it
        os._exit(1)
