"""Several PDFs → one, page after page. Read in a child: they are a stranger's."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pikepdf

from app.adapters.confined.isolation import Report, run_isolated
from app.adapters.documents.documents import Limits
from app.errors import PermanentFailure, Refused

JOINING_SECONDS = 60


def join_pdfs(sources: Sequence[Path], target: Path) -> int:
    """Write ``target``; gives its number of pages.

    Raises:
        Refused: ``too_many_pages`` (limit), ``encrypted``.
        PermanentFailure: ``damaged``, ``conversion_timed_out``.
    """
    names = [str(source) for source in sources]
    return run_isolated(
        _join, names, str(target), Limits().pages, reads=sources, writes=[target], deadline_seconds=JOINING_SECONDS
    )


def _join(_report: Report, sources: list[str], target: str, most_pages: int) -> int:
    """In a child. The parts stay open until the whole is written: their streams are read then."""
    with ExitStack() as parts, pikepdf.new() as whole:
        for name in sources:
            part = parts.enter_context(_opened(name))
            if len(whole.pages) + len(part.pages) > most_pages:
                raise Refused("too_many_pages", limit=most_pages)
            whole.pages.extend(part.pages)
        with Path(target).open("wb") as stream:  # given a name, pikepdf would make a file beside it
            whole.save(stream)
        return len(whole.pages)


def _opened(name: str) -> pikepdf.Pdf:
    try:
        return pikepdf.open(name)
    except pikepdf.PasswordError as error:
        raise Refused("encrypted") from error
    except pikepdf.PdfError as error:
        raise PermanentFailure("damaged") from error
