"""Addresses of pages."""

from collections.abc import Mapping
from typing import Any

from flask import url_for


def url_with(endpoint: str, *fields: Mapping[str, str]) -> str:
    """The page's address with these fields; of one that is there twice the last counts."""
    values: dict[str, Any] = {name: text for some in fields for name, text in some.items()}
    return url_for(endpoint, **values)
