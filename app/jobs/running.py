"""The application in which jobs run, made once in each worker."""

from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from flask import Flask

from app.factory import create_app

P = ParamSpec("P")
R = TypeVar("R")


@cache
def application() -> Flask:
    return create_app()


def job(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` in the application's context, with a database session of its own."""

    @wraps(function)
    def in_context(*args: P.args, **kwargs: P.kwargs) -> R:
        with application().app_context():
            return function(*args, **kwargs)

    return in_context
