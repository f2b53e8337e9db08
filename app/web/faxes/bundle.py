"""Several faxes as one ZIP, written while it travels: no file and no archive is ever whole in memory or on a disk."""

import logging
import zipfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from flask import Flask
from flask_babel import gettext as _
from sqlalchemy.orm import defer, joinedload

from app.adapters.storage.sealed_storage import SealedStorage
from app.errors import PermanentFailure, TemporaryFailure
from app.models import Direction, Document, Fax
from app.models.faxes.moves import is_final
from app.rules.ground.access import get_visible_fax, visible_faxes
from app.rules.numbers.naming import document_name, report_name
from app.rules.words.sentences import in_language, removed_texts
from app.services.sending.reports import ensure_report
from app.web.site.zip_stream import Pipe
from tenants.db import db, reading_long, utc_now
from tenants.models import User

log = logging.getLogger(__name__)

MOST = 200
FAILURES = (PermanentFailure, TemporaryFailure)
CHUNK = 1 << 18
#: What a file's name and place are made of.
WITH_FILES = (
    joinedload(Fax.entity),
    joinedload(Fax.pdf).load_only(Document.storage_key),
    joinedload(Fax.report).load_only(Document.storage_key),
    defer(Fax.search_text),
)
#: Where the person reads what the archive does not hold.
NOTE = "READ-ME.txt"


@dataclass(frozen=True)
class Member:
    """One file of the archive: its name there, its place in the storage, and the fax's time where the company is."""

    name: str
    storage_key: str
    at: datetime


def stream_zip(app: Flask, *, user_id: int, language: str, fax_ids: Iterable[str]) -> Iterator[bytes]:
    """The documents of the faxes and, of sent ones that are over, the reports, which are drawn where they are missing.

    The request is over when this begins: it has a context and a session of its own. User and fax are looked up again
    when the fax's turn has come, and no transaction is open while bytes travel.
    """
    with app.app_context(), in_language(language):
        yield from _stream(user_id, fax_ids, app.extensions["storage"])


def _stream(user_id: int, fax_ids: Iterable[str], storage: SealedStorage) -> Iterator[bytes]:
    pipe = Pipe()
    names: set[str] = set()
    missing: list[str] = []
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for fax_id in fax_ids:
            members, notes = members_of(user_id, fax_id)
            missing += notes
            for member in members:
                if source := open_member(storage, member, missing):
                    yield from _copy(source, archive, _entry(_unique(member.name, names), member.at), pipe)
        if missing:
            archive.writestr(_entry(NOTE, _now(user_id)), "\r\n".join([_("Not in this archive:"), *missing, ""]))
    yield pipe.drain()


def _copy(source: BinaryIO, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, pipe: Pipe) -> Iterator[bytes]:
    with source, archive.open(entry, "w") as target:
        while chunk := source.read(CHUNK):
            target.write(chunk)
            yield pipe.drain()


def _entry(name: str, at: datetime) -> zipfile.ZipInfo:
    """Dated as the clock on the wall showed it: an archive knows no zones."""
    return zipfile.ZipInfo(name, at.timetuple()[:6])


def _now(user_id: int) -> datetime:
    """Where the company is. Ends its transaction."""
    zone = db.session.get_one(User, user_id).company.zone
    db.session.rollback()
    return utc_now().astimezone(zone)


def members_of(user_id: int, fax_id: str) -> tuple[list[Member], list[str]]:
    """What there is of a fax, and what is missing in words. Ends its transaction."""
    user = db.session.get_one(User, user_id)
    fax = get_visible_fax(db.session, user, fax_id)
    if fax is None:
        return [], []  # it was there when the download began
    members, notes = _pages_of(fax)
    if _is_reported(fax):
        title = report_name(fax)
        try:
            members.append(_member(title, ensure_report(db.session, fax), fax))
        except FAILURES:
            log.exception("%s is not in a download", title)
            notes.append(_("%(name)s: could not be drawn. Try again later.", name=title))
    db.session.rollback()
    return members, notes


def members_at_hand(user_id: int, fax_ids: Collection[str]) -> dict[str, tuple[list[Member], list[str]]]:
    """The same of many faxes in one question, but of those only for which nothing has to be drawn."""
    with reading_long():
        user = db.session.get_one(User, user_id)
        query = visible_faxes(user).where(Fax.id.in_(fax_ids)).options(*WITH_FILES)
        faxes = db.session.scalars(query).all()
        found = {fax.id: _whole(fax) for fax in faxes if fax.report or not _is_reported(fax)}
        db.session.expunge_all()
        db.session.rollback()
    return found


def open_member(storage: SealedStorage, member: Member, missing: list[str]) -> BinaryIO | None:
    """What a download holds of it; where it cannot be read, a line for the note at the end."""
    try:
        return storage.open(member.storage_key, whole=True)
    except FAILURES:
        log.exception("%s is not in a download", member.name)
        missing.append(_("%(name)s: could not be read. Try again later.", name=member.name))
        return None


def _whole(fax: Fax) -> tuple[list[Member], list[str]]:
    members, notes = _pages_of(fax)
    if fax.report and _is_reported(fax):
        members.append(_member(report_name(fax), fax.report, fax))
    return members, notes


def _member(name: str, document: Document, fax: Fax) -> Member:
    return Member(name, document.storage_key, fax.created_at.astimezone(fax.tenant.zone))


def _pages_of(fax: Fax) -> tuple[list[Member], list[str]]:
    name = document_name(fax)
    if fax.pdf:
        return [_member(name, fax.pdf, fax)], []
    if fax.files_removed_at:
        return [], [f"{name}: {text}" for text in removed_texts(fax)[:1]]
    return [], [_("%(name)s: this fax has no pages.", name=name)]


def _is_reported(fax: Fax) -> bool:
    return fax.direction == Direction.SENT and is_final(fax.status) and fax.report_removed_at is None


def _unique(name: str, taken: set[str]) -> str:
    """The name, or with (2), (3)… before its ending."""
    stem, dot, ending = name.rpartition(".")
    candidate, n = name, 1
    while candidate.casefold() in taken:
        n += 1
        candidate = f"{stem} ({n}){dot}{ending}"
    taken.add(candidate.casefold())
    return candidate
