"""Documents that arrive: judged by content, stored durably, entered as a row."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO

from flask import current_app
from sqlalchemy.orm import Session

from app.adapters.confined.isolation import open_workshop
from app.adapters.documents.documents import inspect
from app.adapters.storage.sealed_storage import SealedStorage
from app.adapters.storage.spool_files import NotLeft, open_left
from app.errors import Refused
from app.models import Document, DocumentKind
from app.rules.ground.quotas import hold_upload
from app.services.documents.disk_room import hold_room
from tenants.connections import only_reading
from tenants.db import end_reading, new_ulid, utc_now
from tenants.models import User
from tenants.scope import get_owned


def storage() -> SealedStorage:
    sealed: SealedStorage = current_app.extensions["storage"]
    return sealed


def expect_upload() -> None:
    """Somebody is filling in a form: have ready what will judge the file."""
    open_workshop()


def take_upload(
    session: Session,
    *,
    stream: IO[bytes],
    filename: str,
    tenant_id: int,
    user_id: int | None,
    judged: Callable[[], None] | None = None,
) -> Document:
    """Take what a person gives us as a draft: a source document that no fax refers to yet. Commits. ``judged`` is
    called before it is stored.

    Raises:
        Refused: with the reason, ``field="document"``, or ``no_room``; nothing is kept. Also for who may not send from
            any line or has used up a quota (:mod:`app.rules.ground.quotas`).
    """
    hold_room()
    with spooled(stream) as path:
        document = take_source(session, path, filename=filename, tenant_id=tenant_id, user_id=user_id, judged=judged)
    session.commit()
    return document


def take_source(
    session: Session,
    path: Path,
    *,
    filename: str,
    tenant_id: int,
    user_id: int | None,
    judged: Callable[[], None] | None = None,
) -> Document:
    """Judge a person's file and store it; the caller commits. Nothing is locked while it is judged.

    Raises:
        Refused: as :func:`take_upload`.
    """
    if user_id:
        with only_reading():
            try:
                hold_upload(session, session.get_one(User, user_id), path.stat().st_size)
            except BaseException:
                session.rollback()
                raise
            end_reading(session)
    try:
        facts = inspect(path, name=filename)
    except Refused as refusal:
        raise Refused(refusal.code, field="document", **refusal.values) from refusal
    if judged:
        judged()
    name = clean_name(filename) or f"document.{facts.kind}"
    document = store_document(
        session, path, tenant_id=tenant_id, kind=DocumentKind.SOURCE, file_type=facts.kind, name=name
    )
    document.pages, document.user_id, document.warnings = facts.pages, user_id, facts.warnings or None
    return document


@contextmanager
def spooled(stream: IO[bytes]) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="faxroom-upload-") as target:
        shutil.copyfileobj(stream, target)
        target.flush()
        yield Path(target.name)


def clean_name(filename: str) -> str:
    """The last part of a file name without control characters: a stranger's text, for display only."""
    name = os.path.basename(filename.replace("\\", "/"))  # noqa: PTH119 - not a path of this machine
    return "".join(character for character in name if character.isprintable()).strip()[:200]


def store_document(
    session: Session,
    path: Path,
    *,
    tenant_id: int,
    kind: DocumentKind,
    file_type: str,
    name: str,
    pages: int | None = None,
) -> Document:
    """Write a file to the storage and add its row; the caller commits. The file is durable before the row is."""
    document_id = new_ulid()
    key = f"{tenant_id}/{utc_now():%Y/%m}/{document_id}.{file_type}"
    with path.open("rb") as source:
        digest = _digest(source)
        source.seek(0)
        sealed_with = storage().write(key, source)
    document = Document(id=document_id, tenant_id=tenant_id, kind=kind, type=file_type, name=name, storage_key=key)
    document.sha256, document.size, document.pages = digest, path.stat().st_size, pages
    document.sealed_with = sealed_with
    session.add(document)
    return document


def is_stored_as(document: Document | None, path: Path) -> bool:
    """Whether the document was made of this very file of the spool, so that the file may go."""
    try:
        with open_left(path) as source:
            return document is not None and document.sha256 == _digest(source)
    except NotLeft:
        return False


def _digest(source: BufferedReader) -> str:
    return hashlib.file_digest(source, "sha256").hexdigest()


def get_draft(session: Session, document_id: str, user: User) -> Document | None:
    """A source document that this very user uploaded, for the send form."""
    document = get_owned(session, Document, document_id, user.tenant_id) if user.tenant_id else None
    mine = document is not None and document.user_id == user.id and document.kind == DocumentKind.SOURCE
    return document if mine else None
