"""What a hostile document might make of the child that reads it."""

import os
import signal
import time


def hang(_report):
    time.sleep(30)


def crash(_report):
    os.kill(os.getpid(), signal.SIGSEGV)


def eat(_report):
    return len(bytearray(8 * 1024**3))


def stumble(_report):
    return 1 / 0


def lie(report):
    os.write(report.__closure__[0].cell_contents, b'{"failure": "SystemExit", "code": "x", "values": {}}\n')


def look_around(report, name):
    report("looking")
    return [os.environ.get(name), os.getppid(), os.getpid()]
