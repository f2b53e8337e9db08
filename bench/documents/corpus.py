"""A corpus of office pages that a seed makes anew: what people fax, in many hands.

Each kind is a function of a ``random.Random``; pages of one kind differ in layout, colours, sizes, fonts and words.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from bench.documents import artwork, charts, office, pictures, slides
from bench.documents.pictures import QUALITIES, Scanned

#: Kind → the function that draws a page of it.
KINDS: dict[str, Callable[[Random], bytes]] = {
    "bar charts": charts.bars,
    "line charts": charts.lines,
    "pies": charts.pies,
    "diagrams": slides.diagrams,
    "slides": slides.slides,
    "tables": office.tables,
    "forms": office.forms,
    "letters": office.letters,
    "headings": office.headings,
    "marked text": office.marked,
    "light text": office.light,
    "logos": artwork.logos,
    "watermarks": artwork.watermarks,
    "gradients": artwork.gradients,
    "patterns": artwork.patterns,
    "blends": artwork.blends,
    "clips": artwork.clips,
    "forms in forms": artwork.nested,
    "rotated text": artwork.rotated,
    "type 3 fonts": artwork.type3,
    "annotations": slides.annotated,
    "screenshots": pictures.screenshots,
    "photographs": pictures.photographs,
}
#: Pictures of sheets of paper; their paper is white, whatever the picture says.
PAPER: dict[str, Callable[[Random, int], Scanned]] = {
    "scans": lambda choose, index: pictures.scans(choose, list(QUALITIES)[index % len(QUALITIES)]),
    "photographed sheets": lambda choose, _: pictures.sheets(choose),
}
ALL_KINDS = (*KINDS, *PAPER)
#: Kinds that come twice as often as the others, as each of them stands for several.
OFTEN = ("scans",)


@dataclass(frozen=True)
class Page:
    """``paper`` is a PDF of the clean sheet in the same place; ``sheet`` one that is white where the sheet lies.

    Both are None where the page itself says what is white; ``sheet`` also where the sheet fills the page. ``printed``
    is the page as it is on paper, where a screen may show another.
    """

    kind: str
    seed: int
    pdf: bytes
    paper: bytes | None = None
    sheet: bytes | None = None
    printed: bytes | None = None

    @property
    def shown(self) -> bytes:
        """What is on it, for whoever reads it."""
        return self.printed or self.pdf

    @property
    def is_paper(self) -> bool:
        return self.kind in PAPER


def plan(seed: int = 1, pages: int = 312, kinds: Sequence[str] = ()) -> list[tuple[str, int]]:
    """Kind and seed of each page, kind by kind in turn."""
    turn = [kind for kind in ALL_KINDS if not kinds or kind in kinds]
    turn += [kind for kind in turn if kind in OFTEN]
    counts: dict[str, int] = {}
    made = []
    for number in range(pages):
        kind = turn[number % len(turn)]
        counts[kind] = counts.get(kind, -1) + 1
        made.append((kind, seed * 10_000 + counts[kind]))
    return made


def draw(kind: str, seed: int) -> Page:
    """The same bytes for the same kind and seed, as long as fonts and libraries are the same."""
    choose = Random(hashlib.sha256(f"{kind} {seed}".encode()).digest())
    if kind in PAPER:
        scanned = PAPER[kind](choose, seed % 10_000)
        return Page(kind, seed, scanned.pdf, scanned.paper, scanned.sheet)
    return Page(kind, seed, KINDS[kind](choose))


def corpus(seed: int = 1, pages: int = 312, kinds: Sequence[str] = ()) -> list[Page]:
    return [draw(*one) for one in plan(seed, pages, kinds)]
