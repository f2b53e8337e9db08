"""Several trunks: which one a call takes, and what goes on over the next one, at once and at no cost."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app import queues
from app.errors import Refused
from app.jobs.outbox.alert_mails import trunk_mail
from app.models import Attempt, Fax, FaxEntity, Notice, NoticeKind, Status, Trunk
from app.rules.ground.call_ends import UNREAD
from app.rules.numbers.numbers import read_addressee
from app.rules.sending import dispatch
from app.rules.sending.dispatch import mark_placed
from app.rules.sending.lifecycle import request_cancel
from app.rules.sending.results import CallFacts, note_answered, note_ringing, note_under_way, record_result, take_back
from app.rules.sending.trunks.choosing import bound_key
from app.rules.sending.trunks.test_calls import begin_trunk_test, judge_test
from app.rules.sending.trunks.trouble import troubles
from app.rules.upkeep.trunk_alerts import watch_trunks
from app.services.trunks.states import REGISTRATION_LOST, RESTART, TrunkState
from app.services.upkeep import health
from app.services.upkeep.health import check_part
from tenants.db import new_ulid, utc_now
from tenants.models import User
from tests.db.faxes import claim, make_document, make_ready, reread, submit
from tests.db.sending.test_trunk import SILENCE, end, number, on_the_line, pass_time, ready

BUSY, DECLINED, FULL = "SIP 486 Busy Here", "SIP 603 Decline", "SIP 503 Service Unavailable"
BROKEN, CREDENTIALS = "SIP 500 Server Internal Error", "SIP 401 Unauthorized"


@pytest.fixture
def trunks(session, cast) -> dict[str, Trunk]:
    """Three that lead to carriers, beside each other in this order."""
    main = session.scalar(sa.select(Trunk).where(Trunk.name == "main"))
    main.host = "192.0.2.1"
    others = [
        Trunk(name=name, position=n, host="192.0.2.1", port=5060) for n, name in enumerate(("second", "third"), start=2)
    ]
    session.add_all(others)
    session.commit()
    return {trunk.name: trunk for trunk in (main, *others)}


def name_of(session, attempt: Attempt) -> str | None:
    return session.scalar(sa.select(Trunk.name).where(Trunk.id == attempt.trunk_id))


def ways(session, fax: Fax) -> list[str | None]:
    """The trunks that it has been dialled over, in order."""
    mine = sa.select(Trunk.name).join(Attempt, Attempt.trunk_id == Trunk.id).where(Attempt.fax_id == fax.id)
    return list(session.scalars(mine.order_by(Attempt.n)))


def over(session) -> str | None:
    """What the only fax that may go is dialled over."""
    (attempt,) = claim(session)
    mark_placed(session, [attempt.id], utc_now())
    return name_of(session, attempt)


def test_the_first_trunk_in_their_order_takes_the_call(session, cast, trunks):
    trunks["second"].position = -1
    ready(session, cast, 1)
    assert over(session) == "second"


def test_one_that_is_switched_off_takes_none(session, cast, trunks):
    trunks["main"].enabled = False
    ready(session, cast, 1)
    assert over(session) == "second"


@pytest.mark.parametrize(
    ("wishes", "chosen"),
    [
        ({"second": ["+39"]}, "second"),
        ({"second": ["+39"], "third": ["+39050"]}, "third"),
        ({"second": ["+49"]}, "main"),
        ({"second": ["+3905012345678901"]}, "main"),
    ],
)
def test_those_that_the_number_prefers_come_first_the_longest_prefix_before_the_others(
    session, cast, trunks, wishes, chosen
):
    for name, prefixes in wishes.items():
        trunks[name].prefers = prefixes
    ready(session, cast, 1)
    assert over(session) == chosen


def test_the_one_that_the_fax_line_prefers_comes_before_all(session, cast, trunks):
    trunks["second"].prefers = ["+39050"]
    session.get_one(FaxEntity, cast.frontdesk).trunk_id = trunks["third"].id
    ready(session, cast, 1)
    assert over(session) == "third"


def test_where_the_preferred_one_is_set_aside_another_takes_the_call(session, cast, trunks):
    trunks["second"].prefers = ["+39"]
    first = ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)
    other = ready(session, cast, 2)
    claim(session)
    assert (ways(session, first), ways(session, other)) == (["second", "main"], ["main"])


def test_one_with_all_its_channels_in_use_is_passed_over(session, cast, trunks):
    trunks["main"].channels, trunks["second"].channels = 1, 2
    for last in range(5):
        ready(session, cast, last)
    names = [name_of(session, attempt) for attempt in claim(session)]
    assert sorted(names) == ["main", "second", "second", "third", "third"]


def test_no_more_calls_are_made_than_all_have_channels(session, cast, trunks):
    for trunk in trunks.values():
        trunk.channels = 1
    for last in range(5):
        ready(session, cast, last)
    assert len(claim(session)) == 3
    assert claim(session) == []


# ---- Our own loop


def test_no_fax_goes_over_our_own_loop_as_long_as_another_trunk_is_enabled(session, cast, trunks):
    trunks["main"].host = "127.0.0.1"
    session.get_one(FaxEntity, cast.frontdesk).trunk_id = trunks["main"].id
    ready(session, cast, 1)
    assert over(session) == "second"


def test_nor_where_the_others_are_full_or_set_aside(session, cast, trunks):
    trunks["main"].host, trunks["main"].position, trunks["third"].enabled = "127.0.0.1", 9, False
    trunks["second"].channels = 1
    session.commit()
    for last in (1, 2):
        ready(session, cast, last)
    assert over(session) == "second"
    assert claim(session) == []
    attempt = session.scalar(sa.select(Attempt))
    fax = end(session, attempt, SILENCE)
    assert (fax.status, fax.cause, claim(session)) == (Status.RETRYING, "trunk_down", [])


def test_health_does_not_count_the_loop(app, session, cast, trunks):
    trunks["main"].host, trunks["third"].enabled = "127.0.0.1", False
    ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)
    assert check_part("trunk")["error"] == "trunk_down"


def test_alone_the_loop_takes_them_all(session, cast, trunks):
    trunks["main"].host = "127.0.0.1"
    trunks["second"].enabled = trunks["third"].enabled = False
    ready(session, cast, 1)
    assert over(session) == "main"


def test_a_telephone_system_on_this_machine_is_no_loop(session, cast, trunks):
    trunks["main"].host, trunks["main"].port = "127.0.0.1", 5070
    ready(session, cast, 1)
    assert over(session) == "main"


def test_a_test_call_goes_over_the_loop_all_the_same(session, cast, trunks):
    trunks["main"].host = "127.0.0.1"
    trial(session, cast, trunks["main"])
    assert over(session) == "main"


def test_an_extension_goes_over_no_trunk(session, cast, trunks):
    make_ready(session, submit(session, cast, addressee_text="502"))
    (attempt,) = claim(session)
    assert attempt.trunk_id is None


# ---- What goes on


@pytest.mark.parametrize(
    "response",
    [SILENCE, BROKEN, "SIP 502 Bad Gateway", "SIP 504 Gateway Timeout", FULL, "SIP 404 Not Found (Q.850 34)"],
)
def test_no_answer_and_5xx_go_on_at_once(session, cast, trunks, response):
    fax = ready(session, cast, 1)
    fax = end(session, on_the_line(session), response, 34 if response == FULL else 0)
    assert (fax.status, fax.cause) == (Status.RETRYING, "next_trunk")
    assert fax.due_at <= utc_now()
    assert over(session) == "second"


@pytest.mark.parametrize("response", [CREDENTIALS, "SIP 407 Proxy Authentication Required", "SIP 402 Payment Required"])
def test_so_does_what_is_our_own_fault(session, cast, trunks, response):
    fax = ready(session, cast, 1)
    end(session, on_the_line(session), response)
    claim(session)
    assert ways(session, fax) == ["main", "second"]


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        (BUSY, 17),
        ("SIP 600 Busy Everywhere", 17),
        (DECLINED, 21),
        ("SIP 480 Temporarily Unavailable", 19),
        ("SIP 404 Not Found", 1),
        ("SIP 403 Forbidden", 21),
        ("SIP 500 Server Internal Error", 17),  # the carrier's way to say that the number is busy
        ("SIP 503 Service Unavailable", 1),
        ("SIP 100 Trying", 0),
        ("SIP 487 Request Terminated", 127),
        ("SIP 488 Not Acceptable Here", 58),
        ("SIP 480 Temporarily Unavailable (Q.850 16)", 19),  # which says nothing of the network
        ("SIP 480 Temporarily Unavailable (Q.850 31)", 19),
        ("SIP 404 Not Found (Q.850 127)", 1),
    ],
)
def test_what_is_of_the_number_goes_over_no_other(session, cast, trunks, response, cause):
    fax = ready(session, cast, 1)
    end(session, on_the_line(session), response, cause)
    assert not reread(session, fax.id).attempts[0].passed_on
    assert claim(session) == []


def test_a_403_goes_on_once_it_is_said_of_all(session, cast, trunks):
    for last in (1, 2):
        ready(session, cast, last)
        assert end(session, on_the_line(session), "SIP 403 Forbidden", 21).cause == "forbidden"
    fax = ready(session, cast, 3)
    assert end(session, on_the_line(session), "SIP 403 Forbidden", 21).cause == "next_trunk"
    claim(session)
    assert ways(session, fax) == ["main", "second"]


@pytest.mark.parametrize("response", [SILENCE, BROKEN, FULL, "SIP 408 Request Timeout", CREDENTIALS])
def test_what_has_rung_was_the_recipient(session, cast, trunks, response):
    ready(session, cast, 1)
    heard = on_the_line(session)
    note_ringing(session, [heard.channel_id])
    fax = end(session, heard, response)
    assert not fax.attempts[0].passed_on
    ready(session, cast, 2)
    told = on_the_line(session)
    assert not end(session, told, response, rang=True).attempts[0].passed_on


@pytest.mark.parametrize(("response", "cause"), [(BROKEN, 0), (FULL, 34), ("SIP 504 Gateway Timeout", 0)])
def test_so_was_perhaps_what_was_under_way_with_sound_of_the_network(session, cast, trunks, response, cause):
    ready(session, cast, 1)
    attempt = on_the_line(session)
    note_under_way(session, [attempt.channel_id])
    fax = end(session, attempt, response, cause)
    assert (fax.status, fax.cause, fax.attempts[0].passed_on) == (Status.RETRYING, "congestion", False)
    assert fax.attempts[0].response == response
    assert claim(session) == []


def test_that_it_was_under_way_is_known_from_the_result_alone(session, cast, trunks):
    """The line process was away while it was dialled."""
    ready(session, cast, 1)
    attempt = on_the_line(session)
    facts = CallFacts("congestion", response=BROKEN, rang=False, under_way=True)
    record_result(session, attempt.channel_id, facts)
    fax = reread(session, attempt.fax_id)
    assert (fax.attempts[0].passed_on, fax.attempts[0].under_way) == (False, True)


# ---- What Asterisk could not even begin


def test_a_trunk_that_asterisk_does_not_know_is_set_aside_and_the_next_takes_the_fax(session, cast, trunks):
    fax = ready(session, cast, 1)
    take_back(session, on_the_line(session).id, by_trunk=True)
    assert set(troubles(session)) == {trunks["main"].id}
    assert (reread(session, fax.id).cause, reread(session, fax.id).attempts) == ("next_trunk", [])
    assert over(session) == "second"


def test_with_one_trunk_alone_it_is_our_own_side(session, cast, trunks):
    trunks["second"].enabled = trunks["third"].enabled = False
    fax = ready(session, cast, 1)
    take_back(session, on_the_line(session).id, by_trunk=True)
    assert (reread(session, fax.id).cause, troubles(session)) == ("line_down", {})


def test_the_last_of_several_that_are_unknown_is_not_set_aside(session, cast, trunks):
    fax = ready(session, cast, 1)
    for _ in trunks:
        take_back(session, on_the_line(session).id, by_trunk=True)
    assert (reread(session, fax.id).cause, len(troubles(session))) == ("line_down", 2)


def test_asterisk_that_is_away_says_nothing_of_the_trunk(session, cast, trunks):
    fax = ready(session, cast, 1)
    take_back(session, on_the_line(session).id)
    assert (reread(session, fax.id).cause, troubles(session)) == ("line_down", {})


@pytest.mark.parametrize("outcome", ["unknown", "line_down", "dropped", "protocol_error", "trunk_down"])
def test_what_was_answered_or_ended_unseen_is_dialled_over_no_other(session, cast, trunks, outcome):
    fax = ready(session, cast, 1)
    attempt = on_the_line(session)
    if outcome != "line_down":
        note_answered(session, [attempt.channel_id])
    record_result(session, attempt.channel_id, CallFacts(outcome, response=""))
    assert not reread(session, fax.id).attempts[0].passed_on
    assert claim(session) == []


def test_a_fax_that_was_cancelled_goes_nowhere(session, cast, trunks):
    fax = ready(session, cast, 1)
    attempt = on_the_line(session)
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(cancel_requested_at=utc_now()))
    session.commit()
    assert end(session, attempt, SILENCE).status == Status.CANCELLED


def test_going_on_costs_neither_a_try_nor_a_dial(session, cast, trunks):
    fax = ready(session, cast, 1)
    fax.entity.template.max_attempts, fax.entity.template.max_dials = 1, 1
    session.commit()
    assert end(session, on_the_line(session), BROKEN).cause == "next_trunk"
    assert end(session, on_the_line(session), BROKEN).cause == "next_trunk"
    fax = end(session, on_the_line(session), BROKEN)
    assert (fax.status, fax.cause) == (Status.FAILED, "congestion")
    assert ways(session, fax) == ["main", "second", "third"]


def test_a_trunk_that_is_not_read_yet_does_not_bring_back_the_one_that_passed_on(session, cast, trunks):
    fax = ready(session, cast, 1)
    end(session, on_the_line(session), BROKEN)
    (attempt,) = claim(session)
    take_back(session, attempt.id, UNREAD)
    assert over(session) == "second"
    assert ways(session, fax) == ["main", "second"]


def test_who_has_tried_all_waits_and_begins_anew_with_the_first(session, cast, trunks):
    fax = ready(session, cast, 1)
    for _ in trunks:
        fax = end(session, on_the_line(session), BROKEN)
    assert (fax.status, fax.cause) == (Status.RETRYING, "congestion")
    assert fax.due_at > utc_now() + timedelta(minutes=4)
    pass_time(session, 10)
    for _ in trunks:
        fax = end(session, on_the_line(session), BROKEN)
    assert ways(session, fax) == ["main", "second", "third"] * 2


def test_while_all_are_set_aside_faxes_wait_and_say_why(session, cast, trunks):
    fax = ready(session, cast, 1)
    for _ in trunks:
        fax = end(session, on_the_line(session), SILENCE)
    assert (fax.status, fax.cause, len(troubles(session))) == (Status.RETRYING, "trunk_down", 3)
    other = ready(session, cast, 2)
    assert claim(session) == []
    other = reread(session, other.id)
    assert (other.status, other.cause, other.attempts) == (Status.READY, "trunk_down", [])
    assert other.due_at < utc_now() + timedelta(seconds=31)


def test_one_fax_at_a_time_finds_out_and_goes_on_over_the_next_one_if_it_has_to(session, cast, trunks):
    ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)
    claim(session)
    pass_time(session, 1)
    for last in (2, 3):
        ready(session, cast, last)
    probing, other = claim(session)
    mark_placed(session, [probing.id, other.id], utc_now())
    assert [name_of(session, probing), name_of(session, other)] == ["main", "second"]
    assert end(session, probing, SILENCE).cause == "next_trunk"
    assert over(session) == "second"


def test_a_trunk_of_the_back_is_found_out_about_too(session, cast, trunks):
    trunks["third"].prefers = ["+39"]
    ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)
    claim(session)
    trunks["third"].prefers = []
    pass_time(session, 1)
    ready(session, cast, 2)
    assert over(session) == "third"


def test_when_one_takes_calls_again_only_that_one_is_out_of_trouble(session, cast, trunks):
    ready(session, cast, 1)
    for _ in trunks:
        end(session, on_the_line(session), SILENCE)
    pass_time(session, 2)
    back = on_the_line(session)
    note_ringing(session, [back.channel_id])
    assert set(troubles(session)) == {trunk.id for trunk in trunks.values()} - {back.trunk_id}


def test_all_go_as_soon_as_the_first_one_rings(session, cast, trunks):
    for name in ("second", "third"):
        trunks[name].enabled = False
    ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)
    waiting = [ready(session, cast, last) for last in (2, 3)]
    pass_time(session, 2)
    (probing,) = claim(session)
    mark_placed(session, [probing.id], utc_now())
    assert claim(session) == []
    note_ringing(session, [probing.channel_id])
    others = {fax.id for fax in waiting} - {probing.fax_id}
    assert others <= {attempt.fax_id for attempt in claim(session)}
    assert troubles(session) == {}


def test_what_one_trunk_says_of_others_is_no_word_about_another_trunk(session, cast, trunks):
    for last in (1, 2):
        ready(session, cast, last)
        end(session, on_the_line(session), "SIP 404 Not Found", 1)
    trunks["main"].enabled = False
    ready(session, cast, 3)
    assert end(session, on_the_line(session), "SIP 404 Not Found", 1).cause == "unallocated"


def test_channels_are_learned_for_each_trunk(session, cast, trunks):
    for last in range(4):
        ready(session, cast, last)
    attempts = claim(session)
    mark_placed(session, [attempt.id for attempt in attempts], utc_now())
    note_answered(session, [attempts[0].channel_id])
    for refused in attempts[1:]:
        end(session, refused, FULL, 34)
    names = [name_of(session, attempt) for attempt in claim(session)]
    assert names == ["second"] * 3, "the first has room for one"


def test_where_no_other_has_a_channel_it_waits_for_one(session, cast, trunks):
    trunks["second"].channels = trunks["third"].channels = 1
    session.commit()
    for last in range(3):
        ready(session, cast, last)
    for trunk in (trunks["second"], trunks["third"]):
        trunk.position = -1
    attempts = claim(session)
    mark_placed(session, [attempt.id for attempt in attempts], utc_now())
    note_answered(session, [attempt.channel_id for attempt in attempts])
    ready(session, cast, 4)
    more = on_the_line(session)
    assert name_of(session, more) == "main"
    assert end(session, more, FULL, 34).cause == "trunk_full"


@pytest.fixture
def many_passed_on(session, cast, trunks) -> Fax:
    """A fax that the first trunk has passed on, and 250 like it; the second one's only channel is taken."""
    trunks["third"].enabled, trunks["second"].channels, trunks["second"].position = False, 1, -1
    session.commit()
    ready(session, cast, 1)
    assert over(session) == "second"
    trunks["second"].position = 2
    ready(session, cast, 2)
    fax = end(session, on_the_line(session), BROKEN)
    assert (fax.status, fax.cause) == (Status.RETRYING, "next_trunk")
    row, call = (
        dict(session.execute(sa.select(table).where(mine)).mappings().one())
        for table, mine in ((Fax.__table__, Fax.id == fax.id), (Attempt.__table__, Attempt.fax_id == fax.id))
    )
    del call["id"]
    ids = {new_ulid(): n for n in range(1_000, 1_250)}
    session.execute(
        sa.insert(Fax.__table__), [row | {"id": id_, "number": n, "submission_key": id_} for id_, n in ids.items()]
    )
    session.execute(sa.insert(Attempt.__table__), [call | {"fax_id": id_, "channel_id": id_} for id_ in ids])
    session.commit()
    return fax


