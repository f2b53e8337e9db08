"""What somebody has ordered who may not send any more waits for an administrator's word."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.errors import Refused
from app.models import AlertIncident, Fax, Grant, Notice, Status
from app.rules.figures.alerts import watch
from app.rules.people.accounts import close_account
from app.rules.sending import senders
from app.rules.words.sentences import story
from tenants.db import utc_now
from tenants.models import User
from tests.db.faxes import claim, make_ready, reread, submit


def leave(session, cast) -> None:
    close_account(session, session.get_one(User, cast.bob))
    session.commit()


def lose_permission(session, cast) -> None:
    mine = sa.update(Grant).where(Grant.user_id == cast.bob, Grant.entity_id == cast.frontdesk)
    session.execute(mine.values(may_send=False))
    session.commit()


def ordered(session, cast, status: Status = Status.SCHEDULED) -> Fax:
    fax = make_ready(session, submit(session, cast))
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(status=status))
    session.commit()
    return reread(session, fax.id)


@pytest.mark.parametrize("end", [leave, lose_permission])
@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.READY, Status.RETRYING])
def test_it_does_not_go_out_when_its_time_comes_and_says_why(session, cast, end, status):
    fax = ordered(session, cast, status)
    end(session, cast)
    assert claim(session) == []
    held = reread(session, fax.id)
    assert (held.status, held.cause, held.due_at) == (status, "sender_gone", None)
    assert "may no longer send from this line" in story(held)
    assert claim(session) == []


def test_administrators_are_told_before_its_time_has_come_and_once(session, cast):
    fax = ordered(session, cast)
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(due_at=utc_now() + timedelta(days=3)))
    leave(session, cast)
    assert watch(session, utc_now()) == 1
    assert watch(session, utc_now()) == 0
    assert session.execute(sa.select(Notice.kind, Notice.recipient)).all() == [("alert", "alice@alpha.test")]
    assert [one.id for one in senders.held_faxes(session, cast.alpha)] == [fax.id]


def test_administrators_are_told_of_each_person_and_of_the_end_of_each(session, cast):
    def told() -> list[tuple[str, str]]:
        watch(session, utc_now())
        incidents = {one.id: one.facts["person"] for one in session.scalars(sa.select(AlertIncident))}
        rows = session.execute(sa.select(Notice.kind, Notice.incident_id).order_by(Notice.id))
        return [(kind, incidents[incident_id]) for kind, incident_id in rows]

    of_bob = ordered(session, cast)
    of_charlie = ordered(session, cast)
    session.execute(sa.update(Fax).where(Fax.id == of_charlie.id).values(user_id=cast.charlie))
    grant = Grant(tenant_id=cast.alpha, entity_id=cast.frontdesk, user_id=cast.charlie, may_send=True)
    session.add(grant)
    session.commit()
    leave(session, cast)
    assert told() == [("alert", "Bob")]
    grant.may_send = False
    session.commit()
    assert told() == [("alert", "Bob"), ("alert", "Charlie")], "while the first is still undecided"
    assert told() == [("alert", "Bob"), ("alert", "Charlie")]
    senders.release(session, senders.get_held(session, cast.alpha, of_bob.id), session.get_one(User, cast.alice))
    session.commit()
    assert told()[2:] == [("all_clear", "Bob")]


def test_an_administrator_lets_it_go_at_its_time_or_at_once(session, cast):
    fax, later = ordered(session, cast), ordered(session, cast)
    time = utc_now() + timedelta(days=2)
    session.execute(sa.update(Fax).where(Fax.id == later.id).values(send_at=time, due_at=time))
    leave(session, cast)
    claim(session)
    for one in (fax, later):
        senders.release(session, senders.get_held(session, cast.alpha, one.id), session.get_one(User, cast.alice))
        session.commit()
    assert [attempt.fax_id for attempt in claim(session)] == [fax.id]
    assert reread(session, later.id).due_at == time
    assert senders.count_held(session, cast.alpha) == 0


def test_nobody_else_lets_it_go_and_nobody_twice(session, cast):
    fax = ordered(session, cast)
    leave(session, cast)
    held = senders.get_held(session, cast.alpha, fax.id)
    assert senders.get_held(session, cast.beta, fax.id) is None
    for other in (cast.charlie, cast.olga, cast.bob):
        with pytest.raises(Refused):
            senders.release(session, held, session.get_one(User, other))
    alice = session.get_one(User, cast.alice)
    senders.release(session, held, alice)
    with pytest.raises(Refused):
        senders.release(session, held, alice)


def test_who_may_send_again_has_it_go(session, cast):
    fax = ordered(session, cast)
    lose_permission(session, cast)
    assert claim(session) == []
    assert senders.let_go_again(session, utc_now()) == 0
    session.execute(sa.update(Grant).where(Grant.user_id == cast.bob).values(may_send=True))
    assert senders.let_go_again(session, utc_now()) == 1
    assert [attempt.fax_id for attempt in claim(session)] == [fax.id]


def test_faxes_of_others_go_on(session, cast):
    held = ordered(session, cast)
    alice = session.get_one(User, cast.alice)
    going = make_ready(session, submit(session, cast, user=alice, entity_id=cast.archive))
    leave(session, cast)
    assert [attempt.fax_id for attempt in claim(session)] == [going.id]
    assert reread(session, held.id).due_at is None
