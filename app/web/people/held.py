"""Faxes of people who may not send any more: an administrator lets them go, or cancels them."""

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.errors import Refused
from app.models import Fax
from app.rules.numbers.numbers import shown_number
from app.rules.sending import senders
from app.rules.sending.lifecycle import request_cancel
from app.web.people.credentials import said
from app.web.site.administration import administrators_only, audit_act
from tenants.db import db

blueprint = Blueprint("held", __name__, url_prefix="/held")
blueprint.before_request(administrators_only)


@blueprint.app_template_global()
def held_fax_count() -> int:
    """For the administration's pages, which say so."""
    return senders.count_held(db.session, current_user.tenant_id) if current_user.tenant_id else 0


@blueprint.get("")
def held() -> str:
    tenant = current_user.company
    values = {"faxes": senders.held_faxes(db.session, tenant.id), "tenant": tenant}
    return render_template("people/held.html", **values, shown_number=lambda number: shown_number(number, tenant))


def _fax(fax_id: str) -> Fax:
    return senders.get_held(db.session, current_user.company_id, fax_id) or abort(404)


@blueprint.post("/<fax_id>/release")
def release(fax_id: str) -> Response:
    fax = _fax(fax_id)
    try:
        senders.release(db.session, fax, current_user)
    except Refused as refusal:
        db.session.rollback()
        flash(said(refusal), "error")
    else:
        audit_act("fax.released", f"{fax.number}: {fax.remote_number}")
        db.session.commit()
        flash(_("Fax no. %(number)s was released.", number=fax.number), "info")
    return redirect(url_for("held.held"), 303)


@blueprint.post("/<fax_id>/cancel")
def cancel(fax_id: str) -> Response:
    fax = _fax(fax_id)
    audit_act("fax.cancelled", f"{fax.number}: {fax.remote_number}")
    number = fax.number
    if request_cancel(db.session, fax, current_user):
        flash(_("Fax no. %(number)s was cancelled.", number=number), "info")
    return redirect(url_for("held.held"), 303)
