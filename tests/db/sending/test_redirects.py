"""A call that the other side redirects goes on only where the operator lets it, and only to what may be dialled."""

import pytest
import sqlalchemy as sa

from app.models import Attempt, Fax, FaxEntity, FaxTemplate, Status
from app.rules.numbers.policy import Policy, set_policy
from app.rules.sending.redirects import MOST_IN_A_ROW
from app.rules.sending.results import CallFacts, record_result, take_back
from app.rules.sending.retry import FOLLOWED
from app.rules.sending.trunks.writing import set_writing, writing_of
from tenants.models import Tenant
from tests.db.faxes import NUMBER, claim, dial, reread

ELSEWHERE, BETAS_LINE = "+390511234567", "+390509655700"
#: What whoever is called may write into the contact's user: premium, satellite and emergency numbers, our own lines,
#: extensions, and what an Asterisk could read as a channel or a context.
FORBIDDEN = (
    "+39899123456", "0039899123456", "+979123456789", "+881612345678", "+870773111632", "+39112", "+49110", "00112",
    "112", "1*504", "1*504*123456789", "504", "*504", BETAS_LINE, "00390509655700", "s", "faxroom-own", "+", "",
    "PJSIP/+390511234567", "Local/1*504", "+390511234567@host", "+39051123456712345678901", "+390511234567;x=1",
    "anonymous",
)  # fmt: skip


def follow(session, **more) -> None:
    set_policy(session, Policy(redirects_followed=True, **more))
    session.commit()


def redirect(session, attempt: Attempt, said: str) -> Fax:
    record_result(session, attempt.channel_id, CallFacts("redirected", redirected_to=said, hangup_cause=23))
    return reread(session, attempt.fax_id)


def attempts(session) -> list[Attempt]:
    return list(session.scalars(sa.select(Attempt).order_by(Attempt.n)))


def test_no_redirect_is_followed_unless_the_operator_lets_it(session, cast):
    fax = redirect(session, dial(session, cast), ELSEWHERE)
    assert (fax.status, fax.cause, fax.redirected_to) == (Status.FAILED, "redirected", None)
    assert claim(session) == []
    assert len(attempts(session)) == 1


def test_a_redirect_that_may_be_followed_is_an_attempt_of_ours_at_once(session, cast):
    follow(session)
    fax = redirect(session, dial(session, cast), ELSEWHERE)
    assert (fax.status, fax.cause) == (Status.RETRYING, FOLLOWED)
    (second,) = claim(session)
    assert (second.n, second.dialled) == (2, ELSEWHERE)
    assert (fax.dial_string, fax.remote_number) == (NUMBER, NUMBER), "the recipient stays who was meant"
    record_result(session, second.channel_id, CallFacts("success", pages=2))
    assert reread(session, fax.id).status == Status.SENT


def test_what_is_forbidden_to_dial_is_not_followed_either(session, cast):
    follow(session)
    session.get_one(FaxEntity, cast.beta_line).number = BETAS_LINE
    session.commit()
    for said in FORBIDDEN:
        fax = redirect(session, dial(session, cast), said)
        assert (fax.status, fax.cause) == (Status.FAILED, "redirected"), said
    assert claim(session) == []
    assert len(attempts(session)) == len(FORBIDDEN)


def test_there_are_twenty_five_of_them():
    assert len(set(FORBIDDEN)) >= 25


def test_the_country_and_the_line_s_own_rules_hold_for_it(session, cast):
    follow(session, countries=("IT",))
    assert redirect(session, dial(session, cast), "+493023125000").status == Status.FAILED
    session.execute(sa.update(FaxTemplate).values(forbidden_prefixes=["+39051"]))
    session.commit()
    assert redirect(session, dial(session, cast), ELSEWHERE).status == Status.FAILED


def test_a_number_without_a_country_is_read_by_the_trunk_s(session, cast):
    follow(session)
    assert redirect(session, dial(session, cast), "0511234567").status == Status.FAILED
    set_writing(session, writing_of(session) | {"trunk_region": "IT"})
    session.commit()
    assert redirect(session, dial(session, cast), "0511234567").redirected_to == ELSEWHERE


def test_a_ring_of_redirects_ends(session, cast):
    follow(session)
    attempt = dial(session, cast)
    for number in range(MOST_IN_A_ROW):
        assert redirect(session, attempt, f"+39051123456{number}").status == Status.RETRYING
        (attempt,) = claim(session)
    assert redirect(session, attempt, "+390511234569").cause == "redirected"
    assert len(attempts(session)) == MOST_IN_A_ROW + 1


@pytest.mark.parametrize("back_to", [NUMBER, ELSEWHERE])
def test_nobody_is_sent_back_to_where_the_call_has_been(session, cast, back_to):
    follow(session)
    redirect(session, dial(session, cast), ELSEWHERE)
    (second,) = claim(session)
    assert redirect(session, second, back_to).status == Status.FAILED


def test_to_be_redirected_costs_no_attempt_and_the_next_try_begins_at_the_fax_s_own_number(session, cast):
    follow(session)
    session.execute(sa.update(FaxTemplate).values(max_attempts=2))
    session.commit()
    fax = redirect(session, dial(session, cast), ELSEWHERE)
    (second,) = claim(session)
    record_result(session, second.channel_id, CallFacts("busy", hangup_cause=17))
    waiting = reread(session, fax.id)
    assert (waiting.status, waiting.cause, waiting.redirected_to) == (Status.RETRYING, "busy", None)
    waiting.due_at = waiting.created_at
    session.commit()
    (third,) = claim(session)
    assert third.dialled is None


def test_what_is_forbidden_meanwhile_is_forgotten_and_the_fax_s_own_number_dialled(session, cast):
    follow(session)
    redirect(session, dial(session, cast), ELSEWHERE)
    set_policy(session, Policy())
    session.commit()
    (second,) = claim(session)
    assert second.dialled is None


@pytest.mark.usefixtures("midday")
def test_it_counts_against_the_ceiling_of_the_day(session, cast):
    follow(session)
    session.get_one(Tenant, cast.alpha).calls_a_day = 1
    session.commit()
    fax = redirect(session, dial(session, cast), ELSEWHERE)
    assert claim(session) == []
    waiting = reread(session, fax.id)
    assert (waiting.cause, waiting.redirected_to) == ("ceiling", None), "tomorrow it begins at its own number"


def test_a_call_that_never_reached_asterisk_still_goes_where_it_was_sent(session, cast):
    follow(session)
    fax = redirect(session, dial(session, cast), ELSEWHERE)
    (second,) = claim(session)
    take_back(session, second.id)
    assert reread(session, fax.id).redirected_to == ELSEWHERE
