"""A company's boxes at the door: its addresses, and what its copiers and programs sign in with."""

from dataclasses import asdict, replace
from typing import Any

from flask import Blueprint, abort, current_app, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user
from htmx_flask import request
from werkzeug.wrappers import Response

from app.adapters.mail.pgp_mail import box_key_fault
from app.config import DoorSettings
from app.errors import Refused
from app.models import Mail2FaxBox
from app.rules.mail2fax.boxes import BoxDetails, details_of, lines_by_method
from app.rules.mail2fax.door import (
    DOOR_FIELDS,
    addresses_of,
    credentials_of,
    domain_of,
    end_credential,
    judge_door_box,
    label_of,
    lines_at,
    make_credential,
    put_door_box,
    senders_of,
)
from app.rules.mail2fax.door import shown as shown_credential
from app.web.mail2fax.boxes import read_details, save_box, without_secrets
from app.web.people.credentials import Errors, said, said_all
from app.web.site.administration import administrators_only, audit_act, own_tenant
from app.web.site.guard import SAFE_METHODS
from app.web.site.submissions import stamp_of
from app.whole_numbers import read_whole
from tenants.db import db, utc_now
from tenants.scope import get_owned

blueprint = Blueprint("door", __name__, url_prefix="/mail2fax/door")
blueprint.before_request(administrators_only)


def _settings() -> DoorSettings:
    settings: DoorSettings = current_app.config["SETTINGS"].door
    return settings


def _box(box_id: int) -> Mail2FaxBox:
    """Of the administrator's own company and at the door, or there is none."""
    known = get_owned(db.session, Mail2FaxBox, box_id, current_user.company_id)
    return known if known and known.is_door else abort(404)


def _domain() -> str:
    return domain_of(own_tenant(), _settings().domain)


@blueprint.route("/new", methods=["GET", "POST"])
def new_box() -> Response:
    if request.method in SAFE_METHODS:
        domain, name = _domain(), label_of(own_tenant().slug)
        return _page(BoxDetails(email=f"{name}@{domain}" if domain else ""), None, {})
    return _save(None, read_details())


@blueprint.route("/<int:box_id>", methods=["GET", "POST"])
def box(box_id: int) -> Response:
    known = _box(box_id)
    if request.method in SAFE_METHODS:
        return _page(details_of(known), known, {})
    typed = read_details()  # what the form does not have stays as it is
    return _save(known, replace(details_of(known), **{name: getattr(typed, name) for name in DOOR_FIELDS}))


def _save(known: Mail2FaxBox | None, details: BoxDetails) -> Response:
    box_id = known.id if known else None
    errors: Errors = {}
    if known is None and not (_settings().is_open and _domain()):
        errors["form"] = said(Refused("door_closed"))
    domain = known.address.address.rpartition("@")[2] if known and known.address.address == details.email else _domain()
    errors |= said_all(judge_door_box(details, domain.lower(), key_fault=box_key_fault))
    saved = save_box(known, details, errors, put_door_box)
    if saved is None:
        return _page(details, _box(box_id) if box_id else None, errors)
    flash(_("Saved."), "info")
    return redirect(url_for("door.box", box_id=saved.id), 303)


def _page(
    details: BoxDetails, known: Mail2FaxBox | None, errors: Errors, *, status: int | None = None, **more: Any
) -> Response:
    """The secret key that was typed does not come back: it would stand in the page."""
    settings, domain = _settings(), _domain()
    values: dict[str, Any] = {"form": without_secrets(details), "box": known, "errors": errors}
    values["stamp"] = stamp_of(asdict(details_of(known))) if known else ""
    values |= {"settings": settings, "domain": domain, "lines": {}, "addresses": [], "credentials": [], "people": []}
    if known:
        values |= {
            "lines": lines_by_method(db.session, known),
            "addresses": addresses_of(lines_at(db.session, known), domain) if domain else [],
            "credentials": credentials_of(db.session, known),
            "people": senders_of(db.session, known.tenant_id),
        }
    page = render_template("mail2fax/door.html", **values, **({"typed_name": "", "typed_person": ""} | more))
    return make_response(page, status or (422 if errors else 200))


# ---- What signs in


@blueprint.post("/<int:box_id>/credentials")
def add_credential(box_id: int) -> Response:
    """The answer is the page itself: what it shows is nowhere else."""
    known = _box(box_id)
    name = " ".join(request.form.get("credential_name", "").split())[:200]
    person = request.form.get("person", "")[:20]
    user_id = read_whole(person, least=1, most=2**53) if person else None
    try:
        if person and user_id is None:
            raise Refused("door_person", field="person")
        made, secret = make_credential(db.session, known, name=name, user_id=user_id)
    except Refused as refusal:
        db.session.rollback()
        known, errors = _box(box_id), {refusal.field or "form": said(refusal)}
        return _page(details_of(known), known, errors, typed_name=name, typed_person=person)
    audit_act("door.credential_made", f"{known.name}: {made.name}", after=shown_credential(made))
    db.session.commit()
    groups = " ".join(secret[at : at + 8] for at in range(0, len(secret), 8))
    answer = _page(details_of(known), known, {}, made=made, secret=groups)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.post("/<int:box_id>/credentials/<int:credential_id>/end")
def end(box_id: int, credential_id: int) -> Response:
    """From now on. Who is signed in with it hands in nothing more."""
    known = _box(box_id)
    if ended := end_credential(db.session, known, credential_id, utc_now()):
        audit_act("door.credential_ended", f"{known.name}: {ended.name}", before=shown_credential(ended))
        db.session.commit()
        flash(_("%(name)s can no longer sign in.", name=ended.name), "info")
    return redirect(url_for("door.box", box_id=box_id, _anchor="credentials"), 303)
