"""Boxes without a mailbox, and companies' fax domains, of the provision file."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Mail2FaxBox
from app.services.setup.provisioning import ProvisionError
from tenants.models import Tenant
from tests.db.setup.provisioned import applied, box_of_gamma

FILE = """
tenants:
  - slug: gamma
    name: Gamma
    serial: G1
    region: IT
    timezone: Europe/Rome
    users: [{{email: scanner@gamma.test, name: Scanner, password: "correct horse battery"}}]
    {tenant}
    mail2fax_boxes:
      - {{name: door, email: fax@fax.gamma.test{more}}}
"""


def apply(session: Session, folder: Path, more: str = ", door: true", tenant: str = "") -> tuple[Mail2FaxBox, Tenant]:
    applied(session, folder, FILE.format(more=more, tenant=tenant))
    return box_of_gamma(session)


def test_a_box_at_the_door_and_a_domain_are_taken(session, tmp_path):
    box, gamma = apply(session, tmp_path, tenant="fax_domain: fax.gamma.test")
    assert (box.is_door, box.address.address, gamma.fax_domain) == (True, "fax@fax.gamma.test", "fax.gamma.test")
    assert (box.imap, box.username, box.password) == ("", "", "")


def test_its_fields_stay_until_the_file_names_others(session, tmp_path):
    values = ", door: true, programs: [scanner@gamma.test], authserv_id: mx.gamma.test"
    for more, tenant in ((values, "fax_domain: fax.gamma.test"), (", door: true", "")):
        box, gamma = apply(session, tmp_path, more, tenant)
        assert (box.programs, box.authserv_id) == ("scanner@gamma.test", "mx.gamma.test")
        assert gamma.fax_domain == "fax.gamma.test"
    box, _gamma = apply(session, tmp_path, ", door: true, programs: [], authserv_id: null")
    assert (box.programs, box.authserv_id) == ("", None)


@pytest.mark.parametrize(
    ("more", "tenant", "told"),
    [
        (", door: true, programs: [eve@evil.test]", "", "No user of your company has the address eve@evil.test"),
        (", door: true, programs: [nobody]", "", "nobody"),
        (", door: true, authserv_id: 'spf=pass'", "", "authserv_id: A server name contains letters"),
        (", door: true, username: fax", "", "a box at the door has no username"),
        (", door: true, password: secret", "", "a box at the door has no password"),
        ("", "", "a box needs imap, username and password or oauth, or door: true"),
        (", door: true", "fax_domain: 'no domain'", "fax_domain"),
    ],
)
def test_what_no_page_would_take_is_a_fault_and_nothing_is_applied(session, tmp_path, more, tenant, told):
    with pytest.raises(ProvisionError) as error:
        apply(session, tmp_path, more, tenant)
    assert told in str(error.value)
    assert session.scalar(sa.select(Mail2FaxBox.id)) is None


def test_a_mailbox_does_not_become_a_door_nor_a_door_a_mailbox(session, tmp_path):
    mailbox = ', imap: "imaps://imap.gamma.test", username: fax, password: secret'
    apply(session, tmp_path)
    with pytest.raises(ProvisionError, match="a mailbox does not become a door, nor a door a mailbox"):
        apply(session, tmp_path, mailbox)
