"""Binary workbooks: what LibreOffice would work out anew is what their authors saw, in its place."""

import struct

import pytest

from app.adapters.workbooks import settled_workbook

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


@pytest.mark.parametrize(
    "stream", [b"", BOF + LAST, b"\x09\x08\4\0\0\5\5\0" + formula(bytes(8)), BOF + formula(bytes(8))[:-3]]
)
def test_what_holds_nothing_of_it_or_is_older_or_ends_too_early_stays_as_it_is(stream: bytes) -> None:
    assert settled_workbook(stream) is None
