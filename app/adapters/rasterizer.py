"""PDF → fax TIFF, and the pictures made from it.

The page is drawn by pdfium at the dots of the line (204 across, 196 or 98 down), turned to dots by
:mod:`app.adapters.halftone` and packed as G4. Whatever reads a stranger's file does so in a child with a deadline.
"""

import io
import math
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image, ImageDraw, ImageFont

from app.adapters import halftone
from app.adapters.fax_tiff import (
    DOTS_ACROSS,
    DOTS_DOWN,
    LENGTHS,
    WIDTH,
    FaxPage,
    count_tiff_pages,
    decode,
    encode,
    read_pages,
    stacked,
    write_pages,
)
from app.adapters.isolation import Report, run_isolated
from app.errors import PermanentFailure

__all__ = [
    "TiffFacts",
    "count_pdf_pages",
    "count_tiff_pages",
    "estimate_seconds",
    "page_picture",
    "rasterize",
    "take_pages",
]

Resolution = Literal["fine", "standard"]
PageSize = Literal["A4", "Letter"]

USUAL_RATE = 14_400  # bit/s
#: A page that would take longer is screened coarser.
PAGE_SECONDS = 95
#: Training, T.30 signals before, between and after the pages (ITU-T T.30; fitted to faxes measured on Asterisk 22).
CALL_SECONDS, BETWEEN_PAGES_SECONDS = 12.0, 4.0
#: HDLC frames, flags and stuffed bits on top of the image data in error correction mode.
ECM_OVERHEAD = 1.05
#: Without error correction there is no T.6 but T.4 in two dimensions, larger by this much on text (as measured).
T4_OVERHEAD = 1.6
#: The most by which a small page is enlarged.
LARGEST_SCALE = 4.0
PAGE_LIMIT = 200

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
class TiffFacts:
    """``seconds`` is the whole call at 14,400 bit/s with error correction, ``page_bytes`` the image data."""

    pages: int
    bytes: int
    seconds: float
    page_bytes: tuple[int, ...]


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
    sizes = run_isolated(
        draw_all,
        *(str(pdf_path), str(tiff_path), resolution, page_size, page_limit),
        deadline_seconds=deadline_seconds,
        on_report=on_page,
    )
    if count_tiff_pages(tiff_path) != len(sizes):
        raise PermanentFailure("damaged")
    return TiffFacts(
        pages=len(sizes),
        bytes=tiff_path.stat().st_size,
        seconds=_seconds(sizes, USUAL_RATE, ecm=True),
        page_bytes=tuple(sizes),
    )


def count_pdf_pages(pdf_path: Path, *, deadline_seconds: float = 10) -> int:
    """Raises as ``rasterize`` does."""
    return run_isolated(count, str(pdf_path), deadline_seconds=deadline_seconds)


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


def draw_all(
    report: Report, pdf_path: str, tiff_path: str, resolution: str, page_size: str, page_limit: int
) -> list[int]:
    """Gives the bytes of each page's image data; reports the number of each page that is done."""
    with open_pdf(Path(pdf_path)) as document:
        if len(document) > page_limit:
            raise PermanentFailure("too_many_pages", limit=page_limit)
        if document.get_formtype():
            document.init_forms()
        canvases = [_Canvas(resolution, page_size) for _ in range(min(2, len(document)))]

        def drawn(index: int) -> _Canvas:
            page, canvas = document[index], canvases[index % 2]
            canvas.draw(page)
            page.close()
            return canvas

        def pages() -> Iterator[FaxPage]:
            for number, canvas in enumerate(_one_ahead(drawn, len(document)), 1):
                yield canvas.fax_page()
                report(number)

        return write_pages(Path(tiff_path), pages(), total=len(document))


def _one_ahead(drawn: Callable[[int], "_Canvas"], count: int) -> Iterator["_Canvas"]:
    """While one page is turned to dots, the next is drawn beside it. pdfium is used by one thread at a time."""
    if count == 1:
        yield drawn(0)
        return
    with ThreadPoolExecutor(1) as hand:
        drawing = hand.submit(drawn, 0)
        for following in range(1, count + 1):
            canvas = drawing.result()
            if following < count:
                drawing = hand.submit(drawn, following)
            yield canvas


