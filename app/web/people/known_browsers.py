"""Browsers that somebody has signed in from: a cookie says so, signed, and says nothing else.

Whoever guesses somebody's password fills a count of their own, by address; the owner's browser has another one, so that
no stranger can keep the owner out (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"). And a sign-in from
a browser or an address that is new to an account is told to its owner by mail.
"""

import secrets

from flask import after_this_request, current_app, request
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.wrappers import Response

from tenants.models import User

YEAR = 365 * 24 * 3600
#: Of a browser that many share; who signed in first is forgotten first.
MOST_ACCOUNTS = 20


def _name() -> str:
    """With HTTPS browsers hold to it that no neighbouring host and no plain HTTP has set it (RFC 6265bis, 4.1.3.2)."""
    return "__Host-known" if current_app.config["SESSION_COOKIE_SECURE"] else "known"


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt="browsers that are known")


def _read() -> tuple[str, list[int]]:
    """The browser's own name, empty if it has none, and whose accounts it knows."""
    try:
        name, accounts = _signer().loads(request.cookies.get(_name(), ""))
    except (BadSignature, ValueError, TypeError):
        return "", []
    return name, accounts


def known_browser(user: User | None) -> str | None:
    """The name of this browser if the user has signed in from it before."""
    name, accounts = _read()
    return name if user is not None and name and user.id in accounts else None


def remember_browser(user: User) -> None:
    """With the answer to this request."""
    name, accounts = _read()
    accounts = [account for account in accounts if account != user.id][-MOST_ACCOUNTS + 1 :]
    value = _signer().dumps([name or secrets.token_urlsafe(16), [*accounts, user.id]])
    secure = current_app.config["SESSION_COOKIE_SECURE"]

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(_name(), value, max_age=YEAR, path="/", secure=secure, httponly=True, samesite="Lax")
        return response
