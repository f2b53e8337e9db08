"""Operators hear of a registration that is lost while nobody calls: once, and when it is over."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.jobs.outbox.alert_mails import trunk_mail
from app.jobs.upkeep import watch
from app.models import Notice, Trunk, TrunkTrouble
from app.rules.upkeep.trunk_alerts import watch_registrations, watch_trunks
from app.services.trunks.states import TrunkState, note_states, registrations
from tenants.db import utc_now
from tests.db.reading import redis, redis_port  # noqa: F401

SINCE = datetime(2026, 12, 1, 8, tzinfo=UTC)
LOST = {"main": (SINCE, "403 Forbidden")}
SUBJECTS = {
    "away": "[Faxroom] The trunk main is not registered",
    "back": "[Faxroom] The trunk main is registered again",
    "none": "[Faxroom] The trunk main no longer registers",
}


@pytest.fixture
def trunk(session, cast) -> Trunk:
    row = session.scalar(sa.select(Trunk))
    row.username, row.password, row.registers = "joe", "secret", True
    session.commit()
    return row


def mails(session) -> list[tuple[str, str, str]]:
    told = session.scalars(sa.select(Notice).where(Notice.kind.like("trunk_%")).order_by(Notice.id))
    return [(notice.recipient, *trunk_mail(notice)) for notice in told]


def subjects(session) -> list[str]:
    return [subject for _, subject, _ in mails(session)]


def test_operators_are_told_once_that_it_is_lost_and_once_that_it_is_back(session, trunk):
    for since in (SINCE, SINCE + timedelta(minutes=5)):  # Redis was emptied meanwhile
        watch_registrations(session, {"main": (since, "403 Forbidden")}, set())
        watch_trunks(session)
    ((recipient, subject, text),) = mails(session)
    assert (recipient, subject) == ("ops@faxroom.test", SUBJECTS["away"])
    assert "since 01/12/2026 08:00 UTC" in text and "403 Forbidden" in text and "no calls since" not in text
    watch_registrations(session, {}, set())  # nobody knows
    assert subjects(session) == [SUBJECTS["away"]]
    for _ in range(2):
        watch_registrations(session, {}, {"main"})
    assert subjects(session) == [SUBJECTS["away"], SUBJECTS["back"]]
    assert "the trunk main is registered again." in mails(session)[-1][2]
    watch_registrations(session, {"main": (SINCE + timedelta(hours=1), "")}, set())
    assert subjects(session)[2:] == [SUBJECTS["away"]]
    assert "does not answer" in mails(session)[-1][2]


@pytest.mark.parametrize("change", [{"enabled": False}, {"registers": False}])
def test_one_that_is_not_to_register_any_more_is_not_back(session, trunk, change):
    watch_registrations(session, LOST, set())
    session.execute(sa.update(Trunk).values(change))
    session.commit()
    watch_registrations(session, {}, set())
    assert subjects(session) == [SUBJECTS["away"], SUBJECTS["none"]]


def test_of_one_that_is_set_aside_the_faxes_that_wait_say_it(session, trunk):
    now = utc_now()
    session.add(TrunkTrouble(trunk_id=trunk.id, since=now, probe_at=now, outcome="trunk_refused"))
    session.commit()
    watch_registrations(session, LOST, set())
    assert mails(session) == []


def test_a_start_and_a_moment_are_no_loss(app, session, trunk, redis):  # noqa: F811
    now = utc_now()

    def note(registration: str, seconds: float, matter: str = "registration_lost") -> None:
        state = TrunkState("main", now.timestamp(), registration, matter=matter, since=now.timestamp() - seconds)
        note_states([state])

    note("Unregistered", 59)
    watch._watch_registrations()
    assert mails(session) == []
    note("Rejected", 61)
    watch._watch_registrations()
    assert subjects(session) == [SUBJECTS["away"]]
    assert registrations(now + timedelta(minutes=2)) == ({}, set())  # too old to say anything
    note("Registered", 1, "")
    watch._watch_registrations()
    assert subjects(session) == [SUBJECTS["away"], SUBJECTS["back"]]
