"""Mails leave the outbox at least once, with the same Message-ID, and wait for a server that is away."""

from datetime import timedelta
from email.message import EmailMessage

import pytest
import sqlalchemy as sa

import app.jobs.running as running
from app.errors import PermanentFailure, TemporaryFailure
from app.jobs.outbox import notify
from app.models import Fax, Grant, Notice, NoticeKind
from app.rules.outbox.notices import write_colleague_notices
from app.rules.sending.results import CallFacts, record_result
from tenants.db import db, utc_now
from tenants.models import Role, Tenant, User
from tests.db.faxes import dial
from tests.web.cast import make_user, receive_fax


@pytest.fixture
def notice_id(app, cast, monkeypatch) -> int:
    """The mail about a fax that failed, due; the jobs run in this very application."""
    monkeypatch.setattr(running, "application", lambda: app)
    with app.app_context():
        record_result(db.session, dial(db.session, cast).channel_id, CallFacts("unallocated"))
        return db.session.scalar(sa.select(Notice.id))


@pytest.fixture
def server(monkeypatch) -> list[EmailMessage]:
    """What the mail server was handed."""
    taken: list[EmailMessage] = []
    monkeypatch.setattr(notify, "send_mail", lambda url, message: taken.append(message))
    return taken


def state(app, notice_id: int) -> Notice:
    with app.app_context():
        notice = db.session.get_one(Notice, notice_id)
        db.session.expunge(notice)
        return notice


def make_due(app, notice_id: int) -> None:
    with app.app_context():
        db.session.execute(sa.update(Notice).values(due_at=utc_now() - timedelta(seconds=1)))
        db.session.commit()


def refuse(monkeypatch, failure: Exception) -> None:
    def send(url: str | None, message: EmailMessage) -> None:
        raise failure

    monkeypatch.setattr(notify, "send_mail", send)


def test_a_mail_is_sent_once_however_often_the_job_comes(app, notice_id, server):
    for _ in range(3):
        notify.deliver(notice_id)
    (message,) = server
    assert message["To"] == "bob@alpha.test"
    assert message["Subject"] == "[KPBX40299999] FAX not sent to 00501234567"
    assert message["Auto-Submitted"] == "auto-generated"
    (report,) = message.iter_attachments()
    assert report.get_payload(decode=True).startswith(b"%PDF-")
    assert state(app, notice_id).sent_at


def test_a_server_that_is_away_gets_it_later_with_the_same_message_id(app, notice_id, server, monkeypatch):
    refuse(monkeypatch, TemporaryFailure("mail_server_down", reason="away"))
    notify.deliver(notice_id)
    waiting = state(app, notice_id)
    assert (waiting.sent_at, waiting.tries) == (None, 1)
    assert waiting.due_at > utc_now()
    monkeypatch.setattr(notify, "send_mail", lambda url, message: server.append(message))
    make_due(app, notice_id)
    notify.deliver(notice_id)
    assert [message["Message-ID"] for message in server] == [waiting.message_id]


def test_a_mail_that_is_refused_for_good_is_given_up_with_the_reason(app, notice_id, monkeypatch):
    refuse(monkeypatch, PermanentFailure("mail_refused", reason="550 no such user"))
    notify.deliver(notice_id)
    given_up = state(app, notice_id)
    assert (given_up.sent_at, given_up.due_at) == (None, None)
    assert (given_up.error, given_up.cause) == ("550 no such user", "mail_refused")
    assert given_up.given_up_at


