"""Mail2Fax boxes: the mailboxes whose mails become faxes."""

import logging
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any

from cryptography.fernet import InvalidToken
from flask import Blueprint, abort, current_app, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from htmx_flask import request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from app.adapters.mail.imap import look_into
from app.adapters.mail.pgp import key_text
from app.adapters.mail.pgp_mail import box_key_fault
from app.adapters.mail.tokens import TRYING_SECONDS
from app.config import Settings
from app.errors import FaxroomError, Refused
from app.models import BoxSignIn, Mail2FaxBox
from app.rules.mail2fax.box_sign_in import GOOGLE, GOOGLE_SERVICE, MICROSOFT, OTHER, PASSWORD, PROVIDERS, SignInDetails
from app.rules.mail2fax.boxes import (
    MOST_KEY,
    USUAL_POLL,
    BoxDetails,
    boxes_of,
    details_of,
    entities_of,
    judge_box,
    lines_by_method,
    names_without_server,
    put_box,
    read_key,
    read_server_name,
    remove_box,
    require_proof,
    shown,
)
from app.rules.words.sentences import sentence
from app.services.mail2fax.box_access import access_to, note_failure
from app.web.people.credentials import Errors, said, said_all
from app.web.site.administration import administrators_only, audit_act, own_tenant
from app.web.site.guard import SAFE_METHODS, reads
from app.web.site.submissions import overtaken, stamp_of
from tenants.db import db
from tenants.models import Tenant
from tenants.scope import get_owned, lock_tenant

log = logging.getLogger(__name__)

blueprint = Blueprint("mail2fax", __name__, url_prefix="/mail2fax")
blueprint.before_request(administrators_only)

SECURITIES = {
    "tls": _l("TLS (usually port 993)"),
    "starttls": _l("STARTTLS (usually port 143)"),
    "none": _l("None (only inside your own network)"),
}


#: How a box signs in, in words.
WAYS = {
    PASSWORD: _l("Password"),
    MICROSOFT: _l("Microsoft 365 (OAuth)"),
    GOOGLE: _l("Google Workspace (OAuth)"),
    GOOGLE_SERVICE: _l("Google Workspace (service account)"),
    OTHER: _l("Another provider (OAuth)"),
}
TYPED_SIGN_IN = tuple(one.name for one in fields(SignInDetails) if one.name != "way")


def _box(box_id: int) -> Mail2FaxBox:
    """Of the administrator's own company, or there is none."""
    return get_owned(db.session, Mail2FaxBox, box_id, current_user.company_id) or abort(404)


@blueprint.get("")
def boxes() -> Response:
    return _boxes_page(own_tenant().mail_proof_required, {})


def _boxes_page(required: bool, errors: Errors) -> Response:
    tenant_id = current_user.company_id
    rows = [(box, details_of(box), names) for box, names in boxes_of(db.session, tenant_id)]
    values = {"rows": rows, "required": required, "errors": errors}
    values |= {"has_door": current_app.config["SETTINGS"].door.is_open}
    nameless = names_without_server(db.session, tenant_id)
    return make_response(render_template("mail2fax/boxes.html", **values, nameless=nameless), 422 if errors else 200)


@blueprint.post("/proof")
def proof() -> Response:
    """Whether the mail server has to vouch for every sender; it holds at once."""
    tenant, required = own_tenant(), request.form.get("required") == "yes"
    lock_tenant(db.session, tenant.id)
    db.session.refresh(tenant)  # as it is now that nobody else changes it
    before = tenant.mail_proof_required
    try:
        require_proof(db.session, tenant, required)
    except Refused as refusal:
        db.session.rollback()
        return _boxes_page(required, {"required": said(refusal)})
    if required != before:
        values = {"before": {"mail_proof_required": before}, "after": {"mail_proof_required": required}}
        audit_act("mail2fax.changed", tenant.name, **values)
    db.session.commit()
    told = _("From now on, an email becomes a fax only if the mail server confirms its sender.")
    flash(told if required else _("Confirmation by the mail server is no longer required."), "info")
    return redirect(url_for("mail2fax.boxes"), 303)


