"""Pieces of one document's work done by two processes.

Two threads of one interpreter wait for each other at every turn, and pdfium serves one at a time. The second hand is
forked by the first, behind the same fence, and ends with it. Both take the numbers of what is next from one pipe.
"""

import fcntl
import os
import select
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress

from app.adapters.confined.confinement import end_with
from app.adapters.confined.isolation import give_back

#: What does a piece by its number. It opens what it reads itself: a file that was open before the fork has one place
#: for both to read at.
Hand = Callable[[], AbstractContextManager[Callable[[int], bytes]]]

_NUMBER, _HEAD = struct.Struct("<I"), struct.Struct("<II")
#: Bytes that the second hand may be ahead of who takes its pieces (pipe(7)); where that is too much, less.
WAITING = 1024**2


def by_two(hand: Hand, count: int) -> Iterator[bytes]:
    """Pieces 0 to ``count`` - 1 in their order; up to 16,000, which is what a pipe takes.

    What the second hand leaves undone, for whatever reason, the first does: a fault is raised by who is asked.
    """
    if count == 1:
        with hand() as work:
            yield work(0)
        return
    with _Other(hand, count) as other, hand() as work:
        done: dict[int, bytes] = {}
        for wanted in range(count):
            while wanted not in done:
                if (at := other.take()) is not None:
                    done[at] = work(at)
                    other.gather(done)
                elif not other.gather(done, wait=True) and wanted not in done:
                    done[wanted] = work(wanted)
            yield done.pop(wanted)


class _Other:
    """The second hand, as the first one sees it."""

    def __init__(self, hand: Hand, count: int) -> None:
        self.numbers, writing = os.pipe()
        os.write(writing, b"".join(map(_NUMBER.pack, range(count))))
        os.close(writing)
        self.told, telling = os.pipe()
        self.received = bytearray()
        give_back()  # else what is free here would be copied there, page by page
        first, self.pid = os.getpid(), -1
        with suppress(OSError):  # a machine that has no process left: one does it all
            self.pid = os.fork()
        if self.pid == 0:
            self.be_it(hand, telling, first)
        os.close(telling)

    def take(self) -> int | None:
        """The number of the next piece, for whoever asks; None: there is none left."""
        number = os.read(self.numbers, _NUMBER.size)
        return _NUMBER.unpack(number)[0] if number else None

    def gather(self, done: dict[int, bytes], *, wait: bool = False) -> bool:
        """Adds what is there, or one read of it if it is waited for; False: there will be no more."""
        while wait or select.select([self.told], [], [], 0)[0]:
            data = os.read(self.told, WAITING)
            self.received += data
            while len(self.received) >= _HEAD.size:
                at, length = _HEAD.unpack_from(self.received)
                if len(self.received) < _HEAD.size + length:
                    break
                done[at] = bytes(self.received[_HEAD.size : _HEAD.size + length])
                del self.received[: _HEAD.size + length]
            if not data:
                return False
            wait = False
        return True

    def __enter__(self) -> "_Other":
        return self

    def __exit__(self, fault: type[BaseException] | None, *_: object) -> None:
        """It ends after the piece that it is at, at the latest; nobody who has a fault to tell waits for that."""
        while os.read(self.numbers, WAITING):
            pass
        os.close(self.numbers)
        os.close(self.told)
        if self.pid > 0:
            os.waitpid(self.pid, os.WNOHANG if fault else 0)

    def be_it(self, hand: Hand, telling: int, first: int) -> None:
        """Never returns."""
        try:
            end_with(first)
            os.close(self.told)  # else it would wait for itself to read where nobody reads any more
            with suppress(OSError):
                fcntl.fcntl(telling, fcntl.F_SETPIPE_SZ, WAITING)
            with hand() as work:
                while (at := self.take()) is not None:
                    piece = work(at)
                    piece = _HEAD.pack(at, len(piece)) + piece
                    while piece:
                        piece = piece[os.write(telling, piece) :]
        finally:
            os._exit(0)
