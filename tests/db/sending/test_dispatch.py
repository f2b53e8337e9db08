"""Claims, limits and results."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.models import Attempt, Fax, FaxEntity, Notice, Status
from app.rules.sending.dispatch import mark_placed
from app.rules.sending.lifecycle import move, request_cancel
from app.rules.sending.results import CallFacts, note_answered, note_progress, record_result, take_back
from tenants.db import utc_now
from tenants.models import Tenant, User
from tests.db.faxes import claim, dial, make_ready, reread, submit


def test_what_is_due_is_claimed_once(session, cast):
    fax = make_ready(session, submit(session, cast))
    (attempt,) = claim(session)
    assert attempt.channel_id == f"fax-{fax.id}-1"
    assert reread(session, fax.id).status == Status.DIALING
    assert claim(session) == []


def test_what_is_due_later_stays(session, cast):
    fax = make_ready(session, submit(session, cast))
    fax.due_at = utc_now() + timedelta(hours=1)
    session.commit()
    assert claim(session) == []


def test_the_database_holds_one_open_attempt_a_fax(session, cast):
    attempt = dial(session, cast)
    twin = Attempt(fax_id=attempt.fax_id, tenant_id=cast.alpha, entity_id=cast.frontdesk, n=2, channel_id="x", node="y")
    session.add(twin)
    with pytest.raises(IntegrityError):
        session.flush()
    session.rollback()


@pytest.mark.parametrize("limit", ["limit_outbound", "limit_total"])
def test_a_company_has_no_more_calls_than_its_limit(session, cast, limit):
    setattr(session.get_one(Tenant, cast.alpha), limit, 2)
    for _ in range(5):
        make_ready(session, submit(session, cast))
    assert len(claim(session)) == 2
    assert claim(session) == []


def test_a_fax_entity_has_no_more_calls_than_its_limit(session, cast):
    session.get_one(FaxEntity, cast.frontdesk).limit_outbound = 1
    for _ in range(3):
        make_ready(session, submit(session, cast))
    assert len(claim(session)) == 1


def test_the_line_has_no_more_calls_than_its_limit(session, cast):
    for _ in range(4):
        make_ready(session, submit(session, cast))
    assert len(claim(session, line=3)) == 3


def test_lines_take_turns(session, cast):
    """A company that queues a hundred does not keep the other waiting."""
    for _ in range(4):
        make_ready(session, submit(session, cast))
    charlie = session.get_one(User, cast.charlie)
    theirs = submit(session, cast, user=charlie, entity_id=cast.beta_line)
    make_ready(session, theirs)
    assert theirs.id in [attempt.fax_id for attempt in claim(session, line=2)]


def test_companies_take_turns_at_the_one_place_there_is(session, cast):
    """Though all of the other's are older."""
    for _ in range(4):
        make_ready(session, submit(session, cast))
    charlie = session.get_one(User, cast.charlie)
    theirs = [make_ready(session, submit(session, cast, user=charlie, entity_id=cast.beta_line)) for _ in range(2)]
    owners = []
    for _ in range(4):
        (attempt,) = claim(session, line=1)
        owners.append(attempt.tenant_id)
        mark_placed(session, [attempt.id], utc_now())
        record_result(session, attempt.channel_id, CallFacts("success", pages=2))
    assert owners == [cast.alpha, cast.beta, cast.alpha, cast.beta]
    assert {reread(session, fax.id).status for fax in theirs} == {Status.SENT}


def test_who_has_fewer_calls_gets_the_next_place(session, cast):
    """A company with two lines gets no more of what is scarce than one with one."""
    alice, charlie = session.get_one(User, cast.alice), session.get_one(User, cast.charlie)
    for _ in range(3):
        make_ready(session, submit(session, cast))
        make_ready(session, submit(session, cast, user=alice, entity_id=cast.archive))
    for _ in range(3):
        make_ready(session, submit(session, cast, user=charlie, entity_id=cast.beta_line))
    tenants = [attempt.tenant_id for attempt in claim(session, line=4)]
    assert (tenants.count(cast.alpha), tenants.count(cast.beta)) == (2, 2)


