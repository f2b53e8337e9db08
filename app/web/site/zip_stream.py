"""A ZIP archive of any size while it is made (PKWARE's APPNOTE 6.3, with ZIP64).

Python's own writer keeps a kilobyte for each file until the end: for two million files that is two gigabytes. Here the
directory waits in a file. Nothing is compressed: PDFs are already.
"""

import struct
import tempfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

CHUNK = 1 << 18
#: A file up to this size waits in memory while its checksum is made, a larger one on disk.
IN_MEMORY = 4 << 20
MOST_32, MOST_16 = 0xFFFFFFFF, 0xFFFF
UTF8 = 0x800
NEEDS = 45  # version 4.5: ZIP64


class Pipe:
    """What zipfile writes to and a response reads from. It has no position to go back to."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to close."""

    def drain(self) -> bytes:
        data, self.waiting = b"".join(self.waiting), []
        return data


class ZipStream:
    """``add`` and ``close`` give the bytes to send; names must be different."""

    def __init__(self) -> None:
        self.offset, self.count = 0, 0
        self.directory: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close

    def add(self, name: str, source: BinaryIO, at: datetime) -> Iterator[bytes]:
        """A whole file: it is read to its end before its head goes out, because that has its checksum."""
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as kept:
            checksum, size = 0, 0
            while chunk := source.read(CHUNK):
                kept.write(chunk)
                checksum, size = zlib.crc32(chunk, checksum), size + len(chunk)
            kept.seek(0)
            yield self._head(name, checksum, size, at)
            while chunk := kept.read(CHUNK):
                yield chunk
        self.offset += size

    def _head(self, name: str, checksum: int, size: int, at: datetime) -> bytes:
        """No single file is larger than 4 GB: the storage takes none."""
        path = name.encode()
        day = (max(at.year, 1980) - 1980) << 9 | at.month << 5 | at.day
        clock = at.hour << 11 | at.minute << 5 | at.second // 2
        common = struct.pack("<HHHHHIIIH", NEEDS, UTF8, 0, clock, day, checksum, size, size, len(path))
        head = b"PK\x03\x04" + common + struct.pack("<H", 0) + path
        far = self.offset >= MOST_32
        extra = struct.pack("<HHQ", 1, 8, self.offset) if far else b""
        tail = struct.pack("<HHHHII", len(extra), 0, 0, 0, 0, MOST_32 if far else self.offset)
        self.directory.write(b"PK\x01\x02" + struct.pack("<H", NEEDS) + common + tail + path + extra)
        self.offset, self.count = self.offset + len(head), self.count + 1
        return head

    def close(self) -> Iterator[bytes]:
        """The directory, which makes it an archive."""
        start, size = self.offset, self.directory.tell()
        self.directory.seek(0)
        with self.directory as directory:
            while chunk := directory.read(CHUNK):
                yield chunk
        if self.count >= MOST_16 or start >= MOST_32 or size >= MOST_32:
            record = struct.pack("<QHHIIQQQQ", 44, NEEDS, NEEDS, 0, 0, self.count, self.count, size, start)
            yield b"PK\x06\x06" + record + b"PK\x06\x07" + struct.pack("<IQI", 0, start + size, 1)
        count = min(self.count, MOST_16)
        last = struct.pack("<HHHHIIH", 0, 0, count, count, min(size, MOST_32), min(start, MOST_32), 0)
        yield b"PK\x05\x06" + last
