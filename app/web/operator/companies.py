"""The installation, for those who run it: companies, calls and parts. Counts and states, never what is faxed."""

import shutil
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
import sqlalchemy as sa
from babel import Locale
from flask import Blueprint, abort, current_app, flash, make_response, redirect, render_template, url_for
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from htmx_flask import request
from redis import RedisError
from werkzeug.wrappers import Response

from app.adapters.storage.sealed_files import ENDING
from app.application import this_application
from app.errors import Refused
from app.queues import QUEUES, queue
from app.rules.audit.audit_log import AuditFilters, read_events, with_people
from app.rules.audit.auditing import audit
from app.rules.ground.quotas import quotas_of
from app.rules.operator.companies import (
    CEILINGS,
    QUOTAS,
    Company,
    change_company,
    judge_company,
    open_company,
    reopen,
    suspend,
)
from app.rules.operator.erasing import begin_erasing
from app.rules.operator.operator_access import export_key, lets_in
from app.rules.operator.overview import tenants_now
from app.rules.people.accounts import Details, invite, judge_details, mail_again, withdraw_invitation
from app.rules.sending.preparing import waiting_in_lanes
from app.rules.setup.licence import licence_of
from app.rules.words.sentences import place_name
from app.services.documents import disk_room
from app.services.receiving.turned_away import turned_away
from app.services.upkeep.health import check_health, nodes
from app.web.figures.figure_pages import installation_figures
from app.web.files.tenant_export import sealed_export, stream_tenant
from app.web.people.credentials import Errors, said, said_all
from app.web.setup.quotas import quota_words
from app.web.site.administration import operators_only
from app.web.site.guard import SAFE_METHODS, writes
from app.web.site.language import language
from app.web.site.submissions import fresh_key, overtaken, stamp_of
from tenants.db import db, utc_now
from tenants.languages import LANGUAGE_NAMES
from tenants.links import invited_until, made_by_form
from tenants.models import LinkPurpose, Role, Tenant, User
from tenants.people import administers
from tenants.provision import zones
from tenants.scope import lock_tenant

#: Of the installation's own log.
MOST_EVENTS = 200

blueprint = Blueprint("operator", __name__, url_prefix="/operator")

PART_NAMES = {
    "database": _l("Database"),
    "redis": _l("Redis"),
    "storage": _l("Storage"),
    "asterisk": _l("Asterisk"),
    "converter": _l("LibreOffice"),
    "jobs": _l("Workers"),
    "line": _l("Line process"),
    "clock": _l("Clock"),
    "collect": _l("Email collector"),
    "door": _l("Direct email"),
    "entrance": _l("T.38 entrance"),
    "front": _l("Front"),
    "trunk": _l("Trunk"),
    "room": _l("Disk space"),
}
#: What stands still without it.
PART_TASKS = {
    "database": _l("keeps everything except documents"),
    "redis": _l("passes jobs to the workers"),
    "storage": _l("keeps documents and reports"),
    "asterisk": _l("makes and answers the calls"),
    "converter": _l("converts office documents and text to PDF"),
    "jobs": _l("prepare pages, make reports, send emails"),
    "line": _l("tells Asterisk what to dial and learns how calls end"),
    "clock": _l("starts what is due: schedules, retries, retention"),
    "collect": _l("collects emails from the Mail2Fax boxes"),
    "door": _l("takes emails directly from mail servers, copiers and programs"),
    "entrance": _l("takes calls that begin with T.38 alone"),
    "front": _l("takes requests from browsers and passes them on complete"),
    "trunk": _l("connects calls to the telephone provider"),
    "room": _l("required before a fax is sent or received"),
}
QUEUE_NAMES = {
    "line": _l("Calls to make"),
    "documents": _l("Preparing pages"),
    "offices": _l("Converting documents"),
    "slow": _l("Long documents"),
    "previews": _l("Drawing previews"),
    "preview_offices": _l("Converting for previews"),
    "slow_previews": _l("Long previews"),
    "imports": _l("Entering received faxes"),
    "mail": _l("Sending emails"),
    "watch": _l("Previews and warnings"),
    "archive": _l("Archiving"),
    "later": _l("Tidying up"),
}
STATES = {
    "open": ("good", _l("Open")),
    "suspended": ("bad", _l("Suspended")),
    "deleting": ("doubt", _l("Being deleted")),
}


