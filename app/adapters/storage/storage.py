"""Where documents are kept: a folder (``file:///dir``) or S3-compatible objects (``s3://bucket/prefix``).

What :meth:`Storage.write` has returned from survives a power cut: temporary file, fsync, rename, fsync of the folder.
"""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, BinaryIO, Protocol, cast
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore, from_url

from app.errors import PermanentFailure, TemporaryFailure

CHUNK = 1024 * 1024
#: Objects that a server names at a time.
LISTED = 1000

#: Of an S3-compatible server, in seconds. Somebody may look at an empty page: a server that is silent, at the beginning
#: or in the middle of an answer, is given up soon; one that goes on answering may take its time.
CONNECT_SECONDS, SILENT_SECONDS, READING_SECONDS = 2, 3.5, 300
#: A file is taken when it is whole: a small one soon, of a large one each part within this.
WRITING_SECONDS, PART_SECONDS = 4, 60
SMALL = 1024 * 1024
#: What fails at once is tried again, within so long.
TRIES, TRYING_SECONDS = 5, 3
#: No file of ours is larger (:data:`app.adapters.confined.isolation.FILE_BYTES`).
MOST_BYTES = 1024**3


class Storage(Protocol):
    """Keys are ours (``3/2026/11/01J….pdf``), never a person's file name."""

    def write(self, key: str, source: BinaryIO) -> None:
        """Store the rest of ``source`` under ``key``, durably."""

    def open(self, key: str) -> BinaryIO:
        """Read what was stored.

        Raises:
            PermanentFailure: ``document_missing_in_storage``: the storage is there, and this is not in it.
            TemporaryFailure: ``storage_down``: nobody can tell at the moment.
        """

    def local_copy(self, key: str) -> AbstractContextManager[Path]:
        """A file on this machine with the content, for programs that want a path. Not to be written to."""

    def delete(self, key: str) -> None:
        """Remove it; what is not there is removed already."""

    def check(self) -> None:
        """TemporaryFailure("storage_down") if nothing can be written."""

    def keys(self, *, before: datetime, after: str = "") -> Iterator[str]:
        """Everything that was written before that time, also what a kill left half written, in the storage's own order;
        of that only what comes behind a key."""


def storage_from_url(url: str) -> Storage:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FolderStorage(Path(parts.path))
    return ObjectStorage(url)


