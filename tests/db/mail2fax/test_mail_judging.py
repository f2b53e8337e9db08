"""Who may have a mail become a fax, method by method, and the attacks on each, with the real gpg."""

from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy.orm import Session

from app.adapters.mail.pgp_mail import public_key_of
from app.models import MailFate, MailMessage
from app.services.mail2fax.judging import Standing
from tenants.db import utc_now
from tenants.models import Tenant, User
from tests.db.mail_attacks import (
    PGP,
    SEALED,
    Judge,
    heads,
    inner,
    refused,
    register,
    revoke,
    seal,
    sealed_part,
    sign,
    signed_mail,
    signed_part,
    wrapped,
)
from tests.db.mails import NUMBER, PUBLIC, WISH, tells_pin, write_mail
from tests.web.cast import Cast, pdf_bytes

pytestmark = pytest.mark.any_database

# ---- Sender


def test_the_address_alone_is_enough_where_the_line_says_so(judged: Judge, cast: Cast):
    verdict = judged(write_mail(text="").as_bytes(), authentication="none")
    assert verdict.accepted, verdict.checks
    assert (verdict.user_id, verdict.entity_id, verdict.to) == (cast.bob, cast.frontdesk, PUBLIC)
    assert [document.name for document in verdict.documents] == ["letter-0.pdf"]


@pytest.mark.parametrize(
    ("sender", "reason"),
    [
        ("Bob@alpha.test", "sender_unknown"),
        ("BOB@ALPHA.TEST", "sender_unknown"),
        ("mallory@evil.test", "sender_unknown"),
        ("charlie@beta.test", "sender_unknown"),
        ('"bob@alpha.test" <mallory@evil.test>', "sender_unknown"),
        ("bob@alpha.test, alice@alpha.test", "mail_from"),
        ("People: bob@alpha.test;", "mail_from"),
        ("bob@alpha.test <mallory@evil.test>", "mail_from"),
        ("<bob@alpha.test> <mallory@evil.test>", "mail_from"),
        ("bob@alpha.test\0@evil.test", "mail_from"),
        ("=?utf-8?q?bob=40alpha=2Etest?=", "mail_from"),
        ("", "mail_from"),
    ],
)
def test_whoever_is_not_exactly_a_user_who_may_send_is_refused_without_an_answer(
    judged: Judge, sender: str, reason: str
):
    raw = write_mail(text="").as_bytes().replace(b"From: bob@alpha.test", b"From: " + sender.encode())
    verdict = judged(raw, authentication="none")
    assert refused(verdict, reason)
    assert not verdict.answerable


def test_who_has_not_accepted_the_invitation_may_not_send(judged: Judge, session: Session, cast: Cast):
    session.get_one(User, cast.bob).password_hash = None
    verdict = judged(write_mail(text="").as_bytes(), authentication="none")
    assert refused(verdict, "sender_unknown")
    assert not verdict.answerable


def test_two_senders_or_two_subjects_are_refused(judged: Judge):
    raw = write_mail(text="").as_bytes()
    for head in (b"From: alice@alpha.test\n", b"Subject: 050999999\n"):
        verdict = judged(head + raw, authentication="none")
        assert refused(verdict, "mail_header_twice")
        assert not verdict.answerable


@pytest.mark.parametrize("doubled", [b"Subject: 050999999\n", b"Date: Mon, 1 Jan 2001 00:00:00 +0000\n"])
def test_a_header_that_a_gateway_wrote_twice_silences_no_answer_to_who_knows_the_pin(judged: Judge, doubled: bytes):
    standing = {}
    for text in ("PIN 4711", "Hello"):
        verdict = judged(doubled + write_mail(text=text).as_bytes())
        assert refused(verdict, "mail_header_twice")
        standing[text] = verdict.standing
    assert standing == {"PIN 4711": Standing.PROVEN, "Hello": Standing.CLAIMED}


def test_whose_headers_are_doubled_nobody_vouches_for(judged: Judge):
    """DKIM (RFC 6376, 8.15) may hold although somebody has added a Subject: it is not repeated to them in our name."""
    head = b"Authentication-Results: mx.alpha.test; dmarc=pass header.from=alpha.test\nSubject: visit evil.test\n"
    verdict = judged(head + write_mail(text="Hello").as_bytes(), authserv_id="mx.alpha.test")
    assert (verdict.reason, verdict.standing) == ("mail_header_twice", Standing.CLAIMED)


