"""What we use of htmx-flask, whose own ``request`` is known to no checker by the type that it is cast to."""

from flask import Flask, Request

class HtmxHeaders:
    """True if htmx asks."""

    def __bool__(self) -> bool: ...
    @property
    def boosted(self) -> bool: ...
    @property
    def current_url(self) -> str | None: ...
    @property
    def target(self) -> str | None: ...

class HtmxAwareRequest(Request):
    htmx: HtmxHeaders

class Htmx:
    def __init__(self, app: Flask | None = None) -> None: ...
    def init_app(self, app: Flask) -> None: ...

request: HtmxAwareRequest
