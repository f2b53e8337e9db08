"""The application in which jobs run: made once in each worker before it forks."""

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from flask import Flask

from app.factory import create_app
from tenants.db import db

P = ParamSpec("P")
R = TypeVar("R")


@cache
def application() -> Flask:
    app = create_app()
    app.extensions["made_in"] = os.getpid()
    return app


def job(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` in the application's context, with database connections of this very process."""

    @wraps(function)
    def in_context(*args: P.args, **kwargs: P.kwargs) -> R:
        app = application()
        with app.app_context():
            if app.extensions["made_in"] != os.getpid():
                db.engine.dispose(close=False)  # connections that the parent opened stay the parent's
                app.extensions["made_in"] = os.getpid()
            return function(*args, **kwargs)

    return in_context
