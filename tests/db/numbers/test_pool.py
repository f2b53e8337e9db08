"""A company has the numbers that the operator gave it, and no others."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.errors import Refused
from app.jobs.receiving.listen import UNALLOCATED, Listener
from app.models import FaxEntity, PoolNumber, StrayCall
from app.rules.numbers import pool
from app.rules.numbers.routing import Found, entity_for, entity_then, find_line
from app.rules.operator.erasing import begin_erasing
from app.rules.receiving import strays
from app.rules.sending.trunks.writing import set_writing, writing_of
from app.rules.setup.numbering import Line, clashes, lines_of
from app.services.receiving.line_events import Incoming
from app.services.setup.provisioning import ProvisionError, apply_provision_file
from tenants.db import utc_now
from tenants.models import Tenant, User
from tests.db.receptions import Phone
from tests.web.cast import Cast

ALPHA, FREE, OTHER = "+390509655637", "+390509655640", "+390509655641"


def company(session, tenant_id: int) -> Tenant:
    return session.get_one(Tenant, tenant_id)


def row(session, number: str) -> PoolNumber | None:
    return session.scalar(sa.select(PoolNumber).where(PoolNumber.number == number))


def code_of(attempt) -> str:
    with pytest.raises(Refused) as refusal:
        attempt()
    return refusal.value.code


def judged(session, cast: Cast, number: str) -> str | None:
    tenant = company(session, cast.alpha)
    fault = clashes(session, tenant, Line("new", "599", number), lines_of(session, tenant.id)).get("number")
    return fault.code if fault else None


def test_only_what_the_operator_gave_can_be_a_line_s_number(session, cast):
    assert judged(session, cast, FREE) == "number_none_given"
    pool.give(session, company(session, cast.alpha), [OTHER], utc_now())
    assert judged(session, cast, FREE) == "number_not_given", "there is one to choose"
    pool.give(session, company(session, cast.alpha), [FREE], utc_now())
    assert judged(session, cast, FREE) is None


def test_the_number_of_another_company_is_not_given_and_not_taken(session, cast):
    pool.give(session, company(session, cast.beta), [FREE], utc_now())
    assert judged(session, cast, FREE) == "number_none_given"
    give = lambda: pool.give(session, company(session, cast.alpha), [FREE], utc_now())  # noqa: E731
    assert code_of(give) == "number_taken_elsewhere"


def test_what_is_in_use_without_an_operator_s_word_is_kept_and_shown_for_approval(session, cast):
    (block,) = [block for block in pool.blocks(session, utc_now()) if block.first == ALPHA]
    assert (block.state, block.tenant.id, block.in_use) == ("approve", cast.alpha, 1)
    assert judged(session, cast, ALPHA) == "number_taken", "it is the company's, and a line has it"
    assert pool.approve(session, company(session, cast.beta), [ALPHA]) == 0, "not of another company"
    assert pool.approve(session, company(session, cast.alpha), [ALPHA]) == 1
    assert [block.state for block in pool.blocks(session, utc_now(), text="9655637")] == ["given"]


def test_a_number_that_a_line_has_is_not_taken_back(session, cast):
    tenant = company(session, cast.alpha)
    assert code_of(lambda: pool.take_back(session, tenant, [ALPHA], utc_now())) == "number_in_use"


def test_a_number_that_was_taken_back_rests_and_then_another_company_can_have_it(session, cast):
    alpha, beta, now = company(session, cast.alpha), company(session, cast.beta), utc_now()
    pool.give(session, alpha, [FREE], now)
    assert pool.take_back(session, alpha, [FREE], now) == 1
    (block,) = pool.blocks(session, now, text="9655640")
    assert (block.state, block.until) == ("resting", now + timedelta(days=30))
    assert code_of(lambda: pool.give(session, beta, [FREE], now)) == "number_rests"
    assert pool.remove(session, [FREE], now) == 0, "else its rest would be forgotten"
    assert pool.give(session, beta, [FREE], now + timedelta(days=31)) == 1
    assert row(session, FREE).tenant_id == cast.beta


def test_who_had_it_last_can_have_it_back_at_once(session, cast):
    alpha, now = company(session, cast.alpha), utc_now()
    pool.give(session, alpha, [FREE], now)
    pool.take_back(session, alpha, [FREE], now)
    assert pool.give(session, alpha, [FREE], now) == 1


def test_the_operator_sets_how_long_numbers_rest(session, cast):
    alpha, now = company(session, cast.alpha), utc_now()
    pool.set_rest(session, 2)
    pool.give(session, alpha, [FREE], now)
    pool.take_back(session, alpha, [FREE], now)
    assert pool.give(session, company(session, cast.beta), [FREE], now + timedelta(days=3)) == 1


def test_what_comes_for_a_number_at_rest_goes_to_nobody_and_later_faxes_are_the_next_holder_s(session, cast):
    entity, now = session.get_one(FaxEntity, cast.frontdesk), utc_now()
    entity.number = None
    session.flush()
    pool.take_back(session, company(session, cast.alpha), [ALPHA], now)
    session.flush()
    assert entity_for(session, ALPHA) is None
    assert find_line(session, "0509655637").reason == "resting"
    before = utc_now().timestamp()
    pool.give(session, company(session, cast.beta), [ALPHA], now + timedelta(days=31))
    session.get_one(FaxEntity, cast.beta_line).number = ALPHA
    session.commit()
    assert entity_for(session, ALPHA).tenant_id == cast.beta
    assert entity_then(session, ALPHA, before - 1) is None, "what came before is not for the next one"


def test_the_numbers_of_a_company_that_goes_rest(session, cast):
    beta, olga = company(session, cast.beta), session.get_one(User, cast.olga)
    beta.suspended_at = utc_now()
    session.commit()
    begin_erasing(session, beta, beta.slug, by=olga, remote_address=None)
    session.flush()
    assert row(session, "+390509655638").tenant_id is None
    give = lambda: pool.give(session, company(session, cast.alpha), ["+390509655638"], utc_now())  # noqa: E731
    assert code_of(give) == "number_rests"


@pytest.mark.parametrize(
    ("typed", "first", "last", "count"),
    [
        ("+390509655600-49", "+390509655600", "+390509655649", 50),
        ("+39 050 9655600 - 649", "+390509655600", "+390509655649", 50),
        ("+390509655600 – +390509655649", "+390509655600", "+390509655649", 50),
        ("050 9655600-49", "+390509655600", "+390509655649", 50),
        ("0039 050 9655600", "+390509655600", "+390509655600", 1),
        ("+49301234560-69", "+49301234560", "+49301234569", 10),
        ("+390509655699-700", "+390509655699", "+390509655700", 2),
    ],
)
def test_ranges_are_read_as_providers_write_them(typed, first, last, count):
    found = pool.read_entry(typed, "IT")
    assert (found[0], found[-1], len(found)) == (first, last, count)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("12", "pool_number_unreadable"),
        ("hello", "pool_number_unreadable"),
        ("+390509655649-00", "pool_range"),
        ("+390500000000-+390599999999", "pool_too_many"),
    ],
)
def test_what_is_no_number_is_named(typed, code):
    assert code_of(lambda: pool.read_numbers(typed, "IT")) == code


def test_each_row_of_a_file_is_told_what_is_wrong_with_it(session, cast):
    pool.give(session, company(session, cast.beta), [OTHER], utc_now())
    text = (
        "number;company\n+390509655650-59;alpha\nabc;alpha\n+390509655655;\n+390509655641;alpha\n"
        "+390509655670;nowhere\n050 9655680;beta\n+390509655690;\n"
    )
    rows = pool.read_csv(session, text, utc_now())
    assert [(one.line, one.problem and one.problem.code) for one in rows] == [
        (2, None),
        (3, "pool_number_unreadable"),
        (4, "pool_number_twice"),
        (5, "number_taken_elsewhere"),
        (6, "pool_company_unknown"),
        (7, None),
        (8, None),
    ]
    assert len(rows[0].numbers) == 10


def test_neighbours_of_which_the_same_holds_are_one_block(session, cast):
    pool.give(session, company(session, cast.alpha), pool.read_entry("+390586100000-99", None), utc_now())
    pool.give(session, company(session, cast.alpha), pool.read_entry("+390586100100-49", None), utc_now())
    pool.give(session, None, pool.read_entry("+390586100150-59", None), utc_now())
    there = pool.blocks(session, utc_now(), text="05861")
    found = [(block.first, block.last, block.count, block.state) for block in there]
    assert found == [
        ("+390586100000", "+390586100149", 150, "given"),
        ("+390586100150", "+390586100159", 10, "free"),
    ]


# ---- The provision file

FILE = """
tenants:
  - slug: %s
    name: Company
    serial: KPBX40299999
    region: IT
    timezone: Europe/Rome
    fax_channels: 5
    numbers: %s
    templates: [{name: default}]
    entities: [{name: reception, extension: "510", number: "%s", template: default}]
