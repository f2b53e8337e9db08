"""A trunk that takes no calls is set aside: faxes wait, lose no attempt, and whoever can mend it is told."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.jobs.outbox.alert_mails import alert_mail
from app.models import Attempt, Fax, Notice, Status, Trunk, TrunkTrouble
from app.rules.figures.alerts import watch
from app.rules.ground.call_ends import judge
from app.rules.sending.dispatch import mark_placed
from app.rules.sending.results import CallFacts, note_answered, note_ringing, record_result, take_back
from app.rules.sending.trunks.trouble import troubles
from app.rules.words.sentences import story
from app.services.receiving.line_events import Unanswered
from tenants.db import new_ulid, utc_now
from tests.db.faxes import claim, make_ready, reread, submit

ALICE, OLGA = "alice@alpha.test", "ops@faxroom.test"
SILENCE, CREDENTIALS, FORBIDDEN = "", "SIP 401 Unauthorized", "SIP 403 Forbidden"


def trouble_of(session) -> TrunkTrouble | None:
    """Of the only trunk."""
    return next(iter(troubles(session).values()), None)


def number(last: int) -> str:
    return f"+3905012345{last:02}"


def ready(session, cast, last: int) -> Fax:
    return make_ready(session, submit(session, cast, addressee_text=number(last)))


def on_the_line(session) -> Attempt:
    (attempt,) = claim(session)
    mark_placed(session, [attempt.id], utc_now())
    return attempt


def end(session, attempt: Attempt, response: str, cause: int = 0, *, rang: bool = False) -> Fax:
    """As the hangup handler tells it."""
    outcome = judge(Unanswered(response, cause, rang))
    record_result(session, attempt.channel_id, CallFacts(outcome, response=response, hangup_cause=cause, rang=rang))
    return reread(session, attempt.fax_id)


def send_to(session, cast, last: int, response: str, cause: int = 0) -> Fax:
    ready(session, cast, last)
    return end(session, on_the_line(session), response, cause)


def get_through(session, cast, last: int) -> None:
    ready(session, cast, last)
    attempt = on_the_line(session)
    note_ringing(session, [attempt.channel_id])
    note_answered(session, [attempt.channel_id])
    record_result(session, attempt.channel_id, CallFacts("success", pages=2, response="SIP 200 OK"))


def pass_time(session, minutes: float) -> None:
    """What happened and what is due, so much longer ago."""
    for column in (Attempt.placed_at, Attempt.ended_at, Fax.due_at):
        table = column.class_
        rows = session.execute(sa.select(table.id, column).where(column.is_not(None))).all()
        for row_id, at in rows:
            session.execute(
                sa.update(table).where(table.id == row_id).values({column: at - timedelta(minutes=minutes)})
            )
    if trouble := trouble_of(session):
        trouble.since -= timedelta(minutes=minutes)
        trouble.probe_at -= timedelta(minutes=minutes)
    session.commit()


def told(session) -> list[tuple[str, str]]:
    watch(session, utc_now())
    return [tuple(row) for row in session.execute(sa.select(Notice.kind, Notice.recipient).order_by(Notice.id))]


@pytest.mark.parametrize(
    ("response", "outcome"),
    [(SILENCE, "trunk_down"), (CREDENTIALS, "trunk_refused"), ("SIP 402 Payment Required", "trunk_refused")],
)
def test_a_carrier_that_is_away_or_refuses_us_costs_no_attempt_and_the_fax_says_so(session, cast, response, outcome):
    fax = send_to(session, cast, 1, response)
    assert (fax.status, fax.cause, fax.attempts[0].outcome) == (Status.RETRYING, outcome, outcome)
    assert fax.attempts[0].response == (response or None)
    assert trouble_of(session).outcome == outcome
    for _ in range(9):
        pass_time(session, 10)
        fax = end(session, on_the_line(session), response)
    assert (fax.status, len(fax.attempts)) == (Status.RETRYING, 10)


def test_others_wait_meanwhile_and_one_at_a_time_finds_out(session, cast):
    send_to(session, cast, 1, SILENCE)
    others = [ready(session, cast, last) for last in (2, 3)]
    assert claim(session) == []
    waiting = [reread(session, fax.id) for fax in others]
    assert {(fax.status, fax.cause) for fax in waiting} == {(Status.READY, "trunk_down")}
    pass_time(session, 2)
    assert len(claim(session)) == 1
    assert claim(session) == []


def test_one_that_was_to_find_out_and_was_never_dialled_leaves_it_to_the_next(session, cast):
    send_to(session, cast, 1, SILENCE)
    pass_time(session, 2)
    (first,) = claim(session)
    ready(session, cast, 2)
    assert claim(session) == []
    take_back(session, first.id)
    (second,) = claim(session)
    assert second.fax_id != first.fax_id


def test_the_extensions_of_a_line_do_not_wait_for_a_channel_that_its_other_faxes_wait_for(session, cast):
    session.execute(sa.update(Trunk).values(channels=1))
    outside = [ready(session, cast, last) for last in (1, 2, 3)]
    inside = [make_ready(session, submit(session, cast, addressee_text="502")) for _ in range(2)]
    assert {attempt.fax_id for attempt in claim(session)} == {outside[0].id, *(fax.id for fax in inside)}
    assert [reread(session, fax.id).status for fax in outside[1:]] == [Status.READY, Status.READY]


def test_an_extension_does_not_wait_behind_thousands_that_wait_for_a_channel(session, cast):
    session.execute(sa.update(Trunk).values(channels=1))
    first, second = (ready(session, cast, last) for last in (1, 2))
    inside = make_ready(session, submit(session, cast, addressee_text="502"))
    row = dict(session.execute(sa.select(Fax.__table__).where(Fax.id == second.id)).mappings().one())
    many = [row | {"id": new_ulid(), "number": 1_000 + n, "submission_key": f"{n}"} for n in range(1_200)]
    session.execute(sa.insert(Fax.__table__), many)
    session.execute(sa.update(Fax).where(Fax.id == inside.id).values(due_at=row["due_at"] + timedelta(milliseconds=1)))
    session.commit()
    assert {attempt.fax_id for attempt in claim(session)} == {first.id, inside.id}


def test_an_extension_is_not_behind_the_trunk(session, cast):
    send_to(session, cast, 1, SILENCE)
    make_ready(session, submit(session, cast, addressee_text="502"))
    assert len(claim(session)) == 1


def test_when_a_call_gets_anywhere_all_go_on(session, cast):
    send_to(session, cast, 1, SILENCE)
    first = ready(session, cast, 2)
    claim(session)
    pass_time(session, 2)
    end(session, on_the_line(session), "SIP 486 Busy Here", 17)
    assert trouble_of(session) is None
    others = session.scalars(sa.select(Fax).where(Fax.status != Status.DIALING)).all()
    assert "trunk_down" not in {reread(session, fax.id).cause for fax in [*others, first]}
    assert len(claim(session)) == 1


def test_a_call_that_began_before_says_nothing_of_the_trunk_now(session, cast):
    ready(session, cast, 1)
    earlier = on_the_line(session)
    send_to(session, cast, 2, SILENCE)
    end(session, earlier, "SIP 486 Busy Here", 17)
    assert trouble_of(session) is not None


def test_a_refusal_without_a_reason_is_about_us_when_others_get_it_too(session, cast):
    faxes = [send_to(session, cast, last, FORBIDDEN, 21) for last in (1, 2, 3)]
    assert [fax.attempts[0].outcome for fax in faxes] == ["forbidden", "forbidden", "trunk_refused"]
    assert trouble_of(session).outcome == "trunk_refused"
    pass_time(session, 20)
    again = end(session, on_the_line(session), FORBIDDEN, 21)
    assert (again.status, again.cause) == (Status.RETRYING, "trunk_refused")


def test_a_refusal_of_one_number_among_others_that_get_through_is_about_that_number(session, cast):
    send_to(session, cast, 1, FORBIDDEN, 21)
    get_through(session, cast, 2)
    fax = send_to(session, cast, 3, FORBIDDEN, 21)
    pass_time(session, 7)
    assert (fax.cause, trouble_of(session)) == ("forbidden", None)


def test_a_plain_404_of_a_trunk_that_says_so_of_others_too_is_no_proof(session, cast):
    causes = [send_to(session, cast, last, "SIP 404 Not Found", 1).cause for last in (1, 2, 3)]
    assert causes == ["unallocated", "unallocated", "congestion"]


def test_a_404_that_names_its_reason_is_proof_whatever_others_get(session, cast):
    answers = [send_to(session, cast, last, "SIP 404 Not Found (Q.850 1)", 1) for last in range(1, 5)]
    assert {(fax.status, fax.cause) for fax in answers} == {(Status.FAILED, "unallocated")}
    assert trouble_of(session) is None


def test_a_403_that_names_its_reason_is_of_the_number_until_others_get_it_too(session, cast):
    first, _second, third = [send_to(session, cast, n, "SIP 403 Forbidden (Q.850 21)", 21) for n in (1, 2, 3)]
    assert (first.status, first.cause) == (Status.FAILED, "rejected")
    assert (third.status, third.cause) == (Status.RETRYING, "trunk_refused")


def test_who_asks_for_time_gets_it(session, cast):
    busy = send_to(session, cast, 1, "SIP 486 Busy Here (Retry-After 900)", 17)
    assert (busy.status, busy.cause) == (Status.RETRYING, "busy")
    assert timedelta(seconds=890) < busy.due_at - utc_now() < timedelta(seconds=900 * 1.3)
    at_once = send_to(session, cast, 2, "SIP 488 Not Acceptable Here (Retry-After 900)", 58)
    assert at_once.due_at - utc_now() > timedelta(seconds=890)


def test_a_carrier_that_has_no_room_while_calls_go_on_over_it_is_not_away(session, cast):
    for last in (1, 2):
        assert send_to(session, cast, last, "SIP 503 Service Unavailable", 34).cause == "congestion"
    ready(session, cast, 3)
    talking = on_the_line(session)
    note_answered(session, [talking.channel_id])
    assert send_to(session, cast, 4, "SIP 503 Service Unavailable", 34).cause == "trunk_full"
    record_result(session, talking.channel_id, CallFacts("unknown"))
    session.execute(sa.update(Fax).where(Fax.cause == "trunk_full").values(due_at=utc_now() + timedelta(hours=1)))
    pass_time(session, 1)
    assert send_to(session, cast, 5, "SIP 503 Service Unavailable", 34).cause == "congestion"
    assert trouble_of(session) is None


def test_a_carrier_that_has_a_way_for_nobody_is_away(session, cast):
    causes = [send_to(session, cast, last, "SIP 503 Service Unavailable", 34).cause for last in (1, 2, 3)]
    assert causes == ["congestion", "congestion", "trunk_down"]
    pass_time(session, 2)
    assert end(session, on_the_line(session), "SIP 503 Service Unavailable", 17).cause == "busy"
    assert trouble_of(session) is None


def test_what_only_one_number_meets_keeps_that_one_waiting_and_costs_it_its_attempts(session, cast):
    get_through(session, cast, 1)
    fax = send_to(session, cast, 2, "SIP 420 Bad Extension", 127)
    assert (fax.cause, trouble_of(session)) == ("trunk_refused", None)
    get_through(session, cast, 3)
    pass_time(session, 2)
    again = end(session, on_the_line(session), "SIP 420 Bad Extension", 127)
    assert (again.id, again.cause) == (fax.id, "congestion")


def test_a_fax_that_is_on_the_line_shows_that_it_is_the_other_number(session, cast):
    refused = send_to(session, cast, 1, "SIP 420 Bad Extension", 127)
    assert trouble_of(session) is not None
    pass_time(session, 1)
    session.execute(sa.update(Fax).where(Fax.id == refused.id).values(due_at=utc_now() + timedelta(minutes=1)))
    ready(session, cast, 2)
    finds_out = on_the_line(session)
    assert finds_out.fax_id != refused.id
    note_answered(session, [finds_out.channel_id])
    assert trouble_of(session) is None
    again = end(session, on_the_line(session), "SIP 420 Bad Extension", 127)
    assert (again.id, again.cause, trouble_of(session)) == (refused.id, "congestion", None)
    another = send_to(session, cast, 3, "SIP 420 Bad Extension", 127)
    assert (another.cause, trouble_of(session)) == ("trunk_refused", None)


def test_a_call_of_long_ago_does_not_show_what_the_trunk_takes_now(session, cast):
    ready(session, cast, 2)
    talks = on_the_line(session)
    note_answered(session, [talks.channel_id])
    pass_time(session, 10)
    assert send_to(session, cast, 1, "SIP 420 Bad Extension", 127).cause == "trunk_refused"
    assert trouble_of(session) is not None


def test_operators_and_administrators_are_told_once_and_when_it_is_over(session, cast):
    send_to(session, cast, 1, CREDENTIALS)
    assert told(session) == told(session) == [("alert", ALICE), ("alert", OLGA)]
    notices = session.scalars(sa.select(Notice).order_by(Notice.id)).all()
    subject, text = alert_mail(notices[0])
    assert "line to the telephone provider is down" in subject
    assert "SIP 401 Unauthorized" in text
    for notice in notices:
        notice.sent_at = utc_now()
    session.commit()
    pass_time(session, 2)
    end(session, on_the_line(session), "SIP 486 Busy Here", 17)
    assert told(session)[2:] == [("all_clear", ALICE), ("all_clear", OLGA)]


def test_companies_are_not_told_what_was_said_of_one_s_call(session, cast):
    send_to(session, cast, 1, "SIP 402 Payment Required (Q.850 21, +39050123456 is too dear)")
    told(session)
    notices = session.scalars(sa.select(Notice).order_by(Notice.id)).all()
    assert notices
    for notice in notices:
        _, text = alert_mail(notice)
        assert "SIP 402 Payment Required (Q.850 21)" in text and "dear" not in text


def test_it_is_said_in_plain_words(app, session, cast):
    fax = send_to(session, cast, 1, SILENCE)
    with app.test_request_context():
        since = "The line to the telephone provider has been down since "
        assert story(fax).startswith(since) and story(fax).endswith(". The fax goes out as soon as it is back.")
        behind = ready(session, cast, 2)
        claim(session)
        assert story(reread(session, behind.id)).startswith(since)


def test_two_that_find_out_at_once_set_it_aside_once(session, cast):
    ready(session, cast, 1)
    ready(session, cast, 2)
    first, second = claim(session)
    mark_placed(session, [first.id, second.id], utc_now())
    end(session, first, SILENCE)
    end(session, second, SILENCE)
    assert session.scalar(sa.select(sa.func.count()).select_from(TrunkTrouble)) == 1
