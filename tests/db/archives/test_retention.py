"""Files whose time is up: which go, which stay, and what a colleague may do at the same moment."""

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

import app.jobs.running as running
from app.errors import PermanentFailure, Refused
from app.jobs.upkeep.retention import remove_expired
from app.jobs.upkeep.sweep import sweep
from app.models import ArchiveCopy, ArchiveKind, ArchivePlace, Document, Fax, Notice, Retention, Status
from app.rules.archives.retention import preview, remove_batch
from app.rules.inbox.forward import forward_by_mail
from app.rules.sending.submit import resend_fax
from app.services.documents.documents import storage
from app.services.sending.reports import ensure_report
from tenants.db import db, new_ulid, utc_now
from tenants.models import User
from tests.web.cast import Cast, make_fax, receive_fax

OLD = timedelta(days=91)


def old_fax(app: Flask, cast: Cast, *, status: Status = Status.SENT, received: bool = False, **values: object) -> str:
    """One that was over 91 days ago."""
    make = receive_fax if received else make_fax
    fax_id = make(app, cast, status=status)
    with app.app_context():
        at = utc_now() - OLD
        final = status in (Status.SENT, Status.FAILED, Status.RECEIVED, Status.INCOMPLETE)
        values = {"created_at": at, "finished_at": at if final else None} | values
        db.session.execute(sa.update(Fax).where(Fax.id == fax_id).values(**values))
        db.session.execute(sa.update(Document).values(created_at=at))
        db.session.commit()
    return fax_id


def keep(session: Session, cast: Cast, days: int = 90, kind: ArchiveKind = ArchiveKind.SENT) -> None:
    session.add(Retention(tenant_id=cast.alpha, kind=kind, days=days))
    session.commit()


def run(session: Session) -> None:
    session.rollback()
    remove_expired()
    session.expire_all()


def has_file(session: Session, document: Document) -> bool:
    try:
        storage().open(document.storage_key).close()
    except PermanentFailure:
        return False
    return True


def test_files_go_when_their_time_is_up_and_the_fax_stays(app, cast, session):
    fax_id = old_fax(app, cast)
    document = session.get_one(Fax, fax_id).pdf
    keep(session, cast)
    run(session)
    fax = session.get_one(Fax, fax_id)
    assert (fax.pdf_id, fax.source_id, fax.files_kept_days) == (None, None, 90)
    assert fax.files_removed_at and fax.status == Status.SENT
    assert not has_file(session, document)
    assert document.erased_at and document.sha256, "what it was is still known"


def test_a_day_less_and_it_stays(app, cast, session):
    fax_id = old_fax(app, cast)
    keep(session, cast, days=92)
    run(session)
    assert session.get_one(Fax, fax_id).pdf_id


def test_without_a_rule_and_of_other_companies_nothing_goes(app, cast, session):
    fax_id = old_fax(app, cast)
    session.add(Retention(tenant_id=cast.beta, kind=ArchiveKind.SENT, days=1))
    session.commit()
    run(session)
    assert session.get_one(Fax, fax_id).pdf_id


def test_a_kind_has_no_say_about_the_others(app, cast, session):
    sent, received = old_fax(app, cast), old_fax(app, cast, received=True, status=Status.RECEIVED, done_at=utc_now())
    keep(session, cast, kind=ArchiveKind.RECEIVED)
    run(session)
    assert session.get_one(Fax, sent).pdf_id
    assert session.get_one(Fax, sent).report_removed_at is None
    assert session.get_one(Fax, received).pdf_id is None


@pytest.mark.parametrize("status", [status for status in Status if status not in ("received", "incomplete")])
def test_what_is_not_over_never_goes(app, cast, session, status):
    fax_id = old_fax(app, cast, status=status)
    keep(session, cast, days=1)
    run(session)
    over = status in (Status.SENT, Status.FAILED)
    assert (session.get_one(Fax, fax_id).pdf_id is None) == over


def test_what_is_open_in_the_inbox_stays_until_it_is_done(app, cast, session):
    fax_id = old_fax(app, cast, received=True, status=Status.RECEIVED)
    keep(session, cast, kind=ArchiveKind.RECEIVED)
    run(session)
    assert session.get_one(Fax, fax_id).pdf_id
    session.get_one(Fax, fax_id).done_at = utc_now()
    session.commit()
    run(session)
    assert session.get_one(Fax, fax_id).pdf_id is None


def test_what_an_archive_is_owed_stays_until_it_has_it(app, cast, session):
    fax_id = old_fax(app, cast)
    place = ArchivePlace(tenant_id=cast.alpha, name="shelf", kind="folder")
    session.add(place)
    session.flush()
    copy = ArchiveCopy(tenant_id=cast.alpha, fax_id=fax_id, place_id=place.id, kind="reports")
    session.add(copy)
    session.commit()
    keep(session, cast)
    run(session)
    assert session.get_one(Fax, fax_id).pdf_id
    copy.done_at = utc_now()
    session.commit()
    run(session)
    assert session.get_one(Fax, fax_id).pdf_id is None


