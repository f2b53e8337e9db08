"""The TIFF that Asterisk sends: class F, one G4 strip a page (TIFF 6.0; RFC 2306; ITU-T T.6).

Written by hand because the tags decide what goes over the line: Pillow writes min-is-black and no fill order, and
copying a page as it is costs nothing here.
"""

import io
import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.errors import PermanentFailure

WIDTH = 1728  # pixels of a line, ITU-T T.4
DOTS_ACROSS = 204  # to the inch, both resolutions
DOTS_DOWN = {"fine": 196, "standard": 98}
#: Lines of a page at fine resolution.
LENGTHS = {"A4": 2292, "Letter": 2156}

SHORT, LONG, RATIONAL = 3, 4, 5
_SIZES = {SHORT: 2, LONG: 4, RATIONAL: 8}
GROUP3, GROUP4 = 3, 4
BAD_FAX_LINES, FAX_DCS = 326, 34911
#: What libtiff is told of a page: eight pixels a byte, highest bit first, one strip.
CODED = {256: WIDTH, 258: 1, 259: GROUP4, 262: 0, 266: 1, 277: 1, 284: 1}
#: Each byte with its bits in the opposite order.
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
#: What a page may measure, in pixels: the widest is A3 at 400 dots to the inch.
MOST_PIXELS = 65_535
#: The two end-of-line codes that close a page, ITU-T T.6, 2.4.1.1.
END_OF_BLOCK = 0x001001
#: Directories that a file may have before it is taken for a loop.
MOST_PAGES = 10_000


@dataclass(frozen=True)
class FaxPage:
    """One page: its G4 data, its lines and how many of them make an inch."""

    strip: bytes
    rows: int
    dots_down: int
    width: int = WIDTH


