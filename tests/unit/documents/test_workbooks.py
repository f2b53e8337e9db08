"""Binary workbooks: what LibreOffice would work out anew is what their authors saw, in its place."""

import io
import struct
import zipfile

import pytest

from app.adapters.documents.links import cut_package
from app.adapters.documents.workbooks import settled_binary_sheet, settled_workbook

BOF = struct.pack("<HHHH", 0x0809, 4, 0x0600, 5)
LAST = struct.pack("<HH", 0x000A, 0)
TODAY = b"\x19\x01\0\0\x41\xdd\0"
CELL = (2, 1, 15)  # row, column, format


def record(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def formula(value: bytes, tokens: bytes = TODAY) -> bytes:
    return record(0x0006, struct.pack("<HHH", *CELL) + value + bytes(6) + struct.pack("<H", len(tokens)) + tokens)


def records(stream: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        found.append((kind, stream[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def test_a_number_stays_and_other_formulas_stay_formulas() -> None:
    given = BOF + formula(struct.pack("<d", 36000.5)) + formula(struct.pack("<d", 2.0), b"\x1e\1\0") + LAST
    came = settled_workbook(given)
    assert len(came) == len(given)
    _bof, (kind, number), other, _last = records(came)
    assert (kind, number[:6], struct.unpack_from("<d", number, 6)) == (0x0203, struct.pack("<HHH", *CELL), (36000.5,))
    assert other == records(given)[2]


@pytest.mark.parametrize(("words", "wide"), [("C:\\a\\[b.xls]C", 0), ("città ← 1998", 1)])
def test_words_stay_where_they_are(words: str, wide: int) -> None:
    text = struct.pack("<HB", len(words), wide) + words.encode("utf-16-le" if wide else "latin-1")
    given = BOF + formula(b"\0" * 6 + b"\xff\xff") + record(0x0207, text) + LAST
    came = settled_workbook(given)
    assert len(came) == len(given)
    _bof, label, (rest, _), last = records(came)
    assert label == (0x0204, struct.pack("<HHH", *CELL) + text)
    assert rest not in (0x0006, 0x0207)
    assert last == (0x000A, b"")


def test_a_header_leaves_out_the_folder_of_the_file() -> None:
    words = "&LOffer&R&Z&F"
    given = BOF + record(0x0014, struct.pack("<HB", len(words), 0) + words.encode()) + LAST
    came = settled_workbook(given)
    _bof, (kind, header), _last = records(came)
    assert (kind, header[:3], header[3:14]) == (0x0014, b"\x0b\0\0", b"&LOffer&R&F")
    assert len(came) == len(given)


OLDER = struct.pack("<HHHH", 0x0809, 4, 0x0500, 5)


def test_a_workbook_of_excel_5_or_95_keeps_results_and_leaves_out_the_folder_as_well() -> None:
    words, header = b"\x0a\x00C:\\a\\[b.xl", b"&LOffer&R&Z&F"
    given = OLDER + formula(b"\0" * 6 + b"\xff\xff") + record(0x0207, words) + record(0x0014, b"\x0d" + header)
    came = settled_workbook(given + formula(struct.pack("<d", 36000.5)) + LAST)
    _bof, label, _rest, (_kind, left), (number, _), _last = records(came)
    assert label == (0x0204, struct.pack("<HHH", *CELL) + words)
    assert left[:12] == b"\x0b&LOffer&R&F"
    assert number == 0x0203


def test_cells_that_share_a_formula_of_today_keep_their_results() -> None:
    elsewhere = b"\x01\2\0\1\0"
    cells = formula(struct.pack("<d", 1.0), elsewhere) + record(0x04BC, bytes(10) + TODAY)
    came = settled_workbook(BOF + cells + formula(struct.pack("<d", 2.0), elsewhere) + LAST)
    assert [kind for kind, _ in records(came)] == [0x0809, 0x0203, 0x04BC, 0x0203, 0x000A]
    plain = BOF + formula(struct.pack("<d", 1.0), elsewhere) + record(0x04BC, bytes(10) + b"\x1e\1\0") + LAST
    assert settled_workbook(plain) is None


# ---- [MS-XLSB]

SHEET = b"\x81\x01\x00"
PLACE = struct.pack("<II", 3, 7)


def binary(kind: int, data: bytes) -> bytes:
    head = bytes((kind & 0x7F | 0x80, kind >> 7)) if kind > 0x7F else bytes((kind,))
    return head + (bytes((len(data) & 0x7F | 0x80, len(data) >> 7)) if len(data) > 0x7F else bytes((len(data),))) + data


def binary_formula(kind: int, value: bytes, tokens: bytes = TODAY) -> bytes:
    return binary(kind, PLACE + value + b"\0\0" + struct.pack("<I", len(tokens)) + tokens + bytes(4))


def words_of(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


VALUES = [
    (8, 6, words_of("C:\\a\\[città.xlsb]C" * 9)),
    (9, 5, struct.pack("<d", 36000.5)),
    (10, 4, b"\1"),
    (11, 3, b"\x2a"),
]


@pytest.mark.parametrize(("kind", "alone", "value"), VALUES)
def test_a_binary_sheet_keeps_the_results_of_formulas_of_today_and_of_the_file(kind, alone, value) -> None:
    other = binary_formula(9, struct.pack("<d", 2.0), b"\x1e\1\0")
    came = settled_binary_sheet(SHEET + binary_formula(kind, value) + other)
    assert came == SHEET + binary(alone, PLACE + value) + other
    assert settled_binary_sheet(SHEET + other) is None


def test_cells_of_a_binary_sheet_that_share_a_formula_of_today_keep_their_results() -> None:
    cell = binary_formula(9, struct.pack("<d", 2.0), b"\x01\2\0\0\0")
    shared = binary(427, bytes(20) + TODAY + bytes(4))
    alone = binary(5, PLACE + struct.pack("<d", 2.0))
    assert settled_binary_sheet(SHEET + cell + shared + cell) == SHEET + alone + shared + alone


def test_the_headers_of_a_binary_sheet_leave_out_the_folder_of_the_file() -> None:
    nothing = b"\xff" * 4 * 4
    given = SHEET + binary(479, b"\0\0" + words_of("&LOffer&R&Z&F") + words_of("&P") + nothing)
    assert settled_binary_sheet(given) == SHEET + binary(
        479, b"\0\0" + words_of("&LOffer&R&F") + words_of("&P") + nothing
    )


@pytest.mark.parametrize("left_out", [1, 9, 30])
def test_a_broken_binary_sheet_and_what_is_none_stay_as_they_are(left_out: int) -> None:
    sheet = SHEET + binary_formula(9, struct.pack("<d", 36000.5))
    assert settled_binary_sheet(sheet[:-left_out]) is None
    assert settled_binary_sheet(b"\0" + sheet) is None


def test_a_package_is_given_on_with_its_binary_sheets_settled() -> None:
    target, sheet = io.BytesIO(), SHEET + binary_formula(9, struct.pack("<d", 36000.5))
    with zipfile.ZipFile(target, "w") as package:
        package.writestr("xl/worksheets/sheet1.bin", sheet)
        package.writestr("xl/printerSettings/printerSettings1.bin", b"\0\1")
    with zipfile.ZipFile(io.BytesIO(cut_package(target.getvalue(), freezes_fields=False))) as package:
        assert package.read("xl/worksheets/sheet1.bin") == settled_binary_sheet(sheet)
        assert package.read("xl/printerSettings/printerSettings1.bin") == b"\0\1"


@pytest.mark.parametrize(
    "stream", [b"", BOF + LAST, b"\x09\x08\4\0\0\4\5\0" + formula(bytes(8)), BOF + formula(bytes(8))[:-3]]
)
def test_what_holds_nothing_of_it_or_is_older_or_ends_too_early_stays_as_it_is(stream: bytes) -> None:
    assert settled_workbook(stream) is None