def test_claiming_reads_what_can_be_placed_and_not_what_waits(session, cast):
    session.get_one(Tenant, cast.alpha).limit_outbound = 2
    for _ in range(30):
        make_ready(session, submit(session, cast))
    session.expunge_all()
    read = []
    sa.event.listen(Fax, "load", note := lambda fax, _context: read.append(fax.id))
    try:
        assert len(claim(session)) == 2
        assert len(read) == 2
        assert claim(session) == []
        assert len(read) == 2, "no place is free"
    finally:
        sa.event.remove(Fax, "load", note)


def test_what_may_not_go_holds_up_nothing_behind_it(session, cast):
    session.get_one(Tenant, cast.alpha).limit_outbound = 1
    wrong = make_ready(session, submit(session, cast))
    session.execute(sa.update(Fax).where(Fax.id == wrong.id).values(remote_number="+442071234567"))
    session.get_one(FaxEntity, cast.frontdesk).template.forbidden_prefixes = ["+44"]
    session.commit()
    right = make_ready(session, submit(session, cast))
    assert [attempt.fax_id for attempt in claim(session)] == [right.id]
    assert reread(session, wrong.id).status == Status.FAILED


def urgent(session, cast, number, **changes):
    return make_ready(session, submit(session, cast, addressee_text=number, urgent=True, **changes))


def test_an_urgent_fax_behind_one_that_may_not_go_stays_urgent(session, cast):
    """Though no more were read at first than there are places."""
    make_ready(session, submit(session, cast, addressee_text="+390501234501"))
    claim(session)
    alice = session.get_one(User, cast.alice)
    behind, next_one = urgent(session, cast, "+390501234501"), urgent(session, cast, "+390501234502")
    make_ready(session, submit(session, cast, user=alice, entity_id=cast.archive))
    assert [attempt.fax_id for attempt in claim(session, outgoing=2)] == [next_one.id]
    assert reread(session, behind.id).waits_for_number


def test_a_fax_behind_an_urgent_one_that_may_not_go_is_not_urgent_itself(session, cast):
    alice, charlie = session.get_one(User, cast.alice), session.get_one(User, cast.charlie)
    make_ready(session, submit(session, cast, user=charlie, entity_id=cast.beta_line, addressee_text="+390501234501"))
    claim(session)
    urgent(session, cast, "+390501234501")
    make_ready(session, submit(session, cast))
    theirs = urgent(session, cast, "+390501234502", user=alice, entity_id=cast.archive)
    assert [attempt.fax_id for attempt in claim(session, outgoing=2)] == [theirs.id]


def test_a_suspended_company_is_not_dialled_for(session, cast):
    make_ready(session, submit(session, cast))
    session.get_one(Tenant, cast.alpha).suspended_at = utc_now()
    session.commit()
    assert claim(session) == []


def test_all_pages_confirmed_is_sent_and_mailed_once(session, cast):
    attempt = dial(session, cast)
    assert record_result(session, attempt.channel_id, CallFacts("success", pages=2, mode="T38", rate=14400))
    assert not record_result(session, attempt.channel_id, CallFacts("dropped"))
    fax = reread(session, attempt.fax_id)
    assert (fax.status, fax.pages_done) == (Status.SENT, 2)
    (notice,) = session.scalars(sa.select(Notice)).all()
    assert notice.recipient == "bob@alpha.test"


def test_confirmed_pages_are_kept_and_the_next_attempt_sends_the_rest(session, cast):
    attempt = dial(session, cast, pages=3)
    record_result(session, attempt.channel_id, CallFacts("dropped", pages=1))
    fax = reread(session, attempt.fax_id)
    assert (fax.status, fax.pages_done, fax.cause) == (Status.RETRYING, 1, "dropped")
    fax.due_at = utc_now()
    session.commit()
    (second,) = claim(session)
    assert (second.n, second.first_page) == (2, 2)
    record_result(session, second.channel_id, CallFacts("success", pages=2))
    assert reread(session, fax.id).status == Status.SENT


def test_our_own_longest_call_keeps_its_pages_and_is_unknown_where_it_may_have_brought_all(session, cast):
    attempt = dial(session, cast, pages=4)
    record_result(session, attempt.channel_id, CallFacts("capped", pages=2))
    fax = reread(session, attempt.fax_id)
    assert (fax.status, fax.pages_done, fax.cause) == (Status.RETRYING, 2, "capped")
    fax.due_at = utc_now()
    session.commit()
    (second,) = claim(session)
    record_result(session, second.channel_id, CallFacts("capped", pages=1))
    fax = reread(session, fax.id)
    assert (fax.status, fax.pages_done, fax.cause) == (Status.UNKNOWN, 3, "capped_last_page")
    assert session.scalar(sa.select(sa.func.count(Notice.id))) == 1


