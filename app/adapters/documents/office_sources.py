"""An office document as LibreOffice is given it: without what leads out of it, and with what its author saw."""

import re
import shutil
import struct
from pathlib import Path

import olefile

from app.adapters.confined.isolation import Report, run_isolated
from app.adapters.documents.default_password import opened
from app.adapters.documents.links import cut_package
from app.adapters.documents.workbooks import settled_workbook
from app.errors import FaxroomError, TemporaryFailure
from app.kinds import KINDS, Family

SECONDS = 20
#: Where the file information block of Word 97 and later ([MS-DOC] 2.5) names a table: the offset of its place in the
#: table stream, followed by its length. Fields of the text, of headers, notes, end notes and text boxes; comments.
FIELDS = tuple(0x9A + 8 * index for index in (16, 17, 18, 48, 57, 59))
COMMENTS = tuple(0x9A + 8 * index for index in (4, 5))
WORD_97 = 0x00C1  # FibBase.nFib
#: Fields that LibreOffice works out anew ([MS-DOC] 2.9.90): references, what is known of the document, dates, file
#: names, sums, merged and own values. Those whose result is more than a piece of text, such as tables of contents, are
#: left as they are.
WORKED_OUT = {3, 5, *range(0x0E, 0x1A), *range(0x1B, 0x21), 0x22, 0x25, *range(0x3B, 0x3F), 0x40, 0x45, 0x48, 0x55}
#: A kind of field that LibreOffice does not know (GLOSSARY): it shows the result.
UNKNOWN = 0x2F
FIELD_BEGINS = 0x13
#: Fields of RTF that LibreOffice works out anew.
RTF_FIELD = re.compile(
    rb"(\\fldinst[^}]{0,200}?[\s{])(?!(?:PAGE|NUMPAGES|SECTIONPAGES|SECTION|FORM\w+|HYPERLINK|SYMBOL|EQ)\b)([A-Za-z]+)(?=[\s}\\])"
)
ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")


def settled(data: bytes, kind: str, folder: Path) -> bytes:
    """``data`` is read in a child; ``folder`` is for its files.

    A document that cannot be read here is given on as it is: what it is worth is LibreOffice's to say.

    Raises:
        TemporaryFailure: it could not be tried, so the document keeps what leads out of it.
    """
    source, target = folder / "given", folder / "settled"
    source.write_bytes(data)
    try:
        asked = (str(source), str(target), kind)
        changed = run_isolated(settle_file, *asked, reads=[source], writes=[target], deadline_seconds=SECONDS)
    except TemporaryFailure:
        raise
    except FaxroomError:
        return data
    return target.read_bytes() if changed else data


def settle_file(_report: Report, source: str, target: str, kind: str) -> bool:
    """In a child. Whether something had to be changed; then ``target`` is the document with it."""
    changed = _changed(Path(source), Path(target), kind)
    if changed is not None:
        Path(target).write_bytes(changed)
    return changed is not None


def _changed(source: Path, target: Path, kind: str) -> bytes | None:
    if kind == "doc":
        return _settled_word_97(source, target)
    if kind == "rtf":
        return _settled_rtf(source.read_bytes())
    if kind in ("txt", "csv"):
        return decoded(source.read_bytes()).encode()
    if kind == "xls":
        return _settled_xls(source, target)
    if kind == "ppt":
        return None
    data = source.read_bytes()
    unlocked = opened(data) if data.startswith(olefile.MAGIC) else None
    return cut_package(unlocked or data, freezes_fields=KINDS[kind].family is not Family.SHEET) or unlocked


def decoded(data: bytes) -> str:
    """A text of an unknown encoding: what is no UTF-8 comes from an older Windows."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    for encoding in ENCODINGS[:-1]:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode(ENCODINGS[-1])


def _settled_rtf(data: bytes) -> bytes | None:
    """Results in place of fields, and no comments, which are skipped when nobody knows their name."""
    without = data.replace(rb"{\*\annotation", rb"{\*\nnotation ").replace(rb"{\*\atnid", rb"{\*\ntaid ")
    without = RTF_FIELD.sub(lambda found: found[1] + b" " * len(found[2]), without)
    return without if without != data else None


def _settled_xls(source: Path, target: Path) -> bytes | None:
    data = source.read_bytes()
    unlocked = opened(data)
    target.write_bytes(unlocked or data)
    with olefile.OleFileIO(str(target), write_mode=True) as container:
        found = False
        for name in ("Workbook", "Book"):  # of Excel 97 and later, of 5 and 95; or both of them
            if container.exists(name) and (changed := settled_workbook(container.openstream(name).read())):
                container.write_stream(name, changed)
                found = True
    return target.read_bytes() if found else unlocked


def _settled_word_97(source: Path, target: Path) -> bytes | None:
    """The same for Word 97 and later: tables of the file are changed in their places."""
    shutil.copyfile(source, target)
    with olefile.OleFileIO(str(target), write_mode=True) as container:
        block = bytearray(container.openstream("WordDocument").read())
        if len(block) < 0x2A0 or struct.unpack_from("<H", block, 2)[0] < WORD_97:
            return None
        name = "1Table" if block[0x0B] & 0x02 else "0Table"
        table = bytearray(container.openstream(name).read())
        for at in FIELDS:
            _forget_fields(table, *struct.unpack_from("<II", block, at))
        for at in COMMENTS:
            struct.pack_into("<I", block, at + 4, 0)
        container.write_stream("WordDocument", bytes(block))
        container.write_stream(name, bytes(table))
    return target.read_bytes()


def _forget_fields(table: bytearray, place: int, length: int) -> None:
    """Plcfld ([MS-DOC] 2.8.25): positions of 4 bytes, one more than descriptions of 2 bytes."""
    count = (length - 4) // 6
    if count < 1 or place + length > len(table):
        return
    first = place + 4 * (count + 1)
    for at in range(first, first + 2 * count, 2):
        if table[at] & 0x1F == FIELD_BEGINS and table[at + 1] in WORKED_OUT:
            table[at + 1] = UNKNOWN