blueprint.before_request(operators_only)


@blueprint.context_processor
def _names() -> dict[str, Any]:
    return {
        "STATES": STATES,
        "PART_NAMES": PART_NAMES,
        "PART_TASKS": PART_TASKS,
        "QUEUE_NAMES": QUEUE_NAMES,
    }


def _tenant(tenant_id: int) -> Tenant:
    return db.session.get(Tenant, tenant_id) or abort(404)


def _audit(action: str, tenant: Tenant, target: str | None = None, **values: Any) -> None:
    """What an operator does to a company stands in the log of that company."""
    audit(
        db.session,
        user=current_user,
        tenant_id=tenant.id,
        action=action,
        target=target or tenant.name,
        remote_address=request.remote_addr,
        **values,
    )


def _to(tenant: Tenant, anchor: str | None = None) -> Response:
    return redirect(url_for("operator.tenant", tenant_id=tenant.id, _anchor=anchor), 303)


# ---- The installation at the moment


@dataclass(frozen=True)
class Disk:
    """A file system, by what of ours lies on it; bytes."""

    holds: str
    total: int
    free: int
    is_low: bool

    @property
    def used_percent(self) -> int:
        return round(100 * (self.total - self.free) / self.total) if self.total else 0


def disks() -> list[Disk]:
    """Each file system once, by what of ours lies there."""
    filling = {place.name for place in disk_room.disks().filling()}
    found: dict[int, tuple[list[str], Path]] = {}
    for name, path in {"home": current_app.config["SETTINGS"].home, **disk_room.disks().places}.items():
        there = next((place for place in (path, *path.parents) if place.exists()), None)
        if there:
            found.setdefault(there.stat().st_dev, ([], there))[0].append(name)
    return [_disk(names, path, is_low=bool(filling & set(names))) for names, path in found.values()]


def _disk(names: list[str], path: Path, *, is_low: bool) -> Disk:
    usage = shutil.disk_usage(path)
    return Disk(", ".join(place_name(name) for name in names), usage.total, usage.free, is_low)


@blueprint.get("")
def overview() -> str:
    """The counts; the parts are asked by a request of their own, because one that is down answers late."""
    rows = tenants_now(db.session, utc_now())
    line_limit = current_app.config["SETTINGS"].line_limit
    values = {"rows": rows, "line_limit": line_limit, "turned_away": _turned_away()}
    if request.htmx and request.htmx.target == "now":
        return render_template("operator/now.html", **values)
    return render_template("operator/overview.html", disks=disks(), **values)


#: By whose limit a call that came in found no place.
TURNED_AWAY = {
    "caller": _l("for one caller"),
    "called": _l("for one line"),
    "incoming": _l("for all that come in"),
    "company": _l("for one company"),
}


def _turned_away() -> list[tuple[str, int]] | None:
    """Calls of the last 24 hours by the limit that they met; None while nobody can tell."""
    db.session.rollback()
    try:
        found = turned_away(utc_now())
    except RedisError:
        return None
    return [(str(name), found[reason]) for reason, name in TURNED_AWAY.items() if found[reason]]


@blueprint.get("/parts")
def parts() -> str:
    """Every part, asked now, and what waits in the queues."""
    db.session.rollback()  # no transaction while the parts think
    found = check_health()
    values = {"parts": found, "queues": _queue_lengths(), "nodes": nodes(found)}
    part_only = request.htmx and request.htmx.target == "parts"
    return render_template("operator/parts_list.html" if part_only else "operator/parts.html", **values)


def _queue_lengths() -> dict[str, int] | None:
    """Of documents those that wait to be prepared; their queues only say that there are some."""
    waiting = waiting_in_lanes(db.session)
    db.session.rollback()
    try:
        return {name: queue(name).count for name in QUEUES} | waiting
    except RedisError:
        return None


# ---- Companies


@blueprint.get("/tenants")
def tenants() -> str:
    return render_template("operator/tenants.html", rows=tenants_now(db.session, utc_now()))