def test_who_signed_is_told_once_a_day_of_a_mail_that_the_server_calls_forged(judged: Judge, ring, registered: str):
    """A mail that was passed on fails DMARC. Signed mails of theirs may have been written to others as well: whoever
    hands those in here must not have their mailbox filled."""
    forged = b"Authentication-Results: mx.alpha.test; dmarc=fail header.from=alpha.test\n"
    verdict = judged(forged + signed_mail(ring, registered), **PGP, authserv_id="mx.alpha.test")
    assert (verdict.reason, verdict.standing) == ("mail_proof_failed", Standing.CLAIMED)


def test_no_pin_is_found_out_by_a_mail_that_the_server_calls_forged(judged: Judge):
    """It counts as no guess, so the right one is not answered either."""
    forged = b"Authentication-Results: mx.alpha.test; dmarc=fail header.from=alpha.test\n"
    for text in ("PIN 4711", "PIN 4712"):
        verdict = judged(forged + write_mail(text=text).as_bytes(), authserv_id="mx.alpha.test")
        assert (verdict.reason, verdict.standing) == ("mail_proof_failed", Standing.NOBODYS)


@pytest.mark.parametrize(
    "head",
    [
        b"Auto-Submitted: auto-replied",
        b"List-Id: <list.alpha.test>",
        b"Precedence: bulk",
        b"Return-Path: <>",
        b"X-Autoreply: yes",
    ],
)
def test_no_machine_and_no_list_is_answered(judged: Judge, head: bytes):
    verdict = judged(head + b"\n" + write_mail(text="").as_bytes(), authentication="none")
    assert refused(verdict, "mail_automatic")
    assert not verdict.answerable


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (b"mx.alpha.test; dmarc=pass header.from=alpha.test", None),
        (b"mx.alpha.test; spf=pass smtp.mailfrom=alpha.test", None),
        (b"mx.alpha.test; dkim=pass header.d=alpha.test", None),
        (b"mx.alpha.test; dkim=pass header.d=evil.test", "mail_proof_missing"),
        (b"mx.evil.test; dmarc=pass header.from=alpha.test", "mail_proof_missing"),
        (b"mx.alpha.test; none", "mail_proof_missing"),
        (b"mx.alpha.test; dmarc=fail header.from=alpha.test", "mail_proof_failed"),
        (b'mx.alpha.test; spf=fail (dmarc=pass) smtp.mailfrom="; dmarc=pass;"', "mail_proof_failed"),
    ],
)
def test_only_the_own_mail_server_vouches(
    judged: Judge, session: Session, cast: Cast, result: bytes, reason: str | None
):
    session.get_one(Tenant, cast.alpha).mail_proof_required = True
    raw = b"Authentication-Results: " + result + b"\n" + write_mail(text="").as_bytes()
    verdict = judged(raw, authentication="none", authserv_id="mx.alpha.test")
    assert verdict.reason == reason
    assert verdict.answerable is (reason is None)


@pytest.mark.parametrize(
    ("own", "forged", "reason"),
    [
        (b"none", b"dkim=pass header.d=alpha.test", "mail_proof_missing"),
        (b"spf=fail smtp.mailfrom=alpha.test", b"dmarc=pass header.from=alpha.test", "mail_proof_failed"),
        (b"dkim=pass header.d=alpha.test", b"dmarc=fail header.from=alpha.test", "mail_proof_failed"),
        (b"dkim=pass header.d=alpha.test", b"spf=none", None),
    ],
)
def test_what_a_mail_brought_along_in_the_servers_name_is_no_good_news(
    judged: Judge, session: Session, cast: Cast, own: bytes, forged: bytes, reason: str | None
):
    session.get_one(Tenant, cast.alpha).mail_proof_required = True
    mine, theirs = (b"Authentication-Results: mx.alpha.test; " + said + b"\n" for said in (own, forged))
    raw = mine + b"Received: from evil.test by mx.alpha.test\n" + theirs + write_mail(text="").as_bytes()
    assert judged(raw, authentication="none", authserv_id="mx.alpha.test").reason == reason


# ---- PIN


def test_the_right_pin_is_accepted_and_stands_nowhere(judged: Judge):
    verdict = judged(write_mail(subject=NUMBER).as_bytes())
    assert verdict.accepted, verdict.checks
    named = write_mail(subject=f"{NUMBER} 4711", text="4711", documents=())
    named.add_attachment(pdf_bytes(), maintype="application", subtype="pdf", filename="my 4711.pdf")
    verdict = judged(named.as_bytes())
    assert refused(verdict, "number_invalid")
    assert not tells_pin(repr(verdict))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("PIN 4712", "pin_wrong"), ("hello", "mail_pin_missing"), ("hi\n> PIN 4711", "mail_pin_missing")],
)
def test_a_wrong_pin_is_no_oracle_for_who_only_writes_bobs_address(judged: Judge, text: str, reason: str):
    verdict = judged(write_mail(text=text).as_bytes())
    assert refused(verdict, reason)
    assert not verdict.answerable


