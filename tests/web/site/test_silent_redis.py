"""A Redis that takes connections and is silent: what was taken is shown as taken, and no page waits for it."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

import app.jobs.upkeep.clock as clock
from app.factory import create_app
from app.models import Notice
from app.queues import REST_SECONDS, SECONDS, connect, redis
from tenants.db import db, utc_now
from tests.waiting import Silent, silent_server
from tests.web.cast import Browser, Cast, make_fax
from tests.web.faxes.test_send import faxes, upload

pytestmark = pytest.mark.any_database

PAGE_SECONDS = 5


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a slow machine takes no longer than a silent Redis rests."""
    monkeypatch.setattr("app.queues.REST_SECONDS", 600)


@pytest.fixture
def silent(app: Flask, bob: Browser) -> Iterator[Silent]:
    with silent_server() as server:
        app.extensions["redis"] = connect(f"redis://127.0.0.1:{server.port}/0")
        yield server


def test_a_fax_is_taken_and_shown_as_taken(app: Flask, cast: Cast, bob: Browser, silent: Silent, patient: None) -> None:
    answer = bob.post("/faxes/send", entity=str(cast.frontdesk), to="050 1234567", send_at="", document=upload())
    assert answer.status_code == 303
    assert silent.came() == 1, "it is waited for once"
    [fax] = faxes(app)
    page = bob.get(answer.headers["Location"])
    assert page.status_code == 200 and "letter.pdf" in page.text
    assert fax.status == "accepted"


def test_a_page_that_asks_redis_again_and_again_waits_for_it_once(app: Flask, silent: Silent, patient: None) -> None:
    with app.app_context():
        for _ in range(20):
            with pytest.raises(Exception, match=r"Timeout|silent"):
                redis().ping()
    assert silent.came() == 1


def test_signing_in_counts_on_its_own_and_in_time(app: Flask, cast: Cast, patient: None) -> None:
    """Several counts are asked for, and noted, with each try."""
    with silent_server() as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        settings = replace(app.config["SETTINGS"], redis_url=url)
        nobody = Browser(create_app(settings, TESTING=True))
        assert nobody.sign_in("bob@alpha.test", "wrong").status_code == 422
        assert nobody.sign_in("bob@alpha.test").status_code == 303
        assert 0 < server.came() * SECONDS < PAGE_SECONDS


def test_a_redis_that_answers_again_is_asked_again(app: Flask, silent: Silent, monkeypatch) -> None:
    with app.app_context():
        with pytest.raises(Exception, match="Timeout"):
            redis().ping()
        retry = redis().connection_pool.connection_kwargs["retry"]
        monkeypatch.setattr("app.queues.time.monotonic", lambda: time.perf_counter() + 1e6 + REST_SECONDS)
        with pytest.raises(Exception, match="Timeout"):
            redis().ping()
        assert retry.resting_until > 1e6


def test_the_clock_finds_what_was_not_enqueued(
    app: Flask, cast: Cast, bob: Browser, silent: Silent, monkeypatch
) -> None:
    """Of each job that is enqueued after a commit."""
    bob.post("/faxes/send", entity=str(cast.frontdesk), to="050 1234567", send_at="", document=upload())
    asked: list[tuple[str, object]] = []

    class Empty:
        count = 0

    class Taking:
        def set(self, *_: object, **__: object) -> bool:
            return False

    monkeypatch.setattr(clock, "queue", lambda _name: Empty())
    monkeypatch.setattr(clock, "redis", lambda: Taking())
    monkeypatch.setattr(clock, "enqueue", lambda name, *ids: asked.append((name, *ids)))
    monkeypatch.setattr(clock, "enqueue_once", lambda name: asked.append((name, None)))
    monkeypatch.setattr(clock, "utc_now", lambda: utc_now() + 2 * clock.PATIENCE)
    due = make_fax(app, cast, status="ready", due_at=utc_now())
    with app.app_context():
        notice = Notice(
            fax_id=due, kind="outcome", recipient="bob@alpha.test", language="en", message_id="<1@x>", due_at=utc_now()
        )
        db.session.add(notice)
        db.session.commit()
        notice_id = notice.id
        clock.tick()
    assert set(asked) >= {("prepare", None), ("dispatch", None), ("deliver", notice_id)}
