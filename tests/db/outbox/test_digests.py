"""A digest tells of each fax once; what was not sent is told of at once as well."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

import app.jobs.running as running
from app.jobs.outbox import notify
from app.models import Attempt, DigestEntry, Notice, NoticeKind
from app.rules.outbox.digests import last_moment, read_time, write_digests
from app.rules.sending.results import CallFacts, record_result
from tenants.db import db, utc_now
from tenants.models import User
from tests.db.faxes import dial

ROME = ZoneInfo("Europe/Rome")


@pytest.fixture
def session(app, cast, server, monkeypatch) -> Iterator:
    monkeypatch.setattr(running, "application", lambda: app)
    with app.app_context():
        db.session.get_one(User, cast.bob).digest_at = time(18, 0)
        db.session.commit()
        yield db.session


def end(session, cast, outcome: str) -> str:
    attempt = dial(session, cast)
    fax_id, pages = attempt.fax_id, 2 if outcome == "success" else 0
    record_result(session, attempt.channel_id, CallFacts(outcome, pages=pages))
    return fax_id


def kinds(session) -> list[str]:
    return list(session.scalars(sa.select(Notice.kind).order_by(Notice.id)))


def deliver_all(session) -> None:
    ids = list(session.scalars(sa.select(Notice.id).order_by(Notice.id)))
    session.rollback()
    for notice_id in ids:
        notify.deliver(notice_id)


def when_due(session) -> datetime:
    """The time of day after everything that has happened."""
    return utc_now() + timedelta(days=1)


def test_what_was_sent_waits_for_the_digest_and_what_was_not_is_told_at_once(session, cast, server):
    sent, failed = end(session, cast, "success"), end(session, cast, "unallocated")
    assert kinds(session) == ["outcome"]
    assert session.scalar(sa.select(Notice.fax_id)) == failed
    assert write_digests(session, when_due(session)) == 1
    deliver_all(session)
    at_once, digest = server
    assert at_once["Subject"] == "[KPBX40299999] FAX not sent to 00501234567"
    assert digest["Subject"] == "[KPBX40299999] Your faxes: 1 sent, 1 not sent"
    text, html = (digest.get_body([kind]).get_content() for kind in ("plain", "html"))
    for content in (text, html):
        assert [content.index(f"/faxes/{fax_id}") for fax_id in (sent, failed)]
    assert text.index(sent) < text.index(failed)
    assert html.count("<tr>") == 3
    assert "letter.pdf" in text


def test_each_fax_is_in_one_digest_however_often_and_by_whomever_it_is_written(session, cast):
    end(session, cast, "success")
    assert [write_digests(session, when_due(session)) for _ in range(3)] == [1, 0, 0]
    end(session, cast, "success")
    assert write_digests(session, when_due(session) + timedelta(days=1)) == 1
    assert kinds(session) == ["digest", "digest"]
    told = session.execute(sa.select(DigestEntry.notice_id, sa.func.count()).group_by(DigestEntry.notice_id)).all()
    assert sorted(count for _notice, count in told) == [1, 1]


def test_before_its_time_no_digest_is_written(session, cast):
    end(session, cast, "success")
    moment = session.scalar(sa.select(DigestEntry.created_at))
    session.execute(sa.update(DigestEntry).values(created_at=datetime(2026, 11, 30, 12, 0, tzinfo=UTC)))
    session.commit()
    assert moment
    assert write_digests(session, datetime(2026, 11, 30, 16, 59, tzinfo=UTC)) == 0, "17:59 in Rome"
    assert write_digests(session, datetime(2026, 11, 30, 17, 0, 1, tzinfo=UTC)) == 1


def test_who_wants_no_digest_any_more_gets_what_is_left_at_once(session, cast):
    end(session, cast, "success")
    db.session.get_one(User, cast.bob).digest_at = None
    session.commit()
    assert write_digests(session, utc_now()) == 1
    end(session, cast, "success")
    assert kinds(session) == ["digest", "outcome"]


def test_an_account_that_is_closed_hears_nothing(session, cast, server):
    end(session, cast, "success")
    db.session.get_one(User, cast.bob).disabled_at = utc_now()
    session.commit()
    assert write_digests(session, when_due(session)) == 0


def test_without_a_choice_each_fax_is_told_of_on_its_own(session, cast):
    db.session.get_one(User, cast.bob).digest_at = None
    session.commit()
    end(session, cast, "success")
    assert kinds(session) == [NoticeKind.OUTCOME]
    assert session.scalar(sa.select(sa.func.count()).select_from(DigestEntry)) == 0
    assert session.scalar(sa.select(sa.func.count()).select_from(Attempt)) == 1


def test_a_document_s_name_is_no_html(session, cast, server):
    end(session, cast, "success")
    entry = session.scalar(sa.select(DigestEntry))
    entry.fax.source.name = "<script>alert(1)</script>.pdf"
    session.commit()
    write_digests(session, when_due(session))
    deliver_all(session)
    html = server[-1].get_body(["html"]).get_content()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("now", "moment"),
    [
        ("2026-07-01T15:59", "2026-06-30T16:00"),
        ("2026-07-01T16:00", "2026-07-01T16:00"),
        ("2026-10-25T17:30", "2026-10-25T17:00"),  # summer time has ended in the morning
        ("2026-03-29T16:30", "2026-03-29T16:00"),  # and begun
    ],
)
def test_the_time_of_day_is_that_of_the_company_s_clock(now, moment):
    found = last_moment(time(18, 0), ROME, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found.astimezone(UTC) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "24:00", "18:60", "٠8:00", "18", "18:00:00", "noon"])
def test_what_is_no_time_of_day_is_refused(text):
    assert read_time(text) is None
