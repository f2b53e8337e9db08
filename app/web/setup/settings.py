"""Fax settings: how many calls at a time, where copies go, how long files are kept."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, flash, make_response, redirect, render_template, url_for
from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from htmx_flask import request
from werkzeug.wrappers import Response

from app.errors import FaxroomError, Refused
from app.models import ArchiveKind, ArchivePlace, PendingChange, PlaceKind
from app.rules.archives.archive import late_places, owed_by_place, places_of
from app.rules.archives.retention import judge_days, preview, retentions_of
from app.rules.ground.quotas import quotas_of
from app.rules.setup.archive_changes import ORDER, PLACE, RETENTION, days_as_values, in_order, wanted_place
from app.rules.setup.changes import ADD, CHANGE, Values, overlay, save, saved_for, secrets_of
from app.rules.setup.fax_settings import (
    LIMITS,
    MOST_CALLS,
    SHOWN,
    PlaceDetails,
    demand_fits,
    judge_limits,
    judge_place,
    limits_of,
    shown,
)
from app.rules.setup.limit_changes import KIND as LIMITS_KIND
from app.rules.words.sentences import removed_texts, sentence
from app.services.archives.archiving import open_place, try_place
from app.web.people.credentials import Errors, said, said_all
from app.web.setup.changes import KINDS, Kind
from app.web.setup.quotas import quota_words
from app.web.setup.saved_subject import SavedSubject
from app.web.site.administration import administrators_only, own_tenant
from app.web.site.guard import SAFE_METHODS, reads
from app.web.site.submissions import overtaken, stamp_of
from tenants.db import db
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
LIMIT_NAMES = {"inbound": _l("Inbound"), "outbound": _l("Outbound"), "total": _l("Total")}
CHECKS = ("enabled", "encrypted", "keeps_sent", "keeps_received", "keeps_reports")


class PlaceSubject(SavedSubject[ArchivePlace]):
    kind = PLACE

    @property
    def live(self) -> Values:
        return shown(self.row) if self.row else {}

    @property
    def details(self) -> PlaceDetails:
        """As ``wanted``, with the secret key that was typed."""
        return wanted_place(self.row, self.change)

    @property
    def has_secret(self) -> bool:
        return bool((self.row and self.row.secret_key) or (self.change and secrets_of(self.change)))

    def url(self, endpoint: str = "place") -> str:
        if self.row:
            return url_for(f"settings.{endpoint}", place_id=self.row.id)
        return url_for(f"settings.{endpoint}_added", change_id=self.change.id if self.change else None)


def _known(place_id: int) -> PlaceSubject:
    """Of the administrator's own company, or there is none."""
    return PlaceSubject.known(get_owned(db.session, ArchivePlace, place_id, current_user.company_id) or abort(404))


def _subjects() -> list[PlaceSubject]:
    """All places as this person wants them, in that order."""
    order = saved_for(db.session, current_user, ORDER, current_user.company_id)
    return PlaceSubject.each(in_order(places_of(db.session, current_user.company_id), order))


@blueprint.app_template_global()
def late_archives() -> list[ArchivePlace]:
    """What every page of the administration warns of."""
    return late_places(db.session, current_user.company_id)


blueprint.add_app_template_global(removed_texts)


@blueprint.get("")
def settings() -> Response:
    return _page()


def _page(*, limits: dict[str, Any] | None = None, errors: Errors | None = None, **more: Any) -> Response:
    tenant = own_tenant()
    saved = saved_for(db.session, current_user, LIMITS_KIND, tenant.id)
    kept = saved_for(db.session, current_user, RETENTION, tenant.id)
    days = overlay(days_as_values(retentions_of(db.session, tenant.id)), kept)
    values = {
        "limits": limits or overlay(limits_of(tenant), saved),
        "stamps": {"limits": stamp_of(overlay(limits_of(tenant), saved)), "days": stamp_of(days)},
        "limits_saved": saved is not None,
        "limit_names": LIMIT_NAMES,
        "most_calls": MOST_CALLS,
        "subjects": _subjects(),
        "order_saved": saved_for(db.session, current_user, ORDER, tenant.id) is not None,
        "owed": owed_by_place(db.session, tenant.id),
        "days": {kind: count or "" for kind, count in days.items()},
        "days_saved": kept is not None,
        "errors": errors or {},
        "quotas": quotas_of(db.session, tenant),
        **quota_words(),
        **_names(),
        **more,
    }
    return make_response(render_template("setup/settings/settings.html", **values), 422 if errors else 200)


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
    lock_tenant(db.session, current_user.company_id)
    tenant = own_tenant()
    db.session.refresh(tenant)  # as it is now that nobody else changes it
    standing = overlay(limits_of(tenant), saved_for(db.session, current_user, LIMITS_KIND, tenant.id))
    if faults := overtaken(standing, wanted):
        return _page(limits=typed, errors=said_all(faults))
    row = save(db.session, current_user, LIMITS_KIND, tenant.id, CHANGE, before=limits_of(tenant), after=wanted)
    return _saved(row, "limits")


