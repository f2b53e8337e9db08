"""The viewer: the pages of a fax in the browser, and the pictures of single pages that it shows."""

import logging

from flask import Blueprint, abort, make_response, redirect, render_template, url_for
from flask_login import current_user
from htmx_flask import request
from werkzeug.wrappers import Response

from app.adapters.fax_files.page_pictures import MOST_PAGES
from app.errors import PermanentFailure
from app.models import Fax
from app.models.faxes.moves import is_final
from app.rules.ground.access import get_visible_fax
from app.services.documents.pictures import FULL, SCREEN, THUMBNAIL, WIDTHS, draw_page, heights
from app.web.faxes.content_log import note_view
from app.web.faxes.inbox import note_opening
from app.whole_numbers import read_whole
from tenants.db import db

log = logging.getLogger(__name__)

blueprint = Blueprint("viewer", __name__)

#: Small pictures on the fax's page; from the next page on the viewer has them.
STRIP = 12
KEEP_FOR_LONG = "private, max-age=31536000, immutable"


@blueprint.get("/faxes/<fax_id>/view")
def view(fax_id: str) -> Response:
    """All pages; ``page`` leads to one of them. Also what a page that waits for them asks again."""
    fax = _fax_or_404(fax_id)
    shown = _heights(fax)
    if not shown:
        return _nothing_to_see(fax)
    if request.htmx:
        return Response(status=204, headers={"HX-Refresh": "true"})
    if wanted := request.args.get("page"):
        return redirect(url_for("viewer.view", fax_id=fax.id, _anchor=f"page-{_clamped(wanted, len(shown))}"), 303)
    note_opening(fax)
    note_view(_fax_or_404(fax_id))
    return make_response(
        render_template("faxes/viewer/view.html", fax=_fax_or_404(fax_id), heights=shown, most=MOST_PAGES)
    )


def _fax_or_404(fax_id: str) -> Fax:
    return get_visible_fax(db.session, current_user, fax_id) or abort(404)


def _heights(fax: Fax) -> tuple[int, ...]:
    """None where there are no pages, or none that can be read."""
    if fax.tiff is None:
        return ()
    try:
        return heights(fax.tiff.storage_key)
    except PermanentFailure as failure:
        log.warning("the pages of fax %s cannot be shown: %s", fax.id, failure)
        return ()


def _nothing_to_see(fax: Fax) -> Response:
    waits = fax.tiff_id is None and not is_final(fax.status)
    if request.htmx and waits:
        return Response(status=204)
    return make_response(render_template("faxes/viewer/no_pages.html", fax=fax, waits=waits))


def _clamped(text: str, pages: int) -> int:
    return min(max(read_whole(text.strip()) or 1, 1), pages)


@blueprint.get("/faxes/<fax_id>/pages/<int:number>.png")
def page(fax_id: str, number: int) -> Response:
    """One page as the line carries it, ``width`` pixels wide. ``v`` is what :func:`page_url` says of the pages."""
    fax = _fax_or_404(fax_id)
    width = request.args.get("width", SCREEN, type=int)
    if fax.tiff is None or width not in WIDTHS or not 1 <= number <= MOST_PAGES:
        abort(404)
    note_view(fax)
    key, lasting = fax.tiff.storage_key, request.args.get("v") == _version(fax)
    db.session.rollback()  # drawing waits for its turn: hold no connection meanwhile
    try:
        picture = draw_page(key, number, width)
    except PermanentFailure as failure:
        log.warning("page %s of fax %s cannot be shown: %s", number, fax_id, failure)
        abort(404)
    response = Response(picture, mimetype="image/png")
    if lasting:
        response.headers["Cache-Control"] = KEEP_FOR_LONG
    return response


@blueprint.app_template_global()
def page_url(fax: Fax, number: int, width: int) -> str:
    """The address of a picture, which changes if ever the pages do: the browser need not ask twice."""
    return url_for("viewer.page", fax_id=fax.id, number=number, width=width, v=_version(fax))


def _version(fax: Fax) -> str:
    return fax.its_tiff.sha256[:12]


@blueprint.app_context_processor
def _sizes() -> dict[str, int]:
    return {"THUMBNAIL": THUMBNAIL, "SCREEN": SCREEN, "FULL": FULL, "STRIP": STRIP}
