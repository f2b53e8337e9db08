"""How tests wait. A machine with other work takes ten times as long: what comes ends a wait early, and what is given up
in time is told from what is not by how often it was tried, or by far."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

Answer = TypeVar("Answer")

#: Seconds. What is given up within a few is given up within these on any machine. Whoever measures against them sees to
#: it that what is not given up takes far longer.
AT_MOST = 60.0


def until(true: Callable[[], Answer], what: str = "it came true", *, seconds: float = 200) -> Answer:
    """What ``true`` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return answer


@contextmanager
def in_time(seconds: float = AT_MOST) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@contextmanager
def little_work(seconds: float) -> Iterator[None]:
    """Seconds of the processor that this process and its children have: what others do beside it does not count."""
    began = sum(os.times()[:4])
    yield
    assert sum(os.times()[:4]) - began < seconds


class Silent:
    """A server that takes connections and never says a word."""

    def __init__(self, listening: socket.socket) -> None:
        self.port: int = listening.getsockname()[1]
        self._listening, self._came = listening, 0

    def came(self) -> int:
        """How often somebody has connected: each waited once for an answer, for as long as its timeout is."""
        self._listening.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self._listening.accept()[0].close()
                self._came += 1
        return self._came


@contextmanager
def silent_server() -> Iterator[Silent]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield Silent(listening)
