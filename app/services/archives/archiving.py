"""An archive place from its row: opened with what the installation allows, written to, read back, tried out."""

import io
import os
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.fernet import InvalidToken
from flask import current_app

from app.adapters.storage.archive_places import SECONDS, TRYING_SECONDS, BucketPlace, FolderPlace, Place
from app.adapters.storage.sealed_files import ENDING, SealedReader, sealed_size, unseal
from app.config import Settings
from app.errors import PermanentFailure, TemporaryFailure
from app.models import ArchivePlace, PlaceKind
from app.models.sealed import sealing_key
from tenants.models import Tenant

#: Where AWS's own S3 is, if no other server is named.
AWS = "https://s3.{region}.amazonaws.com"
DEFAULT_REGION = "us-east-1"


def sealing_keys() -> list[bytes]:
    """The first one seals, any of them unseals."""
    return list(current_app.config["SEALING_KEYS"])


def open_place(tenant: Tenant, place: ArchivePlace, *, trying: bool = False) -> Place:
    """Where a company's copies go. ``trying``: a person waits for it.

    Raises:
        PermanentFailure: ``archive_outside``, ``sealing_key_unknown``: its settings cannot be used.
    """
    settings: Settings = current_app.config["SETTINGS"]
    if place.kind == PlaceKind.FOLDER:
        return FolderPlace(settings.archives / tenant.slug, place.folder)
    try:
        secret = place.secret_key or ""
    except InvalidToken as error:
        raise PermanentFailure("sealing_key_unknown") from error
    region = place.region or DEFAULT_REGION
    return BucketPlace(
        bucket=place.bucket or "",
        prefix=place.folder,
        endpoint=place.endpoint or AWS.format(region=region),
        region=region,
        access_key=place.access_key or "",
        secret_key=secret,
        allowed=settings.private_hosts,
        seconds=TRYING_SECONDS if trying else SECONDS,
    )


def write_copy(target: Place, name: str, source: BinaryIO, size: int, *, encrypted: bool) -> str:
    """Copy a file, sealed or as it is; gives the name under which it lies."""
    if not encrypted:
        target.write(name, source, size)
        return name
    name += ENDING
    target.write(name, io.BufferedReader(SealedReader(source, sealing_keys()[0])), sealed_size(size))
    return name


def unsealed(source: BinaryIO, key: str | None = None) -> Iterator[bytes]:
    """A file of an archive as it was, with any of the installation's keys; a company's export with its key."""
    return unseal(source, [sealing_key(key)] if key else sealing_keys())


def try_place(target: Place, *, encrypted: bool) -> None:
    """Write a small object, read it back, compare, delete it: all that copies will need.

    Raises:
        TemporaryFailure, PermanentFailure: with what does not work.
    """
    content = b"Faxroom was here. " + os.urandom(16).hex().encode()
    name = write_copy(
        target, f"faxroom-test-{os.urandom(6).hex()}.txt", io.BytesIO(content), len(content), encrypted=encrypted
    )
    try:
        kept = b"".join(target.read(name))
        found = b"".join(unsealed(io.BytesIO(kept))) if encrypted else kept
        if found != content:
            raise TemporaryFailure("archive_changed")
    finally:
        target.delete(name)
