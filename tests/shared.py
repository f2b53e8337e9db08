"""What every application of a test run makes anew and could share: how addresses are built, how SQL is compiled.

Each test has an application, a database and an engine of its own. Of the 150 ms of the processor that a test with one
page took, 48 ms went into werkzeug's builders for 166 addresses, and 25 ms into compiling statements that the test
before had compiled.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from werkzeug.routing import Rule

_builders: dict[tuple[Any, ...], Callable[..., Any]] = {}
_compile = Rule._compile_builder
_first: dict[str, sa.Engine] = {}


def share_builders() -> None:
    """A builder is made of nothing but what is in the key (werkzeug 3, routing/rules.py)."""
    Rule._compile_builder = _compiled_once


def _compiled_once(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
    key = (rule.rule, rule.subdomain, rule.host, repr(rule.defaults), tuple(rule._trace), append_unknown)
    if key not in _builders:
        _builders[key] = _compile(rule, append_unknown)
    return _builders[key]


def share_compiled(engine: sa.Engine) -> None:
    """What is compiled is kept by an engine, for its dialect. Connections, and what they are told, stay its own.

    The first engine of a backend has to have been connected: its dialect has asked the server what it can do.
    """
    first = _first.setdefault(engine.dialect.name, engine)
    engine.dialect = engine.pool._dialect = first.dialect
    engine._compiled_cache = first._compiled_cache


def has_first(engine: sa.Engine) -> bool:
    return engine.dialect.name in _first