def behind(session, first: Fax, fax: Fax) -> str:
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(due_at=first.due_at + timedelta(milliseconds=1)))
    session.commit()
    return fax.id


@pytest.fixture
def dispatches(monkeypatch) -> list[str]:
    """The jobs that a round leaves behind."""
    names: list[str] = []
    monkeypatch.setattr(queues, "enqueue_once", names.append)
    return names


@pytest.mark.parametrize("most", [0, 3], ids=["any number of places", "three places"])
def test_what_any_trunk_may_take_does_not_wait_behind_hundreds_that_one_has_passed_on(
    session, cast, many_passed_on, dispatches, most
):
    outside = behind(session, many_passed_on, ready(session, cast, 3))
    extension = make_ready(session, submit(session, cast, addressee_text="502"))
    inside = behind(session, many_passed_on, extension)
    del dispatches[:]
    assert [attempt.fax_id for attempt in claim(session, line=most)] == [outside, inside]
    assert dispatches == [], "for hundreds of which none may go, no round follows at once"


def test_a_round_follows_where_more_is_due_behind_them_than_one_looks_at(
    session, cast, many_passed_on, dispatches, monkeypatch
):
    monkeypatch.setattr(dispatch, "BATCH", 2)
    for last in (3, 4, 5):
        behind(session, many_passed_on, ready(session, cast, last))
    del dispatches[:]
    assert len(claim(session)) == 2 and dispatches == ["dispatch"]
    assert len(claim(session)) == 1


