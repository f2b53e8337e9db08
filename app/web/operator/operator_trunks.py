"""The operator's trunks: which there are, in what order they are used, and how each one writes numbers."""

from typing import Any

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from redis import RedisError
from werkzeug.wrappers import Response

from app.models import CallerForm, CallerIn, NumberForm, Trunk
from app.rules.audit.auditing import audit
from app.rules.ground.trunks import lock_trunks, trunk_by_name
from app.rules.ground.trunks import trunks as all_trunks
from app.rules.sending.trunks import table, used
from app.rules.sending.trunks.trouble import troubles
from app.rules.words.sentences import OUTCOMES
from app.services.trunks.states import faults
from app.web.operator.operator_numbers import companies, regions
from app.web.people.credentials import Errors, said, said_all
from app.web.site.administration import operators_only
from app.web.site.guard import SAFE_METHODS
from app.web.site.submissions import overtaken, stamp_of
from tenants.db import db, utc_now

blueprint = Blueprint("operator_trunks", __name__, url_prefix="/operator/trunks")
blueprint.before_request(operators_only)

MOST_TEXT, MOST_LINES = 500, 100_000
#: What may name the called number (RFC 3261, 5806, 7044, 7315).
SIGN_NAMES = {
    "uri": _l("The address called (request URI)"),
    "p-called-party-id": "P-Called-Party-ID",
    "to": "To",
    "history-info": "History-Info",
    "diversion": "Diversion",
}
CALLER_FORMS = {
    CallerForm.USUAL: _l("As dialled within the country, such as 050 9655637"),
    CallerForm.WHOLE: _l("With the country code, such as 39 050 9655637"),
}
NUMBER_FORMS = {
    NumberForm.PLUS: _l("With + and country code, such as +39 050 9655637"),
    NumberForm.DIGITS: _l("With the country code and no +, such as 39 050 9655637"),
    NumberForm.INTERNATIONAL: _l("With 00 and country code, such as 0039 050 9655637"),
    NumberForm.NATIONAL: _l("As dialled within the country, such as 050 9655637"),
}
CALLER_PLACES = {
    CallerIn.USUAL: _l("From and P-Asserted-Identity; with an account, only P-Asserted-Identity"),
    CallerIn.FROM: _l("From"),
    CallerIn.BOTH: _l("From and P-Asserted-Identity"),
    CallerIn.REMOTE_PARTY: _l("From and Remote-Party-ID"),
}
TRANSPORTS = {"udp": "UDP", "tcp": "TCP", "tls": "TLS"}
MEDIA = {"plain": _l("Not encrypted"), "srtp": _l("Encrypted (SRTP)")}


@blueprint.before_request
def one_after_the_other() -> None:
    if request.method not in SAFE_METHODS:
        lock_trunks(db.session)


@blueprint.get("")
def trunks() -> Response:
    values = {
        "trunks": all_trunks(db.session),
        "troubles": troubles(db.session),
        "faults": _faults(),
        "used": {trunk.id for trunk in used.in_use(db.session)},
        "OUTCOMES": OUTCOMES,
        "TRANSPORTS": TRANSPORTS,
    }
    return make_response(render_template("operator/trunks.html", **values))


def _faults() -> dict[str, str]:
    """What was seen of them, by name; nothing while Redis does not tell."""
    try:
        return {name: state.fault for name, state in faults(utc_now()).items()}
    except RedisError:
        return {}


@blueprint.route("/new", methods=["GET", "POST"])
def new_trunk() -> Response:
    return _form(None)


@blueprint.route("/<name>", methods=["GET", "POST"])
def trunk(name: str) -> Response:
    return _form(_trunk(name))


def _form(row: Trunk | None) -> Response:
    standing = table.form_of(db.session, row)
    if request.method in SAFE_METHODS:
        return _page(row, standing, {})
    typed = _typed(row, standing)
    errors = {name: said(fault) for name, fault in table.judge_trunk(db.session, typed, row).items()}
    errors |= said_all(overtaken(standing, typed | {"password": ""})) if row else {}  # nobody sees the standing one
    if errors:
        return _page(row, typed, errors)
    before, after = table.changes(standing, typed)
    if after:
        kept = table.put_trunk(db.session, typed, row)
        _audit("trunk.changed" if row else "trunk.added", kept.name, before=before if row else None, after=after)
    db.session.commit()
    flash(_("Saved. Takes effect within seconds; current calls continue."), "info")
    return redirect(url_for("operator_trunks.trunks"), 303)


def _typed(row: Trunk | None, standing: dict[str, str]) -> dict[str, str]:
    """What stands in FAXROOM_TRUNK is not changed here. A password keeps its blanks, to be told of them."""
    typed = {
        name: request.form.get(name, "")[: MOST_LINES if name == "fax_lines" else MOST_TEXT] for name in table.FIELDS
    }
    typed = {name: text if name == "password" else text.strip() for name, text in typed.items()}
    return typed | {name: standing[name] for name in table.ADDRESS if row and row.from_environment}


def _page(row: Trunk | None, form: dict[str, str], errors: Errors) -> Response:
    choices = {
        "TRANSPORTS": TRANSPORTS,
        "MEDIA": MEDIA,
        "NUMBER_FORMS": NUMBER_FORMS,
        "CALLER_PLACES": CALLER_PLACES,
        "SIGNS": SIGN_NAMES,
        "CALLER_FORMS": CALLER_FORMS,
    }
    values = {"trunk": row, "form": form, "errors": errors, "companies": companies(), "regions": regions()}
    stamp = stamp_of(table.form_of(db.session, row)) if row else ""
    return make_response(
        render_template("operator/trunk.html", **values, **choices, stamp=stamp), 422 if errors else 200
    )


@blueprint.post("/<name>/first")
def first(name: str) -> Response:
    """Used before all others from now on."""
    row = _trunk(name)
    table.put_in_order(db.session, [row.name])
    _audit("trunk.first", row.name)
    db.session.commit()
    flash(_("%(name)s is used first.", name=row.name), "info")
    return redirect(url_for("operator_trunks.trunks"), 303)


@blueprint.route("/<name>/remove", methods=["GET", "POST"])
def remove(name: str) -> Response:
    row = _trunk(name)
    if request.method in SAFE_METHODS:
        return make_response(render_template("operator/trunk_remove.html", trunk=row, fault=None))
    if fault := table.judge_removal(db.session, row):
        return make_response(render_template("operator/trunk_remove.html", trunk=row, fault=said(fault)), 422)
    _audit("trunk.removed", row.name)
    db.session.delete(row)
    db.session.commit()
    flash(_("%(name)s is removed.", name=name), "info")
    return redirect(url_for("operator_trunks.trunks"), 303)


def _trunk(name: str) -> Trunk:
    return trunk_by_name(db.session, name) or abort(404)


def _audit(action: str, name: str, **values: Any) -> None:
    audit(
        db.session,
        user=current_user,
        tenant_id=None,
        action=action,
        target=name,
        remote_address=request.remote_addr,
        **values,
    )
