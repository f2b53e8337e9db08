"""What people see and change of their own account: name, language, password, second factor, browsers, keys."""

import datetime
import time
from typing import Any

import segno
from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from markupsafe import Markup
from werkzeug.wrappers import Response

from app.errors import Refused
from app.models import ReceivedMail
from app.rules.outbox.digests import read_time
from app.rules.outbox.outbox import last_refusal
from app.rules.people.account_notices import tell_change
from app.rules.people.accounts import judge_language, judge_name
from app.rules.words.sentences import sentence
from app.web.people import passkeys
from app.web.people.browsers import browser_name
from app.web.people.credentials import (
    Errors,
    code_problem,
    hash_aside,
    judge_passkey,
    new_password_problems,
    note_account,
    password_problem,
    remote_address,
    said,
    throttle,
    wait_text,
)
from app.web.site.administration import audit_act
from app.web.site.guard import SAFE_METHODS, TOKEN
from tenants import second_factor as factors
from tenants.addresses import AddressTaken
from tenants.db import db, utc_now
from tenants.languages import LANGUAGES
from tenants.links import open_link, use_link
from tenants.models import LinkPurpose, Passkey, SecondFactor, User
from tenants.passkeys import MOST_PASSKEYS, Taken, forget_passkey, get_passkey, passkeys_of
from tenants.people import set_password, take_new_email
from tenants.pgp_keys import keys_of, validity_now
from tenants.sessions import end_session_of, end_sessions, session_of, sessions_of

blueprint = Blueprint("profile", __name__, url_prefix="/profile")

USUAL_DIGEST = datetime.time(18, 0)
RECEIVED_MAILS = {
    "": _l("As each fax line is set"),
    ReceivedMail.ENCRYPTED: _l("Attached and encrypted to my PGP key"),
    ReceivedMail.NOTICE: _l("Not attached, with a link to the fax"),
}
#: In the cookie: when who is here proved who they are, to add a passkey.
PROVED = "proved"


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


@blueprint.post("/mails")
def mails() -> Response:
    """How a person is mailed what came in, and when they are told of what they sent."""
    if _me().tenant is None:  # an operator has no faxes
        return _back()
    way, often, at = (request.form.get(name, "").strip()[:20] for name in ("received_mail", "outcomes", "digest_at"))
    moment = read_time(at) if often == "daily" else None
    errors: Errors = {}
    if way and way not in set(ReceivedMail):
        errors["received_mail"] = sentence("received_mail_unknown")
    if often == "daily" and moment is None:
        errors["digest_at"] = sentence("digest_time")
    if errors:
        return _page(errors, received_mail=way, outcomes=often, digest_at=at)
    user = _me()
    user.received_mail, user.digest_at = way or None, moment
    db.session.commit()
    flash(_("Saved."), "info")
    return _back("mails")


def _page(errors: Errors | None = None, **typed: str) -> Response:
    user, here = _me(), session_of(db.session, session.get(TOKEN, ""))
    values = {
        "user": user,
        "form": {"name": user.name, "language": user.language or ""} | _mail_form(user) | typed,
        "received_mails": RECEIVED_MAILS,
        "errors": errors or {},
        "languages": LANGUAGES,
        "sessions": sessions_of(db.session, user),
        "here": here.id if here else None,
        "browser_name": browser_name,
        "codes_left": factors.codes_left(db.session, user) if user.second_factor_at else 0,
        "passkeys": passkeys_of(db.session, user),
        "keys": keys_of(db.session, user),
        "validity_now": validity_now,
        "refused_mails": [refusal] if (refusal := last_refusal(db.session, user, utc_now())) else [],
    }
    return make_response(render_template("people/profile/profile.html", **values), 422 if errors else 200)


def _mail_form(user: User) -> dict[str, str]:
    often, at = ("daily", user.digest_at) if user.digest_at else ("each", USUAL_DIGEST)
    return {"received_mail": user.received_mail or "", "outcomes": often, "digest_at": f"{at:%H:%M}"}


# ---- A new address, which an administrator has entered and which answers here