def test_a_pin_in_the_subject_or_in_an_attachment_does_not_count(judged: Judge):
    mail = write_mail(text="hello")
    mail.add_attachment("PIN 4711", filename="pin.txt")
    assert judged(mail.as_bytes()).reason == "mail_pin_missing"


def test_html_only_is_read(judged: Judge):
    mail = write_mail(text="", documents=())
    mail.clear_content()
    mail.set_content("<p>PIN <b>4711</b></p>", subtype="html")
    mail.add_attachment(pdf_bytes(), maintype="application", subtype="pdf", filename="letter.pdf")
    assert judged(mail.as_bytes()).accepted


# ---- Number, line, documents


def test_the_line_behind_the_number_has_to_be_the_boxs_own(judged: Judge):
    assert judged(write_mail(subject=f"{NUMBER}@Frontdesk").as_bytes()).accepted
    assert refused(judged(write_mail(subject=f"{NUMBER}@archive").as_bytes()), "mail_entity_unknown")
    assert refused(judged(write_mail(subject="112").as_bytes()), "number_emergency")


def test_an_encoded_subject_is_read(judged: Judge):
    raw = write_mail().as_bytes().replace(f"Subject: {NUMBER}".encode(), b"Subject: =?utf-8?b?MDUwIDEyMzQ1Njc=?=")
    assert judged(raw).to == PUBLIC


def test_companions_are_told_from_documents_and_named(judged: Judge):
    mail = write_mail()
    mail.add_attachment(
        b"\x89PNG", maintype="image", subtype="png", filename="logo.png", disposition="inline", cid="<1>"
    )
    mail.add_attachment(b"BEGIN:VCARD", maintype="text", subtype="vcard", filename="bob.vcf")
    mail.add_attachment(b"x", maintype="application", subtype="pgp-keys", filename="key.asc")
    verdict = judged(mail.as_bytes())
    assert verdict.accepted
    assert [check.values["what"] for check in verdict.checks if check.code == "beside"] == ["picture", "vcard", "key"]


def test_photographs_tables_and_texts_are_documents_and_what_decorates_a_mail_is_none(judged: Judge):
    mail = write_mail(documents=())
    photo = b"\xff\xd8\xff\xe0 photograph"
    mail.add_attachment(photo, maintype="image", subtype="jpeg", filename="IMG_1.jpg", cid="<f_1>")
    mail.add_attachment("a;b\n1;2\n", filename="table.csv")
    mail.add_attachment(b"PK\x03\x04 sheet", maintype="application", subtype="zip", filename="table.xlsx")
    verdict = judged(mail.as_bytes())
    assert [document.name for document in verdict.documents] == ["IMG_1.jpg", "table.csv", "table.xlsx"]
    mail = write_mail()
    shown = EmailMessage()
    shown.set_content('<img src="cid:logo">', subtype="html")
    mail.attach(shown)
    mail.add_attachment(photo, maintype="image", subtype="jpeg", filename="logo.jpg", cid="<logo>")
    mail.add_attachment("-----BEGIN PGP PUBLIC KEY BLOCK-----", filename="bob.asc")
    assert [document.name for document in judged(mail.as_bytes()).documents] == ["letter-0.pdf"]


def test_a_document_that_cannot_be_faxed_is_not_left_out_in_silence(judged: Judge):
    mail = write_mail()
    mail.add_attachment(b"MZ program", maintype="application", subtype="octet-stream", filename="table.xlsx")
    assert refused(judged(mail.as_bytes()), "mail_attachment_type")
    mail = write_mail(documents=())
    mail.add_attachment(b"x", maintype="application", subtype="ms-tnef", filename="winmail.dat")
    assert refused(judged(mail.as_bytes()), "mail_winmail")
    assert refused(judged(write_mail(documents=()).as_bytes()), "mail_no_document")
    assert refused(judged(write_mail(documents=(pdf_bytes(),) * 11).as_bytes()), "mail_many_documents")


