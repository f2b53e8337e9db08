"""When something is not there, not allowed or broken: a page in our look that says what to do.

A page about a fault of ours needs nothing but itself: it asks neither who is signed in nor anything else of a database
that may be the fault.
"""

import logging
from collections.abc import Callable, Mapping

from flask import Flask, make_response, render_template, session
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.csrf import CSRFError
from htmx_flask import request
from redis import RedisError
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, ServiceUnavailable
from werkzeug.wrappers import Response

from app.config import DOCUMENT_BYTES
from app.errors import PermanentFailure, TemporaryFailure
from app.rules.words.sentences import sentence
from app.web.site.guard import ask_nobody, page_here, view_writes
from tenants.connections import DATABASE_DOWN, beyond_any_row
from tenants.db import db

log = logging.getLogger(__name__)

#: Status → (title, sentence).
PAGES = {
    400: (_l("That request was not complete"), _l("Go back, reload the page and try again.")),
    403: (_l("You do not have access to this page"), _l("If you need it for your work, ask your administrator.")),
    404: (_l("Page not found"), _l("The address may be mistyped, or the page may have been removed.")),
    405: (_l("This address only accepts forms"), _l("Go to the page with the form and send it from there.")),
    413: (_l("This file is too large"), _l("Save it with smaller pictures, or split it, and choose it again.")),
    429: (_l("Too many attempts"), _l("Wait a few minutes, then try again.")),
    500: (
        _l("Something went wrong on our side"),
        _l("Your faxes are safe: everything that was accepted is kept and continues. Reload the page in a moment."),
    ),
    503: (_l("Part of Faxroom is not responding"), _l("Nothing is lost. Try again in a minute.")),
}
SAFE = _l("Your faxes are safe: everything that was accepted is kept and continues automatically.")
AGAIN = _l("Reload this page in a minute.")
UNCERTAIN = _l("What you just submitted may not have been saved. Check in a minute before you submit it again.")
RETRY_SECONDS = "30"
#: How much of a body that is too large is read away, so that the browser listens to the answer at all.
DRAIN = 4 * DOCUMENT_BYTES
#: Endpoint → what a form says in its own place of a body that is too large, and of one for which there is no room.
OWN_WORDS: dict[str, tuple[Callable[[], str], Callable[[], str]]] = {}
#: Set by front/nginx.conf on a request that it does not hand on.
FRONT_REFUSED = "X-Front-Refused"


def init_app(app: Flask) -> None:
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(TemporaryFailure, _temporary)
    for kind in (*DATABASE_DOWN, RedisError):
        app.register_error_handler(kind, _down)
    for fault in (OverflowError, DataError):
        app.register_error_handler(fault, _beyond_all)
    app.register_error_handler(PermanentFailure, _broken)
    app.register_error_handler(Exception, _broken)


def page(
    status: int, *, title: str | None = None, text: str | None = None, bare: bool = False, again: str | None = None
) -> Response:
    """``bare``: the page knows nobody and touches no part of ours. ``again``: the page of the submitted form."""
    if bare:
        ask_nobody()
    known_title, known_text = PAGES.get(status, PAGES[400 if status < 500 else 500])
    values = {"title": title or known_title, "text": text or known_text, "bare": bare, "again": again}
    if bare and request.htmx and not request.htmx.boosted:
        return _notice(status, values)
    return make_response(render_template("site/errors/error.html", status=status, **values), status)


def busy() -> Response:
    """Instead of a download whose turn it is not."""
    text = _("Wait until a download has finished, then start this one again.")
    answer = page(503, title=_("Too many downloads at the moment"), text=text)
    answer.headers["Retry-After"] = "30"
    return answer


def _notice(status: int, values: Mapping[str, object]) -> Response:
    """For a part of a page: the place at its top where it says that it cannot go on. What was only asked for is asked
    for again by itself; what somebody did is not, so that stays to be read."""
    stays = view_writes()
    answer = make_response(render_template("site/errors/notice.html", stays=stays, status=status, **values), status)
    answer.headers["HX-Retarget"] = "#trouble"
    answer.headers["HX-Reswap"] = "outerHTML show:#trouble:top" if stays else "outerHTML"
    return answer


def _http(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return error.get_response()
    return page(error.code, bare=error.code >= 500)


def _csrf(_error: CSRFError) -> Response:
    """Who comes without a cookie, as with a form of another site, gets none: it would put out the one that they
    have."""
    text = _("This page was opened in another session, or too long ago. Open it again and repeat your change.")
    again = None if request.htmx or not session else page_here()
    return page(400, title=_("This form is no longer valid"), text=text, bare=not session, again=again)


def _too_large(_error: RequestEntityTooLarge) -> Response:
    _drain()
    if own := OWN_WORDS.get(request.endpoint or ""):
        return make_response(own[0]())
    return page(413)


def refuse_as_the_front_did() -> Response | None:
    """The front took the body, found it too large or had no room for it, and asks us for the words. Nobody else gets
    this header past it; without a front it does no more than it says."""
    refused = request.headers.get(FRONT_REFUSED)
    if refused == "413":
        raise RequestEntityTooLarge
    if refused == "503":
        return _no_room()
    return None


def _no_room() -> Response:
    if own := OWN_WORDS.get(request.endpoint or ""):
        return make_response(own[1]())
    return page(ServiceUnavailable.code, text=sentence("no_room"))


def _drain() -> None:
    left = min(request.content_length or 0, DRAIN)
    stream = request.environ["wsgi.input"]
    while left > 0 and (chunk := stream.read(min(left, 1 << 20))):
        left -= len(chunk)


def _temporary(error: TemporaryFailure) -> Response:
    log.warning("answered 503: %s", error)
    _let_go()
    return page(503, bare=True)


def _down(error: Exception) -> Response:
    log.warning("answered 503: %s: %s", type(error).__name__, error)
    _let_go()
    text = f"{SAFE} {UNCERTAIN if view_writes() else AGAIN}"
    answer = page(503, title=_("Faxroom cannot reach its data at the moment"), text=text, bare=True)
    answer.headers["Retry-After"] = RETRY_SECONDS
    return answer


def _beyond_all(error: OverflowError | DataError) -> Response:
    """A number in an address or a form that no row can have."""
    if not beyond_any_row(error):
        return _broken(error)
    db.session.rollback()
    return page(404)


def _broken(error: Exception) -> Response:
    log.error("answered 500", exc_info=error)
    _let_go()
    return page(500, bare=True)


def _let_go() -> None:
    """Nothing of this request is written, and its connection goes back, or away where it cannot even do that. Before
    anything is said: in which language that is would be asked of the database."""
    ask_nobody()
    try:
        db.session.rollback()
    except Exception as error:
        log.warning("a connection to the database is given up: %s", error)
        db.session.invalidate()
