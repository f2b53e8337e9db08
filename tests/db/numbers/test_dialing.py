"""The dialing rules at the door and once more before the line."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.errors import Refused
from app.models import CalledNumber, Fax, FaxEntity, FaxTemplate, Notice, Status
from app.rules.ground.days import day_bounds, day_of
from app.rules.numbers.policy import Policy, set_policy
from app.rules.sending.lifecycle import move, request_cancel
from app.rules.sending.results import CallFacts, record_result
from app.rules.sending.submit import resend_fax
from tenants.db import utc_now
from tenants.models import Tenant, User
from tests.db.faxes import ITS_LINES, NUMBER, claim, make_ready, reread, submit

pytestmark = pytest.mark.usefixtures("midday")

PREMIUM = "+39899123456"


@pytest.fixture
def template(session, cast) -> FaxTemplate:
    return session.get_one(FaxEntity, cast.frontdesk).template


def set_rules(session, template, **rules) -> None:
    for name, value in rules.items():
        setattr(template, name, value)
    session.commit()


def refused(session, cast, **changes) -> tuple[str, str | None]:
    with pytest.raises(Refused) as refusal:
        submit(session, cast, **changes)
    session.rollback()
    return refusal.value.code, refusal.value.field


def count(session) -> int:
    return session.scalar(sa.select(sa.func.count(Fax.id)))


def test_premium_numbers_are_refused_until_operator_and_template_allow_them(session, cast, template):
    assert refused(session, cast, addressee_text="899 123456") == ("policy_premium", "to")
    set_policy(session, Policy(premium_allowed=True))
    session.commit()
    assert refused(session, cast, addressee_text="899 123456") == ("number_premium", "to")
    set_rules(session, template, premium_allowed=True)
    assert submit(session, cast, addressee_text="899 123456").remote_number == PREMIUM


def test_beginnings_are_held_however_the_number_is_typed(session, cast, template):
    set_rules(session, template, forbidden_prefixes=["+39050"])
    for typed in ("050 1234567", "0039 050 1234567", "+39050-1234567"):
        assert refused(session, cast, addressee_text=typed) == ("number_forbidden", "to")
    set_rules(session, template, forbidden_prefixes=[], allowed_prefixes=["+44"])
    assert refused(session, cast) == ("number_not_allowed", "to")
    assert submit(session, cast, addressee_text="+44 20 7183 8750").remote_number == "+442071838750"
    assert submit(session, cast, addressee_text="502").remote_number == "502", "an own extension"


def test_the_rules_are_those_of_the_line_that_sends(session, cast, template):
    set_rules(session, template, forbidden_prefixes=["+39"])
    alice = session.get_one(User, cast.alice)
    assert submit(session, cast, user=alice, entity_id=cast.archive).status == Status.ACCEPTED


def test_sending_again_is_held_by_the_rules_of_today(session, cast, template):
    fax = submit(session, cast)
    set_rules(session, template, forbidden_prefixes=["+39"])
    with pytest.raises(Refused, match="number_forbidden"):
        resend_fax(session, user=session.get_one(User, cast.bob), fax=fax, submission_key="again")


def test_the_cap_of_a_day_refuses_the_next_and_a_double_click_is_none(session, cast, template):
    set_rules(session, template, daily_cap=2)
    first = submit(session, cast, submission_key="k")
    submit(session, cast)
    assert refused(session, cast) == ("daily_cap", None)
    assert submit(session, cast, submission_key="k").id == first.id
    assert count(session) == 2


def test_what_was_cancelled_before_it_was_dialled_leaves_its_place(session, cast, template):
    set_rules(session, template, daily_cap=1)
    fax = submit(session, cast)
    request_cancel(session, fax, session.get_one(User, cast.bob))
    again = make_ready(session, submit(session, cast))
    claim(session)
    move(session, again.id, Status.CANCELLED)
    session.commit()
    assert refused(session, cast) == ("daily_cap", None), "it was on the line"


def test_each_day_has_its_own_cap(session, cast, template):
    set_rules(session, template, daily_cap=1)
    zone = session.get_one(Tenant, cast.alpha).zone
    tomorrow = f"{day_of(utc_now(), zone) + timedelta(days=1)}T10:00"
    submit(session, cast, send_at_text=tomorrow)
    submit(session, cast)
    assert refused(session, cast, send_at_text=tomorrow) == ("daily_cap_on", "send_at")
    assert refused(session, cast) == ("daily_cap", None)


def test_each_line_has_its_own_cap(session, cast, template):
    set_rules(session, template, daily_cap=1)
    entity = session.get_one(FaxEntity, cast.archive)
    entity.template_id = template.id
    session.commit()
    submit(session, cast)
    alice = session.get_one(User, cast.alice)
    assert submit(session, cast, user=alice, entity_id=cast.archive).status == Status.ACCEPTED


def test_those_who_race_for_the_last_place_of_a_day_get_one(app, session, cast, template):
    set_rules(session, template, daily_cap=3)
    session.merge(CalledNumber(number=NUMBER, lines=ITS_LINES))  # else each of them adds it
    session.commit()
    codes, begin = [], threading.Barrier(4)

    def send() -> None:
        with app.app_context():
            begin.wait()
            for _ in range(2):
                try:
                    submit(session, cast)
                    codes.append("accepted")
                except Refused as refusal:
                    session.rollback()
                    codes.append(refusal.code)
            session.remove()

    threads = [threading.Thread(target=send) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    session.rollback()
    assert sorted(codes) == ["accepted"] * 3 + ["daily_cap"] * 5
    assert count(session) == 3


# ---- Before the line


@pytest.mark.parametrize("status", [Status.READY, Status.SCHEDULED, Status.RETRYING])
def test_a_number_that_was_forbidden_meanwhile_is_not_dialled_and_its_sender_is_told(session, cast, template, status):
    fax = make_ready(session, submit(session, cast))
    fax.status = status
    session.commit()
    set_rules(session, template, forbidden_prefixes=["+39050"])
    assert claim(session) == []
    fax = reread(session, fax.id)
    assert (fax.status, fax.cause, fax.cause_values) == (Status.FAILED, "number_forbidden", {"prefix": "+39050"})
    assert session.scalars(sa.select(Notice.recipient).where(Notice.fax_id == fax.id)).all() == ["bob@alpha.test"]


def test_one_that_is_forbidden_does_not_keep_the_others_waiting(session, cast, template):
    no, yes = (
        make_ready(session, submit(session, cast, addressee_text=to)) for to in ("+39050123456", "+442071838750")
    )
    set_rules(session, template, forbidden_prefixes=["+39"])
    assert [attempt.fax_id for attempt in claim(session)] == [yes.id]
    assert reread(session, no.id).status == Status.FAILED


@pytest.mark.parametrize("status", [Status.READY, Status.SCHEDULED])
def test_what_is_more_than_the_day_allows_waits_for_the_next_one(session, cast, template, status):
    faxes = [make_ready(session, submit(session, cast)) for _ in range(3)]
    for fax in faxes:
        fax.status = status
    set_rules(session, template, daily_cap=2)
    assert len(claim(session)) == 2
    assert claim(session) == []
    zone = session.get_one(Tenant, cast.alpha).zone
    (waiting,) = session.scalars(sa.select(Fax).where(Fax.status == status))
    session.refresh(waiting)
    assert waiting.due_at == day_bounds(day_of(utc_now(), zone), zone)[1]
    assert (waiting.cause, waiting.cause_values) == ("daily_cap", {"limit": 2})
    waiting.due_at = utc_now()
    set_rules(session, template, daily_cap=3)
    assert [attempt.fax_id for attempt in claim(session)] == [waiting.id]


def test_another_try_takes_no_place_of_the_day(session, cast, template):
    set_rules(session, template, daily_cap=1)
    make_ready(session, submit(session, cast))
    (attempt,) = claim(session)
    record_result(session, attempt.channel_id, CallFacts("busy"))
    fax = reread(session, attempt.fax_id)
    assert fax.status == Status.RETRYING
    fax.due_at = utc_now() - timedelta(seconds=1)
    session.commit()
    assert [again.n for again in claim(session)] == [2]


def test_a_full_line_uses_up_no_place_of_the_day(session, cast, template):
    set_rules(session, template, daily_cap=3)
    for _ in range(3):
        make_ready(session, submit(session, cast))
    assert [len(claim(session, line=limit)) for limit in (1, 2, 3)] == [1, 1, 1]
