"""A storage whose files are sealed, each with a key of the company that it belongs to.

The first part of a storage key is the company (``3/2026/11/01J….pdf``). The whole of it is authenticated with the
file: one that was laid elsewhere, in another company's folder or under another document's name, cannot be opened.
"""

import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from app.adapters.storage.sealed_files import PIECE, STORED, OpenedReader, SealedReader, Source, key_name, name_of
from app.adapters.storage.storage import CHUNK, Storage
from app.errors import PermanentFailure

#: Of what programs read under a path; what a kill leaves behind is found by it.
PLAIN = "faxroom-plain-"


class Keys(Protocol):
    """What is known of keys and files, outside of the storage."""

    def of(self, owner: str, *, anew: bool = False) -> Sequence[bytes]:
        """Those of a company: the first one seals, any of them opens. ``anew``: there may be others since."""

    def digest_if_sealed(self, key: str) -> str | None:
        """SHA-256 (hex) of what is in a file of which it is known that it was sealed."""


def owner_of(key: str) -> str:
    return key.partition("/")[0]


def sealed_for(key: str, source: Source, with_key: bytes) -> BinaryIO:
    """The sealed form of the rest of ``source``, for this place in the storage and no other."""
    return io.BufferedReader(SealedReader(source, with_key, magic=STORED, context=key.encode()), PIECE)


class SealedStorage:
    """What lies plain is from before, and is read as it is until it is sealed (:meth:`seal_again`)."""

    def __init__(self, inner: Storage, keys: Keys) -> None:
        self.inner, self.known = inner, keys

    def write(self, key: str, source: BinaryIO) -> str:
        """Store the rest of ``source``; gives the name of the key that sealed it."""
        first = self.known.of(owner_of(key))[0]
        self.inner.write(key, sealed_for(key, source, first))
        return name_of(first).hex()

    def open(self, key: str, *, whole: bool = False) -> BinaryIO:
        """As :meth:`Storage.open`; any part can be read. ``whole``: every part of it proves right before any is given
        out, for an answer that cannot be taken back once it has begun.

        Raises:
            PermanentFailure: ``sealed_file_damaged``, also from a read unless it is ``whole``; ``sealing_key_unknown``.
        """
        file = self.inner.open(key)
        try:
            content = self._opened(key, file)
            if whole and content is not file:
                while content.read(CHUNK):
                    pass
                content.seek(0)
            return content
        except BaseException:
            file.close()
            raise

    def _opened(self, key: str, file: BinaryIO) -> BinaryIO:
        name = key_name(file)
        if name is None:
            return self._plain(key, file)
        reader = OpenedReader(file, self._find(owner_of(key), name), context=key.encode())
        return io.BufferedReader(reader, PIECE)

    def _plain(self, key: str, file: BinaryIO) -> BinaryIO:
        """From before, or somebody has laid it there in place of what was sealed."""
        wanted = self.known.digest_if_sealed(key)
        file.seek(0)
        if wanted is not None:
            if _digest(file) != wanted:
                raise PermanentFailure("sealed_file_damaged")
            file.seek(0)
        return file

    def _find(self, owner: str, name: bytes) -> bytes:
        for anew in (False, True):
            for key in self.known.of(owner, anew=anew):
                if name_of(key) == name:
                    return key
        raise PermanentFailure("sealing_key_unknown")

    def as_it_lies(self, key: str) -> BinaryIO:
        """Without opening it."""
        return self.inner.open(key)

    def seal_again(self, key: str, *, sha256: str) -> str:
        """Seal with the company's newest key what lies plain or has an older one; gives the name of that key. Who reads
        it meanwhile reads on.

        Raises:
            PermanentFailure: ``sealed_file_damaged``: it is not what was stored (``sha256``), and is left as it is.
        """
        newest = self.known.of(owner_of(key), anew=True)[0]
        with self.inner.open(key) as file:
            if key_name(file) == name_of(newest):
                return name_of(newest).hex()
            content = self._opened(key, file)
            if _digest(content) != sha256:
                raise PermanentFailure("sealed_file_damaged")
            content.seek(0)
            self.inner.write(key, sealed_for(key, content, newest))
        return name_of(newest).hex()

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        with (
            self.open(key) as source,
            tempfile.NamedTemporaryFile(prefix=PLAIN, suffix=Path(key).suffix) as target,
        ):
            shutil.copyfileobj(source, target, CHUNK)
            target.flush()
            yield Path(target.name)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def check(self) -> None:
        self.inner.check()

    def keys(self, *, before: datetime, after: str = "") -> Iterator[str]:
        return self.inner.keys(before=before, after=after)


def _digest(file: BinaryIO) -> str:
    """SHA-256 of the rest (hashlib.file_digest would read a file's own descriptor, beside what is opened here)."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
