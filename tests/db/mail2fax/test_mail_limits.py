"""Mails that were made to hold a collector up, or to choose among what somebody signed."""

import bz2
import zlib
from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from app.adapters.mail import pgp_mail
from app.adapters.mail.pgp_mail import MOST_OUTPUT, PROCESSOR_SECONDS
from app.services.mail2fax.mail_parts import MOST_HEADER, MOST_NESTED, contents, decoded, parse, proof_of, sender_of
from tests.db.mail_attacks import (
    PGP,
    SEALED,
    Judge,
    clear_sign,
    heads,
    inline_mail,
    inner,
    named,
    refused,
    seal,
    sealed_part,
    signed_mail,
    signed_part,
)
from tests.db.mails import NUMBER, PUBLIC, WISH, write_mail
from tests.waiting import little_work
from tests.web.cast import Cast, pdf_bytes

pytestmark = pytest.mark.any_database

OWN = "0507654321"
LETTER = pdf_bytes(1)
MEGABYTE = 1 << 20


def packet(tag: int, body: bytes) -> bytes:
    """RFC 9580, section 4.2."""
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4) + body


def squeezed(pieces: Iterator[bytes]) -> bytes:
    squeezer = bz2.BZ2Compressor(9)
    return packet(8, b"\3" + b"".join(squeezer.compress(piece) for piece in pieces) + squeezer.flush())


@pytest.fixture(scope="module")
def endless() -> bytes:
    """Some megabytes, and gigabytes of packets that mean nothing."""
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    once = squeezer.compress(packet(60, bytes(64 * MEGABYTE))) + squeezer.flush(zlib.Z_FULL_FLUSH)
    return packet(8, b"\1" + once * 300 + b"\3\0")


# ---- What unfolds


def test_a_message_that_unfolds_without_end_is_refused_for_good(
    judged: Judge, box_key: str, endless: bytes, monkeypatch: pytest.MonkeyPatch
):
    """It would wait in the mailbox and be tried again for ever."""
    raw = inline_mail(b"PIN 4711", ("letter.pdf.pgp", endless))
    monkeypatch.setattr(pgp_mail, "WAIT_SECONDS", 250)  # where others have the processor, its time takes longer
    with little_work(6 * PROCESSOR_SECONDS):
        assert refused(judged(raw, authentication="pin", private_key=box_key), "mail_not_decrypted")


def test_what_was_cut_at_the_most_is_no_document(judged: Judge):
    literal = b"b\0" + bytes(4) + LETTER + bytes(MOST_OUTPUT)
    raw = inline_mail(b"PIN 4711", ("letter.pdf.pgp", squeezed(iter([packet(11, literal)]))))
    assert not judged(raw, authentication="pin").accepted


def test_documents_are_not_opened_to_more_than_a_mail_can_hold(judged: Judge):
    half = packet(11, b"b\0" + bytes(4) + LETTER + bytes(MOST_OUTPUT // 2))
    bomb = squeezed(iter([half]))
    raw = inline_mail(b"PIN 4711", *[(f"{n}.pdf.pgp", bomb) for n in range(3)])
    verdict = judged(raw, authentication="pin")
    assert refused(verdict, "mail_box_without_key")


# ---- What takes the reader of mails too long

HEAD = b"From: bob@alpha.test\r\nSubject: 0501234567\r\n"
NESTED = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(MOST_NESTED + 1)
)


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"\r\n" + b"a\n" * 1_600_000,
        HEAD + b"\r\n" + b"a\r" * 1_600_000,
        HEAD + b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\n\n" * 10_000,
        HEAD + NESTED,
        HEAD + NESTED.replace(b"multipart/mixed", b"MULTIPART/mixed"),
        HEAD + NESTED[: len(NESTED) // 2] + b"-a\n" * 1_000_000,
        HEAD + b'Content-Type: text/plain; "' + b";" * 200_000 + b"\r\n\r\nx",
        HEAD + b'Content-Type: text/plain; "' + b"\r\n ;;;;;;;;" * 20_000 + b"\r\n\r\nx",
        HEAD + b'\rcontent-DISPOSITION:attachment; "' + b"\r ;;;;;;;;" * 20_000 + b"\r\n\r\nx",
    ],
    ids=["lines", "lines of the mac", "parts", "nested", "nested in capitals", "nested with lines", "a long header",
         "a folded header", "a header folded otherwise"],
)  # fmt: skip
def test_a_mail_that_nobody_writes_is_not_read(raw: bytes):
    with little_work(5), pytest.raises(ValueError, match="person"):
        parse(raw)


def test_a_mail_of_the_largest_size_is_read():
    mail = write_mail(documents=(b"%PDF-1.7\n" + bytes(30 * MEGABYTE),))
    assert len(contents(parse(mail.as_bytes())).parts[0].content) > 30 * MEGABYTE


