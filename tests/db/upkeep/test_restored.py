"""A database restored from a backup: nothing that may have gone out meanwhile goes out again."""

from datetime import timedelta

import sqlalchemy as sa

from app.models import Attempt, Fax, Notice, NoticeKind, Status
from app.rules.sending.lifecycle import move
from tenants.db import utc_now
from tests.db.faxes import claim, dial, make_ready, reread, submit


def restored(app, *, answer="y"):
    return app.test_cli_runner().invoke(args=["restored"], input=answer)


def statuses(session):
    return {fax.id: fax.status for fax in session.scalars(sa.select(Fax))}


def test_what_was_under_way_is_never_dialled_again_and_its_sender_is_told(app, session, cast):
    accepted = submit(session, cast).id
    on_the_line = dial(session, cast).fax_id
    ready = make_ready(session, submit(session, cast)).id
    told = restored(app)
    assert told.exit_code == 0, told.output
    assert all(fax_id in told.output for fax_id in (accepted, ready, on_the_line))
    session.expire_all()
    assert statuses(session) == dict.fromkeys([accepted, ready, on_the_line], Status.UNKNOWN)
    assert claim(session) == []
    assert session.scalars(sa.select(Attempt.outcome)).all() == ["unknown"]
    notices = session.scalars(sa.select(Notice).where(Notice.kind == NoticeKind.OUTCOME)).all()
    assert {notice.fax_id for notice in notices} == {accepted, ready, on_the_line}
    assert "no fax was under way" in restored(app).output.lower()
    assert len(session.scalars(sa.select(Notice.id)).all()) == 3


def test_what_is_ordered_for_a_time_to_come_stays_and_what_was_due_does_not(app, session, cast):
    later, due = (make_ready(session, submit(session, cast)) for _ in range(2))
    for fax, hours in ((later, 5), (due, -5)):
        fax.status, fax.due_at = Status.SCHEDULED, utc_now() + timedelta(hours=hours)
    session.commit()
    assert restored(app).exit_code == 0
    session.expire_all()
    assert statuses(session) == {later.id: Status.SCHEDULED, due.id: Status.UNKNOWN}


def test_whoever_says_no_changes_nothing(app, session, cast):
    fax = make_ready(session, submit(session, cast))
    assert restored(app, answer="n").exit_code == 1
    assert reread(session, fax.id).status == Status.READY


def test_what_is_over_stays_as_it_was(app, session, cast):
    attempt = dial(session, cast)
    move(session, attempt.fax_id, Status.SENT)
    session.commit()
    assert restored(app).exit_code == 0
    assert reread(session, attempt.fax_id).status == Status.SENT