def test_a_trunk_that_is_taken_away_leaves_its_attempts(session, cast, trunks):
    fax = ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)
    session.execute(sa.delete(Trunk).where(Trunk.name == "main"))
    session.commit()
    assert over(session) == "second"
    assert len(reread(session, fax.id).attempts) == 2


def test_no_number_is_called_by_two_trunks_at_once(session, cast, trunks):
    for _ in range(2):
        make_ready(session, submit(session, cast, addressee_text=number(1)))
    assert len(claim(session)) == 1


# ---- Who is told


def mails(session) -> list[tuple[str, str]]:
    watch_trunks(session)
    kinds = (NoticeKind.TRUNK_AWAY, NoticeKind.TRUNK_BACK)
    told = session.scalars(sa.select(Notice).where(Notice.kind.in_(kinds)).order_by(Notice.id))
    return [(notice.recipient, *trunk_mail(notice)) for notice in told]


def test_operators_are_told_once_of_one_of_several_and_when_it_is_over(app, session, cast, trunks):
    ready(session, cast, 1)
    end(session, on_the_line(session), CREDENTIALS)
    assert mails(session) == mails(session)
    ((recipient, subject, text),) = mails(session)
    assert (recipient, subject) == ("ops@faxroom.test", "[Faxroom] The trunk main takes no calls")
    assert CREDENTIALS in text
    claim(session)
    pass_time(session, 2)
    ready(session, cast, 2)
    end(session, on_the_line(session), BUSY, 17)
    assert [subject for _, subject, _ in mails(session)][1:] == ["[Faxroom] The trunk main takes calls again"]


