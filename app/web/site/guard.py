"""Who is asking: every page needs a signed-in person unless it is named here.

Also decides when the database is only read. SQLite has one write lock: a request takes it at the moment in which its
view begins to write, not while a slow browser is still uploading. Meanwhile it has no transaction at all.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Request, Response, current_app, flash, g, redirect, session, url_for
from flask_babel import gettext as _
from flask_login import AnonymousUserMixin, LoginManager, current_user
from htmx_flask import request
from werkzeug.wrappers import Response as AnyResponse

from tenants.connections import ASIDE, DATABASE_DOWN, JOB, PAGE, patience, waiting
from tenants.db import db, end_reading, read_only, rows_kept
from tenants.models import User
from tenants.sessions import is_seen_anew, note_seen, session_of

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

#: Everything else is guarded, a route that is added tomorrow too.
PUBLIC = frozenset(
    {
        *("static", "front.known", "health.healthz", "preferences.theme", "security_contact.security_txt"),
        *("sign_in.sign_in", "sign_in.code", "sign_in.forgotten", "sign_in.invitation", "sign_in.new_password"),
        *("sign_in.passkey_options", "sign_in.by_passkey"),
    }
)
#: What somebody may do whose company demands a second factor, before they have one.
ENROLMENT = frozenset(
    {
        *("profile.second_factor", "profile.begin_second_factor", "profile.confirm_second_factor", "sign_in.sign_out"),
        *("profile.begin_passkey", "profile.new_passkey", "profile.add_passkey"),
    }
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN = "token"


def reads(view: View) -> View:
    """Mark a POST view that writes nothing, or that says itself when it begins to."""
    view.writes = False  # type: ignore[attr-defined]  # a mark on a function
    return view


def writes(view: View) -> View:
    """Mark a GET view that may write, such as one that draws a report when it is first asked for."""
    view.writes = True  # type: ignore[attr-defined]  # a mark on a function
    return view


def init_app(app: Flask) -> None:
    LoginManager(app).request_loader(load_user)
    app.before_request(begin_reading)
    app.before_request(_demand_sign_in)
    app.before_request(_demand_second_factor)
    app.before_request(_end_reading_before_a_body)
    app.teardown_request(_end)


def begin_writing_after_csrf(app: Flask) -> None:
    """The CSRF check reads the whole body; only after it may the transaction be one that writes."""
    app.before_request(_begin_writing)


def load_user(_request: Request) -> User | None:
    """The user whose session token the cookie holds, unless the account is closed. Who belongs to a suspended company
    comes in and sees why nothing is sent."""
    token = session.get(TOKEN)
    row = session_of(db.session, token) if token else None
    if row is None:
        return None
    if is_seen_anew(row):
        g.seen_session = row.id
    if row.user.language:
        g.language = row.user.language  # in which a fault is told that comes after this
    return row.user


def ask_nobody() -> None:
    """The rest of this request is nobody's: the database is not asked who sent it, nor told that they were there."""
    g._login_user = AnonymousUserMixin()  # where flask-login keeps whom it has loaded
    g.pop("seen_session", None)


def begin_reading() -> None:
    read_only.set(True)
    patience.set(PAGE)


def _demand_sign_in() -> AnyResponse | None:
    if request.endpoint in PUBLIC or current_user.is_authenticated:
        return None
    was_known = TOKEN in session
    if was_known:
        session.clear()
    if _was_act():
        flash(_("You were signed out, so nothing was sent or saved. Sign in and try again."), "error")
    elif was_known:
        flash(_("You were signed out. Sign in to continue."), "info")
    target = url_for("sign_in.sign_in", next=page_here())
    if request.htmx:
        return Response(status=204, headers={"HX-Redirect": target})
    return redirect(target, 303)


def _demand_second_factor() -> AnyResponse | None:
    if request.endpoint in PUBLIC | ENROLMENT or not current_user.lacks_second_factor:
        return None
    target = url_for("profile.second_factor")
    if request.htmx:
        return Response(status=204, headers={"HX-Redirect": target})
    return redirect(target, 303)


def _end_reading_before_a_body() -> None:
    """A slow browser uploads for minutes: no transaction may be idle for so long, and no connection be taken. Who was
    signed in when it began is not asked again before something is written."""
    if request.content_length or request.headers.get("Transfer-Encoding"):
        with rows_kept():
            end_reading(db.session)


def _was_act() -> bool:
    """A form of ours that somebody thinks they have submitted; who signs out twice has what they want. With one that
    another site submits no cookie comes: to tell of it would be to put another cookie in its place."""
    origin = request.headers.get("Origin")
    if origin and urlsplit(origin).netloc != request.host:
        return False
    return request.method not in SAFE_METHODS and not request.htmx and request.endpoint != "sign_in.sign_out"


def page_here() -> str | None:
    """The page to come back to after sign-in: only pages can be asked for again, acts cannot. The page of a form that
    is submitted to its own address can."""
    here = request.htmx.current_url if request.htmx else request.full_path.rstrip("?")
    answers = request.url_rule.methods if request.url_rule else None
    if not request.htmx and "GET" not in (answers or ()):
        return None
    parts = urlsplit(here or "/")
    here = parts.path + (f"?{parts.query}" if parts.query else "")
    return here if here != "/" else None


def _begin_writing() -> None:
    if view_writes():
        begin_writing()


def begin_writing() -> None:
    """From here on the transaction writes, and what was read before is read anew. A GET that seldom does calls it when
    it has to."""
    db.session.rollback()
    db.session.expire_all()  # what was kept of a transaction that had ended (rows_kept)
    read_only.set(False)


def view_writes() -> bool:
    """Whether what was asked for changes something."""
    view = current_app.view_functions.get(request.endpoint or "")
    return getattr(view, "writes", request.method not in SAFE_METHODS)


def _end(_error: BaseException | None) -> None:
    read_only.set(False)
    patience.set(JOB)
    if session_id := g.pop("seen_session", None):
        _note_seen(session_id)


def _note_seen(session_id: int) -> None:
    """After the answer, in a transaction of its own. A database that is busy hears of it at the next request."""
    try:
        db.session.rollback()
        with waiting(ASIDE), db.engine.begin() as connection:
            note_seen(connection, session_id)
    except DATABASE_DOWN as error:
        log.warning("it was not noted that a session is in use: %s", error)


def is_own_path(target: str | None) -> TypeGuard[str]:
    """True for a path on this very site: no host, no scheme, nothing that a browser reads as one (``//``, ``/\\``)."""
    if not target or not target.startswith("/") or target.startswith("//") or "\\" in target:
        return False
    parts = urlsplit(target)
    return not parts.scheme and not parts.netloc and target.isprintable()
