"""The operator's view of a trunk: whether it is there, a test call over it, and the SIP of calls."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from redis import RedisError
from werkzeug.wrappers import Response

from app.errors import Refused
from app.models import Fax, Trunk
from app.models.faxes.moves import is_final
from app.rules.audit.auditing import audit
from app.rules.ground.trunks import trunk_by_name, trunks
from app.rules.sending.trunks.choosing import bound_to
from app.rules.sending.trunks.test_calls import lines_with_numbers, test_of_operator
from app.rules.sending.trunks.trouble import names_of_troubles
from app.rules.words.sentences import next_step, sentence
from app.services.sending.self_testing import send_trunk_test
from app.services.trunks import ladders
from app.services.trunks.states import TrunkState, state_of
from app.web.people.credentials import Errors, said
from app.web.site.administration import operators_only
from app.web.site.submissions import fresh_key
from tenants.db import db, utc_now

blueprint = Blueprint("trunk_pages", __name__, url_prefix="/operator")
blueprint.before_request(operators_only)

LONGEST_KEY = 64
MOST_LINES = 200
MOST_SHOWN = 100
#: Of res_pjsip_outbound_registration.
REGISTRATIONS = {
    "Registered": _l("registered"),
    "Unregistered": _l("not registered"),
    "Rejected": _l("refused"),
    "Stopped": _l("stopped"),
}


Known = TypeVar("Known")


def _known(ask: Callable[[], Known]) -> Known | None:
    """What Redis tells; None where it does not answer."""
    try:
        return ask()
    except RedisError:
        return None


def _audit(action: str, target: str) -> None:
    address = request.remote_addr
    audit(db.session, user=current_user, tenant_id=None, action=action, target=target, remote_address=address)


# ---- One trunk


@blueprint.get("/trunks/<name>/health")
def trunk(name: str) -> Response:
    return _trunk_page(name, {}, {})


def _trunk_page(name: str, typed: dict[str, str], errors: Errors) -> Response:
    trunk = _trunk(name)
    values = {
        "name": name,
        "lines": lines_with_numbers(db.session, most=MOST_LINES),
        "tests": _tests(trunk.id),
        "form": typed,
        "errors": errors,
        **_seen(name),
    }
    return make_response(render_template("operator/trunk_health.html", **values), 422 if errors else 200)


@blueprint.get("/trunks/<name>/state")
def state(name: str) -> str:
    """A fragment, asked again and again."""
    _trunk(name)
    return render_template("operator/trunk_state.html", name=name, **_seen(name))


def _names() -> tuple[str, ...]:
    return tuple(trunk.name for trunk in trunks(db.session))


def _trunk(name: str) -> Trunk:
    return trunk_by_name(db.session, name) or abort(404)


def _seen(name: str) -> dict[str, Any]:
    return {
        "state": _state_of(name),
        "trouble": dict(names_of_troubles(db.session)).get(name),
        "REGISTRATIONS": REGISTRATIONS,
        "sentence": sentence,
    }


def _state_of(name: str) -> TrunkState | None:
    """None while nobody can tell."""
    found = _known(lambda: state_of(name))
    return None if found is None or found.is_stale(utc_now()) else found


def _tests(trunk_id: int) -> list[Fax]:
    ids = _known(lambda: ladders.tests_of_trunk(trunk_id)) or []
    return [fax for fax_id in ids if (fax := test_of_operator(db.session, fax_id))]


# ---- A test call


@blueprint.post("/trunks/<name>/test")
def begin_test(name: str) -> Response:
    trunk = _trunk(name)
    typed = {field: request.form.get(field, "").strip()[:40] for field in ("line", "to")}
    key = request.form.get("submission", "")[:LONGEST_KEY] or fresh_key()
    try:
        fax = send_trunk_test(
            db.session,
            user=current_user,
            trunk=trunk,
            number=typed["line"],
            to=typed["to"],
            submission_key=key,
            remote_address=request.remote_addr,
        )
    except Refused as refusal:
        db.session.rollback()
        return _trunk_page(name, typed, {refusal.field or "form": said(refusal)})
    return redirect(url_for("trunk_pages.test", name=name, fax_id=fax.id), 303)


@blueprint.get("/trunks/<name>/tests/<fax_id>")
def test(name: str, fax_id: str) -> str:
    """Followed like any fax; what is new is asked for every two seconds."""
    trunk = _trunk(name)
    fax = test_of_operator(db.session, fax_id) or abort(404)
    if bound_to(fax) != trunk.id:
        abort(404)
    found = _known(lambda: ladders.ladders_of_fax(fax.id)) or []
    over = is_final(fax.status)
    values = {
        "name": name,
        "fax": fax,
        "running": not over or _is_fresh(fax, 15 if not found else 3),
        "ladders": found,
        "as_text": ladders.as_text,
        "sounds": _sounds(fax, found),
        "advice": f"{sentence(fax.cause, **(fax.cause_values or {}))} {next_step(fax.cause)}".strip()
        if fax.cause
        else "",
    }
    is_fragment = request.headers.get("HX-Target") == "trunk-test"
    return render_template("operator/trunk_test_result.html" if is_fragment else "operator/trunk_test.html", **values)


def _sounds(fax: Fax, found: list[ladders.Ladder]) -> dict[int, str]:
    """What there is to say of the packets of each attempt."""
    sound_of = {ladder.name: ladder.sound for ladder in found}
    told = {one.id: ladders.said_of_sound(sound_of.get(one.channel_id), one.mode) for one in fax.attempts}
    return {attempt_id: sentence(said[0], **said[1]) for attempt_id, said in told.items() if said}


def _is_fresh(fax: Fax, seconds: int) -> bool:
    """The last of its SIP may come after its end."""
    return fax.finished_at is not None and (utc_now() - fax.finished_at).total_seconds() < seconds


# ---- The SIP of calls


@blueprint.get("/calls")
def calls() -> str:
    """What was captured, the newest first."""
    text = request.args.get("q", "")[:40]
    found = _known(lambda: ladders.latest(text, most=MOST_SHOWN))
    values = {
        "ladders": found or [],
        "is_known": found is not None,
        "is_full": len(found or []) == MOST_SHOWN,
        "q": text,
        "until": (_known(lambda: ladders.wanted(utc_now())) or ladders.Wanted()).until,
        "capturing": _known(ladders.capturing),
        "trunks": _names(),
    }
    return render_template("operator/calls.html", **values)


@blueprint.post("/calls/capture")
def capture() -> Response:
    on = request.form.get("on") == "yes"
    try:
        ladders.capture_for_a_day(utc_now()) if on else ladders.end_capture()
    except RedisError:
        flash(_("Nothing was changed: Redis does not respond. Try again in a moment."), "error")
        return redirect(url_for("trunk_pages.calls"), 303)
    _audit("capture.switched_on" if on else "capture.switched_off", "SIP")
    db.session.commit()
    flash(_("Capture is on for 24 hours.") if on else _("Capture is off."), "info")
    return redirect(url_for("trunk_pages.calls"), 303)


@blueprint.get("/calls/<name>")
def ladder(name: str) -> str:
    found = _known(lambda: ladders.ladder_of(name)) or abort(404)
    _audit("capture.seen", f"{found.caller} – {found.called}")
    db.session.commit()
    return render_template("operator/ladder.html", ladder=found, text=ladders.as_text(found))