def test_our_own_longest_call_without_a_page_is_not_tried_over_and_over(session, cast):
    attempt = dial(session, cast, pages=4)
    record_result(session, attempt.channel_id, CallFacts("capped"))
    fax = reread(session, attempt.fax_id)
    assert (fax.status, fax.cause) == (Status.FAILED, "capped")


def test_the_page_count_never_runs_over_the_document(session, cast):
    attempt = dial(session, cast, pages=2)
    record_result(session, attempt.channel_id, CallFacts("success", pages=9))
    assert reread(session, attempt.fax_id).pages_done == 2


def test_progress_is_written_while_it_is_sent_and_ignored_afterwards(session, cast):
    attempt = dial(session, cast, pages=3)
    note_answered(session, [attempt.channel_id])
    note_progress(session, {attempt.channel_id: 1}, {attempt.channel_id: True})
    fax = reread(session, attempt.fax_id)
    assert (fax.status, fax.pages_done, fax.attempts[0].ecm) == (Status.SENDING, 1, True)
    note_progress(session, {}, {attempt.channel_id: False})
    assert (reread(session, fax.id).pages_done, fax.attempts[0].ecm) == (1, False)
    record_result(session, attempt.channel_id, CallFacts("busy"))
    note_progress(session, {attempt.channel_id: 3}, {})
    assert reread(session, fax.id).pages_done == 0


def test_unknown_is_an_end_and_is_mailed(session, cast):
    attempt = dial(session, cast)
    record_result(session, attempt.channel_id, CallFacts("unknown"))
    assert reread(session, attempt.fax_id).status == Status.UNKNOWN
    assert session.scalar(sa.select(sa.func.count(Notice.id))) == 1
    assert claim(session) == []


def test_a_claim_that_asterisk_never_heard_of_is_taken_back_uncounted(session, cast):
    attempt = dial(session, cast)
    assert take_back(session, attempt.id)
    fax = reread(session, attempt.fax_id)
    assert (fax.status, fax.cause) == (Status.RETRYING, "line_down")
    assert fax.attempts == []


def test_who_comes_late_to_the_fence_places_nothing(session, cast):
    """The reconciliation took the claim back while a stalled dispatcher still held it."""
    make_ready(session, submit(session, cast))
    (claimed,) = claim(session)
    attempt_id = claimed.id
    take_back(session, attempt_id)
    assert mark_placed(session, [attempt_id], utc_now()) == []


def test_what_waits_is_cancelled_at_once_and_never_dialled(session, cast):
    fax = make_ready(session, submit(session, cast))
    assert request_cancel(session, fax, session.get_one(User, cast.bob))
    assert reread(session, fax.id).status == Status.CANCELLED
    assert claim(session) == []


def test_what_is_on_the_line_is_cancelled_when_the_line_says_so(session, cast):
    attempt = dial(session, cast)
    fax = reread(session, attempt.fax_id)
    assert request_cancel(session, fax, session.get_one(User, cast.bob))
    assert reread(session, fax.id).status == Status.DIALING
    record_result(session, attempt.channel_id, CallFacts("dropped"))
    assert reread(session, fax.id).status == Status.CANCELLED
    assert session.scalar(sa.select(sa.func.count(Notice.id))) == 0


def test_a_cancelled_fax_that_got_through_is_sent(session, cast):
    attempt = dial(session, cast)
    request_cancel(session, reread(session, attempt.fax_id), session.get_one(User, cast.bob))
    record_result(session, attempt.channel_id, CallFacts("success", pages=2))
    assert reread(session, attempt.fax_id).status == Status.SENT


def test_a_taken_back_claim_of_a_cancelled_fax_is_not_dialled_again(session, cast):
    attempt = dial(session, cast)
    request_cancel(session, reread(session, attempt.fax_id), session.get_one(User, cast.bob))
    take_back(session, attempt.id)
    assert reread(session, attempt.fax_id).status == Status.CANCELLED


