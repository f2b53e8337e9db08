"""What a child that waits is ready for only when it is told so."""

import os
import signal
import time

TOLD = signal.SIGUSR1


def warm_up():
    told = []
    signal.signal(TOLD, lambda number, _frame: told.append(number))
    while not told:
        time.sleep(0.02)


def who(_report):
    return [os.getppid(), os.getpid()]
