"""The self-test of a fax entity: start it, watch it, see what came over the line."""

from typing import Any

from flask import Blueprint, abort, current_app, make_response, redirect, render_template, request, url_for
from flask_babel import format_decimal, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response

from app.errors import Refused
from app.models import Fax, FaxEntity
from app.rules.numbers.numbers import shown_number
from app.rules.sending.self_test import (
    Finding,
    findings,
    goes_outside,
    is_outer,
    is_running,
    last_test,
    other_end,
    verdict,
    went_out,
)
from app.rules.words.sentences import next_step, pages_text, sentence
from app.services.sending.self_testing import damage_of, send_test
from app.web.faxes.presentation import MODES
from app.web.people.credentials import said
from app.web.site.administration import administrators_only, audit_act
from app.web.site.guard import SAFE_METHODS
from app.web.site.submissions import fresh_key
from tenants.db import db, utc_now
from tenants.scope import get_owned

blueprint = Blueprint("self_test", __name__, url_prefix="/entities/<int:entity_id>/test")
blueprint.before_request(administrators_only)

STEP_NAMES = {
    "call": _l("Call"),
    "mode": _l("Mode"),
    "rate": _l("Rate"),
    "ecm": _l("Error correction (ECM)"),
    "pages": _l("Pages confirmed"),
    "received": _l("Received"),
    "picture": _l("Picture"),
    "duration": _l("Duration"),
}
LONGEST_KEY = 64
#: Ways of a test, as the form has them.
INNER, OUTER = "inner", "outer"


def _entity(entity_id: int) -> FaxEntity:
    """Of the administrator's own company and still open, or there is none."""
    entity = get_owned(db.session, FaxEntity, entity_id, current_user.company_id)
    return entity if entity and entity.closed_at is None else abort(404)


@blueprint.route("", methods=["GET", "POST"])
def test(entity_id: int) -> Response:
    entity = _entity(entity_id)
    return _page(entity) if request.method in SAFE_METHODS else _start(entity)


def _start(entity: FaxEntity) -> Response:
    entity_id, name = entity.id, entity.name
    outer = request.form.get("way") == OUTER
    key = request.form.get("submission", "")[:LONGEST_KEY] or fresh_key()
    try:
        test = send_test(db.session, user=current_user, entity=entity, submission_key=key, outer=outer)
    except Refused as refusal:
        db.session.rollback()
        return _page(_entity(entity_id), problem=said(refusal), chosen=OUTER if outer else INNER)
    audit_act("entity.tested", name, after={"number": test.number, "way": OUTER if outer else INNER})
    db.session.commit()
    return redirect(url_for("self_test.test", entity_id=entity_id), 303)


@blueprint.get("/result")
def result(entity_id: int) -> Response:
    """A fragment: what the last test says by now; 204 if that is what the page has ``seen``."""
    values = _result(_entity(entity_id))
    if values["seen"] == request.args.get("seen"):
        return Response(status=204)
    return make_response(render_template("setup/self_test/result.html", **values))


def _page(entity: FaxEntity, *, problem: str | None = None, chosen: str = INNER) -> Response:
    known = "entities.entity" in current_app.view_functions
    back = url_for("entities.entity", entity_id=entity.id) if known else None
    values = {"problem": problem, "back": back, **_result(entity), "chosen": chosen}
    return make_response(render_template("setup/self_test/test.html", **values), 422 if problem else 200)


def _result(entity: FaxEntity) -> dict[str, Any]:
    test = last_test(db.session, entity)
    ways = {"goes_outside": goes_outside(db.session, entity), "chosen": INNER}
    if test is None:
        return {"entity": entity, "test": None, "running": False, "seen": "", **ways}
    now, received = utc_now(), other_end(db.session, test)
    found = findings(test, received, damage_of(test, received), now=now)
    running = is_running(test, received, now=now)
    return {
        "entity": entity,
        "test": test,
        **ways,
        "outer": is_outer(test),
        "received": received,
        "running": running,
        "steps": [(finding.state, STEP_NAMES[finding.code], _told(finding, test)) for finding in found],
        "verdict": "running" if running else verdict(test, found),
        "advice": _advice(test),
        "seen": f"{test.id}-{test.status}-{'-'.join(finding.state for finding in found)}-{running}",
    }


def _advice(test: Fax) -> str:
    if test.cause is None:
        return ""
    return f"{sentence(test.cause, **(test.cause_values or {}))} {next_step(test.cause)}".strip()


def _told(finding: Finding, test: Fax) -> str:
    """The finding in words; nothing while it is not known."""
    if finding.state == "todo":
        return ""
    return _WORDS[finding.code](finding, test)


def _call(finding: Finding, test: Fax) -> str:
    if finding.state == "good":
        return (
            _("The call through the carrier was answered.") if is_outer(test) else _("The line answered its own call.")
        )
    return sentence(test.attempts[-1].outcome or "other") if test.attempts else _("No call was made.")


def _mode_name(mode: str) -> str:
    return str(MODES.get(mode, mode))


def _mode(finding: Finding, _test: Fax) -> str:
    if finding.state == "bad":
        return _("The two ends could not agree on settings.")
    used, back, wanted = (_mode_name(finding.values[name]) for name in ("mode", "back", "wanted"))
    if finding.state == "good":
        return used
    if back != used:
        return _("%(used)s out, %(back)s in. The line is set to %(wanted)s.", used=used, back=back, wanted=wanted)
    return _("%(used)s. The template asks for %(wanted)s.", used=used, wanted=wanted)


def _rate(finding: Finding, _test: Fax) -> str:
    rate, most = (format_decimal(finding.values[name]) for name in ("rate", "most"))
    if finding.state == "good":
        return _("%(rate)s bit/s", rate=rate)
    return _("%(rate)s bit/s. The template allows up to %(most)s.", rate=rate, most=most)


def _ecm(finding: Finding, _test: Fax) -> str:
    used = _("on") if finding.values["ecm"] else _("off")
    return used if finding.state == "good" else _("%(used)s. The template asks for the opposite.", used=used)


def _pages(finding: Finding, _test: Fax) -> str:
    return _("%(done)s of %(pages)s", done=finding.values["done"], pages=pages_text(finding.values["pages"]))


def _received(finding: Finding, test: Fax) -> str:
    if finding.values:
        return pages_text(finding.values["pages"])
    if not went_out(test):
        return _("Nothing arrived.")
    number = shown_number(test.dial_string, test.tenant)
    return _(
        "The call went out, but no fax from this test came back to this line. Check where the carrier takes calls to "
        "%(number)s.",
        number=number,
    )


def _picture(finding: Finding, _test: Fax) -> str:
    lines, damaged = format_decimal(finding.values["lines"]), finding.values["damaged"]
    if not damaged:
        return _("All %(lines)s lines of the page arrived exactly.", lines=lines)
    return ngettext(
        "%(num)d of %(lines)s lines of the page arrived damaged.",
        "%(num)d of %(lines)s lines of the page arrived damaged.",
        damaged,
        lines=lines,
    )


def _duration(finding: Finding, _test: Fax) -> str:
    return ngettext("%(num)d second", "%(num)d seconds", finding.values["seconds"])


_WORDS = {
    "call": _call,
    "mode": _mode,
    "rate": _rate,
    "ecm": _ecm,
    "pages": _pages,
    "received": _received,
    "picture": _picture,
    "duration": _duration,
}