class _Canvas:
    """One bitmap, drawn on page after page: fresh memory for each would cost more than the drawing."""

    def __init__(self, resolution: str, page_size: str) -> None:
        self.dots_down = DOTS_DOWN[resolution]
        self.block_rows = halftone.BLOCK * self.dots_down // DOTS_DOWN["fine"]
        self.rows = LENGTHS[page_size] * self.dots_down // DOTS_DOWN["fine"]
        padded = math.ceil(self.rows / self.block_rows) * self.block_rows
        self.bitmap = pdfium.PdfBitmap.new_native(WIDTH, padded, raw.FPDFBitmap_BGRx)
        self.pixels = self.bitmap.to_numpy()

    def fax_page(self) -> FaxPage:
        """What was drawn last, in dots."""
        fax_page = self._encoded("usual")
        if len(fax_page.strip) * 8 * ECM_OVERHEAD / USUAL_RATE > PAGE_SECONDS:
            coarser = self._encoded("coarse")
            fax_page = min(fax_page, coarser, key=lambda page: len(page.strip))
        return fax_page

    def draw(self, page: pdfium.PdfPage) -> None:
        """As large as it fits, centred, at the top; what lies across is turned upright."""
        self.pixels[:] = 255
        width, height = page.get_size()
        if not (width > 0 and height > 0):
            return
        turned = width > height
        if turned:
            width, height = height, width
        scale = min(WIDTH / DOTS_ACROSS * 72 / width, self.rows / self.dots_down * 72 / height, LARGEST_SCALE)
        columns = max(1, min(WIDTH, round(width * scale * DOTS_ACROSS / 72)))
        rows = max(1, min(self.rows, round(height * scale * self.dots_down / 72)))
        place = ((WIDTH - columns) // 2, 0, columns, rows, 1 if turned else 0)
        flags = raw.FPDF_ANNOT
        raw.FPDF_RenderPageBitmap(self.bitmap, page, *place, flags)
        if page.formenv:
            raw.FPDF_FFLDraw(page.formenv, self.bitmap, page, *place, flags)

    def _encoded(self, cell: str) -> FaxPage:
        """Of a page with much white only what lies between is looked at and coded."""
        bands, parts, row = halftone.inked_bands(self.pixels, self.block_rows), [], 0
        for band in bands:
            if band.start >= self.rows:
                break
            parts += [band.start - row] if band.start > row else []
            share = (band.stop - band.start) / len(self.pixels)
            ink = halftone.to_ink(self.pixels[band], block_rows=self.block_rows, cell=cell, share=share)
            row = min(band.stop, self.rows)
            ink = ink[: row - band.start]
            parts.append(encode(np.packbits(ink, axis=1).tobytes(), rows=len(ink), dots_down=self.dots_down))
        parts += [self.rows - row] if row < self.rows else []
        return stacked(parts, dots_down=self.dots_down)


def estimate_seconds(tiff_path: Path, rate: int = USUAL_RATE, *, ecm: bool = True) -> float:
    """How long the call takes, from the answer to the hang-up, when every page gets through at ``rate`` bit/s."""
    return _seconds([len(page.strip) for page in read_pages(tiff_path)], rate, ecm=ecm)


def _seconds(sizes: list[int], rate: int, *, ecm: bool) -> float:
    overhead = ECM_OVERHEAD if ecm else T4_OVERHEAD
    return CALL_SECONDS + BETWEEN_PAGES_SECONDS * len(sizes) + sum(sizes) * 8 * overhead / rate


def warm_up() -> None:
    """Draw a page of our own here, once: what libraries find out at their first page, every forked child then knows.

    Takes a quarter off a light page: the search for fonts and the tables of the screens are not made anew for each.
    """
    with tempfile.TemporaryDirectory(prefix="faxroom-warm-") as folder:
        pdf_path = Path(folder) / "page.pdf"
        pdf_path.write_bytes(WARM_UP_PDF)
        draw_all(lambda _: None, str(pdf_path), str(pdf_path.with_suffix(".tif")), "fine", "A4", 1)


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


def page_picture(path: Path, page: int, width: int, *, deadline_seconds: float = 30) -> bytes:
    """A PNG of one page (from 1) of a PDF or a TIFF, ``width`` pixels wide, with the height that it has on paper."""
    return bytes.fromhex(run_isolated(picture_of, str(path), page, width, deadline_seconds=deadline_seconds))


def picture_of(_report: Report, name: str, page: int, width: int) -> str:
    """In a child. The PNG in hexadecimal digits."""
    path, target = Path(name), io.BytesIO()
    with path.open("rb") as file:
        is_pdf = file.read(4) not in (b"II*\0", b"MM\0*")
    image = _pdf_picture(path, page, width) if is_pdf else _tiff_picture(path, page, width)
    image.save(target, format="PNG")
    return target.getvalue().hex()


def _pdf_picture(path: Path, page: int, width: int) -> Image.Image:
    with open_pdf(path) as document:
        if document.get_formtype():
            document.init_forms()
        drawn = document[page - 1]
        across, down = drawn.get_size()
        scale = min(width / across, 4 * width / down)  # a strip of paper must not become a tower of pixels
        return drawn.render(scale=scale, rev_byteorder=True).to_pil().convert("RGB")


def _tiff_picture(path: Path, page: int, width: int) -> Image.Image:
    image = Image.open(path)
    image.seek(page - 1)
    across, down = image.info.get("dpi", (DOTS_ACROSS, DOTS_DOWN["fine"]))
    height = round(image.height * width / image.width * float(across) / float(down or 1))
    return image.convert("L").resize((width, min(height, 4 * width)), Image.Resampling.BOX, reducing_gap=None)


def facts_as_json(facts: TiffFacts) -> dict[str, object]:
    """For logs and benchmarks."""
    return asdict(facts)
