"""A document of any kind that is taken → its PDF, and the pages for the line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.adapters.confined.isolation import run_isolated
from app.adapters.documents.converter import QUEUE_SECONDS, convert_to_pdf
from app.adapters.documents.picture_files import copy_dots, lay_out
from app.adapters.fax_files.fax_pdf import tiff_to_pdf
from app.adapters.pages.rasterizer import Resolution, TiffFacts, rasterize, tiff_facts
from app.adapters.pages.sheets import PageSize
from app.kinds import KINDS, Family

CONVERSION_SECONDS, DRAWING_SECONDS, PICTURE_SECONDS = 60, 240, 120


@dataclass(frozen=True)
class Offices:
    """Who converts. ``locale`` is how the sender writes numbers and dates, such as ``it-IT``; ``queue_seconds`` is how
    long to wait for a free one."""

    servers: list[str]
    locale: str = ""
    queue_seconds: float = QUEUE_SECONDS


@dataclass(frozen=True)
class Prepared:
    """Where the PDF and the pages are, what the pages are, and what is to be said of the PDF."""

    pdf: Path
    tiff: Path
    facts: TiffFacts
    warnings: list[dict[str, Any]]


def prepare_document(
    source: Path,
    kind: str,
    folder: Path,
    *,
    name: str,
    offices: Offices,
    resolution: Resolution,
    page_size: PageSize,
    on_page: Callable[[int], None] | None = None,
) -> Prepared:
    """Everything that the line, the viewer and the archive need, in ``folder``. The PDF of a PDF is ``source``.
    ``on_page`` is told the number of each page that is drawn.

    Raises:
        PermanentFailure, TemporaryFailure: as :func:`pdf_of` and :func:`app.adapters.pages.rasterizer.rasterize`.
    """
    tiff = folder / "pages.tif"
    if KINDS[kind].family is Family.PICTURE and (exact := _exact_pages(source, kind, tiff, page_size)):
        pdf = folder / "document.pdf"
        tiff_to_pdf(tiff, pdf)
        return Prepared(pdf, tiff, exact, [])
    warnings: list[dict[str, Any]] = []
    if KINDS[kind].family is Family.PICTURE:
        pdf = _laid_out(source, kind, folder, page_size)
    else:
        pdf, warnings = pdf_of(source, kind, folder, name=name, offices=offices, page_size=page_size)
    facts = rasterize(
        pdf, tiff, resolution=resolution, page_size=page_size, on_page=on_page, deadline_seconds=DRAWING_SECONDS
    )
    return Prepared(pdf, tiff, facts, warnings)


def pdf_of(
    source: Path, kind: str, folder: Path, *, name: str, offices: Offices, page_size: PageSize = "A4"
) -> tuple[Path, list[dict[str, Any]]]:
    """Where the PDF of a document is, and what its sender should know. ``kind`` is what it was judged to be.

    Raises:
        PermanentFailure, TemporaryFailure: as :func:`app.adapters.documents.converter.convert_to_pdf`, with the
        ``kind``.
    """
    family, target = KINDS[kind].family, _target(source, folder)
    warnings: list[dict[str, Any]] = []
    if family is Family.PDF:
        return source, warnings
    if family is Family.PICTURE:
        tiff = target.with_suffix(".tif")
        if not _exact_pages(source, kind, tiff, page_size):
            return _laid_out(source, kind, folder, page_size), warnings
        tiff_to_pdf(tiff, target)
        return target, warnings
    pdf = convert_to_pdf(
        source,
        kind=kind,
        servers=offices.servers,
        deadline_seconds=CONVERSION_SECONDS,
        queue_seconds=offices.queue_seconds,
        name=name,
        locale=offices.locale,
        on_warning=warnings.append,
    )
    target.write_bytes(pdf)
    return target, warnings


def _target(source: Path, folder: Path) -> Path:
    return folder / f"{source.stem}-document.pdf"


def _laid_out(source: Path, kind: str, folder: Path, page_size: PageSize) -> Path:
    """Where the PDF of a picture is."""
    target = _target(source, folder)
    given = (str(source), kind, str(target), page_size)
    run_isolated(lay_out, *given, reads=[source], writes=[target], deadline_seconds=PICTURE_SECONDS)
    return target


def _exact_pages(source: Path, kind: str, tiff: Path, page_size: PageSize) -> TiffFacts | None:
    """What came from a fax machine goes out as it came; None for another picture."""
    given = (str(source), kind, str(tiff), page_size)
    sizes = run_isolated(copy_dots, *given, reads=[source], writes=[tiff], deadline_seconds=PICTURE_SECONDS)
    return tiff_facts(tiff, sizes) if sizes else None
