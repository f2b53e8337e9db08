"""What a PDF shows on paper: its print view, with everything made part of the page that pdfium leaves out or misreads.

Print intent, not screen intent, as Acrobat has it (ISO 32000-1 12.5.3, 8.11): an annotation is printed when it has the
Print flag and is not hidden, whatever the screen shows; layers are in the state that they have for printing. Boxes are
put right and user units made points, so that whoever draws the pages need not know of any of this.
"""

import re
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2 as pdfium

from app.adapters.pdf import annotations, layers
from app.adapters.pdf.lettering import Fonts
from app.adapters.pdf.pdf_values import (
    IDENTITY,
    Box,
    Matrix,
    box,
    dictionary,
    drop,
    inherited,
    matrix_in,
    number,
    numbers,
    times,
    turn_of,
    whole,
    written,
)

#: Of a page that says nothing of its size pdfium makes a sheet of Letter; so do Acrobat and Ghostscript.
USUAL_BOX = (0.0, 0.0, 612.0, 792.0)


def as_printed(source: Path, target: Path) -> Path:
    """For use in a child. ``source`` where pdfium shows what is printed already, else ``target``, written for it.

    Whoever draws it has to say ``FPDF_ANNOT | FPDF_PRINTING`` and needs no form environment: a file that qpdf cannot
    read is given back as it is.
    """
    try:
        with pikepdf.open(source) as document:
            if not _mend(document):
                return source
            with target.open("wb") as stream:  # given a name, pikepdf would make a file beside it
                document.save(
                    stream,
                    compress_streams=False,
                    stream_decode_level=pikepdf.StreamDecodeLevel.none,
                    object_stream_mode=pikepdf.ObjectStreamMode.disable,
                )
        return target if _pages(target) == _pages(source) else source
    except Exception:  # whatever a library makes of a hostile file: pdfium has its own view of it
        return source


def _pages(path: Path) -> int:
    with pdfium.PdfDocument(path) as document:
        return len(document)


def _mend(document: pikepdf.Pdf) -> bool:
    """Whether anything had to be changed."""
    hidden = layers.settle(document)
    forms = dictionary(document.Root.get("/AcroForm"))
    changed, fonts = hidden is not None, Fonts(document)
    for page in document.pages:
        drawn = annotations.printed(page.obj, forms, hidden or layers.NONE, fonts)
        parts = drawn or []
        unit = number(inherited(page.obj, "/UserUnit"), 1.0)
        if drawn is not None:
            drop(page.obj, "/Annots")
        if parts:
            _add(document, page, parts)
        if unit > 0 and unit != 1.0:
            _enlarge(document, page, unit)
        changed |= _mend_boxes(page.obj, unit if unit > 0 else 1.0) or drawn is not None
    return changed


# ---- Boxes (ISO 32000-1 14.11.2)


def _mend_boxes(page: pikepdf.Object, unit: float) -> bool:
    """One box that says what is shown, upright; whether that is news."""
    media, crop = inherited(page, "/MediaBox"), inherited(page, "/CropBox")
    shown, turn = _shown(box(media), box(crop)), turn_of(page)
    as_it_is = unit == 1.0 and _is_plain(media) and (crop is None or (_is_plain(crop) and _within(crop, media)))
    if as_it_is and turn == whole(inherited(page, "/Rotate") or 0) % 360:
        return False
    page["/MediaBox"] = page["/CropBox"] = pikepdf.Array([round(edge * unit, 4) for edge in shown])
    page["/Rotate"] = turn
    drop(page, "/UserUnit")
    return True


def _shown(media: Box | None, crop: Box | None) -> Box:
    if media is None or crop is None:
        return media or crop or USUAL_BOX
    left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
    right, top = min(media[2], crop[2]), min(media[3], crop[3])
    return (left, bottom, right, top) if right - left >= 1 and top - bottom >= 1 else media


def _is_plain(value: Any) -> bool:
    edges = numbers(value)
    return len(edges) == 4 and box(value) == tuple(edges)


def _within(inner: Any, outer: Any) -> bool:
    """Whether they have an area in common: that pdfium finds by itself."""
    found, around = numbers(inner), numbers(outer)
    return (
        min(found[2], around[2]) - max(found[0], around[0]) >= 1
        and min(found[3], around[3]) - max(found[1], around[1]) >= 1
    )


