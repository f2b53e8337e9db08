"""Templates: how lines send, when they try again, what they may dial. What is saved here holds once it is applied."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response

from app.errors import Refused
from app.models import FaxTemplate, PendingChange
from app.rules.sending.ladder import RATES
from app.rules.sending.retry import DELAYS
from app.rules.setup.changes import ADD, REMOVE, Values, pending
from app.rules.setup.templates import (
    ADDED_LATER,
    CAUSE_NAMES,
    CAUSES,
    KIND,
    NUMBERS,
    PAGE_SIZES,
    TemplateDetails,
    demand_name_free,
    details_of,
    judge_template,
    templates_of,
    users_of_templates,
    values_of,
)
from app.web.people.credentials import Errors, said, said_all
from app.web.setup.changes import KINDS, Kind
from app.web.setup.saved_subject import SavedSubject
from app.web.site.administration import administrators_only, own_tenant
from app.web.site.guard import SAFE_METHODS
from app.web.site.submissions import overtaken
from app.whole_numbers import read_whole
from tenants.db import db
from tenants.models import Tenant
from tenants.scope import get_owned, lock_tenant

blueprint = Blueprint("templates", __name__, url_prefix="/templates")
blueprint.before_request(administrators_only)

RESOLUTION_NAMES = {"fine": _l("Fine (196 lines per inch)"), "standard": _l("Standard (98 lines per inch)")}
PAGE_SIZE_NAMES = dict.fromkeys(PAGE_SIZES) | {"A4": "A4", "Letter": "Letter"}
#: Text fields, with the most that is read of each.
TEXTS = {"name": 200, "header": 200, "station_id": 100, "resolution": 20, "page_size": 20, "max_rate": 10}
TEXTS |= dict.fromkeys(NUMBERS, 20) | {"allowed_prefixes": 5_000, "forbidden_prefixes": 5_000}
FLAGS = ("ecm", "t38", "premium_allowed")


def _address(change: PendingChange) -> str:
    if change.act == ADD:
        return url_for("templates.added", change_id=change.id)
    return url_for("templates.template", template_id=change.target_id)


KINDS[KIND] = Kind(_l("Template"), _address)


class TemplateSubject(SavedSubject[FaxTemplate]):
    kind = KIND

    @property
    def live(self) -> Values:
        return values_of(self.row) if self.row else {}

    @property
    def url(self) -> str:
        if self.row:
            return url_for("templates.template", template_id=self.row.id)
        return url_for("templates.added", change_id=self.change.id if self.change else None)


def _known(template_id: int) -> TemplateSubject:
    return TemplateSubject.known(get_owned(db.session, FaxTemplate, template_id, current_user.company_id) or abort(404))


# ---- The list


@blueprint.get("")
def templates() -> str:
    subjects = TemplateSubject.each(templates_of(db.session, current_user.company_id))
    used_by = users_of_templates(db.session, current_user.company_id)
    return render_template("setup/templates/templates.html", subjects=subjects, used_by=used_by)


# ---- The form


def _read() -> TemplateDetails:
    form = request.form
    texts = {name: form.get(name, str(ADDED_LATER.get(name, ""))) for name in TEXTS}
    texts = {name: text.replace("\0", "").strip()[: TEXTS[name]] for name, text in texts.items()}
    delays = {cause: form.get(f"delay_{cause}", "").strip()[:20] for cause in CAUSES}
    never = frozenset(cause for cause in CAUSES if form.get(f"never_{cause}") == "yes")
    return TemplateDetails(
        ecm=form.get("ecm") == "yes",
        t38=form.get("t38") == "yes",
        premium_allowed=form.get("premium_allowed") == "yes",
        delays=delays,
        never=never,
        **texts,
    )


@blueprint.route("/new", methods=["GET", "POST"])
def new_template() -> Response:
    """Empty, or as another one is (``like``)."""
    if request.method not in SAFE_METHODS:
        return _save(None)
    like = request.args.get("like", "", type=str)
    like_id = read_whole(like)
    known = _known(like_id) if like_id is not None else None
    details = replace(details_of(known.wanted), name="") if known else TemplateDetails()
    return _page(None, details, {})


@blueprint.route("/<int:template_id>", methods=["GET", "POST"])
def template(template_id: int) -> Response:
    return _template(_known(template_id))


@blueprint.route("/added/<int:change_id>", methods=["GET", "POST"])
def added(change_id: int) -> Response:
    return _template(TemplateSubject.only_saved(change_id))


def _template(subject: TemplateSubject) -> Response:
    if request.method in SAFE_METHODS:
        return _page(subject, details_of(subject.wanted), {})
    return _save(subject)


def _save(subject: TemplateSubject | None) -> Response:
    tenant, details = own_tenant(), _read()
    lock_tenant(db.session, tenant.id)
    values, faults = judge_template(details, tenant.region)
    faults |= {} if "name" in faults else _name_fault(tenant, subject, values["name"])
    faults |= overtaken(subject.wanted, values) if subject else {}
    if errors := said_all(faults):
        return _page(subject, details, errors)
    subject = subject or TemplateSubject(None, None)
    row = subject.keep(subject.live, values)
    db.session.commit()
    flash(_("Saved. Takes effect when you apply your changes.") if row else _("Nothing changed."))
    return _to_list()


def _name_fault(tenant: Tenant, subject: TemplateSubject | None, name: str) -> dict[str, Refused]:
    """What this person has saved counts as if it were applied; what comes of two together is judged when it is."""
    saved = [row for row in pending(db.session, current_user) if row.kind == KIND]
    mine = subject.change.id if subject and subject.change else None
    wanted = {row.after.get("name", "").casefold() for row in saved if row.id != mine and row.act != REMOVE}
    if name.casefold() in wanted:
        return {"name": Refused("template_name_taken", field="name")}
    leaving = {row.target_id for row in saved if row.act == REMOVE or "name" in row.after}
    template_id = subject.row.id if subject and subject.row else None
    try:
        demand_name_free(db.session, tenant, name, template_id=template_id, except_ids=leaving)
    except Refused as refusal:
        return {"name": refusal}
    return {}


def _to_list() -> Response:
    return redirect(url_for("templates.templates"), 303)


def _page(subject: TemplateSubject | None, details: TemplateDetails, errors: Errors) -> Response:
    used_by: list[Any] = []
    if subject and subject.row:
        used_by = users_of_templates(db.session, current_user.company_id).get(subject.row.id, [])
    values = {
        "subject": subject,
        "form": details,
        "errors": errors,
        "stamp": subject.stamp if subject else "",
        "used_by": used_by,
        "causes": [(cause, CAUSE_NAMES[cause], DELAYS[cause]) for cause in CAUSES],
        "resolutions": RESOLUTION_NAMES,
        "page_sizes": PAGE_SIZE_NAMES,
        "rates": RATES,
        "numbers": NUMBERS,
    }
    return make_response(render_template("setup/templates/template.html", **values), 422 if errors else 200)


# ---- Its end


@blueprint.post("/<int:template_id>/remove")
def remove(template_id: int) -> Response:
    """Saved as a change like any other; the list shows it, and it may be discarded until it is applied."""
    subject = _known(template_id)
    lock_tenant(db.session, current_user.company_id)
    used_by = users_of_templates(db.session, current_user.company_id).get(template_id, [])
    staying = [entity.name for entity in used_by if entity.id not in _moving(template_id)]
    if staying:
        fault = Refused("template_in_use", names=", ".join(staying))
        return _page(subject, details_of(subject.wanted), {"form": said(fault)})
    subject.keep_removal(subject.live)
    flash(_("Saved. %(name)s will be removed when you apply your changes.", name=subject.name))
    return _to_list()


def _moving(template_id: int) -> set[int | None]:
    """Lines that this person has given another template, or closed, and not applied yet."""
    lines = [row for row in pending(db.session, current_user) if row.kind == "entity"]
    return {
        row.target_id for row in lines if row.act == REMOVE or row.after.get("template", template_id) != template_id
    }


@blueprint.post("/<int:template_id>/discard")
def forget(template_id: int) -> Response:
    return _forget(_known(template_id))


@blueprint.post("/added/<int:change_id>/discard")
def forget_added(change_id: int) -> Response:
    return _forget(TemplateSubject.only_saved(change_id))


def _forget(subject: TemplateSubject) -> Response:
    subject.forget()
    return _to_list()
