"""Two people, or two tabs, at the same form: what the first has saved is not taken back by the second, who never saw
it. Whoever sends a form twice is done after the first time."""

from typing import Any

import lxml.html
import pytest
import sqlalchemy as sa
from flask import Flask
from lxml.html import FormElement
from werkzeug.test import TestResponse

from app.models import DialingPolicy, Trunk
from app.rules.numbers.policy import Policy, set_policy
from tenants.db import db
from tenants.models import Role, User
from tests.web.cast import Cast
from tests.web.matrix import THINGS, Thing, World
from tests.web.setup.test_changes import on_postgres, while_uncommitted  # noqa: F401 - the same moment

MEANWHILE = "Someone has changed this in the meantime"
#: Whose form, of which thing → what the first changes, and what the second.
FORMS: dict[str, tuple[str, str | None, dict[str, str], dict[str, str]]] = {
    "users.user": ("alice", "colleague", {"role": "admin"}, {"name": "Roberta"}),
    "alerts.alerts": ("alice", None, {"alert_failed_percent": "30"}, {"alert_stuck_minutes": "45"}),
    "settings.limits": ("alice", None, {"outbound": "3"}, {"inbound": "2"}),
    "settings.retention": ("alice", None, {"days_sent": "300"}, {"days_reports": "400"}),
    "settings.place": ("alice", "place", {"folder": "elsewhere"}, {"name": "Copies"}),
    "mail2fax.box": ("alice", "box", {"folder": "Faxes"}, {"name": "Second"}),
    "door.box": ("alice", "door_box", {"name": "First"}, {"authserv_id": "mx.alpha.test"}),
    "entities.entity": ("alice", "entity", {"extension": "6999"}, {"name": "Second"}),
    "templates.template": ("alice", "template", {"header": "First"}, {"name": "Second"}),
    "operator.tenant": ("olga", "tenant", {"fax_channels": "9"}, {"name": "Second SpA"}),
    "operator_trunks.trunk": ("olga", "trunk", {"host": "sip2.example.org"}, {"channels": "7"}),
    "operator_dialing.policy": ("olga", None, {"countries": "Italy"}, {"voice_minutes": "50"}),
}


@pytest.fixture
def world(app: Flask, cast: Cast) -> World:
    return World(app, cast, b"")


class Tab:
    """A form as a browser has it, since it was opened."""

    def __init__(self, world: World, endpoint: str) -> None:
        self.who, thing, *_rest = FORMS[endpoint]
        self.world = world
        named: Thing = _kept(world, thing) if thing else {}
        self.action = _address(world, endpoint, named)
        page = "/settings" if endpoint in ("settings.limits", "settings.retention") else self.action
        document = lxml.html.fromstring(world.browser(self.who)[0].get(page).text)
        self.form: FormElement = next(form for form in document.forms if form.get("action") == self.action)

    def send(self, **typed: str) -> TestResponse:
        values: dict[str, Any] = {name: value for name, value in self.form.form_values() if name != "csrf_token"}
        browser, _token = self.world.browser(self.who)
        return browser.post(self.action, **(values | typed))


def _address(world: World, endpoint: str, thing: Thing) -> str:
    with world.app.test_request_context():
        arguments = world.rules[endpoint].arguments
        return world.app.url_for(endpoint, **{name: value for name, value in thing.items() if name in arguments})


def _kept(world: World, name: str) -> Thing:
    """The same thing for each tab of a test."""
    things: dict[str, Thing] = world.__dict__.setdefault("things", {})
    if name not in things:
        things[name] = THINGS[name](world)
    return things[name]


@pytest.mark.parametrize("endpoint", FORMS)
def test_who_comes_second_is_told_and_keeps_what_was_typed(world: World, endpoint: str) -> None:
    _who, _thing, first, second = FORMS[endpoint]
    early, late = Tab(world, endpoint), Tab(world, endpoint)
    assert early.send(**first).status_code == 303
    told = late.send(**second)
    assert told.status_code == 422
    assert MEANWHILE in told.text
    (typed,) = second.values()
    assert f'value="{typed}"' in told.text
    again = Tab(world, endpoint)
    assert {**dict(again.form.form_values()), **first} == dict(again.form.form_values())
    assert again.send(**second).status_code == 303


@pytest.mark.parametrize("endpoint", FORMS)
def test_a_form_that_is_sent_twice_is_done(world: World, endpoint: str) -> None:
    _who, _thing, typed, _second = FORMS[endpoint]
    tab = Tab(world, endpoint)
    assert [tab.send(**typed).status_code for _click in range(2)] == [303, 303]


@pytest.mark.parametrize(
    ("endpoint", "typed"),
    [
        ("mail2fax.box", {"folder": "Faxes", "programs": "bob@alpha.test\r\nalice@alpha.test"}),
        ("operator_trunks.trunk", {"channels": "7", "prefers": "+39   +4930"}),
        ("operator_trunks.trunk", {"channels": "7", "username": "alpha", "password": "secret"}),
    ],
)
def test_lines_blanks_and_a_password_make_no_other_form_of_the_second_click(
    world: World, endpoint: str, typed: dict[str, str]
) -> None:
    tab = Tab(world, endpoint)
    assert [tab.send(**typed).status_code for _click in range(2)] == [303, 303]


@pytest.mark.parametrize(
    ("endpoint", "changed"),
    [
        ("operator_trunks.trunk", sa.update(Trunk).values(host="sip2.example.org")),
        ("operator_dialing.policy", sa.update(DialingPolicy).values(premium_allowed=True)),
    ],
)
def test_who_saves_at_the_same_moment_waits_and_is_told(
    world: World,
    on_postgres: None,  # noqa: F811
    endpoint: str,
    changed: sa.Update,
) -> None:
    _who, _thing, _first, second = FORMS[endpoint]
    with world.app.app_context():
        set_policy(db.session, Policy())
        db.session.commit()
    late = Tab(world, endpoint)
    told = while_uncommitted(world.app, lambda session: session.execute(changed), lambda: late.send(**second))
    assert told.status_code == 422
    assert MEANWHILE in told.text


def test_who_has_become_a_user_stays_one_when_somebody_mends_the_name(world: World) -> None:
    old = Tab(world, "users.user")
    Tab(world, "users.user").send(role="admin")
    stale = Tab(world, "users.user")
    Tab(world, "users.user").send(role="user")
    assert stale.send(name="Roberta").status_code == 422
    assert old.send(name="Roberta").status_code == 303
    with world.app.app_context():
        assert db.session.get_one(User, _kept(world, "colleague")["user_id"]).role == Role.USER
