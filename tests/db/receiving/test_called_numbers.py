"""Every way in which a network may name the called number, over two trunks of different habits: whose fax it is.

Alpha (IT) has frontdesk, extension 501, +39 050 9655637, and beta (DE) a line with +49 30 23125000.
"""

import pytest

from app.models import CallerForm, FaxEntity, Trunk
from app.rules.numbers.callers import caller_of
from app.rules.numbers.routing import find_line, voice_by_dialled
from app.rules.sending.trunks.writing import judge_writing, set_writing, writing_of
from tenants.models import Tenant

OURS, BETAS = "frontdesk", "beta_line"
#: As Asterisk tells them: address | P-Called-Party-ID | To | History-Info | Diversion.
USUAL = [
    ("+390509655637||||", OURS),
    ("00390509655637||||", OURS),
    ("390509655637||||", OURS),
    ("0509655637||||", OURS),
    ("+39-050-9655637||||", OURS),
    ("+39.050.965.5637||||", OURS),
    ("%2B390509655637||||", OURS),
    ("+390509655637;npdi;rn=+390779||||", OURS),
    ("+390509655637;phone-context=x||||", OURS),
    ("+493023125000||||", BETAS),
    ("00493023125000||||", BETAS),
    ("493023125000||||", BETAS),
    ("03023125000||||", BETAS),
    # the address is an account or what we have registered
    ("trunk4711|<sip:+390509655637@carrier.example>|||", OURS),
    ("trunk4711|<tel:+39-050-9655637>|||", OURS),
    ("trunk4711||<sip:0509655637@carrier.example;user=phone>||", OURS),
    ("trunk4711||Rossi <sip:+390509655637@carrier.example>;tag=1||", OURS),
    ("trunk4711|||<sip:+390509655637@x>;index=1 <sip:trunk4711@x>;index=1.1|", OURS),
    ("trunk4711||||<sip:+390509655637@x>;reason=unconditional", OURS),
    ("s||<sip:00390509655637@x>||", OURS),
    ("4711||<sip:+390509655637@x>||", OURS),
    ("||<sips:+390509655637@x>||", OURS),
    ("trunk4711||<sip:+390509655637;npdi@x>||", OURS),
    ("trunk4711|<sip:+493023125000@x>|<sip:+390509655637@x>||", BETAS),
    # what the address says decides, whoever else is named
    ("+493023125000||<sip:+390509655637@x>|<sip:+390509655637@x>|<sip:+390509655637@x>", BETAS),
    ("+390509655699||<sip:+390509655637@x>||<sip:+390509655637@x>", "nobody"),
    ("0509655699|<sip:+390509655637@x>|||", "nobody"),
    ("trunk4711|<sip:+390509655699@x>|<sip:+390509655637@x>||", "nobody"),
    # nobody's
    ("501||||", "nobody"),
    ("1*501||||", "no_number"),
    ("1*501||<sip:1*501@x>||", "no_number"),
    ("frontdesk||||", "no_number"),
    ("trunk4711||<sip:trunk4711@x>||", "no_number"),
    # a header that was cut off within the number, and the address of a host
    ("trunk4711||A very long name <sip:+390509655637||", "no_number"),
    ("trunk4711|<tel:+390509655637|||", "no_number"),
    ("trunk4711||<sip:39.05.096.55637>||", "no_number"),
    ("user12345678||||", "no_number"),
    ("+||||", "no_number"),
    ("||||", "no_number"),
    ("9655637||||", "nobody"),
    ("+3905096556370||||", "nobody"),
    ("999999999999999999999999||||", "no_number"),
]
#: A company's telephone system in Pisa, which writes the called number into To and leaves the area code out.
HABITS = {"trunk_region": "IT", "trunk_area": "050", "trunk_company": "alpha", "called_first": "to"}
OF_A_TELEPHONE_SYSTEM = [
    ("trunk4711||<sip:9655637@pbx>||", OURS),
    ("trunk4711||<sip:501@pbx>||", OURS),
    ("+390509655637||<sip:501@pbx>||", OURS),
    ("+390509655600||<sip:+390509655637@pbx>||", OURS),
    ("501||||", OURS),
    ("9655637||||", OURS),
    ("0509655637||||", OURS),
    ("+493023125000||<sip:9655699@pbx>||", "nobody"),
    ("trunk4711||<sip:599@pbx>||", "nobody"),
    ("trunk4711||<sip:1*501@pbx>||", "no_number"),
    ("+493023125000||||", BETAS),
    ("03023125000||||", "nobody"),
]