def read_details() -> BoxDetails:
    names = ("name", "email", "host", "port", "security", "folder", "username", "poll_seconds")
    typed: dict[str, Any] = {name: request.form.get(name, "").strip()[:400] for name in names}
    upload = request.files.get("private_key_file")
    key = read_key(key_text(upload.stream.read(2 * MOST_KEY + 1))) if upload and upload.filename else ""
    key = key or request.form.get("private_key", "").strip()[: MOST_KEY + 1]
    server_name = read_server_name(request.form.get("authserv_id", "")[:2000])[:400]
    password, programs = request.form.get("password", "")[:1000], request.form.get("programs", "").strip()[:20_000]
    sign_in = SignInDetails(
        **{name: request.form.get(name, "").strip()[:8001] for name in TYPED_SIGN_IN}
        | {"way": request.form.get("way", PASSWORD)}
    )
    secrets: dict[str, Any] = {"password": password, "private_key": key, "sign_in": sign_in}
    return BoxDetails(authserv_id=server_name, programs=programs, **secrets, **typed)


@blueprint.route("/new", methods=["GET", "POST"])
def new_box() -> Response:
    if request.method in SAFE_METHODS:
        return _box_page(BoxDetails(), None, {})
    return _save(None, read_details())


@blueprint.route("/<int:box_id>", methods=["GET", "POST"])
def box(box_id: int) -> Response:
    known = _box(box_id)
    if known.is_door:
        return redirect(url_for("door.box", box_id=box_id), 303)
    if request.method in SAFE_METHODS:
        return _box_page(details_of(known), known, {})
    return _save(known, read_details())


def _save(known: Mail2FaxBox | None, details: BoxDetails) -> Response:
    box_id = known.id if known else None
    had_person = bool(known and known.sign_in and known.sign_in.signed_in_as)
    errors = said_all(
        judge_box(
            details,
            has_password=bool(known and not known.sign_in),
            key_fault=box_key_fault,
            sign_in=known.sign_in if known else None,
        )
    )
    saved = save_box(known, details, errors, put_box)
    if saved is None:
        return _box_page(details, _box(box_id) if box_id else None, errors)
    row = saved.sign_in
    waits_for_person = row and not _has_refresh_token(row) and (had_person or PROVIDERS[row.provider].needs_person)
    flash(_("Saved. Now sign in to the mailbox.") if waits_for_person else _("Saved. Now test the mailbox."), "info")
    return redirect(url_for("mail2fax.box", box_id=saved.id), 303)


def save_box(
    known: Mail2FaxBox | None,
    details: BoxDetails,
    errors: Errors,
    put: Callable[[Session, Tenant, Mail2FaxBox | None, BoxDetails], Mail2FaxBox],
) -> Mail2FaxBox | None:
    """Saved, audited and committed. None if there are ``errors``, or ``put`` adds one: then nothing was changed."""
    lock_tenant(db.session, current_user.company_id)
    if known:
        db.session.refresh(known)  # as it is now that nobody else changes it
        errors |= said_all(overtaken(asdict(details_of(known)), asdict(without_secrets(details))))
    before = shown(known) if known else None
    try:
        saved = None if errors else put(db.session, own_tenant(), known, details)
    except Refused as refusal:
        errors[refusal.field or "form"], saved = said(refusal), None
    if saved is None:
        db.session.rollback()
        return None
    _audit_box(saved, before, details)
    db.session.commit()
    return saved


def _audit_box(saved: Mail2FaxBox, before: dict[str, Any] | None, details: BoxDetails) -> None:
    after = shown(saved)
    typed = {name: getattr(details, name) for name in ("password", "private_key")}
    typed |= {name: getattr(details.sign_in, name) for name in ("client_secret", "service_key", "refresh_token")}
    secrets = {name: "changed" for name, text in typed.items() if text}
    if before is None:
        audit_act("box.added", saved.name, after=after)
        return
    changed = {name: after.get(name) for name in before | after if before.get(name) != after.get(name)}
    if changed or secrets:
        audit_act(
            "box.changed", before["name"], before={name: before.get(name) for name in changed}, after=changed | secrets
        )