def encode(packed: bytes, *, rows: int, dots_down: int) -> FaxPage:
    """``packed`` is eight pixels a byte, first one highest, 1 is black.

    Pillow is handed whole bytes and libtiff told what they are: a picture of single pixels would be taken apart and
    packed again, which takes as long as the coding.
    """
    octets = Image.frombuffer("L", (WIDTH // 8, rows), packed, "raw", "L", 0, 1)
    data = octets.tobytes("libtiff", "L", 0, "", [*CODED.items(), (257, rows), (278, rows)], {})
    return FaxPage(_strip(data, next(_directories(io.BytesIO(data)))), rows=rows, dots_down=dots_down)


def decode(page: FaxPage) -> Image.Image:
    """Mode ``1``, 0 is black."""
    target = io.BytesIO()
    write_pages(target, [page], total=1)
    target.seek(0)
    image = Image.open(target)
    image.load()
    return image.convert("1")


def put_between(page: FaxPage, *, above: int, below: int) -> FaxPage:
    """So many white lines above and below ``page``, whose last line is white if there are any below.

    In T.6 a line is told by how it differs from the one above, and the first by how it differs from a white one: a
    white line below a white line is a single bit.
    """
    code, length = code_of(page)
    code = ((1 << above) - 1) << length + below | code << below | (1 << below) - 1
    strip = packed_code(code, above + length + below)
    return FaxPage(strip, rows=above + page.rows + below, dots_down=page.dots_down, width=page.width)


def put_above(page: FaxPage, top: FaxPage) -> FaxPage:
    """``top``, whose last line is white, and below it ``page``, whose bits stay as they are."""
    code, length = code_of(top)
    size = len(page.strip) * 8
    strip = _packed(code << size | int.from_bytes(page.strip), length + size)
    return FaxPage(strip, rows=top.rows + page.rows, dots_down=page.dots_down, width=page.width)


def code_of(page: FaxPage) -> tuple[int, int]:
    """The bits of the lines, and how many they are; without the end of the block.

    Raises:
        PermanentFailure: ``damaged``: there is no such end.
    """
    code = int.from_bytes(page.strip)
    padding = (code & -code).bit_length() - 1
    code >>= max(padding, 0)
    if code & 0xFFFFFF != END_OF_BLOCK:
        raise PermanentFailure("damaged")
    return code >> 24, len(page.strip) * 8 - padding - 24


def packed_code(code: int, length: int) -> bytes:
    """The bits of lines, with the end of the block."""
    return _packed(code << 24 | END_OF_BLOCK, length + 24)


def _packed(code: int, length: int) -> bytes:
    return (code << -length % 8).to_bytes((length + 7) // 8)


def write_pages(target: Path | io.BufferedIOBase, pages: Iterable[FaxPage], *, total: int) -> list[int]:
    """Write and, to a path, fsync. Gives the bytes of each page's image data."""
    if isinstance(target, Path):
        with target.open("wb") as file:
            sizes = write_pages(file, pages, total=total)
            file.flush()
            os.fsync(file.fileno())
        return sizes
    target.write(b"II*\0" + struct.pack("<I", 0))
    pointer, sizes = 4, []
    for number, page in enumerate(pages):
        strip_at = target.tell()
        target.write(page.strip + b"\0" * (len(page.strip) % 2))
        directory_at = target.tell()
        directory, next_pointer = _directory(page, strip_at, directory_at, number=number, total=total)
        target.write(directory)
        end = target.tell()
        target.seek(pointer)
        target.write(struct.pack("<I", directory_at))
        target.seek(end)
        pointer = next_pointer
        sizes.append(len(page.strip))
    return sizes


def _directory(page: FaxPage, strip_at: int, at: int, *, number: int, total: int) -> tuple[bytes, int]:
    entries: list[tuple[int, int, int, int]] = [
        (254, LONG, 1, 2),  # a page of several
        (256, LONG, 1, page.width),
        (257, LONG, 1, page.rows),
        (258, SHORT, 1, 1),
        (259, SHORT, 1, GROUP4),
        (262, SHORT, 1, 0),  # min is white
        (266, SHORT, 1, 1),  # highest bit first
        (273, LONG, 1, strip_at),
        (274, SHORT, 1, 1),
        (277, SHORT, 1, 1),
        (278, LONG, 1, page.rows),
        (279, LONG, 1, len(page.strip)),
        (282, RATIONAL, 1, 0),
        (283, RATIONAL, 1, 8),
        (293, LONG, 1, 0),
        (296, SHORT, 1, 2),
        (297, SHORT, 2, number | total << 16),
    ]
    next_pointer = at + 2 + 12 * len(entries)
    values_at = next_pointer + 4
    body = b"".join(
        struct.pack("<HHII", tag, kind, count, value + values_at if kind == RATIONAL else value)
        for tag, kind, count, value in entries
    )
    values = struct.pack("<IIII", DOTS_ACROSS, 1, page.dots_down, 1)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", 0) + values, next_pointer


def count_tiff_pages(path: Path) -> int:
    """Directories, whatever the file says of itself: a fax broken off in the middle keeps a stale total."""
    with path.open("rb") as file:
        return sum(1 for _ in _directories(file))


def read_pages(path: Path) -> Iterator[FaxPage]:
    """The pages of a TIFF as written here.

    Raises:
        PermanentFailure: ``damaged``: it is something else.
    """
    with path.open("rb") as file:
        for tags in _directories(file):
            if tags.get(259) != GROUP4 or tags.get(278, 0) < tags.get(257, 0):
                raise PermanentFailure("damaged")
            file.seek(tags[273])
            strip = file.read(tags[279])
            yield FaxPage(strip, rows=tags[257], dots_down=_dots_down(file, tags), width=tags[256])


def _dots_down(file: io.BufferedIOBase, tags: dict[int, int]) -> int:
    file.seek(tags[283])
    above, below = struct.unpack("<II", file.read(8))
    dots: int = round(above / max(below, 1))
    return dots


@dataclass(frozen=True)
class CodedPage:
    """One page as the far end's machine coded it: T.6, or T.4 in one or two dimensions, highest bit first."""

    data: bytes
    width: int
    rows: int
    dots_across: float  # to the inch
    dots_down: float
    group: int  # 3 (T.4) or 4 (T.6)
    two_dimensional: bool
    min_is_black: bool


def coded_pages(path: Path) -> Iterator[CodedPage]:
    """The pages that Asterisk received, up to the first that is not whole.

    Raises:
        PermanentFailure: ``damaged``: it is no TIFF of this machine.
    """
    size = left = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != b"II*\0":
            raise PermanentFailure("damaged")
        file.seek(0)
        for tags in _directories(file):
            page = _coded_page(file, tags, size)
            left -= len(page.data) if page else 0
            if page is None or left < 0:  # pages that share their data are no pages
                return
            yield page


def has_no_page(path: Path) -> bool:
    """Whether nothing came: no file, an empty one, or the head of a TIFF whose first page was never finished."""
    if not path.exists():
        return True
    with path.open("rb") as file:
        head = file.read(8)
    return not head or head == b"II*\0\0\0\0\0"


@dataclass(frozen=True)
class Reception:
    """What the two machines had agreed on, None where the file does not say, and lines that did not come as they were
    sent."""

    ecm: bool | None
    damaged_lines: int


def reception_of(path: Path) -> Reception:
    """As spandsp writes it into each page (0.0.6, t4_rx.c): BadFaxLines (TIFF/F, RFC 2306, 4.7), and FaxDcs, the
    command by which the sender has told what comes.

    Raises:
        PermanentFailure: ``damaged``: it is no TIFF of this machine.
    """
    size, ecm, damaged = path.stat().st_size, None, 0
    with path.open("rb") as file:
        if file.read(4) != b"II*\0":
            raise PermanentFailure("damaged")
        file.seek(0)
        for tags in _directories(file):
            damaged += min(tags.get(BAD_FAX_LINES, 0), tags.get(257, 0))
            known = _ecm_of(file, tags.get(FAX_DCS), size)
            ecm = ecm if known is None else known
    return Reception(ecm, damaged)


def _ecm_of(file: io.BufferedIOBase, at: int | None, size: int) -> bool | None:
    """Bit 27 of ITU-T T.30's DCS (table 2), written as ``00 46 1F 22``, the first bit of each octet highest; three
    octets say that there are no more."""
    if at is None or not 0 < at < size:
        return None
    file.seek(at)
    found = re.match(rb"(?:[0-9A-F]{2} ){2}[0-9A-F]{2}(?: ([0-9A-F]{2})|\0)", file.read(len("00 00 00 00")))
    return bool(int(found[1] or b"0", 16) & 0x20) if found else None


def _coded_page(file: io.BufferedIOBase, tags: dict[int, int], size: int) -> CodedPage | None:
    width, rows, group = tags.get(256, 0), tags.get(257, 0), tags.get(259)
    at, length = tags.get(273, 0), tags.get(279, 0)
    whole = 0 < width <= MOST_PIXELS and 0 < rows <= min(MOST_PIXELS, tags.get(278, rows))
    if group not in (GROUP3, GROUP4) or not whole or not 0 < length <= size - at:
        return None
    file.seek(at)
    data = file.read(length)
    inches = 2.54 if tags.get(296) == 3 else 1.0  # dots to the centimetre
    return CodedPage(
        data=data.translate(_TURNED) if tags.get(266) == 2 else data,
        width=width,
        rows=rows,
        dots_across=_ratio(file, tags.get(282), size) * inches or DOTS_ACROSS,
        dots_down=_ratio(file, tags.get(283), size) * inches or DOTS_DOWN["fine"],
        group=group,
        two_dimensional=group == GROUP4 or bool(tags.get(292, 0) & 1),
        min_is_black=tags.get(262) == 1,
    )


def _ratio(file: io.BufferedIOBase, at: int | None, size: int) -> float:
    """A value of the kind RATIONAL; 0 where there is none."""
    if at is None or not 0 < at <= size - 8:
        return 0.0
    file.seek(at)
    above, below = struct.unpack("<II", file.read(8))
    return above / below if below else 0.0


def _strip(data: bytes, tags: dict[int, int]) -> bytes:
    return data[tags[273] : tags[273] + tags[279]]


def _directories(file: io.BufferedIOBase) -> Iterator[dict[int, int]]:
    """Tag → value (or offset of the values) of each directory. Stops where the file breaks off."""
    head = file.read(8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None or len(head) < 8:
        raise PermanentFailure("damaged")
    (offset,) = struct.unpack(order + "I", head[4:])
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < MOST_PAGES:
        seen.add(offset)
        file.seek(offset)
        raw = file.read(2)
        if len(raw) < 2:
            return
        (count,) = struct.unpack(order + "H", raw)
        body = file.read(12 * count + 4)
        if count == 0 or len(body) < 12 * count + 4:
            return
        entries = [struct.unpack_from(order + "HHI", body, 12 * index) for index in range(count)]
        yield {tag: _value(body, order, index, kind, many) for index, (tag, kind, many) in enumerate(entries)}
        (offset,) = struct.unpack_from(order + "I", body, 12 * count)


def _value(body: bytes, order: str, index: int, kind: int, count: int) -> int:
    at = 12 * index + 8
    value: int = struct.unpack_from(order + ("H" if kind == SHORT and count == 1 else "I"), body, at)[0]
    return value