@pytest.fixture(autouse=True)
def _german_beta(session, cast) -> None:
    session.get_one(Tenant, cast.beta).region = "DE"
    session.get_one(FaxEntity, cast.beta_line).number = "+493023125000"
    session.commit()


def whose(session, cast, called: str) -> str:
    found = find_line(session, called)
    if found.entity is None:
        return found.reason
    return {cast.frontdesk: OURS, cast.beta_line: BETAS}[found.entity.id]


@pytest.mark.parametrize(("called", "wanted"), USUAL)
def test_a_call_reaches_the_line_that_is_meant_and_no_other(session, cast, called, wanted):
    assert whose(session, cast, called) == wanted


@pytest.mark.parametrize(("called", "wanted"), OF_A_TELEPHONE_SYSTEM)
def test_a_telephone_system_writes_as_the_operator_has_set(session, cast, called, wanted):
    typed = writing_of(session) | HABITS
    assert judge_writing(session, typed) == {}
    set_writing(session, typed)
    assert whose(session, cast, called) == wanted


@pytest.mark.parametrize(
    ("trunk", "table"), [("main", USUAL), ("pbx", OF_A_TELEPHONE_SYSTEM)], ids=["main", "telephone system"]
)
def test_each_call_is_read_by_the_habits_of_the_trunk_that_it_came_over(session, cast, trunk, table):
    pbx = Trunk(name="pbx", host="pbx.example.org", port=5060, position=1)
    session.add(pbx)
    set_writing(session, writing_of(session, pbx) | HABITS, pbx)
    session.commit()
    for called, wanted in table:
        signs = called.split("|") + [""] * (5 - len(called.split("|")))
        assert whose(session, cast, "|".join([*signs[:5], trunk])) == wanted, called


def test_a_caller_is_read_by_the_habits_of_the_trunk_that_the_call_came_over(session, cast):
    session.add(Trunk(name="abroad", host="h", port=5060, position=1, region="IT", caller_form=CallerForm.WHOLE))
    session.commit()
    assert caller_of(session, "4930901820", "IT") == "4930901820"
    assert caller_of(session, "4930901820", "IT", "abroad") == "+4930901820"
    assert caller_of(session, "0501234567", "IT") == "+390501234567"
    assert caller_of(session, "0501234567", "IT", "abroad") == "0501234567"


def test_without_the_portal_the_same_forms_are_known(session, cast):
    set_writing(session, writing_of(session) | HABITS)
    told = voice_by_dialled(session)
    for form in ("390509655637", "0509655637", "9655637", "501"):
        assert form in told and find_line(session, f"{form}||||").entity.id == cast.frontdesk
    for form in filter(str.isdigit, told):
        assert find_line(session, f"{form}||||").entity, form


def test_an_area_that_is_a_whole_number_of_ours_leaves_no_empty_form(session, cast):
    session.get_one(FaxEntity, cast.frontdesk).number = "+3905012345"
    set_writing(session, writing_of(session) | HABITS | {"trunk_area": "05012345"})
    told = voice_by_dialled(session)
    assert "" not in told
    assert {"3905012345", "05012345"} <= told.keys()


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"trunk_area": "O5O", "trunk_region": "IT"}, "trunk_area"),
        ({"trunk_area": "050"}, "trunk_region"),
        ({"trunk_company": "nowhere"}, "trunk_company"),
        ({"called_first": "from"}, "called_first"),
        ({"caller_form": ""}, "caller_form"),
        ({"trunk_region": "XX"}, "trunk_region"),
    ],
)
def test_what_makes_no_sense_is_told_at_its_field(session, cast, typed, field):
    assert list(judge_writing(session, writing_of(session) | typed)) == [field]
