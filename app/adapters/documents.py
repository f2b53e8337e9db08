"""What a file is, by its content and never by its name, and whether it is one that we take.

Everything here reads strangers' files: sizes are looked at before anything is unpacked, and a PDF is opened by
pdfinfo in a process with little time and memory.
"""

import contextlib
import re
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import olefile
from PIL import Image

from app.config import DOCUMENT_BYTES
from app.errors import Refused

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """``size`` and ``unpacked`` in bytes, ``pixels`` of one picture inside a document."""

    size: int = DOCUMENT_BYTES
    pages: int = 200
    unpacked: int = 300 * MEGABYTE
    entries: int = 5000
    pixels: int = 100_000_000


@dataclass(frozen=True)
class DocumentFacts:
    """``kind`` is pdf, doc, docx or odt; ``pages`` is known of a PDF only."""

    kind: str
    pages: int | None = None


PDF_SECONDS = 10
PDF_MEMORY = 1024 * MEGABYTE
HEAD = 4096

DOCX_MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
ODT = b"application/vnd.oasis.opendocument.text"
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")


def inspect(path: Path, *, limits: Limits | None = None) -> DocumentFacts:
    """Judge a file.

    Raises:
        Refused: ``empty``, ``too_large``, ``wrong_type``, ``html_as_document``, ``flat_xml_as_document``,
            ``encrypted``, ``damaged``, ``no_pages``, ``too_many_pages``, ``unpacked_too_large``, ``too_many_pixels``.
    """
    limits = limits or Limits()
    size = path.stat().st_size
    if size == 0:
        raise Refused("empty")
    if size > limits.size:
        raise Refused("too_large", limit=limits.size // MEGABYTE)
    with path.open("rb") as file:
        head = file.read(HEAD)
    if b"%PDF-" in head[:1024]:
        return _inspect_pdf(path, limits)
    if head.startswith(b"PK\x03\x04"):
        return _inspect_zip(path, limits)
    if head.startswith(olefile.MAGIC):
        return _inspect_ole(path)
    raise Refused(_what_else(head))


def _what_else(head: bytes) -> str:
    """Text that LibreOffice would open under any name."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = head.decode(encoding, "replace").lstrip("\ufeff \t\r\n").lower()
    if re.search(r"<(!doctype html|html|head|body|script|svg|iframe|img)\b", text) or text.startswith("mime-version:"):
        return "html_as_document"
    if text.startswith("<"):
        return "flat_xml_as_document"
    return "wrong_type"


def _inspect_pdf(path: Path, limits: Limits) -> DocumentFacts:
    answer = _pdfinfo(path)
    if answer.returncode:
        raise Refused("encrypted" if b"Incorrect password" in answer.stderr else "damaged")
    counted = re.search(rb"^Pages:\s+([0-9]+)", answer.stdout, re.MULTILINE)
    pages = int(counted[1]) if counted else 0
    if pages == 0:
        raise Refused("no_pages")
    if pages > limits.pages:
        raise Refused("too_many_pages", limit=limits.pages)
    return DocumentFacts("pdf", pages)


def _pdfinfo(path: Path) -> subprocess.CompletedProcess[bytes]:
    command = ["prlimit", f"--as={PDF_MEMORY}", f"--cpu={PDF_SECONDS}", "pdfinfo", str(path)]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            timeout=PDF_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise Refused("damaged") from error


def _inspect_zip(path: Path, limits: Limits) -> DocumentFacts:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(archive, limits)
            kind = _kind_of_zip(archive)
            _check_content(archive, limits)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise Refused("damaged") from error
    except RuntimeError as error:  # zipfile's word for an entry with a password
        raise Refused("encrypted") from error
    return DocumentFacts(kind)


def _check_size(archive: zipfile.ZipFile, limits: Limits) -> None:
    """By what the archive says of itself; what it says is held against its content afterwards."""
    entries = archive.infolist()
    if len(entries) > limits.entries or sum(entry.file_size for entry in entries) > limits.unpacked:
        raise Refused("unpacked_too_large")
    if any(entry.flag_bits & 1 for entry in entries):
        raise Refused("encrypted")


def _kind_of_zip(archive: zipfile.ZipFile) -> str:
    names = set(archive.namelist())
    if "mimetype" in names:
        if _read(archive, "mimetype").strip() != ODT:
            raise Refused("wrong_type")
        if "META-INF/manifest.xml" in names and b"encryption-data" in _read(archive, "META-INF/manifest.xml"):
            raise Refused("encrypted")
        return "odt"
    if "[Content_Types].xml" in names and DOCX_MAIN.encode() in _read(archive, "[Content_Types].xml"):
        return "docx"
    raise Refused("wrong_type")


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as entry:
        return entry.read(4 * MEGABYTE)


def _check_content(archive: zipfile.ZipFile, limits: Limits) -> None:
    """Unpack everything once, to nowhere: sums and lengths must hold, and no picture may be a bomb."""
    left = limits.unpacked
    for entry in archive.infolist():
        with archive.open(entry) as content:
            while chunk := content.read(MEGABYTE):
                left -= len(chunk)
                if left < 0:
                    raise Refused("unpacked_too_large")
        if entry.filename.lower().endswith(PICTURES):
            with archive.open(entry) as picture:
                _check_picture(picture, limits)


def _check_picture(picture: object, limits: Limits) -> None:
    """Only the header is read. What Pillow does not know, LibreOffice has to cope with inside its own limits."""
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        try:
            width, height = Image.open(picture).size  # type: ignore[arg-type]
        except Image.DecompressionBombError as error:
            raise Refused("too_many_pixels") from error
        if width * height > limits.pixels:
            raise Refused("too_many_pixels")


def _inspect_ole(path: Path) -> DocumentFacts:
    """Word's binary format, [MS-DOC]; an encrypted OOXML document is an OLE file too, [MS-OFFCRYPTO]."""
    try:
        with olefile.OleFileIO(path) as container:
            if container.exists("EncryptedPackage"):
                raise Refused("encrypted")
            if not container.exists("WordDocument"):
                raise Refused("wrong_type")
            with container.openstream("WordDocument") as stream:
                fib = stream.read(12)
    except (OSError, olefile.OleFileError, ValueError, IndexError) as error:
        raise Refused("damaged") from error
    if len(fib) < 12 or int.from_bytes(fib[:2], "little") != 0xA5EC:  # FibBase.wIdent
        raise Refused("damaged")
    if int.from_bytes(fib[10:12], "little") & 0x0100:  # FibBase.fEncrypted
        raise Refused("encrypted")
    return DocumentFacts("doc")
