"""The application in which jobs run, made once in each worker."""

from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from flask import Flask

from app.factory import create_app
from tenants.connections import JOB, LONG, Patience, waiting

P = ParamSpec("P")
R = TypeVar("R")


@cache
def application() -> Flask:
    return create_app()


def job(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` in the application's context, with a database session of its own. However it ends, what it did
    not commit is rolled back, and its locks go."""
    return _in_context(function, JOB)


def long_job(function: Callable[P, R]) -> Callable[P, R]:
    """One that goes through all that a company has, and whose questions may take long."""
    return _in_context(function, LONG)


def _in_context(function: Callable[P, R], patience: Patience) -> Callable[P, R]:
    @wraps(function)
    def in_context(*args: P.args, **kwargs: P.kwargs) -> R:
        with application().app_context(), waiting(patience):
            return function(*args, **kwargs)

    return in_context
