"""Signed and encrypted mail by gpg: what was signed, by whom, and what was in it. Each check in a home of its own.

gpg writes its findings to a file of their own, never into what it says to people: a file name in a hostile message
cannot pass for one (CVE-2018-12020).
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gnupg

from app.adapters.confined.room import confined_command
from app.adapters.mail.pgp import EXPIRED, NEWEST_VERSION, REVOKED, UNUSABLE, gpg_home, key_version
from app.errors import PermanentFailure, TemporaryFailure

#: A document of the largest size, in base64, with room.
MOST_OUTPUT = 64 * 1024 * 1024
#: Of the processor's time, for gpg and its agent: the largest mail takes one. What takes more was made to (packets that
#: unfold without end), and would take it again at each try.
PROCESSOR_SECONDS = 5
WAIT_SECONDS = 6 * PROCESSOR_SECONDS
_OPTIONS = ["--no-options", "--batch", "--yes", "--no-auto-check-trustdb", "--trust-model", "always", "--quiet"]
_OPTIONS += ["--no-allow-non-selfsigned-uid"]
_OPTIONS += ["--no-auto-key-retrieve", "--auto-key-locate", "clear", "--disable-dirmngr", "--max-output"]
_OPTIONS += [str(MOST_OUTPUT), "--pinentry-mode", "loopback", "--passphrase", ""]
#: Of RFC 4880: MD5, SHA-1, RIPE-MD/160 are not believed.
_WEAK_HASHES = {"1", "2", "3"}
_TROUBLE = {"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NO_PUBKEY", "FAILURE", "NODATA"}


@dataclass(frozen=True)
class Signature:
    """``fault`` is None for one good signature by a key that was given, else missing, several, bad, expired, revoked,
    unknown_key or weak."""

    fault: str | None
    key: str = ""
    made_at: int = 0


@dataclass(frozen=True)
class Opened:
    content: bytes
    signature: Signature


def verify(signed: bytes, signature: bytes, keys: list[str]) -> Signature:
    """A detached signature over ``signed``, byte for byte, by one of the public ``keys``.

    Raises:
        TemporaryFailure: ``gpg_missing``, ``gpg_slow``.
    """
    with gpg_home() as gpg:
        home = Path(gpg.gnupghome)
        _take(gpg, keys)
        (home / "signed").write_bytes(signed)
        (home / "signature").write_bytes(signature)
        code, status = _run(home, ["--verify", "--", str(home / "signature"), str(home / "signed")])
        return _signature(status, fine=code == 0)


def open_message(message: bytes, keys: list[str], private_key: str | None) -> Opened:
    """Decrypt, or take out of its clear signature. ``private_key`` None: nothing may be encrypted.

    Raises:
        PermanentFailure: ``mail_not_decrypted`` (another key's, or tampered with): nothing of it is given.
        TemporaryFailure: ``gpg_missing``, ``gpg_slow``.
    """
    with gpg_home() as gpg:
        home = Path(gpg.gnupghome)
        _take(gpg, keys)
        if private_key:
            _import_private(home, private_key)
        (home / "message").write_bytes(message)
        code, status = _run(home, ["--output", str(home / "content"), "--decrypt", "--", str(home / "message")])
        words = [line[0] for line in status]
        if code < 0 or (private_key and not _was_encrypted(words)) or (not private_key and "BEGIN_DECRYPTION" in words):
            raise PermanentFailure("mail_not_decrypted")
        if words.count("PLAINTEXT") != 1 or not (home / "content").is_file():
            raise PermanentFailure("mail_not_decrypted")
        if (home / "content").stat().st_size >= MOST_OUTPUT:  # cut there
            raise PermanentFailure("mail_not_decrypted")
        return Opened((home / "content").read_bytes(), _signature(status, fine=code == 0))


def box_key_fault(private_key: str) -> str | None:
    """Why nothing that is encrypted to this key could be read here: the code of a sentence. None: something was.

    Raises:
        TemporaryFailure: ``gpg_missing``, ``gpg_slow``.
    """
    if (key_version(private_key.encode()) or 0) > NEWEST_VERSION:
        return "box_key_version"
    with gpg_home() as gpg:
        home = Path(gpg.gnupghome)
        _import_private(home, private_key)
        keys = gpg.list_keys()
        if len(keys) != 1:
            return "box_key_several" if keys else "box_key_unreadable"
        if keys[0]["trust"] == EXPIRED:
            return "box_key_expired"
        if keys[0]["trust"] == REVOKED or "E" not in keys[0]["cap"]:
            return "box_key_no_encryption"
        (home / "plain").write_text("a trial")
        for_it = ["--recipient", keys[0]["fingerprint"], "--output", str(home / "sealed")]
        _run(home, [*for_it, "--encrypt", "--", str(home / "plain")])
        code, _ = _run(home, ["--output", str(home / "opened"), "--decrypt", "--", str(home / "sealed")])
        return None if code == 0 else "box_key_passphrase"


def encrypt_to(content: bytes, keys: list[str]) -> bytes:
    """``content`` as one armored message that each of the public ``keys`` opens, as far as gpg encrypts to them today.

    Raises:
        PermanentFailure: ``mail_key_unusable``: it encrypts to none of them.
        TemporaryFailure: ``gpg_missing``, ``gpg_slow``, ``gpg_failed``.
    """
    with gpg_home() as gpg:
        home = Path(gpg.gnupghome)
        _take(gpg, keys)
        found = [key["fingerprint"] for key in gpg.list_keys() if _takes_encryption(key)]
        if not found:
            raise PermanentFailure("mail_key_unusable")
        (home / "content").write_bytes(content)
        recipients = [word for fingerprint in found for word in ("--recipient", fingerprint)]
        words = ["--armor", *recipients, "--output", str(home / "message"), "--encrypt", "--", str(home / "content")]
        code, status = _run(home, words)
        if code != 0 or "END_ENCRYPTION" not in {line[0] for line in status}:
            raise TemporaryFailure("gpg_failed", reason=f"gpg ended with {code}")
        return (home / "message").read_bytes()


def _takes_encryption(key: dict[str, Any]) -> bool:
    """Capital letters say what the key can do as a whole, with the subkeys that are valid (doc/DETAILS, field 12)."""
    return "E" in key["cap"] and "D" not in key["cap"] and key["trust"] not in (EXPIRED, REVOKED, *UNUSABLE)


def public_key_of(private_key: str) -> str | None:
    """The public half, armored; None if there is none that mails could be encrypted to."""
    with gpg_home() as gpg:
        home = Path(gpg.gnupghome)
        _import_private(home, private_key)
        keys = gpg.list_keys()
        return gpg.export_keys(keys[0]["fingerprint"]) if len(keys) == 1 else None


def _import_private(home: Path, private_key: str) -> None:
    (home / "key").write_text(private_key)
    _run(home, ["--import", "--", str(home / "key")])
    (home / "key").unlink()


def _take(gpg: gnupg.GPG, keys: list[str]) -> None:
    for key in keys:
        gpg.import_keys(key)


def _run(home: Path, arguments: list[str]) -> tuple[int, list[list[str]]]:
    """gpg's exit code, below 0 if it was killed, and its findings."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    limited = ["sh", "-c", f'ulimit -t {PROCESSOR_SECONDS} && exec "$@"', "sh"]
    command = [*limited, "gpg", "--homedir", str(home), *_OPTIONS, "--status-file", str(home / "status"), *arguments]
    (home / "status").unlink(missing_ok=True)
    try:
        done = subprocess.run(
            confined_command(command, str(home)),
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=WAIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TemporaryFailure("gpg_slow") from error
    text = (home / "status").read_text("utf-8", "replace") if (home / "status").is_file() else ""
    lines = [line.removeprefix("[GNUPG:] ").split() for line in text.split("\n") if line.startswith("[GNUPG:] ")]
    return done.returncode, [line for line in lines if line]


def _was_encrypted(words: list[str]) -> bool:
    """To our key and not to a password, whole, with a seal that shows tampering (MDC or AEAD), and what is read was in
    it."""
    place = [word for word in words if word in ("BEGIN_DECRYPTION", "PLAINTEXT", "END_DECRYPTION")]
    inside = place == ["BEGIN_DECRYPTION", "PLAINTEXT", "END_DECRYPTION"]
    whole = {"DECRYPTION_KEY", "DECRYPTION_OKAY", "GOODMDC"} <= set(words)
    return inside and whole and not {"BADMDC", "DECRYPTION_FAILED"} & set(words) and words.count("DECRYPTION_INFO") == 1


def _signature(status: list[list[str]], *, fine: bool) -> Signature:
    words = [line[0] for line in status]
    if words.count("NEWSIG") > 1:
        return Signature("several")
    for word, fault in (("EXPKEYSIG", "expired"), ("EXPSIG", "expired"), ("REVKEYSIG", "revoked")):
        if word in words:
            return Signature(fault)
    if "NO_PUBKEY" in words:
        return Signature("unknown_key")
    if "BADSIG" in words:
        return Signature("bad")
    good, valid = [line for line in status if line[0] == "GOODSIG"], [line for line in status if line[0] == "VALIDSIG"]
    if not words.count("NEWSIG") and not good:
        return Signature("missing")
    if len(good) != 1 or len(valid) != 1 or len(valid[0]) < 11 or set(words) & _TROUBLE or not fine:
        return Signature("bad")
    _word, _key, _day, made_at, _until, _version, _reserved, _public, hashed, kind, primary = valid[0][:11]
    if hashed in _WEAK_HASHES:
        return Signature("weak")
    if kind not in ("00", "01") or not made_at.isdigit():
        return Signature("bad")
    return Signature(None, primary, int(made_at))
