"""Incoming calls: whose they are, how many at once, what becomes of them."""

import pytest
import sqlalchemy as sa

from app.models import Attempt, FaxEntity, FormerNumber, Status
from app.rules.numbers.callers import read_caller
from app.rules.numbers.routing import entity_for, entity_then
from app.rules.operator.erasing import begin_erasing
from app.rules.receiving.receiving import begin_receiving, channel_of, finish_receiving, receiving_fax
from app.rules.sending.dispatch import Limits
from app.rules.sending.results import CallFacts
from tenants.db import utc_now
from tenants.models import Tenant, User
from tests.db.faxes import claim, make_ready, reread, submit

NO_LIMIT = Limits(line=0)


def receive(session, cast, channel_id="1795383441.9", limits=NO_LIMIT):
    entity = session.get_one(FaxEntity, cast.frontdesk)
    return begin_receiving(session, entity, node="asterisk", channel_id=channel_id, caller="0501234567", limits=limits)


@pytest.mark.parametrize("called", ["+390509655637", "390509655637", "00390509655637", "0509655637"])
def test_a_public_number_leads_to_its_entity_however_the_network_writes_it(session, cast, called):
    assert entity_for(session, called).id == cast.frontdesk


NUMBER = "+390509655637"


def hand_on(session, cast, give_up):
    """Alpha gives its number up, and beta gets it; the moment between."""
    give_up(session.get_one(FaxEntity, cast.frontdesk))
    session.commit()
    between = utc_now().timestamp()
    session.get_one(FaxEntity, cast.beta_line).number = NUMBER
    session.commit()
    return between


def closed(entity):
    entity.closed_at = utc_now()


def changed(entity):
    entity.number = "+390509655000"


@pytest.mark.parametrize("give_up", [closed, changed])
@pytest.mark.parametrize("called", [NUMBER, "0509655637"])
def test_what_came_before_a_number_was_handed_on_is_not_for_its_next_holder(session, cast, give_up, called):
    between = hand_on(session, cast, give_up)
    assert entity_then(session, called, between - 100) is None
    assert entity_then(session, called, between) is None
    assert entity_then(session, called, None) is None
    assert entity_then(session, called, utc_now().timestamp()).id == cast.beta_line


def test_nor_is_it_after_the_company_was_deleted(session, cast):
    alpha = session.get_one(Tenant, cast.alpha)
    hand_on(session, cast, changed)
    alpha.suspended_at = utc_now()
    session.get_one(FaxEntity, cast.beta_line).number = None
    session.get_one(FaxEntity, cast.frontdesk).number = NUMBER
    session.commit()
    begin_erasing(session, alpha, alpha.slug, by=session.get_one(User, cast.olga), remote_address=None)
    session.commit()
    before = utc_now().timestamp()
    session.get_one(FaxEntity, cast.beta_line).number = NUMBER
    session.commit()
    assert entity_then(session, NUMBER, before) is None
    assert cast.alpha not in session.scalars(sa.select(FormerNumber.holder_id)).all()


def test_what_came_before_a_number_was_entered_is_for_who_has_it_first(session, cast):
    came = utc_now().timestamp()
    session.get_one(FaxEntity, cast.archive).number = "+390509655640"
    session.commit()
    assert entity_then(session, "+390509655640", came).id == cast.archive


def test_a_company_that_gives_a_number_to_another_of_its_lines_keeps_what_came(session, cast):
    session.get_one(FaxEntity, cast.frontdesk).number = None
    session.commit()
    came = utc_now().timestamp()
    session.get_one(FaxEntity, cast.archive).number = NUMBER
    session.commit()
    assert entity_then(session, NUMBER, came).id == cast.archive


def test_a_number_that_stays_is_held_since_it_was_given(session, cast):
    entity = session.get_one(FaxEntity, cast.frontdesk)
    since = entity.number_since
    entity.number, entity.name = NUMBER, "reception"
    session.commit()
    assert (entity.number_since, session.scalars(sa.select(FormerNumber)).all()) == (since, [])


@pytest.mark.parametrize("called", ["+390509999999", "", "501", "*501", "999*501", "+"])
def test_a_number_that_nobody_has_leads_nowhere(session, cast, called):
    assert entity_for(session, called) is None


def test_a_national_number_that_could_be_of_two_companies_is_of_none(session, cast):
    """050 9655637 read in Italy, and read in a country in which it is somebody else's."""
    abroad = session.get_one(Tenant, cast.beta)
    abroad.region = "GB"
    session.get_one(FaxEntity, cast.beta_line).number = "+44509655637"
    session.flush()
    assert entity_for(session, "0509655637") is None
    assert entity_for(session, "+390509655637").id == cast.frontdesk


def test_the_same_extension_of_two_companies_leads_to_the_right_one(session, cast):
    assert entity_for(session, f"{cast.alpha}*501").id == cast.frontdesk
    assert entity_for(session, f"{cast.beta}*501").id == cast.beta_line


@pytest.mark.parametrize("limit", ["limit_inbound", "limit_total"])
def test_a_company_takes_no_more_calls_at_once_than_its_limit(session, cast, limit):
    setattr(session.get_one(Tenant, cast.alpha), limit, 1)
    assert receive(session, cast, "1.1")
    assert receive(session, cast, "1.2") is None


def test_calls_in_and_out_share_the_total(session, cast):
    session.get_one(Tenant, cast.alpha).limit_total = 1
    receive(session, cast)
    make_ready(session, submit(session, cast))
    assert claim(session) == []


def test_a_call_that_was_taken_without_the_portal_is_entered_whatever_the_limit(session, cast):
    session.get_one(Tenant, cast.alpha).limit_inbound = 1
    receive(session, cast, "1.1")
    assert receive(session, cast, "1.2", limits=None)


def test_a_whole_fax_is_received_and_a_broken_one_incomplete(session, cast):
    for channel_id, outcome in (("1.1", "success"), ("1.2", "dropped")):
        receive(session, cast, channel_id)
        fax = receiving_fax(session, node="asterisk", channel_id=channel_id)
        assert finish_receiving(session, fax, CallFacts(outcome), pdf=None, tiff=None)
        assert not finish_receiving(session, fax, CallFacts(outcome), pdf=None, tiff=None)
        # neither brought a page: not even the one that calls itself a success is whole
        assert reread(session, fax.id).status == Status.INCOMPLETE


def test_a_channel_is_found_again_by_its_attempt(session, cast):
    receive(session, cast, "1795383441.9")
    attempt = session.scalar(sa.select(Attempt))
    assert channel_of(attempt, "asterisk") == "1795383441.9"


@pytest.mark.parametrize(
    ("caller", "read"),
    [
        ("0501234567", "+390501234567"),
        ("+493023125000", "+493023125000"),
        ("anonymous", None),
        ("", None),
        ("<script>1</script>", None),
        ("501", "501"),
        ("+39 050 1234567", "+390501234567"),
        ("00493023125000", "+493023125000"),
        ("+99", "99"),
        ("++1+2+3", None),
        ("٠٥٠١٢٣٤٥٦٧", None),
    ],
)
def test_a_caller_is_read_as_a_number_or_not_at_all(caller, read):
    assert read_caller(caller, "IT") == read


@pytest.mark.parametrize("region", ["IT", "DE", "US"])
def test_a_short_caller_is_an_extension_in_every_country(region):
    assert read_caller("60123", region) == "60123"
