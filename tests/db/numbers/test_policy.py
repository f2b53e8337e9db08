"""The operator's dialing policy: the same numbers are refused on every way to the line, and once more before it."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.errors import Refused
from app.models import AlertIncident, Attempt, Fax, FaxEntity, Notice, Status
from app.rules.figures.alerts import watch
from app.rules.ground.days import day_bounds, day_of
from app.rules.inbox.forward import send_on
from app.rules.numbers.policy import CEILING, Policy, judge_dialled, judge_voice, policy_of, set_policy
from app.rules.numbers.routing import voice_by_dialled
from app.rules.numbers.voice import voice_of
from app.rules.operator.companies import Company, change_company
from app.rules.receiving.telephone_calls import note_call
from app.rules.sending.self_test import begin_test
from app.rules.sending.submit import resend_fax
from app.rules.setup.entities import EntityDetails, judge_entity
from app.rules.setup.numbering import lines_of
from app.services.setup.provisioning import ProvisionError, apply_provision_file
from tenants.db import new_ulid, utc_now
from tenants.models import Tenant, User
from tests.db.faxes import claim, make_document, make_ready, reread, submit
from tests.db.mails import write_mail
from tests.web.cast import make_fax, receive_fax

pytestmark = pytest.mark.usefixtures("midday")

EMERGENCY = (
    "112", "113", "115", "118", "110", "911", "999", "119", "000", "+112", "00112", "0112", "0 112", "1-1-2", "+39112",
    "0039112", "0039 112", "+39 0112", "0039 118", "00110", "+49110", "0049110", "0049 112", "+1911", "0044 999",
)  # fmt: skip
PREMIUM = (
    "899 123456", "+39899123456", "0039 899 123456", "39899123456", "892424", "144 123456", "166123456",
    "+979 123456789", "00979123456789", "+49 900 1234567", "+1 900 555 1234",
)  # fmt: skip
SATELLITE = ("+881612345678", "00881 612345678", "+870 773111632", "00870773111632", "+88213300000", "+883510000000")
FORBIDDEN = (*EMERGENCY, *PREMIUM, *SATELLITE)
#: As the dial string of a fax, whatever wrote it there.
DIALLED = ("+39112", "+49110", "+39899123456", "+979123456789", "+881612345678", "+870773111632")
CODES = {"number_emergency", "policy_premium", "policy_satellite", "voice_emergency"}

FILE = """
tenants:
  - slug: alpha
    name: Alpha Srl
    serial: KPBX40299999
    region: IT
    timezone: Europe/Rome
    fax_channels: 5
    templates: [{name: default}]
    entities:
      - {name: reception, extension: "510", template: default, shared_with_voice: true, voice_destination: "%s"}
