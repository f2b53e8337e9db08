"""Fax settings: how many calls at a time, where copies go, how long files are kept."""

import logging
from typing import Any

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import format_decimal, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response

from app.archiving import open_place, try_place
from app.errors import FaxroomError, Refused
from app.fax.archive import late_places, move_place, owed_by_place, places_of
from app.fax.changes import CHANGE, overlay, save, saved_for
from app.fax.limit_changes import KIND as LIMITS_KIND
from app.fax.retention import Days, judge_days, preview, retentions_of, set_retentions
from app.fax.sentences import removed_texts, sentence
from app.fax.settings import (
    LIMITS,
    MOST_CALLS,
    PlaceDetails,
    details_of,
    judge_limits,
    judge_place,
    limits_of,
    put_place,
    remove_place,
    shown,
)
from app.models import ArchiveKind, ArchivePlace, PendingChange, PlaceKind
from app.web.administration import administrators_only, audit_act
from app.web.asking import Errors, said, said_all
from app.web.changes import KINDS, Kind
from app.web.guard import SAFE_METHODS, reads
from tenants.db import db
from tenants.models import Tenant
from tenants.scope import get_owned, lock_tenant

log = logging.getLogger(__name__)

blueprint = Blueprint("settings", __name__, url_prefix="/settings")
blueprint.before_request(administrators_only)

KIND_NAMES = {
    ArchiveKind.SENT: _l("Sent files"),
    ArchiveKind.RECEIVED: _l("Received files"),
    ArchiveKind.REPORTS: _l("Reports"),
}
PLACE_KINDS = {PlaceKind.FOLDER: _l("Folder"), PlaceKind.S3: "S3"}
LIMIT_NAMES = {"inbound": _l("Inbound"), "outbound": _l("Outbound"), "total": _l("In total")}
CHECKS = ("enabled", "encrypted", "keeps_sent", "keeps_received", "keeps_reports")


def _tenant() -> Tenant:
    return db.session.get_one(Tenant, current_user.tenant_id)


def _place(place_id: int) -> ArchivePlace:
    """Of the administrator's own company, or there is none."""
    return get_owned(db.session, ArchivePlace, place_id, current_user.tenant_id) or abort(404)


@blueprint.app_template_global()
def late_archives() -> list[ArchivePlace]:
    """What every page of the administration warns of."""
    return late_places(db.session, current_user.tenant_id)


blueprint.add_app_template_global(removed_texts)


@blueprint.get("")
def settings() -> Response:
    return _page()


def _page(*, limits: dict[str, Any] | None = None, errors: Errors | None = None, **more: Any) -> Response:
    tenant = _tenant()
    saved = saved_for(db.session, current_user, LIMITS_KIND, tenant.id)
    values = {
        "limits": limits or overlay(limits_of(tenant), saved),
        "limits_saved": saved is not None,
        "limit_names": LIMIT_NAMES,
        "most_calls": MOST_CALLS,
        "places": places_of(db.session, tenant.id),
        "owed": owed_by_place(db.session, tenant.id),
        "days": {kind: "" if days is None else days for kind, days in retentions_of(db.session, tenant.id).items()},
        "errors": errors or {},
        **_names(),
        **more,
    }
    return make_response(render_template("settings/settings.html", **values), 422 if errors else 200)


def _names() -> dict[str, Any]:
    return {"kind_names": KIND_NAMES, "place_kinds": PLACE_KINDS, "sentence": sentence}


def _back(anchor: str) -> Response:
    return redirect(url_for("settings.settings", _anchor=anchor), 303)


# ---- Simultaneity


@blueprint.post("/limits")
def limits() -> Response:
    """Saved only: it holds once it is applied together with the rest."""
    typed = {name: request.form.get(name, "")[:20] for name in LIMITS}
    wanted, faults = judge_limits(typed)
    if faults:
        return _page(limits=typed, errors=said_all(faults))
    tenant = _tenant()
    row = save(db.session, current_user, LIMITS_KIND, tenant.id, CHANGE, before=limits_of(tenant), after=wanted)
    db.session.commit()
    told = (
        _("Saved. It holds once you apply the changes.") if row else _("This is as it was: there is nothing to apply.")
    )
    flash(told, "info")
    return _back("limits")


def _limits_address(_change: PendingChange) -> str:
    return url_for("settings.settings", _anchor="limits")


KINDS[LIMITS_KIND] = Kind(_l("Fax settings"), _limits_address)


# ---- Places


def _read_place(kind: str) -> PlaceDetails:
    def text(name: str) -> str:
        return request.form.get(name, "").strip()[:400]

    names = ("name", "endpoint", "region", "bucket", "access_key", "secret_key")
    checks = {name: request.form.get(name) == "yes" for name in CHECKS}
    folder = text("folder").strip("/")
    if kind == PlaceKind.FOLDER:
        return PlaceDetails(name=text("name"), kind=kind, folder=folder, **checks)
    return PlaceDetails(kind=kind, folder=folder, **{name: text(name) for name in names}, **checks)


@blueprint.route("/places/new", methods=["GET", "POST"])
def new_place() -> Response:
    kind = PlaceKind.S3 if request.values.get("kind") == PlaceKind.S3 else PlaceKind.FOLDER
    if request.method in SAFE_METHODS:
        return _place_page(PlaceDetails(kind=kind), None, {})
    return _save_place(None, _read_place(kind))


@blueprint.route("/places/<int:place_id>", methods=["GET", "POST"])
def place(place_id: int) -> Response:
    known = _place(place_id)
    if request.method in SAFE_METHODS:
        return _place_page(details_of(known), known, {})
    return _save_place(known, _read_place(known.kind))


