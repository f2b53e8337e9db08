"""Every route, for everybody of the cast, on what is theirs and what is another company's (see tests/web/matrix.py)."""

from collections import Counter
from typing import Any

import pytest
from flask import Flask

from tenants.db import db
from tests.web.cast import Cast
from tests.web.matrix import (
    NEEDS_MORE,
    PEOPLE,
    THINGS,
    Route,
    World,
    declared,
    fax_pages,
    missing,
    served,
    whole_database,
)
from tests.web.site.test_guard import MASKED

LET_IN = {200, 204, 303, 422}
#: They lead there on purpose.
LEADS_TO_SIGN_IN = {"sign_in.sign_out", "sign_in.code"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return fax_pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def world(app: Flask, cast: Cast, pages: bytes, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("app.web.site.health.check_health", lambda: {"database": {"ok": True}})
    monkeypatch.setattr("app.web.operator.companies.check_health", lambda: {"database": {"ok": True}})
    return World(app, cast, pages)


def test_every_route_and_method_is_declared_and_nothing_else(app: Flask) -> None:
    in_table = Counter((route.method, route.endpoint) for route in declared())
    in_table.update(NEEDS_MORE.keys())
    assert [route for route, count in in_table.items() if count > 1] == []
    assert served(app) - set(in_table) == set(), "add them to tests/web/matrix.py"
    assert set(in_table) - served(app) == set(), "they are gone: take them out of tests/web/matrix.py"


def test_a_route_that_is_added_without_being_declared_is_found(app: Flask) -> None:
    app.add_url_rule("/everything", "everything", lambda: "secret", methods=["GET", "DELETE"])
    in_table = {(route.method, route.endpoint) for route in declared()}
    assert {("GET", "everything"), ("DELETE", "everything")} <= served(app) - in_table


@pytest.mark.parametrize("person", PEOPLE)
def test_whoever_may_not_is_told_what_a_missing_thing_tells_and_changes_nothing(world: World, person: str) -> None:
    refused = [route for route in declared() if person not in route.let_in]
    things = {name: make(world) for name, make in THINGS.items()} | {"tenant": {"tenant_id": world.cast.alpha}}
    things["tenant"]["user_id"] = world.cast.alice
    world.browser(person)
    before = everything(world)
    wrong = [told for route in refused if (told := judge_refusal(world, person, route, things))]
    assert wrong == []
    assert everything(world) == before
    assert len(refused) > 10 or person == "alice"


def everything(world: World) -> dict[str, Any]:
    with world.app.app_context():
        found = dict(whole_database())
        db.session.rollback()
    return found


def judge_refusal(world: World, person: str, route: Route, things: dict[str, Any]) -> str | None:
    """What is wrong with the answer: nobody is sent to sign in, everybody else finds nothing."""
    answer = world.ask(person, route, things.get(route.thing or "", {}))
    if person == "nobody":
        place = answer.headers.get("Location", "").split("?")[0]
        return None if (answer.status_code, place) == (303, "/sign-in") else told(person, route, answer)
    if answer.status_code != 404:
        return told(person, route, answer)
    if route.thing:
        other = world.ask(person, route, missing(route, world))
        if MASKED.sub("", other.text) != MASKED.sub("", answer.text):
            return f"{told(person, route, answer)}, not as if it were missing"
    return None


@pytest.mark.parametrize("person", PEOPLE)
def test_whoever_may_is_let_in(world: World, person: str) -> None:
    """With an empty form: a page, a fragment, a place to go on, or the form again with what is wrong with it."""
    allowed = [route for route in declared() if person in route.let_in]
    allowed.sort(key=lambda route: route.endpoint == "sign_in.sign_out")  # the last thing that they do
    wrong = [told for route in allowed if (told := judge_welcome(world, person, route))]
    assert wrong == []


def judge_welcome(world: World, person: str, route: Route) -> str | None:
    answer = world.ask(person, route, THINGS[route.thing](world) if route.thing else {})
    answer.get_data()
    away = answer.headers.get("Location", "").startswith("/sign-in") and route.endpoint not in LEADS_TO_SIGN_IN
    if (person, route.endpoint) == ("nobody", "front.known"):  # what it is asked for
        return None if answer.status_code == 401 else told(person, route, answer)
    return told(person, route, answer) if answer.status_code not in LET_IN or away else None


def told(person: str, route: Route, answer: Any) -> str:
    place = answer.headers.get("Location", "")
    return f"{person}: {route.method} {route.endpoint} ({route.thing}) → {answer.status_code} {place}".rstrip()


@pytest.mark.parametrize(("method", "endpoint"), NEEDS_MORE)
def test_what_needs_more_is_missing_for_everybody_who_lacks_it(world: World, method: str, endpoint: str) -> None:
    route = Route("people", method, endpoint, None)
    thing = missing(route, world)
    assert {world.ask(person, route, thing).status_code for person in PEOPLE if person != "nobody"} == {404}


def test_every_thing_of_the_table_is_there_and_used() -> None:
    assert {route.thing for route in declared() if route.thing} == set(THINGS)
