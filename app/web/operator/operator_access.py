"""Whether the operators of the installation may see what the company faxes, and until when."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response

from app.rules.operator.operator_access import TERMS, export_key, let_in, lets_in, shut_out
from app.web.site.administration import administrators_only, audit_act, own_tenant
from tenants.db import db, utc_now
from tenants.models import Tenant
from tenants.scope import lock_tenant

blueprint = Blueprint("operator_access", __name__, url_prefix="/operator-access")
blueprint.before_request(administrators_only)

TERM_NAMES = {"hour": _l("For an hour"), "day": _l("For a day"), "week": _l("For a week")}


def _locked() -> Tenant:
    lock_tenant(db.session, current_user.company_id)
    return db.session.get_one(Tenant, current_user.tenant_id, populate_existing=True)


@blueprint.get("")
def access() -> str:
    return _page()


def _page(key: str | None = None) -> str:
    tenant = own_tenant()
    until = tenant.operator_until if lets_in(tenant, utc_now()) else None
    return render_template("operator/access.html", until=until, terms=TERM_NAMES, key=key)


@blueprint.post("")
def change() -> Response:
    """``term`` is one of TERMS, or empty to shut them out."""
    tenant, term = _locked(), request.form.get("term", "")
    if term in TERMS:
        until = let_in(tenant, term, utc_now())
        audit_act("tenant.operator_let_in", tenant.name, after={"until": f"{until:%Y-%m-%d %H:%M} UTC"})
        told = _("The operator may see your faxes until the time below. You can end this earlier.")
    else:
        if lets_in(tenant, utc_now()):
            audit_act("tenant.operator_shut_out", tenant.name)
        shut_out(tenant)
        told = _("The operator cannot see your faxes.")
    db.session.commit()
    flash(told, "info")
    return redirect(url_for("operator_access.access"), 303)


@blueprint.post("/key")
def key() -> str:
    """Shown in this answer only."""
    text = export_key(db.session, _locked())
    audit_act("tenant.export_key_shown", current_user.company.name)
    db.session.commit()
    return _page(text)
