"""What a child that waits is ready for only when it is told so."""

import os
import signal

TOLD = signal.SIGUSR1


def warm_up():
    signal.pthread_sigmask(signal.SIG_BLOCK, {TOLD})
    signal.sigwait({TOLD})


def who(_report):
    return [os.getppid(), os.getpid()]
