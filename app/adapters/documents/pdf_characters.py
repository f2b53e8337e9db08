"""Characters of a PDF that no font draws: neither one in it nor one of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pikepdf
import pypdfium2 as pdfium

from app.adapters.confined.isolation import Report, run_isolated
from app.adapters.pages.rasterizer import open_pdf
from app.adapters.pdf.fonts import missing_in, without_font

SECONDS = 20
#: Pages whose text is read.
MOST_PAGES = 50
EMBEDDED = ("/FontFile", "/FontFile2", "/FontFile3")


def characters_without_font(pdf_path: Path) -> str:
    """Of a PDF that was made here, with whatever fonts there are.

    Raises:
        PermanentFailure: ``damaged``, ``no_pages``, ``encrypted``.
    """
    return run_isolated(look_over, str(pdf_path), reads=[pdf_path], deadline_seconds=SECONDS)


def look_over(_report: Report, pdf_path: str) -> str:
    """In a child."""
    with open_pdf(Path(pdf_path)) as document:
        return without_font(_text(document))


def missing_of(document: pikepdf.Pdf, pages: pdfium.PdfDocument) -> list[dict[str, object]]:
    """The warning for a PDF of somebody else's, in a child. Only one with a font for any script that is not embedded is
    looked at: of one that is embedded nobody can say what it draws."""
    return missing_in(_text(pages)) if any(map(_is_left_to_us, document.objects)) else []


def _is_left_to_us(item: object) -> bool:
    if not isinstance(item, pikepdf.Dictionary) or item.get("/Type") != "/Font":
        return False
    if item.get("/Subtype") not in ("/CIDFontType0", "/CIDFontType2"):
        return False
    described = item.get("/FontDescriptor", pikepdf.Dictionary())
    return not any(name in described for name in EMBEDDED)


def _text(document: pdfium.PdfDocument) -> Iterator[str]:
    for index in range(min(len(document), MOST_PAGES)):
        page = document[index]
        try:
            yield page.get_textpage().get_text_range()
        except pdfium.PdfiumError:
            continue
        finally:
            page.close()
