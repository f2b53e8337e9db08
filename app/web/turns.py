"""A few at a time: what holds a web process's thread for long leaves the others to the pages."""

from collections import Counter
from collections.abc import Hashable
from threading import Lock


class Turns:
    """Of this process: so many in all, and so many of one owner (a company), so that nobody is kept out by another."""

    def __init__(self, *, most: int, most_of_one: int) -> None:
        self.most, self.most_of_one = most, most_of_one
        self.running: Counter[Hashable] = Counter()
        self.lock = Lock()

    def take(self, owner: Hashable) -> "Turn | None":
        """None if it is nobody's turn now."""
        with self.lock:
            if self.running.total() >= self.most or self.running[owner] >= self.most_of_one:
                return None
            self.running[owner] += 1
            return Turn(self, owner)


class Turn:
    """To be ended, once or more often."""

    def __init__(self, turns: Turns, owner: Hashable) -> None:
        self.turns, self.owner, self.ended = turns, owner, False

    def end(self) -> None:
        with self.turns.lock:
            if not self.ended:
                self.ended = True
                self.turns.running[self.owner] -= 1
