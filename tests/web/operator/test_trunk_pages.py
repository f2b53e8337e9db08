"""The operator's view of a trunk: what was seen of it, and its test calls."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import Trunk
from app.rules.sending.trunks.choosing import bound_key
from app.services.trunks.states import REGISTRATION_LOST, RESTART, TrunkState
from app.web.operator import operator_trunks, trunk_pages
from tenants.db import db, utc_now
from tests.web.cast import Browser, Cast, make_fax

PAGE = "/operator/trunks"


def test_a_test_call_is_shown_under_the_trunk_that_it_went_over_and_under_no_other(
    app: Flask, cast: Cast, olga: Browser
) -> None:
    with app.app_context():
        db.session.add(Trunk(name="backup", host="h", port=5060, position=1))
        db.session.commit()
        main = db.session.scalar(sa.select(Trunk.id).where(Trunk.name == "main"))
    fax_id = make_fax(app, cast, user_id=cast.olga, origin="test", submission_key=bound_key(main, "1"))
    pages = {
        name: olga.get(f"{PAGE}/{name}/tests/{fax_id}").status_code for name in ("main", "backup", "nobody", "%3Cb")
    }
    assert pages == {"main": 200, "backup": 404, "nobody": 404, "%3Cb": 404}


def test_a_test_call_of_a_removed_trunk_is_not_shown_under_the_next_one(app: Flask, cast: Cast, olga: Browser) -> None:
    removed, _ = _entered_anew(app), _removed(app)
    fax_id = make_fax(app, cast, user_id=cast.olga, origin="test", submission_key=bound_key(removed, "1"))
    assert _entered_anew(app) != removed
    assert olga.get(f"{PAGE}/backup/tests/{fax_id}").status_code == 404


def _entered_anew(app: Flask) -> int:
    with app.app_context():
        db.session.add(trunk := Trunk(name="backup", host="h", port=5060, position=1))
        db.session.commit()
        return trunk.id


def _removed(app: Flask) -> None:
    with app.app_context():
        db.session.execute(sa.delete(Trunk).where(Trunk.name == "backup"))
        db.session.commit()


def test_no_test_call_begins_over_a_trunk_that_is_not_there(app: Flask, cast: Cast, olga: Browser) -> None:
    assert olga.post(f"{PAGE}/nobody/test", page=f"{PAGE}/main/health", line="", to="").status_code == 404


@pytest.mark.parametrize(
    ("fault", "said"),
    [(RESTART, "Restart bin/up."), (REGISTRATION_LOST, "The provider does not accept the registration.")],
)
def test_what_was_seen_of_a_trunk_is_said_on_its_page_and_in_the_list(
    app: Flask, cast: Cast, olga: Browser, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    now = utc_now().timestamp()
    state = TrunkState("main", now, matter=fault, since=now - 20)
    monkeypatch.setattr(trunk_pages, "state_of", lambda _name: state)
    monkeypatch.setattr(operator_trunks, "faults", lambda _now: {"main": state})
    assert said in olga.get(f"{PAGE}/main/health").text
    assert said in olga.get(PAGE).text
    monkeypatch.setattr(operator_trunks, "faults", lambda _now: {"other": replace(state, name="other")})
    assert said not in olga.get(PAGE).text