def _box_page(details: BoxDetails, known: Mail2FaxBox | None, errors: Errors, **more: Any) -> Response:
    """Secrets that were typed do not come back: they would stand in the page."""
    used_by = entities_of(db.session, known) if known else []
    has_key = bool(known and _has_key(known))
    values: dict[str, object] = {
        "form": without_secrets(details),
        "stamp": stamp_of(asdict(details_of(known))) if known else "",
        "box": known,
        "errors": errors,
        "securities": SECURITIES,
        "ways": WAYS,
        "used_by": used_by,
    }
    values |= {"lines": lines_by_method(db.session, known) if known else {}, "usual_poll": USUAL_POLL}
    values |= {"signed_in": bool(known and known.sign_in and _has_refresh_token(known.sign_in))}
    values |= {"proof_required": own_tenant().mail_proof_required}
    return make_response(
        render_template("mail2fax/box.html", **values, has_key=has_key, **more), 422 if errors else 200
    )


def without_secrets(details: BoxDetails) -> BoxDetails:
    sign_in = replace(details.sign_in, client_secret="", service_key="", refresh_token="")
    return replace(details, password="", private_key="", sign_in=sign_in)


def _has_refresh_token(row: BoxSignIn) -> bool:
    try:
        return row.refresh_token is not None
    except InvalidToken:
        return True


def _has_key(known: Mail2FaxBox) -> bool:
    try:
        return known.private_key is not None
    except InvalidToken:  # sealed with a key that is gone
        return True


@blueprint.post("/<int:box_id>/test")
@reads
def test_box(box_id: int) -> Response:
    """Sign in and look; no transaction is open while the mail server thinks."""
    if _box(box_id).is_door:
        abort(404)
    settings: Settings = current_app.config["SETTINGS"]
    try:
        found = _look(_box(box_id), settings)
    except FaxroomError as failure:
        log.warning("mailbox %s: %s", box_id, failure)
        tried = {"works": False, "told": sentence(failure.code, **{"reason": "–", **failure.values})}
    else:
        idle = (
            _("The server reports new emails at once (IDLE).") if found.idle else _("The mailbox is checked regularly.")
        )
        told = ngettext(
            "Signed in. The folder %(folder)s holds %(num)d message.",
            "Signed in. The folder %(folder)s holds %(num)d messages.",
            found.messages,
            folder=found.folder,
        )
        tried = {"works": True, "told": f"{told} {idle}"}
    db.session.rollback()
    if request.htmx:
        return make_response(render_template("setup/settings/tried.html", tried=tried))
    known = _box(box_id)
    return _box_page(details_of(known), known, {}, tried=tried)


def _look(known: Mail2FaxBox, settings: Settings) -> Any:
    box_id = known.id
    server, place, username, secret = access_to(known, seconds=TRYING_SECONDS)
    try:
        return look_into(place, username, secret, server.folder, allowed=settings.private_hosts)
    except FaxroomError as failure:
        note_failure(box_id, failure)
        raise


@blueprint.post("/<int:box_id>/forget-key")
def forget_key(box_id: int) -> Response:
    known = _box(box_id)
    if _has_key(known):
        known.private_key = None
        audit_act("box.changed", known.name, after={"private_key": "removed"})
        db.session.commit()
        flash(_("The private key was removed. Encrypted emails to this box can no longer be opened."), "info")
    return redirect(url_for("mail2fax.box", box_id=box_id), 303)


@blueprint.post("/<int:box_id>/remove")
def remove(box_id: int) -> Response:
    """Asked once more."""
    known = _box(box_id)
    if request.form.get("really") != "yes" and not entities_of(db.session, known):
        return make_response(render_template("mail2fax/remove.html", box=known))
    name, before = known.name, shown(known)
    try:
        remove_box(db.session, known)
    except Refused as refusal:
        db.session.rollback()
        known = _box(box_id)
        if known.is_door:
            flash(said(refusal), "error")
            return redirect(url_for("door.box", box_id=box_id), 303)
        return _box_page(details_of(known), known, {"form": said(refusal)})
    audit_act("box.removed", name, before=before)
    db.session.commit()
    flash(_("%(name)s was removed.", name=name), "info")
    return redirect(url_for("mail2fax.boxes"), 303)
