"""PDF → fax TIFF, and the pictures made from it.

The page is drawn by pdfium at the dots of the line (204 across, 196 or 98 down), turned to dots by
:mod:`app.adapters.pages.drawing` and packed as G4. Whatever reads a stranger's file does so in a child with a deadline.
"""

import io
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image, ImageDraw, ImageFont

from app.adapters.confined.isolation import Report, give_back, run_isolated
from app.adapters.fax_files.fax_sheets import exact_pages
from app.adapters.fax_files.fax_tiff import (
    DOTS_ACROSS,
    DOTS_DOWN,
    LENGTHS,
    WIDTH,
    FaxPage,
    count_tiff_pages,
    decode,
    encode,
    put_between,
    read_pages,
    write_pages,
)
from app.adapters.pages.dots import CELL, Box, Ink
from app.adapters.pages.drawing import Drawing, Screens, ink_of, prepared, tone_of
from app.adapters.pages.halftone import Packed, takes_more_than
from app.adapters.pages.hands import by_two
from app.adapters.pages.page_notes import DEAR_SECONDS, Note, checked, cuts, dear_note, seen_in
from app.adapters.pages.page_views import Views, blank, views_of
from app.adapters.pages.sheets import PageSize, Sheet, sheets_of, usual_sheets
from app.adapters.pdf.print_view import as_printed
from app.errors import PermanentFailure

__all__ = [
    "TiffFacts",
    "call_seconds",
    "count_pdf_pages",
    "count_tiff_pages",
    "estimate_seconds",
    "page_picture",
    "rasterize",
    "take_pages",
    "tiff_facts",
]

Resolution = Literal["fine", "standard"]
USUAL_RATE = 14_400  # bit/s
#: A page that would take longer is screened coarser.
PAGE_SECONDS = 95
SCREENS = (
    Screens("fine", "fine", "usual", "rows"),
    Screens("fine", "rows", "usual", "rows"),
    Screens("small", "rows", "usual", "rows"),
    Screens("upright", "rows", "usual", "rows"),
    Screens("upright", "rows", "coarse", "rows"),
    Screens("rows", "rows", "rows", "rows"),
    Screens("coarsest", "coarsest", "coarsest", "coarsest"),
)
#: Where no screen is coarse enough: how often a line is repeated.
REPEATED = (2, 4)
#: Training, T.30 signals before, between and after the pages (ITU-T T.30; fitted to faxes measured on Asterisk 22).
CALL_SECONDS, BETWEEN_PAGES_SECONDS = 12.0, 4.0
#: HDLC frames, flags and stuffed bits on top of the image data in error correction mode.
ECM_OVERHEAD = 1.05
#: Without error correction there is no T.6 but T.4 in two dimensions, larger by this much on text (as measured).
T4_OVERHEAD = 1.6
PAGE_BITS = PAGE_SECONDS * USUAL_RATE / ECM_OVERHEAD
PAGE_LIMIT = 200
#: Pages that are read before the document is opened again.
PAGES_AT_ONCE = 8

FORBIDDEN = {raw.FPDF_ERR_PASSWORD: "encrypted", raw.FPDF_ERR_SECURITY: "encrypted"}


#: Text in a font that is not embedded, a grey area, colour: a bit of everything.
WARM_UP_PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R
/Resources<</Font<</F 5 0 R/G 6 0 R>>>>>>endobj
4 0 obj<</Length 136>>stream
BT /F 12 Tf 72 720 Td (Faxroom) Tj /G 12 Tf 0 -20 Td (Faxroom) Tj ET
0.5 g 72 400 200 200 re f 1 0 0 rg 300 400 200 200 re f
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
6 0 obj<</Type/Font/Subtype/TrueType/BaseFont/Arial>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""


@dataclass(frozen=True)
class Drawn:
    """A page of the fax, and what a person should know of it."""

    page: FaxPage
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class TiffFacts:
    """``seconds`` is the whole call at 14,400 bit/s with error correction, ``page_bytes`` the image data, ``notes``
    what the sender should know (:mod:`app.adapters.pages.page_notes`)."""

    pages: int
    bytes: int
    seconds: float
    page_bytes: tuple[int, ...]
    notes: tuple[Note, ...] = ()