def _save_place(known: ArchivePlace | None, details: PlaceDetails) -> Response:
    place_id, before = (known.id, shown(known)) if known else (None, None)
    errors = said_all(judge_place(details, has_secret=bool(known and known.secret_key)))
    if not errors:
        try:
            saved = put_place(db.session, _tenant(), known, details)
        except Refused as refusal:
            errors[refusal.field or "form"] = said(refusal)
    if errors:
        db.session.rollback()
        return _place_page(details, _place(place_id) if place_id else None, errors)
    _audit_place(saved, before, new_secret=bool(details.secret_key))
    db.session.commit()
    flash(_("Saved. Now test this place, so that no copy is in vain."), "info")
    return redirect(url_for("settings.place", place_id=saved.id), 303)


def _audit_place(saved: ArchivePlace, before: dict[str, Any] | None, *, new_secret: bool) -> None:
    after = shown(saved) | ({"secret_key": "changed"} if new_secret else {})
    if before is None:
        audit_act("archive_place.added", saved.name, after=after)
        return
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    if changed:
        old = {name: before[name] for name in changed if name in before}
        audit_act("archive_place.changed", before["name"], before=old, after=changed)


def _place_page(details: PlaceDetails, known: ArchivePlace | None, errors: Errors, **more: Any) -> Response:
    owed = owed_by_place(db.session, current_user.tenant_id).get(known.id) if known else None
    values = {"form": details, "place": known, "errors": errors, "owed": owed, **_names(), **more}
    return make_response(render_template("settings/place.html", **values), 422 if errors else 200)


@blueprint.post("/places/<int:place_id>/test")
@reads
def test_place(place_id: int) -> Response:
    """Write, read back, delete a small object; no transaction is open while the place thinks."""
    known, tenant = _place(place_id), _tenant()
    name, encrypted = known.name, known.encrypted
    try:
        target = open_place(tenant, known)
        db.session.rollback()
        try_place(target, encrypted=encrypted)
    except FaxroomError as failure:
        log.warning("archive place %s: %s", place_id, failure)
        found, told = False, sentence(failure.code, **{"reason": "–", **failure.values})
    else:
        found = True
        told = _("A small file was written, read back and deleted: %(name)s works.", name=name)
    db.session.rollback()
    tried = {"works": found, "told": told}
    if request.htmx:
        return make_response(render_template("settings/tried.html", tried=tried))
    known = _place(place_id)
    return _place_page(details_of(known), known, {}, tried=tried)


@blueprint.post("/places/<int:place_id>/move")
def move(place_id: int) -> Response:
    lock_tenant(db.session, current_user.tenant_id)
    known = _place(place_id)
    if move_place(db.session, known, up=request.form.get("to") == "up"):
        order = [other.name for other in places_of(db.session, current_user.tenant_id)]
        audit_act("archive_place.moved", known.name, after={"order": order})
        db.session.commit()
    return _back("places")


@blueprint.post("/places/<int:place_id>/remove")
def remove(place_id: int) -> Response:
    """Asked once more, on a page that says what is lost by it."""
    known = _place(place_id)
    if request.form.get("really") != "yes":
        owed = owed_by_place(db.session, current_user.tenant_id).get(place_id)
        return make_response(render_template("settings/remove.html", place=known, owed=owed, **_names()))
    name, before = known.name, shown(known)
    lost = remove_place(db.session, known)
    audit_act("archive_place.removed", name, before=before, after={"copies_not_made": lost})
    db.session.commit()
    flash(
        ngettext(
            "%(name)s was removed. %(num)d copy that was due is not made.",
            "%(name)s was removed. %(num)d copies that were due are not made.",
            lost,
            name=name,
        )
        if lost
        else _("%(name)s was removed. What lies there stays there.", name=name),
        "info",
    )
    return _back("places")


# ---- Retention


@blueprint.post("/retention")
def retention() -> Response:
    """First what it would remove, then, asked once more, it holds. What removes nothing holds at once."""
    typed = {kind: request.form.get(f"days_{kind}", "")[:20] for kind in ArchiveKind}
    wanted, faults = judge_days(typed)
    if faults:
        return _page(days=typed, errors=said_all(faults))
    before = retentions_of(db.session, current_user.tenant_id)
    if wanted != before and request.form.get("really") != "yes":
        previews = [preview(db.session, current_user.tenant_id, kind, days) for kind, days in wanted.items() if days]
        if any(found.faxes for found in previews):
            values = {"previews": previews, "wanted": wanted, **_names()}
            return make_response(render_template("settings/preview.html", **values))
    return _retain(before, wanted)


def _retain(before: Days, wanted: Days) -> Response:
    lock_tenant(db.session, current_user.tenant_id)
    if wanted != before:
        set_retentions(db.session, _tenant(), wanted)
        audit_act("settings.retention_changed", _tenant().name, before=_told(before), after=_told(wanted))
        db.session.commit()
    flash(_("Saved. What is to go is removed within the next hours."), "info")
    return _back("retention")


def _told(days: Days) -> dict[str, Any]:
    return {str(kind): count or "for ever" for kind, count in days.items()}


@blueprint.app_template_filter()
def file_size(count: int) -> str:
    """As people say it: 2.1 GB."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    size = float(count)
    while size >= 1000 and power < len(units) - 1:
        size, power = size / 1000, power + 1
    return f"{format_decimal(round(size, 1 if size < 100 and power else 0))} {units[power]}"


@blueprint.app_template_filter()
def shown_count(count: int) -> str:
    """1,234, or 1.234 in Italian."""
    return format_decimal(count)
