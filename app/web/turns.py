"""A few at a time: what holds a web process's thread for long leaves the others to the pages."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from threading import Lock

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.web.errors import page


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


#: Of every file that is made while it travels: a process has eight threads (bin/lib), and a slow line at the other end
#: holds one for hours.
downloads = Turns(most=4, most_of_one=2)


def busy() -> Response:
    """Instead of a download whose turn it is not."""
    text = _("Wait until a download has ended, then begin this one again.")
    answer = page(503, title=_("Too many downloads at the moment"), text=text)
    answer.headers["Retry-After"] = "30"
    return answer


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
