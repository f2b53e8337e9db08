"""In and out. The cookie holds a random token; which browser is signed in, the database knows."""

import hashlib
import time
from dataclasses import dataclass

from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user
from werkzeug.wrappers import Response

from app.errors import Refused
from app.rules.audit.auditing import audit
from app.rules.people.account_notices import tell_change
from app.rules.people.accounts import mail_again
from app.rules.words.sentences import sentence
from app.web.people import passkeys
from app.web.people.credentials import (
    code_sentence,
    hash_aside,
    judge_passkey,
    let_in,
    new_password_problems,
    note_account,
    reading,
    remote_address,
    said,
    throttle,
    verify_aside,
    wait_text,
    writing,
)
from app.web.people.known_browsers import known_browser
from app.web.people.throttle import from_address
from app.web.site.guard import SAFE_METHODS, TOKEN, is_own_path
from tenants.addresses import AddressTaken, fold, is_address, prove_address, user_by_address
from tenants.db import db
from tenants.links import open_link, use_link
from tenants.models import LinkPurpose, OneTimeLink, User
from tenants.passkeys import passkeys_of
from tenants.people import set_password
from tenants.second_factor import codes_left, has_app, take_code
from tenants.sessions import end_session

blueprint = Blueprint("sign_in", __name__)

#: Between password and code; both have to be typed in by then.
HALF_SECONDS = 600
#: In the cookie: who has given the right password and not yet the code.
HALF = "half"
#: The answer to "my password is lost" takes so long in any case, so that its time tells nothing either.
RESET_SECONDS = 0.4
#: How few recovery codes are worth a word.
FEW_CODES = 3


@dataclass(frozen=True)
class SignInForm:
    email: str
    password: str
    next: str | None

    @classmethod
    def read(cls) -> "SignInForm":
        target = request.values.get("next")
        return cls(
            email=request.form.get("email", "").strip(),
            password=request.form.get("password", ""),
            next=target if is_own_path(target) else None,
        )


# ---- The password


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Response:
    form = SignInForm.read()
    if request.method in SAFE_METHODS:
        return redirect(url_for("faxes.home"), 303) if current_user.is_authenticated else _page(form)
    browser = known_browser(user_by_address(db.session, form.email))
    account = from_address(fold(form.email), remote_address())
    if minutes := throttle.take_try(account=account, address=remote_address(), browser=browser):
        return _later(_page(form, wait_text(minutes), status=429), minutes)
    user = _user_with_password(form)
    if user is None:
        throttle.note_failure(address=remote_address())
        _note_refused(form)
        return _page(form, _("The email address or password is wrong. Check both and try again."), status=422)
    throttle.forget(account=account, browser=browser)
    if not user.is_active:  # told only to who knows the password
        return _closed(user, form)
    if user.second_factor_at:
        return _ask_for_code(user, form)
    let_in(user, "password", form.password)
    return redirect(form.next or url_for("faxes.home"), 303)


def _page(form: SignInForm, error: str | None = None, *, status: int = 200) -> Response:
    return make_response(render_template("people/sign_in/sign_in.html", form=form, error=error), status)


def _closed(user: User, form: SignInForm) -> Response:
    note_account(user, "user.sign_in_failed", user=None, after={"reason": "closed"})
    db.session.commit()
    return _page(form, _("This account is closed. Ask your administrator to open it again."), status=403)


def _later(response: Response, minutes: int) -> Response:
    response.headers["Retry-After"] = str(minutes * 60)
    return response


def _user_with_password(form: SignInForm) -> User | None:
    reading()
    user = user_by_address(db.session, form.email)
    user_id, password_hash = (user.id, user.password_hash) if user else (None, None)
    right = verify_aside(password_hash, form.password)
    writing()
    return db.session.get(User, user_id) if right else None


def _note_refused(form: SignInForm) -> None:
    """In the log of the company whose account it is. What is nobody's is named only if it is an address: people type
    their password in the wrong field."""
    if account := user_by_address(db.session, form.email):
        note_account(account, "user.sign_in_failed", user=None, after={"reason": "password"})
        db.session.commit()
    else:
        _note_nobody("unknown", form.email if is_address(form.email) else "?")


def _note_nobody(reason: str, target: str = "?") -> None:
    audit(
        db.session,
        user=None,
        tenant_id=None,
        action="user.sign_in_failed",
        target=target,
        after={"reason": reason},
        remote_address=request.remote_addr,
    )
    db.session.commit()