def rasterize(
    pdf_path: Path,
    tiff_path: Path,
    *,
    resolution: Resolution = "fine",
    page_size: PageSize = "A4",
    on_page: Callable[[int], None] | None = None,
    deadline_seconds: float = 240,
    page_limit: int = PAGE_LIMIT,
) -> TiffFacts:
    """Draw every page to ``tiff_path``. ``on_page`` is told each page's number when it is done.

    Raises:
        PermanentFailure: ``encrypted``, ``damaged``, ``too_many_pages``, ``too_many_pixels``,
            ``conversion_timed_out``. ``tiff_path`` then holds nothing of use.
    """
    printed_path = tiff_path.with_suffix(".printed.pdf")
    try:
        told = run_isolated(
            draw_all,
            *(str(pdf_path), str(printed_path), str(tiff_path), resolution, page_size, page_limit),
            deadline_seconds=deadline_seconds,
            reads=[pdf_path],
            writes=[printed_path, tiff_path],
            on_report=on_page,
        )
    finally:
        printed_path.unlink(missing_ok=True)
    return tiff_facts(tiff_path, told["bytes"], checked(told["notes"]))


def tiff_facts(tiff_path: Path, sizes: Sequence[int], notes: Sequence[Note] = ()) -> TiffFacts:
    """``sizes`` are what a child says that it has written.

    Raises:
        PermanentFailure: ``damaged``: it has not.
    """
    if count_tiff_pages(tiff_path) != len(sizes):
        raise PermanentFailure("damaged")
    return TiffFacts(
        pages=len(sizes),
        bytes=tiff_path.stat().st_size,
        seconds=call_seconds(sizes, USUAL_RATE, ecm=True),
        page_bytes=tuple(sizes),
        notes=tuple(notes),
    )


def count_pdf_pages(pdf_path: Path, *, deadline_seconds: float = 10) -> int:
    """Raises as ``rasterize`` does."""
    return run_isolated(count, str(pdf_path), reads=[pdf_path], deadline_seconds=deadline_seconds)


# ---- What a child does; ``report`` is how it tells of what it has done so far


def count(_report: Report, pdf_path: str) -> int:
    with open_pdf(Path(pdf_path)) as document:
        return len(document)


def open_pdf(path: Path) -> pdfium.PdfDocument:
    """For use in a child only."""
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        raise PermanentFailure(FORBIDDEN.get(error.err_code, "damaged")) from error
    if len(document) == 0:
        raise PermanentFailure("no_pages")
    return document


class Told(TypedDict):
    """What a child says of the sheets that it has drawn: the bytes of each, and what is to be noted."""

    bytes: list[int]
    notes: list[Note]


def draw_all(
    report: Report,
    pdf_path: str,
    printed_path: str,
    tiff_path: str,
    resolution: str,
    page_size: PageSize,
    page_limit: int,
) -> Told:
    """Gives the bytes of each sheet's image data and the notes on them; reports the number of each sheet that is done.
    ``printed_path`` is for a print view of the document, which its caller removes."""
    printed = as_printed(Path(pdf_path), Path(printed_path))
    return _draw(report, printed, Path(tiff_path), resolution, page_size, page_limit)


def _draw(
    report: Report, pdf_path: Path, tiff_path: Path, resolution: str, page_size: PageSize, page_limit: int
) -> Told:
    with _Pages(pdf_path) as document:
        sheets = list(itertools.islice(_sheets(document, page_size), page_limit + 1))
    if len(sheets) > page_limit:
        raise PermanentFailure("too_many_pages", limit=page_limit)
    exact = exact_pages(pdf_path, most_rows=LENGTHS[page_size])

    @contextmanager
    def hand() -> Iterator[Callable[[int], bytes]]:
        paper = _Paper(resolution, page_size, exact)
        with _Pages(pdf_path) as document:
            yield lambda at: _packed(paper.drawn(document, *sheets[at]))

    def pages() -> Iterator[FaxPage]:
        for number, piece in enumerate(by_two(hand, len(sheets)), 1):
            drawn = _unpacked(piece)
            notes.extend(note | {"page": number} for note in drawn.notes)
            yield drawn.page
            report(number)

    notes: list[Note] = []
    with tiff_path.open("wb") as target:  # whoever stores it makes it durable
        sizes = write_pages(target, pages(), total=len(sheets))
    notes.sort(key=lambda note: note["kind"] == "dear")  # what is on the pages, then what they take
    return {"bytes": sizes, "notes": cuts(index for index, _sheet in sheets) + notes}


def _packed(drawn: Drawn) -> bytes:
    page = drawn.page
    return json.dumps([page.rows, page.dots_down, page.width, drawn.notes]).encode() + b"\n" + page.strip


