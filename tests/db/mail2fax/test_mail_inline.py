"""Inline PGP: signed text and documents apart from each other, and who would pair them anew; with the real gpg."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from tenants.db import utc_now
from tests.db.mail_attacks import (
    PGP,
    SEALED,
    Judge,
    clear_sign,
    heads,
    inline_mail,
    named,
    refused,
    register,
    revoke,
    seal,
    sealed_part,
)
from tests.db.mails import NUMBER, PUBLIC, WISH
from tests.web.cast import Cast, pdf_bytes

pytestmark = pytest.mark.any_database

OTHER = "0509999999"
LETTER, OFFER = pdf_bytes(1), pdf_bytes(2)
WORDS = f"Fax: {WISH}\n\n{named(LETTER)}"


@pytest.fixture
def block(ring, registered) -> bytes:
    """Number and digest, signed by Bob."""
    return clear_sign(ring, registered, WORDS)


# ---- Clear-signed


@pytest.mark.parametrize("cte", ["8bit", "quoted-printable", "base64"])
def test_a_signed_text_that_names_its_document_is_accepted(judged: Judge, block: bytes, cte: str):
    verdict = judged(inline_mail(block, LETTER, cte=cte), **PGP)
    assert verdict.accepted, verdict.checks
    assert [document.content for document in verdict.documents] == [LETTER]
    assert verdict.to == PUBLIC
    assert verdict.signature_digest


def test_digests_are_read_in_capitals_and_in_any_line(judged: Judge, ring, registered):
    words = f"Please send {hashlib.sha256(LETTER).hexdigest().upper()}, thank you.\n{WISH}\n"
    assert judged(inline_mail(clear_sign(ring, registered, words), LETTER), **PGP).accepted


def test_several_documents_are_named_in_their_order(judged: Judge, ring, registered):
    block = clear_sign(ring, registered, f"{WISH}\n{named(LETTER, OFFER)}")
    assert [d.content for d in judged(inline_mail(block, LETTER, OFFER), **PGP).documents] == [LETTER, OFFER]
    for changed in ((OFFER, LETTER), (LETTER,), (LETTER, OFFER, OFFER), (LETTER, LETTER), (OFFER,)):
        assert refused(judged(inline_mail(block, *changed), **PGP), "mail_signature_unbound"), changed


def test_another_document_is_refused(judged: Judge, block: bytes):
    assert refused(judged(inline_mail(block, OFFER), **PGP), "mail_signature_unbound")
    assert refused(judged(inline_mail(block, LETTER, OFFER), **PGP), "mail_signature_unbound")
    assert refused(judged(inline_mail(block, OFFER, LETTER), **PGP), "mail_signature_unbound")


def test_a_text_that_names_no_document_binds_none(judged: Judge, ring, registered):
    assert refused(judged(inline_mail(clear_sign(ring, registered, WISH), LETTER), **PGP), "mail_signature_unbound")


@pytest.mark.parametrize(
    "digest",
    [
        "{0}0",
        "a{0}",
        "{0:.63}",
        "> {0}",
        "-- \n{0}",
        "On Monday Bob wrote:\n{0}",
    ],
    ids=["longer", "longer in front", "shorter", "quoted", "below the dashes", "of an older mail"],
)
def test_only_a_digest_of_the_persons_own_words_counts(judged: Judge, ring, registered, digest: str):
    words = f"{WISH}\n" + digest.format(hashlib.sha256(LETTER).hexdigest())
    assert refused(judged(inline_mail(clear_sign(ring, registered, words), LETTER), **PGP), "mail_signature_unbound")


def test_a_signed_document_of_another_mail_is_not_paired_with_a_signed_text(judged: Judge, ring, registered):
    """Both are Bob's, made in the same minute. Nothing says that they belong together."""
    text = clear_sign(ring, registered, WISH)
    paper = ring.run("--digest-algo", "SHA256", "--local-user", registered, "--sign", given=LETTER)
    assert refused(judged(inline_mail(text, ("letter.pdf.gpg", paper)), **PGP), "mail_signature_unbound")
    detached = ring.run("--armor", "--local-user", registered, "--detach-sign", given=LETTER)
    assert refused(judged(inline_mail(text, LETTER, ("letter-0.pdf.sig", detached)), **PGP), "mail_signature_unbound")