def test_a_delivery_that_died_is_done_again_after_its_lease(app, notice_id, server, monkeypatch):
    refuse(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        notify.deliver(notice_id)
    monkeypatch.setattr(notify, "send_mail", lambda url, message: server.append(message))
    notify.deliver(notice_id)
    assert server == []  # somebody may still be at it
    make_due(app, notice_id)
    notify.deliver(notice_id)
    assert len(server) == 1


@pytest.mark.parametrize("kind", [NoticeKind.FORWARDED, NoticeKind.HANDED_OVER])
def test_what_a_colleague_sent_does_not_reach_who_may_not_see_the_fax_any_more(app, cast, server, monkeypatch, kind):
    monkeypatch.setattr(running, "application", lambda: app)
    fax_id = receive_fax(app, cast)
    with app.app_context():
        carol = make_user("carol@alpha.test", "Carol", db.session.get_one(Tenant, cast.alpha), Role.USER)
        fax, alice, bob = (db.session.get_one(*row) for row in ((Fax, fax_id), (User, cast.alice), (User, cast.bob)))
        for user in (bob, carol):
            grant = sa.delete(Grant).where(Grant.user_id == user.id, Grant.entity_id == cast.frontdesk)
            db.session.execute(grant)
            row = Grant(tenant_id=cast.alpha, user_id=user.id, entity_id=cast.frontdesk, may_receive=True)
            db.session.add(row)
        several = [alice, bob, carol]
        write_colleague_notices(db.session, fax, kind, several, occasion="k", sender=alice, note=None)
        carol.disabled_at = utc_now()
        db.session.execute(sa.update(Grant).where(Grant.user_id == cast.bob).values(may_receive=False))
        db.session.commit()
        notice_ids = list(db.session.scalars(sa.select(Notice.id).order_by(Notice.id)))
    for notice_id in notice_ids:
        notify.deliver(notice_id)
    assert [message["To"] for message in server] == ["alice@alpha.test"]
    assert all(state(app, notice_id).sent_at for notice_id in notice_ids)


@pytest.mark.parametrize(
    ("language", "attached", "removed"),
    [("en", "The document is attached.", "The document was deleted"), ("it", "è allegato", "è stato eliminato")],
)
def test_a_forwarded_mail_says_that_the_document_is_attached_only_if_it_is(
    app, cast, server, monkeypatch, language, attached, removed
):
    monkeypatch.setattr(running, "application", lambda: app)
    fax_id = receive_fax(app, cast)
    with app.app_context():
        fax, alice = db.session.get_one(Fax, fax_id), db.session.get_one(User, cast.alice)
        alice.language = language
        for occasion in ("while it is there", "when it is gone"):
            write_colleague_notices(
                db.session, fax, NoticeKind.FORWARDED, [alice], occasion=occasion, sender=alice, note=None
            )
        db.session.commit()
        with_document, without = db.session.scalars(sa.select(Notice.id).order_by(Notice.id)).all()
    notify.deliver(with_document)
    with app.app_context():
        db.session.execute(sa.update(Fax).where(Fax.id == fax_id).values(pdf_id=None, files_removed_at=utc_now()))
        db.session.commit()
    notify.deliver(without)
    whole, bare = ([len(list(mail.iter_attachments())), mail.get_body().get_content()] for mail in server)
    assert (whole[0], attached in whole[1], removed in whole[1]) == (1, True, False)
    assert (bare[0], attached in bare[1], removed in bare[1]) == (0, False, True)
    for _count, text in (whole, bare):
        assert text.splitlines()[-1].endswith(f"/faxes/{fax_id}")


# ---- A mail server that does not answer


@pytest.fixture
def marks(monkeypatch) -> set[str]:
    """What is paused; Redis would forget it after some seconds."""
    marks: set[str] = set()
    monkeypatch.setattr(notify, "pause", lambda what, seconds: marks.add(what))
    monkeypatch.setattr(notify, "is_paused", marks.__contains__)
    return marks


def several(app, cast, count: int) -> list[int]:
    with app.app_context():
        for _ in range(count):
            record_result(db.session, dial(db.session, cast).channel_id, CallFacts("unallocated"))
        return list(db.session.scalars(sa.select(Notice.id).order_by(Notice.id)))


def test_one_mail_asks_for_all_while_the_server_is_away_and_all_leave_when_it_is_back(
    app, cast, notice_id, server, monkeypatch, marks
):
    """Each would else wait for a silent server in its turn, and afterwards for the end of its own growing delay."""
    ids = several(app, cast, 5)
    asked: list[str] = []

    def away(url: str | None, message: EmailMessage) -> None:
        asked.append(message["Message-ID"])
        raise TemporaryFailure("mail_server_down", reason="away")

    monkeypatch.setattr(notify, "send_mail", away)
    for _ in range(20):  # an outage of many pauses
        for id_ in ids:
            notify.deliver(id_)
        marks.clear()
        make_due(app, notice_id)
    assert len(asked) == 20
    monkeypatch.setattr(notify, "send_mail", lambda url, message: server.append(message))
    with app.app_context():
        latest = db.session.scalar(sa.select(sa.func.max(Notice.due_at)))
    assert latest <= utc_now() + timedelta(seconds=10)
    for id_ in ids:
        notify.deliver(id_)
    assert len(server) == len(ids)


def test_a_server_of_ours_that_is_away_for_weeks_refuses_nobody(app, notice_id, monkeypatch):
    refuse(monkeypatch, TemporaryFailure("mail_server_down", reason="away"))
    with app.app_context():
        db.session.execute(sa.update(Notice).values(created_at=utc_now() - timedelta(days=30), tries=5000))
        db.session.commit()
    notify.deliver(notice_id)
    assert state(app, notice_id).due_at


def test_a_recipients_server_that_puts_us_off_is_asked_ever_later_and_given_up_after_days(
    app, notice_id, monkeypatch, marks
):
    refuse(monkeypatch, TemporaryFailure("mail_deferred", reason="451 greylisted"))
    before = utc_now()
    notify.deliver(notice_id)
    assert not marks, "nobody else waits for it"
    waiting = state(app, notice_id)
    assert waiting.due_at > before + timedelta(seconds=20)
    with app.app_context():
        values = {"created_at": utc_now() - timedelta(days=6), "tries": 30, "due_at": utc_now()}
        db.session.execute(sa.update(Notice).values(**values))
        db.session.commit()
    notify.deliver(notice_id)
    given_up = state(app, notice_id)
    assert (given_up.due_at, given_up.cause, given_up.error) == (None, "mail_deferred", "451 greylisted")
    assert given_up.given_up_at
