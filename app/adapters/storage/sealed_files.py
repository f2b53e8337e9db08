"""Sealed files: AES-256-GCM in pieces, so that a file of any size takes the memory of one piece.

The form, after STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, 2015): ``MAGIC`` in an archive or ``STORED`` in the
storage, 8 bytes that tell which key it was, 16 bytes of salt, then pieces of 64 KiB, each with its tag of 16 bytes. The
key of a file is HKDF-SHA256 of the sealing key with the salt, so no key seals two files. The nonce counts the pieces
and marks the last one: nothing can be cut off, moved or put in unseen. The head is authenticated with each piece, and
with it the ``context``, which is not in the file: where it belongs. Elsewhere it cannot be opened.
"""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.errors import PermanentFailure

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAGIC, STORED = b"faxroom-sealed-1\n", b"faxroom-stored-1\n"
PIECE, TAG, SALT, NAME = 64 * 1024, 16, 16, 8
HEAD = len(MAGIC) + NAME + SALT
ENDING = ".sealed"


def name_of(key: bytes) -> bytes:
    """Tells keys apart and nothing about them."""
    return hashlib.sha256(b"faxroom sealed file key " + key).digest()[:NAME]


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"faxroom sealed file").derive(key))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def sealed_size(size: int) -> int:
    """Of a file with so many bytes when it is sealed."""
    return HEAD + size + TAG * max(1, -(-size // PIECE))


class Source(Protocol):
    """What can be read from its place on."""

    def read(self, size: int = ..., /) -> bytes: ...


def _pieces(source: Source, size: int) -> Iterator[tuple[int, bool, bytes]]:
    """Number, whether it is the last one, bytes. An empty file has one empty piece."""
    number, piece = 0, _read(source, size)
    while True:
        following = _read(source, size) if len(piece) == size else b""
        yield number, not following, piece
        if not following:
            return
        number, piece = number + 1, following


def _read(source: Source, size: int) -> bytes:
    """So many bytes unless the file ends; a raw stream may give fewer at a time."""
    parts, left = [], size
    while left and (part := source.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def seal(source: Source, key: bytes, *, magic: bytes = MAGIC, context: bytes = b"") -> Iterator[bytes]:
    """The sealed form of the rest of ``source``, piece by piece."""
    salt = os.urandom(SALT)
    head, cipher = magic + name_of(key) + salt, _cipher(key, salt)
    yield head
    for number, last, piece in _pieces(source, PIECE):
        yield cipher.encrypt(_nonce(number, last), piece, head + context)


def unseal(source: Source, keys: Sequence[bytes]) -> Iterator[bytes]:
    """What was sealed. Each piece is given out only when it proved whole; the file is whole when the end is reached.

    Raises:
        PermanentFailure: ``not_sealed``, ``sealing_key_unknown``, ``sealed_file_damaged``.
    """
    head = _read(source, HEAD)
    if len(head) < HEAD or not head.startswith(MAGIC):
        raise PermanentFailure("not_sealed")
    name, salt = head[len(MAGIC) : len(MAGIC) + NAME], head[-SALT:]
    key = next((key for key in keys if name_of(key) == name), None)
    if key is None:
        raise PermanentFailure("sealing_key_unknown")
    cipher = _cipher(key, salt)
    for number, last, piece in _pieces(source, PIECE + TAG):
        try:
            yield cipher.decrypt(_nonce(number, last), piece, head)
        except InvalidTag as error:
            raise PermanentFailure("sealed_file_damaged") from error


class SealedReader(io.RawIOBase):
    """The sealed form of a file as something to read from, never whole in memory."""

    def __init__(self, source: Source, key: bytes, *, magic: bytes = MAGIC, context: bytes = b"") -> None:
        self._pieces, self._rest = seal(source, key, magic=magic, context=context), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def key_name(source: BinaryIO) -> bytes | None:
    """Of the key that sealed a file of the storage, which is read from its beginning; None for one that lies plain."""
    source.seek(0)
    head = _read(source, HEAD)
    return head[len(STORED) : len(STORED) + NAME] if len(head) == HEAD and head.startswith(STORED) else None


class OpenedReader(io.RawIOBase):
    """A sealed file of the storage as it was: any part of it, for no more than the pieces that it lies in.

    Its last piece is opened first, so that a file which lacks its end is not given out at all. ``size`` is what it was
    before it was sealed, in bytes.

    Raises:
        PermanentFailure: ``sealed_file_damaged``, at once or from a read.
    """

    def __init__(self, source: BinaryIO, key: bytes, *, context: bytes) -> None:
        self._source = source
        body = source.seek(0, os.SEEK_END) - HEAD
        source.seek(0)
        head = _read(source, HEAD)
        self._known, self._cipher = head + context, _cipher(key, head[-SALT:])
        self._count = max(1, -(-body // (PIECE + TAG)))
        self.size, self._place = body - TAG * self._count, 0
        self._number, self._piece = -1, b""
        self._open(self._count - 1)

    def _open(self, number: int) -> bytes:
        if number != self._number:
            self._source.seek(HEAD + number * (PIECE + TAG))
            sealed = _read(self._source, PIECE + TAG)
            try:
                self._piece = self._cipher.decrypt(_nonce(number, number == self._count - 1), sealed, self._known)
            except InvalidTag as error:
                raise PermanentFailure("sealed_file_damaged") from error
            self._number = number
        return self._piece

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence] + offset)
        return self._place

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        if self._place >= self.size:
            return 0
        number, begin = divmod(self._place, PIECE)
        part = memoryview(self._open(number))[begin : begin + len(target)]
        target[: len(part)] = part
        self._place += len(part)
        return len(part)

    def close(self) -> None:
        self._source.close()
        super().close()
