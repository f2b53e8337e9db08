"""The numbering plan: every extension and public number, who holds it, what is free, what clashes."""

from collections.abc import Iterator

from flask import Blueprint, render_template
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response

from app.rules.numbers.numbers import shown_number
from app.rules.setup.numbering import Line, plan_of
from app.web.files.csv_export import Cell, csv_response
from app.web.people.credentials import said
from app.web.site.administration import administrators_only, own_tenant
from tenants.db import db, utc_now

blueprint = Blueprint("numbering", __name__, url_prefix="/numbering")
blueprint.before_request(administrators_only)

SAVED = {"": "", "add": _l("saved, not active yet: new"), "change": _l("saved, not active yet: changed")}


@blueprint.get("")
def numbering() -> str:
    tenant = own_tenant()
    plan = plan_of(db.session, tenant, current_user)
    values = {"plan": plan, "saved": SAVED, "said": said, "shown_number": lambda text: shown_number(text, tenant)}
    return render_template("setup/numbering.html", **values)


@blueprint.get("/plan.csv")
def csv_file() -> Response:
    tenant = own_tenant()
    plan = plan_of(db.session, tenant, current_user)
    told: dict[Line, list[str]] = {}
    for conflict in plan.conflicts:
        told.setdefault(conflict.line, []).append(said(conflict.fault))
    header = [_("Extension"), _("Public number"), _("Fax line"), _("Line"), _("Telephone")]
    header += [_("Conflicts"), _("Status")]
    rows = [(*_cells(line), " ".join(told.get(line, [])), str(SAVED[line.saved])) for line in plan.lines]
    rows += [(*_range(gap.first, gap.last), _("free"), "", "", "", "") for gap in plan.free_extensions]
    name = f"{tenant.slug}-numbering-{utc_now().astimezone(tenant.zone):%Y-%m-%d}.csv"
    return csv_response(name, header, rows)


def _cells(line: Line) -> Iterator[Cell]:
    yield from (line.extension, line.number, line.name)
    yield _("shared with voice") if line.is_shared else _("fax only")
    yield line.voice


def _range(first: str, last: str) -> tuple[str, str]:
    return (first if first == last else f"{first}–{last}", "")
