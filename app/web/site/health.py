"""Does every part answer? For whoever watches the installation."""

import logging

from flask import Blueprint, Response, jsonify

from app.services.upkeep.health import check_health

log = logging.getLogger(__name__)

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> tuple[Response, int]:
    """Always JSON: whoever asks is a program, and it asks most when something is broken that nobody foresaw."""
    try:
        parts = check_health()
    except Exception as error:
        log.exception("health could not be told")
        parts = {"web": {"ok": False, "error": type(error).__name__, "advice": "See the log of the web."}}
    well = all(part["ok"] for part in parts.values())
    return jsonify(ok=well, parts=parts), 200 if well else 503