def _read_company(shown: Tenant | None = None) -> Company:
    """A form without quotas, ceilings or a domain leaves them as they are."""
    before = Company.of(shown) if shown else Company()
    values = {field.name: request.form.get(field.name, "").strip() for field in fields(Company)}
    kept = {name: getattr(before, name) for name in (*QUOTAS, *CEILINGS, "fax_domain") if name not in request.form}
    return Company(**(values | kept | ({"slug": shown.slug} if shown else {})))


def _choices() -> dict[str, Any]:
    territories = Locale.parse(str(get_locale())).territories
    regions = {code: territories.get(code, code) for code in phonenumbers.SUPPORTED_REGIONS}
    return {
        "regions": sorted(regions.items(), key=lambda region: region[1]),
        "zones": sorted(zones()),
        "languages": list(LANGUAGE_NAMES.items()),
    }


@dataclass(frozen=True)
class Administrator:
    """Who is invited to administer a company, as typed."""

    email: str = ""
    name: str = ""

    @classmethod
    def read(cls) -> "Administrator":
        return cls(request.form.get("admin_email", "").strip(), request.form.get("admin_name", "").strip())

    @property
    def details(self) -> Details:
        return Details(email=self.email, name=self.name, role=Role.ADMIN)

    def judge(self) -> Errors:
        return {f"admin_{field}": text for field, text in said_all(judge_details(self.details)).items()}


@blueprint.route("/tenants/new", methods=["GET", "POST"])
def new_tenant() -> Response:
    """Open a company and, if they are named, invite its first administrator."""
    if request.method in SAFE_METHODS:
        return _new_page(Company(), Administrator(), {})
    company, administrator = _read_company(), Administrator.read()
    errors = said_all(judge_company(company))
    if administrator.email or administrator.name:
        errors |= administrator.judge()
    if not errors:
        try:
            return _opened(company, administrator)
        except Refused as refusal:
            db.session.rollback()
            if earlier := _opened_before(company):
                return _to(earlier)
            field = refusal.field or "form"
            errors["admin_email" if field == "email" else field] = said(refusal)
    return _new_page(company, administrator, errors)


def _opened(company: Company, administrator: Administrator) -> Response:
    tenant = open_company(db.session, company)
    _audit("tenant.opened", tenant, after=company.values)
    if administrator.email:
        _invite(tenant, administrator)
    db.session.commit()
    flash(_("%(name)s is open.", name=tenant.name), "info")
    return _to(tenant)


def _opened_before(company: Company) -> Tenant | None:
    """By this very form, sent twice: the same in every field, and just now."""
    tenant = db.session.scalar(sa.select(Tenant).where(Tenant.slug == company.slug))
    if tenant is None or tenant.created_at <= utc_now() - timedelta(minutes=10):
        return None
    return tenant if Company.of(tenant) == company else None


def _new_page(company: Company, administrator: Administrator, errors: Errors) -> Response:
    values = {"form": company, "administrator": administrator, "errors": errors, "submission": fresh_key()}
    return make_response(render_template("operator/new.html", **values, **_choices()), 422 if errors else 200)


@blueprint.route("/tenants/<int:tenant_id>", methods=["GET", "POST"])
@writes
def tenant(tenant_id: int) -> Response:
    """One company. Looking at it is written into its log."""
    shown = _tenant(tenant_id)
    if request.method in SAFE_METHODS:
        _audit("tenant.viewed", shown)
        db.session.commit()
        return _tenant_page(shown)
    lock_tenant(db.session, tenant_id)
    db.session.refresh(shown)  # as it is now that nobody else changes it
    company = _read_company(shown)
    faults = judge_company(company) | overtaken(asdict(Company.of(shown)), asdict(company))
    if errors := said_all(faults):
        db.session.rollback()
        return _tenant_page(_tenant(tenant_id), form=company, errors=errors)
    try:
        before, after = change_company(db.session, shown, company)
    except Refused as refusal:
        db.session.rollback()
        return _tenant_page(_tenant(tenant_id), form=company, errors={refusal.field or "form": said(refusal)})
    if after:
        _audit("tenant.changed", shown, before=before, after=after)
    db.session.commit()
    flash(_licence_text(shown) if "fax_channels" in after else _("Saved."), "info")
    return _to(shown)


