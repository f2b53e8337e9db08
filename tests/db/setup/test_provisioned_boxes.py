"""Mail2Fax boxes of the provision file: schedule, the server's name, and proof of the sender."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models import BoxSignIn, Mail2FaxBox
from app.services.setup.provisioning import ProvisionError, apply_provision_file
from tenants.models import Tenant

FILE = """
tenants:
  - slug: gamma
    name: Gamma
    serial: G1
    region: IT
    timezone: Europe/Rome
    {tenant}
    mail2fax_boxes:
      - {{name: fax, email: fax@gamma.test, imap: "imaps://imap.gamma.test", username: fax, password: secret{more}}}
"""


def apply(session, folder: Path, more: str = "", tenant: str = "") -> tuple[Mail2FaxBox, Tenant]:
    path = folder / "provision.yaml"
    path.write_text(FILE.format(more=more, tenant=tenant))
    apply_provision_file(session, path)
    gamma = session.scalars(sa.select(Tenant).where(Tenant.slug == "gamma")).one()
    return session.scalars(sa.select(Mail2FaxBox).where(Mail2FaxBox.tenant_id == gamma.id)).one(), gamma


def test_they_are_taken_and_stay_until_the_file_names_others(session, tmp_path):
    box, gamma = apply(session, tmp_path)
    assert (box.poll_seconds, box.authserv_id, gamma.mail_proof_required) == (60, None, False)
    values = ", poll_seconds: 120, authserv_id: mx.gamma.test"
    for more, tenant in ((values, "mail_proof_required: true"), ("", "")):
        box, gamma = apply(session, tmp_path, more, tenant)
        assert (box.poll_seconds, box.authserv_id, gamma.mail_proof_required) == (120, "mx.gamma.test", True)
    box, gamma = apply(session, tmp_path, ", authserv_id: null", "mail_proof_required: false")
    assert (box.authserv_id, gamma.mail_proof_required) == (None, False)


USERS = 'users: [{email: scanner@gamma.test, name: Scanner, password: "correct horse battery"}]'


def test_the_programs_that_may_send_are_taken_and_stay_until_the_file_names_others(session, tmp_path):
    for more, tenant in ((", programs: [scanner@gamma.test]", USERS), ("", "")):
        assert apply(session, tmp_path, more, tenant)[0].programs == "scanner@gamma.test"
    assert apply(session, tmp_path, ", programs: []")[0].programs == ""


SIGN_IN = 'oauth: {provider: other, token_url: "https://login.gamma.test/token", client_id: c, client_secret: s'


def test_a_file_that_is_applied_again_puts_no_spent_refresh_token_in_the_place_of_the_newest(session, tmp_path):
    path, given = tmp_path / "provision.yaml", FILE.format(more="", tenant="")
    path.write_text(given.replace("password: secret", f"{SIGN_IN}, refresh_token: first}}"))
    found = []
    for refused in (None, "token_secret_expired", "token_grant_expired"):
        apply_provision_file(session, path)
        row = session.scalars(sa.select(BoxSignIn)).one()
        row.refresh_token, row.refused = "newest", refused
        session.commit()
        apply_provision_file(session, path)
        session.expire_all()
        found.append(session.scalars(sa.select(BoxSignIn.refresh_token)).one())
    assert found == ["newest", "newest", "first"], "only what is not taken any more has to go"


def test_a_file_that_names_another_mailbox_brings_its_refresh_token(session, tmp_path):
    path, given = tmp_path / "provision.yaml", FILE.format(more="", tenant="")
    for name, token in (("fax", "first"), ("other", "of-another")):
        text = given.replace("password: secret", f"{SIGN_IN}, refresh_token: {token}}}")
        path.write_text(text.replace("username: fax", f"username: {name}"))
        apply_provision_file(session, path)
    session.expire_all()
    assert session.scalars(sa.select(BoxSignIn.refresh_token)).one() == "of-another"


@pytest.mark.parametrize(
    ("more", "tenant", "told"),
    [
        ("", "mail_proof_required: true", "gamma: These boxes do not know their mail server's name"),
        ("poll_seconds: 5", "", "poll_seconds"),
        ("programs: [scanner@gamma.test]", "", "No user of your company has the address scanner@gamma.test"),
        ("authserv_id: 'spf=pass'", "", "authserv_id: A server name contains letters"),
    ],
)
def test_what_no_page_would_take_is_a_fault_and_nothing_is_applied(session, tmp_path, more, tenant, told):
    with pytest.raises(ProvisionError) as error:
        apply(session, tmp_path, f", {more}" if more else "", tenant)
    assert told in str(error.value)
    assert session.scalar(sa.select(Mail2FaxBox.id)) is None
