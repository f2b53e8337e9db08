"""Does every part answer? For whoever watches the installation."""

from flask import Blueprint, Response, jsonify

from app.health import check_health

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> tuple[Response, int]:
    parts = check_health()
    well = all(part["ok"] for part in parts.values())
    return jsonify(ok=well, parts=parts), 200 if well else 503
