"""The fax log as files, for administrators: what the fax module's filters find, as CSV or with all documents as ZIP.

Both are made while they travel. Where one breaks off, the next begins with a fax's number.
"""

import io
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, abort, make_response, redirect, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response

from app.adapters.storage.sealed_storage import SealedStorage
from app.application import this_application
from app.models import Direction
from app.rules.ground.access import visible_lines
from app.rules.log.log import Filters, Place
from app.rules.log.log_rows import place_of_number, read_ids, read_rows
from app.rules.words.sentences import in_language, sentence, status_label
from app.web.faxes.bundle import NOTE, Member, members_at_hand, members_of, open_member
from app.web.faxes.finder import Finder, read_finder
from app.web.files.csv_export import Cell, csv_response
from app.web.site.administration import administrators_only, audit_act
from app.web.site.errors import busy
from app.web.site.guard import writes
from app.web.site.language import language
from app.web.site.thread_limits import Turn, streamed
from app.web.site.thread_limits import downloads as turns
from app.web.site.urls import url_with
from app.web.site.zip_stream import ZipStream
from app.whole_numbers import read_whole
from tenants.db import db, only_reading, utc_now
from tenants.models import Tenant, User

blueprint = Blueprint("downloads", __name__)
blueprint.before_request(administrators_only)

#: Faxes of a ZIP whose files are looked up in one question.
AT_A_TIME = 50

HEADER = (
    _l("No."),
    _l("Direction"),
    _l("Status"),
    _l("Submitted or received"),
    _l("Finished"),
    _l("Line"),
    _l("Extension"),
    _l("Own number"),
    _l("Other number"),
    _l("Sender's fax ID"),
    _l("Sent by"),
    _l("Sender's address"),
    _l("Document"),
    _l("Pages"),
    _l("Pages confirmed"),
    _l("Attempts"),
    _l("Cause"),
    "ID",
)
DIRECTIONS = {Direction.SENT: _l("Sent"), Direction.RECEIVED: _l("Received")}


def _asked() -> tuple[Finder, Place | None, str | None]:
    """The filters, the fax to begin with, and what is wrong with its number."""
    direction = Direction.RECEIVED if request.args.get("direction") == Direction.RECEIVED else Direction.SENT
    lines = visible_lines(db.session, current_user, direction)
    finder = read_finder(request.args, [line.entity for line in lines])
    text = request.args.get("from", "").strip().lstrip("#")[:30]
    if not text:
        return finder, None, None
    number = read_whole(text) or 0
    place = place_of_number(db.session, current_user.company_id, direction, number)
    if place is None:
        return finder, None, _("This list has no fax with the number %(typed)s. Check it.", typed=text)
    return finder, place, None


@blueprint.get("/faxes/download")
def downloads() -> Response:
    """What can be downloaded with these filters, and from which fax on."""
    finder, _place, problem = _asked()
    values = {"finder": finder, "problem": problem, "begin": request.args.get("from", "")[:30]}
    return make_response(render_template("files/downloads.html", **values), 422 if problem else 200)


def _ready(kind: str) -> tuple[Finder, Place | None, Turn]:
    """A download with a filter that cannot be read would hold something else than was meant: it is not begun, and the
    page says what to change."""
    finder, place, problem = _asked()
    if problem or finder.problems:
        abort(redirect(_page_again(finder), 303))
    turn = turns.take(current_user.tenant_id)
    if turn is None:
        abort(busy())
    try:
        audit_act("log.downloaded", kind, after=_noted(finder))
        db.session.commit()
    except Exception:
        turn.end()
        raise
    return finder, place, turn


def _page_again(finder: Finder) -> str:
    """The page with everything as it was asked."""
    asked = finder.typed | {"from": request.args.get("from", "")[:30]}
    typed = {name: text for name, text in asked.items() if text}
    return url_with("downloads.downloads", {"direction": finder.direction}, typed)


def _noted(finder: Finder) -> dict[str, str]:
    """What the audit log says of a download: the filters that hold."""
    noted = {"direction": str(finder.direction)} | finder.held
    if finder.entity:
        noted["entity"] = finder.entity.name
    begun = request.args.get("from", "").strip()
    return noted | ({"from": begun} if begun else {})


def _name(direction: str, ending: str) -> str:
    zone = current_user.company.zone
    return f"faxes_{direction}_{utc_now().astimezone(zone):%Y-%m-%d_%H_%M_%S}.{ending}"


# ---- CSV


@blueprint.get("/faxes/log.csv")
@writes
def log_csv() -> Response:
    finder, place, turn = _ready("CSV")
    header = [str(title) for title in HEADER]
    rows = csv_rows(this_application(), current_user.id, language(), finder.filters, place)
    return streamed(csv_response(_name(finder.direction, "csv"), header, rows), turn)