def test_what_a_mail_has_still_to_carry_stays(app, cast, session):
    fax_id = old_fax(app, cast)
    notice = Notice(tenant_id=cast.alpha, fax_id=fax_id, kind="outcome", recipient="bob@alpha.test", language="en")
    notice.message_id = "<1@faxroom>"
    session.add(notice)
    session.commit()
    keep(session, cast)
    run(session)
    assert session.get_one(Fax, fax_id).pdf_id
    notice.sent_at, notice.due_at = utc_now(), None
    session.commit()
    run(session)
    assert session.get_one(Fax, fax_id).pdf_id is None


def test_a_file_that_two_faxes_have_goes_with_the_last(app, cast, session):
    first = old_fax(app, cast)
    document = session.get_one(Fax, first).pdf
    document_id = document.id
    session.rollback()
    second = make_fax(app, cast, status=Status.SENDING, source_id=document_id, pdf_id=document_id)
    keep(session, cast)
    run(session)
    assert session.get_one(Fax, first).files_removed_at
    assert has_file(session, document) and document.removed_at is None
    at = utc_now() - OLD
    session.execute(sa.update(Fax).where(Fax.id == second).values(status=Status.SENT, finished_at=at))
    session.commit()
    run(session)
    assert not has_file(session, document)


def test_a_removed_report_is_not_drawn_anew(app, cast, session):
    fax_id = old_fax(app, cast)
    keep(session, cast, kind=ArchiveKind.REPORTS)
    run(session)
    fax = session.get_one(Fax, fax_id)
    assert fax.report_kept_days == 90
    with pytest.raises(PermanentFailure, match="report_removed"):
        ensure_report(session, fax)
    assert fax.pdf_id, "its file has a time of its own"


def test_a_file_that_the_storage_did_not_delete_is_deleted_next_time(app, cast, session, monkeypatch):
    document = session.get_one(Fax, old_fax(app, cast)).pdf
    keep(session, cast)
    session.rollback()

    def fail(_key: str) -> None:
        raise OSError("busy")

    with monkeypatch.context() as patch:
        patch.setattr(storage(), "delete", fail)
        remove_expired()
    session.expire_all()
    assert document.removed_at and document.erased_at is None
    run(session)
    assert document.erased_at and not has_file(session, document)


def test_the_sweep_does_it_and_keeps_the_rows(app, cast, session, monkeypatch):
    monkeypatch.setattr(running, "application", lambda: app)
    fax_id = old_fax(app, cast)
    document_id = session.get_one(Fax, fax_id).source_id
    keep(session, cast)
    session.rollback()
    sweep()
    sweep()
    session.expire_all()
    assert session.get_one(Fax, fax_id).files_removed_at
    assert session.get_one(Document, document_id).erased_at


def test_a_removed_document_is_not_sent_again(app, cast, session):
    fax_id = old_fax(app, cast)
    fax, bob = session.get_one(Fax, fax_id), session.get_one(User, cast.bob)
    source_id = fax.source_id
    session.execute(sa.update(Document).where(Document.id == source_id).values(removed_at=utc_now()))
    session.commit()
    with pytest.raises(Refused, match="document_removed"):
        resend_fax(session, user=bob, fax=fax, submission_key=new_ulid())
    session.rollback()
    assert session.scalar(sa.select(sa.func.count()).select_from(Fax)) == 1


