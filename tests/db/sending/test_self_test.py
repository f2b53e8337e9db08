"""A line's fax to itself: told from every other fax, and without what only strangers' faxes bring about."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.adapters.fax_files.fax_tiff import encode, write_pages
from app.adapters.fax_files.page_compare import damaged_lines
from app.dialled import DIAL_STRING
from app.errors import Refused
from app.models import Attempt, Fax, FaxEntity, Notice, Status, Trunk, TrunkTrouble, Unread
from app.rules.numbers.numbers import read_addressee
from app.rules.numbers.policy import Policy, set_policy
from app.rules.numbers.routing import entity_for
from app.rules.receiving.receiving import begin_receiving
from app.rules.sending.results import CallFacts, record_result
from app.rules.sending.self_test import (
    PATIENCE,
    Damage,
    announced_by,
    begin_test,
    findings,
    is_running,
    last_test,
    other_end,
    verdict,
)
from app.rules.sending.trunks.choosing import Ways, another_takes_it, take_free
from app.rules.sending.trunks.test_calls import begin_trunk_test
from tenants.db import new_ulid, utc_now
from tenants.models import Tenant, User
from tests.db.faxes import claim, make_document, make_ready, reread, submit
from tests.db.receptions import came, told

GOOD = {"pages": 1, "mode": "T38", "rate": 14400, "ecm": True}


def begin(session, cast, *, entity_id: int | None = None, key: str = "", outer: bool = False) -> Fax:
    alice, entity = session.get_one(User, cast.alice), session.get_one(FaxEntity, entity_id or cast.archive)
    document = make_document(session, cast.alpha, cast.alice)
    key = key or new_ulid()
    return begin_test(session, user=alice, entity=entity, document=document, submission_key=key, outer=outer)


def on_the_line(session, cast, **more) -> Fax:
    fax = begin(session, cast, **more)
    make_ready(session, fax, pages=1)
    claim(session)
    return reread(session, fax.id)


def call(session, called: str, *, channel_id: str = "1.1") -> Fax:
    entity = entity_for(session, called)
    known = {"node": "asterisk", "channel_id": channel_id, "caller": "502"}
    return begin_receiving(session, entity, **known, called=called, limits=None)


def notices(session) -> int:
    return session.scalar(sa.select(sa.func.count(Notice.id)))


def test_it_goes_from_the_line_to_itself_by_a_code_of_its_own(session, cast):
    first, second = begin(session, cast), begin(session, cast, entity_id=cast.frontdesk)
    assert (first.entity_id, first.remote_number, first.origin) == (cast.archive, "502", "test")
    for fax, extension in ((first, "502"), (second, "501")):
        assert fax.dial_string.startswith(f"{cast.alpha}*{extension}*"), "not by the public number"
        assert DIAL_STRING.fullmatch(fax.dial_string)
        assert len(fax.dial_string) <= 40
    assert entity_for(session, first.dial_string).id == cast.archive


def test_the_same_form_twice_is_one_test(session, cast):
    first = begin(session, cast, key="k")
    with pytest.raises(Refused, match="test_running"):
        begin(session, cast)
    assert last_test(session, session.get_one(FaxEntity, cast.archive)).id == first.id


@pytest.mark.parametrize("code", ["tenant_suspended", "test_one_call", "test_closed"])
def test_it_is_refused_where_it_cannot_succeed(session, cast, code):
    tenant, entity = session.get_one(Tenant, cast.alpha), session.get_one(FaxEntity, cast.archive)
    tenant.suspended_at = utc_now() if code == "tenant_suspended" else None
    tenant.limit_total = 1 if code == "test_one_call" else 0
    entity.closed_at = utc_now() if code == "test_closed" else None
    session.commit()
    with pytest.raises(Refused, match=code):
        begin(session, cast)


def test_dialing_rules_and_the_days_cap_are_not_about_it(session, cast):
    template = session.get_one(FaxEntity, cast.frontdesk).template
    template.daily_cap, template.forbidden_prefixes = 1, ["+39"]
    session.commit()
    test = on_the_line(session, cast, entity_id=cast.frontdesk)
    assert test.status == Status.DIALING
    template.forbidden_prefixes = []
    session.commit()
    fax = make_ready(session, submit(session, cast))
    assert [attempt.fax_id for attempt in claim(session)] == [fax.id], "it took no place of the day"


def test_its_call_is_known_by_the_code_and_brings_neither_mail_nor_mark(session, cast, phone, spool):
    test = on_the_line(session, cast, entity_id=cast.frontdesk)
    came(spool)
    told(called=test.dial_string)
    received = other_end(session, test)
    assert (received.status, received.pages, received.entity_id) == (Status.RECEIVED, 1, cast.frontdesk)
    assert received.done_at is not None, "it does not wait in the inbox"
    assert notices(session) == 0
    assert session.scalar(sa.select(sa.func.count()).select_from(Unread)) == 0


@pytest.mark.parametrize("called", ["+390509655637", "{alpha}*501", "{alpha}*501*000000000"])
def test_what_comes_meanwhile_from_others_is_a_fax_like_any(session, cast, phone, spool, called):
    test = on_the_line(session, cast, entity_id=cast.frontdesk)
    called = called.format(alpha=cast.alpha)
    if called == test.dial_string:  # one in a thousand million
        return
    came(spool)
    told(called=called)
    assert other_end(session, test) is None
    assert notices(session) == 2, "everybody who may receive is told"


def test_a_code_counts_once(session, cast):
    test = on_the_line(session, cast)
    first, second = (call(session, test.dial_string, channel_id=name) for name in ("1.1", "1.2"))
    assert (first.test_of_id, second.test_of_id) == (test.id, None)


def test_a_code_of_another_line_is_none(session, cast):
    test = on_the_line(session, cast)
    code = test.dial_string.rpartition("*")[2]
    assert call(session, f"{cast.alpha}*501*{code}").test_of_id is None
    assert call(session, f"{cast.beta}*501*{code}", channel_id="1.2").test_of_id is None


def test_what_came_while_the_portal_was_down_is_still_the_test(session, cast, phone, spool):
    test = on_the_line(session, cast)
    (attempt,) = session.scalars(sa.select(Attempt).where(Attempt.fax_id == test.id))
    record_result(session, attempt.channel_id, CallFacts("success", **GOOD))
    came(spool)
    told(called=test.dial_string)
    assert other_end(session, test).status == Status.RECEIVED


def test_one_that_fails_is_not_tried_again_and_nobody_is_mailed(session, cast):
    test = on_the_line(session, cast)
    (attempt,) = session.scalars(sa.select(Attempt).where(Attempt.fax_id == test.id))
    record_result(session, attempt.channel_id, CallFacts("busy"))
    test = reread(session, test.id)
    assert (test.status, test.cause) == (Status.FAILED, "busy")
    assert notices(session) == 0


# ---- Through the carrier


@pytest.fixture
def trunk(session, cast) -> Trunk:
    """One that leads to a carrier."""
    trunk = session.scalar(sa.select(Trunk)) or Trunk(name="main", port=5060)
    trunk.host = "carrier.example"
    session.add(trunk)
    session.commit()
    return trunk


def outer_on_the_line(session, cast) -> Fax:
    return on_the_line(session, cast, entity_id=cast.frontdesk, outer=True)


def came_back(spool, station: str, *, seconds: float = 0, channel_id: str = "1.7") -> None:
    """A call to the front desk's number, ``seconds`` from now, whose machine calls itself ``station``."""
    came(spool, channel_id=channel_id)
    at = utc_now().timestamp() + seconds
    facts = {"remote_station_id": station, "answered_at": at, "ended_at": at + 20}
    told(called="+390509655637|||||main", channel_id=channel_id, facts=facts)


