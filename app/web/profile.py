"""What people see and change of their own account: name, language, password, second factor, browsers, keys."""

import segno
from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user
from markupsafe import Markup
from werkzeug.wrappers import Response

from app.fax.account_notices import tell_change
from app.fax.accounts import judge_language, judge_name
from app.fax.outbox import last_refusal
from app.fax.sentences import sentence
from app.web.asking import (
    Errors,
    code_problem,
    hash_aside,
    new_password_problems,
    note_account,
    password_problem,
    remote_address,
    said,
    throttle,
    wait_text,
)
from app.web.browsers import browser_name
from app.web.guard import SAFE_METHODS, TOKEN
from tenants import second_factor as factors
from tenants.db import db, utc_now
from tenants.languages import LANGUAGES
from tenants.models import SecondFactor, User
from tenants.people import set_password
from tenants.pgp_keys import keys_of, validity_now
from tenants.sessions import end_session_of, end_sessions, session_of, sessions_of

blueprint = Blueprint("profile", __name__, url_prefix="/profile")


def _me() -> User:
    """The row itself: what is looked at through the proxy may be of a transaction that is over."""
    return db.session.get_one(User, current_user.id)


def _note(user: User, action: str) -> None:
    note_account(user, action, user=user)


def _back(anchor: str = "") -> Response:
    return redirect(url_for("profile.profile", _anchor=anchor or None), 303)


# ---- The page, name and language


@blueprint.route("", methods=["GET", "POST"])
def profile() -> Response:
    if request.method in SAFE_METHODS:
        return _page()
    name, language = request.form.get("name", "").strip(), request.form.get("language", "")
    refusals = {"name": judge_name(name), "language": judge_language(language)}
    errors = {field: said(refusal) for field, refusal in refusals.items() if refusal}
    if errors:
        return _page(errors, name=name, language=language)
    user = _me()
    user.name, user.language = name, language or None
    db.session.commit()
    flash(_("Saved."), "info")
    return _back()


def _page(errors: Errors | None = None, **typed: str) -> Response:
    user, here = _me(), session_of(db.session, session.get(TOKEN, ""))
    values = {
        "user": user,
        "form": {"name": user.name, "language": user.language or ""} | typed,
        "errors": errors or {},
        "languages": LANGUAGES,
        "sessions": sessions_of(db.session, user),
        "here": here.id if here else None,
        "browser_name": browser_name,
        "codes_left": factors.codes_left(db.session, user) if user.second_factor_at else 0,
        "keys": keys_of(db.session, user),
        "validity_now": validity_now,
        "refused_mails": [refusal] if (refusal := last_refusal(db.session, user, utc_now())) else [],
    }
    return make_response(render_template("profile/profile.html", **values), 422 if errors else 200)


# ---- The password


@blueprint.post("/password")
def password() -> Response:
    user, form = _me(), request.form
    errors: Errors = {}
    if problem := password_problem(user, form.get("current", "")):
        errors["current"] = problem
    new, repeated = form.get("password", ""), form.get("repeated", "")
    errors |= new_password_problems(_me(), new, repeated)
    if errors:
        return _page(errors)
    password_hash, user = hash_aside(new), _me()
    others = set_password(db.session, user, password_hash, keep_token=session.get(TOKEN, ""))
    _note(user, "user.password_changed")
    tell_change(db.session, user, "password")
    db.session.commit()
    flash(_("Your password has been changed.") + (" " + _ended_text(others) if others else ""), "info")
    return _back()


def _ended_text(count: int) -> str:
    return ngettext("%(num)d other browser was signed out.", "%(num)d other browsers were signed out.", count)


# ---- The second factor


@blueprint.get("/second-factor")
def second_factor() -> Response:
    return _factor_page()


def _unproved(user: User) -> Errors:
    """What of the proof is missing or wrong: a factor is changed by who knows the password and has the factor."""
    if problem := password_problem(user, request.form.get("current", "")):
        return {"current": problem}
    user = _me()
    if user.second_factor_at and (problem := code_problem(user, request.form.get("proof", "").strip())):
        return {"proof": problem}
    return {}


