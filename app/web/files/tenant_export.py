"""Everything that a company has as one ZIP, written while it travels: rows as CSV and JSON lines, and the documents."""

import io
import json
import logging
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Flask
from flask_babel import gettext as _

from app.adapters.storage.sealed_files import seal
from app.adapters.storage.sealed_storage import SealedStorage
from app.errors import PermanentFailure, TemporaryFailure
from app.rules.operator.exporting import columns_of, documents_of, exported_tables, rows_of
from app.rules.words.sentences import in_language
from app.web.files.csv_export import csv_chunks
from app.web.site.zip_stream import Pipe
from tenants.db import db
from tenants.sealed import sealing_key

log = logging.getLogger(__name__)

FAILURES = (PermanentFailure, TemporaryFailure)
CHUNK = 1 << 18
NOTE = "READ-ME.txt"


def stream_tenant(app: Flask, *, tenant_id: int, language: str) -> Iterator[bytes]:
    """The request is over when this begins: it has a context and a session of its own, and no transaction is open
    while bytes travel."""
    with app.app_context(), in_language(language):
        yield from _stream(tenant_id, app.extensions["storage"])


def sealed_export(chunks: Iterator[bytes], key: str) -> Iterator[bytes]:
    """The same for nobody but who has the company's key (:mod:`app.adapters.storage.sealed_files`)."""
    yield from seal(io.BufferedReader(_Chunks(chunks), CHUNK), sealing_key(key))


class _Chunks(io.RawIOBase):
    """What is made piece by piece as something to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks, self.rest = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self.rest:
            piece = next(self.chunks, None)
            if piece is None:
                return 0
            self.rest = piece
        count = min(len(target), len(self.rest))
        target[:count], self.rest = self.rest[:count], self.rest[count:]
        return count


def _stream(tenant_id: int, storage: SealedStorage) -> Iterator[bytes]:
    pipe, missing = Pipe(), []
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for table in exported_tables(tenant_id):
            names = columns_of(table)
            cells = ([_cell(row[name]) for name in names] for row in rows_of(db.session, table, tenant_id))
            yield from _write(archive, f"rows/{table.name}.csv", csv_chunks(names, cells), pipe)
            yield from _write(archive, f"rows/{table.name}.jsonl", _lines(rows_of(db.session, table, tenant_id)), pipe)
        for document_id, kind, key in documents_of(db.session, tenant_id):
            name = f"documents/{document_id}.{kind}"
            try:
                source = storage.open(key, whole=True)
            except FAILURES:
                log.exception("%s is not in an export", name)
                missing.append(name)
                continue
            with source:
                yield from _write(archive, name, iter(lambda: source.read(CHUNK), b""), pipe)  # noqa: B023
        archive.writestr(NOTE, _note(missing))
    yield pipe.drain()


def _write(archive: zipfile.ZipFile, name: str, chunks: Iterable[bytes], pipe: Pipe) -> Iterator[bytes]:
    with archive.open(name, "w", force_zip64=True) as target:
        for chunk in chunks:
            target.write(chunk)
            yield pipe.drain()


def _cell(value: object) -> str | int | float | None:
    if value is None or isinstance(value, (str, int, float)):
        return value
    return json.dumps(value, ensure_ascii=False)


def _lines(rows: Iterable[dict[str, object]]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _note(missing: list[str]) -> str:
    lines = [
        _("rows: each table as CSV and as JSON, one line per row."),
        _("documents: each file under its id; rows/document.csv has its name, rows/fax.csv says whose it is."),
        _("Passwords, keys and PINs are not included."),
    ]
    if missing:
        lines += ["", _("These files could not be read:"), *missing]
    return "\r\n".join([*lines, ""])
