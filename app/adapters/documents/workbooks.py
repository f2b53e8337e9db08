"""Binary workbooks as LibreOffice is given them: with what their authors saw. For use in a child.

A stream of records, each with its kind, its length and so many bytes. Those of [MS-XLS] are changed in their places, so
that what points to them still does; in a sheet of [MS-XLSB] nothing points to any.
"""

import struct
from collections.abc import Iterator

#: Kinds of records ([MS-XLS] 2.3). LibreOffice passes over what it does not know.
FORMULA, STRING, NUMBER, LABEL = 0x0006, 0x0207, 0x0203, 0x0204
HEADER, FOOTER, BOF, UNKNOWN = 0x0014, 0x0015, 0x0809, 0x0EEE
#: A formula that several cells share, and where its tokens begin (2.4.277, 2.4.4); those cells have PtgExp alone.
SHARED, ELSEWHERE = {0x04BC: 10, 0x0221: 14}, b"\x01"
#: FormulaValue (2.5.133) of what is no number ends with this, and begins with what it is.
NO_NUMBER, IS_STRING = b"\xff\xff", 0
#: PtgAttrSemi (2.5.198.37): the formula is worked out anew whenever the workbook is.
VOLATILE = b"\x19\x01"
#: Excel 5 and 95 know strings of one byte a letter only; their records are the same otherwise.
BIFF5, BIFF8 = 0x0500, 0x0600
#: Of a header or footer: the folder of the file.
FOLDER = "&Z"


def settled_workbook(stream: bytes) -> bytes | None:
    """The stream ``Workbook`` or ``Book`` with results in place of formulas of today and of the file, and without the
    folder of the file in headers. None: nothing had to be changed. Of Excel 5 and later only."""
    data = bytearray(stream)
    records = list(_records(stream))
    if not records or records[0][0] != BOF or (version := _version(stream, records[0])) not in (BIFF5, BIFF8):
        return None
    starts = [VOLATILE]
    if any(kind in SHARED and stream[at + SHARED[kind] :][:2] == VOLATILE for kind, at, _length in records):
        starts.append(ELSEWHERE)
    for (kind, at, length), following in zip(records, [*records[1:], (0, 0, 0)], strict=True):
        if kind == FORMULA and length > 22 and data.startswith(tuple(starts), at + 22):
            _keep_result(data, at, length, following)
        elif kind in (HEADER, FOOTER) and length > 3:
            _leave_out_folder(data, at, version)
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
    version: int = struct.unpack_from("<H", stream, record[1])[0]
    return version


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


def _leave_out_folder(data: bytearray, at: int, version: int) -> None:
    """XLUnicodeString (2.5.294): how many characters, whether they are wide, characters; before Excel 97 a byte that
    says how many, and so many bytes. What is left over at the end is not read."""
    count, wide = struct.unpack_from("<HB", data, at) if version == BIFF8 else (data[at], 0)
    width, code = (2, "utf-16-le") if wide & 1 else (1, "latin-1")
    first = at + 3 if version == BIFF8 else at + 1
    words = data[first : first + count * width].decode(code, "replace")
    kept = words.replace(FOLDER, "").encode(code)
    struct.pack_into("<H" if version == BIFF8 else "<B", data, at, len(kept) // width)
    data[first : first + len(kept)] = kept


# ---- [MS-XLSB]

#: BrtBeginSheet without anything in it (2.4.186): how every sheet begins.
SHEET_BEGINS = b"\x81\x01\x00"
#: BrtFmlaString, BrtFmlaNum, BrtFmlaBool, BrtFmlaError (2.4.664 on) → the cell with such a value alone, and its bytes;
#: None where it says itself how many letters it has.
RESULTS: dict[int, tuple[int, int | None]] = {8: (6, None), 9: (5, 8), 10: (4, 1), 11: (3, 1)}
#: Column and style come before the value; flags and the length of the tokens after it.
CELL_BYTES, BETWEEN = 8, 6
#: BrtShrFmla, BrtArrFmla (2.4.806, 2.4.7): where their tokens begin.
SHARED_BINARY = {427: 20, 426: 21}
BEGIN_HEADERS, NO_STRING = 479, 0xFFFFFFFF
HEADERS = 6


def settled_binary_sheet(stream: bytes) -> bytes | None:
    """A sheet of a package, as :func:`settled_workbook` does it. None: nothing had to be changed, or it is no sheet or
    a broken one."""
    if not stream.startswith(SHEET_BEGINS):
        return None
    try:
        records = list(_binary_records(stream))
        is_shared = any(
            stream[at + SHARED_BINARY[kind] :][:2] == VOLATILE for kind, at, _ in records if kind in SHARED_BINARY
        )
        starts = (VOLATILE, ELSEWHERE) if is_shared else (VOLATILE,)
        parts, end = [], 0
        for kind, at, length in records:
            data = stream[at : at + length]
            changed = _result_alone(kind, data, starts) if kind in RESULTS else None
            if kind == BEGIN_HEADERS:
                changed = _headers_without_folder(data)
            parts.append(stream[end : at + length] if changed is None else changed)
            end = at + length
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    settled = b"".join(parts) + stream[end:]
    return settled if settled != stream else None


def _binary_records(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """As :func:`_records`; kinds of up to two bytes and lengths of up to four, seven bits in each (2.1.4)."""
    at = 0
    while at < len(stream):
        kind, at = _number(stream, at, most=2)
        length, at = _number(stream, at, most=4)
        if at + length > len(stream):
            raise IndexError(at)
        yield kind, at, length
        at += length


def _number(stream: bytes, at: int, *, most: int) -> tuple[int, int]:
    value = 0
    for place in range(most):
        byte = stream[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return value, at + place + 1


def _record(kind: int, data: bytes) -> bytes:
    head = bytearray()
    for value in (kind, len(data)):
        while value > 0x7F:
            head.append(value & 0x7F | 0x80)
            value >>= 7
        head.append(value)
    return bytes(head) + data


def _result_alone(kind: int, data: bytes, starts: tuple[bytes, ...]) -> bytes | None:
    cell, length = RESULTS[kind]
    if length is None:
        length = 4 + 2 * struct.unpack_from("<I", data, CELL_BYTES)[0]
    end = CELL_BYTES + length
    return _record(cell, data[:end]) if data.startswith(starts, end + BETWEEN) else None


def _headers_without_folder(data: bytes) -> bytes | None:
    """BrtBeginHeaderFooter (2.4.79): two bytes, then up to six strings, each with how many letters it has."""
    parts, at = [data[:2]], 2
    for _ in range(HEADERS):
        (count,) = struct.unpack_from("<I", data, at)
        words = b"" if count == NO_STRING else data[at + 4 : at + 4 + 2 * count]
        kept = words.decode("utf-16-le").replace(FOLDER, "").encode("utf-16-le")
        parts.append(struct.pack("<I", count if count == NO_STRING else len(kept) // 2) + kept)
        at += 4 + len(words)
    changed = b"".join(parts) + data[at:]
    return _record(BEGIN_HEADERS, changed) if changed != data else None
