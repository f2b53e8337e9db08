"""The pool of public numbers: which company has which, what rests, what is free, and calls that reached nobody."""

from typing import Any

import phonenumbers
import sqlalchemy as sa
from babel import Locale
from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from phonenumbers import PhoneNumberFormat
from werkzeug.wrappers import Response

from app.errors import Refused
from app.rules.audit.auditing import audit
from app.rules.ground.csv_text import MOST_READ, read_text
from app.rules.numbers import pool
from app.rules.numbers.habits import first_region
from app.rules.receiving.strays import strays
from app.web.people.credentials import Errors, said
from app.web.site.administration import operators_only
from app.web.site.guard import SAFE_METHODS
from app.web.site.urls import url_with
from app.whole_numbers import read_whole
from tenants.db import db, utc_now
from tenants.models import Tenant

blueprint = Blueprint("operator_numbers", __name__, url_prefix="/operator/numbers")

MOST_TEXT = 50_000
MOST_BLOCKS = 200
STATES = {
    "given": ("good", _l("Given")),
    "approve": ("doubt", _l("To be approved")),
    "resting": ("doubt", _l("Resting")),
    "free": ("off", _l("Free")),
}
REASONS = {
    "nobody": _l("No fax line has this number."),
    "resting": _l("The number was taken back and is resting."),
    "no_number": _l(
        "The call contains no number. Choose where the trunk writes it, under “Called number” on its page."
    ),
    "t38_only": _l(
        "The call offers T.38 but no sound, which Asterisk refuses. Ask the provider to start fax calls with G.711, or "
        "open the T.38 entrance (FAXROOM_ENTRANCE_PORT)."
    ),
    "several": _l(
        "The call could be for several companies. Set the country of the trunk, or have it send the country code."
    ),
}

blueprint.before_request(operators_only)


def companies() -> list[Tenant]:
    return list(db.session.scalars(sa.select(Tenant).where(Tenant.deleting_at.is_(None)).order_by(Tenant.name)))


def _company(slug: str) -> Tenant | None:
    return db.session.scalar(sa.select(Tenant).where(Tenant.slug == slug, Tenant.deleting_at.is_(None)))


def regions() -> list[tuple[str, str]]:
    territories = Locale.parse(str(get_locale())).territories
    names = {code: territories.get(code, code) for code in phonenumbers.SUPPORTED_REGIONS}
    return sorted(names.items(), key=lambda region: region[1])


def shown(number: str) -> str:
    """International, as an operator has numbers of several countries."""
    return phonenumbers.format_number(phonenumbers.parse(number), PhoneNumberFormat.INTERNATIONAL)


def _audit(action: str, tenant: Tenant | None, target: str, **values: Any) -> None:
    """What is done to a company's numbers stands in its log."""
    audit(
        db.session,
        user=current_user,
        tenant_id=tenant.id if tenant else None,
        action=action,
        target=target,
        remote_address=request.remote_addr,
        **values,
    )


def _range_text(numbers: list[str]) -> str:
    return numbers[0] if len(numbers) == 1 else f"{numbers[0]} – {numbers[-1]} ({len(numbers)})"


def _back() -> Response:
    kept = {name: request.form.get(name, "")[:60] for name in ("q", "company_filter")}
    where = {"q": kept["q"], "company": kept["company_filter"]}
    return redirect(url_with("operator_numbers.numbers", {name: value for name, value in where.items() if value}), 303)


@blueprint.get("")
def numbers() -> Response:
    return _page({}, {})


def _page(typed: dict[str, str], errors: Errors) -> Response:
    text, company = request.args.get("q", "")[:40], request.args.get("company", "")[:63]
    tenant = _company(company) if company else None
    found = pool.blocks(db.session, utc_now(), text=text, tenant_id=tenant.id if tenant else None)
    values = {
        "blocks": found[:MOST_BLOCKS],
        "left_out": max(0, len(found) - MOST_BLOCKS),
        "total": sum(block.count for block in found),
        "to_approve": sum(block.count for block in found if block.state == "approve"),
        "q": text,
        "company": tenant.slug if tenant else "",
        "companies": companies(),
        "strays": strays(db.session),
        "rules": _rules() | typed,
        "form": typed,
        "errors": errors,
        "STATES": STATES,
        "REASONS": REASONS,
        "shown": shown,
    }
    return make_response(render_template("operator/numbers.html", **values), 422 if errors else 200)


