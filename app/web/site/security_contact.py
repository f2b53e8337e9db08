"""Whom to tell of a hole: ``/.well-known/security.txt`` (RFC 9116), if the operator names somebody."""

from flask import Blueprint, Response, abort, current_app

blueprint = Blueprint("security_contact", __name__)


@blueprint.get("/.well-known/security.txt")
def security_txt() -> Response:
    """Without a contact there is none: a page that leads nowhere is worse."""
    settings = current_app.config["SETTINGS"]
    if not settings.security_contact:
        abort(404)
    lines = [
        *(f"Contact: {contact}" for contact in settings.security_contact),
        f"Expires: {settings.security_expires.isoformat()}",
        "Preferred-Languages: en, it",
        f"Canonical: {settings.base_url}/.well-known/security.txt",
    ]
    return Response("\n".join(lines) + "\n", mimetype="text/plain")
