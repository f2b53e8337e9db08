"""Whoever administers is told when most faxes fail or something is stuck: once, and once when it is over."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.jobs.outbox import notify
from app.models import AlertIncident, Attempt, Fax, FaxTemplate, Notice, Status
from app.rules.figures.alerts import stuck_faxes, watch
from tenants.db import db, utc_now
from tenants.models import Tenant, User
from tests.db.receptions import Phone
from tests.web.cast import Cast, make_fax


def ended(app: Flask, cast: Cast, *statuses: Status, **more: object) -> None:
    """The last one is the newest."""
    for status in statuses:
        make_fax(app, cast, status=status, finished_at=utc_now(), **more)


def waiting(app: Flask, cast: Cast, *, minutes: int, status: Status = Status.READY, **more: object) -> str:
    due = utc_now() - timedelta(minutes=minutes)
    return make_fax(app, cast, status=status, due_at=due, created_at=due, **more)


def set_tenant(session: Session, cast: Cast, **values: object) -> None:
    session.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(**values))
    session.commit()


def told(session: Session) -> list[tuple[str, str]]:
    """Kind and recipient of each mail in the outbox."""
    return [tuple(row) for row in session.execute(sa.select(Notice.kind, Notice.recipient).order_by(Notice.id))]


def look(session: Session) -> list[tuple[str, str]]:
    watch(session, utc_now())
    found = told(session)
    session.rollback()
    return found


ALICE, OLGA = "alice@alpha.test", "ops@faxroom.test"


# ---- Failing


@pytest.mark.parametrize(
    ("failed", "is_told"), [(10, True), (8, True), (7, False), (0, False)], ids=["all", "eight", "seven", "none"]
)
def test_eight_failures_of_the_last_ten_are_told_to_the_administrators(
    app: Flask, cast: Cast, session: Session, failed: int, is_told: bool
) -> None:
    ended(app, cast, *[Status.SENT] * 20, *[Status.SENT] * (10 - failed), *[Status.FAILED] * failed, cause="busy")
    assert look(session) == ([("alert", ALICE)] if is_told else [])


def test_too_few_faxes_to_judge_by_are_no_alert(app: Flask, cast: Cast, session: Session) -> None:
    ended(app, cast, *[Status.FAILED] * 9)
    assert look(session) == []


def test_cancelled_and_received_faxes_are_neither_failures_nor_successes(
    app: Flask, cast: Cast, session: Session
) -> None:
    ended(app, cast, *[Status.FAILED] * 10)
    ended(app, cast, *[Status.CANCELLED] * 10)
    ended(app, cast, *[Status.RECEIVED] * 10, direction="received")
    assert look(session) == [("alert", ALICE)]


def test_faxes_of_last_month_are_no_news(app: Flask, cast: Cast, session: Session) -> None:
    long_ago = utc_now() - timedelta(days=30)
    for _ in range(10):
        make_fax(app, cast, status=Status.FAILED, finished_at=long_ago)
    assert look(session) == []


def test_one_alert_for_each_incident_and_an_all_clear_when_it_is_over(app: Flask, cast: Cast, session: Session) -> None:
    ended(app, cast, *[Status.FAILED] * 10)
    for _ in range(3):
        assert look(session) == [("alert", ALICE)]
    ended(app, cast, *[Status.SENT] * 3)
    for _ in range(2):
        assert look(session) == [("alert", ALICE), ("all_clear", ALICE)]
    ended(app, cast, *[Status.FAILED] * 10)
    assert look(session)[2:] == [("alert", ALICE)]


def test_the_company_chooses_share_and_number_and_may_want_none(app: Flask, cast: Cast, session: Session) -> None:
    ended(app, cast, Status.SENT, Status.SENT, Status.FAILED)
    session.rollback()
    set_tenant(session, cast, alert_failed_of=3, alert_failed_percent=33)
    assert look(session) == [("alert", ALICE)]
    set_tenant(session, cast, alert_failed_percent=0)
    assert look(session)[1:] == [("all_clear", ALICE)]


def test_two_clocks_tell_once(app: Flask, cast: Cast, session: Session) -> None:
    ended(app, cast, *[Status.FAILED] * 10)
    session.rollback()

    def run(_n: int) -> None:
        with app.app_context():
            watch(db.session, utc_now())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert told(session) == [("alert", ALICE)]
    assert session.scalar(sa.select(sa.func.count()).select_from(AlertIncident)) == 1


# ---- Stuck


def test_what_should_have_gone_half_an_hour_ago_is_told_to_administrators_and_operators(
    app: Flask, cast: Cast, session: Session
) -> None:
    fax_id = waiting(app, cast, minutes=31)
    assert look(session) == [("alert", ALICE), ("alert", OLGA)]
    session.execute(sa.update(Fax).where(Fax.id == fax_id).values(status=Status.SENT, due_at=None))
    session.commit()
    assert look(session)[2:] == [("all_clear", ALICE), ("all_clear", OLGA)]


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.PREPARING, Status.READY, Status.RETRYING, Status.SCHEDULED])
def test_every_status_that_should_go_on_by_itself_can_be_stuck(
    app: Flask, cast: Cast, session: Session, status: Status
) -> None:
    waiting(app, cast, minutes=29, status=status)
    assert stuck_faxes(session, utc_now()) == {}
    session.rollback()
    waiting(app, cast, minutes=45, status=status)
    assert stuck_faxes(session, utc_now())[cast.alpha].count == 1


def test_a_call_is_stuck_only_beyond_the_longest_that_its_line_lets_it_last(
    app: Flask, cast: Cast, session: Session
) -> None:
    fax_id = make_fax(app, cast, status=Status.SENDING)
    begin = utc_now() - timedelta(minutes=70)
    call = {"n": 1, "channel_id": "a", "node": "a", "tenant_id": cast.alpha, "entity_id": cast.frontdesk}
    session.add(Attempt(fax_id=fax_id, created_at=begin, **call))
    session.commit()
    assert stuck_faxes(session, utc_now()) == {}  # an hour on the line is allowed
    session.execute(sa.update(FaxTemplate).values(max_seconds=600))
    session.commit()
    assert stuck_faxes(session, utc_now())[cast.alpha].count == 1


def test_what_a_suspended_company_has_waiting_is_not_stuck(app: Flask, cast: Cast, session: Session) -> None:
    waiting(app, cast, minutes=300)
    set_tenant(session, cast, suspended_at=utc_now())
    assert look(session) == []


def test_the_company_chooses_after_how_many_minutes_and_may_want_none(app: Flask, cast: Cast, session: Session) -> None:
    waiting(app, cast, minutes=31)
    for minutes, number in ((120, 0), (0, 0), (5, 1)):
        set_tenant(session, cast, alert_stuck_minutes=minutes)
        assert len(stuck_faxes(session, utc_now())) == number
        session.rollback()


# ---- The mails


def test_the_mails_say_what_is_the_matter_and_when_it_is_over(
    app: Flask, cast: Cast, session: Session, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(app, cast, Status.SENT, *[Status.FAILED] * 9, cause="busy")
    waiting(app, cast, minutes=31)
    mails = []
    monkeypatch.setattr(notify, "send_mail", lambda url, message: mails.append(message))
    session.execute(sa.update(User).where(User.id == cast.olga).values(language="it"))
    session.commit()
    look(session)
    for notice_id in session.scalars(sa.select(Notice.id).order_by(Notice.id)).all():
        session.rollback()
        notify.deliver(notice_id)
    subjects = [mail["Subject"] for mail in mails]
    assert "[KPBX40299999] Most faxes of Alpha Srl are failing" in subjects
    assert "[KPBX40299999] Faxes of Alpha Srl are stuck" in subjects
    failing = next(mail.get_content() for mail in mails if "failing" in mail["Subject"])
    assert "9 of the last 10 faxes sent by Alpha Srl have failed" in failing
    assert "- 9 × The line was busy." in failing
    assert "/faxes?direction=sent&status=failed" in failing


def test_of_an_alert_that_is_over_before_it_went_out_nobody_hears_anything(
    app: Flask, cast: Cast, session: Session, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    fax_id = waiting(app, cast, minutes=31)
    mails = []
    monkeypatch.setattr(notify, "send_mail", lambda url, message: mails.append(message["Subject"]))
    look(session)
    session.execute(sa.update(Fax).where(Fax.id == fax_id).values(status=Status.SENT, due_at=None))
    session.commit()
    look(session)
    notices = session.scalars(sa.select(Notice.id).order_by(Notice.id)).all()
    session.rollback()
    for notice_id in notices:
        notify.deliver(notice_id)
    assert len(notices) == 4
    assert mails == []