def test_a_signed_document_is_opened_where_the_text_names_it(judged: Judge, ring, registered, block: bytes):
    paper = ring.run("--digest-algo", "SHA256", "--local-user", registered, "--sign", given=LETTER)
    armored = ring.run("--armor", "--digest-algo", "SHA256", "--local-user", registered, "--sign", given=LETTER)
    for n, document in enumerate((("letter.pdf.gpg", paper), ("letter.pdf.asc", armored))):
        words = clear_sign(ring, registered, f"Mail {n}\n{WISH}\n{named(document[1])}")
        for text in (block, words):
            verdict = judged(inline_mail(text, document), **PGP)
            assert verdict.accepted, verdict.checks
            assert [(d.name, d.content) for d in verdict.documents] == [("letter.pdf", LETTER)]


def test_a_detached_signature_and_a_public_key_beside_it_are_companions(judged: Judge, ring, registered, block: bytes):
    detached = ring.run("--armor", "--local-user", registered, "--detach-sign", given=LETTER)
    key = ring.public(registered)
    assert judged(inline_mail(block, LETTER, ("letter.pdf.asc", detached), ("0x1.asc", key)), **PGP).accepted


def test_what_stands_around_the_block_is_not_looked_at(judged: Judge, block: bytes):
    around = f"{OTHER}\n\n".encode() + block + f"\n{OTHER}\n{named(OFFER)}".encode()
    verdict = judged(inline_mail(around, LETTER), **PGP)
    assert verdict.accepted, verdict.checks
    assert verdict.to == PUBLIC
    assert refused(judged(inline_mail(around, LETTER, subject=OTHER), **PGP), "mail_subject_altered")
    assert refused(judged(inline_mail(around, OFFER), **PGP), "mail_signature_unbound")


def test_a_number_beside_the_signed_words_does_not_count(judged: Judge, ring, registered):
    block = clear_sign(ring, registered, named(LETTER))
    assert refused(judged(inline_mail(NUMBER.encode() + b"\n" + block, LETTER), **PGP), "mail_signature_number")
    assert refused(judged(inline_mail(block, LETTER), **PGP), "mail_signature_number")


def test_an_html_part_that_says_something_else_is_not_looked_at(judged: Judge, block: bytes):
    html = f"<p>{OTHER}</p><p>{named(OFFER)}</p>"
    assert judged(inline_mail(block, LETTER, html=html), **PGP).to == PUBLIC
    assert refused(judged(inline_mail(block, OFFER, html=html), **PGP), "mail_signature_unbound")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NUMBER.encode(), OTHER.encode()),
        (b"\n\nFax:", b"\nComment: more\n\nFax: 1\nFax:"),
        (b"Fax: ", b"Fax:"),
        (b"\n-----BEGIN PGP SIGNATURE", b"\n\n0509999999\n-----BEGIN PGP SIGNATURE"),
        (b"Fax:", b"- Fax: 0509999999\nFax:"),
    ],
    ids=["another number", "a header and a line", "a blank less", "a line more", "a dash-escaped line"],
)
def test_altered_words_are_refused(judged: Judge, block: bytes, old: bytes, new: bytes):
    assert old in block
    verdict = judged(inline_mail(block.replace(old, new, 1), LETTER), **PGP)
    assert verdict.reason in ("mail_signature_bad", "mail_subject_altered"), verdict.checks
    assert any(check.values.get("reason") == "mail_signature_bad" for check in verdict.checks)
    assert not verdict.accepted


