"""Places outside that keep copies: a folder of this machine, a bucket of an S3-compatible server.

A bucket is reached by signed addresses (obstore signs them, Signature Version 4) through a client of our own, so that
the connection goes to the very address that was judged (:mod:`app.adapters.servers.hosts`) and follows no redirect.
"""

import re
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Literal, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.adapters.servers.hosts import addresses_of
from app.adapters.servers.within import within
from app.adapters.storage.storage import FolderStorage
from app.errors import PermanentFailure, TemporaryFailure

CHUNK = 256 * 1024
SIGNED_FOR = timedelta(minutes=15)
SECONDS = httpx.Timeout(60, connect=15)
#: All that a server says to one request, headers included. Only what was written for a trial is read back.
MOST_ANSWER = 1024 * 1024
#: Bytes a second that a copy goes out with, at least.
SLOWEST = 32 * 1024
#: For a person who tries a place: they look at an empty page meanwhile.
TRYING_SECONDS = httpx.Timeout(4, connect=2)
#: What S3's own word of an error means for a person; anything else is told as it is.
CODES = {
    "AccessDenied": "archive_refused",
    "InvalidAccessKeyId": "archive_refused",
    "SignatureDoesNotMatch": "archive_refused",
    "NoSuchBucket": "archive_no_bucket",
    "RequestTimeTooSkewed": "archive_clock",
}
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")


class Place(Protocol):
    """Names are ours (``sent/2026/11/F0….pdf``). Each act raises TemporaryFailure or PermanentFailure with a code that
    a person can do something about."""

    def write(self, name: str, source: BinaryIO, size: int) -> None:
        """Store ``size`` bytes under ``name``, in place of what was there, and make sure that they are all there."""

    def read(self, name: str) -> Iterator[bytes]:
        """What lies there."""

    def delete(self, name: str) -> None:
        """Remove it; what is not there is removed already."""


class FolderPlace:
    """A folder below ``root``, which the operator allows; nothing outside of it is ever touched."""

    def __init__(self, root: Path, folder: str) -> None:
        self.root, self.folder = root.resolve(), (root / folder).resolve()
        if not self.folder.is_relative_to(self.root):
            raise PermanentFailure("archive_outside")
        self.storage = FolderStorage(self.folder)

    def _path(self, name: str) -> Path:
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder):
            raise PermanentFailure("archive_outside")
        return path

    def write(self, name: str, source: BinaryIO, size: int) -> None:
        path = self._path(name)
        try:
            self.storage.write(name, source)
            written = path.stat().st_size
        except TemporaryFailure as failure:
            raise TemporaryFailure("archive_down", reason=failure.values.get("reason", "")) from failure
        except OSError as error:
            raise TemporaryFailure("archive_down", reason=error.strerror or str(error)) from error
        if written != size:
            raise TemporaryFailure("archive_short")

    def read(self, name: str) -> Iterator[bytes]:
        try:
            with self._path(name).open("rb") as source:
                while chunk := source.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise TemporaryFailure("archive_down", reason=error.strerror or str(error)) from error

    def delete(self, name: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise TemporaryFailure("archive_down", reason=error.strerror or str(error)) from error


class BucketPlace:
    """Objects of one bucket below ``prefix``. The bucket stands in the path, as every S3-compatible server has it."""

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str,
        endpoint: str,
        region: str,
        access_key: str,
        secret_key: str,
        allowed: Iterable[str] = (),
        seconds: httpx.Timeout = SECONDS,
    ) -> None:
        self.prefix, self.allowed, self.seconds = prefix, tuple(allowed), seconds
        self.store = S3Store(
            bucket,
            endpoint=endpoint,
            region=region,
            access_key_id=access_key,
            secret_access_key=secret_key,
            virtual_hosted_style_request=False,
            client_options={"allow_http": endpoint.startswith("http://")},
        )

    def write(self, name: str, source: BinaryIO, size: int) -> None:
        body = iter(lambda: source.read(CHUNK), b"")
        self._ask("PUT", name, headers={"Content-Length": str(size)}, content=body)
        answer = self._ask("HEAD", name)
        if answer.headers.get("Content-Length") != str(size):
            raise TemporaryFailure("archive_short")

    def read(self, name: str) -> Iterator[bytes]:
        with tempfile.TemporaryFile() as kept:
            self._ask("GET", name, into=kept)
            kept.seek(0)
            while chunk := kept.read(CHUNK):
                yield chunk

    def delete(self, name: str) -> None:
        self._ask("DELETE", name)

    def _ask(
        self,
        method: Literal["DELETE", "GET", "HEAD", "PUT"],
        name: str,
        *,
        headers: dict[str, str] | None = None,
        content: Iterable[bytes] | None = None,
        into: BinaryIO | None = None,
    ) -> httpx.Response:
        try:
            url = obstore.sign(self.store, method, f"{self.prefix}/{name}".lstrip("/"), SIGNED_FOR)
        except (BaseError, ValueError) as error:
            raise PermanentFailure("archive_settings", reason=str(error)[:100]) from error
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = addresses_of(host, port, allowed=self.allowed)[0]
        target = urlunsplit(parts._replace(netloc=f"[{address}]:{port}" if ":" in address else f"{address}:{port}"))
        sent = int((headers or {}).get("Content-Length", 0))
        try:
            with httpx.Client(transport=within(self._seconds_for(sent), MOST_ANSWER), timeout=self.seconds) as client:
                request = client.build_request(
                    method,
                    target,
                    headers={"Host": parts.netloc, "Accept-Encoding": "identity", **(headers or {})},
                    content=content,
                    extensions={"sni_hostname": host},
                )
                answer = client.send(request, stream=True)
                try:
                    return self._judged(answer, method, into)
                finally:
                    answer.close()
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise TemporaryFailure("archive_down", reason=str(error)[:100] or type(error).__name__) from error

    def _seconds_for(self, size: int) -> float:
        """In which all of a request and its answer has to be over."""
        return 2 * (self.seconds.read or 0) + size / SLOWEST

    @staticmethod
    def _judged(answer: httpx.Response, method: str, into: BinaryIO | None) -> httpx.Response:
        if answer.is_success:
            if into:
                for chunk in answer.iter_raw(CHUNK):
                    into.write(chunk)
            return answer
        if method == "DELETE" and answer.status_code == 404:
            return answer
        body = next(answer.iter_raw(4096), b"")
        found = _CODE.search(body)
        word = found[1].decode() if found else f"HTTP {answer.status_code}"
        raise TemporaryFailure(CODES.get(word, "archive_answered"), answer=word)