def test_of_the_only_trunk_the_alert_of_the_faxes_that_wait_says_it(session, cast):
    ready(session, cast, 1)
    end(session, on_the_line(session), CREDENTIALS)
    assert mails(session) == []


def test_health_names_the_trunk_and_fails_when_all_are_set_aside(app, session, cast, trunks):
    ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)
    assert check_part("trunk") == {"ok": True, "warning": "Other trunks work. main: trunk_down"}
    for _ in range(2):
        end(session, on_the_line(session), SILENCE)
    assert check_part("trunk")["error"] == "trunk_down (main, second, third)"


# ---- Who cancels before anything was heard


def cancel(session, cast, attempt: Attempt, response: str = SILENCE) -> Fax:
    """While it is dialled."""
    request_cancel(session, reread(session, attempt.fax_id), session.get_one(User, cast.bob))
    return end(session, attempt, response)


def test_a_call_that_a_person_cancelled_unheard_says_nothing_of_the_trunk(session, cast, trunks):
    ready(session, cast, 1)
    fax = cancel(session, cast, on_the_line(session))
    assert (fax.status, fax.cause, fax.attempts[0].outcome) == (Status.CANCELLED, "cancelled", "called_off")
    assert troubles(session) == {}
    ready(session, cast, 2)
    assert over(session) == "main"