# ---- The code


def _ask_for_code(user: User, form: SignInForm) -> Response:
    session[HALF] = [user.id, _half_mark(user), int(time.time())]
    return redirect(url_for("sign_in.code", next=form.next), 303)


def _half_mark(user: User) -> str:
    """Changes with the password and with the second factor: half a sign-in does not outlive either."""
    return hashlib.sha256(f"{user.password_hash} {user.second_factor_at}".encode()).hexdigest()[:16]


def _half_signed_in() -> User | None:
    user_id, mark, since = session.get(HALF) or (None, "", 0)
    user = db.session.get(User, user_id) if user_id and time.time() - since < HALF_SECONDS else None
    return user if user and user.is_active and user.second_factor_at and _half_mark(user) == mark else None


@blueprint.route("/sign-in/code", methods=["GET", "POST"])
def code() -> Response:
    form, user = SignInForm.read(), _half_signed_in()
    if user is None:
        session.pop(HALF, None)
        return redirect(url_for("sign_in.sign_in", next=form.next), 303)
    if request.method in SAFE_METHODS:
        return _code_page(form, user)
    if answer := request.form.get(passkeys.ANSWER):
        return _second_by_passkey(form, user, answer)
    typed = request.form.get("code", "").strip()
    if not typed:
        return _code_page(form, user, code_sentence(user, "missing"), status=422)
    account, browser = f"second factor of {user.id}", known_browser(user)
    if minutes := throttle.take_try(account=account, address=remote_address(), browser=browser):
        return _later(_code_page(form, user, wait_text(minutes), status=429), minutes)
    if not take_code(db.session, user, typed):
        db.session.rollback()
        throttle.note_failure(address=remote_address())
        note_account(user, "user.sign_in_failed", user=None, after={"reason": "code"})
        db.session.commit()
        return _code_page(form, user, code_sentence(user, "wrong"), status=422)
    throttle.forget(account=account, browser=browser)
    was_recovery, left = not typed.replace(" ", "").isdigit(), codes_left(db.session, user)
    let_in(user, "code")
    if was_recovery or left < FEW_CODES:
        flash(_codes_text(left), "info")
    return redirect(form.next or url_for("faxes.home"), 303)


def _codes_text(left: int) -> str:
    return ngettext(
        "You have %(num)d recovery code left. Create new ones in your profile before you run out.",
        "You have %(num)d recovery codes left. Create new ones in your profile before you run out.",
        left,
    )


def _code_page(form: SignInForm, user: User, error: str | None = None, *, status: int = 200) -> Response:
    ways = {"app": has_app(db.session, user), "passkeys": bool(passkeys_of(db.session, user))}
    return make_response(render_template("people/sign_in/code.html", form=form, error=error, ways=ways), status)


# ---- A passkey, after the password or in its place


@blueprint.get("/sign-in/passkey")
def passkey_options() -> Response:
    """What the browser is to sign: for who has given the password, else for whoever it is."""
    user = _half_signed_in()
    if user and request.args.get("second"):
        return passkeys.options(passkeys.Purpose.SECOND, user)
    return passkeys.options(passkeys.Purpose.ALONE, None)


def _second_by_passkey(form: SignInForm, user: User, answer: str) -> Response:
    taken = judge_passkey(user, passkeys.Purpose.SECOND, answer, note="user.sign_in_failed")
    if isinstance(taken, str):
        return _code_page(form, user, taken, status=422)
    let_in(user, "password_passkey")
    return redirect(form.next or url_for("faxes.home"), 303)


@blueprint.post("/sign-in/passkey")
def by_passkey() -> Response:
    """Without a password: the device has asked for a PIN, a finger or a face, so that it is two factors itself."""
    form, account = SignInForm.read(), from_address("passkey", remote_address())
    if minutes := throttle.take_try(account=account, address=remote_address()):
        return _later(_page(form, wait_text(minutes), status=429), minutes)
    try:
        user = passkeys.take(passkeys.Purpose.ALONE, None, request.form.get(passkeys.ANSWER, "")).passkey.user
    except Refused as refusal:
        db.session.rollback()
        throttle.note_failure(address=remote_address())
        _note_nobody("passkey")
        return _page(form, said(refusal), status=422)
    throttle.forget(account=account)
    if not user.is_active:
        return _closed(user, form)
    let_in(user, "passkey")
    return redirect(form.next or url_for("faxes.home"), 303)