"""


def code_of(attempt) -> str:
    with pytest.raises(Refused) as refusal:
        attempt()
    return refusal.value.code


def people(session, cast) -> tuple[User, User, Tenant]:
    return session.get_one(User, cast.alice), session.get_one(User, cast.bob), session.get_one(Tenant, cast.alpha)


def test_there_are_forty_of_them():
    assert len(set(FORBIDDEN)) >= 40


def test_the_form_refuses_them(session, cast):
    for number in FORBIDDEN:
        assert code_of(lambda number=number: submit(session, cast, addressee_text=number)) in CODES, number
        session.rollback()
    assert session.scalar(sa.select(sa.func.count(Fax.id))) == 0


def test_to_send_again_refuses_them(app, session, cast):
    fax_id = make_fax(app, cast)
    for number in FORBIDDEN:
        fax, (_alice, bob, _tenant) = session.get_one(Fax, fax_id), people(session, cast)
        fax.remote_number = number.replace(" ", "").replace("-", "")
        assert code_of(lambda: resend_fax(session, user=bob, fax=fax, submission_key=new_ulid())) in CODES, number  # noqa: B023
        session.rollback()


def test_to_send_on_what_came_refuses_them(app, session, cast):
    fax_id = receive_fax(app, cast)
    for number in FORBIDDEN:
        fax, (alice, _bob, _tenant) = session.get_one(Fax, fax_id), people(session, cast)
        where = {"entity_id": cast.frontdesk, "addressee_text": number, "send_at_text": ""}
        forwarded = lambda: send_on(session, fax=fax, user=alice, **where, submission_key=new_ulid())  # noqa: B023, E731
        assert code_of(forwarded) in CODES, number
        session.rollback()


def test_a_mail_refuses_them(judged, cast):
    for number in FORBIDDEN:
        verdict = judged(write_mail(subject=number, text="").as_bytes(), authentication="none")
        assert verdict.reason in CODES, number


def test_a_voice_destination_refuses_them_on_the_page(session, cast):
    tenant = session.get_one(Tenant, cast.alpha)
    for number in FORBIDDEN:
        details = EntityDetails("new", "599", template="1", shared_with_voice=True, voice_destination=number)
        _values, faults = judge_entity(session, tenant, details, others=lines_of(session, tenant.id))
        assert faults["voice_destination"].code in CODES, number


def test_a_provision_file_refuses_them(session, cast, tmp_path):
    for number in FORBIDDEN:
        file = tmp_path / "lines.yaml"
        file.write_text(FILE % number.replace(" ", "").replace("-", ""))
        with pytest.raises(ProvisionError) as error:
            apply_provision_file(session, file)
        assert "Fax entity reception of alpha" in str(error.value), number
    assert session.scalar(sa.select(FaxEntity).where(FaxEntity.name == "reception")) is None


def test_a_voice_call_to_them_is_not_made_even_if_the_database_says_so(session, cast):
    entity = session.get_one(FaxEntity, cast.frontdesk)
    entity.shared_with_voice = True
    for number in FORBIDDEN:
        entity.voice_destination = number.replace(" ", "").replace("-", "")
        session.flush()
        assert voice_of(session, entity) == "", number
        assert voice_by_dialled(session)["390509655637"].number == "", number


def test_an_extension_that_leads_to_one_of_them_is_refused(session, cast):
    for number in DIALLED:
        session.get_one(FaxEntity, cast.archive).number = number
        session.flush()
        assert code_of(lambda: submit(session, cast, addressee_text="502")) in CODES, number
        session.rollback()


def test_a_self_test_never_dials_the_number_of_its_line(session, cast):
    for number in DIALLED:
        alice, _bob, _tenant = people(session, cast)
        entity = session.get_one(FaxEntity, cast.archive)
        entity.number = number
        document = make_document(session, cast.alpha, cast.alice)
        test = begin_test(session, user=alice, entity=entity, document=document, submission_key=new_ulid())
        assert test.dial_string.startswith(f"{cast.alpha}*502*"), number
        session.execute(sa.update(Fax).where(Fax.id == test.id).values(status=Status.FAILED))
        session.commit()


@pytest.mark.parametrize("origin", ["web", "mail", "command", "test"])
def test_whatever_is_due_is_judged_once_more_before_it_is_dialled(session, cast, origin):
    for number in DIALLED:
        fax = make_ready(session, submit(session, cast))
        session.execute(sa.update(Fax).where(Fax.id == fax.id).values(dial_string=number, origin=origin))
        session.commit()
        assert claim(session) == [], number
        assert reread(session, fax.id).status == Status.FAILED, number
        assert reread(session, fax.id).cause in CODES, number


# ---- What the operator sets


def test_without_a_word_of_the_operator_every_country_may_be_called():
    for number in ("+390501234567", "+442071838750", "+12125551234", "+80012345678"):
        assert judge_dialled(Policy(), number) is None, number


def test_only_allowed_countries_are_called_and_those_who_share_a_code_are_told_apart():
    only = Policy(countries=("IT", "US"))
    assert judge_dialled(only, "+390501234567") is None
    assert judge_dialled(only, "+12125551234") is None
    assert judge_dialled(only, "+442071838750").values == {"country": "GB"}
    assert judge_dialled(only, "+18765550123").values == {"country": "JM"}


def test_what_the_operator_allows_is_dialled():
    assert judge_dialled(Policy(premium_allowed=True), "+39899123456") is None
    assert judge_dialled(Policy(satellite_allowed=True), "+881612345678") is None
    assert judge_dialled(Policy(premium_allowed=True, satellite_allowed=True), "+39112").code == "number_emergency"


def test_a_fax_that_was_ordered_before_the_policy_is_held_by_it(session, cast):
    fax = make_ready(session, submit(session, cast, addressee_text="+44 20 7183 8750"))
    set_policy(session, Policy(countries=("IT",)))
    session.commit()
    assert claim(session) == []
    ended = reread(session, fax.id)
    assert (ended.status, ended.cause) == (Status.FAILED, "policy_country")
    assert session.scalar(sa.select(Notice.recipient).where(Notice.fax_id == fax.id)) == "bob@alpha.test"


def test_extensions_and_usual_numbers_may_be_voice_destinations(session, cast):
    tenant = session.get_one(Tenant, cast.alpha)
    for voice in ("101", "200", "1201", "8000", "39999", "+390501112233", "0501112233", "00442071838750", "3471234567"):
        assert judge_voice(Policy(), voice, tenant) is None, voice


def test_a_number_behind_the_digit_for_an_outside_line_is_judged_as_the_number(session, cast):
    tenant = session.get_one(Tenant, cast.alpha)
    tenant.outside_prefix = "9"
    for voice, code in (("9899123456", "policy_premium"), ("9112", "voice_emergency"), ("91240", "policy_premium")):
        assert judge_voice(Policy(), voice, tenant).code == code, voice
    assert judge_voice(Policy(), "90501112233", tenant) is None


def test_a_suspended_company_receives_faxes_and_makes_no_voice_call(session, cast):
    entity = session.get_one(FaxEntity, cast.frontdesk)
    entity.shared_with_voice, entity.voice_destination = True, "101"
    session.flush()
    assert voice_of(session, entity) == "101"
    entity.tenant.suspended_at = utc_now()
    assert voice_of(session, entity) == ""
    assert voice_by_dialled(session)["390509655637"].number == ""


def test_a_provision_file_sets_policy_and_ceilings_and_leaves_what_it_does_not_name(session, cast, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("dialing: {countries: [IT, DE], satellite_allowed: true, voice_minutes: 5}\n")
    apply_provision_file(session, file)
    assert policy_of(session) == Policy(("DE", "IT"), satellite_allowed=True, voice_minutes=5)
    more = FILE.replace("    entities:", "    ceilings: {calls: 40}\n    entities:") % "101"
    file.write_text("dialing: {premium_allowed: true}\n" + more)
    apply_provision_file(session, file)
    assert policy_of(session) == Policy(("DE", "IT"), premium_allowed=True, satellite_allowed=True, voice_minutes=5)
    tenant = session.get_one(Tenant, cast.alpha)
    assert (tenant.calls_a_day, tenant.minutes_a_day) == (40, 0)


# ---- The ceiling


def set_ceiling(session, cast, **values) -> None:
    session.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(**values))
    session.commit()


def test_when_the_calls_of_a_day_are_used_up_what_waits_goes_tomorrow(session, cast):
    set_ceiling(session, cast, calls_a_day=2)
    first, second, third = (make_ready(session, submit(session, cast)) for _ in range(3))
    assert {attempt.fax_id for attempt in claim(session)} == {first.id, second.id}
    tenant, waiting = session.get_one(Tenant, cast.alpha), reread(session, third.id)
    assert (waiting.status, waiting.cause) == (Status.READY, CEILING)
    assert waiting.due_at == day_bounds(day_of(utc_now(), tenant.zone), tenant.zone)[1]
    assert code_of(lambda: submit(session, cast)) == "ceiling_today"
    session.rollback()
    tomorrow = f"{day_of(utc_now(), tenant.zone) + timedelta(days=1)}T10:00"
    assert submit(session, cast, send_at_text=tomorrow).status == Status.ACCEPTED
    assert submit(session, cast, addressee_text="502").status == Status.ACCEPTED, "it stays in the house"


def test_retries_count_as_calls_and_wait_as_well(session, cast):
    set_ceiling(session, cast, calls_a_day=1)
    fax = make_ready(session, submit(session, cast))
    claim(session)
    values = {"status": Status.RETRYING, "due_at": utc_now() - timedelta(seconds=1)}
    session.execute(sa.update(Attempt).where(Attempt.fax_id == fax.id).values(ended_at=utc_now()))
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(**values))
    session.commit()
    assert claim(session) == []
    assert reread(session, fax.id).due_at > utc_now()


def test_a_call_that_went_on_over_another_trunk_is_one_call_of_the_day(session, cast):
    set_ceiling(session, cast, calls_a_day=1)
    fax = make_ready(session, submit(session, cast))
    claim(session)
    session.execute(sa.update(Attempt).values(ended_at=utc_now(), outcome="congestion", passed_on=True))
    session.execute(sa.update(Fax).values(status=Status.RETRYING, cause="congestion", due_at=utc_now()))
    session.commit()
    assert [attempt.fax_id for attempt in claim(session)] == [fax.id]


def test_minutes_are_counted_of_calls_that_were_answered(session, cast):
    set_ceiling(session, cast, minutes_a_day=10)
    make_ready(session, submit(session, cast))
    (attempt,) = claim(session)
    attempt.answered_at = utc_now() - timedelta(minutes=11)
    session.commit()
    assert code_of(lambda: submit(session, cast)) == "ceiling_today"


def telephone(session, cast, dialled, *, minutes=0.0, ended=True, end="answered") -> None:
    began = utc_now() - timedelta(minutes=minutes)
    told = {"ended_at": utc_now().timestamp(), "seconds": minutes * 60, "end": end} if ended else {}
    call = {"channel_id": new_ulid(), "entity_id": cast.frontdesk, "caller": "", "dialled": dialled}
    note_call(session, node="asterisk", began_at=began.timestamp(), **call, **told)


@pytest.mark.parametrize("dialled", ["+390511234567", "0511234567", "00511234567"])
def test_calls_to_telephones_are_calls_of_the_day(session, cast, dialled):
    set_ceiling(session, cast, calls_a_day=2)
    telephone(session, cast, dialled, end="no_answer")
    telephone(session, cast, dialled, end="limit")  # it was not put through
    assert submit(session, cast).status == Status.ACCEPTED
    telephone(session, cast, dialled, ended=False)
    assert code_of(lambda: submit(session, cast)) == "ceiling_today"


def test_and_their_minutes_count_while_they_run(session, cast):
    set_ceiling(session, cast, minutes_a_day=10)
    telephone(session, cast, "+390511234567", minutes=6)
    assert submit(session, cast).status == Status.ACCEPTED
    telephone(session, cast, "+390511234567", minutes=5, ended=False)
    assert code_of(lambda: submit(session, cast)) == "ceiling_today"


def test_a_call_to_an_extension_of_the_telephone_system_costs_nothing(session, cast):
    set_ceiling(session, cast, calls_a_day=1)
    telephone(session, cast, "101", minutes=60)
    assert submit(session, cast).status == Status.ACCEPTED


def test_other_companies_are_not_held_by_it(session, cast):
    set_ceiling(session, cast, calls_a_day=1)
    make_ready(session, submit(session, cast))
    claim(session)
    assert session.scalar(sa.select(Tenant.calls_a_day).where(Tenant.id == cast.beta)) == 0
    charlie = session.get_one(User, cast.charlie)
    document = make_document(session, cast.beta, cast.charlie)
    sent = submit(session, cast, user=charlie, entity_id=cast.beta_line, document=document)
    assert sent.tenant_id == cast.beta


def test_the_operator_raises_the_ceiling_and_what_waits_goes_on(session, cast):
    set_ceiling(session, cast, calls_a_day=1)
    _first, second = (make_ready(session, submit(session, cast)) for _ in range(2))
    claim(session)
    tenant = session.get_one(Tenant, cast.alpha)
    company = Company.of(tenant)
    change_company(session, tenant, Company(**{**vars(company), "calls_a_day": "5"}))
    session.commit()
    assert [attempt.fax_id for attempt in claim(session)] == [second.id]


def test_operators_and_administrators_are_told_once_and_when_it_is_over(session, cast):
    set_ceiling(session, cast, calls_a_day=1)
    make_ready(session, submit(session, cast))
    claim(session)
    assert watch(session, utc_now()) == 1
    assert watch(session, utc_now()) == 0
    incident = session.scalar(sa.select(AlertIncident))
    assert (incident.kind, incident.facts["calls"]) == ("ceiling", 1)
    told = set(session.execute(sa.select(Notice.kind, Notice.recipient)).all())
    assert told == {("alert", "alice@alpha.test"), ("alert", "ops@faxroom.test")}
    watch(session, utc_now() + timedelta(days=1))
    assert session.scalar(sa.select(sa.func.count()).where(Notice.kind == "all_clear")) == 2