def test_an_outer_one_dials_the_lines_own_number_over_the_trunk_and_nothing_else(session, cast, trunk):
    test = outer_on_the_line(session, cast)
    assert (test.dial_string, test.remote_number) == ("+390509655637", "+390509655637")
    (attempt,) = test.attempts
    assert attempt.trunk_id == trunk.id
    set_policy(session, Policy(redirects_followed=True))
    session.commit()
    record_result(session, attempt.channel_id, CallFacts("redirected", redirected_to="+390511234567"))
    test = reread(session, test.id)
    assert (test.status, len(test.attempts)) == (Status.FAILED, 1)


@pytest.mark.parametrize(("host", "line"), [("127.0.0.1", "frontdesk"), ("carrier.example", "archive")])
def test_there_is_none_without_a_carrier_or_a_number(session, cast, trunk, host, line):
    trunk.host = host
    session.commit()
    with pytest.raises(Refused, match="test_no_way_out"):
        begin(session, cast, entity_id=getattr(cast, line), outer=True)


def test_a_number_that_the_lines_rules_forbid_is_not_dialled_for_a_test_either(session, cast, trunk):
    session.get_one(FaxEntity, cast.frontdesk).template.forbidden_prefixes = ["+39"]
    session.commit()
    with pytest.raises(Refused, match="number_forbidden"):
        begin(session, cast, entity_id=cast.frontdesk, outer=True)


