"""What a person should know of a page before it is sent, found while it is drawn; worded by
:mod:`app.rules.words.page_warnings`.

A note is a dict of its kind and numbers: ``light`` (page), ``small`` (page, points), ``dear`` (page, seconds, why: 0
pictures, 1 areas, 2 detail) and ``cut`` (page, sheets). ``page`` counts sheets of the fax from 1, that of ``cut`` pages
of the document.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

from app.adapters.pages.dots import Ink, Plane, box_of, strips, within
from app.adapters.pages.drawing import Drawing
from app.adapters.pages.halftone import BLACK_BELOW, WHITE_ABOVE
from app.adapters.pages.page_views import Views
from app.errors import PermanentFailure

Note = dict[str, int | str]

#: Kind → the numbers that it has beside its page.
KINDS: dict[str, tuple[str, ...]] = {"light": (), "small": ("points",), "dear": ("seconds", "why"), "cut": ("sheets",)}
PICTURES, AREAS, DETAIL = range(3)
#: A picture that fills this much of the page is what the page is: a scan.
SCAN = 0.5
#: Levels of grey (of 255) between paper and what is on it: fewer than the first is nothing, fewer than the second is
#: faint. Asked of the darkest five hundredth: about two lines of a letter.
NOTHING, FAINT, DARKEST = 12, 72, 0.002
#: Notes on a document, and what any number in one of them may be.
MOST = 10_000
#: Seconds on the line from which on a page is dear.
DEAR_SECONDS = 60


def seen_in(views: Views) -> Note | None:
    """The smallest words, or else how light it is."""
    if views.small is not None:
        return {"kind": "small", "points": round(views.small)}
    return {"kind": "light"} if _is_light(views) else None


def _is_light(views: Views) -> bool:
    for box in views.pictures:
        plane = views.full[box]
        if plane.size >= SCAN * views.page_dots and _is_faint(plane[::2, ::2]):
            return True
    return False


def _is_faint(plane: Plane) -> bool:
    levels = cv2.calcHist([np.ascontiguousarray(plane)], [0], None, [256], [0, 256]).ravel().cumsum(dtype=np.float64)
    half = np.array(((plane.size - 1) // 2, plane.size // 2))
    paper = float(np.searchsorted(levels, half, side="right").mean())
    darkest = float(np.searchsorted(levels, min(int(plane.size * DARKEST), plane.size - 1), side="right"))
    return NOTHING <= paper - darkest < FAINT


def dear_note(drawing: Drawing, ink: Ink, seconds: float) -> Note:
    """With what most of the changes from white to black and back are spent on."""
    spent = dict.fromkeys((PICTURES, AREAS, DETAIL), 0)
    for strip, _wider, _inner in strips(box_of(ink)):
        changes = np.zeros(ink[strip].shape, bool)
        np.not_equal(ink[strip][:, 1:], ink[strip][:, :-1], out=changes[:, 1:])
        everywhere = int(np.count_nonzero(changes))
        for box in drawing.pictures:
            changes[within(box, strip)] = False
        tone = cv2.inRange(drawing.ground[strip], BLACK_BELOW, WHITE_ABOVE - 1)
        elsewhere, areas = int(np.count_nonzero(changes)), int(np.count_nonzero(changes & tone.view(bool)))
        spent[PICTURES] += everywhere - elsewhere
        spent[AREAS] += areas
        spent[DETAIL] += elsewhere - areas
    return {"kind": "dear", "seconds": round(seconds), "why": max(spent, key=lambda part: spent[part])}


def cuts(indexes: Iterable[int]) -> list[Note]:
    """Of the pages of a document that each sheet is of: those that are on several."""
    return [
        {"kind": "cut", "page": index + 1, "sheets": sheets} for index, sheets in Counter(indexes).items() if sheets > 1
    ]


def checked(notes: Any) -> list[Note]:
    """What a child says, which a document may have taken over.

    Raises:
        PermanentFailure: ``damaged``: it is nothing that one of ours says.
    """
    try:
        return [_checked(note) for note in notes[:MOST]]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise PermanentFailure("damaged") from error


def _checked(note: dict[str, Any]) -> Note:
    kind = str(note["kind"])
    numbers = {name: int(note[name]) for name in ("page", *KINDS[kind])}
    if not all(0 <= number <= MOST for number in numbers.values()) or numbers.get("why", 0) > DETAIL:
        raise ValueError(numbers)
    return {"kind": kind} | numbers
