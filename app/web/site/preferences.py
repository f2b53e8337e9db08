"""What a browser remembers for itself: light, dark, or as the machine says."""

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from app.web.site.guard import is_own_path, reads

blueprint = Blueprint("preferences", __name__)

THEMES = ("auto", "light", "dark")
YEAR = 365 * 24 * 3600


@blueprint.app_context_processor
def _theme() -> dict[str, str]:
    chosen = request.cookies.get("theme", "auto")
    return {"theme": chosen if chosen in THEMES else "auto"}


@blueprint.post("/theme")
@reads
def theme() -> Response:
    """Without JavaScript; with it, app.js writes the same cookie."""
    chosen, back = request.form.get("theme", "auto"), request.form.get("back")
    response = redirect(back if is_own_path(back) else url_for("faxes.home"), 303)
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=YEAR, samesite="Lax", secure=request.is_secure)
    return response
