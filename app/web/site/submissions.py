"""Forms that must act once however often they are sent, and forms that others have overtaken."""

import hashlib
import json
import secrets
from typing import Any

from flask import request

from app.errors import Refused

Fields = dict[str, Any]


def fresh_key() -> str:
    """For a form that must act once however often it is sent."""
    return secrets.token_urlsafe(18)


def stamp_of(standing: Fields) -> str:
    """What a form was made of, as a field of it."""
    return hashlib.sha256(json.dumps(standing, sort_keys=True, default=str).encode()).hexdigest()[:16]


def overtaken(standing: Fields, typed: Fields) -> dict[str, Refused]:
    """Whether somebody has changed what the form shows since it was opened: what they changed would be taken back by
    fields that nobody touched. A form that asks for nothing but what holds, as with a double click, is as good as
    done; one without a stamp was opened before there were any. The caller holds what keeps others from changing it."""
    stamp = request.form.get("stamp")
    if stamp is None or stamp == stamp_of(standing) or not differs(standing, typed):
        return {}
    return {"form": Refused("page_overtaken")}


def differs(standing: Fields, typed: Fields) -> bool:
    return any(_in_one_line(standing.get(name)) != _in_one_line(value) for name, value in typed.items())


def _in_one_line(value: Any) -> Any:
    """Browsers end lines in a way of their own, and people put blanks as they like."""
    return " ".join(value.split()) if isinstance(value, str) else value
