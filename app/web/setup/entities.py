"""Fax entities: the list, the form, who may use each, its end. What is saved here holds once it is applied."""

from flask import Blueprint, abort, current_app, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from htmx_flask import request
from werkzeug.wrappers import Response

from app.errors import Refused
from app.models import Authentication, FaxEntity, FaxTemplate, Mail2FaxBox, ReceivedMail
from app.rules.numbers.numbers import public_form, shown_number
from app.rules.numbers.pool import free_numbers
from app.rules.receiving.strays import strays_of
from app.rules.setup.changes import (
    ADD,
    CHANGE,
    REMOVE,
    Values,
    forget_secret,
    pending,
    secrets_of,
)
from app.rules.setup.entities import (
    EntityDetails,
    details_of,
    faxes_under_way,
    get_open,
    grant_fields,
    grants_in,
    grants_of,
    judge_entity,
    judge_extension,
    list_entities,
    members_of,
    names_of,
    values_of,
)
from app.rules.setup.licence import licence_of
from app.rules.setup.numbering import KIND, Line, clashes, lines_of, misleading
from app.web.people.credentials import Errors, said, said_all
from app.web.setup.entity_grid import ALL, Grid
from app.web.setup.saved_subject import SavedSubject
from app.web.site.administration import administrators_only, own_tenant
from app.web.site.guard import SAFE_METHODS, reads
from app.web.site.submissions import overtaken
from app.whole_numbers import read_whole
from tenants.db import db
from tenants.models import Tenant
from tenants.scope import lock_tenant

blueprint = Blueprint("entities", __name__, url_prefix="/entities")
blueprint.before_request(administrators_only)

AUTHENTICATIONS = {
    Authentication.NONE: _l("The sender's address is enough"),
    Authentication.PIN: _l("A PIN in the message"),
    Authentication.PGP: _l("The user's PGP signature"),
}
RECEIVED_MAILS = {
    ReceivedMail.ATTACHED: _l("With the fax attached"),
    ReceivedMail.ENCRYPTED: _l("With the fax attached, encrypted to the reader's PGP key"),
    ReceivedMail.NOTICE: _l("Without the fax, with a link to it"),
}
#: Page of an entity → that of one that is only saved yet.
ADDED = {"entity": "added", "users": "added_users", "forget": "forget_added"}
#: Free numbers in the browser's list, and those that are written out.
MOST_OFFERED, MOST_NAMED = 300, 4
TEXTS = (
    *("name", "extension", "number", "template", "limit_outbound", "voice_destination", "box", "authentication"),
    *("received_mail", "fax_after"),
)


@blueprint.app_template_global()
def is_served(endpoint: str) -> bool:
    """Whether there is such a page to lead to."""
    return endpoint in current_app.view_functions


class LineSubject(SavedSubject[FaxEntity]):
    kind = KIND

    @property
    def live(self) -> Values:
        """Permissions included."""
        if self.row is None:
            return {}
        grants = grants_of(db.session, self.row.tenant_id, self.row.id)
        return values_of(self.row) | grant_fields(grants)

    @property
    def has_pin(self) -> bool:
        return bool((self.row and self.row.pin) or (self.change and "pin" in secrets_of(self.change)))

    def url(self, page: str = "entity") -> str:
        if self.row:
            return url_for(f"entities.{page}", entity_id=self.row.id)
        return url_for(f"entities.{ADDED[page]}", change_id=self.change.id if self.change else None)


def _known(entity_id: int) -> LineSubject:
    return LineSubject.known(get_open(db.session, current_user.company_id, entity_id) or abort(404))


def saved_note() -> str:
    return _("Saved. Takes effect when you apply your changes.")


# ---- The list


@blueprint.get("")
def entities() -> str:
    tenant, changes = own_tenant(), pending(db.session, current_user)
    values = {
        "rows": list_entities(db.session, tenant, changes),
        "licence": licence_of(db.session, tenant.id),
        "shown_number": lambda number: shown_number(number, tenant),
        "authentications": AUTHENTICATIONS,
        "received_mails": RECEIVED_MAILS,
        "templates": names_of(db.session, FaxTemplate, tenant.id),
        "strays": strays_of(db.session, tenant),
    }
    return render_template("setup/entities/entities.html", **values)


# ---- The form


def _read() -> EntityDetails:
    texts = {name: request.form.get(name, "").replace("\0", "").strip()[:200] for name in TEXTS}
    return EntityDetails(
        pin=request.form.get("pin", "").strip()[:100],
        shared_with_voice=request.form.get("shared_with_voice") == "yes",
        encryption_required=request.form.get("encryption_required") == "yes",
        **texts,
    )


