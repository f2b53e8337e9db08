"""What is inside of an office document, and whether LibreOffice may have it. For use in a child."""

import io
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

import olefile
from PIL import Image

from app.adapters.documents.default_password import opened
from app.adapters.documents.document_limits import MEGABYTE, DocumentFacts, Limits
from app.adapters.pdf.fonts import missing_in
from app.errors import Refused
from app.kinds import KINDS

#: What the content type of the main part of an Office Open XML document has in it → what it is.
OOXML = {
    "wordprocessingml.": "docx",
    "ms-word.": "docx",
    "ms-excel.sheet.binary": "xlsb",
    "ms-excel.addin": "add-in",
    "spreadsheetml.": "xlsx",
    "ms-excel.": "xlsx",
    "ms-powerpoint.addin": "add-in",
    "presentationml.": "pptx",
    "ms-powerpoint.": "pptx",
    "ms-visio": "drawing",
}
FIXED = "package.xps-fixeddocument"
#: The folder of its parts, and the main one of them as it is usually called.
PLACES = {
    "docx": ("word/", "word/document.xml"),
    "xlsx": ("xl/", "xl/workbook.xml"),
    "xlsb": ("xl/", "xl/workbook.bin"),
    "pptx": ("ppt/", "ppt/presentation.xml"),
}
OPENDOCUMENT = "application/vnd.oasis.opendocument."
ODF = {"text": "odt", "spreadsheet": "ods", "presentation": "odp"}
OTHER_ODF = {"graphics": "drawing", "formula": "formula", "chart": "chart", "database": "database"}
MANIFEST = "META-INF/manifest.xml"
OLE_STREAMS = {
    "WordDocument": "doc",
    "Workbook": "xls",
    "Book": "xls",
    "PowerPoint Document": "ppt",
    "__properties_version1.0": "email",
    "VisioDocument": "drawing",
    "Quill": "publisher",
    "MatOST": "works",
}
WORD_MARKS = (b"\xec\xa5", b"\xdc\xa5", b"\xdb\xa5")  # FibBase.wIdent: Word 97 on, 95, 6
#: Records of a workbook ([MS-XLS] 2.4.117): that it is enciphered; and its beginning in 97 on, 5, and before.
FILEPASS, BOF = 0x002F, 0x0809
#: The token of a stream "Current User" ([MS-PPT] 2.3.2) whose document is enciphered.
ENCIPHERED_SLIDES = b"\xdf\xc4\xd1\xf3"
#: Elements of what somebody has changed and nobody has accepted yet (ECMA-376 part 1, 17.13.5; OpenDocument 1.2, 5.5).
TRACKED = {"ins", "del", "moveFrom", "moveTo", "changed-region"}
#: Parts whose text is shown.
SHOWN_PARTS = ("word/", "xl/sharedStrings", "xl/worksheets/", "ppt/slides/", "content.xml", "styles.xml")
PICTURES = ("word/media/", "xl/media/", "ppt/media/", "Pictures/")


def judge_ole(path: Path, size: int, limits: Limits) -> DocumentFacts:
    """[MS-CFB]: Word, Excel, PowerPoint up to 2003, and what is enciphered of the later ones.

    Raises:
        Refused: ``encrypted``, ``wrong_type``, ``damaged``; as :func:`judge_zip` for those of the later ones that Excel
            opens without asking.
    """
    kind: str | None = None
    try:
        with olefile.OleFileIO(str(path)) as container:
            if container.exists("EncryptedPackage"):  # [MS-OFFCRYPTO] 1.3.2
                if (package := opened(path.read_bytes())) is None:
                    raise Refused("encrypted")
                return judge_zip(io.BytesIO(package), size, limits)
            kind = next((kind for name, kind in OLE_STREAMS.items() if container.exists(name)), None)
            if kind not in KINDS:
                raise Refused("wrong_type", looks_like=kind or "ole")
            _JUDGES[kind](container)
            macros = any(container.exists(name) for name in ("Macros", "_VBA_PROJECT_CUR"))
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise Refused("damaged", **({"kind": kind} if kind in KINDS else {})) from error
    return DocumentFacts(kind, size, macros=macros)


def _judge_doc(container: "olefile.OleFileIO[str]") -> None:
    header = container.openstream("WordDocument").read(32)
    if len(header) < 32 or header[:2] not in WORD_MARKS:
        raise Refused("damaged", kind="doc")
    if header[11] & 0x01:  # FibBase.fEncrypted, [MS-DOC] 2.5.2
        raise Refused("encrypted", kind="doc")


def _judge_xls(container: "olefile.OleFileIO[str]") -> None:
    """Whether it is enciphered stands among the first records; those begin with their kind and their length."""
    stream = container.openstream("Workbook" if container.exists("Workbook") else "Book").read()
    at, seen = 0, 0
    while at + 4 <= len(stream) and seen < 64:
        record, length = struct.unpack_from("<HH", stream, at)
        if seen == 0 and record & 0xFF != BOF & 0xFF:
            raise Refused("damaged", kind="xls")
        if record == FILEPASS:
            file = container.fp  # type: ignore[attr-defined]  # it is there, and the stubs leave it out
            file.seek(0)
            if opened(file.read()) is None:
                raise Refused("encrypted", kind="xls")
            return
        at, seen = at + 4 + length, seen + 1