# ---- Content


def _add(document: pikepdf.Pdf, page: pikepdf.Page, parts: list[tuple[pikepdf.Object, Matrix, bool]]) -> None:
    """Form XObjects on top of the page, in the space of the page itself whatever its content did to it."""
    resources = _own_resources(page.obj, "/XObject", "/ExtGState")
    lines = []
    for count, (form, matrix, multiplied) in enumerate(parts):
        key = f"/FaxAnnotation{count}"
        resources["/XObject"][key] = form
        state = ""
        if multiplied:
            resources["/ExtGState"]["/FaxMultiply"] = pikepdf.Dictionary(BM=pikepdf.Name.Multiply)
            state = "/FaxMultiply gs "
        place = "" if matrix == IDENTITY else f"{written(*matrix)} cm "
        lines.append(f"q {state}{place}{key} Do Q")
    _wrap(document, page, "q", _closing(page) + "\n" + "\n".join(lines))


def _own_resources(page: pikepdf.Object, *kinds: str) -> pikepdf.Object:
    """The resources, with those of some kinds, as this page's own: others may share or hand down what it has."""
    resources = _copied(inherited(page, "/Resources"))
    for kind in kinds:
        resources[kind] = _copied(resources.get(kind))
    page["/Resources"] = resources
    return page["/Resources"]


def _copied(found: Any) -> pikepdf.Dictionary:
    """A dictionary of its own; an empty one of anything else."""
    held: Any = dictionary(found)
    return pikepdf.Dictionary({} if held is None else held)


def _closing(page: pikepdf.Page) -> str:
    """As many Q as bring back the state of the start. Those too many are ignored, as is an ET."""
    content = b" ".join(_contents(page))
    saved = len(re.findall(rb"(?<![^\s\]>)])q(?=\s)", content)) - len(re.findall(rb"(?<![^\s\]>)])Q(?=\s)", content))
    return "ET " + "Q " * (1 + max(0, min(saved, 10_000)))


def _contents(page: pikepdf.Page) -> list[bytes]:
    found = page.obj.get("/Contents")
    streams = found if isinstance(found, pikepdf.Array) else [found]
    contents = []
    for stream in streams:
        if isinstance(stream, pikepdf.Stream):
            try:
                contents.append(stream.read_bytes())
            except pikepdf.PdfError:
                continue
    return contents


def _wrap(document: pikepdf.Pdf, page: pikepdf.Page, before: str, after: str) -> None:
    found = page.obj.get("/Contents")
    streams = list(found) if isinstance(found, pikepdf.Array) else [found]
    page.obj["/Contents"] = pikepdf.Array(
        [
            document.make_stream(before.encode() + b"\n"),
            *(stream for stream in streams if isinstance(stream, pikepdf.Stream)),
            document.make_stream(b"\n" + after.encode()),
        ]
    )


def _enlarge(document: pikepdf.Pdf, page: pikepdf.Page, unit: float) -> None:
    """A page in user units of ``unit`` points (ISO 32000-1 14.11.2, table 30) becomes one in points.

    Patterns are in the space of the page, whatever its content does to that (8.7.2), so they are enlarged on their own.
    """
    scale: Matrix = (unit, 0.0, 0.0, unit, 0.0, 0.0)
    _wrap(document, page, f"q {written(*scale)} cm", _closing(page))
    if dictionary(inherited(page.obj, "/Resources")) is None:
        return
    patterns = _own_resources(page.obj, "/Pattern")["/Pattern"]
    for key in list(patterns.keys()):
        if (enlarged := _enlarged_pattern(document, patterns[key], scale)) is not None:
            patterns[key] = enlarged


def _enlarged_pattern(document: pikepdf.Pdf, pattern: Any, scale: Matrix) -> pikepdf.Object | None:
    if isinstance(pattern, pikepdf.Stream):
        copy: pikepdf.Object = pikepdf.Stream(document, pattern.read_raw_bytes())
        for key, value in pattern.items():
            if key != "/Length":
                copy[key] = value
    elif isinstance(pattern, pikepdf.Dictionary):
        copy = _copied(pattern)
    else:
        return None
    matrix = matrix_in(pattern.get("/Matrix"))
    copy["/Matrix"] = pikepdf.Array([round(value, 6) for value in times(matrix, scale)])
    return document.make_indirect(copy)