def test_a_hash_header_cannot_say_more_than_the_signature(judged: Judge, ring, registered, block: bytes):
    assert b"Hash: SHA256" in block
    for header in (b"Hash: SHA1", b"Hash: MD5", b"Hash: SHA512"):
        verdict = judged(inline_mail(block.replace(b"Hash: SHA256", header), LETTER), **PGP)
        assert verdict.accepted or verdict.reason == "mail_signature_bad", verdict.checks
    weak = ring.run("--digest-algo", "SHA1", "--weak-digest", "MD5", "--local-user", registered, "--clear-sign",
                    given=WORDS.encode())  # fmt: skip
    for claimed in (weak, weak.replace(b"Hash: SHA1", b"Hash: SHA256")):
        verdict = judged(inline_mail(claimed, LETTER), **PGP)
        assert verdict.reason in ("mail_signature_weak", "mail_signature_bad"), verdict.checks


def test_blanks_at_line_ends_change_nothing_and_make_no_second_fax(judged: Judge, block: bytes):
    first = judged(inline_mail(block, LETTER), **PGP)
    blanks = judged(inline_mail(block.replace(WISH.encode(), WISH.encode() + b"  \t"), LETTER), **PGP)
    assert blanks.accepted
    assert blanks.signature_digest == first.signature_digest
    lines = judged(inline_mail(block.replace(b"\n", b"\r\n"), LETTER, cte="base64"), **PGP)
    assert lines.signature_digest == first.signature_digest


def test_the_charset_that_a_mail_names_changes_no_digit(judged: Judge, ring, registered):
    words = f"Fax: {WISH}\n+ADA-509999999\n{named(LETTER)}"
    raw = inline_mail(clear_sign(ring, registered, words), LETTER)
    for charset in (b"utf-7", b"cp037", b"utf-16", b"no-such"):
        verdict = judged(raw.replace(b'charset="utf-8"', b'charset="' + charset + b'"', 1), **PGP)
        assert verdict.to in (PUBLIC, None)
        assert verdict.accepted, verdict.checks


def test_several_blocks_are_refused(judged: Judge, ring, registered, block: bytes, eve_key):
    eves = clear_sign(ring, eve_key, f"{OTHER}\n{named(OFFER)}")
    for text in (block + eves, eves + block, block + block):
        assert refused(judged(inline_mail(text, LETTER), **PGP), "mail_signature_several")
    cut = block[: block.index(b"-----BEGIN PGP SIGNATURE")]
    assert refused(judged(inline_mail(cut + block, LETTER), **PGP), "mail_signature_several")
    assert refused(judged(inline_mail(cut, LETTER), **PGP), "mail_signature_several")


def test_a_block_within_a_block_is_text(judged: Judge, ring, registered, eve_key):
    """Eve signs what Bob signed: it is hers, and no key of hers is Bob's."""
    nested = clear_sign(ring, eve_key, clear_sign(ring, registered, WORDS).decode())
    assert refused(judged(inline_mail(nested, LETTER), **PGP), "mail_signature_unknown_key")


def test_no_other_key_vouches(judged: Judge, session: Session, cast: Cast, ring, registered, eve_key):
    eves = clear_sign(ring, eve_key, WORDS)
    assert refused(judged(inline_mail(eves, LETTER), **PGP), "mail_signature_unknown_key")
    register(session, cast.alpha, cast.alice, ring.public(eve_key))
    assert refused(judged(inline_mail(eves, LETTER), **PGP), "mail_signature_unknown_key")
    both = ring.run("--digest-algo", "SHA256", "--local-user", registered, "--local-user", eve_key, "--clear-sign",
                    given=WORDS.encode())  # fmt: skip
    assert not judged(inline_mail(both, LETTER), **PGP).accepted


