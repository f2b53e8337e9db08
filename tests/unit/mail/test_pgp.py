"""Public keys, as the real gpg reads them."""

import subprocess
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.adapters.confined import room
from app.adapters.mail.pgp import KEY_BYTES, key_version, read_public_key
from app.adapters.mail.pgp_mail import box_key_fault
from app.errors import Refused
from tenants.db import utc_now


class Ring:
    """Somebody's keys."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def run(self, *arguments: str, given: bytes | None = None) -> bytes:
        command = ["gpg", "--homedir", self.folder, "--no-options", "--batch", "--yes", "--pinentry-mode", "loopback"]
        command += ["--passphrase", "", *arguments]
        return subprocess.run(command, capture_output=True, check=True, input=given).stdout

    def make(self, name: str, *, expires: str = "2y", faked: str | None = None) -> str:
        time = ["--faked-system-time", faked] if faked else []
        self.run(*time, "--quick-gen-key", name, "ed25519", "sign", expires)
        listed = self.run("--with-colons", "--list-keys", f"={name}").decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))

    def public(self, *names: str, armor: bool = True) -> bytes:
        return self.run(*(["--armor"] if armor else []), "--export", *names)

    def secret(self, name: str, *, armor: bool = True) -> bytes:
        return self.run(*(["--armor"] if armor else []), "--export-secret-keys", name)


@pytest.fixture(scope="module")
def ring() -> Iterator[Ring]:
    with tempfile.TemporaryDirectory(prefix="ring-", dir="/tmp") as folder:
        yield Ring(folder)
        subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=True)


@pytest.fixture(scope="module")
def bob(ring: Ring) -> str:
    return ring.make("Bob Über <bob@alpha.test>")


@pytest.mark.parametrize("has_namespaces", [True, False])
def test_a_key_is_read_with_fingerprint_user_ids_and_expiry(ring, bob, monkeypatch, has_namespaces):
    """In a room, and behind the fence that stands where there are none."""
    if not has_namespaces:
        monkeypatch.setattr(room, "there_are_rooms", lambda: False)
    for armor in (True, False):
        key = read_public_key(ring.public(bob, armor=armor))
        assert (key.fingerprint, key.user_ids, key.validity) == (bob, ("Bob Über <bob@alpha.test>",), "valid")
        assert abs(key.expires_at - utc_now() - timedelta(days=730)) < timedelta(days=2)
        assert key.armored.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")


def test_what_stands_around_a_key_is_not_kept(ring, bob):
    key = read_public_key(b"Hello, my key:\n" + ring.public(bob) + b"\nRegards\n")
    assert key.fingerprint == bob
    assert "Hello" not in key.armored
    assert "Regards" not in key.armored


def test_a_secret_key_is_refused_however_it_comes(ring, bob):
    public = ring.public(bob)
    for content in (
        ring.secret(bob),
        ring.secret(bob, armor=False),
        public + ring.secret(bob),
        ring.public(bob, armor=False) + ring.secret(bob, armor=False),
    ):
        with pytest.raises(Refused) as refusal:
            read_public_key(content)
        assert refusal.value.code == "key_secret"


def test_two_keys_in_one_file_are_refused(ring, bob):
    other = ring.make("Other <other@alpha.test>")
    with pytest.raises(Refused) as refusal:
        read_public_key(ring.public(bob, other))
    assert refusal.value.code == "key_several"


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\xff\xfe\x00" * 50, b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ"]
)
def test_what_is_no_key_is_refused(content):
    with pytest.raises(Refused) as refusal:
        read_public_key(content)
    assert refusal.value.code == "key_none"


def test_a_file_that_is_too_large_is_not_even_read():
    with pytest.raises(Refused) as refusal:
        read_public_key(b"a" * (KEY_BYTES + 1))
    assert refusal.value.code == "key_too_large"


def test_a_key_that_has_expired_or_was_revoked_says_so(ring):
    old = ring.make("Old <old@alpha.test>", expires="1y", faked="20200101T000000")
    assert read_public_key(ring.public(old)).validity == "expired"
    gone = ring.make("Gone <gone@alpha.test>")
    certificate = Path(ring.folder, "openpgp-revocs.d", f"{gone}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
    ring.run("--import", given=certificate.encode())
    assert read_public_key(ring.public(gone)).validity == "revoked"


def test_a_check_leaves_nothing_behind(ring, bob, monkeypatch):
    made = []

    def make_folder(**where: object) -> str:
        made.append(mkdtemp(**where))
        return made[-1]

    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", make_folder)
    read_public_key(ring.public(bob))
    (folder,) = made
    assert not Path(folder).exists()


def test_a_forged_user_id_is_not_shown(ring, bob):
    """Somebody has written another name onto Bob's key: its own signature does not hold it."""
    content = ring.public(bob, armor=False)
    name = "Bob Über <bob@alpha.test>".encode()
    forged = content.replace(name, "Bob Über <eve@alpha.test>".encode())
    assert forged != content
    with pytest.raises(Refused) as refusal:
        read_public_key(forged)
    assert refusal.value.code == "key_none"


# ---- A box's own key, opened before it is kept


def test_a_key_that_opens_what_is_encrypted_to_it_is_taken(ring):
    ring.run("--quick-gen-key", "box@alpha.test", "rsa2048", "encrypt,sign", "2y")
    assert box_key_fault(ring.secret("box@alpha.test").decode()) is None


def test_a_key_for_signatures_is_no_key_of_a_box(ring, bob):
    assert box_key_fault(ring.secret(bob).decode()) == "box_key_no_encryption"


def test_a_key_that_has_expired_opens_no_new_email(ring):
    ring.run("--faked-system-time", "20200101T000000", "--quick-gen-key", "past@alpha.test", "rsa2048", "encrypt", "1y")
    assert box_key_fault(ring.secret("past@alpha.test").decode()) == "box_key_expired"


def test_a_key_with_a_passphrase_is_told_as_such(ring):
    ring.run("--passphrase", "secret", "--quick-gen-key", "locked@alpha.test", "rsa2048", "encrypt", "2y")
    exported = ring.run("--passphrase", "secret", "--armor", "--export-secret-keys", "locked@alpha.test")
    assert box_key_fault(exported.decode()) == "box_key_passphrase"


def test_what_is_no_key_and_what_is_several_is_told(ring, bob):
    assert box_key_fault("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF\n-----END") == "box_key_unreadable"
    other = ring.make("Other <other@alpha.test>")
    both = ring.run("--armor", "--export-secret-keys", bob, other)
    assert box_key_fault(both.decode()) == "box_key_several"


@pytest.mark.parametrize(("version", "length"), [(5, b"\x0a"), (6, b"\xc0\x20"), (6, b"\xff\x00\x00\x00\x0a")])
def test_a_key_of_a_version_that_gpg_does_not_read_is_told_as_such(version: int, length: bytes):
    content = bytes([0xC6]) + length + bytes([version]) + b"\0" * 40
    assert key_version(content) == version
    with pytest.raises(Refused) as refusal:
        read_public_key(content)
    assert (refusal.value.code, refusal.value.values) == ("key_version", {"version": version})


@pytest.mark.parametrize("mark", [("\ufeff", "utf-8"), ("\ufeff", "utf-16-le"), ("\ufeff", "utf-16-be")])
def test_a_key_that_an_editor_has_saved_anew_is_read(ring, bob, mark: tuple[str, str]):
    text = mark[0] + ring.public(bob).decode()
    assert read_public_key(text.encode(mark[1])).fingerprint == bob
