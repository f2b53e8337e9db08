"""The kinds of document that are taken: the one list of them. What is shown, offered, recognised and converted follows
from it. Standard library only: the office has nothing else.
"""

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    PDF = "pdf"
    TEXT = "text"  # what LibreOffice Writer opens
    SHEET = "sheet"
    SLIDES = "slides"
    PICTURE = "picture"


@dataclass(frozen=True)
class Kind:
    """``name`` is what is stored of a document and its usual ending, ``called`` what people call it, ``endings`` those
    of its files, ``opened_by`` the filter of LibreOffice that opens it, ``else_by`` those for what is older."""

    name: str
    family: Family
    called: str
    endings: tuple[str, ...]
    opened_by: str | None = None
    else_by: tuple[str, ...] = ()


SHOWS = ("pptx", "pptm", "ppsx", "ppsm", "potx", "potm")
#: In the order in which they are told. What holds macros, and what is a template, is opened like the plain document.
ALL = (
    Kind("pdf", Family.PDF, "PDF", ("pdf",)),
    Kind("docx", Family.TEXT, "Word", ("docx", "docm", "dotx", "dotm"), "MS Word 2007 XML"),
    Kind("doc", Family.TEXT, "Word", ("doc", "dot"), "MS Word 97", ("MS Word 95", "MS WinWord 6.0")),
    Kind("xlsx", Family.SHEET, "Excel", ("xlsx", "xlsm", "xltx", "xltm"), "Calc MS Excel 2007 XML"),
    Kind("xlsb", Family.SHEET, "Excel", ("xlsb",), "Calc MS Excel 2007 Binary"),
    Kind("xls", Family.SHEET, "Excel", ("xls", "xlt"), "MS Excel 97"),
    Kind(
        "pptx",
        Family.SLIDES,
        "PowerPoint",
        SHOWS,
        "Impress MS PowerPoint 2007 XML",
    ),
    Kind("ppt", Family.SLIDES, "PowerPoint", ("ppt", "pps", "pot"), "MS PowerPoint 97"),
    Kind("odt", Family.TEXT, "OpenDocument", ("odt", "ott"), "writer8"),
    Kind("ods", Family.SHEET, "OpenDocument", ("ods", "ots"), "calc8"),
    Kind("odp", Family.SLIDES, "OpenDocument", ("odp", "otp"), "impress8"),
    Kind("rtf", Family.TEXT, "RTF", ("rtf",), "Rich Text Format"),
    Kind("txt", Family.TEXT, "TXT", ("txt",), "Text (encoded)"),
    Kind("csv", Family.SHEET, "CSV", ("csv", "tsv"), "Text - txt - csv (StarCalc)"),
    Kind("jpeg", Family.PICTURE, "JPEG", ("jpg", "jpeg")),
    Kind("png", Family.PICTURE, "PNG", ("png",)),
    Kind("tiff", Family.PICTURE, "TIFF", ("tif", "tiff")),
    Kind("webp", Family.PICTURE, "WebP", ("webp",)),
    Kind("heic", Family.PICTURE, "HEIC", ("heic", "heif")),
    Kind("gif", Family.PICTURE, "GIF", ("gif",)),
    Kind("bmp", Family.PICTURE, "BMP", ("bmp",)),
)
KINDS = {kind.name: kind for kind in ALL}
#: Those of which LibreOffice makes the PDF.
OFFICE_KINDS = frozenset(kind.name for kind in ALL if kind.opened_by)
#: For the field of a file, as its ``accept``.
ENDINGS = ",".join(f".{ending}" for kind in ALL for ending in kind.endings)
BY_ENDING = {ending: kind.name for kind in ALL for ending in kind.endings}
#: What people call them, each once.
CALLED = tuple(dict.fromkeys(kind.called for kind in ALL))
#: Family → the filter of LibreOffice that writes the PDF.
WRITTEN_BY = {
    Family.TEXT: "writer_pdf_Export",
    Family.SHEET: "calc_pdf_Export",
    Family.SLIDES: "impress_pdf_Export",
}
