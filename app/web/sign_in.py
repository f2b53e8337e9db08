"""In and out. The cookie holds a random token; which browser is signed in, the database knows."""

from dataclasses import dataclass

from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user
from werkzeug.wrappers import Response

from app.web.guard import SAFE_METHODS, TOKEN, is_own_path, is_suspended
from app.web.throttle import Throttle
from tenants.addresses import fold, user_by_address
from tenants.db import db, read_only
from tenants.models import User
from tenants.passwords import hash_password, needs_rehash, verify_password
from tenants.sessions import end_session, open_session

blueprint = Blueprint("sign_in", __name__)
throttle = Throttle()


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


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Response:
    form = SignInForm.read()
    if request.method in SAFE_METHODS:
        return redirect(url_for("faxes.home"), 303) if current_user.is_authenticated else _page(form)
    address = request.remote_addr or "unknown"
    if minutes := throttle.take_try(account=fold(form.email), address=address):
        return _ask_to_wait(form, minutes)
    user = _user_with_password(form)
    if user is None:
        throttle.note_failure(address=address)
        return _page(form, _("Email address or password is wrong. Check both and try again."), status=422)
    throttle.forget(account=fold(form.email))
    if refusal := _closed(user):
        return _page(form, refusal, status=403)
    _open(user, form.password)
    return redirect(form.next or url_for("faxes.home"), 303)


def _page(form: SignInForm, error: str | None = None, *, status: int = 200) -> Response:
    return make_response(render_template("sign_in/sign_in.html", form=form, error=error), status)


def _ask_to_wait(form: SignInForm, minutes: int) -> Response:
    sentence = ngettext(
        "Too many wrong tries. Wait %(num)d minute, then try again.",
        "Too many wrong tries. Wait %(num)d minutes, then try again.",
        minutes,
    )
    response = _page(form, sentence, status=429)
    response.headers["Retry-After"] = str(minutes * 60)
    return response


def _user_with_password(form: SignInForm) -> User | None:
    """Checked while only reading: a hash takes a tenth of a second, too long to hold a database's write lock."""
    read_only.set(True)
    user = user_by_address(db.session, form.email)
    user_id, password_hash = (user.id, user.password_hash) if user else (None, None)
    db.session.rollback()
    right = verify_password(password_hash, form.password)
    read_only.set(False)
    return db.session.get(User, user_id) if right else None


def _closed(user: User) -> str | None:
    """Told only to who knows the password."""
    if not user.is_active:
        return _("This account is closed. Ask your administrator to open it again.")
    if is_suspended(user):
        return _("Your company's fax room is suspended. Ask whoever runs your telephone system.")
    return None


def _open(user: User, password: str) -> None:
    """A fresh session in place of whatever the browser brought, and a fresh row for it."""
    if earlier := session.get(TOKEN):
        end_session(db.session, earlier)
    if needs_rehash(user.password_hash or ""):
        user.password_hash = hash_password(password)
    agent = request.user_agent.string
    token = open_session(db.session, user, remote_address=request.remote_addr, user_agent=agent)
    db.session.commit()
    session.clear()
    session[TOKEN] = token


@blueprint.post("/sign-out")
def sign_out() -> Response:
    end_session(db.session, session.get(TOKEN, ""))
    db.session.commit()
    session.clear()
    flash(_("You are signed out."), "info")
    return redirect(url_for("sign_in.sign_in"), 303)
