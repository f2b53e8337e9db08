"""The audit log for a tenant's administrators: who did what to which thing, from where, before and after."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, render_template
from flask_babel import gettext as _
from flask_login import current_user
from htmx_flask import request
from werkzeug.wrappers import Response

from app.application import this_application
from app.models import AuditEvent
from app.rules.audit.audit_log import (
    AuditEntry,
    AuditFilters,
    Place,
    all_events,
    differences,
    people_of_log,
    read_events,
    with_people,
)
from app.rules.ground.days import day_of
from app.rules.words.sentences import in_language
from app.web.audit.audit_words import THINGS, action_text, field_text, value_text
from app.web.faxes.finder import read_day
from app.web.files.csv_export import Cell, csv_response
from app.web.site.administration import administrators_only, audit_act
from app.web.site.errors import busy
from app.web.site.guard import writes
from app.web.site.language import language
from app.web.site.thread_limits import downloads, streamed
from app.web.site.urls import url_with
from app.whole_numbers import read_whole
from tenants.db import db, utc_now
from tenants.models import User

blueprint = Blueprint("audit", __name__, url_prefix="/audit")
blueprint.before_request(administrators_only)

PAGE = 50
LONGEST = 100


@blueprint.app_context_processor
def _texts() -> dict[str, Any]:
    return {"action_text": action_text, "field_text": field_text, "value_text": value_text, "differences": differences}


# ---- What is asked for


@dataclass
class Asked:
    """``typed`` is what stands in the fields, ``problems`` what is wrong with it, by field."""

    people: list[User]
    typed: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    person: User | None = None
    action: str = ""
    since: date | None = None
    until: date | None = None

    @property
    def filters(self) -> AuditFilters:
        return AuditFilters(self.person.id if self.person else None, self.action, self.since, self.until)

    @property
    def held(self) -> dict[str, str]:
        return {name: text for name, text in self.typed.items() if text and name not in self.problems}

    def url(self, endpoint: str = "audit.log", **more: str) -> str:
        return url_with(endpoint, self.held, more)


def read_asked(people: list[User]) -> Asked:
    names = ("person", "action", "since", "until")
    asked = Asked(people, {name: request.args.get(name, "").strip()[:LONGEST] for name in names})
    if wanted := asked.typed["person"]:
        asked.person = next((person for person in people if str(person.id) == wanted), None)
        if asked.person is None:
            asked.problems["person"] = _("No such person in the log. Showing everyone.")
    if wanted := asked.typed["action"]:
        asked.action = wanted if wanted.partition(".")[0] in THINGS and wanted.isprintable() else ""
        if not asked.action:
            asked.problems["action"] = _("No such entry. Showing all. Choose one from the list.")
    _read_days(asked)
    return asked


def _read_days(asked: Asked) -> None:
    for name in ("since", "until"):
        text = asked.typed[name]
        day = read_day(text)
        if text and day is None:
            asked.problems[name] = _("“%(typed)s” is not a date and was ignored. Write it like 2026-11-30.", typed=text)
        setattr(asked, name, day)
    if asked.since and asked.until and asked.since > asked.until:
        asked.until = None
        asked.problems["until"] = _("The last day is before the first one and was ignored. Choose a later one.")


def _place(text: str) -> Place | None:
    """Of an event, as it stands in an address; None for what is none."""
    at, _sign, event_id = text.rpartition("_")
    if read_whole(event_id) is None:
        return None
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (when, int(event_id)) if when.tzinfo else None


def place_text(event: AuditEvent) -> str:
    return f"{event.at.isoformat()}_{event.id}"


# ---- The page


@dataclass(frozen=True)
class LogPage:
    entries: list[AuditEntry]
    newer: str | None
    older: str | None


def _read_page(asked: Asked) -> LogPage:
    tenant, before, after = current_user.company, request.args.get("before", ""), request.args.get("after", "")
    zone, session = tenant.zone, db.session
    if after and (place := _place(after)):
        found = read_events(session, tenant.id, zone, asked.filters, size=PAGE + 1, after=place)
        if len(found) > PAGE:
            return _page(found[1:], newer=True, older=True)
    place = _place(before) if before and not after else None
    found = read_events(session, tenant.id, zone, asked.filters, size=PAGE + 1, before=place)
    return _page(found[:PAGE], newer=place is not None, older=len(found) > PAGE)


def _page(events: list[AuditEvent], *, newer: bool, older: bool) -> LogPage:
    first = place_text(events[0]) if newer and events else None
    last = place_text(events[-1]) if older and events else None
    return LogPage(with_people(db.session, events), first, last)


@blueprint.get("")
def log() -> str:
    """A page of the log, for htmx the list alone."""
    asked = read_asked(people_of_log(db.session, current_user.company_id))
    values = {
        "asked": asked,
        "page": _read_page(asked),
        "things": sorted(THINGS.items(), key=lambda thing: str(thing[1])),
    }
    part_only = request.htmx and request.htmx.target == "audit-list"
    return render_template("audit/list.html" if part_only else "audit/log.html", **values)


# ---- As a file


@blueprint.get("/log.csv")
@writes
def csv_file() -> Response:
    asked = read_asked(people_of_log(db.session, current_user.company_id))
    tenant = current_user.company
    header = [_("Time"), _("Name"), _("Email address"), _("Action"), _("Type"), _("Item"), _("Before"), _("After")]
    turn = downloads.take(tenant.id)
    if turn is None:
        return busy()
    try:
        audit_act("audit.downloaded", "CSV", after=asked.held or None)
        db.session.commit()
    except Exception:
        turn.end()
        raise
    app = this_application()
    rows = _rows(app, tenant.id, tenant.zone, asked.filters, language())
    day = day_of(utc_now(), tenant.zone)
    return streamed(csv_response(f"audit-{tenant.slug}-{day}.csv", [*header, _("IP address")], rows), turn)


def _rows(app: Flask, tenant_id: int, zone: ZoneInfo, filters: AuditFilters, language: str) -> Iterator[Iterable[Cell]]:
    """The request is over when this begins: it has a context and a session of its own."""
    with app.app_context(), in_language(language):
        for entry in all_events(db.session, tenant_id, zone, filters):
            event = entry.event
            yield (
                event.at.astimezone(zone),
                entry.person,
                entry.email,
                event.action,
                action_text(event.action),
                event.target,
                _json(event.before),
                _json(event.after),
                event.remote_address,
            )


def _json(values: dict[str, Any] | None) -> str:
    return json.dumps(values, ensure_ascii=False) if values else ""