def _saved(row: PendingChange | None, anchor: str) -> Response:
    db.session.commit()
    told = _("Saved. Takes effect when you apply your changes.") if row else _("Nothing changed.")
    flash(told, "info")
    return _back(anchor)


def _limits_address(_change: PendingChange) -> str:
    return url_for("settings.settings", _anchor="limits")


def _order_address(_change: PendingChange) -> str:
    return url_for("settings.settings", _anchor="places")


def _retention_address(_change: PendingChange) -> str:
    return url_for("settings.settings", _anchor="retention")


def _place_address(change: PendingChange) -> str:
    if change.act == ADD:
        return url_for("settings.place_added", change_id=change.id)
    return url_for("settings.place", place_id=change.target_id)


KINDS[LIMITS_KIND] = Kind(_l("Fax settings"), _limits_address)
KINDS[PLACE] = Kind(_l("Archive"), _place_address)
KINDS[ORDER] = Kind(_l("Fax settings"), _order_address)
KINDS[RETENTION] = Kind(_l("Fax settings"), _retention_address)


# ---- Places


def _read_place(kind: str) -> PlaceDetails:
    def text(name: str) -> str:
        return request.form.get(name, "").strip()[:400]

    def on(name: str) -> bool:
        return request.form.get(name) == "yes"

    in_bucket = ("endpoint", "region", "bucket", "access_key", "secret_key")
    return PlaceDetails(
        name=text("name"),
        kind=kind,
        folder=text("folder").strip("/"),
        enabled=on("enabled"),
        encrypted=on("encrypted"),
        keeps_sent=on("keeps_sent"),
        keeps_received=on("keeps_received"),
        keeps_reports=on("keeps_reports"),
        **({} if kind == PlaceKind.FOLDER else {name: text(name) for name in in_bucket}),
    )


@blueprint.route("/places/new", methods=["GET", "POST"])
def new_place() -> Response:
    kind = PlaceKind.S3 if request.values.get("kind") == PlaceKind.S3 else PlaceKind.FOLDER
    if request.method in SAFE_METHODS:
        return _place_page(PlaceDetails(kind=kind), None, {})
    return _save_place(None, _read_place(kind))


@blueprint.route("/places/<int:place_id>", methods=["GET", "POST"])
def place(place_id: int) -> Response:
    return _one_place(_known(place_id))


@blueprint.route("/places/added/<int:change_id>", methods=["GET", "POST"])
def place_added(change_id: int) -> Response:
    return _one_place(PlaceSubject.only_saved(change_id))


def _one_place(subject: PlaceSubject) -> Response:
    if request.method in SAFE_METHODS:
        return _place_page(subject.details, subject, {})
    return _save_place(subject, _read_place(subject.details.kind))


def _save_place(subject: PlaceSubject | None, details: PlaceDetails) -> Response:
    """Saved only: it holds once it is applied together with the rest."""
    lock_tenant(db.session, current_user.company_id)
    after = _shown(details)
    errors = said_all(judge_place(details, has_secret=bool(subject and subject.has_secret)))
    errors |= said_all(overtaken(_shown(subject.details), after)) if subject else {}
    if not errors:
        try:
            others = [one for one in _subjects() if not one.is_leaving and not _is_same(one, subject)]
            demand_fits(details, [one.details.name for one in others], kept=subject.details if subject else None)
        except Refused as refusal:
            errors[refusal.field or "form"] = said(refusal)
    if errors:
        db.session.rollback()
        return _place_page(details, subject, errors)
    subject = subject or PlaceSubject(None, None)
    row = subject.keep(subject.live, after, {"secret_key": details.secret_key} if details.secret_key else None)
    if row is None:
        return _saved(None, "places")
    db.session.commit()
    flash(_("Saved. Test this archive, then apply your changes."), "info")
    return redirect(PlaceSubject(subject.row, row).url(), 303)


def _shown(details: PlaceDetails) -> Values:
    return {name: getattr(details, name) for name in SHOWN}


def _is_same(one: PlaceSubject, other: PlaceSubject | None) -> bool:
    if other is None:
        return False
    return one.row is other.row if one.row else one.change is other.change


