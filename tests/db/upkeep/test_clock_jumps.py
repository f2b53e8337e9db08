"""A machine's clock is set an hour forth or back: what waits for seconds waits for no more and no fewer."""

import time
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from flask import Flask
from redis import RedisError
from sqlalchemy.exc import OperationalError

import app.jobs.upkeep.clock as clock
from app.models import Fax, Notice
from app.rules.upkeep.clock_jumps import shift_waits
from tenants.db import db, utc_now
from tests.web.cast import Browser, Cast, make_fax

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
JUMPS = pytest.mark.parametrize("jump", [HOUR, -HOUR])


def make_notice(fax_id: str, due_at) -> int:
    told = {"kind": "outcome", "recipient": "bob@alpha.test", "language": "en", "message_id": f"<{fax_id}@x>"}
    notice = Notice(fax_id=fax_id, due_at=due_at, **told)
    db.session.add(notice)
    db.session.commit()
    return notice.id


@JUMPS
def test_a_retry_a_lease_and_a_mail_wait_for_as_long_as_before(app: Flask, cast: Cast, session, jump):
    now = utc_now()
    retrying = make_fax(app, cast, status="retrying", due_at=now + 2 * MINUTE)
    preparing = make_fax(app, cast, status="preparing", lease_until=now + MINUTE)
    notice = make_notice(retrying, now + 5 * MINUTE)
    assert shift_waits(session, before=now, now=now + jump) == 3
    assert session.get_one(Fax, retrying).due_at == now + jump + 2 * MINUTE
    assert session.get_one(Fax, preparing).lease_until == now + jump + MINUTE
    assert session.get_one(Notice, notice).due_at == now + jump + 5 * MINUTE


@JUMPS
def test_what_waits_for_a_time_of_day_is_left_to_the_clock(app: Flask, cast: Cast, session, jump):
    now = utc_now()
    chosen = make_fax(app, cast, status="scheduled", due_at=now + 3 * HOUR, send_at=now + 3 * HOUR)
    capped = make_fax(app, cast, status="ready", due_at=now + 9 * HOUR, cause="daily_cap")
    assert shift_waits(session, before=now, now=now + jump) == 0
    assert session.get_one(Fax, chosen).due_at == now + 3 * HOUR
    assert session.get_one(Fax, capped).due_at == now + 9 * HOUR


@JUMPS
def test_what_is_due_stays_due(app: Flask, cast: Cast, session, jump):
    now = utc_now()
    fax = make_fax(app, cast, status="ready", due_at=now - MINUTE)
    shift_waits(session, before=now, now=now + jump)
    due = session.get_one(Fax, fax).due_at
    assert due <= max(now, now + jump)


@JUMPS
def test_the_clock_sees_a_jump_once_and_no_jump_where_there_is_none(app: Flask, cast: Cast, session, monkeypatch, jump):
    def away(*_: object, **__: object) -> None:
        raise RedisError

    monkeypatch.setattr(clock, "redis", lambda: SimpleNamespace(set=away))
    monkeypatch.setattr(clock, "tick", lambda: None)
    monkeypatch.setattr(clock, "beat", lambda _process: None)
    fax = make_fax(app, cast, status="retrying", due_at=utc_now() + 20 * MINUTE)
    watch = clock.Watch()
    clock._one_tick(watch)
    assert watch.jump() is None
    monkeypatch.setattr(clock, "utc_now", lambda: utc_now() + jump)
    clock._one_tick(watch)
    left = session.get_one(Fax, fax).due_at - (utc_now() + jump)
    assert 10 * MINUTE < left <= 20 * MINUTE
    session.rollback()
    clock._one_tick(watch)
    assert session.get_one(Fax, fax).due_at - (utc_now() + jump) == pytest.approx(left, abs=10 * MINUTE)


class Marks(dict[str, str]):
    """What a Redis keeps."""

    def set(self, key: str, value: str, **_: object) -> bool:
        """Where there is none: all are asked for with ``nx``."""
        is_new = key not in self
        self[key] = value
        return is_new

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.pop(key, None)

    def scan_iter(self, *_: object, **__: object) -> list[str]:
        return []


@JUMPS
def test_a_jump_that_a_database_which_was_away_could_not_follow_is_followed_at_the_next_tick(
    app: Flask, cast: Cast, session, monkeypatch, jump
):
    marks, away = Marks(), OperationalError("UPDATE", {}, Exception("away"))
    for name, stands_for in (("redis", lambda: marks), ("tick", lambda: None), ("beat", lambda _process: None)):
        monkeypatch.setattr(clock, name, stands_for)
    fax = make_fax(app, cast, status="retrying", due_at=utc_now() + 20 * MINUTE)
    watch, another = clock.Watch(), clock.Watch()
    monkeypatch.setattr(clock, "utc_now", lambda: utc_now() + jump)
    with monkeypatch.context() as first:
        first.setattr(clock, "shift_waits", Mock(side_effect=away))
        clock._one_tick(watch)
    clock._one_tick(watch)
    clock._one_tick(another)
    left = session.get_one(Fax, fax).due_at - (utc_now() + jump)
    assert 10 * MINUTE < left <= 20 * MINUTE


@pytest.mark.parametrize("jump", [3600, -3600])
def test_nobody_is_signed_out(app: Flask, cast: Cast, alice: Browser, monkeypatch, jump):
    real = time.time
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: real() + jump)
    assert alice.get("/faxes").status_code == 200