@blueprint.post("/second-factor/begin")
def begin_second_factor() -> Response:
    if errors := _unproved(_me()):
        return _factor_page(errors)
    factors.begin(db.session, _me())
    db.session.commit()
    return redirect(url_for("profile.second_factor"), 303)


@blueprint.post("/second-factor")
def confirm_second_factor() -> Response:
    user, code = _me(), request.form.get("code", "").strip()
    if not code:
        return _factor_page({"code": sentence("code_missing")})
    account = f"second factor of {user.id}"
    if minutes := throttle.take_try(account=account, address=remote_address()):
        return _factor_page({"code": wait_text(minutes)})
    if not factors.confirm(db.session, user, code):
        db.session.rollback()
        return _factor_page({"code": sentence("code_wrong")}) if _pending(_me()) else _back("second-factor")
    throttle.forget(account=account)
    end_sessions(db.session, user, except_token=session.get(TOKEN, ""))
    _note(user, "user.second_factor_set_up")
    tell_change(db.session, user, "factor_set_up")
    db.session.commit()
    flash(_("From now on you'll need a code from your phone when you sign in."), "info")
    return _back("second-factor")


@blueprint.post("/second-factor/give-up")
def give_up_second_factor() -> Response:
    factors.give_up(db.session, _me())
    db.session.commit()
    return _back("second-factor")


@blueprint.post("/second-factor/remove")
def remove_second_factor() -> Response:
    user = _me()
    if user.needs_second_factor:
        abort(404)
    if errors := _unproved(user):
        return _factor_page(errors)
    user = _me()
    factors.remove(db.session, user)
    _note(user, "user.second_factor_removed")
    tell_change(db.session, user, "factor_removed")
    db.session.commit()
    flash(_("You now sign in with your password only."), "info")
    return _back("second-factor")


@blueprint.post("/second-factor/codes")
def recovery_codes() -> Response:
    """Shown in this answer and never again."""
    if _me().second_factor_at is None:
        abort(404)
    if errors := _unproved(_me()):
        return _factor_page(errors)
    user = _me()
    codes = factors.renew_codes(db.session, user)
    _note(user, "user.recovery_codes_renewed")
    tell_change(db.session, user, "recovery_codes")
    db.session.commit()
    return make_response(render_template("profile/codes.html", codes=codes))


def _pending(user: User) -> SecondFactor | None:
    factor = db.session.get(SecondFactor, user.id)
    return factor if factor and factor.pending_secret else None


def _factor_page(errors: Errors | None = None) -> Response:
    user = _me()
    pending = _pending(user)
    secret = pending.pending_secret if pending else None
    values = {
        "user": user,
        "errors": errors or {},
        "required": user.needs_second_factor,
        "picture": _picture(user, secret) if secret else None,
        "secret": _in_groups(secret) if secret else None,
        "codes": (pending.pending_codes or "").split() if pending else [],
        "codes_left": factors.codes_left(db.session, user) if user.second_factor_at else 0,
    }
    return make_response(render_template("profile/second_factor.html", **values), 422 if errors else 200)


def _picture(user: User, secret: str) -> Markup:
    """The QR code as SVG in the page itself, without a style: nobody else hears of the secret."""
    code = segno.make(factors.provisioning_uri(user, secret), error="m", micro=False)
    return Markup(code.svg_inline(omitsize=True, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None))


def _in_groups(secret: str) -> str:
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


# ---- The browsers


@blueprint.post("/sessions/<int:session_id>/end")
def end_one_session(session_id: int) -> Response:
    if not end_session_of(db.session, _me(), session_id):
        abort(404)
    db.session.commit()
    flash(_("That browser has been signed out."), "info")
    return _back("sessions")


@blueprint.post("/sessions/end")
def end_other_sessions() -> Response:
    count = end_sessions(db.session, _me(), except_token=session.get(TOKEN, ""))
    db.session.commit()
    flash(_ended_text(count) if count else _("You are now signed in only here."), "info")
    return _back("sessions")