def test_a_document_inside_of_a_forwarded_mail_is_not_sent(judged: Judge):
    mail = write_mail(documents=())
    within = write_mail(subject="Contract")
    mail.add_attachment(within)
    verdict = judged(mail.as_bytes())
    assert refused(verdict, "mail_attached_email")
    assert [check.values["name"] for check in verdict.checks if check.code == "documents"] == ["Contract"]
    mail = write_mail()
    mail.add_attachment(within.as_bytes(), maintype="application", subtype="octet-stream", filename="contract.eml")
    assert refused(judged(mail.as_bytes()), "mail_attached_email")


def test_a_test_stops_before_dialing_and_says_so(judged: Judge):
    verdict = judged(write_mail(subject=f"test {NUMBER}").as_bytes())
    assert refused(verdict, "mail_test_passed")
    assert verdict.answerable
    broken = judged(write_mail(subject=f"test {NUMBER}", documents=(b"%PDF-1.4 broken",)).as_bytes())
    assert refused(broken, "damaged")


# ---- PGP


def test_a_signed_mail_is_accepted_with_its_number_in_the_protected_headers(judged: Judge, ring, registered):
    verdict = judged(signed_mail(ring, registered), **PGP)
    assert verdict.accepted, verdict.checks
    assert verdict.signature_digest
    assert verdict.answerable


def test_or_with_its_number_in_the_signed_text(judged: Judge, ring, registered):
    for subject in (NUMBER, WISH):
        raw = signed_mail(ring, registered, protected=False, text=f"Fax: {WISH}\n", subject=subject)
        assert judged(raw, **PGP).accepted
    numbered = signed_mail(ring, registered, protected=False, text=f"Fax: {NUMBER}\n")
    assert refused(judged(numbered, **PGP), "mail_signature_elsewhere")
    subject_only = signed_mail(ring, registered, protected=False)
    assert refused(judged(subject_only, **PGP), "mail_signature_number")


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("fax@alpha.test", None),
        ("Fax box <FAX@alpha.test>", None),
        ("charlie@beta.test, <fax@alpha.test>", None),
        ("charlie@beta.test", "mail_signature_elsewhere"),
        ("myfax@alpha.test", "mail_signature_elsewhere"),
        ("fax@alpha.test.evil.test", "mail_signature_elsewhere"),
        (None, "mail_signature_elsewhere"),
    ],
)
def test_what_a_user_signed_for_somebody_else_is_no_fax_here(judged: Judge, ring, registered, to: str | None, reason):
    """Whoever got it could send it on to the box with the number as its subject."""
    verdict = judged(signed_mail(ring, registered, to=to), **PGP)
    assert (verdict.accepted, verdict.reason) == (reason is None, reason)
    naming_the_line = signed_mail(ring, registered, number=f"{NUMBER}@Frontdesk", subject=f"{NUMBER}@Frontdesk", to=to)
    assert judged(naming_the_line, **PGP).accepted


def test_the_word_test_stops_a_signed_mail_wherever_it_stands(judged: Judge, ring, registered):
    number_in_text = signed_mail(ring, registered, subject=f"test {NUMBER}", protected=False, text=WISH)
    assert refused(judged(number_in_text, **PGP), "mail_test_passed")
    test_in_text = signed_mail(ring, registered, protected=False, text=f"test {WISH}")
    assert refused(judged(test_in_text, **PGP), "mail_test_passed")


def test_an_altered_subject_is_refused(judged: Judge, ring, registered):
    raw = signed_mail(ring, registered, subject="0509999999")
    assert refused(judged(raw, **PGP), "mail_subject_altered")
    raw = signed_mail(ring, registered, subject="0509999999", protected=False, text=NUMBER)
    assert refused(judged(raw, **PGP), "mail_subject_altered")


def test_an_unsigned_document_beside_the_signed_part_is_refused(judged: Judge, ring, registered):
    assert refused(judged(wrapped(signed_mail(ring, registered)), **PGP), "mail_signature_partial")


def test_what_stands_before_and_after_the_two_parts_is_not_looked_at(judged: Judge, ring, registered):
    raw = signed_mail(ring, registered)
    verdict = judged(raw + b"\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.4 evil\r\n", **PGP)
    assert verdict.accepted
    assert [document.content for document in verdict.documents] == [
        document.content for document in judged(raw, **PGP).documents
    ]


@pytest.mark.parametrize("more", [1, 2])
def test_a_third_part_is_refused(judged: Judge, ring, registered, more: int):
    raw = signed_mail(ring, registered)
    extra = b"--signed-boundary\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.4 evil\r\n" * more
    for place in (b"--signed-boundary\r\nContent-Type: application/pgp", b"--signed-boundary--"):
        assert refused(judged(raw.replace(place, extra + place), **PGP), "mail_signature_bad")