def test_one_that_was_to_find_out_leaves_that_to_the_next(session, cast):
    ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)
    pass_time(session, 2)
    cancel(session, cast, on_the_line(session))
    assert len(troubles(session)) == 1
    ready(session, cast, 2)
    assert len(claim(session)) == 1


def test_a_refusal_that_came_before_the_cancel_is_still_the_trunks(session, cast, trunks):
    ready(session, cast, 1)
    cancel(session, cast, on_the_line(session), CREDENTIALS)
    assert len(troubles(session)) == 1


# ---- Test calls


def trial(session, cast, trunk: Trunk, last: int = 1) -> Fax:
    """By the operator of the line, ready to be dialled."""
    line = session.get_one(FaxEntity, cast.frontdesk)
    fax = begin_trunk_test(
        session,
        user=session.get_one(User, cast.olga),
        trunk_id=trunk.id,
        line=line,
        addressee=read_addressee(session, line.tenant, number(last)),
        document=make_document(session, cast.alpha, cast.olga),
        submission_key=new_ulid(),
        beside=lambda _fax: None,
    )
    return make_ready(session, fax)


def test_a_test_call_goes_over_its_own_trunk_even_where_that_is_set_aside(session, cast, trunks):
    trunks["main"].prefers = ["+39"]
    ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)  # over main
    assert over_again(session, trial(session, cast, trunks["main"], 2)) == "main"
    assert over_again(session, trial(session, cast, trunks["third"], 3)) == "third"