@blueprint.post("/give")
def give_numbers() -> Response:
    """Into the pool, and to a company if one is chosen."""
    typed = {"numbers": request.form.get("numbers", "")[:MOST_TEXT], "to": request.form.get("to", "")[:63]}
    tenant = _company(typed["to"]) if typed["to"] else None
    try:
        if typed["to"] and tenant is None:
            raise Refused("pool_company_unknown", field="to", name=typed["to"])
        region = tenant.region if tenant else first_region(db.session)
        wanted = pool.read_numbers(typed["numbers"], region)
        count = pool.give(db.session, tenant, wanted, utc_now())
    except Refused as refusal:
        db.session.rollback()
        return _page(typed, {"to" if refusal.field == "to" else "numbers": said(refusal)})
    if count:
        _audit("number.given" if tenant else "number.added", tenant, _range_text(wanted))
    db.session.commit()
    if tenant:
        flash(ngettext("%(num)d number given.", "%(num)d numbers given.", count), "info")
    else:
        flash(ngettext("%(num)d number added.", "%(num)d numbers added.", count), "info")
    return _back()


def _rules() -> dict[str, str]:
    """As the form has them."""
    return {"rest_days": str(pool.rest_days(db.session))}


def _block() -> list[str]:
    """The numbers of the row whose button was clicked; empty if there is none like that."""
    return pool.range_of(request.form.get("first", ""), request.form.get("last", ""))


def _gone() -> Response:
    flash(said(Refused("pool_block_gone")), "error")
    return _back()


@blueprint.post("/take-back")
def take_back_numbers() -> Response:
    wanted, tenant = _block(), _company(request.form.get("company", "")[:63])
    if not wanted or tenant is None:
        return _gone()
    try:
        count = pool.take_back(db.session, tenant, wanted, utc_now())
    except Refused as refusal:
        db.session.rollback()
        flash(said(refusal), "error")
        return _back()
    if count:
        _audit("number.taken_back", tenant, _range_text(wanted))
    db.session.commit()
    flash(ngettext("%(num)d number taken back.", "%(num)d numbers taken back.", count), "info")
    return _back()


@blueprint.post("/approve")
def approve_numbers() -> Response:
    """A number that a company uses is its own."""
    wanted, tenant = _block(), _company(request.form.get("company", "")[:63])
    if not wanted or tenant is None:
        return _gone()
    count = pool.approve(db.session, tenant, wanted)
    if count:
        _audit("number.approved", tenant, _range_text(wanted))
    db.session.commit()
    flash(ngettext("%(num)d number approved.", "%(num)d numbers approved.", count), "info")
    return _back()


@blueprint.post("/remove")
def remove_numbers() -> Response:
    wanted = _block()
    if not wanted:
        return _gone()
    count = pool.remove(db.session, wanted, utc_now())
    if count:
        _audit("number.removed", None, _range_text(wanted))
    db.session.commit()
    flash(ngettext("%(num)d number removed.", "%(num)d numbers removed.", count), "info")
    return _back()


@blueprint.post("/rules")
def rules() -> Response:
    """How long numbers rest."""
    standing = _rules()
    typed = {name: request.form.get(name, value).strip()[:63] for name, value in standing.items()}
    days = read_whole(typed["rest_days"], most=pool.MOST_REST_DAYS)
    if days is None:
        return _page(typed, {"rest_days": said(Refused("rest_days", limit=pool.MOST_REST_DAYS))})
    if typed != standing:
        pool.set_rest(db.session, days)
        _audit("number.changed", None, "Faxroom", before=standing, after=typed)
    db.session.commit()
    flash(_("Saved."), "info")
    return _back()


@blueprint.route("/import", methods=["GET", "POST"])
def import_file() -> Response:
    """Numbers from a CSV file: all of its rows, or none."""
    if request.method in SAFE_METHODS:
        return _import_page([], None)
    upload = request.files.get("file")
    try:
        if not upload or not upload.filename:
            raise Refused("csv_missing", field="file")
        rows = pool.read_csv(db.session, read_text(upload.stream.read(MOST_READ)), utc_now())
        if bad := [row for row in rows if row.problem]:
            return _import_page(bad, None)
        count = sum(pool.give(db.session, row.tenant, row.numbers, utc_now()) for row in rows)
    except Refused as refusal:
        db.session.rollback()
        return _import_page([], said(refusal))
    for row in rows:
        _audit("number.given" if row.tenant else "number.added", row.tenant, _range_text(row.numbers))
    db.session.commit()
    flash(ngettext("%(num)d number imported.", "%(num)d numbers imported.", count), "info")
    return redirect(url_for("operator_numbers.numbers"), 303)


def _import_page(bad: list[pool.Row], error: str | None) -> Response:
    values = {"bad": bad, "error": error, "said": said, "most": pool.MOST_NUMBERS}
    status = 422 if bad or error else 200
    return make_response(render_template("operator/numbers_import.html", **values), status)