def _judge_ppt(container: "olefile.OleFileIO[str]") -> None:
    user = container.openstream("Current User").read(64) if container.exists("Current User") else b""
    if user[12:16] == ENCIPHERED_SLIDES or container.exists("EncryptedSummary"):
        raise Refused("encrypted", kind="ppt")


_JUDGES = {"doc": _judge_doc, "xls": _judge_xls, "ppt": _judge_ppt}


def judge_zip(package: Path | BinaryIO, size: int, limits: Limits) -> DocumentFacts:
    """Office Open XML (ECMA-376) and OpenDocument (ISO/IEC 26300).

    Raises:
        Refused: ``encrypted``, ``wrong_type``, ``damaged``, ``unpacked_too_large``, ``too_many_pixels``.
    """
    found: str | None = None
    try:
        with zipfile.ZipFile(package) as archive:
            _judge_unpacked_size(archive, limits)
            names = set(archive.namelist())
            found, macros = _kind_of(archive, names)
            if found not in KINDS:
                raise Refused("wrong_type", looks_like=found)
            elements = _judge_parts(archive, names, found)
            _judge_pictures(archive, limits)
            warnings: list[dict[str, object]] = [] if TRACKED.isdisjoint(elements) else [{"kind": "tracked_changes"}]
            warnings += missing_in(_text_of(archive))
            return DocumentFacts(found, size, macros=macros, warnings=warnings)
    except Refused as refusal:
        if found in KINDS and refusal.code in ("encrypted", "damaged"):
            raise Refused(refusal.code, kind=found) from refusal
        raise
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, KeyError, OSError, NotImplementedError) as error:
        raise Refused("damaged", **({"kind": found} if found in KINDS else {})) from error


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


def _kind_of(archive: zipfile.ZipFile, names: set[str]) -> tuple[str, bool]:
    """What it is, and whether it holds macros, which are never run."""
    if "[Content_Types].xml" in names:
        kinds = _xml_names(archive.read("[Content_Types].xml")).get("ContentType", set())
        main = [kind for kind in kinds if ".main+xml" in kind or ".main" in kind or FIXED in kind]
        for part, what in OOXML.items():
            if found := next((kind for kind in main if part in kind), None):
                return what, "macroenabled" in found.lower()
        return ("xps" if any(FIXED in kind for kind in kinds) else "zip"), False
    if "mimetype" in names or MANIFEST in names:
        return _odf_kind(archive, names), any(name.startswith(("Basic/", "Scripts/")) for name in names)
    if any(name.endswith(".iwa") for name in names) or "index.apxl" in names or "index.xml" in names:
        return "iwork", False
    return "zip", False


def _odf_kind(archive: zipfile.ZipFile, names: set[str]) -> str:
    kind = archive.read("mimetype")[:200].strip().decode("ascii", "replace") if "mimetype" in names else ""
    if not kind:
        kind = next(iter(_xml_names(archive.read(MANIFEST)).get("media-type of /", [])), "")
    if kind == "application/epub+zip":
        return "ebook"
    if kind.startswith("application/vnd.sun.xml."):
        return "openoffice"
    if not kind.startswith(OPENDOCUMENT):
        return "zip"
    what = kind.removeprefix(OPENDOCUMENT).removesuffix("-template")
    return ODF.get(what) or OTHER_ODF.get(what, "opendocument")


def _judge_parts(archive: zipfile.ZipFile, names: set[str], kind: str) -> Iterable[str]:
    """The elements of the main part, which has to be sound."""
    if kind in PLACES:
        folder, main = PLACES[kind]
        if main in names and main.endswith(".xml"):
            return _xml_names(archive.read(main))
        if not any(name.startswith(folder) for name in names):
            raise Refused("damaged")
        return ()
    if MANIFEST in names and "encryption-data" in _xml_names(archive.read(MANIFEST)):
        raise Refused("encrypted")
    return _xml_names(archive.read("content.xml"))


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
        if attributes.get("manifest:full-path") == "/":
            found.setdefault("media-type of /", set()).add(attributes.get("manifest:media-type", ""))

    def refuse(*_: object) -> None:
        raise Refused("damaged")

    parser.StartElementHandler = start
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Refused("damaged") from error
    return found


def _text_of(archive: zipfile.ZipFile) -> Iterable[str]:
    """The letters of what is shown, part by part. What cannot be read has none."""
    for entry in archive.infolist():
        if not entry.filename.startswith(SHOWN_PARTS) or not entry.filename.endswith(".xml"):
            continue
        letters: list[str] = []
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.CharacterDataHandler = letters.append
        try:
            parser.Parse(archive.read(entry), True)
        except (expat.ExpatError, ValueError, LookupError):
            continue
        yield from letters


def _judge_pictures(archive: zipfile.ZipFile, limits: Limits) -> None:
    Image.MAX_IMAGE_PIXELS = None  # our own limit instead, by the header alone
    for entry in archive.infolist():
        if not entry.filename.startswith(PICTURES):
            continue
        with archive.open(entry) as stream:
            try:
                width, height = Image.open(io.BytesIO(stream.read(MEGABYTE))).size
            except (OSError, ValueError, SyntaxError):
                continue  # a drawing (EMF, SVG) or nothing that has pixels
        if width * height > limits.pixels:
            raise Refused("too_many_pixels")
