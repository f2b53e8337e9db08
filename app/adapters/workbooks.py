"""A binary workbook ([MS-XLS]) as LibreOffice is given it: with what its author saw. For use in a child.

A stream of records, each with its kind, its length and so many bytes. They are changed in their places, so that what
points to them still does.
"""

import struct
from collections.abc import Iterator

#: Kinds of records ([MS-XLS] 2.3). LibreOffice passes over what it does not know.
FORMULA, STRING, NUMBER, LABEL = 0x0006, 0x0207, 0x0203, 0x0204
HEADER, FOOTER, BOF, UNKNOWN = 0x0014, 0x0015, 0x0809, 0x0EEE
#: FormulaValue (2.5.133) of what is no number ends with this, and begins with what it is.
NO_NUMBER, IS_STRING = b"\xff\xff", 0
#: PtgAttrSemi (2.5.198.37): the formula is worked out anew whenever the workbook is.
VOLATILE = b"\x19\x01"
BIFF8 = 0x0600
#: Of a header or footer: the folder of the file.
FOLDER = "&Z"


def settled_workbook(stream: bytes) -> bytes | None:
    """The stream ``Workbook`` with results in place of formulas of today and of the file, and without the folder of the
    file in headers. None: nothing had to be changed. Of Excel 97 and later only."""
    data = bytearray(stream)
    records = list(_records(stream))
    if not records or records[0][0] != BOF or _version(stream, records[0]) != BIFF8:
        return None
    for (kind, at, length), following in zip(records, [*records[1:], (0, 0, 0)], strict=True):
        if kind == FORMULA and length > 22 and data[at + 22 : at + 24] == VOLATILE:
            _keep_result(data, at, length, following)
        elif kind in (HEADER, FOOTER) and length > 3:
            _leave_out_folder(data, at)
    return bytes(data) if data != stream else None


def _records(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, where its bytes begin, how many."""
    at = 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        if at + 4 + length > len(stream):
            return
        yield kind, at + 4, length
        at += 4 + length


def _version(stream: bytes, record: tuple[int, int, int]) -> int:
    return struct.unpack_from("<H", stream, record[1])[0]


def _keep_result(data: bytearray, at: int, length: int, following: tuple[int, int, int]) -> None:
    """Row, column, format and value begin a number as they begin a formula (2.4.127, 2.4.180)."""
    value = data[at + 6 : at + 14]
    if value[6:] != NO_NUMBER:
        struct.pack_into("<H", data, at - 4, NUMBER)
    elif value[0] == IS_STRING and following[0] == STRING and following[1] == at + length + 4:
        words, end = data[following[1] : following[1] + following[2]], following[1] + following[2]
        label = data[at : at + 6] + words  # 2.4.148: the same cell, then the string as it stands in its own record
        struct.pack_into("<HH", data, at - 4, LABEL, len(label))
        data[at : at + len(label)] = label
        struct.pack_into("<HH", data, at + len(label), UNKNOWN, end - at - len(label) - 4)


def _leave_out_folder(data: bytearray, at: int) -> None:
    """XLUnicodeString (2.5.294): how many characters, whether they are wide, characters. What is left over at the end
    is not read."""
    count, wide = struct.unpack_from("<HB", data, at)
    width, code = (2, "utf-16-le") if wide & 1 else (1, "latin-1")
    words = data[at + 3 : at + 3 + count * width].decode(code, "replace")
    kept = words.replace(FOLDER, "").encode(code)
    struct.pack_into("<H", data, at, len(kept) // width)
    data[at + 3 : at + 3 + len(kept)] = kept