def _licence_text(shown: Tenant) -> str:
    """What a smaller licence means: nothing that exists is taken away."""
    licence = licence_of(db.session, shown.id)
    if not licence.is_exceeded:
        return _("Saved.")
    return ngettext(
        "Saved. The company has %(num)d fax line but %(channels)s licensed channels. It keeps it, but cannot add any "
        "until more channels are licensed.",
        "Saved. The company has %(num)d fax lines but %(channels)s licensed channels. It keeps them, but cannot add "
        "any until more channels are licensed.",
        licence.used,
        channels=licence.channels,
    )


def _administrators(shown: Tenant) -> list[tuple[User, Any]]:
    """Each with until when their invitation may be accepted."""
    administrators = sa.select(User).where(administers(shown.id))
    users = db.session.scalars(administrators.where(User.disabled_at.is_(None)).order_by(User.name)).all()
    return [(user, invited_until(db.session, user) if user.is_invited else None) for user in users]


def _tenant_page(
    shown: Tenant,
    *,
    form: Company | None = None,
    administrator: Administrator | None = None,
    reason: str = "",
    errors: Errors | None = None,
) -> Response:
    (row,) = tenants_now(db.session, utc_now(), only=shown.id)
    values = {
        "shown": shown,
        "row": row,
        "form": form or Company.of(shown),
        "stamp": stamp_of(asdict(Company.of(shown))),
        "administrator": administrator or Administrator(),
        "administrators": _administrators(shown),
        "reason": reason,
        "let_in": lets_in(shown, utc_now()),
        "errors": errors or {},
        "submission": fresh_key(),
        "quotas": quotas_of(db.session, shown),
        **quota_words(),
    }
    return make_response(render_template("operator/tenant.html", **values, **_choices()), 422 if errors else 200)


# ---- Its administrators


def _invite(tenant: Tenant, administrator: Administrator) -> User:
    key = request.form.get("submission", "")[:64] or fresh_key()
    user = invite(db.session, tenant, administrator.details, by=current_user, submission_key=key)
    _audit("user.invited", tenant, user.email, after={"email": user.email, "name": user.name, "role": Role.ADMIN})
    return user


@blueprint.post("/tenants/<int:tenant_id>/administrators")
def invite_administrator(tenant_id: int) -> Response:
    shown, administrator = _tenant(tenant_id), Administrator.read()
    errors = administrator.judge()
    if not errors and shown.deleting_at:
        errors["admin_email"] = said(Refused("tenant_deleting"))
    if not errors:
        try:
            user = _invite(shown, administrator)
        except Refused as refusal:
            db.session.rollback()
            if made_by_form(db.session, current_user, request.form.get("submission", "")[:64]):
                return _to(_tenant(tenant_id), "administrators")
            errors[f"admin_{refusal.field}"] = said(refusal)
        else:
            db.session.commit()
            flash(
                _("%(name)s has been invited: an email is on its way to %(email)s.", name=user.name, email=user.email),
                "info",
            )
            return _to(shown, "administrators")
    return _tenant_page(_tenant(tenant_id), administrator=administrator, errors=errors)


@blueprint.post("/tenants/<int:tenant_id>/administrators/<int:user_id>/invite")
def invite_again(tenant_id: int, user_id: int) -> Response:
    """A fresh link for an administrator who has not come yet."""
    shown, user = _tenant(tenant_id), _invited_administrator(tenant_id, user_id)
    if mail_again(db.session, user, LinkPurpose.INVITATION, by=current_user):
        _audit("user.invited_again", shown, user.email)
    db.session.commit()
    flash(_("A new link is on its way to %(email)s.", email=user.email), "info")
    return _to(shown, "administrators")


@blueprint.post("/tenants/<int:tenant_id>/administrators/<int:user_id>/withdrawal")
def withdraw(tenant_id: int, user_id: int) -> Response:
    """Of an invitation to administer that nobody has accepted, such as one to a wrong address."""
    lock_tenant(db.session, tenant_id)
    shown, user = _tenant(tenant_id), _invited_administrator(tenant_id, user_id)
    name, email = user.name, user.email
    try:
        withdraw_invitation(db.session, user)
    except Refused as refusal:
        db.session.rollback()
        flash(said(refusal), "error")
        return _to(_tenant(tenant_id), "administrators")
    _audit("user.invitation_withdrawn", shown, email, before={"email": email, "name": name})
    db.session.commit()
    flash(_("The invitation for %(name)s was withdrawn, and the address is free again.", name=name), "info")
    return _to(shown, "administrators")