def test_what_comes_back_is_known_by_what_it_calls_itself(session, cast, trunk, phone, spool):
    test = outer_on_the_line(session, cast)
    assert len(announced_by(test)) == 20
    came_back(spool, announced_by(test))
    assert other_end(session, test).status == Status.RECEIVED
    assert other_end(session, test).done_at is not None
    assert notices(session) == 0
    came_back(spool, announced_by(test), channel_id="1.8")
    assert notices(session) == 2, "a second one is a fax like any"


@pytest.mark.parametrize("station", ["", "+39 050 9655637", "0" * 20, "12345678901234567890"])
def test_a_strangers_fax_meanwhile_is_delivered_as_usual(session, cast, trunk, phone, spool, station):
    test = outer_on_the_line(session, cast)
    came_back(spool, station)
    assert other_end(session, test) is None
    assert notices(session) == 2


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_who_came_to_know_the_code_can_do_nothing_with_it_at_another_time(session, cast, trunk, phone, spool, seconds):
    test = outer_on_the_line(session, cast)
    came_back(spool, announced_by(test), seconds=seconds)
    assert other_end(session, test) is None
    assert notices(session) == 2


def test_a_fax_that_is_no_outer_test_announces_nothing(session, cast, trunk):
    assert announced_by(on_the_line(session, cast)) is None
    assert announced_by(submit(session, cast)) is None


@pytest.fixture
def operators_call(session, cast, trunk) -> Fax:
    """An operator's test call over the trunk, to the front desk's own number."""
    line = session.get_one(FaxEntity, cast.frontdesk)
    return begin_trunk_test(
        session,
        user=session.get_one(User, cast.olga),
        trunk_id=trunk.id,
        line=line,
        addressee=read_addressee(session, line.tenant, line.number),
        document=make_document(session, cast.alpha, cast.olga),
        submission_key=new_ulid(),
        beside=lambda _fax: None,
    )


def test_an_operators_test_call_calls_itself_as_the_line_does(session, cast, operators_call):
    assert announced_by(operators_call) is None


def test_an_operators_test_call_to_the_lines_number_is_none_of_the_companys_self_tests(session, cast, operators_call):
    assert last_test(session, session.get_one(FaxEntity, cast.frontdesk)) is None
    own = begin(session, cast, entity_id=cast.frontdesk, outer=True)
    assert last_test(session, session.get_one(FaxEntity, cast.frontdesk)).id == own.id


def test_one_to_a_silent_carrier_is_not_taken_back_for_another_trunk(session, cast, trunk):
    session.add(Trunk(name="second", position=2, host="second.example", port=5060))
    session.commit()
    (attempt,) = outer_on_the_line(session, cast).attempts
    assert not another_takes_it(session, attempt, attempt.fax, utc_now())
    assert take_free(Ways(session, utc_now()), attempt, attempt.fax) is None


@pytest.mark.parametrize(
    ("outcome", "cause", "bad"),
    [
        ("busy", "busy", {"call", "received"}),
        ("media", "media", {"call", "received"}),
        ("trunk_down", "test_trunk_down", {"call"}),
        ("trunk_full", "test_trunk_full", {"call"}),
    ],
)
def test_one_call_is_all_and_it_says_whether_that_got_out(session, cast, trunk, outcome, cause, bad):
    test = outer_on_the_line(session, cast)
    record_result(session, test.attempts[0].channel_id, CallFacts(outcome))
    test = reread(session, test.id)
    assert (test.status, test.cause) == (Status.FAILED, cause)
    found = findings(test, None, None, now=utc_now())
    assert {finding.code for finding in found if finding.state == "bad"} == bad


