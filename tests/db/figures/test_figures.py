"""The figures are those of the faxes, however often and by however many they are counted."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.models import Attempt, Direction, Fax, FaxDay, Scope, Status
from app.rules.figures.figures import by_day, by_entity, by_user, count_days
from app.rules.operator.companies import Company, change_company
from tenants.db import db, utc_now
from tenants.models import Tenant
from tests.web.cast import Cast, make_fax

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MARCH = {"since": date(2026, 3, 1), "until": date(2026, 3, 31)}


def ended(app: Flask, cast: Cast, at: datetime = NOON, *, seconds: int = 0, **more: object) -> str:
    fax_id = make_fax(app, cast, finished_at=at, **{"status": Status.SENT, **more})
    with app.app_context():
        for n, length in enumerate(divide(seconds), start=1):
            fax = db.session.get_one(Fax, fax_id)
            call = {"n": n, "channel_id": f"{fax_id}-{n}", "node": "a", "ended_at": at}
            call |= {
                "tenant_id": fax.tenant_id,
                "entity_id": fax.entity_id,
                "answered_at": at - timedelta(seconds=length),
            }
            db.session.add(Attempt(fax_id=fax_id, **call))
        db.session.commit()
    return fax_id


def divide(seconds: int) -> list[int]:
    return [seconds // 2, seconds - seconds // 2] if seconds else []


def received(app: Flask, cast: Cast, at: datetime = NOON, **more: object) -> str:
    values = {
        "direction": Direction.RECEIVED,
        "status": Status.RECEIVED,
        "finished_at": at,
        "pages": 3,
        "pages_done": 3,
    }
    fax_id = make_fax(app, cast, **(values | more))
    with app.app_context():
        db.session.execute(sa.update(Fax).where(Fax.id == fax_id).values(user_id=None))
        db.session.commit()
    return fax_id


def rows(session: Session, scope: Scope = Scope.TENANT) -> list[tuple]:
    columns = (FaxDay.day, FaxDay.direction, FaxDay.status, FaxDay.cause, FaxDay.faxes, FaxDay.pages, FaxDay.seconds)
    query = sa.select(*columns).where(FaxDay.scope == scope).order_by(FaxDay.day, FaxDay.direction, FaxDay.status)
    return [tuple(row) for row in session.execute(query)]


def test_faxes_pages_and_seconds_are_counted_by_day_outcome_and_cause(app: Flask, cast: Cast, session: Session) -> None:
    ended(app, cast, seconds=61)
    ended(app, cast, seconds=40)
    ended(app, cast, status=Status.FAILED, cause="busy")
    received(app, cast, NOON + timedelta(days=1))
    make_fax(app, cast, status=Status.SCHEDULED)
    assert count_days(session, NOON + timedelta(days=2)) == 2
    assert rows(session) == [
        (date(2026, 3, 10), "sent", "failed", "busy", 1, 0, 0),
        (date(2026, 3, 10), "sent", "sent", None, 2, 4, 101),
        (date(2026, 3, 11), "received", "received", None, 1, 3, 0),
    ]


def test_each_scope_counts_each_fax_once(app: Flask, cast: Cast, session: Session) -> None:
    ended(app, cast, user_id=cast.alice, entity_id=cast.archive)
    ended(app, cast)
    ended(app, cast, status=Status.FAILED, cause="busy")
    ended(app, cast, status=Status.FAILED, cause="no_answer")
    received(app, cast)
    count_days(session, NOON)
    for scope, faxes in ((Scope.TENANT, 5), (Scope.ENTITY, 5), (Scope.USER, 4)):
        assert session.scalar(sa.select(sa.func.sum(FaxDay.faxes)).where(FaxDay.scope == scope)) == faxes
    entities = {
        (row.key, row.direction, row.status): row.faxes for row in by_entity(session, tenant_id=cast.alpha, **MARCH)
    }
    assert entities[cast.archive, "sent", "sent"] == 1
    assert entities[cast.frontdesk, "sent", "failed"] == 2
    users = {(row.key, row.status): row.faxes for row in by_user(session, tenant_id=cast.alpha, **MARCH)}
    assert users == {(cast.alice, "sent"): 1, (cast.bob, "sent"): 1, (cast.bob, "failed"): 2}
    of_line = by_day(session, tenant_id=cast.alpha, entity_id=cast.archive, **MARCH)
    assert [(row.key, row.faxes) for row in of_line] == [(date(2026, 3, 10), 1)]


def test_months_are_the_sums_of_their_days(app: Flask, cast: Cast, session: Session) -> None:
    for month, day in ((1, 1), (1, 31), (2, 1), (12, 31)):
        ended(app, cast, datetime(2026, month, day, 12, tzinfo=UTC), status=Status.FAILED, cause="busy")
    count_days(session, datetime(2027, 1, 2, tzinfo=UTC))
    year = {"since": date(2026, 1, 1), "until": date(2026, 12, 31)}
    months = by_day(session, tenant_id=cast.alpha, by_month=True, **year)
    assert [(row.key, row.cause, row.faxes) for row in months] == [
        (date(2026, 1, 1), "busy", 2),
        (date(2026, 2, 1), "busy", 1),
        (date(2026, 12, 1), "busy", 1),
    ]


def test_a_day_is_that_of_the_company(app: Flask, cast: Cast, session: Session) -> None:
    ended(app, cast, datetime(2026, 3, 10, 22, 59, tzinfo=UTC))
    ended(app, cast, datetime(2026, 3, 10, 23, 0, tzinfo=UTC))  # midnight in Rome
    ended(app, cast, datetime(2026, 3, 29, 21, 59, tzinfo=UTC))  # a day of 23 hours
    ended(app, cast, datetime(2026, 3, 29, 22, 0, tzinfo=UTC))
    count_days(session, NOON + timedelta(days=30))
    assert [row[0].day for row in rows(session)] == [10, 11, 29, 30]


def test_counting_again_changes_nothing_and_adds_what_came_meanwhile(app: Flask, cast: Cast, session: Session) -> None:
    now = utc_now()
    ended(app, cast, now - timedelta(minutes=5))
    for _ in range(3):
        count_days(session, now)
    assert [row[4] for row in rows(session)] == [1]
    session.rollback()
    ended(app, cast, now - timedelta(minutes=30))  # its commit came late
    count_days(session, now + timedelta(minutes=1))
    assert sum(row[4] for row in rows(session)) == 2


def test_only_days_on_which_something_ended_since_are_counted(app: Flask, cast: Cast, session: Session) -> None:
    for day in range(5):
        ended(app, cast, NOON + timedelta(days=day))
    assert count_days(session, NOON + timedelta(days=5)) == 5
    assert count_days(session, NOON + timedelta(days=6)) == 0
    ended(app, cast, NOON + timedelta(days=6))
    assert count_days(session, NOON + timedelta(days=6)) == 1


def test_days_stay_when_their_faxes_are_removed(app: Flask, cast: Cast, session: Session) -> None:
    fax_id = ended(app, cast)
    count_days(session, NOON + timedelta(days=1))
    session.execute(sa.delete(Fax).where(Fax.id == fax_id))
    session.commit()
    ended(app, cast, NOON + timedelta(days=40))
    count_days(session, NOON + timedelta(days=40))
    assert [row[4] for row in rows(session)] == [1, 1]


def test_in_another_time_zone_everything_is_counted_anew(app: Flask, cast: Cast, session: Session) -> None:
    ended(app, cast, datetime(2026, 3, 10, 23, 30, tzinfo=UTC))
    count_days(session, NOON + timedelta(days=2))
    tenant = session.get_one(Tenant, cast.alpha)
    change_company(session, tenant, Company(**{**vars(Company.of(tenant)), "timezone": "America/New_York"}))
    session.commit()
    count_days(session, NOON + timedelta(days=2))
    assert [row[0].day for row in rows(session)] == [10]


def test_two_who_count_at_once_count_once(app: Flask, cast: Cast, session: Session) -> None:
    for n in range(6):
        ended(app, cast, NOON + timedelta(days=n // 2))
    session.rollback()

    def count(_n: int) -> int:
        with app.app_context():
            return count_days(db.session, NOON + timedelta(days=3))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    assert [row[4] for row in rows(session)] == [2, 2, 2]


def test_what_broke_off_goes_on_where_it_was(
    app: Flask, cast: Cast, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.rules.figures import figures

    for n in range(4):
        ended(app, cast, NOON + timedelta(days=n))
    real, counted = figures._count_day, []

    def breaks(*args: object) -> None:
        if len(counted) == 2:
            raise RuntimeError("killed")
        counted.append(args)
        real(*args)

    monkeypatch.setattr(figures, "_count_day", breaks)
    with pytest.raises(RuntimeError):
        count_days(session, NOON + timedelta(days=4))
    session.rollback()
    monkeypatch.setattr(figures, "_count_day", real)
    assert count_days(session, NOON + timedelta(days=4)) == 2
    assert [row[4] for row in rows(session)] == [1, 1, 1, 1]


def test_a_year_is_read_by_months_and_is_the_sum_of_its_days(app: Flask, cast: Cast, session: Session) -> None:
    for month in range(1, 11):
        ended(app, cast, datetime(2026, month, 3, 12, tzinfo=UTC), seconds=60)
        ended(app, cast, datetime(2026, month, 27, 12, tzinfo=UTC), user_id=cast.alice, entity_id=cast.archive)
        ended(app, cast, datetime(2026, month, 27, 13, tzinfo=UTC), status=Status.FAILED, cause="busy")
    count_days(session, datetime(2026, 10, 30, tzinfo=UTC))
    year = {"tenant_id": cast.alpha, "since": date(2026, 1, 1), "until": date(2026, 10, 30)}
    assert months(session) == [date(2026, month, 1) for month in range(1, 10)]
    users = {(row.key, row.status): (row.faxes, row.pages, row.seconds) for row in by_user(session, **year)}
    assert users == {
        (cast.alice, "sent"): (10, 20, 0),
        (cast.bob, "sent"): (10, 20, 600),
        (cast.bob, "failed"): (10, 0, 0),
    }
    entities = {(row.key, row.status): row.faxes for row in by_entity(session, **year)}
    assert entities == {(cast.archive, "sent"): 10, (cast.frontdesk, "sent"): 10, (cast.frontdesk, "failed"): 10}


def months(session: Session) -> list[date]:
    found = session.scalars(sa.select(FaxDay.day).where(FaxDay.scope == Scope.USER_MONTH).distinct())
    return sorted(found)


def test_a_month_is_summed_when_it_is_over_though_nothing_ends_any_more(
    app: Flask, cast: Cast, session: Session
) -> None:
    ended(app, cast)
    count_days(session, NOON + timedelta(hours=1))
    assert months(session) == []
    count_days(session, NOON + timedelta(days=30))
    assert months(session) == [date(2026, 3, 1)]
    faxes = sa.select(sa.func.sum(FaxDay.faxes)).where(FaxDay.scope == Scope.ENTITY_MONTH)
    assert session.scalar(faxes) == 1


def test_what_is_counted_late_changes_its_month(app: Flask, cast: Cast, session: Session) -> None:
    ended(app, cast)
    count_days(session, NOON + timedelta(days=90))
    change = {"tenant_id": cast.alpha, "since": date(2026, 1, 1), "until": date(2026, 6, 30)}
    session.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(counted_until=NOON))
    session.commit()
    ended(app, cast, NOON + timedelta(minutes=5))
    count_days(session, NOON + timedelta(days=90))
    assert [(row.key, row.faxes) for row in by_user(session, **change)] == [(cast.bob, 2)]
