"""When the administrators of a company are warned by mail that faxes fail or stand still."""

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.rules.figures.alert_settings import BOUNDS, alert_settings_of, judge_alert_settings, set_alerts
from app.web.people.credentials import Errors, said_all
from app.web.site.administration import administrators_only, audit_act, own_tenant
from app.web.site.guard import SAFE_METHODS
from app.web.site.submissions import overtaken, stamp_of
from tenants.db import db
from tenants.scope import lock_tenant

blueprint = Blueprint("alerts", __name__, url_prefix="/figures/alerts")
blueprint.before_request(administrators_only)


@blueprint.route("", methods=["GET", "POST"])
def alerts() -> Response:
    if request.method in SAFE_METHODS:
        return _page({name: str(number) for name, number in alert_settings_of(own_tenant()).items()}, {})
    typed = {name: request.form.get(name, "") for name in BOUNDS}
    numbers, faults = judge_alert_settings(typed)
    if faults:
        return _page(typed, said_all(faults))
    lock_tenant(db.session, current_user.company_id)
    tenant = own_tenant()
    db.session.refresh(tenant)  # as it is now that nobody else changes it
    before = alert_settings_of(tenant)
    if faults := overtaken(before, numbers):
        return _page(typed, said_all(faults))
    if changed := [name for name in BOUNDS if numbers[name] != before[name]]:
        set_alerts(tenant, numbers)
        old, new = ({name: values[name] for name in changed} for values in (before, numbers))
        audit_act("settings.alerts_changed", tenant.name, before=old, after=new)
    db.session.commit()
    flash(_("Saved."), "info")
    return redirect(url_for("alerts.alerts"), 303)


def _page(form: dict[str, str], errors: Errors) -> Response:
    stamp = stamp_of(dict(alert_settings_of(own_tenant())))
    page = render_template("figures/alerts.html", form=form, errors=errors, stamp=stamp)
    return make_response(page, 422 if errors else 200)
