"""One number, one call: whoever sends, and however many wait."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.errors import Refused
from app.models import Attempt, CalledNumber, Fax, FaxEntity, Status
from app.rules.numbers.policy import Policy, set_policy
from app.rules.sending.called import lines_of, park, place_of, say_lines, wait_behind
from app.rules.sending.dispatch import mark_placed
from app.rules.sending.lifecycle import request_cancel
from app.rules.sending.results import CallFacts, record_result, take_back
from app.rules.words.sentences import story
from tenants.db import db, utc_now
from tenants.models import Tenant, User
from tests.db.faxes import claim, make_ready, reread, submit

ONE, ANOTHER, THIRD = "+390501234501", "+390501234502", "+390501234503"


def ready(session, cast, number: str = ONE, **changes: object) -> Fax:
    return make_ready(session, submit(session, cast, addressee_text=number, **changes))


def of_beta(session, cast, number: str = ONE) -> Fax:
    return ready(session, cast, number, user=session.get_one(User, cast.charlie), entity_id=cast.beta_line)


def hang_up(session, attempt: Attempt, outcome: str = "success") -> None:
    mark_placed(session, [attempt.id], utc_now())
    record_result(session, attempt.channel_id, CallFacts(outcome, pages=2 if outcome == "success" else 0))


def called(session, **options: int) -> list[str]:
    return [attempt.fax_id for attempt in claim(session, **options)]


def test_ten_faxes_to_one_number_go_one_after_the_other_in_their_order(session, cast):
    faxes = [ready(session, cast) for _ in range(10)]
    gone = []
    for _ in faxes:
        (attempt,) = claim(session)
        assert claim(session) == []
        gone.append(attempt.fax_id)
        hang_up(session, attempt)
    assert gone == [fax.id for fax in faxes]
    sent = [reread(session, fax_id) for fax_id in gone]
    assert {(fax.status, len(fax.attempts)) for fax in sent} == {(Status.SENT, 1)}


def test_what_waits_for_a_number_keeps_no_other_waiting(session, cast):
    for _ in range(3):
        ready(session, cast)
    others = [ready(session, cast, number) for number in (ANOTHER, THIRD)]
    assert called(session)[1:] == [fax.id for fax in others]


def test_what_waits_for_a_number_is_not_looked_at_again(session, cast):
    for _ in range(20):
        ready(session, cast)
    claim(session)
    session.expunge_all()
    read = []
    sa.event.listen(Fax, "load", note := lambda fax, _context: read.append(fax.id))
    try:
        assert claim(session) == []
        assert read == []
    finally:
        sa.event.remove(Fax, "load", note)


def test_a_number_with_three_lines_takes_three_calls_each_with_a_line_of_its_own(session, cast):
    session.add(CalledNumber(number=ONE, lines=3))
    for _ in range(5):
        ready(session, cast)
    attempts = claim(session)
    assert [attempt.called_line for attempt in attempts] == [1, 2, 3]
    hang_up(session, attempts[1])
    (next_one,) = claim(session)
    assert next_one.called_line == 2


def test_fewer_lines_than_there_are_calls_make_no_further_call(session, cast):
    session.add(CalledNumber(number=ONE, lines=3))
    for _ in range(4):
        ready(session, cast)
    attempts = claim(session)
    session.get_one(CalledNumber, ONE).lines = 1
    session.commit()
    for attempt in attempts[:2]:
        hang_up(session, attempt)
        assert claim(session) == []
    hang_up(session, attempts[2])
    assert len(claim(session)) == 1


def test_the_database_gives_a_line_of_a_number_to_one_call(session, cast):
    first, second = ready(session, cast), ready(session, cast)
    claim(session)
    twin = Attempt(fax_id=second.id, tenant_id=cast.alpha, entity_id=cast.frontdesk, n=1, channel_id="x", node="y")
    twin.called, twin.called_line = ONE, 1
    session.add(twin)
    with pytest.raises(IntegrityError):
        session.flush()
    session.rollback()
    assert reread(session, first.id).status == Status.DIALING


def test_companies_take_turns_at_a_number(session, cast):
    ours = [ready(session, cast) for _ in range(3)]
    theirs = [of_beta(session, cast) for _ in range(2)]
    gone = []
    while attempts := claim(session):
        (attempt,) = attempts
        gone.append(attempt.fax_id)
        hang_up(session, attempt)
    assert gone == [ours[0].id, theirs[0].id, ours[1].id, theirs[1].id, ours[2].id]


def test_one_company_s_limit_keeps_no_other_from_a_number(session, cast):
    session.get_one(Tenant, cast.alpha).limit_outbound = 1
    ready(session, cast)
    ready(session, cast)
    theirs = of_beta(session, cast)
    (first,) = claim(session)
    elsewhere = ready(session, cast, ANOTHER)
    hang_up(session, first)
    session.execute(sa.update(Fax).where(Fax.id == elsewhere.id).values(due_at=utc_now() - timedelta(hours=1)))
    session.commit()
    assert set(called(session)) == {elsewhere.id, theirs.id}


def test_what_a_suspended_company_has_waiting_keeps_no_other_from_a_number(session, cast):
    first = ready(session, cast)
    ready(session, cast)
    theirs = of_beta(session, cast)
    (attempt,) = claim(session)
    assert attempt.fax_id == first.id
    session.get_one(Tenant, cast.alpha).suspended_at = utc_now()
    hang_up(session, attempt)
    assert called(session) == [theirs.id]


def test_the_urgent_one_goes_first(session, cast):
    faxes = [ready(session, cast) for _ in range(3)]
    session.execute(sa.update(Fax).where(Fax.id == faxes[2].id).values(urgent=True))
    session.commit()
    (attempt,) = claim(session)
    assert attempt.fax_id == faxes[2].id
    late = ready(session, cast)
    session.execute(sa.update(Fax).where(Fax.id == late.id).values(urgent=True))
    session.commit()
    claim(session)
    hang_up(session, attempt)
    assert called(session) == [late.id]


def test_an_urgent_one_goes_before_those_of_every_line_of_its_company(session, cast):
    faxes = [ready(session, cast, number) for number in (ONE, THIRD)]
    alice = session.get_one(User, cast.alice)
    urgent = ready(session, cast, ANOTHER, user=alice, entity_id=cast.archive, urgent=True)
    gone = [claim(session, outgoing=places)[0].fax_id for places in (1, 2)]
    assert gone == [urgent.id, faxes[0].id]


def test_an_extension_takes_as_many_calls_as_come(session, cast):
    for _ in range(3):
        make_ready(session, submit(session, cast, addressee_text="502"))
    assert len(claim(session)) == 3


def test_a_number_of_ours_takes_as_many_calls_as_its_company_lets_in(session, cast):
    number = session.get_one(FaxEntity, cast.beta_line).number
    for _ in range(4):
        ready(session, cast, number)
    assert lines_of(session, [number])[number] > 100
    session.get_one(Tenant, cast.beta).limit_inbound = 2
    session.commit()
    assert len(claim(session)) == 2


def test_what_is_cancelled_or_taken_back_frees_its_number(session, cast):
    first, second, third = (ready(session, cast) for _ in range(3))
    (attempt,) = claim(session)
    request_cancel(session, reread(session, second.id), session.get_one(User, cast.bob))
    assert reread(session, second.id).waits_for_number is None
    take_back(session, attempt.id)
    assert called(session) == [third.id]
    assert reread(session, first.id).status == Status.RETRYING


def test_what_is_cancelled_while_a_round_looks_at_it_waits_for_no_number(session, cast):
    fax = ready(session, cast)
    request_cancel(session, fax, session.get_one(User, cast.bob))
    park(session, [reread(session, fax.id)])
    session.commit()
    assert reread(session, fax.id).waits_for_number is None


def test_a_redirected_fax_takes_the_line_of_the_number_that_it_dials(session, cast):
    set_policy(session, Policy(redirects_followed=True))
    fax = ready(session, cast)
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(redirected_to=ANOTHER))
    session.commit()
    ready(session, cast, ANOTHER)
    own = ready(session, cast)
    assert {attempt.fax_id: attempt.called for attempt in claim(session)} == {fax.id: ANOTHER, own.id: ONE}


def test_what_becomes_ready_waits_behind_those_that_wait(session, cast):
    for _ in range(2):
        ready(session, cast)
    claim(session)
    new, elsewhere = ready(session, cast), ready(session, cast, ANOTHER)
    for fax in (new, elsewhere):
        wait_behind(session, fax)
    session.commit()
    assert reread(session, new.id).waits_for_number == ONE
    assert reread(session, elsewhere.id).waits_for_number is None


def test_nothing_waits_for_a_number_that_nobody_calls(session, cast):
    """As in a database that was restored."""
    fax = ready(session, cast)
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(waits_for_number=ONE))
    session.commit()
    assert called(session) == [fax.id]


def test_two_dispatchers_at_once_make_one_call_to_a_number(app, session, cast):
    for _ in range(6):
        ready(session, cast)
    for last in range(4):
        ready(session, cast, f"+39050123451{last}")
    session.rollback()
    together = Barrier(4)

    def dispatch() -> list[tuple[str, str]]:
        with app.app_context():
            together.wait()
            return [(attempt.fax_id, attempt.called) for attempt in claim(db.session)]

    with ThreadPoolExecutor(4) as pool:
        claimed = [one for found in [pool.submit(dispatch) for _ in range(4)] for one in found.result()]
    numbers = [number for _fax, number in claimed]
    assert sorted(numbers) == sorted({ONE, *(f"+39050123451{last}" for last in range(4))})
    assert len({fax_id for fax_id, _number in claimed}) == len(claimed)


def test_busy_immediately_after_a_call_of_ours_is_tried_again_in_a_moment(session, cast):
    first, second = ready(session, cast), ready(session, cast)
    (attempt,) = claim(session)
    mark_placed(session, [attempt.id], utc_now())
    now = utc_now().timestamp()
    record_result(session, attempt.channel_id, CallFacts("success", pages=2, answered_at=now - 1, ended_at=now))
    (again,) = claim(session)
    assert (again.fax_id, first.id) == (second.id, attempt.fax_id)
    hang_up(session, again, "busy")
    fax = reread(session, second.id)
    assert fax.due_at - utc_now() < timedelta(seconds=10)


def on_the_line(session) -> list[Attempt]:
    attempts = claim(session)
    mark_placed(session, [attempt.id for attempt in attempts], utc_now())
    return attempts


def test_busy_beside_a_call_of_ours_costs_nothing_and_waits_for_its_end(session, cast):
    for company in (cast.alpha, cast.beta):
        say_lines(session, company, ONE, "30")
    ready(session, cast)
    (theirs,) = on_the_line(session)
    fax = of_beta(session, cast)
    fax.entity.template.max_dials = 1
    session.commit()
    hang_up(session, *on_the_line(session), "busy")
    assert reread(session, fax.id).status == Status.RETRYING
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(due_at=utc_now()))
    session.commit()
    assert claim(session) == [], "nor does anybody else call it"
    ready(session, cast)
    assert claim(session) == []
    hang_up(session, theirs)
    assert called(session), "the line is free"


def test_two_calls_that_are_both_busy_cost_both(session, cast):
    say_lines(session, cast.alpha, ONE, "30")
    faxes = [ready(session, cast) for _ in range(2)]
    faxes[0].entity.template.max_dials = 1
    session.commit()
    for attempt in on_the_line(session):
        hang_up(session, attempt, "busy")
    assert reread(session, attempt.fax_id).status == Status.FAILED
    first = next(fax for fax in faxes if fax.id != attempt.fax_id)
    session.execute(sa.update(Fax).where(Fax.id == first.id).values(due_at=utc_now(), waits_for_number=None))
    session.commit()
    (again,) = on_the_line(session)
    hang_up(session, again, "busy")
    assert reread(session, first.id).status == Status.FAILED


# ---- What people see


def test_it_says_which_place_it_has_and_not_behind_whom(app, session, cast):
    faxes = [ready(session, cast) for _ in range(4)]
    theirs = [of_beta(session, cast) for _ in range(2)]
    claim(session)
    assert [place_of(session, reread(session, fax.id)) for fax in faxes] == [None, 1, 2, 3]
    with app.test_request_context():
        assert story(reread(session, faxes[2].id), place=2) == "Waiting for the line to 050 123 4501, 2nd."
    assert [place_of(session, reread(session, fax.id)) for fax in theirs] == [None, 2]


def test_nobody_learns_from_a_wait_that_another_company_calls_the_same_number(app, session, cast):
    of_beta(session, cast)
    claim(session)
    fax = ready(session, cast)
    assert claim(session) == []
    waiting = reread(session, fax.id)
    assert (waiting.waits_for_number, place_of(session, waiting)) == (ONE, None)
    with app.test_request_context():
        assert story(waiting) == "2 pages, less than a minute on the line. Dialling as soon as a line is free."


def test_where_thousands_wait_nobody_counts_them(session, cast):
    faxes = [ready(session, cast) for _ in range(3)]
    claim(session)
    one = reread(session, faxes[2].id)
    columns = [column.name for column in Fax.__table__.c if column.name not in ("id", "number", "submission_key")]
    source = sa.select(*(Fax.__table__.c[name] for name in columns)).where(Fax.id == faxes[1].id)
    row = dict(session.execute(source).mappings().one())
    session.execute(
        Fax.__table__.insert(),
        [{**row, "id": f"0{n:025}", "number": 1000 + n, "submission_key": None} for n in range(150)],
    )
    session.commit()
    assert place_of(session, one) is None


# ---- What a company says of a number


def test_a_company_that_says_three_lines_has_three_calls_and_the_next_turn_is_the_other_s(session, cast):
    assert say_lines(session, cast.alpha, ONE, "3") == (None, 3)
    session.commit()
    for _ in range(5):
        ready(session, cast)
    for _ in range(2):
        of_beta(session, cast)
    attempts = claim(session)
    assert {attempt.tenant_id for attempt in attempts} == {cast.alpha}
    assert sorted(attempt.called_line for attempt in attempts) == [1, 2, 3]
    for attempt in attempts[:2]:
        hang_up(session, attempt)
        assert claim(session) == []
    hang_up(session, attempts[2])
    assert Counter(attempt.tenant_id for attempt in claim(session)) == {cast.alpha: 2, cast.beta: 1}
    assert say_lines(session, cast.alpha, ONE, "") == (3, None)


def test_what_a_company_says_lets_it_in_beside_the_calls_of_others(session, cast):
    for _ in range(2):
        of_beta(session, cast)
    assert len(claim(session)) == 1
    say_lines(session, cast.alpha, ONE, "3")
    session.execute(sa.update(Fax).where(Fax.waits_for_number == ONE).values(due_at=None, waits_for_number=None))
    session.commit()
    for _ in range(3):
        ready(session, cast)
    assert [attempt.tenant_id for attempt in claim(session)] == [cast.alpha] * 2


@pytest.mark.parametrize("lines", [1, 2])
def test_what_the_operator_has_entered_holds_whatever_a_company_says(session, cast, lines):
    session.add(CalledNumber(number=ONE, lines=lines))
    say_lines(session, cast.alpha, ONE, "3")
    session.commit()
    for _ in range(4):
        ready(session, cast)
    assert len(claim(session)) == lines
    assert claim(session) == []


def test_what_one_company_says_lets_another_make_no_second_call(session, cast):
    say_lines(session, cast.alpha, ONE, "3")
    session.commit()
    for _ in range(2):
        of_beta(session, cast)
    assert len(claim(session)) == 1
    assert claim(session) == []


@pytest.mark.parametrize("typed", ["0", "31", "-1", "two", "1.5"])
def test_what_is_no_number_of_lines_is_refused(session, cast, typed):
    with pytest.raises(Refused, match="called_lines"):
        say_lines(session, cast.alpha, ONE, typed)
