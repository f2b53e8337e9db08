"""Acts that open, take away or destroy much ask once more who is there, if that was not asked a moment ago.

A browser that somebody left open, or a cookie that somebody copied, does none of these. Whoever has a second factor
gives a code of it or uses a passkey, everybody else their password. What was typed into the form stays in it.
"""

from datetime import timedelta
from typing import Any

from flask import Blueprint, Flask, make_response, redirect, render_template, session, url_for
from flask_login import current_user
from htmx_flask import request
from werkzeug.wrappers import Response

from app.web.people import passkeys
from app.web.people.credentials import code_problem, judge_passkey, password_problem
from app.web.site.guard import SAFE_METHODS, TOKEN, begin_writing, is_own_path, view_writes
from tenants.db import db, utc_now
from tenants.models import User
from tenants.passkeys import passkeys_of
from tenants.second_factor import has_app
from tenants.sessions import session_of

blueprint = Blueprint("step_up", __name__)

#: So long a proof lasts. A form that was opened with one may be filled in at leisure.
FRESH, FILLED_IN = timedelta(minutes=10), timedelta(minutes=30)
#: The field of the proof.
PROOF = "step_up"

#: Of the operator's pages every act asks.
OPERATORS = frozenset({"operator", "operator_dialing", "operator_numbers", "operator_trunks"})
#: Endpoints of others, with the methods that ask.
DANGEROUS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("downloads.log_csv", "downloads.log_zip", "audit.csv_file", "calls.csv_file"), ("GET",)),
    **dict.fromkeys(("mail2fax.new_box", "mail2fax.box"), ("GET", "POST")),
    **dict.fromkeys(("mail2fax.forget_key", "mail2fax.remove", "mail2fax.proof"), ("POST",)),
    **dict.fromkeys(("settings.new_place", "settings.place", "settings.place_added"), ("POST",)),
    **dict.fromkeys(("users.user", "users.invite_user", "users.import_users"), ("POST",)),
    **dict.fromkeys(("users.require_second_factor", "users.reset_second_factor", "users.reset_password"), ("POST",)),
    **dict.fromkeys(("operator_access.change", "operator_access.key"), ("POST",)),
    **dict.fromkeys(("profile.end_one_session", "profile.end_other_sessions", "profile.rename_passkey"), ("POST",)),
    **dict.fromkeys(("users.add_key", "users.remove_key", "users.enable_user", "users.disable_user"), ("POST",)),
}


def is_dangerous(endpoint: str, method: str) -> bool:
    if endpoint.partition(".")[0] in OPERATORS:
        return method not in SAFE_METHODS
    return method in DANGEROUS.get(endpoint, ())


def init_app(app: Flask) -> None:
    """After the check of CSRF tokens: what is asked for here is a form."""
    app.before_request(_demand)


def _demand() -> Response | None:
    if not is_dangerous(request.endpoint or "", request.method) or not current_user.is_authenticated:
        return None
    is_form = request.method not in SAFE_METHODS
    if _is_fresh(FILLED_IN if is_form else FRESH):
        return None
    if not is_form:
        target = url_for("step_up.confirm", next=request.full_path.rstrip("?"))
        if request.htmx:
            return Response(status=204, headers={"HX-Redirect": target})
        return redirect(target, 303)
    problem = None
    if PROOF in request.form:
        problem = _prove()
        if problem is None:
            return None
    return _page(request.full_path.rstrip("?"), _held(), problem)


def _is_fresh(age: timedelta) -> bool:
    row = session_of(db.session, session.get(TOKEN, ""))
    return row is not None and row.proved_at is not None and row.proved_at > utc_now() - age


def _prove() -> str | None:
    """None if it was right; it is noted then, and the request goes on as it began."""
    user, typed = db.session.get_one(User, current_user.id), request.form.get(PROOF, "")
    if answer := request.form.get(passkeys.ANSWER):
        taken = judge_passkey(user, passkeys.Purpose.CONFIRM, answer, note="user.step_up_failed")
        problem = taken if isinstance(taken, str) else None
        db.session.commit()
    elif user.second_factor_at:
        problem = code_problem(user, typed.strip())
        db.session.commit()  # a code that was right is used up
    else:
        problem = password_problem(user, typed)
    if problem is None:
        begin_writing()
        row = session_of(db.session, session.get(TOKEN, ""))
        if row:
            row.proved_at = utc_now()
        db.session.commit()
    if view_writes():
        begin_writing()
    return problem


def _held() -> list[tuple[str, str]]:
    """What was typed, to be sent again with the proof."""
    besides = {"csrf_token", PROOF, passkeys.ANSWER}
    return [(name, value) for name, value in request.form.items(multi=True) if name not in besides]


def _page(action: str, held: list[tuple[str, str]], problem: str | None) -> Response:
    files = [name for name, file in request.files.items() if file.filename]
    user = db.session.get_one(User, current_user.id)
    values: dict[str, Any] = {"action": action, "held": held, "error": problem, "proof": PROOF, "user": user}
    values |= {"app": has_app(db.session, user), "passkeys": bool(passkeys_of(db.session, user))}
    answer = make_response(
        render_template("people/sign_in/step_up.html", files=files, back=_page_before(), **values),
        422 if problem else 403,
    )
    if request.htmx:
        answer.headers["HX-Retarget"], answer.headers["HX-Reswap"] = "body", "innerHTML"
    return answer


def _page_before() -> str:
    """Where the form is, for who has to choose a file again."""
    path = (request.referrer or "").removeprefix(request.host_url.rstrip("/"))
    return path if is_own_path(path) else url_for("faxes.home")


@blueprint.get("/confirm/passkey")
def passkey_options() -> Response:
    """What the browser of who is signed in is to sign."""
    return passkeys.options(passkeys.Purpose.CONFIRM, db.session.get_one(User, current_user.id))


@blueprint.route("/confirm", methods=["GET", "POST"])
def confirm() -> Response:
    """For a page or a file that asks: then it is gone to."""
    asked = request.values.get("next")
    target = asked if asked and is_own_path(asked) else url_for("faxes.home")
    action = url_for("step_up.confirm", next=target)
    if request.method in SAFE_METHODS:
        answer = _page(action, [], None)
        answer.status_code = 200
        return answer
    if problem := _prove():
        return _page(action, [], problem)
    return redirect(target, 303)
