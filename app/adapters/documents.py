"""What a file is, by its content alone, and whether it may be worked on. Names and MIME types are hearsay.

LibreOffice opens almost anything under any name (a web page called letter.doc fetches its pictures), so only what was
recognised here reaches it. All reading is done in a child that may crash, hang or run out of memory.
"""

import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from xml.parsers import expat

import olefile
import pikepdf
from PIL import Image

from app.adapters.isolation import Report, run_isolated
from app.adapters.rasterizer import open_pdf
from app.config import DOCUMENT_BYTES
from app.errors import PermanentFailure, Refused

Kind = Literal["pdf", "doc", "docx", "odt"]

MEGABYTE = 1024 * 1024
INSPECTION_SECONDS = 20


@dataclass(frozen=True)
class Limits:
    """``pixels`` holds for each picture in a document, ``side_points`` for a page's sides (72 to the inch)."""

    bytes: int = DOCUMENT_BYTES
    pages: int = 200
    pixels: int = 120_000_000
    side_points: int = 14_400
    unpacked_bytes: int = 300 * MEGABYTE
    entries: int = 5_000


@dataclass(frozen=True)
class DocumentFacts:
    """``pages`` is known of a PDF; of the others only after conversion. ``macros`` are there but never run."""

    kind: Kind
    bytes: int
    pages: int | None = None
    macros: bool = False


#: Content type of the main part → whether it may hold macros.
DOCX_MAIN = {
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml": False,
    "application/vnd.ms-word.document.macroEnabled.main+xml": True,
}
#: Part of a content type in [Content_Types].xml → what such a file is.
OTHER_OOXML = {
    "spreadsheetml": "xlsx",
    "presentationml": "pptx",
    "ms-excel": "xlsx",
    "ms-powerpoint": "pptx",
    "wordprocessingml.template": "dotx",
    "visio": "vsdx",
}
ODT_TYPE = b"application/vnd.oasis.opendocument.text"
#: First bytes → what it looks like, for the sentence that refuses it.
SIGNATURES = {
    b"{\\rtf": "rtf",
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"%!PS": "postscript",
    b"MZ": "program",
    b"\x7fELF": "program",
    b"Rar!": "rar",
    b"7z\xbc\xaf": "7z",
    b"\x1f\x8b": "gzip",
    b"BM": "bmp",
}
OLE_STREAMS = {"Workbook": "xls", "Book": "xls", "PowerPoint Document": "ppt", "__properties_version1.0": "msg"}
HTML_MARKS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<meta", b"<script", b"<table", b"<iframe", b"<img")
MIME_MARKS = (b"mime-version:", b"content-type: multipart/related")


