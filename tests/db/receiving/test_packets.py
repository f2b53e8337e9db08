"""Whom a call with sound is asked for large packets: who failed by sound on this very line a short while ago."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.adapters.telephony.passing import Passed
from app.jobs.receiving.entrance import packet_asked
from app.models import Attempt, Fax, FaxEntity, Status
from app.rules.receiving.packets import REMEMBERED, packet_wanted
from app.rules.receiving.receiving import begin_receiving, finish_receiving
from app.rules.sending.dispatch import Limits
from app.rules.sending.results import CallFacts
from tenants.db import utc_now

CALLER, CALLED, OTHER = "+390501234567", "+390509655637", "+390509655999"
FAILED = CallFacts("protocol_error", mode="audio")


@pytest.fixture(autouse=True)
def lines(session, cast):
    """Two lines of alpha and one of beta."""
    for entity, number in ((cast.frontdesk, CALLED), (cast.beta_line, OTHER)):
        session.get_one(FaxEntity, entity).number = number
    session.commit()


def came(session, entity_id, facts=FAILED, *, caller=CALLER, ago=timedelta(minutes=5), whole=False):
    entity, channel = session.get_one(FaxEntity, entity_id), f"1795383441.{session.query(Fax).count()}"
    fax = begin_receiving(session, entity, node="n", channel_id=channel, caller=caller, limits=Limits(line=0))
    finish_receiving(session, fax, facts)
    fax = session.get_one(Fax, fax.id, populate_existing=True)
    fax.created_at = utc_now() - ago
    if whole:
        fax.status = Status.RECEIVED
    session.commit()


def wanted(session, *, called=f"{CALLED}|||||", caller=CALLER):
    return packet_wanted(session, called, caller, utc_now())


def test_nobody_is_asked_in_a_first_call(session, cast):
    assert wanted(session) == 20


@pytest.mark.parametrize("called", [CALLED, "0509655637|||||", f"account||<sip:{CALLED}@c.example>|||main"])
@pytest.mark.parametrize("caller", [CALLER, "0501234567", "00390501234567"])
def test_after_a_failure_by_sound_the_caller_is_asked_however_the_network_writes_it(session, cast, called, caller):
    came(session, cast.frontdesk)
    assert wanted(session, called=called, caller=caller) == 60


def test_failures_take_turns_until_a_fax_is_whole(session, cast):
    sizes = []
    for minutes in (50, 40, 30):
        came(session, cast.frontdesk, ago=timedelta(minutes=minutes))
        sizes.append(wanted(session))
    came(session, cast.frontdesk, CallFacts("success", pages=1, mode="audio"), ago=timedelta(minutes=20), whole=True)
    assert [*sizes, wanted(session)] == [60, 20, 60, 20]
    came(session, cast.frontdesk)
    assert wanted(session) == 60


@pytest.mark.parametrize(
    "facts",
    [
        CallFacts("protocol_error", mode="T38"),
        CallFacts("dropped", pages=1, mode="T38"),
        CallFacts("far_end_no_fax", mode="audio"),
        CallFacts("dropped"),
    ],
)
def test_nobody_is_asked_after_t38_or_what_was_no_fax(session, cast, facts):
    came(session, cast.frontdesk, facts)
    assert wanted(session) == 20


def test_it_is_of_this_line_and_caller_alone(session, cast):
    came(session, cast.frontdesk)
    assert wanted(session, called=f"{OTHER}|||||") == 20, "another company's"
    assert wanted(session, caller="+390501234568") == 20
    assert wanted(session, called="+390509655000|||||") == 20, "nobody's"


@pytest.mark.parametrize("caller", ["", "anonymous"])
def test_whose_number_is_withheld_is_not_asked(session, cast, caller):
    came(session, cast.frontdesk, caller=caller)
    assert wanted(session, caller=caller) == 20


def test_it_is_forgotten(session, cast):
    came(session, cast.frontdesk, ago=REMEMBERED + timedelta(minutes=1))
    assert wanted(session) == 20


def test_a_self_test_says_nothing(session, cast):
    came(session, cast.frontdesk)
    session.execute(sa.update(Fax).values(test_of_id=sa.select(sa.func.max(Fax.id)).scalar_subquery()))
    session.commit()
    assert wanted(session) == 20


def test_a_call_that_still_comes_in_says_nothing(session, cast):
    came(session, cast.frontdesk)
    session.execute(sa.update(Attempt).values(ended_at=None))
    session.commit()
    assert wanted(session) == 20


def test_the_turns_go_on_however_long_it_has_failed(session, cast):
    hours = REMEMBERED / timedelta(hours=1) - 1
    sizes = []
    for call in range(4):
        came(session, cast.frontdesk, ago=timedelta(hours=hours) * (3 - call))
        sizes.append(packet_wanted(session, f"{CALLED}|||||", CALLER, utc_now() - timedelta(hours=hours) * (3 - call)))
    assert sizes == [60, 20, 60, 20]


# ---- As the entrance asks


def invite(*headers, uri=f"sip:{CALLED}@h", sender=f"<sip:{CALLER}@c.example>;tag=far"):
    told = (("Via", "SIP/2.0/UDP 192.0.2.9"), ("From", sender), ("To", f"<{uri}>"), ("Call-ID", "c"))
    return Passed(f"INVITE {uri} SIP/2.0", (*told, ("CSeq", "5 INVITE"), *headers))


@pytest.mark.parametrize(
    ("call", "packet"),
    [
        (invite(), 60),
        (invite(("P-Asserted-Identity", f"<sip:{CALLER}@c.example>"), sender="<sip:5@c.example>;tag=far"), 60),
        (invite(("P-Called-Party-ID", f"<sip:{CALLED}@c.example>"), uri="sip:account@h"), 60),
        (invite(("P-Asserted-Identity", f"<sip:{CALLER}@c.example>"), ("Privacy", "id;critical")), None),
        (invite(("Remote-Party-ID", f"<sip:{CALLER}@c.example>;privacy=full")), None),
        (invite(sender="<sip:anonymous@anonymous.invalid>;tag=far"), None),
        (invite(uri=f"sip:{OTHER}@h"), None),
    ],
)
def test_the_entrance_asks_for_whom_the_call_is_and_who_calls(app, session, cast, call, packet):
    came(session, cast.frontdesk)
    assert packet_asked(app, call, "main") == packet


def test_without_a_database_a_call_goes_on_as_it_is(app, session, cast, monkeypatch):
    def down(*_):
        raise sa.exc.OperationalError("", {}, Exception())

    monkeypatch.setattr("app.jobs.receiving.entrance.packet_wanted", down)
    assert packet_asked(app, invite(), "main") is None
