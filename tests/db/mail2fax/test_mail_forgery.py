"""Forged clear-signed texts and seals, where programs that read OpenPGP are known to differ; with the real gpg."""

import hashlib
import os

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from app.adapters.mail.pgp_mail import _was_encrypted
from app.services.mail2fax.mail_inline import LONGEST_LINE
from tests.db.mail2fax.test_mail_limits import packet
from tests.db.mail_attacks import PGP, SEALED, Judge, clear_sign, heads, inline_mail, inner, named, refused, seal
from tests.db.mail_attacks import sealed_part as sealed_body
from tests.db.mails import NUMBER, WISH
from tests.unit.mail.test_pgp import Ring
from tests.web.cast import pdf_bytes

LETTER, OFFER = pdf_bytes(1), pdf_bytes(2)
WORDS = f"Fax: {WISH}\n\n{named(LETTER)}"
EVIL = b"0509999999 " + named(OFFER).encode().strip()
HASH, LINE = b"Hash: SHA256\n", WISH.encode() + b"\n"
GOOD = ["DECRYPTION_KEY", "BEGIN_DECRYPTION", "DECRYPTION_INFO", "PLAINTEXT", "DECRYPTION_OKAY", "GOODMDC"]
GOOD += ["END_DECRYPTION"]


def mail_with(block: bytes) -> bytes:
    """As it is, NUL and all: the library that writes mails would not take it."""
    return inline_mail(b"the block", LETTER).replace(b"the block", block)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (HASH, b"Hash: SHA256\0" + EVIL + b"\n"),
        (HASH, HASH + b"\0" + EVIL + b"\n"),
        (HASH, HASH + b"NotDashEscaped: You need GnuPG\n"),
        (HASH, HASH + b"Comment: " + EVIL + b"\n"),
        (HASH, HASH + b" " + EVIL + b"\n"),
        (HASH, HASH + b"\f\n" + EVIL + b"\n"),
        (LINE, WISH.encode() + b"\0\n"),
        (LINE, WISH.encode() + b"\0" + EVIL + b"\n"),
        (LINE, WISH.encode() + b" " * 20_000 + EVIL + b"\n"),
        (LINE, WISH.encode() + b" " * (LONGEST_LINE + 1) + b"\n"),
        (LINE, LINE + b"-" + EVIL + b"\n"),
        (LINE, LINE + b"- " + EVIL + b"\n"),
    ],
    ids=["NUL in the hash header", "NUL line among the headers", "a header of gpg's own", "a comment",
         "a folded header", "a form feed", "NUL at a line's end", "text after NUL", "text beyond what gpg reads",
         "blanks beyond", "a dash that is not escaped", "a dash-escaped line"],
)  # fmt: skip
def test_what_one_program_verifies_and_another_leaves_out_is_refused(
    judged: Judge, ring: Ring, registered: str, old: bytes, new: bytes
):
    block = clear_sign(ring, registered, WORDS)
    assert old in block
    verdict = judged(mail_with(block.replace(old, new, 1)), **PGP)
    assert not verdict.accepted, verdict.checks
    assert verdict.documents == ()
    assert any(check.values.get("reason") == "mail_signature_bad" for check in verdict.checks), verdict.checks


def test_dashes_and_several_hash_names_of_an_honest_text_are_read(judged: Judge, ring: Ring, registered: str):
    block = clear_sign(ring, registered, f"-- one\n---\n- two\nFrom me\n{WORDS}-----BEGIN nothing-----\n")
    assert b"\n- -- one\n" in block
    assert judged(mail_with(block), **PGP).accepted
    block = clear_sign(ring, registered, f"- two\n---\n{WORDS}\n-- \nBob")
    assert judged(mail_with(block), **PGP).accepted
    assert judged(mail_with(block.replace(HASH, b"Hash: SHA512, SHA256\n")), **PGP).accepted


# ---- Sealed to whom


def by_empty_password(content: bytes) -> bytes:
    """RFC 9580, sections 5.3 and 5.13: anybody can read it."""
    prefix = os.urandom(16)
    plain = prefix + prefix[-2:] + packet(11, b"b\0" + bytes(4) + content) + b"\xd3\x14"
    plain += hashlib.sha1(plain).digest()
    cipher = Cipher(algorithms.AES(hashlib.sha256(b"").digest()), CFB(bytes(16))).encryptor()
    return packet(3, bytes([4, 9, 0, 8])) + packet(18, b"\1" + cipher.update(plain) + cipher.finalize())


def test_what_a_password_opens_is_not_sealed_to_the_box(judged: Judge, box_key: str):
    asked = {**SEALED, "authentication": "none", "private_key": box_key}
    raw = inline_mail(b" ", ("letter.pdf.pgp", by_empty_password(LETTER)))
    assert refused(judged(raw, **asked), "mail_not_decrypted")
    assert refused(judged(heads() + sealed_body(by_empty_password(inner())), **asked), "mail_not_decrypted")


def test_what_stands_beside_a_seal_was_not_in_it(judged: Judge, ring: Ring, box_key: str):
    empty = seal(ring, packet(10, b"PGP"), "--no-armor", "--no-literal", "-z", "0")
    plain = packet(11, b"b\0" + bytes(4) + LETTER)
    for content in (empty + plain, plain + empty):
        raw = inline_mail(b" ", ("letter.pdf.pgp", content))
        verdict = judged(raw, **SEALED, authentication="none", private_key=box_key)
        assert not verdict.accepted, verdict.checks
        assert verdict.documents == ()


@pytest.mark.parametrize(
    "words",
    [
        [word for word in GOOD if word != "DECRYPTION_KEY"],
        [word for word in GOOD if word != "GOODMDC"],
        [word for word in GOOD if word != "PLAINTEXT"] + ["PLAINTEXT"],
        ["PLAINTEXT", *GOOD],
        [*GOOD, "DECRYPTION_FAILED"],
        GOOD + GOOD,
    ],
    ids=["a password", "no seal", "text behind it", "text before it", "failed", "twice"],
)
def test_findings_that_do_not_say_all_of_it_are_not_enough(words: list[str]):
    assert _was_encrypted(GOOD)
    assert not _was_encrypted(words)


# ---- The line


def test_the_subject_alone_does_not_choose_the_line(judged: Judge, ring: Ring, registered: str):
    subject = f"{NUMBER}@Frontdesk"
    silent, named_line = (clear_sign(ring, registered, f"{wish}\n{named(LETTER)}") for wish in (NUMBER, subject))
    assert refused(judged(inline_mail(silent, LETTER, subject=subject), **PGP), "mail_subject_altered")
    assert judged(inline_mail(named_line, LETTER, subject=subject), **PGP).accepted
    assert judged(inline_mail(named_line, LETTER), **PGP).accepted, "what is signed says all of it"
