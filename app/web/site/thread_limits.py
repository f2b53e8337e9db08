"""A few at a time: what holds a web process's thread for long leaves the others to the pages."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from threading import Condition

from werkzeug.wrappers import Response


class Turns:
    """Of this process: so many in all, and so many of one owner (a company), so that nobody is kept out by another."""

    def __init__(self, *, most: int, most_of_one: int) -> None:
        self.most, self.most_of_one = most, most_of_one
        self.running: Counter[Hashable] = Counter()
        self.waiting: Counter[Hashable] = Counter()
        self.lock = Condition()  # told of each turn that ends

    def take(self, owner: Hashable) -> "Turn | None":
        """None if it is nobody's turn now."""
        with self.lock:
            if not self._has_room(owner):
                return None
            self.running[owner] += 1
            return Turn(self, owner)

    def _has_room(self, owner: Hashable) -> bool:
        return self.running.total() < self.most and self.running[owner] < self.most_of_one

    def wait(self, owner: Hashable, seconds: float) -> "Turn | None":
        """None if it was nobody's turn in that time, or if as many of the owner wait already as may run: who waits
        holds a thread, too."""
        with self.lock:
            if (turn := self.take(owner)) or self.waiting[owner] >= self.most_of_one:
                return turn
            self.waiting[owner] += 1
            try:
                self.lock.wait_for(lambda: self._has_room(owner), seconds)
                return self.take(owner)
            finally:
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
                self.turns.lock.notify_all()


#: Of every file that is made while it travels: a process has eight threads (bin/lib), and a slow line at the other end
#: holds one for hours.
downloads = Turns(most=4, most_of_one=2)
#: Of every document that is judged while its form waits: most take some hundredths of a second, and a hostile one 20 s.
inspections = Turns(most=4, most_of_one=2)
#: Of every spreadsheet whose pages are counted while its form waits.
countings = Turns(most=4, most_of_one=2)
#: So long a document waits for that.
INSPECTION_SECONDS = 2.0


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
