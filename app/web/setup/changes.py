"""What was saved and holds nowhere yet: shown as a difference, applied together, or discarded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from werkzeug.wrappers import Response

from app.errors import Refused
from app.models import PendingChange
from app.rules.setup.changes import (
    ADD,
    CHANGE,
    REMOVE,
    ChangeRefused,
    Difference,
    apply_all,
    discard,
    get_pending,
    handler_of,
    others_pending,
    pending,
    pending_count,
)
from app.web.audit.audit_words import field_text, value_text
from app.web.people.credentials import said
from app.web.site.administration import administrators_only, own_tenant
from app.whole_numbers import read_whole
from tenants.db import db
from tenants.models import Tenant

blueprint = Blueprint("changes", __name__, url_prefix="/changes")
blueprint.before_request(administrators_only)

ACTS = {ADD: _l("added"), CHANGE: _l("changed"), REMOVE: _l("removed"), "closed": _l("closed")}
#: Words for values that are ours, where the audit log has none.
PERMISSIONS = {"": _l("nothing"), "send": _l("send"), "receive": _l("receive"), "both": _l("send and receive")}


@dataclass(frozen=True)
class Kind:
    """How a kind of thing is called, and where one of it is edited."""

    name: Any
    address: Callable[[PendingChange], str]


def _entity(change: PendingChange) -> str:
    if change.act == ADD:
        return url_for("entities.added", change_id=change.id)
    return url_for("entities.entity", entity_id=change.target_id)


#: Every kind that is registered in app.rules.setup.changes needs its line here.
KINDS: dict[str, Kind] = {"entity": Kind(_l("Fax line"), _entity)}


@dataclass(frozen=True)
class Shown:
    """One change as the page has it."""

    change: PendingChange
    kind: Any
    title: str
    act: Any
    address: str
    differences: list[Difference]


@blueprint.app_template_global()
def saved_changes() -> int:
    """How many changes this person has saved and not applied: every page of the administration says so."""
    return pending_count(db.session, current_user)


@blueprint.app_template_global()
def difference_text(value: Any, found: Difference) -> str:
    if found.label and found.field == "grant":
        return str(PERMISSIONS.get(value, value))
    return value_text(value, found.field)


@blueprint.app_template_global()
def difference_name(found: Difference) -> str:
    return found.label or field_text(found.field)


@blueprint.get("")
def changes() -> Response:
    return _page()


def _page(refused: ChangeRefused | None = None) -> Response:
    tenant = own_tenant()
    values = {
        "rows": [_shown(tenant, row) for row in pending(db.session, current_user)],
        "others": others_pending(db.session, current_user),
        "refused": refused,
        "reason": said(refused) if refused else None,
    }
    return make_response(render_template("setup/changes.html", **values), 422 if refused else 200)


def _shown(tenant: Tenant, row: PendingChange) -> Shown:
    handler, kind = handler_of(row.kind), KINDS[row.kind]
    title, differences = handler.title(db.session, tenant, row), handler.differences(db.session, tenant, row)
    act = ACTS["closed" if row.act == REMOVE and handler.removed == "closed" else row.act]
    return Shown(row, kind.name, title, act, kind.address(row), differences)


@blueprint.post("/apply")
def apply() -> Response:
    """Exactly what the page showed: with more or less than that the page is shown again."""
    ids = [number for text in request.form.getlist("ids") if (number := read_whole(text)) is not None]
    try:
        count = apply_all(db.session, current_user, remote_address=request.remote_addr, ids=ids)
    except ChangeRefused as refused:
        return _page(refused)
    except Refused as refusal:
        db.session.rollback()
        flash(said(refusal), "error")
        return _to_page()
    if count:
        told = ngettext(
            "%(num)d change applied. It is now active.", "%(num)d changes applied. They are now active.", count
        )
        flash(told, "info")
    return _to_page()


def _to_page() -> Response:
    return redirect(url_for("changes.changes"), 303)


@blueprint.post("/discard")
def discard_all() -> Response:
    count = discard(db.session, current_user)
    db.session.commit()
    if count:
        flash(ngettext("%(num)d change discarded.", "%(num)d changes discarded.", count), "info")
    return _to_page()


@blueprint.post("/<int:change_id>/discard")
def discard_one(change_id: int) -> Response:
    row = get_pending(db.session, current_user, change_id) or abort(404)
    discard(db.session, current_user, [row.id])
    db.session.commit()
    flash(ngettext("%(num)d change discarded.", "%(num)d changes discarded.", 1), "info")
    return _to_page()