@blueprint.route("/new", methods=["GET", "POST"])
def new_entity() -> Response:
    if request.method in SAFE_METHODS:
        return _form_page(None, _fresh_details(), {})
    return _save(None)


def _fresh_details() -> EntityDetails:
    templates = names_of(db.session, FaxTemplate, current_user.company_id)
    return EntityDetails(template=str(next(iter(templates))) if len(templates) == 1 else "")


@blueprint.route("/<int:entity_id>", methods=["GET", "POST"])
def entity(entity_id: int) -> Response:
    return _entity(_known(entity_id))


@blueprint.route("/added/<int:change_id>", methods=["GET", "POST"])
def added(change_id: int) -> Response:
    return _entity(LineSubject.only_saved(change_id))


def _entity(subject: LineSubject) -> Response:
    if request.method in SAFE_METHODS:
        return _form_page(subject, details_of(subject.wanted, own_tenant()), {})
    return _save(subject)


def _save(subject: LineSubject | None) -> Response:
    tenant, details = own_tenant(), _read()
    lock_tenant(db.session, tenant.id)
    ids = _ids_of(subject)
    others = lines_of(db.session, tenant.id, saved_by=current_user)
    has_pin = bool(subject and subject.has_pin)
    values, faults = judge_entity(db.session, tenant, details, others=others, has_pin=has_pin, **ids)
    if subject is None and not faults:
        faults |= _licence_fault(tenant)
    faults |= overtaken(subject.wanted, values) if subject else {}
    if errors := said_all(faults):
        return _form_page(subject, details, errors)
    return _keep(subject, values, details.pin)


def _ids_of(subject: LineSubject | None) -> dict[str, int | None]:
    if subject is None:
        return {}
    change_id = subject.change.id if subject.change else None
    return {"entity_id": subject.row.id if subject.row else None, "change_id": change_id}


def _licence_fault(tenant: Tenant) -> dict[str, Refused]:
    """What this person has saved counts as if it were applied."""
    licence = licence_of(db.session, tenant.id)
    acts = [row.act for row in pending(db.session, current_user) if row.kind == KIND]
    if licence.used + acts.count(ADD) - acts.count(REMOVE) < licence.channels:
        return {}
    return {"form": Refused("licence_used_up", field="form", used=licence.used, channels=licence.channels)}


def _keep(subject: LineSubject | None, values: Values, pin: str) -> Response:
    is_new = subject is None
    subject = subject or LineSubject(None, None)
    secrets = {"pin": pin} if pin and values["authentication"] == Authentication.PIN else None
    row = subject.keep({name: value for name, value in subject.live.items() if name in values}, values, secrets)
    if row and not secrets and values["authentication"] != Authentication.PIN:
        forget_secret(row, "pin")
        if row.act == CHANGE and not row.after and not row.secrets:
            db.session.delete(row)
            row = None
    db.session.commit()
    if is_new:
        flash(_("Saved. Now choose who may use it. Takes effect when you apply your changes."), "info")
        return redirect(LineSubject(None, row).url("users"), 303)
    flash(saved_note() if row else _("Nothing changed."), "info")
    return redirect(url_for("entities.entities"), 303)


def _free_numbers(tenant: Tenant) -> dict[str, object]:
    """Those that the operator gave to the company and no line has: some in words, and what a browser offers."""
    free = [shown_number(number, tenant) for number in free_numbers(db.session, tenant.id)]
    return {"free_numbers": free[:MOST_OFFERED], "free_count": len(free), "free_shown": free[:MOST_NAMED]}


def _form_page(subject: LineSubject | None, details: EntityDetails, errors: Errors) -> Response:
    tenant = own_tenant()
    values = {
        "subject": subject,
        **_free_numbers(tenant),
        "form": details,
        "errors": errors,
        "stamp": subject.stamp if subject else "",
        "templates": names_of(db.session, FaxTemplate, tenant.id),
        "boxes": names_of(db.session, Mail2FaxBox, tenant.id),
        "authentications": AUTHENTICATIONS,
        "received_mails": RECEIVED_MAILS,
        "counts": _counts(subject),
        "licence_fault": said_all(_licence_fault(tenant)).get("form") if subject is None else None,
        "ids": _ids_of(subject),
    }
    return make_response(render_template("setup/entities/entity.html", **values), 422 if errors else 200)


def _counts(subject: LineSubject | None) -> tuple[int, int]:
    grants = grants_in(subject.wanted).values() if subject else []
    sends = sum(may in ("send", "both") for may in grants)
    return sends, sum(may in ("receive", "both") for may in grants)


