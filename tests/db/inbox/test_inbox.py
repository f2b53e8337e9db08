"""Who has a received fax: one row, many colleagues."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial

import pytest
import sqlalchemy as sa
from flask import Flask

import app.jobs.running as running
from app.errors import Refused
from app.jobs.outbox import notify
from app.models import Fax, InboxAct, InboxEvent, Notice, NoticeKind, Status, Unread
from app.rules.ground.access import rights_of
from app.rules.inbox import inbox
from app.rules.inbox.forward import forward_by_mail, hand_over_to
from app.rules.inbox.reminding import write_reminders
from tenants.db import db, utc_now
from tenants.models import Role, Tenant, User
from tests.web.cast import Cast, make_user, may_receive, receive_fax

#: Wednesday morning in Rome, and times before it.
WEDNESDAY = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def receives(app: Flask, cast: Cast) -> None:
    """Bob may receive at the front desk as Alice does."""
    with app.app_context():
        may_receive(cast.bob, cast.frontdesk)


def person(user_id: int) -> User:
    return db.session.get_one(User, user_id, populate_existing=True)


def item(user_id: int, fax_id: str) -> inbox.Item:
    found = inbox.read_item(db.session, person(user_id), fax_id)
    assert found
    return found


def acts(fax_id: str) -> list[str]:
    return list(
        db.session.scalars(sa.select(InboxEvent.act).where(InboxEvent.fax_id == fax_id).order_by(InboxEvent.id))
    )


def act(what: Callable[..., bool], user_id: int, fax_id: str) -> bool:
    return what(db.session, item(user_id, fax_id).fax, person(user_id))


def together(app: Flask, *attempts: Callable[[], object]) -> list[object]:
    """Each in a thread and a session of its own, all at once."""
    start, results = threading.Barrier(len(attempts)), [None] * len(attempts)

    def run(n: int) -> None:
        with app.app_context():
            start.wait()
            results[n] = attempts[n]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(attempts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    return results


def test_of_two_who_take_the_same_fax_at_once_one_has_it_and_the_other_is_told(app: Flask, cast: Cast) -> None:
    for _ in range(5):
        fax_id = receive_fax(app, cast)
        wins = together(app, partial(act, inbox.take, cast.alice, fax_id), partial(act, inbox.take, cast.bob, fax_id))
        assert sorted(wins) == [False, True]
        with app.app_context():
            winner = cast.alice if wins[0] else cast.bob
            assert item(cast.bob, fax_id).holder.id == winner
            assert acts(fax_id) == ["taken"]


def test_taking_and_marking_done_at_once_happens_in_one_order_or_the_other(app: Flask, cast: Cast) -> None:
    for _ in range(5):
        fax_id = receive_fax(app, cast)
        acts_at_once = partial(act, inbox.take, cast.alice, fax_id), partial(act, inbox.done, cast.bob, fax_id)
        taken, done = together(app, *acts_at_once)
        assert taken != done
        with app.app_context():
            assert acts(fax_id) == ["taken" if taken else "done"]


def test_a_forward_clicked_twice_at_once_is_mailed_once(app: Flask, cast: Cast) -> None:
    fax_id = receive_fax(app, cast)

    def forward() -> object:
        user = person(cast.bob)
        return forward_by_mail(
            db.session,
            fax=item(cast.bob, fax_id).fax,
            user=user,
            to_ids=[cast.alice],
            note="Please answer",
            submission_key="k" * 64,
        )

    together(app, forward, forward)
    with app.app_context():
        assert db.session.query(Notice).filter_by(kind=NoticeKind.FORWARDED).count() == 1
        assert acts(fax_id) == ["forwarded"]


def test_a_click_too_much_takes_nothing_away_from_who_has_it(app: Flask, cast: Cast) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        bob = person(cast.bob)
        assert inbox.take(db.session, item(cast.bob, fax_id).fax, bob)
        assert inbox.take(db.session, item(cast.bob, fax_id).fax, bob)
        assert acts(fax_id) == ["taken"]


def test_a_colleagues_fax_is_taken_over_only_by_who_knew_that_they_have_it(app: Flask, cast: Cast) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        alice, bob = person(cast.alice), person(cast.bob)
        inbox.take(db.session, item(cast.bob, fax_id).fax, bob)
        fax = item(cast.alice, fax_id).fax
        assert not inbox.take(db.session, fax, alice)
        assert not inbox.done(db.session, fax, alice)
        assert not inbox.release(db.session, fax, person(cast.alice), holder_id=cast.olga)
        assert item(cast.alice, fax_id).holder.id == cast.bob
        assert inbox.take(db.session, fax, alice, instead_of=cast.bob)
        assert item(cast.bob, fax_id).holder.id == cast.alice


@pytest.mark.parametrize("closed", ["disabled", "no permission"])
def test_what_somebody_had_who_was_closed_out_is_free_again(app: Flask, cast: Cast, closed: str) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        inbox.take(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        assert inbox.unread_count(db.session, person(cast.alice)) == 0, "Bob has it"
        if closed == "disabled":
            person(cast.bob).disabled_at = utc_now()
        else:
            may_receive(cast.bob, cast.frontdesk, False)
        db.session.commit()
        assert item(cast.alice, fax_id).holder is None
        assert [one.fax.id for one in inbox.open_items(db.session, person(cast.alice))] == [fax_id]
        assert inbox.unread_count(db.session, person(cast.alice)) == 1
        assert inbox.take(db.session, item(cast.alice, fax_id).fax, person(cast.alice))


def test_nothing_is_counted_that_a_user_may_no_longer_see(app: Flask, cast: Cast) -> None:
    receive_fax(app, cast)
    with app.app_context():
        assert inbox.unread_count(db.session, person(cast.bob)) == 1
        may_receive(cast.bob, cast.frontdesk, False)
        db.session.commit()
        assert inbox.unread_count(db.session, person(cast.bob)) == 0
        assert inbox.open_items(db.session, person(cast.bob)) == []
        assert not rights_of(db.session, person(cast.bob)).receives


def test_the_count_stops_at_a_hundred(app: Flask, cast: Cast) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        fax = db.session.get_one(Fax, fax_id)
        values = {name: getattr(fax, name) for name in ("tenant_id", "entity_id", "direction", "status", "origin")}
        for number in range(1000, 1120):
            more = Fax(number=number, **values)
            db.session.add(more)
            db.session.flush()
            db.session.add(Unread(tenant_id=cast.alpha, user_id=cast.bob, fax_id=more.id))
        db.session.commit()
        assert inbox.unread_count(db.session, person(cast.bob)) == inbox.MOST_COUNTED


def test_reading_is_each_users_own_and_done_is_everybodys(app: Flask, cast: Cast) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        inbox.mark_read(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        assert not item(cast.bob, fax_id).unread
        assert item(cast.alice, fax_id).unread
        inbox.mark_unread(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        inbox.mark_unread(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        assert item(cast.bob, fax_id).unread
        assert item(cast.bob, fax_id).unseen, "it will be reminded of"
        inbox.done(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        assert inbox.unread_count(db.session, person(cast.alice)) == 0
        assert inbox.open_items(db.session, person(cast.alice)) == []
        assert [one.fax.id for one in inbox.done_items(db.session, person(cast.alice))] == [fax_id]
        inbox.mark_unread(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        assert not item(cast.bob, fax_id).unread, "what is done is not unread"
        assert inbox.reopen(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        assert item(cast.alice, fax_id).unread
        assert not item(cast.bob, fax_id).unread


def test_what_nobody_has_comes_first_and_waits_longest_on_top(app: Flask, cast: Cast) -> None:
    hours = (1, 5, 9, 3)
    ids = [receive_fax(app, cast, created_at=utc_now() - timedelta(hours=hour)) for hour in hours]
    with app.app_context():
        inbox.mark_read(db.session, item(cast.bob, ids[2]).fax, person(cast.bob))
        inbox.take(db.session, item(cast.alice, ids[1]).fax, person(cast.alice))
        order = [one.fax.id for one in inbox.open_items(db.session, person(cast.bob))]
        assert order == [ids[3], ids[0], ids[2], ids[1]]
        assert inbox.next_item(db.session, person(cast.bob), after=db.session.get_one(Fax, ids[3])).fax.id == ids[0]


def test_a_fax_is_handed_only_to_who_may_see_it_and_is_unread_for_them(app: Flask, cast: Cast) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        carol = make_user("carol@alpha.test", "Carol", person(cast.bob).tenant, Role.USER)
        carol_id = carol.id
        db.session.commit()
        for stranger in (carol_id, cast.charlie, cast.olga, 999):
            with pytest.raises(Refused) as refusal:
                hand(cast, fax_id, stranger)
            assert refusal.value.code == "colleague_not_allowed"
        inbox.mark_read(db.session, item(cast.alice, fax_id).fax, person(cast.alice))
        assert hand(cast, fax_id, cast.alice)
        mine = item(cast.alice, fax_id)
        assert (mine.holder.id, mine.unread, mine.unseen) == (cast.alice, True, True)
        assert inbox.unread_count(db.session, person(cast.alice)) == 1
        assert inbox.unread_count(db.session, person(cast.bob)) == 0
        notice = db.session.scalar(sa.select(Notice).where(Notice.kind == NoticeKind.HANDED_OVER))
        assert (notice.recipient, notice.note, notice.from_user_id) == ("alice@alpha.test", "Yours", cast.bob)
        assert not hand(cast, fax_id, cast.alice, instead_of=None), "Alice has it"


def hand(cast: Cast, fax_id: str, to_id: int, **more: object) -> bool:
    fax, bob = item(cast.bob, fax_id).fax, person(cast.bob)
    return hand_over_to(
        db.session, **({"fax": fax, "user": bob, "to_id": to_id, "instead_of": None, "note": "Yours"} | more)
    )


def test_many_are_done_at_once_but_nothing_unread_and_nothing_that_a_colleague_has(app: Flask, cast: Cast) -> None:
    read, unread, taken = (receive_fax(app, cast) for _ in range(3))
    with app.app_context():
        for fax_id in (read, taken):
            inbox.mark_read(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        inbox.take(db.session, item(cast.alice, taken).fax, person(cast.alice))
        assert inbox.done_with_read(db.session, person(cast.bob), [read, unread, taken]) == 1
        assert acts(read) == ["done"]
        left = {one.fax.id for one in inbox.open_items(db.session, person(cast.bob))}
        assert left == {unread, taken}


# ---- So that none sits a week unseen


def remind(now: datetime) -> list[tuple[str, str]]:
    write_reminders(db.session, now)
    notices = db.session.scalars(sa.select(Notice).where(Notice.kind == NoticeKind.REMINDER).order_by(Notice.id))
    return [(notice.recipient, notice.occasion) for notice in notices]


def test_who_may_receive_is_reminded_once_a_day_of_what_nobody_has_looked_at(app: Flask, cast: Cast) -> None:
    receive_fax(app, cast, created_at=WEDNESDAY - timedelta(days=2, hours=1))
    receive_fax(app, cast, created_at=WEDNESDAY - timedelta(days=2, hours=2))
    with app.app_context():
        assert remind(WEDNESDAY - timedelta(hours=3)) == []
        today = [("alice@alpha.test", "2026-11-25"), ("bob@alpha.test", "2026-11-25")]
        assert sorted(remind(WEDNESDAY)) == today
        assert sorted(remind(WEDNESDAY + timedelta(hours=3))) == today
        assert len(remind(WEDNESDAY + timedelta(days=1))) == 4


@pytest.mark.parametrize("act", ["read", "taken and read", "done"])
def test_nobody_is_reminded_of_what_somebody_has_seen_to(app: Flask, cast: Cast, act: str) -> None:
    fax_id = receive_fax(app, cast, created_at=WEDNESDAY - timedelta(days=3))
    with app.app_context():
        if "taken" in act:
            inbox.take(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        if "read" in act:
            inbox.mark_read(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        if act == "done":
            inbox.done(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        assert remind(WEDNESDAY) == []


def test_a_fax_that_its_new_holder_never_opens_is_reminded_of(app: Flask, cast: Cast) -> None:
    fax_id = receive_fax(app, cast, created_at=WEDNESDAY - timedelta(days=3))
    with app.app_context():
        inbox.mark_read(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
        hand(cast, fax_id, cast.alice)
        for hours, reminders in ((47, 0), (49, 2)):
            db.session.execute(sa.update(Fax).values(taken_at=WEDNESDAY - timedelta(hours=hours)))
            db.session.commit()
            assert len(remind(WEDNESDAY)) == reminders


def test_where_nobody_may_receive_any_more_the_administrator_is_reminded(app: Flask, cast: Cast) -> None:
    receive_fax(app, cast, created_at=WEDNESDAY - timedelta(days=3))
    with app.app_context():
        may_receive(cast.bob, cast.frontdesk, False)
        may_receive(cast.alice, cast.frontdesk, False)
        db.session.commit()
        assert [name for name, _day in remind(WEDNESDAY)] == ["alice@alpha.test"]


def test_an_administrator_who_was_only_invited_is_not_reminded(app: Flask, cast: Cast) -> None:
    receive_fax(app, cast, created_at=WEDNESDAY - timedelta(days=3))
    with app.app_context():
        may_receive(cast.bob, cast.frontdesk, False)
        may_receive(cast.alice, cast.frontdesk, False)
        invited = make_user("anna@alpha.test", "Anna", db.session.get_one(Tenant, cast.alpha), Role.ADMIN)
        invited.password_hash = None
        db.session.commit()
        assert [name for name, _day in remind(WEDNESDAY)] == ["alice@alpha.test"]


def test_two_workers_remind_once(app: Flask, cast: Cast) -> None:
    receive_fax(app, cast, created_at=WEDNESDAY - timedelta(days=3))
    together(app, *[lambda: write_reminders(db.session, WEDNESDAY)] * 2)
    with app.app_context():
        assert db.session.query(Notice).filter_by(kind=NoticeKind.REMINDER).count() == 2


def test_what_was_read_and_lay_for_a_month_leaves_the_inbox_and_nothing_else_does(app: Flask, cast: Cast) -> None:
    long_ago = WEDNESDAY - timedelta(days=40)
    read, unseen, taken, young = (receive_fax(app, cast, created_at=long_ago) for _ in range(4))
    with app.app_context():
        seen = sa.update(Fax).where(Fax.id.in_([read, taken, young])).values(seen_at=long_ago)
        db.session.execute(seen)
        db.session.commit()
        inbox.take(db.session, item(cast.bob, taken).fax, person(cast.bob))
        inbox.take(db.session, item(cast.bob, young).fax, person(cast.bob))
        inbox.release(db.session, item(cast.bob, young).fax, person(cast.bob))
        db.session.execute(sa.update(InboxEvent).values(at=WEDNESDAY - timedelta(days=20)))
        db.session.commit()
        assert inbox.settle(db.session, WEDNESDAY) == 1
        left = {one.fax.id for one in inbox.open_items(db.session, person(cast.bob))}
        assert left == {unseen, taken, young}
        assert inbox.done_items(db.session, person(cast.bob)) == [], "nobody did it"


# ---- The mails


@pytest.fixture
def server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[EmailMessage]:
    """What the mail server was handed; the jobs run in this very application."""
    taken: list[EmailMessage] = []
    monkeypatch.setattr(running, "application", lambda: app)
    monkeypatch.setattr(notify, "send_mail", lambda url, message: taken.append(message))
    return taken


def deliver_all(app: Flask) -> None:
    with app.app_context():
        ids = db.session.scalars(sa.select(Notice.id).order_by(Notice.id)).all()
    for notice_id in ids:
        notify.deliver(notice_id)


def test_a_forwarded_fax_comes_with_its_document_the_note_and_who_sent_it(app, cast, server) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        person(cast.alice).language = "it"
        person(cast.bob).name = "Bob\nBcc: everybody@evil.test"
        db.session.commit()
        fax, note = item(cast.bob, fax_id).fax, "Please answer\ntoday"
        forward_by_mail(db.session, fax=fax, user=person(cast.bob), to_ids=[cast.alice], note=note, submission_key="k")
    deliver_all(app)
    (mail,) = server
    assert mail["To"] == "alice@alpha.test"
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[KPBX40299999] Bob Bcc: everybody@evil.test ti inoltra un fax da 050 123 4567"
    assert "Please answer\ntoday" in mail.get_body().get_content()
    assert f"/faxes/{fax_id}" in mail.get_body().get_content()
    (attachment,) = mail.iter_attachments()
    assert attachment.get_filename().startswith("F00501234567_T0509655637_")
    assert attachment.get_content().startswith(b"%PDF")


def test_a_fax_that_is_handed_over_is_told_in_a_short_mail(app, cast, server) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        hand(cast, fax_id, cast.alice)
    deliver_all(app)
    (mail,) = server
    assert mail["Subject"] == "[KPBX40299999] Bob hands you the fax from 050 123 4567"
    assert "Yours" in mail.get_content()
    assert f"/faxes/{fax_id}" in mail.get_content()


def test_a_reminder_names_what_lies_there_and_is_not_sent_when_somebody_has_looked(app, cast, server, monkeypatch):
    now = utc_now()
    fax_id = receive_fax(app, cast, created_at=now - timedelta(days=6))
    monkeypatch.setattr("app.rules.inbox.reminding.reminders_go_out", lambda *_: True)
    monkeypatch.setattr("app.rules.inbox.reminding.is_reminded", lambda *_: True)
    with app.app_context():
        assert write_reminders(db.session, now) == 2
        first, second = db.session.scalars(sa.select(Notice.id).order_by(Notice.id)).all()
    notify.deliver(first)
    with app.app_context():
        inbox.mark_read(db.session, item(cast.bob, fax_id).fax, person(cast.bob))
    notify.deliver(second)
    with app.app_context():
        assert all(notice.sent_at for notice in db.session.scalars(sa.select(Notice)))
    (mail,) = server
    assert mail["Subject"] == "[KPBX40299999] 1 received fax has been waiting for days"
    assert "050 123 4567, frontdesk, since " in mail.get_content()
    assert mail.get_content().rstrip().endswith("/inbox")


def test_every_act_has_a_word_of_its_own() -> None:
    assert {act.value for act in InboxAct} == {"taken", "handed_over", "released", "done", "reopened", "forwarded"}
    assert set(inbox.COMPLETE) == {Status.RECEIVED, Status.INCOMPLETE}