def _unpacked(piece: bytes) -> Drawn:
    told, _, strip = piece.partition(b"\n")
    rows, dots_down, width, notes = json.loads(told)
    return Drawn(FaxPage(strip, rows, dots_down, width), tuple(notes))


class _Pages:
    """The pages of a PDF. What pdfium has read of a document it keeps until that is closed, pictures as well: a long
    one is opened again and again."""

    def __init__(self, path: Path) -> None:
        self.path, self.document, self.read = path, open_pdf(path), 0

    def __enter__(self) -> "_Pages":
        return self

    def __exit__(self, *_: object) -> None:
        self.document.close()

    def size(self, index: int) -> tuple[float, float]:
        """Width and height, in points."""
        width, height = self.document.get_page_size(index)
        return width, height

    def __len__(self) -> int:
        return len(self.document)

    @contextmanager
    def opened(self, index: int) -> Iterator[pdfium.PdfPage]:
        if self.read == PAGES_AT_ONCE:
            self.document.close()
            give_back()
            self.document, self.read = open_pdf(self.path), 0
        self.read += 1
        page = self.document[index]
        try:
            yield page
        finally:
            page.close()


def _sheets(document: _Pages, page_size: PageSize) -> Iterator[tuple[int, Sheet | None]]:
    """The index of its page and what of it is on the sheet, for each; a page without an area is a blank sheet."""
    for index in range(len(document)):
        sheets = usual_sheets(*document.size(index), page_size=page_size)
        if sheets is None:
            with document.opened(index) as page:
                sheets = sheets_of(page, page_size=page_size)
        placed: Sequence[Sheet | None] = sheets or [None]
        for sheet in placed:
            yield index, sheet