def csv_rows(app: Flask, user_id: int, reader: str, filters: Filters, place: Place | None) -> Iterator[Iterable[Cell]]:
    """The request is over when this begins: it has a context and a session of its own."""
    with app.app_context(), in_language(reader):
        tenant = _administered(user_id)
        if tenant is None:
            return
        told = _Told(tenant.zone, str(DIRECTIONS[filters.direction]))
        for batch in read_rows(db.session, tenant, filters, begin_with=place):
            yield from map(told.row, batch)
            if _administered(user_id) is None:
                return


def _administered(user_id: int) -> Tenant | None:
    """The company of somebody who still administers it. Ends the transaction."""
    with only_reading():
        user = db.session.get(User, user_id, populate_existing=True)
        tenant = user.tenant if user and user.is_active and user.is_admin else None
        db.session.expunge_all()
        db.session.rollback()
    return tenant


class _Told:
    """Rows of :data:`app.rules.log.log_rows.COLUMNS` in the words of :data:`HEADER`. What many rows share is worked
    out once."""

    def __init__(self, zone: ZoneInfo, direction: str) -> None:
        self.zone, self.direction = zone, direction
        self.status = lru_cache(maxsize=None)(status_label)
        self.plain_cause = lru_cache(maxsize=None)(sentence)

    def row(self, fax: Any) -> tuple[Cell, ...]:
        return (
            fax.number,
            self.direction,
            self.status(fax.status),
            self._at(fax.created_at),
            self._at(fax.finished_at),
            fax.entity,
            _as_text(fax.extension),
            _as_text(fax.own_number),
            _as_text(fax.remote_number),
            fax.remote_station_id,
            fax.sender,
            fax.sender_address,
            fax.document,
            fax.pages,
            fax.pages_done,
            fax.attempts,
            self._cause(fax.cause, fax.cause_values),
            fax.id,
        )

    def _at(self, when: datetime | None) -> datetime | None:
        return when.astimezone(self.zone) if when else None

    def _cause(self, cause: str | None, values: dict[str, Any] | None) -> str:
        if not cause:
            return ""
        return sentence(cause, **values) if values else self.plain_cause(cause)


def _as_text(number: str | None) -> str | None:
    """A number that is no quantity: a spreadsheet would take its leading 0 away, or write a long one as 3,9E+11. One
    with a + is marked by the writer itself."""
    if number and number.isdigit() and (number[0] == "0" or len(number) > 10):
        return f"'{number}"
    return number


# ---- ZIP


@blueprint.get("/faxes/log.zip")
@writes
def log_zip() -> Response:
    finder, place, turn = _ready("ZIP")
    body = zip_chunks(this_application(), current_user.id, language(), finder.filters, place)
    response = streamed(Response(body, mimetype="application/zip"), turn)
    response.headers.set("Content-Disposition", "attachment", filename=_name(finder.direction, "zip"))
    return response


def zip_chunks(app: Flask, user_id: int, reader: str, filters: Filters, place: Place | None) -> Iterator[bytes]:
    """Documents and reports in folders by month. What is missing stands in the note at the end."""
    with app.app_context(), in_language(reader), tempfile.TemporaryFile() as notes:
        tenant = _administered(user_id)
        if tenant is None:
            return
        archive = ZipStream()
        ids = read_ids(db.session, tenant, filters, begin_with=place)
        while some := list(islice(ids, AT_A_TIME)):
            if _administered(user_id) is None:
                return  # cut off: without its directory it is no archive
            at_hand = members_at_hand(user_id, some)
            for fax_id in some:
                members, missing = at_hand.get(fax_id) or members_of(user_id, fax_id)
                yield from _add(archive, members, missing, app.extensions["storage"], notes)
        if notes.tell():
            notes.seek(0)
            head = f"{_('Not in this archive:')}\r\n".encode()
            yield from archive.add(NOTE, io.BufferedReader(_Chain(head, notes)), utc_now().astimezone(tenant.zone))
        yield from archive.close()


def _add(
    archive: ZipStream, members: list[Member], missing: list[str], storage: SealedStorage, notes: BinaryIO
) -> Iterator[bytes]:
    for member in members:
        if source := open_member(storage, member, missing):
            with source:
                yield from archive.add(f"{_month(member.name)}/{member.name}", source, member.at)
    for text in missing:
        notes.write(f"{text}\r\n".encode())


def _month(name: str) -> str:
    """2026-11 of ``F…_T…_2026-11-23_…``: no folder with a million files."""
    return name.split("_")[2][:7]


class _Chain(io.RawIOBase):
    """A few bytes, then a file."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self.head, self.rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        data = self.head[: len(target)] if self.head else self.rest.read(len(target))
        self.head = self.head[len(data) :] if self.head else b""
        target[: len(data)] = data
        return len(data)