@blueprint.route("/address/<token>", methods=["GET", "POST"])
def new_address(token: str) -> Response:
    """By the link that was mailed there, and by whose account it is: nobody else takes it over with a link that went
    astray."""
    user, link = _me(), open_link(db.session, token, LinkPurpose.NEW_ADDRESS)
    if link is None or link.user_id != user.id or not user.new_email:
        return make_response(render_template("people/sign_in/dead_link.html", purpose=LinkPurpose.NEW_ADDRESS), 404)
    if request.method in SAFE_METHODS:
        return _address_page(user)
    old_email = user.email
    use_link(db.session, link)
    try:
        take_new_email(db.session, user)
    except AddressTaken:
        db.session.rollback()
        return _address_page(_me(), sentence("email_answered_elsewhere_changed"))
    audit_act("user.address_changed", old_email, before={"email": old_email}, after={"email": user.email})
    for recipient in (old_email, user.email):
        tell_change(db.session, user, "email", recipient=recipient, email=user.email)
    db.session.commit()
    flash(_("From now on you sign in with %(email)s.", email=user.email), "info")
    return _back()


def _address_page(user: User, error: str | None = None) -> Response:
    page = render_template("people/profile/new_address.html", user=user, error=error)
    return make_response(page, 422 if error else 200)


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


def _unproved() -> Response | None:
    """A factor is changed by who knows the password and has the factor, or has a passkey that is both; the page that
    asks for it, or None."""
    user, form, errors = _me(), request.form, Errors()
    if not {"current", "proof", passkeys.ANSWER} & set(form):
        return _proof_page({})
    taken: Taken | None = None
    if answer := form.get(passkeys.ANSWER):
        judged = judge_passkey(user, passkeys.Purpose.CONFIRM, answer, note="user.step_up_failed")
        if isinstance(judged, str):
            return _proof_page({passkeys.ANSWER: judged})
        taken = judged
        db.session.commit()
    if not (taken and taken.verified) and (problem := password_problem(_me(), form.get("current", ""))):
        errors["current"] = problem
    elif not taken and _me().second_factor_at and (problem := code_problem(_me(), form.get("proof", "").strip())):
        errors["proof"] = problem
    db.session.commit()  # a code that was right is used up
    return _proof_page(errors) if errors else None


def _proof_page(errors: Errors) -> Response:
    user = _me()
    values = {"user": user, "errors": errors, "action": request.path, **_ways(user)}
    return make_response(render_template("people/profile/proof.html", **values), 422)


def _ways(user: User) -> dict[str, Any]:
    return {"app": factors.has_app(db.session, user), "passkeys": passkeys_of(db.session, user)}


@blueprint.post("/second-factor/begin")
def begin_second_factor() -> Response:
    if asked := _unproved():
        return asked
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
    """The telephone; passkeys stay."""
    user = _me()
    if user.needs_second_factor and not passkeys_of(db.session, user):
        abort(404)
    if asked := _unproved():
        return asked
    user = _me()
    factors.remove_app(db.session, user)
    _note(user, "user.second_factor_removed")
    _tell_removed(user, "app_removed")
    return redirect(url_for("profile.second_factor"), 303)


def _tell_removed(user: User, change: str, **more: str) -> None:
    """By mail and on the next page; commits."""
    is_last = user.second_factor_at is None
    tell_change(db.session, user, "factor_removed" if is_last else change, **more)
    db.session.commit()
    flash(_("You now sign in with your password only.") if is_last else _("Removed."), "info")


@blueprint.post("/second-factor/codes")
def recovery_codes() -> Response:
    """Shown in this answer and never again."""
    if _me().second_factor_at is None:
        abort(404)
    if asked := _unproved():
        return asked
    user = _me()
    codes = factors.renew_codes(db.session, user)
    _note(user, "user.recovery_codes_renewed")
    tell_change(db.session, user, "recovery_codes")
    db.session.commit()
    return _codes_page(codes)


def _codes_page(codes: list[str], added: str | None = None) -> Response:
    return make_response(render_template("people/profile/codes.html", codes=codes, added=added))


# ---- Passkeys


@blueprint.post("/passkeys/begin")
def begin_passkey() -> Response:
    if passkeys.party() is None:
        abort(404)
    if asked := _unproved():
        return asked
    if len(passkeys_of(db.session, _me())) >= MOST_PASSKEYS:
        return _factor_page({"passkey": sentence("passkeys_too_many", limit=MOST_PASSKEYS)})
    session[PROVED] = int(time.time())
    return redirect(url_for("profile.new_passkey"), 303)