def _place_page(details: PlaceDetails, subject: PlaceSubject | None, errors: Errors, **more: Any) -> Response:
    owed = None
    if subject and subject.row:
        owed = owed_by_place(db.session, current_user.company_id).get(subject.row.id)
    values = {
        "form": details,
        "subject": subject,
        "errors": errors,
        "owed": owed,
        "stamp": stamp_of(_shown(subject.details)) if subject else "",
        **_names(),
        **more,
    }
    return make_response(render_template("setup/settings/place.html", **values), 422 if errors else 200)


@blueprint.post("/places/<int:place_id>/test")
@reads
def test_place(place_id: int) -> Response:
    return _test(lambda: _known(place_id))


@blueprint.post("/places/added/<int:change_id>/test")
@reads
def test_place_added(change_id: int) -> Response:
    return _test(lambda: PlaceSubject.only_saved(change_id))


def _test(find: Callable[[], PlaceSubject]) -> Response:
    """Write, read back, delete a small object where the place will be once it is applied; no transaction is open while
    it thinks."""
    subject, tenant = find(), own_tenant()
    details, name = subject.details, subject.name
    try:
        target = open_place(tenant, _as_wanted(subject, details), trying=True)
        db.session.rollback()
        try_place(target, encrypted=details.encrypted)
    except FaxroomError as failure:
        log.warning("archive place %s: %s", name, failure)
        found, told = False, sentence(failure.code, **{"reason": "–", **failure.values})
    else:
        found = True
        told = _("A small file was written, read back and deleted: %(name)s works.", name=name)
    db.session.rollback()
    tried = {"works": found, "told": told}
    if request.htmx:
        return make_response(render_template("setup/settings/tried.html", tried=tried))
    subject = find()
    return _place_page(subject.details, subject, {}, tried=tried)


def _as_wanted(subject: PlaceSubject, details: PlaceDetails) -> ArchivePlace:
    """In no database. Without a new secret key the kept one: it leads to the same server (``demand_fits``)."""
    kept = subject.row.secret_key if subject.row and not details.secret_key else None
    values = {name: getattr(details, name) or None for name in SHOWN} | {"folder": details.folder}
    return ArchivePlace(**values, secret_key=details.secret_key or kept)


@blueprint.post("/places/<int:place_id>/move")
def move(place_id: int) -> Response:
    lock_tenant(db.session, current_user.company_id)
    _known(place_id)
    tenant_id = current_user.company_id
    before = [place.id for place in places_of(db.session, tenant_id)]
    order = [subject.row.id for subject in _subjects() if subject.row]
    at = order.index(place_id)
    to = at - 1 if request.form.get("to") == "up" else at + 1
    if not 0 <= to < len(order):
        return _back("places")
    order[at], order[to] = order[to], order[at]
    row = save(db.session, current_user, ORDER, tenant_id, CHANGE, before={"order": before}, after={"order": order})
    return _saved(row, "places")


@blueprint.post("/places/<int:place_id>/remove")
def remove(place_id: int) -> Response:
    """Asked once more, on a page that says what is lost by it; then saved as a change like any other."""
    subject = _known(place_id)
    if request.form.get("really") != "yes":
        owed = owed_by_place(db.session, current_user.company_id).get(place_id)
        return make_response(render_template("setup/settings/remove.html", place=subject.row, owed=owed, **_names()))
    subject.keep_removal(subject.live)
    flash(_("Saved. %(name)s will be removed when you apply your changes.", name=subject.name), "info")
    return _back("places")


# ---- Retention


@blueprint.post("/retention")
def retention() -> Response:
    """First what it would remove; then, asked once more, it is saved."""
    typed = {str(kind): request.form.get(f"days_{kind}", "")[:20] for kind in ArchiveKind}
    wanted, faults = judge_days(typed)
    if faults:
        return _page(days=typed, errors=said_all(faults))
    tenant_id = current_user.company_id
    lock_tenant(db.session, tenant_id)
    before = retentions_of(db.session, tenant_id)
    was, after = days_as_values(before), days_as_values(wanted)
    standing = overlay(was, saved_for(db.session, current_user, RETENTION, tenant_id))
    if late := overtaken(standing, after):
        return _page(days=typed, errors=said_all(late))
    if wanted != before and request.form.get("really") != "yes":
        previews = [preview(db.session, tenant_id, kind, days) for kind, days in wanted.items() if days]
        if any(found.faxes for found in previews):
            values = {"previews": previews, "wanted": wanted, "stamp": stamp_of(standing), **_names()}
            return make_response(render_template("setup/settings/preview.html", **values))
    return _saved(save(db.session, current_user, RETENTION, tenant_id, CHANGE, before=was, after=after), "retention")


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