class _Paper:
    """What a page is drawn on."""

    def __init__(self, resolution: str, page_size: str, exact: dict[int, FaxPage]) -> None:
        """``exact``: what is a fax already, by the index of its page."""
        self.exact = exact
        self.dots_down = DOTS_DOWN[resolution]
        self.cell_rows = CELL * self.dots_down // DOTS_DOWN["fine"]
        self.rows = LENGTHS[page_size] * self.dots_down // DOTS_DOWN["fine"]
        #: On which pdfium draws.
        self.sheets = np.empty((2, self.rows, WIDTH, 3), np.uint8)

    def views(self, page: pdfium.PdfPage, sheet: Sheet) -> Views:
        """As large as the sheet says, centred, at the top; what lies across is turned upright."""
        width, height = page.get_size()
        start, share = (sheet.left, sheet.width) if sheet.turned else (sheet.top, sheet.height)
        across, along = (height, width) if sheet.turned else (width, height)
        columns = max(1, min(WIDTH, round(across * sheet.scale * DOTS_ACROSS / 72)))
        rows = max(1, round(along * sheet.scale * self.dots_down / 72))
        if share == 1:
            rows = min(rows, self.rows)
        place = ((WIDTH - columns) // 2, -round(start * rows), columns, rows, 1 if sheet.turned else 0)
        return views_of(page, place, self.sheets, filled=min(self.rows, round(share * rows)))

    def drawn(self, document: _Pages, index: int, sheet: Sheet | None) -> Drawn:
        if index in self.exact:
            return Drawn(self.exact[index])
        notes: list[Note] = []

        def looked_at() -> Views:
            views = self.seen(document, index, sheet)
            notes.extend(filter(None, [seen_in(views)]))
            return views

        drawing = prepared(looked_at(), self.cell_rows)
        page, dear = self.screened(drawing)
        return Drawn(page, (*notes, dear) if dear else tuple(notes))

    def seen(self, document: _Pages, index: int, sheet: Sheet | None) -> Views:
        if sheet is None:
            return blank((self.rows, WIDTH))
        with document.opened(index) as page:
            return self.views(page, sheet)

    def screened(self, drawing: Drawing) -> tuple[FaxPage, Note | None]:
        """The first way to screen it that does not take too long on the line, from the finest to the coarsest; and
        what is to be said of it."""
        for ink in self._ways(drawing):
            lines = self._lines(ink, drawing.part)
            if takes_more_than(PAGE_BITS, lines):
                continue
            page = self._coded(lines, drawing.part)
            if len(page.strip) * 8 <= PAGE_BITS:
                break
        else:
            page = self._coded(lines, drawing.part)
        seconds = len(page.strip) * 8 * ECM_OVERHEAD / USUAL_RATE
        return page, dear_note(drawing, ink, seconds) if seconds > DEAR_SECONDS else None

    def _lines(self, ink: Ink, part: Box) -> Packed:
        """``ink`` is on ``part`` of the sheet."""
        dots = np.zeros((len(ink), WIDTH), bool)
        dots[:, part[1]] = ink
        return np.packbits(dots, axis=1)

    def _coded(self, lines: Packed, part: Box) -> FaxPage:
        rows, _columns = part
        page = encode(lines.tobytes(), rows=len(lines), dots_down=self.dots_down)
        return put_between(page, above=rows.start, below=self.rows - rows.stop)

    def _ways(self, drawing: Drawing) -> Iterator[Ink]:
        """In coarser and coarser screens; then, where it is all lines, with fewer of them, and as mere tone."""
        for screens in SCREENS:
            ink = ink_of(drawing, screens)
            yield ink
        for repeated in REPEATED:
            yield np.repeat(ink[::repeated], repeated, axis=0)[: len(ink)]
        yield tone_of(drawing)


def estimate_seconds(tiff_path: Path, rate: int = USUAL_RATE, *, ecm: bool = True) -> float:
    """How long the call takes, from the answer to the hang-up, when every page gets through at ``rate`` bit/s."""
    return call_seconds([len(page.strip) for page in read_pages(tiff_path)], rate, ecm=ecm)


def call_seconds(sizes: Sequence[int], rate: int, *, ecm: bool) -> float:
    """The same by the bytes of each page's image data."""
    overhead = ECM_OVERHEAD if ecm else T4_OVERHEAD
    return CALL_SECONDS + BETWEEN_PAGES_SECONDS * len(sizes) + sum(sizes) * 8 * overhead / rate


def warm_up() -> None:
    """Draw a page of our own here, once: what libraries find out at their first page, every forked child then knows.

    Takes a quarter off a light page: the search for fonts and the tables of the screens are not made anew for each.
    """
    with own_page() as pdf_path:
        printed, tiff = (str(pdf_path.with_suffix(ending)) for ending in (".printed", ".tif"))
        draw_all(lambda _: None, str(pdf_path), printed, tiff, "fine", "A4", 1)


@contextmanager
def own_page() -> Iterator[Path]:
    """A PDF that no stranger has made, in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="faxroom-warm-") as folder:
        pdf_path = Path(folder) / "page.pdf"
        pdf_path.write_bytes(WARM_UP_PDF)
        yield pdf_path


# ---- Made from a fax


def take_pages(tiff_path: Path, first_page: int, note: str | None = None) -> list[FaxPage]:
    """The pages of a fax of ours from ``first_page`` (from 1) on; ``note`` stands at the top of the first."""
    pages = list(read_pages(tiff_path))[first_page - 1 :]
    if first_page < 1 or not pages:
        raise ValueError(f"{tiff_path.name} has no page {first_page}")
    if note:
        pages[0] = _with_note(pages[0], note)
    return pages


def _with_note(page: FaxPage, note: str) -> FaxPage:
    """The note in a white strip of 4 mm, right, where the line of the sending station leaves room."""
    image = decode(page)
    font = ImageFont.load_default(26)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(note))
    label = Image.new("L", (right - left + 16, bottom - top + 10), 255)
    ImageDraw.Draw(label).text((8 - left, 5 - top), note, fill=0, font=font)
    label = label.resize((min(label.width, WIDTH), round(label.height * page.dots_down / DOTS_ACROSS)))
    image.paste(label.point(lambda value: 255 if value > 128 else 0).convert("1"), (WIDTH - label.width - 40, 4))
    packed = np.packbits(~np.asarray(image), axis=1).tobytes()
    return encode(packed, rows=page.rows, dots_down=page.dots_down)


def page_picture(tiff_path: Path, page: int, width: int, *, deadline_seconds: float = 30) -> bytes:
    """A PNG of one page (from 1) of a TIFF, ``width`` pixels wide, with the height that it has on paper."""
    return bytes.fromhex(
        run_isolated(picture_of, str(tiff_path), page, width, reads=[tiff_path], deadline_seconds=deadline_seconds)
    )


def picture_of(_report: Report, name: str, page: int, width: int) -> str:
    """In a child. The PNG in hexadecimal digits."""
    image, target = Image.open(name, formats=("TIFF",)), io.BytesIO()
    image.seek(page - 1)
    across, down = image.info.get("dpi", (DOTS_ACROSS, DOTS_DOWN["fine"]))
    height = min(round(image.height * width / image.width * float(across) / float(down or 1)), 4 * width)
    image.convert("L").resize((width, height), Image.Resampling.BOX, reducing_gap=None).save(target, format="PNG")
    return target.getvalue().hex()