def over_again(session, fax: Fax) -> str | None:
    """Over which trunk this one of several goes."""
    mark_placed(session, [attempt.id for attempt in claim(session)], utc_now())
    return ways(session, fax)[-1]


@pytest.mark.parametrize("response", [SILENCE, BROKEN, CREDENTIALS, BUSY])
def test_a_test_call_that_failed_goes_over_no_other_trunk_and_is_not_made_again(session, cast, trunks, response):
    fax = trial(session, cast, trunks["main"])
    fax = end(session, on_the_line(session), response)
    assert (fax.status, ways(session, fax)) == (Status.FAILED, ["main"])


def test_a_test_call_over_a_trunk_that_was_switched_off_meanwhile_is_not_made(session, cast, trunks):
    fax = trial(session, cast, trunks["second"])
    trunks["second"].enabled = False
    session.commit()
    assert claim(session) == []
    fax = reread(session, fax.id)
    assert (fax.status, fax.cause) == (Status.FAILED, "trunk_test_off")


def test_no_test_call_begins_over_a_trunk_that_is_off(session, cast, trunks):
    trunks["second"].enabled = False
    with pytest.raises(Refused, match="trunk_test_off"):
        judge_test(session, trunk_id=trunks["second"].id, number="+390501234567", to=number(1))