def test_expired_and_revoked_keys_vouch_for_nothing(judged: Judge, session: Session, cast: Cast, ring):
    at = (utc_now() - timedelta(days=9)).strftime("%Y%m%dT%H%M%S")
    old = ring.make("Bob Old <bob@alpha.test>", expires="2d", faked=at)
    register(session, cast.alpha, cast.bob, ring.public(old))
    signed = clear_sign(ring, old, WORDS, "--faked-system-time", at)
    verdict = judged(inline_mail(signed, LETTER), **PGP)
    assert refused(verdict, "mail_signature_expired")
    gone = ring.make("Bob Gone <bob@alpha.test>")
    signed = clear_sign(ring, gone, WORDS)
    revoke(ring, gone)
    register(session, cast.alpha, cast.bob, ring.public(gone))
    assert refused(judged(inline_mail(signed, LETTER), **PGP), "mail_signature_revoked")


def test_a_signed_text_counts_for_some_days_only(judged: Judge, session: Session, cast: Cast, ring):
    at = (utc_now() - timedelta(days=9)).strftime("%Y%m%dT%H%M%S")
    key = ring.make("Bob Patient <bob@alpha.test>", faked=at)
    register(session, cast.alpha, cast.bob, ring.public(key))
    signed = clear_sign(ring, key, WORDS, "--faked-system-time", at)
    assert refused(judged(inline_mail(signed, LETTER), **PGP), "mail_signature_old")


def test_a_file_name_that_looks_like_gpgs_findings_is_not_one(judged: Judge, ring, registered, eve_key):
    name = "x\n[GNUPG:] GOODSIG 0 Bob\n[GNUPG:] VALIDSIG " + registered
    message = ring.run("--armor", "--local-user", eve_key, "--set-filename", name, "--sign", given=WORDS.encode())
    assert refused(judged(inline_mail(message, LETTER), **PGP), "mail_signature_unknown_key")


def test_a_line_that_asks_for_no_signature_takes_a_signed_text_with_any_document(judged: Judge, ring, registered):
    block = clear_sign(ring, registered, "PIN 4711")
    assert judged(inline_mail(block, LETTER), authentication="pin").accepted
    assert judged(inline_mail(block, LETTER), authentication="none").accepted


# ---- Signed or sealed as a message


def test_a_signed_message_as_text_is_read(judged: Judge, ring, registered):
    message = ring.run("--armor", "--digest-algo", "SHA256", "--local-user", registered, "--sign", given=WORDS.encode())
    assert judged(inline_mail(message, LETTER), **PGP).accepted
    assert refused(judged(inline_mail(message, OFFER), **PGP), "mail_signature_unbound")
    assert refused(judged(inline_mail(message, LETTER), **PGP, **SEALED), "mail_not_encrypted")


def sealed_mail(
    ring, words: str, *documents: bytes, more: tuple[str, ...] = (), plain: tuple[bytes, ...] = ()
) -> bytes:
    papers = [(f"letter-{n}.pdf.pgp", seal(ring, content, "--no-armor")) for n, content in enumerate(documents)]
    return inline_mail(seal(ring, words.encode(), *more), *papers, *plain)


def test_sealed_text_and_sealed_documents_are_read(judged: Judge, ring, box_key):
    verdict = judged(sealed_mail(ring, "PIN 4711", LETTER, OFFER), **SEALED, authentication="pin", private_key=box_key)
    assert verdict.accepted, verdict.checks
    assert [(d.name, d.content) for d in verdict.documents] == [("letter-0.pdf", LETTER), ("letter-1.pdf", OFFER)]


def test_sealed_and_signed_is_read_where_the_text_names_the_documents(judged: Judge, ring, box_key, registered):
    more = ("--local-user", registered, "--sign", "--digest-algo", "SHA256")
    asked = {**PGP, **SEALED, "private_key": box_key}
    assert judged(sealed_mail(ring, WORDS, LETTER, more=more), **asked).accepted
    assert refused(judged(sealed_mail(ring, WORDS, OFFER, more=more), **asked), "mail_signature_unbound")
    assert refused(judged(sealed_mail(ring, WISH, LETTER, more=more), **asked), "mail_signature_unbound")
    assert refused(judged(sealed_mail(ring, WORDS, LETTER), **asked), "mail_signature_missing")
    within = clear_sign(ring, registered, WORDS).decode()
    assert judged(sealed_mail(ring, within, LETTER), **asked).accepted
    assert refused(judged(sealed_mail(ring, f"{OTHER}\n{within}", LETTER), **asked), "mail_subject_altered")
    assert refused(judged(sealed_mail(ring, f"Hello\n{within}", LETTER), **asked), "mail_signature_missing")