def test_headers_of_any_length_are_answered_at_once():
    with little_work(5):
        assert sender_of(parse(b"From: " + b"a," * 500_000 + b"\r\n\r\n")) is None
        assert decoded("=?utf-8?q?0?= " * MEGABYTE) == ""
        assert decoded(" " * (MOST_HEADER - 3) + "050") == "050"


# ---- Several numbers that somebody signed

FOOTED = f"Fax: {WISH}\n\nBob\nAlpha Ltd\nFax: {OWN}\n"


def test_whoever_alters_the_subject_does_not_choose_among_the_signed_numbers(judged: Judge, ring, registered: str):
    content = inner(protected=False, text=FOOTED)
    signed = signed_part(content, sign_with(ring, registered, content))
    assert judged(heads(NUMBER) + signed, **PGP).to == PUBLIC
    assert refused(judged(heads(OWN) + signed, **PGP), "mail_subject_altered")
    block = clear_sign(ring, registered, FOOTED + named(LETTER))
    assert judged(inline_mail(block, LETTER), **PGP).to == PUBLIC
    assert refused(judged(inline_mail(block, LETTER, subject=OWN), **PGP), "mail_subject_altered")


def sign_with(ring, who: str, content: bytes) -> bytes:
    return ring.run("--armor", "--digest-algo", "SHA256", "--local-user", who, "--detach-sign", given=content)


def test_a_long_pin_on_its_own_line_is_no_number(judged: Judge, ring, box_key: str):
    asked = {**SEALED, "authentication": "pin", "pin": "471100", "private_key": box_key}
    content = inner(protected=False, text="471100\n\nBob")
    verdict = judged(heads() + sealed_part(seal(ring, content)), **asked)
    assert verdict.accepted, verdict.checks
    assert verdict.to == PUBLIC


def test_a_text_of_another_kind_is_not_left_out_in_silence(judged: Judge, ring, registered: str):
    block = clear_sign(ring, registered, f"{WISH}\n{named(LETTER)}")
    raw = inline_mail(block, LETTER)
    mail = parse(raw)
    table = parse(b"Content-Type: text/csv\r\n\r\na,b\r\n")
    mail.attach(table)
    assert refused(judged(mail.as_bytes(), **PGP), "mail_signature_unbound")


def test_a_whole_signed_message_in_place_of_the_signature_vouches_for_nothing(judged: Judge, ring, registered: str):
    """As gpg takes it: a message that brings its own text verifies by itself."""
    other = b"something else"
    whole = ring.run("--digest-algo", "SHA256", "--local-user", registered, "--sign", given=other)
    loose = ring.run("--digest-algo", "SHA256", "--local-user", registered, "--detach-sign", given=other)
    literal = packet(11, b"b\0" + bytes(4) + other)
    for content in (whole, loose + literal, literal + loose):
        fake = ring.run("--enarmor", given=content).replace(b"PGP ARMORED FILE", b"PGP SIGNATURE")
        verdict = judged(heads() + signed_part(inner(), fake), **PGP)
        assert not verdict.accepted
        assert verdict.reason.startswith("mail_signature_")
        assert not verdict.answerable


def test_a_genuine_signed_mail_stays_good(judged: Judge, cast: Cast, session: Session, ring, registered: str):
    assert judged(signed_mail(ring, registered), **PGP).accepted


# ---- What the sender chose, in the words of the mail server

CHOSEN = [
    'spf=pass smtp.mailfrom="a\\"; dmarc=pass header.from=alpha.test; x=\\""@evil.test',
    "spf=pass (evil (x) ; dmarc=pass header.from=alpha.test; x) smtp.mailfrom=evil.test",
    "spf=pass (evil \\) ; dmarc=pass header.from=alpha.test; x) smtp.mailfrom=evil.test",
    "spf=pass (evil ( ; dmarc=pass header.from=alpha.test; x) smtp.mailfrom=evil.test",
    'spf=pass smtp.mailfrom="a; dmarc=pass header.from=alpha.test',
]


@pytest.mark.parametrize("results", CHOSEN)
def test_what_the_sender_chose_is_no_finding_of_the_mail_server(results: str):
    mail = parse(f"Authentication-Results: mx.alpha.test; {results}\r\n\r\n".encode())
    assert not proof_of(mail, "bob@alpha.test", "mx.alpha.test")


@pytest.mark.parametrize(
    "results",
    [
        "dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=alpha.test",
        'dkim=pass (2048-bit key; unprotected) header.d=alpha.test header.i=@alpha.test header.b="aB+c/1=="',
        'spf=pass (mx: domain of "bob x"@alpha.test (bob) is fine) smtp.mailfrom="bob x"@alpha.test',
        "spf=pass reason=it's fine smtp.mailfrom=bob@alpha.test",
    ],
)
def test_what_mail_servers_write_is_read(results: str):
    mail = parse(f"Authentication-Results: mx.alpha.test; {results}\r\n\r\n".encode())
    assert proof_of(mail, "bob@alpha.test", "mx.alpha.test")