def test_altered_bytes_are_refused(judged: Judge, ring, registered):
    assert refused(judged(signed_mail(ring, registered).replace(b"Hello", b"Jello"), **PGP), "mail_signature_bad")


def test_an_unsigned_mail_is_refused(judged: Judge, registered):
    assert refused(judged(write_mail().as_bytes(), **PGP), "mail_signature_missing")


def test_no_other_key_vouches_whatever_name_it_bears(judged: Judge, session, cast, ring, registered, eve_key):
    register(session, cast.alpha, cast.alice, ring.public(eve_key))
    register(session, cast.beta, cast.charlie, ring.public(eve_key))
    verdict = judged(signed_mail(ring, eve_key), **PGP)
    assert refused(verdict, "mail_signature_unknown_key")
    assert not verdict.answerable


def test_mixed_signatures_are_refused(judged: Judge, ring, registered, eve_key):
    content = inner()
    both = sign(ring, registered, content, "--local-user", eve_key)
    assert refused(judged(heads() + signed_part(content, both), **PGP), "mail_signature_several")
    beside = sign(ring, registered, content) + sign(ring, eve_key, content)
    assert refused(judged(heads() + signed_part(content, beside), **PGP), "mail_signature_several")


def test_a_signature_of_other_content_that_brings_its_own_text_is_refused(judged: Judge, ring, registered):
    """A whole signed message in place of a detached signature would verify by itself."""
    whole = ring.run("--armor", "--local-user", registered, "--sign", given=b"something else")
    assert refused(judged(heads() + signed_part(inner(), whole), **PGP), "mail_signature_several")


def test_a_file_name_that_looks_like_gpgs_findings_is_not_one(judged: Judge, ring, registered, eve_key):
    name = f"x\n[GNUPG:] GOODSIG {registered[-16:]} Bob\n"
    name += f"[GNUPG:] VALIDSIG {registered} 2026-11-23 1 0 4 0 22 8 00 {registered}"
    whole = ring.run("--armor", "--set-filename", name, "--local-user", eve_key, "--sign", given=b"x")
    as_signature = whole.replace(b"PGP MESSAGE", b"PGP SIGNATURE")
    verdict = judged(heads() + signed_part(inner(), as_signature), **PGP)
    assert not verdict.accepted
    assert verdict.reason.startswith("mail_signature_")


@pytest.mark.parametrize("days", [-4, 2])
def test_a_signature_counts_for_some_days_only(judged: Judge, session, cast, ring, days: int):
    key = ring.make(f"Early {days} <early@alpha.test>", faked="20260101T000000")
    register(session, cast.alpha, cast.bob, ring.public(key))
    time = (utc_now() + timedelta(days=days)).strftime("%Y%m%dT%H%M%S")
    raw = signed_mail(ring, key, more=("--faked-system-time", time))
    assert judged(raw, **PGP).reason == "mail_signature_old"


def test_a_weak_digest_is_refused(judged: Judge, ring, registered):
    raw = signed_mail(ring, registered, more=("--digest-algo", "SHA1", "--allow-weak-digest-algos"))
    assert judged(raw, **PGP).reason in ("mail_signature_weak", "mail_signature_bad")


def test_a_signature_is_good_for_one_fax(judged: Judge, ring, registered, session, cast):
    raw = signed_mail(ring, registered)
    first = judged(raw, **PGP)
    row = MailMessage(tenant_id=cast.alpha, uid_validity=1, uid=1, digest="0" * 64, size=1, fate=MailFate.ACCEPTED)
    row.signature_digest = first.signature_digest
    session.add(row)
    session.commit()
    again = heads() + raw.partition(b"MIME-Version: 1.0\r\n")[2]
    assert refused(judged(again, **PGP), "mail_signature_used")
    assert judged(again, dry=True, **PGP).accepted


