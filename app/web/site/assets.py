"""Static files under names that change with their content, so that a browser may keep them for a year."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, request

DAY = 24 * 3600
YEAR = 365 * DAY


def init_app(app: Flask) -> None:
    app.url_defaults(_add_version)
    app.after_request(_keep_for_long)


def _add_version(endpoint: str, values: dict[str, Any]) -> None:
    if endpoint == "static" and "v" not in values and (folder := current_app.static_folder):
        path = Path(folder) / values["filename"]
        if path.is_file():
            values["v"] = _digest(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, _changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _keep_for_long(response: Response) -> Response:
    if request.endpoint == "static" and "v" in request.args and response.status_code == 200:
        response.cache_control.no_cache = None
        response.cache_control.public = True
        response.cache_control.max_age = YEAR
        response.cache_control.immutable = True
    elif request.endpoint == "static" and request.path.endswith(".woff2"):  # named in the style sheet, without version
        response.cache_control.no_cache = None
        response.cache_control.max_age = DAY
    return response
