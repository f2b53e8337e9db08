"""Mail2Fax boxes of the provision file: schedule, the server's name, and proof of the sender."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models import BoxSignIn, Mail2FaxBox
from app.rules.mail2fax.box_sign_in import GOOGLE_SERVICE, PROVIDERS
from app.services.setup.provisioning import ProvisionError, apply_provision_file
from tenants.models import Tenant
from tests.db.mail2fax.test_service_accounts import KEYS, SERVICE, file_of
from tests.db.setup.provisioned import applied, box_of_gamma

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
    applied(session, folder, FILE.format(more=more, tenant=tenant))
    return box_of_gamma(session)


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


def with_oauth(folder: Path, oauth: str) -> Path:
    path = folder / "provision.yaml"
    path.write_text(FILE.format(more="", tenant="").replace("password: secret", f"oauth: {{{oauth}}}"))
    return path


SERVICE_BOX = "provider: google_service, service_key: google-key.json"
OTHER_BOX = 'provider: other, token_url: "https://login.gamma.test/token", client_id: c, client_secret: s'


def test_a_service_account_is_taken_from_the_key_file_beside_the_provision_file(session, tmp_path):
    (tmp_path / "google-key.json").write_text(file_of(KEYS[0]))
    path = with_oauth(tmp_path, SERVICE_BOX)
    for _time in range(2):
        apply_provision_file(session, path)
        session.expire_all()
        row = session.scalars(sa.select(BoxSignIn)).one()
        place = PROVIDERS[GOOGLE_SERVICE].token_url
        assert (row.provider, row.client_id, row.token_url) == (GOOGLE_SERVICE, SERVICE, place), "not the file's"
        assert (row.authorize_url, row.refresh_token) == ("", None), "nobody signs in"
        assert row.client_secret.startswith("-----BEGIN PRIVATE KEY-----")


def test_who_signed_in_stays_so_when_the_file_is_applied_again(session, tmp_path):
    """The file cannot name the token: a person brought it."""
    page = "https://login.gamma.test/authorize"
    path = with_oauth(tmp_path, f'{OTHER_BOX}, authorize_url: "{page}", scope: "mail offline_access"')
    apply_provision_file(session, path)
    row = session.scalars(sa.select(BoxSignIn)).one()
    assert (row.authorize_url, row.scope, row.refresh_token) == (page, "mail offline_access", None)
    row.refresh_token, row.signed_in_as = "of a person", "fax@gamma.test"
    session.commit()
    apply_provision_file(session, path)
    session.expire_all()
    row = session.scalars(sa.select(BoxSignIn)).one()
    assert (row.refresh_token, row.signed_in_as, row.authorize_url) == ("of a person", "fax@gamma.test", page)


@pytest.mark.parametrize(
    ("oauth", "key", "told"),
    [
        (SERVICE_BOX, None, "google-key.json cannot be read: No such file"),
        (SERVICE_BOX, "no key", "oauth.service_key: "),
        (SERVICE_BOX, '{"web": {"client_id": "c"}}', "oauth.service_key: "),
        (SERVICE_BOX, "x" * 100_000, "oauth.service_key: "),
        ("provider: google_service", None, "oauth.service_key: Paste the service account's key file."),
        (f'{OTHER_BOX}, authorize_url: "javascript:alert(1)"', None, "oauth.authorize_url: "),
        (f"{OTHER_BOX}, authorise_url: x", None, "authorise_url: Extra inputs are not permitted"),
    ],
)
def test_the_command_names_what_is_wrong_with_a_sign_in_and_changes_nothing(app, session, tmp_path, oauth, key, told):
    if key:
        (tmp_path / "google-key.json").write_text(key)
    done = app.test_cli_runner().invoke(args=["provision", str(with_oauth(tmp_path, oauth))])
    assert done.exit_code == 1
    assert told in done.output
    assert "Nothing was changed" in done.output
    assert session.scalar(sa.select(Mail2FaxBox.id)) is None


def test_the_command_takes_a_service_account_and_shows_nothing_of_its_key(app, session, tmp_path):
    (tmp_path / "google-key.json").write_text(file_of(KEYS[0]))
    done = app.test_cli_runner().invoke(args=["provision", str(with_oauth(tmp_path, SERVICE_BOX))])
    assert (done.exit_code, done.output) == (0, "Applied: gamma.\n")
    assert session.scalars(sa.select(BoxSignIn.provider)).one() == GOOGLE_SERVICE


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