def test_a_move_that_the_table_does_not_allow_changes_nothing(session, cast):
    fax = submit(session, cast)
    assert not move(session, fax.id, Status.SENT)
    assert reread(session, fax.id).status == Status.ACCEPTED


@pytest.mark.parametrize("ours", ["disk_full", "line_down"])
def test_what_ended_on_our_own_side_counts_as_no_attempt(session, cast, ours):
    attempt = dial(session, cast)
    fax, template = attempt.fax, attempt.fax.entity.template
    template.max_attempts = 1
    session.commit()
    record_result(session, attempt.channel_id, CallFacts(ours))
    assert (reread(session, fax.id).status, fax.cause) == (Status.RETRYING, ours)
    make_ready(session, fax)
    (again,) = claim(session)
    assert again.channel_id != attempt.channel_id
    record_result(session, again.channel_id, CallFacts("busy"))
    assert reread(session, fax.id).status == Status.FAILED


def at_hour(session, cast, hour: int) -> None:
    """Alpha is where it is so late."""
    zone = (hour - utc_now().hour + 12) % 24 - 12
    session.get_one(Tenant, cast.alpha).timezone = f"Etc/GMT{-zone:+d}"
    session.commit()


@pytest.mark.parametrize("outcomes", [("far_end_no_fax", "silent"), ("silent", "far_end_no_fax")])
def test_a_person_who_hangs_up_at_one_call_and_listens_at_the_other_is_called_no_third_time(session, cast, outcomes):
    at_hour(session, cast, 12)
    make_ready(session, submit(session, cast))
    ends = []
    for outcome in outcomes:
        (attempt,) = claim(session)
        record_result(session, attempt.channel_id, CallFacts(outcome))
        fax = reread(session, attempt.fax_id)
        ends.append((fax.status, fax.cause))
        fax.due_at = utc_now()
        session.commit()
    assert ends == [(Status.RETRYING, outcomes[0]), (Status.FAILED, outcomes[1])]
    assert claim(session) == []


def test_what_goes_out_leaves_places_for_those_who_call(session, cast):
    for _ in range(4):
        make_ready(session, submit(session, cast))
    assert len(claim(session, line=4, outgoing=3)) == 3
    assert claim(session, line=4, outgoing=3) == []
    assert len(claim(session, line=4)) == 1


@pytest.mark.parametrize("then", ["busy", "no_answer", "congestion"])
def test_who_answered_without_a_machine_is_called_by_day_whatever_the_next_call_meets(session, cast, then):
    at_hour(session, cast, 22)
    fax = make_ready(session, submit(session, cast))
    record_result(session, claim(session)[0].channel_id, CallFacts("busy"))
    assert reread(session, fax.id).due_at < utc_now() + timedelta(hours=1)
    for outcome in ("far_end_no_fax", then):
        make_ready(session, fax)
        record_result(session, claim(session)[0].channel_id, CallFacts(outcome))
        assert reread(session, fax.id).due_at > utc_now() + timedelta(hours=8)


def test_what_may_ring_a_person_does_not_go_at_night_though_what_it_waited_for_is_back_then(session, cast):
    faxes = {}
    for outcome in ("far_end_no_fax", "busy"):
        faxes[outcome] = make_ready(session, submit(session, cast)).id
        record_result(session, claim(session)[0].channel_id, CallFacts(outcome))

    def claimed_at(hour: int) -> list[str]:
        at_hour(session, cast, hour)
        session.execute(sa.update(Fax).where(Fax.status == Status.RETRYING).values(due_at=utc_now()))
        session.commit()
        return [attempt.fax_id for attempt in claim(session)]

    assert claimed_at(22) == [faxes["busy"]]
    fax = reread(session, faxes["far_end_no_fax"])
    assert (fax.status, fax.cause) == (Status.RETRYING, "far_end_no_fax")
    assert fax.due_at > utc_now() + timedelta(hours=8)
    assert claimed_at(12) == [fax.id]


def test_a_machine_that_took_a_page_is_called_at_night(session, cast):
    at_hour(session, cast, 22)
    fax = make_ready(session, submit(session, cast))
    for facts in (CallFacts("silent", pages=1), CallFacts("busy")):
        make_ready(session, fax)
        record_result(session, claim(session)[0].channel_id, facts)
        assert reread(session, fax.id).due_at < utc_now() + timedelta(hours=1)
