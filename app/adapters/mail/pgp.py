"""PGP by gpg, each check in a home of its own that is gone afterwards, with the agent that it may have started."""

import base64
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gnupg

from app.adapters.confined.room import confined_command
from app.errors import Refused, TemporaryFailure

SECONDS = 10
#: A key with the signatures of a whole conference is smaller.
KEY_BYTES = 200_000
MOST_USER_IDS = 20
#: A long path of the home breaks secret keys: the agent's socket is in it (unix(7): 108 characters).
SHORT_FOLDER = Path("/tmp")
OPTIONS = ["--no-options", "--batch", "--no-autostart", "--no-auto-check-trustdb", "--trust-model", "always"]
#: gpg 2.4 takes a name that its key has not signed, unless it is told not to.
OPTIONS += ["--no-allow-non-selfsigned-uid"]
#: RFC 4880, section 9.1, and what came after it.
ALGORITHMS = {"1": "RSA", "16": "ElGamal", "17": "DSA", "18": "ECDH", "19": "ECDSA", "22": "EdDSA"}
#: Validity in gpg's listing (doc/DETAILS, field 2).
REVOKED, EXPIRED, UNUSABLE = "r", "e", ("i", "d", "n")


@dataclass(frozen=True)
class PublicKey:
    """``armored`` is gpg's own export: what stood around the key is not in it. ``validity`` is valid, expired,
    revoked or unusable."""

    armored: str
    fingerprint: str
    user_ids: tuple[str, ...]
    algorithm: str
    validity: str
    expires_at: datetime | None


class _Gpg(gnupg.GPG):
    """gpg itself knows no deadline."""

    def __init__(self, folder: str, environment: dict[str, str]) -> None:
        gnupg.GPG.__init__(self, gnupghome=folder, options=OPTIONS, env=environment)

    def make_args(self, args: list[str], passphrase: bool) -> list[str]:
        command = ["timeout", "--kill-after=1", str(SECONDS), *gnupg.GPG.make_args(self, args, passphrase)]
        return confined_command(command, str(self.gnupghome))


@contextmanager
def gpg_home() -> Iterator[gnupg.GPG]:
    """gpg with an empty keyring, and nothing of our environment.

    Raises:
        TemporaryFailure: ``gpg_missing``.
    """
    folder = tempfile.mkdtemp(prefix="gpg-", dir=SHORT_FOLDER if SHORT_FOLDER.is_dir() else None)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    try:
        gpg = _Gpg(folder, environment)
        gpg.encoding, gpg.decode_errors = "utf-8", "replace"
        yield gpg
    except (OSError, ValueError) as error:
        raise TemporaryFailure("gpg_missing", reason=str(error)) from error
    finally:
        with suppress(OSError, subprocess.SubprocessError):
            stop = ["gpgconf", "--homedir", folder, "--kill", "all"]
            subprocess.run(stop, env=environment, capture_output=True, timeout=SECONDS, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def key_text(content: bytes) -> bytes:
    """A key's file as gpg reads it: an editor may have put a mark before it or made UTF-16 of it."""
    for mark, charset in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if content.startswith(mark):
            return content.removeprefix(mark).decode(charset, "replace").encode()
    return content


def key_version(content: bytes) -> int | None:
    """Of the first key in it, armored or binary (RFC 9580, 4.2 and 5.5.2); None where there is none."""
    armored = _ARMOR.search(content)
    try:
        packet = base64.b64decode(b"".join(armored[1].split())) if armored else content
        new, length = packet[0] & 0x40, packet[1]
        tag = packet[0] & 0x3F if new else (packet[0] & 0x3F) >> 2
        before = (1 if length < 192 else 2 if length < 224 else 5) if new else (1, 2, 4, 0)[packet[0] & 3]
        return packet[1 + before] if packet[0] & 0x80 and tag in (_SECRET_KEY, _PUBLIC_KEY) else None
    except (IndexError, ValueError):
        return None


_ARMOR = re.compile(
    rb"-----BEGIN PGP [A-Z ]+-----\r?\n(?:[^\r\n]+:[^\r\n]*\r?\n)*\r?\n([A-Za-z0-9+/=\r\n]+?)(?:\r?\n=|-----)"
)
_SECRET_KEY, _PUBLIC_KEY = 5, 6
#: gpg reads those of RFC 4880; newer ones are of RFC 9580 (6) and of a draft that only gpg writes (5).
NEWEST_VERSION = 4


def read_public_key(content: bytes) -> PublicKey:
    """The one key in a file, armored or binary, as gpg finds it after checking its own signatures.

    Raises:
        Refused: ``key_too_large``, ``key_secret``, ``key_none``, ``key_several``, ``key_version``.
        TemporaryFailure: ``gpg_missing``.
    """
    content = key_text(content)
    if len(content) > KEY_BYTES:
        raise Refused("key_too_large", field="key", limit=KEY_BYTES // 1000)
    if b"PRIVATE KEY" in content:  # before any program has read it
        raise Refused("key_secret", field="key")
    if (version := key_version(content) or 0) > NEWEST_VERSION:
        raise Refused("key_version", field="key", version=version)
    with gpg_home() as gpg:
        found = gpg.scan_keys_mem(content)
        if any(key["type"] == "sec" for key in found):
            raise Refused("key_secret", field="key")
        if len(found) > 1:
            raise Refused("key_several", field="key", count=len(found))
        gpg.import_keys(content)
        keys = gpg.list_keys()
        if len(keys) != 1:  # without a user id that its own signature holds, gpg takes none
            raise Refused("key_none", field="key")
        return _public_key(keys[0], gpg.export_keys(keys[0]["fingerprint"]))


def _public_key(key: dict[str, Any], armored: str) -> PublicKey:
    name = ALGORITHMS.get(key["algo"], f"algorithm {key['algo']}")
    return PublicKey(
        armored=armored,
        fingerprint=key["fingerprint"],
        user_ids=tuple(_printable(text)[:200] for text in key["uids"][:MOST_USER_IDS]),
        algorithm=f"{name} {key['length']}",
        validity=_validity(key),
        expires_at=datetime.fromtimestamp(int(key["expires"]), UTC) if key["expires"] else None,
    )


def _validity(key: dict[str, Any]) -> str:
    if key["trust"] == REVOKED:
        return "revoked"
    if key["trust"] == EXPIRED:
        return "expired"
    # capital letters say what the key can do as a whole, with the subkeys that are valid
    usable = set(key["cap"]) & {"S", "E"} and "D" not in key["cap"]
    return "valid" if usable and key["trust"] not in UNUSABLE else "unusable"


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "�" for sign in text)