def _invited_administrator(tenant_id: int, user_id: int) -> User:
    mine = sa.select(User).where(User.id == user_id, administers(tenant_id))
    return db.session.scalar(mine.where(User.password_hash.is_(None), User.disabled_at.is_(None))) or abort(404)


# ---- Suspending and reopening


@blueprint.post("/tenants/<int:tenant_id>/suspend")
def suspend_tenant(tenant_id: int) -> Response:
    shown, reason = _tenant(tenant_id), " ".join(request.form.get("reason", "").split())
    try:
        done = suspend(db.session, shown, reason)
    except Refused as refusal:
        return _tenant_page(shown, reason=reason, errors={"reason": said(refusal)})
    if done:
        _audit("tenant.suspended", shown, after={"reason": reason} if reason else None)
    db.session.commit()
    flash(_("%(name)s is suspended: nothing is sent, but faxes still arrive.", name=shown.name), "info")
    return _to(shown)


@blueprint.post("/tenants/<int:tenant_id>/reopen")
def reopen_tenant(tenant_id: int) -> Response:
    shown = _tenant(tenant_id)
    try:
        done = reopen(db.session, shown)
    except Refused as refusal:
        db.session.rollback()
        flash(said(refusal), "error")
        return _to(_tenant(tenant_id))
    if done:
        _audit("tenant.reopened", shown)
    db.session.commit()
    flash(_("%(name)s is open again: waiting faxes are being sent.", name=shown.name), "info")
    return _to(shown)


# ---- Taking away and deleting


@blueprint.post("/tenants/<int:tenant_id>/export")
def export_tenant(tenant_id: int) -> Response:
    """Everything that the company has: its own log says who took it. With its contents in clear only while it lets
    operators in; otherwise sealed with a key that its administrators alone are shown."""
    shown = _tenant(tenant_id)
    key = None if lets_in(shown, utc_now()) else export_key(db.session, shown)
    _audit("tenant.exported", shown, after={"sealed": key is not None})
    name, company_id = f"{shown.slug}-{utc_now():%Y-%m-%d}.zip", shown.id
    db.session.commit()
    app = this_application()
    body, kind = stream_tenant(app, tenant_id=company_id, language=language()), "application/zip"
    if key is not None:
        name, body, kind = f"{name}{ENDING}", sealed_export(body, key), "application/octet-stream"
    response = Response(body, mimetype=kind)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


@blueprint.route("/tenants/<int:tenant_id>/delete", methods=["GET", "POST"])
def delete_tenant(tenant_id: int) -> Response:
    """Only of a suspended company, and only for who types its short name."""
    shown = _tenant(tenant_id)
    if request.method in SAFE_METHODS:
        return _delete_page(shown, "", {})
    typed, address = request.form.get("slug", "").strip(), request.remote_addr
    try:
        begin_erasing(db.session, shown, typed, by=current_user, remote_address=address)
    except Refused as refusal:
        db.session.rollback()
        return _delete_page(_tenant(tenant_id), typed, {"slug": said(refusal)})
    name = shown.name
    db.session.commit()
    flash(_("%(name)s is being deleted. This may take a while and continues automatically.", name=name), "info")
    return redirect(url_for("operator.tenants"), 303)


def _delete_page(shown: Tenant, typed: str, errors: Errors) -> Response:
    values = {"shown": shown, "typed": typed, "errors": errors, "users": _count_users(shown)}
    return make_response(render_template("operator/delete.html", **values), 422 if errors else 200)


def _count_users(shown: Tenant) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(User).where(User.tenant_id == shown.id)) or 0


# ---- Numbers


@blueprint.get("/figures")
def figures() -> str:
    return installation_figures()


# ---- What was done to the installation itself


@blueprint.get("/log")
def log() -> str:
    """The acts that belong to no company, the deletion of companies above all."""
    events = read_events(db.session, None, ZoneInfo("UTC"), AuditFilters(), size=MOST_EVENTS)
    return render_template("operator/log.html", entries=with_people(db.session, events))