def test_nobody_else_binds_a_fax_to_a_trunk(session, cast, trunks):
    key = bound_key(trunks["third"].id, new_ulid())
    make_ready(session, submit(session, cast, addressee_text=number(1), submission_key=key))
    assert over(session) == "main"


# ---- What was seen of them


def lost(*names: str) -> dict[str, TrunkState]:
    return {name: TrunkState(name, 100, matter=REGISTRATION_LOST) for name in names}


def test_a_lost_trunk_is_a_warning_as_long_as_another_works(app, session, cast, trunks, monkeypatch):
    monkeypatch.setattr(health, "faults", lambda _now: lost("third"))
    assert check_part("trunk") == {"ok": True, "warning": "Other trunks work. third: registration_lost"}
    monkeypatch.setattr(health, "faults", lambda _now: lost("main", "second", "third"))
    assert check_part("trunk")["error"] == "registration_lost (main, second, third)"


def test_a_trunk_that_asterisk_cannot_reach_before_a_restart_says_what_to_do(app, session, cast, trunks, monkeypatch):
    shut_in = TrunkState("third", 100, matter=RESTART)
    monkeypatch.setattr(health, "faults", lambda _now: {"third": shut_in})
    assert "third: trunk_restart. Restart bin/up" in check_part("trunk")["warning"]
    monkeypatch.setattr(health, "faults", lambda _now: dict.fromkeys(("main", "second", "third"), shut_in))
    assert "After trunk_restart: restart bin/up" in check_part("trunk")["advice"]


def test_a_trunk_of_which_nobody_knows_how_it_is_is_a_warning(app, session, cast, trunks, monkeypatch):
    monkeypatch.setattr(health, "faults", lambda _now: {})
    monkeypatch.setattr(health, "unseen", lambda names, _now: [name for name in names if name != "second"])
    assert check_part("trunk") == {
        "ok": True,
        "warning": "Nothing has been seen of these trunks for a minute: main, third",
    }
    monkeypatch.setattr(health, "faults", lambda _now: lost("third"))
    assert check_part("trunk")["warning"] == "Other trunks work. third: registration_lost, main: unknown"


def test_lost_and_set_aside_are_counted_together(app, session, cast, trunks, monkeypatch):
    monkeypatch.setattr(health, "faults", lambda _now: lost("main", "third"))
    ready(session, cast, 1)
    end(session, on_the_line(session), SILENCE)
    assert check_part("trunk")["warning"] == "Other trunks work. main: trunk_down, third: registration_lost"
    end(session, on_the_line(session), SILENCE)
    assert not check_part("trunk")["ok"]
