"""The log of calls that shared lines put through to a telephone, for a company's administrators."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa
from flask import Blueprint, Flask, current_app, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import pgettext
from flask_login import current_user
from werkzeug.wrappers import Response

from app.models import CallEnd, FaxEntity, VoiceCall
from app.rules.numbers.callers import is_verified
from app.rules.numbers.numbers import shown_number
from app.rules.receiving.telephone_calls import CallFilters, all_calls, read_calls
from app.rules.words.sentences import in_language
from app.web.faxes.finder import read_day
from app.web.faxes.presentation import minutes
from app.web.files.csv_export import Cell, csv_response
from app.web.site.administration import administrators_only, audit_act
from app.web.site.errors import busy
from app.web.site.guard import writes
from app.web.site.language import language
from app.web.site.thread_limits import downloads, streamed
from app.web.site.urls import url_with
from app.whole_numbers import read_whole
from tenants.db import db, utc_now
from tenants.models import Tenant
from tenants.scope import owned_by

blueprint = Blueprint("calls", __name__, url_prefix="/calls")
blueprint.before_request(administrators_only)

PAGE = 50
LONGEST = 40
FIELDS = ("entity", "since", "until")
#: How a call ended, in words.
ENDS = {
    CallEnd.ANSWERED: _l("Answered"),
    CallEnd.NO_ANSWER: _l("Nobody answered"),
    CallEnd.BUSY: _l("The telephone was busy"),
    CallEnd.GAVE_UP: _l("The caller hung up while it rang"),
    CallEnd.UNREACHABLE: _l("The telephone could not be reached"),
    CallEnd.LONGEST: _l("Ended by Faxroom at the maximum length"),
    CallEnd.LIMIT: _l("Not put through: too many calls at once"),
    CallEnd.FAX: _l("It was a fax after all"),
    CallEnd.UNKNOWN: _l("Unknown: the telephone system stopped"),
}


@dataclass
class Asked:
    """``typed`` is what stands in the fields, ``problems`` what is wrong with it, by field."""

    entities: list[FaxEntity]
    typed: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    filters: CallFilters = field(default_factory=CallFilters)

    @property
    def held(self) -> dict[str, str]:
        return {name: text for name, text in self.typed.items() if text and name not in self.problems}

    def url(self, endpoint: str = "calls.calls", **more: int) -> str:
        return url_with(endpoint, self.held, {name: str(value) for name, value in more.items()})


def _asked() -> Asked:
    """Lines that are shared, and those that were and have calls."""
    had_calls = sa.exists().where(VoiceCall.entity_id == FaxEntity.id)
    lines = owned_by(FaxEntity, current_user.company_id).where(FaxEntity.shared_with_voice | had_calls)
    entities = list(db.session.scalars(lines.order_by(FaxEntity.name, FaxEntity.id)))
    asked = Asked(entities, {name: request.args.get(name, "").strip()[:LONGEST] for name in FIELDS})
    entity = next((one for one in entities if str(one.id) == asked.typed["entity"]), None)
    if asked.typed["entity"] and entity is None:
        asked.problems["entity"] = _("There is no such fax line. Showing all.")
    days = {name: read_day(asked.typed[name]) for name in ("since", "until")}
    for name, day in days.items():
        if (text := asked.typed[name]) and day is None:
            asked.problems[name] = _("“%(typed)s” is not a date and was ignored. Write it like 2026-11-30.", typed=text)
    if days["since"] and days["until"] and days["since"] > days["until"]:
        days["until"] = None
        asked.problems["until"] = _("The last day is before the first one and was ignored. Choose a later one.")
    asked.filters = CallFilters(entity.id if entity else None, days["since"], days["until"])
    return asked


@blueprint.get("")
def calls() -> str:
    asked, before = _asked(), request.args.get("before", "")
    number = read_whole(before, least=1)
    page = read_calls(db.session, current_user.company, asked.filters, limit=PAGE, before=number)
    return render_template("figures/calls.html", asked=asked, page=page, is_first=number is None, **_words())


def _words() -> dict[str, object]:
    tenant = current_user.company
    return {"end_text": end_text, "caller_text": lambda call: caller_text(call, tenant), "length_text": length_text}


def end_text(call: VoiceCall) -> str:
    return str(ENDS[CallEnd(call.end)]) if call.end else pgettext("call", "Under way")


def caller_text(call: VoiceCall, tenant: Tenant) -> str:
    """Who sends no fax tone calls from outside, and is no extension of ours."""
    if not call.caller:
        return _("withheld number")
    number = shown_number(call.caller, tenant)
    return number if is_verified(call.caller, from_outside=True) else _("%(number)s (not verified)", number=number)


def length_text(call: VoiceCall) -> str:
    """How long they spoke, as ``m:ss``."""
    return minutes(call.ended_at - call.answered_at) if call.answered_at and call.ended_at else "–"


@blueprint.get("/calls.csv")
@writes
def csv_file() -> Response:
    asked, tenant = _asked(), current_user.company
    turn = downloads.take(tenant.id)
    if turn is None:
        return busy()
    try:
        audit_act("calls.downloaded", "CSV", after=asked.held or None)
        db.session.commit()
    except Exception:
        turn.end()
        raise
    header = [_("Time"), _("Fax line"), _("Caller"), _("Telephone"), _("Seconds"), _("Result")]
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    rows = _rows(app, tenant.id, asked.filters, language())
    day = utc_now().astimezone(tenant.zone).date()
    return streamed(csv_response(f"calls-{tenant.slug}-{day}.csv", header, rows), turn)


def _rows(app: Flask, tenant_id: int, filters: CallFilters, language: str) -> Iterator[Iterable[Cell]]:
    """The request is over when this begins: it has a context and a session of its own."""
    with app.app_context(), in_language(language):
        zone = db.session.get_one(Tenant, tenant_id).zone
        db.session.rollback()
        for call in all_calls(db.session, tenant_id, filters):
            spoken = call.ended_at - call.answered_at if call.answered_at and call.ended_at else None
            seconds = round(spoken.total_seconds()) if spoken else 0
            when = call.began_at.astimezone(zone)
            yield when, call.entity.name, call.caller, call.dialled, seconds, end_text(call)
