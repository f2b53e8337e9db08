"""Work on one document that has had its time gives way to others that wait.

Who works on behalf of many says how much time a document has before that (:func:`sliced`). What waits for a child or
for an office meanwhile is :func:`working`, and looks every ``LOOK_SECONDS`` whether the time is up and somebody waits.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

LOOK_SECONDS = 0.25


class GaveWay(Exception):
    """The work was ended and nothing of it was kept. It says nothing about the document."""


@dataclass
class _Slice:
    """``left``: seconds of work; waiting for an office is none."""

    left: float
    is_wanted: Callable[[], bool]


_slice: ContextVar[_Slice | None] = ContextVar("slice", default=None)


@contextmanager
def sliced(seconds: float, is_wanted: Callable[[], bool]) -> Iterator[None]:
    """What is worked on in here raises :class:`GaveWay` once it has taken ``seconds`` and ``is_wanted``."""
    token = _slice.set(_Slice(seconds, is_wanted))
    try:
        yield
    finally:
        _slice.reset(token)


@contextmanager
def working() -> Iterator[Callable[[float], None]]:
    """Gives what is to be called every ``LOOK_SECONDS`` until the work is done, with the seconds that it has taken."""
    mine, taken = _slice.get(), 0.0

    def look(seconds: float) -> None:
        nonlocal taken
        taken = seconds
        if mine and taken >= mine.left and mine.is_wanted():
            raise GaveWay

    try:
        yield look
    finally:
        if mine:
            mine.left -= taken