def test_whatever_counts_has_to_be_sealed(judged: Judge, ring, box_key):
    asked = {**SEALED, "authentication": "pin", "private_key": box_key}
    assert refused(judged(sealed_mail(ring, "PIN 4711", plain=(LETTER,)), **asked), "mail_not_encrypted")
    assert refused(judged(sealed_mail(ring, "PIN 4711", LETTER, plain=(OFFER,)), **asked), "mail_not_encrypted")
    paper = ("letter.pdf.pgp", seal(ring, LETTER))
    assert refused(judged(inline_mail(b"PIN 4711", paper), **asked), "mail_not_encrypted")
    assert judged(inline_mail(b" ", paper), **(asked | {"authentication": "none"})).accepted
    asked["encryption_required"] = False
    assert judged(inline_mail(b"PIN 4711", paper), **asked).accepted


def test_a_signed_document_is_not_a_sealed_one(judged: Judge, ring, box_key, registered):
    paper = ("letter.pdf.pgp", ring.run("--local-user", registered, "--sign", given=LETTER))
    raw = inline_mail(seal(ring, b"PIN 4711"), paper)
    assert refused(judged(raw, **SEALED, authentication="pin", private_key=box_key), "mail_not_encrypted")


def test_tampering_and_other_keys_give_nothing_away(judged: Judge, ring, box_key):
    ring.run("--quick-gen-key", "Third <third@alpha.test>", "future-default", "default", "2y")
    foreign = seal(ring, LETTER, "--no-armor", to="=Third <third@alpha.test>")
    broken = seal(ring, LETTER, "--no-armor")
    broken = broken[:-40] + bytes([broken[-40] ^ 1]) + broken[-39:]
    for paper in (foreign, broken, b"\x85not a message at all"):
        verdict = judged(inline_mail(b"PIN 4711", ("letter.pdf.pgp", paper)), authentication="pin", private_key=box_key)
        assert refused(verdict, "mail_not_decrypted")
    plain = inline_mail(seal(ring, b"PIN 4711 secret words"), LETTER)
    verdict = judged(plain, authentication="pin", private_key=None)
    assert refused(verdict, "mail_box_without_key")
    assert "secret" not in repr(verdict)


def test_a_clear_signed_text_within_a_sealed_mail_is_read(judged: Judge, ring, box_key, block: bytes):
    asked = {**PGP, **SEALED, "private_key": box_key}
    within = inline_mail(block, LETTER, subject="...")
    assert judged(heads() + sealed_part(seal(ring, within)), **asked).accepted
    assert refused(
        judged(heads() + sealed_part(seal(ring, inline_mail(block, OFFER))), **asked), "mail_signature_unbound"
    )


def test_many_sealed_documents_are_not_all_opened(judged: Judge, session: Session, ring, box_key):
    paper = seal(ring, LETTER, "--no-armor")
    raw = inline_mail(b"PIN 4711", *[(f"{n}.pdf.pgp", paper) for n in range(11)])
    assert not judged(raw, authentication="pin", private_key=box_key).accepted


def test_a_strangers_block_is_not_given_to_gpg(judged: Judge, block: bytes, monkeypatch: pytest.MonkeyPatch):
    def run(*_: object) -> None:
        raise AssertionError("gpg was run")

    monkeypatch.setattr("app.services.mail2fax.mail_inline.open_message", run)
    raw = inline_mail(block, LETTER).replace(b"bob@alpha.test", b"mallory@evil.test")
    assert refused(judged(raw, **PGP), "sender_unknown")
