"""A few at a time: what holds a web process's thread for long leaves the others to the pages."""

import time
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from threading import Lock

from werkzeug.wrappers import Response


class Turns:
    """Of this process: so many in all, and so many of one owner (a company), so that nobody is kept out by another."""

    def __init__(self, *, most: int, most_of_one: int) -> None:
        self.most, self.most_of_one = most, most_of_one
        self.running: Counter[Hashable] = Counter()
        self.waiting: Counter[Hashable] = Counter()
        self.lock = Lock()

    def take(self, owner: Hashable) -> "Turn | None":
        """None if it is nobody's turn now."""
        with self.lock:
            if self.running.total() >= self.most or self.running[owner] >= self.most_of_one:
                return None
            self.running[owner] += 1
            return Turn(self, owner)

    def wait(self, owner: Hashable, seconds: float) -> "Turn | None":
        """None if it was nobody's turn in that time, or if as many of the owner wait already as may run: who waits
        holds a thread, too."""
        if turn := self.take(owner):
            return turn
        with self.lock:
            if self.waiting[owner] >= self.most_of_one:
                return None
            self.waiting[owner] += 1
        try:
            end = time.monotonic() + seconds
            while (turn := self.take(owner)) is None and time.monotonic() < end:
                time.sleep(LOOK_SECONDS)
            return turn
        finally:
            with self.lock:
                self.waiting[owner] -= 1


class Turn:
    """To be ended, once or more often."""

    def __init__(self, turns: Turns, owner: Hashable) -> None:
        self.turns, self.owner, self.ended = turns, owner, False

    def end(self) -> None:
        with self.turns.lock:
            if not self.ended:
                self.ended = True
                self.turns.running[self.owner] -= 1


#: Of every file that is made while it travels: a process has eight threads (bin/lib), and a slow line at the other end
#: holds one for hours.
downloads = Turns(most=4, most_of_one=2)
#: Of every document that is judged while its form waits: most take some hundredths of a second, and a hostile one 20 s.
inspections = Turns(most=4, most_of_one=2)
#: Of every spreadsheet whose pages are counted while its form waits.
countings = Turns(most=4, most_of_one=2)
#: So long a document waits for that, and how often it looks.
INSPECTION_SECONDS, LOOK_SECONDS = 2.0, 0.02


def streamed(response: Response, turn: Turn) -> Response:
    """Whoever waits for a turn gets it when this has gone out, broke off, or was never begun."""
    response.response = _ending(response.iter_encoded(), turn)
    response.call_on_close(turn.end)
    return response


def _ending(body: Iterable[bytes], turn: Turn) -> Iterator[bytes]:
    try:
        yield from body
    finally:
        turn.end()
