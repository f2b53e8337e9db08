"""When something is not there, not allowed or broken: a page in our look that says what to do."""

import logging

from flask import Flask, make_response, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response

from app.config import DOCUMENT_BYTES
from app.errors import PermanentFailure, TemporaryFailure
from app.web import send
from tenants.db import db

log = logging.getLogger(__name__)

#: Status → (title, sentence).
PAGES = {
    400: (_l("That request was not complete"), _l("Go back, reload the page and try again.")),
    403: (_l("This is not open to you"), _l("If you need it for your work, ask your administrator.")),
    404: (_l("There is nothing here"), _l("The address may be mistyped, or what it led to was removed.")),
    405: (_l("This address only takes forms"), _l("Go to the page with the form and send it from there.")),
    413: (_l("This file is too large"), _l("Save it with smaller pictures, or split it, and choose it again.")),
    429: (_l("Too many tries"), _l("Wait a few minutes, then try again.")),
    500: (
        _l("Something broke on our side"),
        _l("Your faxes are safe: what was accepted is kept and goes on. Reload the page in a moment."),
    ),
    503: (_l("A part of Faxroom does not answer"), _l("Nothing is lost. Try again in a minute.")),
}
#: How much of a body that is too large is read away, so that the browser listens to the answer at all.
DRAIN = 4 * DOCUMENT_BYTES


def init_app(app: Flask) -> None:
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(TemporaryFailure, _temporary)
    app.register_error_handler(PermanentFailure, _broken)
    app.register_error_handler(Exception, _broken)


def page(status: int, *, title: str | None = None, text: str | None = None, bare: bool = False) -> Response:
    known_title, known_text = PAGES.get(status, PAGES[400 if status < 500 else 500])
    values = {"status": status, "title": title or known_title, "text": text or known_text, "bare": bare}
    return make_response(render_template("errors/error.html", **values), status)


def _http(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return error.get_response()
    return page(error.code, bare=error.code >= 500)


def _csrf(_error: CSRFError) -> Response:
    text = _("The page was open in another sign-in, or too long ago. Open it again and repeat what you did.")
    return page(400, title=_("This form is no longer valid"), text=text)


def _too_large(_error: RequestEntityTooLarge) -> Response:
    _drain()
    if request.endpoint == "send.take_document":
        return make_response(send.too_large())
    return page(413)


def _drain() -> None:
    left = min(request.content_length or 0, DRAIN)
    stream = request.environ["wsgi.input"]
    while left > 0 and (chunk := stream.read(min(left, 1 << 20))):
        left -= len(chunk)


def _temporary(error: TemporaryFailure) -> Response:
    log.warning("answered 503: %s", error)
    db.session.rollback()
    return page(503, bare=True)


def _broken(error: Exception) -> Response:
    log.error("answered 500", exc_info=error)
    db.session.rollback()
    return page(500, bare=True)
