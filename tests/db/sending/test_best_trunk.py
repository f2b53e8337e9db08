"""The trunk that got through to a number where another one had not: the next fax to the number takes it first."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from app.models import Destination, Fax, FaxEntity, Origin
from app.rules.sending.destinations import BELIEVED, destination_of, forget_destination
from app.rules.sending.results import CallFacts, record_result
from tenants.db import utc_now
from tenants.models import Tenant
from tests.db.sending.test_failover import BROKEN, CREDENTIALS, over, trunks  # noqa: F401 - a fixture
from tests.db.sending.test_trunk import SILENCE, end, number, on_the_line, ready

WHOLE = CallFacts("success", pages=2, mode="T38", rate=14400)


def fail_and_get_through(session, cast, facts: CallFacts = WHOLE, response: str = BROKEN, cause: int = 0) -> Fax:
    """Over main it fails, over the second it ends so."""
    fax = ready(session, cast, 1)
    end(session, on_the_line(session), response, cause)
    record_result(session, on_the_line(session).channel_id, facts)
    return fax


def best(session, cast) -> int | None:
    known = destination_of(session, cast.alpha, number(1), utc_now())
    return known.trunk_id if known else None


def test_the_next_fax_takes_it_before_the_order_and_before_what_is_preferred(session, cast, trunks):  # noqa: F811
    trunks["third"].prefers = ["+39050"]
    session.get_one(FaxEntity, cast.frontdesk).trunk_id = trunks["main"].id
    trunks["second"].prefers = ["+390501"]
    fail_and_get_through(session, cast)
    assert best(session, cast) == trunks["second"].id
    ready(session, cast, 1)
    assert over(session) == "second"


def test_another_number_goes_as_before(session, cast, trunks):  # noqa: F811
    fail_and_get_through(session, cast)
    ready(session, cast, 2)
    assert over(session) == "main"


@pytest.mark.parametrize("change", [{"enabled": False}, {"channels": 0}])
def test_where_it_is_off_or_set_aside_the_order_holds(session, cast, trunks, change):  # noqa: F811
    fail_and_get_through(session, cast)
    if change == {"channels": 0}:
        ready(session, cast, 1)
        end(session, on_the_line(session), SILENCE)
    else:
        trunks["second"].enabled = False
        session.commit()
        ready(session, cast, 1)
    assert over(session) == "main"


@pytest.mark.parametrize(
    ("facts", "response", "cause"),
    [
        (replace(WHOLE, outcome="dropped", pages=1), BROKEN, 0),
        (CallFacts("busy"), BROKEN, 0),
        (WHOLE, CREDENTIALS, 0),
        (WHOLE, SILENCE, 0),
    ],
)
def test_half_a_fax_and_what_is_known_of_the_trunk_itself_say_nothing_of_the_number(
    session,
    cast,
    trunks,  # noqa: F811
    facts,
    response,
    cause,
):
    fail_and_get_through(session, cast, facts, response, cause)
    assert best(session, cast) is None


def test_the_last_one_that_got_through_is_it(session, cast, trunks):  # noqa: F811
    fail_and_get_through(session, cast)
    ready(session, cast, 1)
    end(session, on_the_line(session), BROKEN)
    assert over(session) == "main"
    (attempt,) = session.scalars(sa.select(Fax).where(Fax.status == "dialing")).one().attempts[-1:]
    record_result(session, attempt.channel_id, WHOLE)
    assert best(session, cast) == trunks["main"].id


def test_it_is_forgotten_with_the_rest_by_hand_and_in_the_end(session, cast, trunks):  # noqa: F811
    fail_and_get_through(session, cast)
    session.execute(sa.update(Destination).values(learned_at=utc_now() - BELIEVED))
    session.commit()
    ready(session, cast, 1)
    assert over(session) == "main"
    session.execute(sa.update(Destination).values(learned_at=utc_now()))
    assert forget_destination(session, session.get_one(Tenant, cast.alpha), number(1))
    assert best(session, cast) is None


def test_a_test_goes_as_the_order_has_it_and_teaches_nothing(session, cast, trunks):  # noqa: F811
    fail_and_get_through(session, cast)
    fax = ready(session, cast, 1)
    fax.origin = Origin.TEST
    session.commit()
    assert over(session) == "main"
