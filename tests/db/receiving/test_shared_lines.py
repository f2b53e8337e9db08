"""Lines shared with voice: what Asterisk is told of them, and what a provision file may say."""

import pytest

from app.models import FaxEntity
from app.rules.numbers.routing import entity_for, voice_by_dialled
from app.services.setup.provisioning import ProvisionError, apply_provision_file
from tenants.models import Tenant

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
      - {name: reception, extension: "510", number: "+390509655650", template: default,
         shared_with_voice: true, voice_destination: "%s"}
      - {name: later, extension: "511", number: "+390509655651", template: default}
"""


def share(session, entity_id, destination):
    entity = session.get_one(FaxEntity, entity_id)
    entity.shared_with_voice, entity.voice_destination = True, destination
    session.flush()


def test_every_form_of_a_line_is_told_with_its_voice_destination(session, cast):
    share(session, cast.frontdesk, "101")
    told = voice_by_dialled(session)
    theirs = ("101", f"{cast.alpha}-{cast.frontdesk}", 30)
    assert {told[form] for form in ("390509655637", "0509655637", f"{cast.alpha}*501")} == {theirs}
    assert told[f"{cast.beta}*501"] is None
    share(session, cast.archive, None)
    assert voice_by_dialled(session)[f"{cast.alpha}*502"].number == ""


def test_a_form_that_could_be_of_two_companies_is_of_none(session, cast):
    session.get_one(Tenant, cast.beta).region = "GB"
    session.get_one(FaxEntity, cast.beta_line).number = "+44509655637"
    share(session, cast.frontdesk, "101")
    told = voice_by_dialled(session)
    assert "0509655637" not in told
    assert told["390509655637"].number == "101"


def test_what_asterisk_is_told_leads_to_the_lines_to_which_the_portal_would_have_led(session, cast):
    share(session, cast.frontdesk, "101")
    share(session, cast.beta_line, "202")
    for form, voice in voice_by_dialled(session).items():
        entity = entity_for(session, form)
        whose = f"{entity.tenant_id}-{entity.id}"
        assert ((entity.voice_destination, whose, 30) if entity.shared_with_voice else None) == voice, form


@pytest.mark.parametrize("destination", ["101", "+390501112233"])
def test_a_provision_file_names_where_calls_go_on_to(session, tmp_path, destination):
    file = tmp_path / "lines.yaml"
    file.write_text(FILE % destination)
    apply_provision_file(session, file)
    assert voice_by_dialled(session)["390509655650"].number == destination


@pytest.mark.parametrize(
    ("destination", "fault"),
    [
        ("101@elsewhere", "voice_destination"),
        ("1,2", "voice_destination"),
        ("510", "is itself a fax line"),
        ("+390509655650", "is itself a fax line"),
        ("0509655650", "is itself a fax line"),
        ("511", "is itself a fax line"),
        ("+390509655651", "is itself a fax line"),
        ("112", "is an emergency number"),
    ],
)
def test_a_voice_destination_that_would_come_back_or_do_harm_is_refused(session, tmp_path, destination, fault):
    file = tmp_path / "lines.yaml"
    file.write_text(FILE % destination)
    with pytest.raises(ProvisionError, match=fault):
        apply_provision_file(session, file)
    assert voice_by_dialled(session) == {}


@pytest.mark.parametrize(("line", "rings"), [("fax_after: 0", 0), ("fax_after: 45", 45), ("", 30)])
def test_a_provision_file_says_when_a_telephone_is_taken_for_away(session, tmp_path, line, rings):
    file = tmp_path / "lines.yaml"
    file.write_text((FILE % "101").replace('voice_destination: "101"', f'voice_destination: "101", {line}'))
    apply_provision_file(session, file)
    assert voice_by_dialled(session)["390509655650"].rings == rings


@pytest.mark.parametrize("seconds", ["9", "91", "-1"])
def test_but_no_time_in_which_nobody_could_pick_up(session, tmp_path, seconds):
    file = tmp_path / "lines.yaml"
    file.write_text((FILE % "101").replace('"101"', f'"101", fax_after: {seconds}'))
    with pytest.raises(ProvisionError, match="fax_after: Enter 0, or a number of seconds from 10 to 90"):
        apply_provision_file(session, file)