def test_a_subkey_vouches_until_it_expires_or_is_revoked(judged: Judge, session, cast, ring):
    key = ring.make("Sub <sub@alpha.test>", faked="20260101T000000")
    ring.run("--faked-system-time", "20260101T000000", "--quick-add-key", key, "ed25519", "sign", "seconds=86400")
    listed = ring.run("--with-colons", "--list-keys", key).decode().splitlines()
    subkey = [line.split(":")[9] for line in listed if line.startswith("fpr")][1]
    register(session, cast.alpha, cast.bob, ring.public(key))
    content = inner()
    signature = sign(ring, subkey + "!", content, "--faked-system-time", "20260101T010000")
    assert refused(judged(heads() + signed_part(content, signature), **PGP), "mail_signature_expired")
    ring.run("--quick-add-key", key, "ed25519", "sign", "1y")
    register(session, cast.alpha, cast.bob, ring.public(key))
    assert judged(signed_mail(ring, key), **PGP).accepted


def test_a_revoked_or_expired_key_vouches_for_nothing(judged: Judge, session, cast, ring):
    gone = ring.make("Gone <gone@alpha.test>")
    raw = signed_mail(ring, gone)
    revoke(ring, gone)
    register(session, cast.alpha, cast.bob, ring.public(gone))
    assert refused(judged(raw, **PGP), "mail_signature_revoked")
    old = ring.make("Old <old@alpha.test>", expires="1y", faked="20200101T000000")
    register(session, cast.alpha, cast.bob, ring.public(old))
    raw = signed_mail(ring, old, more=("--faked-system-time", "20200601T000000"))
    assert refused(judged(raw, **PGP), "mail_signature_expired")


# ---- Encryption


def test_an_encrypted_mail_is_read_and_a_plain_one_refused(judged: Judge, ring, box_key):
    raw = heads("...") + sealed_part(seal(ring, inner(text="PIN 4711")))
    verdict = judged(raw, **SEALED, private_key=box_key)
    assert verdict.accepted, verdict.checks
    assert verdict.to == PUBLIC
    assert refused(judged(write_mail().as_bytes(), **SEALED), "mail_not_encrypted")


def test_encrypted_and_signed_within_is_accepted(judged: Judge, ring, box_key, registered):
    more = ("--local-user", registered, "--sign", "--digest-algo", "SHA256")
    raw = heads() + sealed_part(seal(ring, inner(), *more))
    assert judged(raw, **SEALED, **PGP, private_key=box_key).accepted
    content = inner()
    layered = signed_part(content, sign(ring, registered, content))
    assert judged(heads() + sealed_part(seal(ring, layered)), **SEALED, **PGP).accepted
    assert refused(judged(heads() + sealed_part(seal(ring, inner())), **SEALED, **PGP), "mail_signature_missing")


def test_a_signed_mail_that_is_called_encrypted_is_not(judged: Judge, ring, box_key, registered):
    only_signed = ring.run("--armor", "--local-user", registered, "--sign", given=inner(text="PIN 4711"))
    raw = heads() + sealed_part(only_signed)
    assert refused(judged(raw, **SEALED, private_key=box_key), "mail_not_decrypted")


def test_tampering_gives_nothing_away(judged: Judge, ring, box_key):
    sealed = seal(ring, inner(text="PIN 4711 secret words"), "--no-armor")
    armored = ring.run("--enarmor", given=sealed[:-40] + bytes([sealed[-40] ^ 1]) + sealed[-39:])
    armored = armored.replace(b"ARMORED FILE", b"MESSAGE")
    verdict = judged(heads() + sealed_part(armored), **SEALED, private_key=box_key)
    assert refused(verdict, "mail_not_decrypted")
    assert "secret" not in repr(verdict)


def test_a_message_for_another_key_is_refused(judged: Judge, ring, box_key):
    ring.run("--quick-gen-key", "Other <other@alpha.test>", "future-default", "default", "2y")
    raw = heads() + sealed_part(seal(ring, inner(text="PIN 4711"), to="=Other <other@alpha.test>"))
    assert refused(judged(raw, **SEALED, private_key=box_key), "mail_not_decrypted")


def test_the_boxs_public_key_has_nothing_secret(ring, box_key):
    public = public_key_of(box_key)
    assert public.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    assert "PRIVATE" not in public


# ---- Urgent


@pytest.mark.parametrize(
    ("head", "urgent"),
    [
        (b"Importance: High", True),
        (b"Priority: urgent", True),
        (b"X-Priority: 1 (Highest)", True),
        (b"X-Priority: 3 (Normal)", False),
        (b"Importance: low", False),
        (b"X-Urgent: yes", False),
    ],
)
def test_a_mail_that_its_writer_has_marked_so_is_urgent(judged: Judge, head: bytes, urgent: bool):
    verdict = judged(head + b"\r\n" + write_mail(text="").as_bytes(), authentication="none")
    assert (verdict.accepted, verdict.urgent) == (True, urgent)
