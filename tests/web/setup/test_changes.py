"""Save and apply: edits are collected, shown as a difference, applied all together or not at all, or discarded."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.models import AuditEvent, Fax, FaxEntity, FaxTemplate, Grant, PendingChange
from app.rules.sending.submit import next_fax_number
from tenants.db import db, utc_now
from tenants.models import Role, Tenant, User
from tenants.scope import lock_tenant
from tests.web.cast import Browser, Cast, changes, make_document, make_user
from tests.web.saving import add, apply, give, post, save, save_users, whole


def saved(app: Flask) -> list[PendingChange]:
    with app.app_context():
        rows = list(db.session.scalars(sa.select(PendingChange).order_by(PendingChange.id)))
        db.session.expunge_all()
        return rows


def events(app: Flask, action: str) -> list[AuditEvent]:
    with app.app_context():
        rows = list(db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == action)))
        db.session.expunge_all()
        return rows


def another_administrator(app: Flask, cast: Cast) -> Browser:
    with app.app_context():
        make_user("dora@alpha.test", "Dora", db.session.get_one(Tenant, cast.alpha), Role.ADMIN)
        db.session.commit()
    dora = Browser(app)
    assert dora.sign_in("dora@alpha.test").status_code == 303
    return dora


def test_what_is_saved_holds_only_once_it_is_applied(app: Flask, cast: Cast, alice: Browser):
    assert save(app, alice, cast.frontdesk, name="reception").status_code == 303
    assert whole(app, cast.frontdesk).name == "frontdesk"
    assert "1 saved change is not active" in alice.get("/users").text, "every page of the administration says so"
    page = alice.get("/changes").text
    assert "<del>frontdesk</del>" in page
    assert "<ins>reception</ins>" in page
    assert 'value="reception"' in alice.get(f"/entities/{cast.frontdesk}").text, "the form goes on from what was saved"
    assert apply(alice).status_code == 303
    entity = whole(app, cast.frontdesk)
    assert (entity.name, entity.extension, entity.number) == ("reception", "501", "+390509655637"), "and nothing else"
    assert saved(app) == []
    (event,) = events(app, "entity.changed")
    assert (event.target, event.before, event.after) == ("frontdesk", {"name": "frontdesk"}, {"name": "reception"})
    assert (event.user_id, event.remote_address) == (cast.alice, "127.0.0.1")


def test_a_discarded_draft_leaves_nothing_behind(app: Flask, cast: Cast, alice: Browser):
    save(app, alice, cast.frontdesk, name="reception")
    add(app, alice, cast.alpha)
    save(app, alice, cast.archive, extension="509")
    first = saved(app)[0].id
    assert post(alice, f"/changes/{first}/discard", {}).status_code == 303
    assert [row.id for row in saved(app)] == [row.id for row in saved(app) if row.id != first]
    assert len(saved(app)) == 2
    post(alice, "/changes/discard", {})
    assert saved(app) == []
    assert "not active until you apply" not in alice.get("/entities").text
    with app.app_context():
        assert db.session.query(FaxEntity).count() == 3
        assert db.session.scalars(changes()).all() == []


def test_several_edits_of_one_thing_are_one_change_with_its_first_before(app: Flask, cast: Cast, alice: Browser):
    save(app, alice, cast.frontdesk, name="reception")
    save_users(alice, f"/entities/{cast.frontdesk}/users", shown=[cast.bob], sends=[])
    save(app, alice, cast.frontdesk, name="hall", extension="511")
    (row,) = saved(app)
    assert row.before == {"name": "frontdesk", "extension": "501", f"grant:{cast.bob}": "send"}
    assert row.after == {"name": "hall", "extension": "511", f"grant:{cast.bob}": ""}
    save(app, alice, cast.frontdesk)
    (row,) = saved(app)
    assert row.after == {f"grant:{cast.bob}": ""}, "a field that is as it was differs no more"
    save_users(alice, f"/entities/{cast.frontdesk}/users", shown=[cast.bob], sends=[cast.bob])
    assert saved(app) == [], "and what does not differ at all is no change"


def test_two_lines_exchange_their_extensions(app: Flask, cast: Cast, alice: Browser):
    assert save(app, alice, cast.frontdesk, extension="509").status_code == 303
    assert save(app, alice, cast.archive, extension="501").status_code == 303, (
        "free as soon as the other one is applied"
    )
    assert save(app, alice, cast.frontdesk, extension="502").status_code == 303
    assert apply(alice).status_code == 303
    assert (whole(app, cast.frontdesk).extension, whole(app, cast.archive).extension) == ("502", "501")


def test_one_change_that_cannot_be_keeps_all_from_being_applied(app: Flask, cast: Cast, alice: Browser):
    save(app, alice, cast.frontdesk, name="reception")
    save(app, alice, cast.archive, extension="509")
    with app.app_context():  # meanwhile, by the provision file
        template = db.session.query(FaxTemplate).filter_by(tenant_id=cast.alpha).first().id
        taken = FaxEntity(tenant_id=cast.alpha, name="cellar", extension="509", template_id=template)
        db.session.add(taken)
        db.session.commit()
    answer = apply(alice)
    assert answer.status_code == 422
    assert "Nothing was applied, because of archive" in answer.text
    assert "509 is in use by cellar" in answer.text
    assert (whole(app, cast.frontdesk).name, whole(app, cast.archive).extension) == ("frontdesk", "502")
    assert len(saved(app)) == 2, "and nothing that was saved is lost"
    assert events(app, "entity.changed") == []


def test_who_comes_second_is_told_and_overwrites_nothing(app: Flask, cast: Cast, alice: Browser):
    dora = another_administrator(app, cast)
    save(app, alice, cast.frontdesk, name="reception")
    save(app, dora, cast.frontdesk, name="hall")
    assert "Colleagues have saved changes too" in dora.get("/changes").text
    assert apply(alice).status_code == 303
    answer = apply(dora)
    assert answer.status_code == 422
    assert "Someone else has changed the same thing in the meantime" in answer.text
    assert whole(app, cast.frontdesk).name == "reception"


def test_two_who_change_different_fields_of_one_thing_both_succeed(app: Flask, cast: Cast, alice: Browser):
    dora = another_administrator(app, cast)
    save(app, alice, cast.frontdesk, name="reception")
    save_users(dora, f"/entities/{cast.frontdesk}/users", shown=[cast.bob])
    assert apply(alice).status_code == 303
    assert apply(dora).status_code == 303
    assert whole(app, cast.frontdesk).name == "reception"
    with app.app_context():
        assert db.session.query(Grant).filter_by(user_id=cast.bob).count() == 0


def test_only_what_the_page_showed_is_applied(app: Flask, cast: Cast, alice: Browser):
    save(app, alice, cast.frontdesk, name="reception")
    shown = [("ids", saved(app)[0].id)]
    save(app, alice, cast.archive, name="cellar")
    assert post(alice, "/changes/apply", shown).status_code == 303
    assert len(saved(app)) == 2
    assert "Review the list" in alice.get("/changes").text


def test_nobody_sees_applies_or_discards_what_a_colleague_has_saved(app: Flask, cast: Cast, alice: Browser):
    dora = another_administrator(app, cast)
    save(app, alice, cast.frontdesk, name="reception")
    add(app, alice, cast.alpha, name="secret line")
    _change, added = saved(app)
    assert "reception" not in dora.get("/changes").text
    assert "secret line" not in dora.get("/entities").text
    for path in (f"/entities/added/{added.id}", f"/entities/added/{added.id}/users"):
        assert dora.get(path).status_code == 404
    assert post(dora, f"/changes/{added.id}/discard", {}).status_code == 404
    post(dora, "/changes/discard", {})
    post(dora, "/changes/apply", [("ids", row.id) for row in saved(app)])
    assert len(saved(app)) == 2
    assert whole(app, cast.frontdesk).name == "frontdesk"


def test_a_form_that_is_older_than_what_holds_is_shown_again_with_what_was_typed(
    app: Flask, cast: Cast, alice: Browser
):
    dora = another_administrator(app, cast)
    path = f"/entities/{cast.frontdesk}"
    old = alice.get(path).text
    save(app, dora, cast.frontdesk, extension="511")
    apply(dora)
    stamp = old.split('name="stamp" value="')[1].split('"')[0]
    fields = {"name": "reception", "extension": "501", "template": "1", "authentication": "none", "stamp": stamp}
    answer = post(alice, path, fields)
    assert answer.status_code == 422
    assert "Someone has changed this in the meantime" in answer.text
    assert 'value="reception"' in answer.text
    assert saved(app) == []


def test_who_is_no_administrator_any_more_applies_nothing(app: Flask, cast: Cast, alice: Browser):
    save(app, alice, cast.frontdesk, name="reception")
    with app.app_context():
        db.session.get_one(User, cast.alice).role = Role.USER
        db.session.commit()
    assert alice.post("/changes/apply", ids="1").status_code == 404
    assert whole(app, cast.frontdesk).name == "frontdesk"


# ---- At the same moment


@pytest.fixture
def on_postgres(app: Flask) -> None:
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            pytest.skip("SQLite lets the second one begin only after the first has ended")


def while_uncommitted(app: Flask, write: Callable[[Session], None], act: Callable[[], Any]) -> Any:
    """``act`` at a moment when somebody else has written and not committed; they commit once it waits for them."""
    with app.app_context(), Session(db.engine) as other, ThreadPoolExecutor(1) as pool:
        write(other)
        other.flush()
        acting = pool.submit(act)
        end = time.monotonic() + 100
        waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
            while not watcher.scalar(waiting) and not acting.done():
                assert time.monotonic() < end, "it waited for nobody"
                time.sleep(0.02)
        other.commit()
        return acting.result()


def test_two_companies_that_race_for_one_number_cannot_both_have_it(
    app: Flask, cast: Cast, alice: Browser, on_postgres: None
):
    give(app, cast.alpha, "+390509655699")
    save(app, alice, cast.frontdesk, number="+39 050 9655699")
    ids = [("ids", row.id) for row in saved(app)]
    alice.token("/changes")

    def theirs(session: Session) -> None:
        session.get_one(FaxEntity, cast.beta_line).number = "+390509655699"

    answer = while_uncommitted(app, theirs, lambda: post(alice, "/changes/apply", ids))
    assert answer.status_code == 422
    assert "Someone else has just taken" in answer.text
    assert whole(app, cast.frontdesk).number == "+390509655637"
    assert len(saved(app)) == 1


def test_two_administrators_who_apply_at_once_do_it_one_after_the_other(
    app: Flask, cast: Cast, alice: Browser, on_postgres: None
):
    save(app, alice, cast.frontdesk, name="reception")
    ids = [("ids", row.id) for row in saved(app)]

    def colleague(session: Session) -> None:
        lock_tenant(session, cast.alpha)
        session.get_one(FaxEntity, cast.frontdesk).name = "hall"

    answer = while_uncommitted(app, colleague, lambda: post(alice, "/changes/apply", ids))
    assert answer.status_code == 422
    assert "Someone else has changed the same thing in the meantime" in answer.text
    assert whole(app, cast.frontdesk).name == "hall"


def test_a_fax_that_is_being_sent_keeps_its_line_from_closing(
    app: Flask, cast: Cast, alice: Browser, on_postgres: None
):
    post(alice, f"/entities/{cast.frontdesk}/close", {"really": "yes"})
    ids = [("ids", row.id) for row in saved(app)]

    def sends(session: Session) -> None:
        number = next_fax_number(session, cast.alpha)
        fax = Fax(tenant_id=cast.alpha, number=number, status="accepted", direction="sent", origin="web")
        fax.entity_id, fax.user_id = cast.frontdesk, cast.bob
        session.add(fax)

    answer = while_uncommitted(app, sends, lambda: post(alice, "/changes/apply", ids))
    assert answer.status_code == 422
    assert "waiting or being sent (1)" in answer.text
    assert whole(app, cast.frontdesk).closed_at is None


def test_a_line_that_is_being_closed_takes_no_more_faxes(app: Flask, cast: Cast, bob: Browser, on_postgres: None):
    with app.app_context():
        document = make_document(app, cast.alpha)
        document.user_id = cast.bob
        db.session.commit()
        draft = document.id
    fields = {"entity": str(cast.frontdesk), "to": "0501234567", "draft": draft}

    def closes(session: Session) -> None:
        lock_tenant(session, cast.alpha)
        session.get_one(FaxEntity, cast.frontdesk).closed_at = utc_now()

    answer = while_uncommitted(app, closes, lambda: post_to(bob, "/faxes/send", fields))
    assert answer.status_code == 422
    with app.app_context():
        assert db.session.query(Fax).count() == 0


def post_to(browser: Browser, path: str, fields: dict[str, str]) -> Any:
    return browser.post(path, page="/faxes", **fields)
