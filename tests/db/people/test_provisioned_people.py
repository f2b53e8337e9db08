"""People of the provision file: their keys as gpg reads them, and the company's second factor."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.services.setup.provisioning import ProvisionError
from tenants.models import PgpPublicKey, Tenant, User
from tests.db.setup.provisioned import applied
from tests.unit.mail.test_pgp import Ring, ring  # noqa: F401 - the same keys

FILE = """
tenants:
  - slug: gamma
    name: Gamma
    serial: G1
    region: IT
    timezone: Europe/Rome
    {tenant}
    users:
      - {{email: gina@gamma.test, name: Gina, password: "a long password", role: admin{keys}}}
"""


def apply(session, folder: Path, *, keys: str = "", tenant: str = "language: en") -> None:
    applied(session, folder, FILE.format(keys=keys, tenant=tenant))


def fingerprints(session) -> list[str | None]:
    return list(session.scalars(sa.select(PgpPublicKey.fingerprint).order_by(PgpPublicKey.id)))


def test_keys_of_the_file_are_entered_once_and_stay_until_the_file_names_others(
    session,
    tmp_path,
    ring: Ring,  # noqa: F811
):
    first, second = ring.make("First <f@gamma.test>"), ring.make("Second <s@gamma.test>")
    for name, fingerprint in (("first.asc", first), ("second.asc", second)):
        (tmp_path / name).write_bytes(ring.public(fingerprint))
    for _ in range(2):
        apply(session, tmp_path, keys=", pgp_public_keys: [first.asc]")
        assert fingerprints(session) == [first]
    apply(session, tmp_path)
    assert fingerprints(session) == [first], "a file that names none leaves them alone"
    apply(session, tmp_path, keys=", pgp_public_keys: [second.asc]")
    assert fingerprints(session) == [second]


@pytest.mark.parametrize(
    ("content", "sentence"), [("nonsense", "key.asc: This does not contain a PGP public key"), (None, "cannot be read")]
)
def test_a_key_that_is_none_is_a_fault_and_nothing_is_applied(session, tmp_path, content, sentence):
    if content:
        (tmp_path / "key.asc").write_text(content)
    with pytest.raises(ProvisionError) as error:
        apply(session, tmp_path, keys=", pgp_public_keys: [key.asc]")
    assert sentence in str(error.value)
    assert session.scalar(sa.select(Tenant).where(Tenant.slug == "gamma")) is None


def test_a_second_factor_is_demanded_only_where_the_file_says_so(session, tmp_path):
    def required() -> bool:
        return session.scalar(sa.select(Tenant.second_factor_required).where(Tenant.slug == "gamma"))

    apply(session, tmp_path)
    assert not required()
    apply(session, tmp_path, tenant="second_factor_required: true")
    assert required()
    apply(session, tmp_path)
    assert required(), "what the file does not name stays"


def test_how_a_person_is_mailed_is_as_the_file_says_and_stays_where_it_says_nothing(session, tmp_path):
    def wishes() -> tuple[str | None, str | None]:
        (user,) = session.scalars(sa.select(User).where(User.name == "Gina"))
        return user.received_mail, user.digest_at and user.digest_at.isoformat()

    apply(session, tmp_path, keys=", received_mail: encrypted, digest_at: 18:00")
    assert wishes() == ("encrypted", "18:00:00")
    apply(session, tmp_path)
    assert wishes() == ("encrypted", "18:00:00")
    apply(session, tmp_path, keys=", received_mail: null, digest_at: null")
    assert wishes() == (None, None)
