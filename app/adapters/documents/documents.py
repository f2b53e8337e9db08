"""What a file is, by its content alone, and whether it may be worked on. Names and MIME types are hearsay.

LibreOffice opens almost anything under any name (a web page called letter.doc fetches its pictures), so only what was
recognised here reaches it. All reading is done in a child that may crash, hang or run out of memory.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2 as pdfium
from pypdfium2.raw import FPDF_ERR_SECURITY

from app.adapters.confined.isolation import Report, run_isolated
from app.adapters.documents.document_limits import MEGABYTE, DocumentFacts, Limits
from app.adapters.documents.office_documents import judge_ole, judge_zip
from app.adapters.documents.office_sources import decoded
from app.adapters.documents.pdf_characters import missing_of
from app.adapters.documents.picture_files import judge_picture
from app.adapters.documents.recognition import HEAD_BYTES, is_text, recognise
from app.adapters.pages.rasterizer import open_pdf, own_page
from app.adapters.pdf import fonts
from app.adapters.pdf.pdf_shells import is_rights_managed, shell
from app.adapters.pdf.pdf_values import number, whole
from app.errors import PermanentFailure, Refused
from app.kinds import BY_ENDING, KINDS, Family

__all__ = ["DocumentFacts", "Limits", "inspect"]

#: What qpdf says of a file that pdfium can read, or of values that make no sense in it.
UNREADABLE = (pikepdf.PdfError, pikepdf.PasswordError, pdfium.PdfiumError, ValueError, TypeError, LookupError)
INSPECTION_SECONDS = 20
#: Endings of what is sealed or signed: what looks like a text there is a broken one.
SEALED = frozenset(("pgp", "gpg", "asc", "sig", "p7m", "p7s"))


def inspect(path: Path, *, name: str = "", limits: Limits | None = None) -> DocumentFacts:
    """Judge a file. ``name`` only says what kind of text a text is.

    Raises:
        Refused: ``empty``, ``too_large`` (limit in MB), ``wrong_type`` (looks_like), ``encrypted``, ``rights_managed``,
            ``portfolio``, ``xfa_form``, ``damaged``, ``no_pages``, ``too_many_pages`` (limit), ``too_many_pixels``,
            ``unpacked_too_large``; with the ``kind`` where it is known.
    """
    limits = limits or Limits()
    size = path.stat().st_size
    if size == 0:
        raise Refused("empty")
    if size > limits.bytes:
        raise Refused("too_large", limit=limits.bytes // MEGABYTE)
    try:
        given = (str(path), size, asdict(limits), _text_kind(name))
        facts: dict[str, Any] = run_isolated(judge, *given, reads=[path], deadline_seconds=INSPECTION_SECONDS)
        return DocumentFacts(**facts)
    except PermanentFailure as failure:
        code = "damaged" if failure.code == "conversion_timed_out" else failure.code
        raise Refused(code, **failure.values) from failure


def _text_kind(name: str) -> str | None:
    """Nearly anything may pass for a text, so it is one only where the name does not say that it is something else."""
    ending = Path(name.lower()).suffix.removeprefix(".")
    if ending in SEALED:
        return None
    kind = BY_ENDING.get(ending, "txt")
    return kind if kind in ("txt", "csv") else None


def judge(_report: Report, name: str, size: int, limits: dict[str, int], text_kind: str | None) -> dict[str, object]:
    """In a child."""
    return asdict(_judge(Path(name), size, Limits(**limits), text_kind))


def warm_up() -> None:
    """Judge a page of our own, as the child does that waits for the next document
    (:mod:`app.adapters.confined.isolation`)."""
    with own_page() as path:
        _judge(path, path.stat().st_size, Limits(), None)


def _judge(path: Path, size: int, limits: Limits, text_kind: str | None) -> DocumentFacts:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip(b"\0\t\r\n "):
        raise Refused("empty")
    what = recognise(head)
    if what == "ole":
        return judge_ole(path, size, limits)
    if what == "zip":
        return judge_zip(path, size, limits)
    if what == "text":
        if text_kind is None:
            raise Refused("wrong_type", looks_like="text")
        return _judge_text(path, size, text_kind)
    if what not in KINDS:
        raise Refused("wrong_type", looks_like=what)
    return _named(what, lambda: _READERS[KINDS[what].family](path, size, limits, what))


def _named(kind: str, judged: Callable[[], DocumentFacts]) -> DocumentFacts:
    """Whatever is wrong with it is told with what it is."""
    try:
        return judged()
    except (Refused, PermanentFailure) as failure:
        raise type(failure)(failure.code, **{"kind": kind} | failure.values) from failure


def _judge_text(path: Path, size: int, kind: str) -> DocumentFacts:
    data = path.read_bytes()
    if not is_text(data):
        raise Refused("wrong_type", looks_like="unknown")
    if not (text := decoded(data)).strip():
        raise Refused("empty")
    return DocumentFacts(kind, size, warnings=fonts.missing_in([text]))


def _judge_rtf(path: Path, size: int, _limits: Limits, kind: str) -> DocumentFacts:
    """What is in it only LibreOffice knows; that it has an end is seen from here."""
    with path.open("rb") as file:
        file.seek(max(0, size - HEAD_BYTES))
        if b"}" not in file.read():
            raise Refused("damaged")
    return DocumentFacts(kind, size)


# ---- PDF


def _judge_pdf(path: Path, size: int, limits: Limits, _kind: str) -> DocumentFacts:
    with _opened(path) as document:
        pages = len(document)
        if pages > limits.pages:
            raise Refused("too_many_pages", limit=limits.pages)
        longest = [max(document.get_page_size(index)) for index in range(pages)]
        if max(longest) > limits.side_points:
            raise Refused("too_many_pixels")
        warnings = _judge_pdf_structure(path, document, longest, limits)
    return DocumentFacts("pdf", size, pages=pages, warnings=warnings)


def _opened(path: Path) -> pdfium.PdfDocument:
    try:
        return open_pdf(path)
    except PermanentFailure as failure:
        unknown = isinstance(failure.__cause__, pdfium.PdfiumError) and failure.__cause__.err_code == FPDF_ERR_SECURITY
        if unknown and is_rights_managed(path):
            raise Refused("rights_managed") from failure
        raise


def _judge_pdf_structure(
    path: Path, pages: pdfium.PdfDocument, longest: list[float], limits: Limits
) -> list[dict[str, object]]:
    """By what the file says, before anything is unpacked; gives what the sender should know. What pdfium can read and
    qpdf cannot is let through."""
    try:
        with pikepdf.open(path) as document:
            units = [number(page.obj.get("/UserUnit"), 1.0) for page in document.pages]
            enlarged = max((unit * side for unit, side in zip(units, longest, strict=False)), default=0)
            largest = max(map(_pixels, document.objects), default=0)
            found = shell(document, pages)
            warnings = missing_of(document, pages)
    except UNREADABLE:
        return []
    if found:
        raise Refused(found)
    if enlarged > limits.enlarged_points or largest > limits.pixels:
        raise Refused("too_many_pixels")
    return warnings


def _pixels(item: object) -> int:
    """Of a picture, as declared."""
    if not isinstance(item, pikepdf.Stream) or item.get("/Subtype") != "/Image":
        return 0
    return whole(item.get("/Width")) * whole(item.get("/Height"))


_READERS = {Family.PDF: _judge_pdf, Family.PICTURE: judge_picture, Family.TEXT: _judge_rtf}
