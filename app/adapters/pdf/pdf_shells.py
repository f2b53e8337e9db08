"""PDFs whose pages only stand for something else: "please wait", a cover sheet, a notice about rights.

To fax such a page is to fax nothing of the document, so these are refused with what to do instead.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2 as pdfium

from app.adapters.pdf.pdf_values import DEPTH, dictionary, entry, inherited, name, text

#: What stands on the one page of a dynamic XFA form, in Adobe's words in some languages; all of them name its reader.
WAITING = re.compile(
    r"please wait|if this message is not eventually|adobe\.com/go/reader|attendere|bitte warten|veuillez patienter"
    r"|espere|adobe\W+(?:acrobat\W+)?reader|viewer may not be able to display",
    re.I,
)
#: What stands on the cover of a portfolio.
COVER = re.compile(r"portfolio|portafoglio|portefeuille|adobe|acrobat|portable collection", re.I)
#: A cover has less than a letter; in characters.
COVER_CHARACTERS = 250
#: More attachments are not looked at.
ATTACHMENTS = 10_000


def shell(document: pikepdf.Pdf, pages: pdfium.PdfDocument) -> str | None:
    """``rights_managed``, ``portfolio`` or ``xfa_form`` of a file that has nothing else to show, else None."""
    root = document.Root
    collection = dictionary(root.get("/Collection"))
    attached = list(_attached(root)) if collection is not None or "/AF" in root else []
    if any(_is_payload(item) for item in attached):
        return "rights_managed"
    if collection is not None and attached and _is_cover(collection, pages):
        return "portfolio"
    return "xfa_form" if entry(root, "/AcroForm", "/XFA") is not None and _is_placeholder(document, pages) else None


def is_rights_managed(path: Path) -> bool:
    """Of a file that is encrypted in a way that pdfium does not know: whether a password could open it.

    Only the standard handler has passwords (ISO 32000-1 7.6.1); others are Adobe's policies and certificates, rights
    management by Microsoft, FileOpen. The dictionary that names the handler lies open in the file.
    """
    return re.search(rb"/Filter\s*/Standard\b", path.read_bytes()) is None


def _attached(root: pikepdf.Object) -> Iterator[pikepdf.Object]:
    """File specifications, from the name tree (7.9.6) and from those that belong to the whole (AF)."""
    listed = root.get("/AF")
    yield from (item for item in _items(listed) if isinstance(item, pikepdf.Dictionary))
    nodes, seen = [(entry(root, "/Names", "/EmbeddedFiles"), DEPTH)], 0
    while nodes and seen < ATTACHMENTS:
        node, depth = nodes.pop()
        seen += 1
        if not isinstance(node, pikepdf.Dictionary) or depth == 0:
            continue
        yield from (item for item in _items(node.get("/Names"))[1::2] if isinstance(item, pikepdf.Dictionary))
        nodes += [(kid, depth - 1) for kid in _items(node.get("/Kids"))]


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, pikepdf.Array) else []


def _is_payload(attached: pikepdf.Object) -> bool:
    """The document proper in the wrapper of ISO 32000-2 7.6.7, or in Microsoft's of before."""
    if name(attached.get("/AFRelationship")) == "/EncryptedPayload" or "/EP" in attached:
        return True
    return "MicrosoftIRMServices" in text(attached.get("/UF")) + text(attached.get("/F"))


def _is_cover(collection: pikepdf.Object, pages: pdfium.PdfDocument) -> bool:
    """Whether the pages are there for viewers that know no collections (12.3.5).

    A hidden collection is a document with attachments, and a letter with them may say that it is a collection too.
    """
    if name(collection.get("/View")) == "/H" or len(pages) > 2:
        return False
    words = _words(pages, 0)
    return "/D" in collection or len(words) < COVER_CHARACTERS or bool(len(words) < 2_000 and COVER.search(words))


def _is_placeholder(document: pikepdf.Pdf, pages: pdfium.PdfDocument) -> bool:
    """A form of XFA that has real pages has its fields on them as well; a dynamic one is made anew by its viewer."""
    if len(pages) > 1 or any(_is_field(item) for item in _items(document.pages[0].obj.get("/Annots"))):
        return False
    words = _words(pages, 0)
    return entry(document.Root, "/NeedsRendering") is True or not words.strip() or bool(WAITING.search(words))


def _is_field(annotation: Any) -> bool:
    return name(entry(annotation, "/Subtype")) == "/Widget" and name(inherited(annotation, "/FT")) != "/Sig"


def _words(pages: pdfium.PdfDocument, index: int) -> str:
    page = pages[index]
    try:
        words: str = page.get_textpage().get_text_range()[:10_000]
        return words
    finally:
        page.close()