"""


def apply(session, tmp_path, slug: str, number: str, numbers: str = "[]") -> None:
    file = tmp_path / "lines.yaml"
    file.write_text(FILE % (slug, numbers, number))
    apply_provision_file(session, file)


def test_a_number_of_the_file_is_the_company_s_without_more_words(session, cast, tmp_path):
    apply(session, tmp_path, "alpha", FREE)
    found = row(session, FREE)
    assert (found.tenant_id, found.to_approve) == (cast.alpha, False)
    apply(session, tmp_path, "alpha", FREE)


def test_the_file_gives_single_numbers_and_ranges(session, cast, tmp_path):
    apply(session, tmp_path, "alpha", FREE, '["+390509655600-09", "+390509655620"]')
    assert len(pool.free_numbers(session, cast.alpha)) == 11


def test_a_number_that_another_company_uses_is_a_fault_of_the_file(session, cast, tmp_path):
    with pytest.raises(ProvisionError, match="Fax entity reception of alpha"):
        apply(session, tmp_path, "alpha", "+390509655638")
    assert row(session, "+390509655638").tenant_id == cast.beta


# ---- Calls for nobody


def test_the_national_form_is_read_by_the_rules_of_the_trunk(session, cast):
    company(session, cast.beta).region = "GB"
    session.get_one(FaxEntity, cast.beta_line).number = "+44509655637"
    session.flush()
    assert entity_for(session, "0509655637") is None, "of which company nobody can say"
    assert find_line(session, "0509655637").reason == "several"
    set_writing(session, writing_of(session) | {"trunk_region": "IT"})
    assert entity_for(session, "0509655637").id == cast.frontdesk
    set_writing(session, writing_of(session) | {"trunk_region": "GB"})
    assert entity_for(session, "0509655637").id == cast.beta_line


def note(session, called, at):
    strays.note_stray(session, Found(called, reason="nobody"), "+390511234567", at)


def test_calls_that_reach_nobody_are_counted_and_strangers_cannot_fill_the_list(session, cast, monkeypatch):
    monkeypatch.setattr(strays, "MOST_STRAYS", 5)
    now = utc_now()
    for n in range(20):
        note(session, f"+39050000{n:04}", now + timedelta(seconds=n))
    note(session, "+390500000019", now + timedelta(minutes=1))
    found = strays.strays(session)
    assert [stray.called for stray in found] == [f"+39050000{n:04}" for n in range(19, 14, -1)]
    assert [stray.calls for stray in found] == [2, 1, 1, 1, 1]


def test_a_call_for_nobody_is_told_to_the_operator(app, session, cast, phone: Phone):
    refused = []
    phone.refuse = lambda channel_id, cause: refused.append((channel_id, cause))
    Listener(phone)._send_on(Incoming("1.1", "0501112223", "+39021234567", False))
    assert refused == [("1.1", UNALLOCATED)]
    stray = session.scalar(sa.select(StrayCall))
    assert (stray.called, stray.reason, stray.calls) == ("0501112223", "nobody", 1)


def test_who_is_given_a_number_hears_nothing_of_calls_from_before(session, cast):
    alpha, beta, now = company(session, cast.alpha), company(session, cast.beta), utc_now()
    call = Found(FREE, reason="nobody", number=FREE)
    pool.give(session, alpha, [FREE], now)
    strays.note_stray(session, call, "+390511234567", now)
    pool.give(session, alpha, [FREE], now)
    assert [stray.calls for stray in strays.strays_of(session, alpha)] == [1]
    pool.take_back(session, alpha, [FREE], now)
    pool.give(session, beta, [FREE], now + timedelta(days=31))
    assert strays.strays_of(session, beta) == []
    strays.note_stray(session, call, "+390511234567", now)
    assert [stray.calls for stray in strays.strays_of(session, beta)] == [1]