@blueprint.post("/judge")
@reads
def judge() -> str:
    """A fragment: whether the extension or the number that is being typed is free, or who has it."""
    tenant, details = own_tenant(), _read()
    field = "number" if request.form.get("field") == "number" else "extension"
    typed = getattr(details, field)
    if not typed:
        return render_template("setup/entities/judgment.html", field=field, fault=None, free=None)
    number = public_form(details.number, tenant.region) if details.number else None
    line = Line("\0", details.extension, number, None, _id("entity_id"), _id("change_id"))
    others = lines_of(db.session, tenant.id, saved_by=current_user)
    fault = _first_fault(field, details, line, tenant, others)
    free = None if fault else shown_number(number, tenant) if field == "number" else typed
    return render_template("setup/entities/judgment.html", field=field, fault=fault and said(fault), free=free)


def _first_fault(field: str, details: EntityDetails, line: Line, tenant: Tenant, others: list[Line]) -> Refused | None:
    if field == "extension" and (fault := judge_extension(details.extension)):
        return fault
    if field == "number" and line.number is None:
        return Refused("public_number_invalid", field=field)
    faults = misleading(db.session, tenant, line, others) | clashes(db.session, tenant, line, others)
    return faults.get(field)


def _id(name: str) -> int | None:
    return read_whole(request.form.get(name, ""))


# ---- Who may use it


@blueprint.route("/<int:entity_id>/users", methods=["GET", "POST"])
def users(entity_id: int) -> Response:
    return _users(_known(entity_id))


@blueprint.route("/added/<int:change_id>/users", methods=["GET", "POST"])
def added_users(change_id: int) -> Response:
    return _users(LineSubject.only_saved(change_id))


def _users(subject: LineSubject) -> Response:
    grid = Grid.of(members_of(db.session, current_user.company_id), _held(subject.wanted))
    if request.method in SAFE_METHODS:
        return _users_page(subject, grid.asked(request.args))
    act = request.form.get("act", "find")
    grid = grid.asked(request.form).ticked(request.form)
    if act in ALL:
        return _users_page(subject, grid.all_found(act))
    if act.startswith("page-"):
        return _users_page(subject, grid.at(act.removeprefix("page-")))
    if act != "save":
        return _users_page(subject, grid)
    return _save_users(subject, grid)


def _held(values: Values) -> dict[int, str]:
    return {user_id: may for user_id, may in grants_in(values).items() if may}


def _save_users(subject: LineSubject, grid: Grid) -> Response:
    lock_tenant(db.session, current_user.company_id)
    live, wanted = subject.live, grant_fields(grid.grants)
    before = {name: live.get(name, "") for name in wanted}
    changed = {name: may for name, may in wanted.items() if may != subject.wanted.get(name, "")}
    if faults := overtaken(subject.wanted, changed):
        db.session.rollback()
        return _users_page(subject, grid, said_all(faults))
    row = subject.change
    if changed:
        row = subject.keep({name: before[name] for name in changed}, changed)
    db.session.commit()
    flash(saved_note() if row else _("Nothing changed."), "info")
    return redirect(url_for("entities.entities"), 303)


def _users_page(subject: LineSubject, grid: Grid, errors: Errors | None = None) -> Response:
    values = {"subject": subject, "grid": grid, "errors": errors or {}, "stamp": subject.stamp}
    if request.htmx and request.htmx.target == "grid":
        return make_response(render_template("setup/entities/grid.html", **values))
    return make_response(render_template("setup/entities/users.html", **values), 422 if errors else 200)


# ---- Its end


@blueprint.post("/<int:entity_id>/close")
def close(entity_id: int) -> Response:
    """Asked once more, on a page that says what it means; saved as a change like any other."""
    subject = _known(entity_id)
    waiting = faxes_under_way(db.session, current_user.company_id, entity_id)
    if waiting or request.form.get("really") != "yes":
        fault = said(Refused("entity_faxes_under_way", count=waiting)) if waiting else None
        return make_response(render_template("setup/entities/close.html", subject=subject, fault=fault))
    before = {name: subject.live[name] for name in ("name", "extension", "number")}
    subject.keep_removal(before)
    flash(_("Saved. %(name)s will be closed when you apply your changes.", name=subject.name), "info")
    return redirect(url_for("entities.entities"), 303)


@blueprint.post("/<int:entity_id>/discard")
def forget(entity_id: int) -> Response:
    return _forget(_known(entity_id))


@blueprint.post("/added/<int:change_id>/discard")
def forget_added(change_id: int) -> Response:
    return _forget(LineSubject.only_saved(change_id))


def _forget(subject: LineSubject) -> Response:
    subject.forget()
    return redirect(url_for("entities.entities"), 303)