def inspect(path: Path, *, limits: Limits | None = None) -> DocumentFacts:
    """Judge a file.

    Raises:
        Refused: ``empty``, ``too_large`` (limit in MB), ``wrong_type`` (looks_like), ``html_as_document``,
            ``flat_xml_as_document``, ``encrypted``, ``damaged``, ``no_pages``, ``too_many_pages`` (limit),
            ``too_many_pixels``, ``unpacked_too_large``.
    """
    limits = limits or Limits()
    size = path.stat().st_size
    if size == 0:
        raise Refused("empty")
    if size > limits.bytes:
        raise Refused("too_large", limit=limits.bytes // MEGABYTE)
    try:
        facts = run_isolated(judge, str(path), size, asdict(limits), deadline_seconds=INSPECTION_SECONDS)
        return DocumentFacts(**facts)
    except PermanentFailure as failure:
        code = "damaged" if failure.code == "conversion_timed_out" else failure.code
        raise Refused(code, **failure.values) from failure


def judge(_report: Report, name: str, size: int, limits: dict[str, int]) -> dict[str, object]:
    """In a child."""
    return asdict(_judge(Path(name), size, Limits(**limits)))


def _judge(path: Path, size: int, limits: Limits) -> DocumentFacts:
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.strip(b"\0\t\r\n "):
        raise Refused("empty")
    return _reader(head)(path, size, limits)


def _reader(head: bytes) -> Callable[[Path, int, Limits], DocumentFacts]:
    if b"%PDF-" in head[:1024] and not _is_text(head):
        return _judge_pdf
    if head.startswith(olefile.MAGIC):
        return _judge_ole
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _judge_zip
    raise _refusal(head)


def _is_text(head: bytes) -> bool:
    """A web page that mentions %PDF- is still a web page."""
    return _plain(head).startswith((b"<", b"{\\rtf", *MIME_MARKS))


def _plain(head: bytes) -> bytes:
    """The start of a text in lower case without byte order mark, in one byte a character."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.replace(b"\0", b"")[2:]
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()


def _refusal(head: bytes) -> Refused:
    for signature, name in SIGNATURES.items():
        if head.startswith(signature):
            return Refused("wrong_type", looks_like=name)
    start = _plain(head)
    if start.startswith(MIME_MARKS) or any(mark in start for mark in HTML_MARKS):
        return Refused("html_as_document")
    if start.startswith(b"<"):
        return Refused("flat_xml_as_document")
    return Refused("wrong_type", looks_like="unknown" if b"\0" in head else "text")


# ---- PDF


def _judge_pdf(path: Path, size: int, limits: Limits) -> DocumentFacts:
    with open_pdf(path) as document:
        pages = len(document)
        if pages > limits.pages:
            raise Refused("too_many_pages", limit=limits.pages)
        if any(max(document.get_page_size(index)) > limits.side_points for index in range(pages)):
            raise Refused("too_many_pixels")
    _judge_pdf_pictures(path, limits)
    return DocumentFacts("pdf", size, pages=pages)


def _judge_pdf_pictures(path: Path, limits: Limits) -> None:
    """Sizes as declared, before anything is unpacked. What pdfium can read and qpdf cannot is let through."""
    try:
        with pikepdf.open(path) as document:
            sizes = [
                int(item.get("/Width", 0)) * int(item.get("/Height", 0))
                for item in document.objects
                if isinstance(item, pikepdf.Stream) and item.get("/Subtype") == "/Image"
            ]
    except (pikepdf.PdfError, ValueError, TypeError):
        return
    if sizes and max(sizes) > limits.pixels:
        raise Refused("too_many_pixels")


# ---- DOC: an OLE2 compound file with a WordDocument stream ([MS-DOC] 2.1)


def _judge_ole(path: Path, size: int, limits: Limits) -> DocumentFacts:
    del limits
    try:
        with olefile.OleFileIO(path) as container:
            if container.exists("EncryptedPackage"):  # an OOXML with a password, [MS-OFFCRYPTO] 1.3.2
                raise Refused("encrypted")
            if not container.exists("WordDocument"):
                looks_like = next((kind for name, kind in OLE_STREAMS.items() if container.exists(name)), "ole")
                raise Refused("wrong_type", looks_like=looks_like)
            header = container.openstream("WordDocument").read(32)
            macros = container.exists("Macros")
    except (OSError, ValueError, IndexError) as error:
        raise Refused("damaged") from error
    if len(header) < 32 or header[:2] not in (b"\xec\xa5", b"\xdc\xa5"):  # FibBase.wIdent: Word 97 on, Word 95
        raise Refused("damaged")
    if header[11] & 0x01:  # FibBase.fEncrypted, [MS-DOC] 2.5.2
        raise Refused("encrypted")
    return DocumentFacts("doc", size, macros=macros)


# ---- DOCX and ODT: zip archives


def _judge_zip(path: Path, size: int, limits: Limits) -> DocumentFacts:
    try:
        with zipfile.ZipFile(path) as archive:
            _judge_unpacked_size(archive, limits)
            names = set(archive.namelist())
            if "mimetype" in names:
                facts = _judge_odt(archive, names, size)
            elif "[Content_Types].xml" in names:
                facts = _judge_docx(archive, names, size)
            else:
                raise Refused("wrong_type", looks_like="zip")
            _judge_zip_pictures(archive, limits)
            return facts
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, KeyError, OSError) as error:
        raise Refused("damaged") from error


def _judge_unpacked_size(archive: zipfile.ZipFile, limits: Limits) -> None:
    """First what the archive claims, then what really comes out of it, piece by piece: a claim can be a lie."""
    entries = archive.infolist()
    if len(entries) > limits.entries or sum(entry.file_size for entry in entries) > limits.unpacked_bytes:
        raise Refused("unpacked_too_large")
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise Refused("encrypted")
    left = limits.unpacked_bytes
    for entry in entries:
        with archive.open(entry) as stream:
            while piece := stream.read(MEGABYTE):
                left -= len(piece)
                if left < 0:
                    raise Refused("unpacked_too_large")


def _judge_odt(archive: zipfile.ZipFile, names: set[str], size: int) -> DocumentFacts:
    kind = archive.read("mimetype")[:200].strip()
    if kind != ODT_TYPE:
        looks_like = kind.decode("ascii", "replace").removeprefix("application/vnd.oasis.opendocument.")
        raise Refused("wrong_type", looks_like=looks_like)
    manifest = "META-INF/manifest.xml"
    if manifest in names and "encryption-data" in _xml_names(archive.read(manifest)):
        raise Refused("encrypted")
    _xml_names(archive.read("content.xml"))
    return DocumentFacts("odt", size, macros=any(name.startswith(("Basic/", "Scripts/")) for name in names))


def _judge_docx(archive: zipfile.ZipFile, names: set[str], size: int) -> DocumentFacts:
    """A macro-enabled document (docm) is taken as a docx: the macros are never run, the text is worth as much."""
    kinds = _xml_names(archive.read("[Content_Types].xml")).get("ContentType", set())
    main = next((kind for kind in DOCX_MAIN if kind in kinds), None)
    if main is None:
        everything = " ".join(sorted(kinds))
        looks_like = next((name for part, name in OTHER_OOXML.items() if part in everything), "zip")
        raise Refused("wrong_type", looks_like=looks_like)
    if "word/document.xml" in names:
        _xml_names(archive.read("word/document.xml"))
    elif not any(name.startswith("word/") for name in names):
        raise Refused("damaged")
    return DocumentFacts("docx", size, macros=DOCX_MAIN[main])


def _xml_names(data: bytes) -> dict[str, set[str]]:
    """Local element names, and under ``ContentType`` the content types named, in a well-formed XML.

    One that declares entities is refused: neither format has any, so they are there only to do harm.
    """
    found: dict[str, set[str]] = {}
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        found.setdefault(name.rpartition(":")[2], set())
        if "ContentType" in attributes:
            found.setdefault("ContentType", set()).add(attributes["ContentType"])

    def refuse(*_: object) -> None:
        raise Refused("damaged")

    parser.StartElementHandler = start
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Refused("damaged") from error
    return found


def _judge_zip_pictures(archive: zipfile.ZipFile, limits: Limits) -> None:
    Image.MAX_IMAGE_PIXELS = None  # our own limit instead, by the header alone
    for entry in archive.infolist():
        if not entry.filename.startswith(("word/media/", "Pictures/")):
            continue
        with archive.open(entry) as stream:
            try:
                width, height = Image.open(stream).size
            except (OSError, ValueError, SyntaxError):
                continue  # a drawing (EMF, SVG) or nothing that has pixels
        if width * height > limits.pixels:
            raise Refused("too_many_pixels")