# ---- A lost password


@blueprint.route("/password", methods=["GET", "POST"])
def forgotten() -> Response:
    """The same answer, in the same time, whether or not there is such an account."""
    begin, email = time.monotonic(), request.form.get("email", "").strip()
    if request.method in SAFE_METHODS:
        return _forgotten_page(request.args.get("email", ""))
    if not email:
        return _forgotten_page(email, sentence("email_missing"), status=422)
    if minutes := throttle.take_reset(address=remote_address()):
        return _later(_forgotten_page(email, wait_text(minutes), status=429), minutes)
    if throttle.may_reset(account=fold(email)):
        _mail_reset(email)
    db.session.rollback()
    time.sleep(max(0.0, RESET_SECONDS - (time.monotonic() - begin)))
    return make_response(render_template("people/sign_in/mailed.html", email=email))


def _mail_reset(email: str) -> None:
    user = user_by_address(db.session, email)
    if user is None or not user.is_active:
        return
    if mail_again(db.session, user, LinkPurpose.PASSWORD_RESET, by=None):
        db.session.commit()


def _forgotten_page(email: str, error: str | None = None, *, status: int = 200) -> Response:
    return make_response(render_template("people/sign_in/forgotten.html", email=email, error=error), status)


# ---- A new password, by a link from a mail


@blueprint.route("/password/<token>", methods=["GET", "POST"])
def new_password(token: str) -> Response:
    return _by_link(token, LinkPurpose.PASSWORD_RESET)


@blueprint.route("/invitation/<token>", methods=["GET", "POST"])
def invitation(token: str) -> Response:
    return _by_link(token, LinkPurpose.INVITATION)


def _by_link(token: str, purpose: LinkPurpose) -> Response:
    """Looking changes nothing: mail servers open links too. Only the form uses it up."""
    link = open_link(db.session, token, purpose)
    if link is None:
        return _dead_link(purpose)
    if request.method in SAFE_METHODS:
        return _link_page(link)
    password, repeated = request.form.get("password", ""), request.form.get("repeated", "")
    if errors := new_password_problems(link.user, password, repeated):
        return _link_page(link, errors)
    password_hash = hash_aside(password)
    link = open_link(db.session, token, purpose)
    if link is None or not use_link(db.session, link):
        return _dead_link(purpose)
    try:
        prove_address(db.session, link.user.address)
    except AddressTaken:
        db.session.rollback()
        link = open_link(db.session, token, purpose)
        return _link_page(link, {"password": sentence("email_answered_elsewhere")}) if link else _dead_link(purpose)
    return _with_new_password(link.user, purpose, password_hash)


def _dead_link(purpose: LinkPurpose) -> Response:
    return make_response(render_template("people/sign_in/dead_link.html", purpose=purpose), 404)


def _with_new_password(user: User, purpose: LinkPurpose, password_hash: str) -> Response:
    """Who has a second factor signs in with it: a mailbox alone is not enough."""
    is_reset = purpose == LinkPurpose.PASSWORD_RESET
    set_password(db.session, user, password_hash)
    if is_reset:
        tell_change(db.session, user, "password")
    act = "user.password_reset" if is_reset else "user.accepted"
    note_account(user, act, user=user)
    if user.second_factor_at:
        db.session.commit()
        session.clear()
        flash(_("Your password has been changed. Sign in with the new one."), "info")
        return redirect(url_for("sign_in.sign_in"), 303)
    let_in(user, "link")
    flash(_("Your password is set, and you are signed in."), "info")
    return redirect(url_for("faxes.home"), 303)


def _link_page(link: OneTimeLink, errors: dict[str, str] | None = None) -> Response:
    values = {"user": link.user, "purpose": link.purpose, "errors": errors or {}}
    return make_response(render_template("people/sign_in/new_password.html", **values), 422 if errors else 200)


@blueprint.post("/sign-out")
def sign_out() -> Response:
    note_account(current_user, "user.signed_off", user=current_user)
    end_session(db.session, session.get(TOKEN, ""))
    db.session.commit()
    session.clear()
    flash(_("You are signed out."), "info")
    answer = redirect(url_for("sign_in.sign_in"), 303)
    if request.is_secure:  # browsers hear it over HTTPS only: pictures of pages lie in their caches
        answer.headers["Clear-Site-Data"] = '"cache"'
    return answer
