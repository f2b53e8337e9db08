"""What a person should know of a document's pages before they go out: kinds and numbers, and their sentences.

The numbers are found while the pages are drawn (:mod:`app.adapters.pages.page_notes`) and kept with the preview and the
fax.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext

Note = dict[str, Any]

#: Pages named in one sentence; of more it is said how many.
MOST_NAMED = 6


def page_warnings(notes: Iterable[Note] | None) -> list[str]:
    """One sentence for each kind, and for each reason why pages are dear."""
    ordered = sorted(notes or (), key=lambda note: (ORDER.index(note["kind"]), note.get("why", 0), note["page"]))
    groups = groupby(ordered, key=lambda note: (note["kind"], note.get("why", 0)))
    return [SENTENCES[kind](list(alike)) for (kind, _why), alike in groups]


def _pages(notes: Sequence[Note]) -> str:
    """Page 3, pages 1, 3 and 5, 12 pages."""
    numbers = [note["page"] for note in notes]
    if len(numbers) > MOST_NAMED:
        return ngettext("%(num)d page", "%(num)d pages", len(numbers))
    if len(numbers) == 1:
        return _("page %(number)s", number=numbers[0])
    return _("pages %(some)s and %(last)s", some=", ".join(map(str, numbers[:-1])), last=numbers[-1])


def _cut(notes: Sequence[Note]) -> str:
    if len(notes) == 1:
        values = {"number": notes[0]["page"], "sheets": notes[0]["sheets"]}
        return _("Page %(number)s of the document is longer than the paper: it goes out as %(sheets)s pages.", **values)
    return _("Longer than the paper, so split across several pages: %(pages)s of the document.", pages=_pages(notes))


#: By what makes them so.
DEAR = (
    _l("Slow to send because of pictures: %(pages)s (up to %(seconds)s seconds at full speed)."),
    _l("Slow to send because of grey or colour areas: %(pages)s (up to %(seconds)s seconds at full speed)."),
    _l("Slow to send because of fine detail: %(pages)s (up to %(seconds)s seconds at full speed)."),
)


def _dear(notes: Sequence[Note]) -> str:
    seconds = max(note["seconds"] for note in notes)
    return str(DEAR[notes[0]["why"]]) % {"pages": _pages(notes), "seconds": seconds}


def _light(notes: Sequence[Note]) -> str:
    return _("Very light original. Parts of it may not be visible: %(pages)s. Use a darker scan.", pages=_pages(notes))


def _small(notes: Sequence[Note]) -> str:
    values = {"pages": _pages(notes), "points": min(note["points"] for note in notes)}
    return _("Text below 6 points may be hard to read (%(points)s points): %(pages)s.", **values)


SENTENCES: dict[str, Callable[[Sequence[Note]], str]] = {"cut": _cut, "dear": _dear, "light": _light, "small": _small}
ORDER = list(SENTENCES)