def test_while_the_trunk_is_down_an_outer_one_fails_and_an_inner_one_goes(session, cast, trunk):
    now = utc_now()
    session.add(TrunkTrouble(trunk_id=trunk.id, since=now, probe_at=now + timedelta(minutes=5), outcome="trunk_down"))
    session.commit()
    test = outer_on_the_line(session, cast)
    assert (test.status, test.cause, test.attempts) == (Status.FAILED, "test_trunk_down", [])
    assert on_the_line(session, cast, entity_id=cast.frontdesk).status == Status.DIALING


# ---- What it says


def told_of(session, cast, *, facts: dict, received: bool = True, damage: Damage | None = None, later: int = 0):
    test = on_the_line(session, cast)
    (attempt,) = session.scalars(sa.select(Attempt).where(Attempt.fax_id == test.id))
    began = utc_now().timestamp()
    times = {"answered_at": began - 22, "ended_at": began}
    record_result(session, attempt.channel_id, CallFacts("success", **(GOOD | times | facts)))
    other = call(session, test.dial_string) if received else None
    if other:
        other.status, other.pages = Status.RECEIVED, 1
        session.commit()
    test, now = reread(session, test.id), utc_now() + timedelta(seconds=later)
    found = findings(test, other, damage, now=now)
    return test, other, {finding.code: finding for finding in found}, verdict(test, found), now


def test_a_line_that_does_as_its_template_has_it_is_good(session, cast):
    test, other, found, word, now = told_of(session, cast, facts={}, damage=Damage(2292, 0))
    assert {finding.state for finding in found.values()} == {"good"}
    assert found["duration"].values == {"seconds": 22}
    assert (word, is_running(test, other, now=now)) == ("good", False)


@pytest.mark.parametrize(
    ("facts", "damage", "code"),
    [
        ({"mode": "audio"}, Damage(2292, 0), "mode"),
        ({"rate": 9600}, Damage(2292, 0), "rate"),
        ({"ecm": False}, Damage(2292, 0), "ecm"),
        ({}, Damage(2292, 3), "picture"),
    ],
)
def test_what_is_otherwise_than_the_template_has_it_is_marked(session, cast, facts, damage, code):
    _test, _other, found, word, _now = told_of(session, cast, facts=facts, damage=damage)
    assert {name for name, finding in found.items() if finding.state == "doubt"} == {code}
    assert word == "doubt"


def test_what_was_sent_and_did_not_come_in_is_waited_for_and_then_missing(session, cast):
    late = int(PATIENCE.total_seconds()) + 5
    test, other, found, _word, now = told_of(session, cast, facts={}, received=False)
    assert (found["received"].state, is_running(test, other, now=now)) == ("todo", True)
    now += timedelta(seconds=late)
    found = findings(test, other, None, now=now)
    assert (verdict(test, found), is_running(test, other, now=now)) == ("bad", False)


# ---- The picture


def page(path: Path, rows: list[int]) -> Path:
    packed = b"".join(bytes([row]) * (1728 // 8) for row in rows)
    write_pages(path, [encode(packed, rows=len(rows), dots_down=196)], total=1)
    return path


def test_pages_are_compared_line_by_line_below_the_senders_line(tmp_path):
    rows = [0, 0xFF, 0x0F, 0xAA, 0, 0x81]
    sent = page(tmp_path / "sent.tif", rows)
    whole = page(tmp_path / "whole.tif", [0x18, 0x24, 0, *rows])
    hurt = page(tmp_path / "hurt.tif", [0x18, 0x24, 0, *rows[:2], 0x0E, 0xAB, *rows[4:]])
    short = page(tmp_path / "short.tif", rows[2:])
    assert damaged_lines(sent, whole) == (6, 0)
    assert damaged_lines(sent, hurt) == (6, 2)
    assert damaged_lines(sent, short) == (6, 2), "lines that did not arrive"
