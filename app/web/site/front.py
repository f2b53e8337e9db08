"""What the front asks (front/nginx.conf) before it takes a large body."""

from flask import Blueprint, Response
from flask_login import current_user

blueprint = Blueprint("front", __name__)


@blueprint.get("/front/known")
def known() -> Response:
    """204: somebody is signed in. 401: nobody, so that nobody's files fill our disk."""
    return Response(status=204 if current_user.is_authenticated else 401)
