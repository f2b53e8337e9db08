"""Received pages as a PDF: the very bits that the line brought, in a frame of their size on paper.

Nothing is decoded, so nothing is coded anew: T.4 and T.6 are what PDF calls CCITTFaxDecode (ISO 32000-1, 7.4.6).
"""

from collections.abc import Iterable
from pathlib import Path

import pikepdf
from pikepdf import Dictionary, Name, Stream

from app.adapters.fax_files.fax_tiff import GROUP4, CodedPage, coded_pages
from app.errors import PermanentFailure

POINTS = 72  # to the inch


def tiff_to_pdf(tiff_path: Path, pdf_path: Path) -> int:
    """The same dots in a PDF, in the size that they have on paper. Gives the number of pages that could be read.

    Raises:
        PermanentFailure: ``damaged``: none could.
    """
    with pikepdf.new() as document:
        _add_pages(document, coded_pages(tiff_path))
        pages = len(document.pages)
        if not pages:
            raise PermanentFailure("damaged")
        document.save(pdf_path)
    return pages


def _add_pages(document: pikepdf.Pdf, pages: Iterable[CodedPage]) -> None:
    for page in pages:
        width, height = page.width * POINTS / page.dots_across, page.rows * POINTS / page.dots_down
        drawing = Stream(document, f"q {width:.3f} 0 0 {height:.3f} 0 0 cm /Fax Do Q".encode())
        document.pages.append(
            pikepdf.Page(
                Dictionary(
                    Type=Name.Page,
                    MediaBox=[0, 0, round(width, 3), round(height, 3)],
                    Resources=Dictionary(XObject=Dictionary(Fax=_picture(document, page))),
                    Contents=document.make_indirect(drawing),
                )
            )
        )


def _picture(document: pikepdf.Pdf, page: CodedPage) -> pikepdf.Object:
    coding = Dictionary(Columns=page.width, Rows=page.rows, BlackIs1=page.min_is_black)
    coding.K = -1 if page.group == GROUP4 else int(page.two_dimensional)
    if page.group != GROUP4:
        coding.EndOfLine, coding.EndOfBlock = True, False  # each line has its mark, and Rows says how many there are
    picture = Dictionary(
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=page.width,
        Height=page.rows,
        BitsPerComponent=1,
        ColorSpace=Name.DeviceGray,
        Filter=Name.CCITTFaxDecode,
        DecodeParms=coding,
    )
    return document.make_indirect(Stream(document, page.data, picture))