def _may_add() -> bool:
    """Whether who is here has just proved who they are."""
    return bool(time.time() - session.get(PROVED, 0) < passkeys.ANSWER_SECONDS)


@blueprint.get("/passkeys/new")
def new_passkey() -> Response:
    return _new_page({}, browser_name(request.user_agent.string)) if _may_add() else _to_factor()


def _to_factor() -> Response:
    return redirect(url_for("profile.second_factor"), 303)


def _new_page(errors: Errors, name: str) -> Response:
    values = {"errors": errors, "name": name, "creation": passkeys.creation(_me())}
    return make_response(render_template("people/profile/new_passkey.html", **values), 422 if errors else 200)


@blueprint.post("/passkeys")
def add_passkey() -> Response:
    if not _may_add():
        return _to_factor()
    user, name = _me(), request.form.get("name", "").strip()
    if refusal := judge_name(name):
        return _new_page({"name": said(refusal)}, name)
    is_first = user.second_factor_at is None
    try:
        passkeys.add(user, request.form.get(passkeys.ANSWER, ""), name=name)
    except Refused as refusal:
        db.session.rollback()
        return _new_page({passkeys.ANSWER: said(refusal)}, name)
    codes = factors.renew_codes(db.session, user) if is_first else []
    if is_first:
        end_sessions(db.session, user, except_token=session.get(TOKEN, ""))
    audit_act("user.passkey_added", user.email, after={"passkey": name})
    tell_change(db.session, user, "passkey_added", name=name)
    db.session.commit()
    session.pop(PROVED, None)
    if codes:
        return _codes_page(codes, added=name)
    flash(_("The passkey “%(name)s” was added.", name=name), "info")
    return _to_factor()


def _passkey(passkey_id: int) -> Passkey:
    return get_passkey(db.session, _me(), passkey_id) or abort(404)


@blueprint.post("/passkeys/<int:passkey_id>")
def rename_passkey(passkey_id: int) -> Response:
    passkey, name = _passkey(passkey_id), request.form.get("name", "").strip()
    if refusal := judge_name(name):
        return _factor_page({f"name-{passkey_id}": said(refusal)}, typed={passkey_id: name})
    if name != passkey.name:
        before, passkey.name = passkey.name, name
        audit_act("user.passkey_renamed", _me().email, before={"passkey": before}, after={"passkey": name})
        db.session.commit()
        flash(_("Saved."), "info")
    return _to_factor()


@blueprint.post("/passkeys/<int:passkey_id>/remove")
def remove_passkey(passkey_id: int) -> Response:
    passkey = _passkey(passkey_id)
    if _me().needs_second_factor and _is_only_factor(_me()):
        abort(404)
    if asked := _unproved():
        return asked
    user, passkey = _me(), _passkey(passkey_id)
    name = passkey.name
    forget_passkey(db.session, user, passkey)
    audit_act("user.passkey_removed", user.email, before={"passkey": name})
    tell = {"name": name} if user.second_factor_at else {}
    _tell_removed(user, "passkey_removed", **tell)
    return _to_factor()


def _is_only_factor(user: User) -> bool:
    return len(passkeys_of(db.session, user)) + factors.has_app(db.session, user) == 1


def _pending(user: User) -> SecondFactor | None:
    factor = db.session.get(SecondFactor, user.id)
    return factor if factor and factor.pending_secret else None


def _factor_page(errors: Errors | None = None, *, typed: dict[int, str] | None = None) -> Response:
    user = _me()
    pending = _pending(user)
    secret = pending.pending_secret if pending else None
    values = {
        "user": user,
        "errors": errors or {},
        "typed": typed or {},
        "keeps_last": user.needs_second_factor and _is_only_factor(user),
        **_ways(user),
        "picture": _picture(user, secret) if secret else None,
        "secret": _in_groups(secret) if secret else None,
        "codes": (pending.pending_codes or "").split() if pending else [],
        "codes_left": factors.codes_left(db.session, user) if user.second_factor_at else 0,
    }
    return make_response(render_template("people/profile/second_factor.html", **values), 422 if errors else 200)


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