class FolderStorage:
    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise PermanentFailure("document_missing_in_storage", key=key)
        return path

    def write(self, key: str, source: BinaryIO) -> None:
        path = self._path(key)
        new = path.with_name(f".new-{path.name}-{secrets.token_hex(4)}")
        try:
            self._make_folders(path.parent)
            with new.open("xb") as target:
                shutil.copyfileobj(source, target, CHUNK)
                self._give_to_owner(target.fileno())
                target.flush()
                os.fsync(target.fileno())
            new.rename(path)
            sync_folder(path.parent)
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise TemporaryFailure("storage_down", reason=str(error)) from error

    def _make_folders(self, folder: Path) -> None:
        if not folder.is_dir():
            if folder != self.root:
                self._make_folders(folder.parent)
            folder.mkdir(exist_ok=True, parents=folder == self.root)
            self._give_to_owner(folder)

    def _give_to_owner(self, made: int | Path) -> None:
        """What root makes on a command line is the portal's, whose the storage is (bin/lib/accounts.py)."""
        if os.geteuid() == 0:
            owner = self.root.stat()
            os.chown(made, owner.st_uid, owner.st_gid)

    def open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except FileNotFoundError as error:
            raise self._absence(key) from error
        except OSError as error:
            raise TemporaryFailure("storage_down", reason=str(error)) from error

    def _absence(self, key: str) -> PermanentFailure | TemporaryFailure:
        """Why a file is not there. Below a root without anything no document was ever kept: its volume is not mounted,
        and nothing may be given up for that."""
        try:
            with os.scandir(self.root) as entries:
                is_empty = next(entries, None) is None
        except OSError as error:
            return TemporaryFailure("storage_down", reason=str(error))
        if is_empty:
            return TemporaryFailure("storage_down", reason=f"{self.root} is empty")
        return PermanentFailure("document_missing_in_storage", key=key)

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        self.open(key).close()
        yield self._path(key)

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def keys(self, *, before: datetime, after: str = "") -> Iterator[str]:
        return _files(self.root, after.split("/") if after else [], before.timestamp())

    def check(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as probe:
                probe.write(b"faxroom")
        except OSError as error:
            raise TemporaryFailure("storage_down", reason=str(error)) from error


def _files(folder: Path, after: list[str], before: float) -> Iterator[str]:
    """Paths below the folder, by name. Links are not followed: what they lead to is not ours."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return
    for name in names:
        if after and name < after[0]:
            continue
        begun = bool(after) and name == after[0]
        try:
            facts = (folder / name).lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(facts.st_mode):
            yield from (f"{name}/{rest}" for rest in _files(folder / name, after[1:] if begun else [], before))
        elif stat.S_ISREG(facts.st_mode) and facts.st_mtime < before and not begun:
            yield name


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _store(url: str, **seconds: float) -> ObjectStore:
    limits = {name: timedelta(seconds=value) for name, value in {"connect_timeout": CONNECT_SECONDS, **seconds}.items()}
    retries = {"max_retries": TRIES, "retry_timeout": timedelta(seconds=TRYING_SECONDS)}
    options = _from_environment() | limits
    store: ObjectStore = from_url(url, client_options=options, retry_config=retries)  # type: ignore[call-overload]  # which options there are depends on the kind of store, which the URL says
    return store


def _from_environment() -> dict[str, object]:
    """Options of the connection among the AWS_* variables: where some are given here, obstore reads none there."""
    switches = {name: os.environ.get(f"AWS_{name.upper()}") for name in ("allow_http", "allow_invalid_certificates")}
    found: dict[str, object] = {
        name: value.lower() in ("1", "true", "yes", "y", "on") for name, value in switches.items() if value
    }
    if proxy := os.environ.get("AWS_PROXY_URL"):
        found["proxy_url"] = proxy
    return found


def _left(source: IO[bytes]) -> int:
    """How many bytes are still to be read."""
    here = source.tell()
    end = source.seek(0, os.SEEK_END)
    source.seek(here)
    return end - here


class ObjectStorage:
    """S3-compatible, through obstore; credentials and endpoint from the usual AWS_* variables."""

    def __init__(self, url: str) -> None:
        if url.startswith("memory:"):  # for tests: it is nowhere, and waits for nobody
            self.store = self.brief = self.large = from_url(url)
            return
        self.store = _store(url, timeout=READING_SECONDS, read_timeout=SILENT_SECONDS)
        self.brief = _store(url, timeout=WRITING_SECONDS)
        self.large = _store(url, timeout=PART_SECONDS)

    def write(self, key: str, source: BinaryIO) -> None:
        """Of a large file it is asked first whether anybody is there."""
        if not source.seekable():  # it is made while it is read, and a server is told first how much comes
            with tempfile.SpooledTemporaryFile(max_size=8 * CHUNK) as whole:
                shutil.copyfileobj(source, whole, CHUNK)
                whole.seek(0)
                self._write(key, whole)
            return
        self._write(key, source)

    def _write(self, key: str, source: IO[bytes]) -> None:
        is_small = _left(source) <= SMALL
        if not is_small:
            self.check()
        try:
            obstore.put(self.brief if is_small else self.large, key, source)
        except BaseError as error:
            raise TemporaryFailure("storage_down", reason=str(error)) from error

    def open(self, key: str) -> BinaryIO:
        target = tempfile.SpooledTemporaryFile(max_size=8 * CHUNK)  # noqa: SIM115 - the caller closes it
        try:
            for chunk in obstore.get(self.store, key).stream(min_chunk_size=CHUNK):
                target.write(chunk)
                if target.tell() > MOST_BYTES:
                    target.close()
                    raise TemporaryFailure("storage_down", reason="an object is larger than any that was written")
        except (NotFoundError, FileNotFoundError) as error:
            raise PermanentFailure("document_missing_in_storage", key=key) from error
        except BaseError as error:
            raise TemporaryFailure("storage_down", reason=str(error)) from error
        target.seek(0)
        return cast("BinaryIO", target)

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(suffix=Path(key).suffix) as target, self.open(key) as source:
            shutil.copyfileobj(source, target, CHUNK)
            target.flush()
            yield Path(target.name)

    def delete(self, key: str) -> None:
        try:
            obstore.delete(self.store, key)
        except (NotFoundError, FileNotFoundError):
            return
        except BaseError as error:
            raise TemporaryFailure("storage_down", reason=str(error)) from error

    def keys(self, *, before: datetime, after: str = "") -> Iterator[str]:
        """What a kill left half written is not among them: the server has it as an upload that never ended."""
        try:
            for some in obstore.list(self.store, offset=after or None, chunk_size=LISTED):
                yield from (facts["path"] for facts in some if facts["last_modified"] < before)
        except BaseError as error:
            raise TemporaryFailure("storage_down", reason=str(error)) from error

    def check(self) -> None:
        try:
            obstore.head(self.store, "faxroom-health")
        except (NotFoundError, FileNotFoundError):
            return
        except BaseError as error:
            raise TemporaryFailure("storage_down", reason=str(error)) from error
