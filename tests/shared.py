"""What every application of a test run makes anew and could share: how addresses are built, how SQL is compiled.

Each test has an application, a database and an engine of its own. Of the 150 ms of the processor that a test with one
page took, 56 ms went into what werkzeug makes of 166 addresses, and 25 ms into compiling statements that the test
before had compiled.
"""

from typing import Any

import sqlalchemy as sa
from werkzeug.routing import Rule

_rules: dict[tuple[Any, ...], dict[str, Any]] = {}
_compile = Rule.compile
_first: dict[str, sa.Engine] = {}


def share_rules() -> None:
    """What a rule is compiled to is made of nothing but what is in the key; its converters know their map, and ask it
    nothing (werkzeug 3, routing/rules.py and converters.py)."""
    Rule.compile = _compiled_once


def _compiled_once(rule: Rule) -> None:
    told = (rule.rule, rule.subdomain, rule.host, repr(rule.defaults), rule.merge_slashes, rule.map.host_matching)
    key = (*told, *rule.map.converters.items())
    if key not in _rules:
        _compile(rule)
        made = {name: getattr(rule, name) for name in ("_parts", "_trace", "_converters", "arguments")}
        _rules[key] = made | {name: getattr(rule, name).__func__ for name in ("_build", "_build_unknown")}
        return
    for name, value in _rules[key].items():
        setattr(rule, name, value.__get__(rule) if name.startswith("_build") else value.copy())


def share_compiled(engine: sa.Engine) -> None:
    """What is compiled is kept by an engine, for its dialect. Connections, and what they are told, stay its own.

    The first engine of a backend has to have been connected: its dialect has asked the server what it can do.
    """
    first = _first.setdefault(engine.dialect.name, engine)
    engine.dialect = engine.pool._dialect = first.dialect
    engine._compiled_cache = first._compiled_cache


def has_first(engine: sa.Engine) -> bool:
    return engine.dialect.name in _first
