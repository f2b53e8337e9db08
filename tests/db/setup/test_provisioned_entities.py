"""Fax lines of the provision file: by the rules of the pages, and yesterday's file still comes up."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models import FaxEntity, FormerNumber, Grant, Mail2FaxBox
from app.services.setup.provisioning import Provisioned, ProvisionError
from tenants.models import Tenant, User
from tests.db.setup.provisioned import applied

FILE = """
tenants:
  - slug: gamma
    name: Gamma
    serial: G1
    region: IT
    timezone: Europe/Rome
    fax_channels: 5
    users:
      - {{email: gina@gamma.test, name: Gina, password: "a long password", role: admin}}
      - {{email: gus@gamma.test, name: Gus, password: "a long password"}}
    templates: [{{name: default}}]
    mail2fax_boxes:
      - {{name: fax, email: fax@gamma.test, imap: "{imap}", username: fax, password: secret}}
    entities: {entities}
"""
DESK = '{name: desk, extension: "501", template: default'
PIN = "mail2fax: {box: fax, authentication: pin, pin: %s}"


def apply(session, folder: Path, *entities: str, imap: str = "imaps://imap.gamma.test") -> Provisioned:
    return applied(session, folder, FILE.format(imap=imap, entities=f"[{', '.join(entities)}]"))


def faults(session, folder: Path, *entities: str, imap: str = "imaps://imap.gamma.test") -> list[str]:
    with pytest.raises(ProvisionError) as error:
        apply(session, folder, *entities, imap=imap)
    return error.value.faults


def line(session, name: str = "desk") -> FaxEntity:
    return session.scalars(sa.select(FaxEntity).where(FaxEntity.name == name)).one()


@pytest.mark.parametrize(
    ("entity", "told"),
    [
        ('{name: desk, extension: "112", template: default}', "extension: 112 is an emergency number"),
        ('{name: desk, extension: "5-1", template: default}', "extension: An extension has up to 16 digits"),
        ('{name: desk, extension: "0509655637", template: default}', "extension: 0509655637 is also a public number"),
        (f"{DESK}, {PIN % 1}}}", "mail2fax.pin: A PIN has 4 to 32 letters and digits"),
        (f"{DESK}, {PIN % 'null'}}}", "mail2fax.pin: Enter the PIN"),
        (f"{DESK}, mail2fax: {{box: fax, encryption: true}}}}", "mail2fax.encryption: "),
        (f"{DESK}, limit_outbound: 1001}}", "limit_outbound: Enter a number of calls from 0 to 1000"),
        (f"{DESK}, shared_with_voice: true, voice_destination: ring}}", "voice_destination: Enter a telephone number"),
        ('{name: "de\\u0001sk", extension: "501", template: default}', "name: "),
    ],
)
def test_what_no_page_would_take_is_a_fault_with_its_place_and_nothing_is_applied(session, tmp_path, entity, told):
    (fault,) = faults(session, tmp_path, entity)
    assert fault.startswith("Fax entity ")
    assert f" of gamma, {told}" in fault
    assert session.scalar(sa.select(Tenant.id).where(Tenant.slug == "gamma")) is None


@pytest.mark.parametrize("imap", ["nonsense", "imaps://", "http://imap.gamma.test", "imaps://imap.gamma.test:99999"])
def test_a_box_without_a_mail_server_is_a_fault(session, tmp_path, imap):
    (fault,) = faults(session, tmp_path, imap=imap)
    assert fault.startswith("Mail2Fax box fax of gamma, imap: ")


def test_all_faults_are_told_at_once_and_none_twice(session, tmp_path):
    other = '{name: other, extension: "112", template: missing, send: [nobody@gamma.test]}'
    found = faults(session, tmp_path, f"{DESK}, {PIN % 1}}}", other, imap="nonsense")
    assert sorted(text.split(":")[0] for text in found) == [
        "Fax entity desk of gamma, mail2fax.pin",
        "Fax entity other of gamma",
        "Fax entity other of gamma",
        "Fax entity other of gamma, extension",
        "Mail2Fax box fax of gamma, imap",
    ]


def test_what_an_earlier_version_has_taken_is_told_and_stays_and_the_rest_is_applied(session, tmp_path):
    apply(session, tmp_path, f"{DESK}, {PIN % 4711}}}")
    desk, box = line(session), session.scalars(sa.select(Mail2FaxBox)).one()
    desk.extension, desk.pin, box.imap = "112", "1", "nonsense"  # as the file could say once
    session.commit()
    old = f'{{name: desk, extension: "112", template: default, limit_outbound: 2, {PIN % 1}}}'
    done = apply(session, tmp_path, old, imap="nonsense")
    assert [text.split(":")[0] for text in done.told] == [
        "Mail2Fax box fax of gamma, imap",
        "Fax entity desk of gamma, mail2fax.pin",
        "Fax entity desk of gamma, extension",
    ]
    desk, box = line(session), session.scalars(sa.select(Mail2FaxBox)).one()
    assert (desk.extension, desk.pin, box.imap, desk.limit_outbound) == ("112", "1", "nonsense", 2)
    found = faults(session, tmp_path, old.replace("112", "113"), imap="rubbish")
    assert [text.split(":")[0] for text in found] == [
        "Mail2Fax box fax of gamma, imap",
        "Fax entity desk of gamma, extension",
    ]


def test_what_the_file_does_not_name_stays(session, tmp_path):
    numbers = 'number: "+390509655637", limit_outbound: 2, shared_with_voice: true, voice_destination: "201"'
    apply(session, tmp_path, f"{DESK}, {numbers}, {PIN % 4711}, send: [gus@gamma.test], receive: [gina@gamma.test]}}")
    apply(session, tmp_path, f"{DESK}}}")
    desk = line(session)
    assert (desk.number, desk.limit_outbound, desk.voice_destination) == ("+390509655637", 2, "201")
    assert (desk.pin, desk.authentication, desk.box.name) == ("4711", "pin", "fax")
    assert permissions(session) == {"Gina": (False, True), "Gus": (True, False)}
    apply(session, tmp_path, f"{DESK}, receive: [gus@gamma.test]}}")
    assert permissions(session) == {"Gus": (True, True)}, "a list is the whole of who may"


def permissions(session) -> dict[str, tuple[bool, bool]]:
    query = sa.select(User.name, Grant.may_send, Grant.may_receive).join(User, User.id == Grant.user_id)
    return {name: (sends, receives) for name, sends, receives in session.execute(query)}


def test_two_lines_exchange_their_extensions_and_numbers(session, tmp_path):
    text = '{name: %s, extension: "%s", number: "+3905096556%s", template: default}'
    apply(session, tmp_path, text % ("a", 501, 37), text % ("b", 502, 38))
    apply(session, tmp_path, text % ("a", 502, 38), text % ("b", 501, 37))
    assert (line(session, "a").extension, line(session, "a").number) == ("502", "+390509655638")
    assert (line(session, "b").extension, line(session, "b").number) == ("501", "+390509655637")


def test_a_number_that_stays_is_not_remembered_as_given_up(session, tmp_path):
    for _ in range(2):
        apply(session, tmp_path, f'{DESK}, number: "+390509655637"}}')
    assert session.scalar(sa.select(sa.func.count()).select_from(FormerNumber)) == 0


def test_another_zone_has_the_figures_counted_anew_as_the_page_does(session, tmp_path):
    apply(session, tmp_path)
    gamma = session.scalars(sa.select(Tenant).where(Tenant.slug == "gamma")).one()
    gamma.counted_until, gamma.timezone = gamma.created_at, "Europe/Berlin"
    session.commit()
    apply(session, tmp_path)
    assert session.get_one(Tenant, gamma.id, populate_existing=True).counted_until is None


def test_what_is_not_in_quotes_is_read_as_it_is_written(session, tmp_path):
    apply(session, tmp_path, "{name: desk, extension: 0501, number: +390509655637, template: default}")
    assert (line(session).extension, line(session).number) == ("0501", "+390509655637")


def test_how_received_faxes_are_mailed_is_as_the_file_says_and_stays_where_it_says_nothing(session, tmp_path):
    apply(session, tmp_path, f"{DESK}, received_mail: notice}}")
    assert line(session).received_mail == "notice"
    apply(session, tmp_path, f"{DESK}}}")
    assert line(session).received_mail == "notice"
    with pytest.raises(ProvisionError, match="plain is not one of attached, encrypted, notice"):
        apply(session, tmp_path, f"{DESK}, received_mail: plain}}")