def beside_removal(app: Flask, cast: Cast, kind: ArchiveKind, prepare: Callable[[], Callable[[], object]]) -> list[str]:
    """What ``prepare`` gives is done while files are removed; the codes of its refusals."""
    start, refused = threading.Barrier(2), []

    def remove() -> None:
        with app.app_context():
            start.wait()
            remove_batch(db.session, cast.alpha, kind, 90)

    def act() -> None:
        with app.app_context():
            prepared = prepare()
            start.wait()
            try:
                prepared()
            except Refused as refusal:
                refused.append(refusal.code)

    threads = [threading.Thread(target=work) for work in (remove, act)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


@pytest.mark.skipif("TEST_DATABASE_URL" not in os.environ, reason="SQLite has one writer at a time")
def test_of_removal_and_sending_again_at_one_moment_one_wins_whole(app, cast):
    """Whoever comes second sees it: there is never a fax without its file."""
    for _round in range(12):
        fax_id = old_fax(app, cast)

        def prepare(fax_id: str = fax_id) -> Callable[[], object]:
            fax, bob = db.session.get_one(Fax, fax_id), db.session.get_one(User, cast.bob)
            return partial(resend_fax, db.session, user=bob, fax=fax, submission_key=new_ulid())

        refused = beside_removal(app, cast, ArchiveKind.SENT, prepare)
        with app.app_context():
            lost = (
                sa.select(Fax.id).join(Document, Fax.source_id == Document.id).where(Document.removed_at.is_not(None))
            )
            assert db.session.scalars(lost).all() == []
            again = db.session.scalar(sa.select(sa.func.count()).where(Fax.resend_of_id == fax_id))
            assert again == (0 if refused else 1)


def forward(fax: Fax, cast: Cast) -> None:
    bob = db.session.get_one(User, cast.bob)
    forward_by_mail(db.session, fax=fax, user=bob, to_ids=[cast.alice], note="", submission_key=new_ulid())


def test_what_a_colleague_forwards_while_faxes_are_being_chosen_stays(app, cast, session, monkeypatch):
    """A row that was only locked meanwhile is not looked at again by PostgreSQL."""
    fax_ids = [old_fax(app, cast, received=True, status=Status.RECEIVED, done_at=utc_now()) for _ in range(2)]
    execute, forwarded = session.execute, []

    def forwarded_behind(statement: sa.Executable, *values: object) -> sa.Result:
        if forwarded:
            return execute(statement, *values)
        forwarded.append(fax_ids[0])
        chosen = execute(statement, *values).freeze()
        forward(session.get_one(Fax, fax_ids[0]), cast)
        return chosen()

    with monkeypatch.context() as patch:
        patch.setattr(session, "execute", forwarded_behind)
        assert remove_batch(session, cast.alpha, ArchiveKind.RECEIVED, 90) == 1
    session.expire_all()
    assert [bool(session.get_one(Fax, fax_id).pdf_id) for fax_id in fax_ids] == [True, False]


@pytest.mark.skipif("TEST_DATABASE_URL" not in os.environ, reason="SQLite has one writer at a time")
def test_of_removal_and_forwarding_at_one_moment_one_wins_whole(app, cast):
    """No mail is promised a document that is gone when it leaves."""
    for _round in range(12):
        fax_id = old_fax(app, cast, received=True, status=Status.RECEIVED, done_at=utc_now())

        def prepare(fax_id: str = fax_id) -> Callable[[], object]:
            return partial(forward, db.session.get_one(Fax, fax_id), cast)

        refused = beside_removal(app, cast, ArchiveKind.RECEIVED, prepare)
        with app.app_context():
            notices = db.session.scalar(sa.select(sa.func.count()).where(Notice.fax_id == fax_id))
            has_document = db.session.get_one(Fax, fax_id).pdf_id is not None
            assert (notices, has_document) == ((0, False) if refused else (1, True))
            assert refused in ([], ["forwarded_too_late"])


@pytest.mark.skipif("TEST_DATABASE_URL" not in os.environ, reason="SQLite has one writer at a time")
def test_who_forwards_a_fax_that_is_being_removed_waits_and_is_told(app, cast):
    fax_id, refused = old_fax(app, cast, received=True, status=Status.RECEIVED, done_at=utc_now()), []

    def mail() -> None:
        with app.app_context():
            fax = db.session.get_one(Fax, fax_id)
            with pytest.raises(Refused, match="forwarded_too_late"):
                forward(fax, cast)
            refused.append(fax_id)

    with app.app_context():
        db.session.execute(sa.update(Fax).where(Fax.id == fax_id).values(pdf_id=None))
        mailing = threading.Thread(target=mail)
        mailing.start()
        mailing.join(0.5)
        assert mailing.is_alive(), "it waits for the removal"
        db.session.commit()
        mailing.join()
    assert refused == [fax_id]


def test_the_preview_says_what_would_go_and_what_would_stay(app, cast, session):
    ids = [old_fax(app, cast, received=True, status=Status.RECEIVED, done_at=utc_now()) for _ in range(3)]
    old_fax(app, cast, received=True, status=Status.RECEIVED)
    receive_fax(app, cast, done_at=utc_now())
    oldest = utc_now() - timedelta(days=200)
    session.execute(sa.update(Fax).where(Fax.id == ids[0]).values(finished_at=oldest))
    session.commit()
    found = preview(session, cast.alpha, ArchiveKind.RECEIVED, 90)
    size = sum(session.get_one(Fax, fax_id).pdf.size for fax_id in ids)
    assert (found.faxes, found.size, found.open, found.owed, found.more) == (3, size, 1, 0, False)
    assert abs(found.oldest - oldest) < timedelta(seconds=1)
    run(session)
    assert preview(session, cast.beta, ArchiveKind.RECEIVED, 90).faxes == 0


def test_the_preview_counts_what_the_sweep_removes(app, cast, session):
    for _ in range(3):
        old_fax(app, cast)
    old_fax(app, cast, status=Status.SENDING)
    session.rollback()
    promised = preview(session, cast.alpha, ArchiveKind.SENT, 90).faxes
    assert promised == remove_batch(session, cast.alpha, ArchiveKind.SENT, 90) == 3
    assert preview(session, cast.alpha, ArchiveKind.SENT, 90).faxes == 0
