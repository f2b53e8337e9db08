"""Mails as programs and gateways of this world write them: what a person sent becomes the fax that it was meant as."""

import base64
from collections.abc import Callable
from email.header import Header

import pytest

from app.adapters.documents.office_sources import decoded
from app.services.mail2fax.judging import Verdict
from app.services.mail2fax.mail_parts import parse, sender_of, twice
from tests.db.mail_attacks import Judge, refused
from tests.db.mails import NUMBER, PUBLIC
from tests.waiting import little_work
from tests.web.cast import pdf_bytes

#: Kind, further headers with their ends of lines, content; or the text of a multipart.
Piece = tuple[str, str, str] | str
PIN = ("text/plain; charset=utf-8", "", "PIN 4711")
LETTER = base64.encodebytes(pdf_bytes()).decode()
LETTER_PART = (
    'application/pdf; name="letter.pdf"',
    'Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="letter.pdf"\n',
    LETTER,
)
GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def part(kind: str, head: str, content: str) -> str:
    return f"Content-Type: {kind}\n{head}\n{content}\n"


def joined(kind: str, *parts: Piece, edge: str = "b") -> str:
    inner = [piece if isinstance(piece, str) else part(*piece) for piece in parts]
    body = "".join(f"--{edge}\n{piece}" for piece in inner)
    return f'Content-Type: multipart/{kind}; boundary="{edge}"\n\n{body}--{edge}--\n'


def mail(
    *parts: tuple[str, str, str] | str, sender: str = "bob@alpha.test", subject: str = NUMBER, head: str = ""
) -> bytes:
    top = (
        f"From: {sender}\nTo: fax@alpha.test\nSubject: {subject}\nMessage-ID: <1@alpha.test>\n{head}MIME-Version: 1.0\n"
    )
    return (top + joined("mixed", *(parts or (PIN, LETTER_PART)))).encode()


@pytest.fixture
def faxed(judged: Judge) -> Callable[..., Verdict]:
    def judge(raw: bytes) -> Verdict:
        return judged(raw, authentication="pin")

    return judge


# ---- The sender


@pytest.mark.parametrize(
    "sender",
    [
        "Dr. Bob Rossi <bob@alpha.test>",
        '"Rossi, Bob" <bob@alpha.test>',
        "=?iso-8859-1?Q?B=FCrle, =20Bob?= <bob@alpha.test>",
        '"=?utf-8?Q?B=C3=BCrle=2C_Bob?=" <bob@alpha.test>',
        "bob@alpha.test <bob@alpha.test>",
        '"bob@alpha.test" <bob@alpha.test>',
        "[Sales] Bob <bob@alpha.test>",
        "Bob (Pisa) <bob@alpha.test>",
        "bob@alpha.test (Bob Rossi)",
        "<bob@alpha.test>",
        "Bob B\u00fcrle <bob@alpha.test>",
        "Bob <bob@alpha.test>\nFrom: Bob <bob@alpha.test>",
    ],
)
def test_a_badly_written_name_is_no_doubt_about_the_address(faxed, sender: str):
    assert faxed(mail(sender=sender)).accepted


@pytest.mark.parametrize(
    "sender",
    [
        "bob@alpha.test, alice@alpha.test",
        "Bob <bob@alpha.test>, Alice <alice@alpha.test>",
        "alice@alpha.test <bob@alpha.test>",
        "<alice@alpha.test> <bob@alpha.test>",
        "Us: bob@alpha.test;",
        "bob@alpha.test\nFrom: alice@alpha.test",
        "Rossi, Bob <bob@alpha.test>",
        "bob@alpha.test <bob@alpha.test> x",
        "Bob <bob@alpha.test",
        "=?utf-8?q?bob=40alpha.test?=",
        '"bob"@alpha.test',
        "",
    ],
)
def test_where_there_could_be_two_senders_there_is_none(sender: str):
    assert sender_of(parse(mail(sender=sender))) is None


def test_a_header_that_says_the_same_twice_is_one(faxed):
    assert faxed(mail(head="MIME-Version: 1.0\n")).accepted
    assert twice(parse(mail(head="Subject: 0501111111\n"))) == "Subject"


def test_a_line_that_a_gateway_broke_hides_no_header_below_it(faxed):
    assert faxed(mail(head="X-Scan: a long value that\nbroke;into a line\nX-Blank : before the colon\n")).accepted


# ---- Parts


@pytest.mark.parametrize("encoding", ["BASE64 ", "base64 (as ever)", '"base64"', "base64;"])
def test_an_encoding_is_known_whatever_stands_around_it(faxed, encoding: str):
    kind, head, content = LETTER_PART
    letter = (kind, head.replace("base64", encoding), content)
    verdict = faxed(mail(PIN, letter))
    assert (verdict.accepted, [document.content for document in verdict.documents]) == (True, [pdf_bytes()])


BESIDE = {
    "Exchange's rest of the text": (
        'text/html; name="ATT00001.htm"',
        'Content-Disposition: attachment; filename="ATT00001.htm"\n',
        "<html><body><br><div>Sent from my iPhone</div></body></html>",
    ),
    "a footer": (
        "text/plain; charset=us-ascii",
        "Content-Disposition: inline\n",
        "_______\nConfidential.",
    ),
    "a resource fork": (
        'application/applefile; name="%letter.pdf"',
        'Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="%letter.pdf"\n',
        "AAUWBwACAAA=",
    ),
    "an invitation": ("text/calendar; method=REQUEST", "", "BEGIN:VCALENDAR\nEND:VCALENDAR"),
    "a copy of the headers": ("text/rfc822-headers; protected-headers=v1", "", "Subject: 1"),
}


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE.keys())
def test_what_nobody_attached_is_not_faxed_and_harms_nothing(faxed, beside: tuple[str, str, str]):
    verdict = faxed(mail(PIN, LETTER_PART, beside))
    assert (verdict.accepted, [document.name for document in verdict.documents]) == (True, ["letter.pdf"])


@pytest.mark.parametrize(
    "kind",
    ["text/enriched", "text/richtext", "application/rtf", "text/x-amp-html", "text/watch-html", "text/markdown"],
)
def test_the_same_text_in_another_form_is_no_document(faxed, kind: str):
    other = (kind, "", "{\\rtf1 PIN 4711}" if kind.endswith("rtf") else "<bold>PIN</bold> 4711")
    verdict = faxed(mail(joined("alternative", PIN, other, edge="a"), LETTER_PART))
    assert (verdict.accepted, [document.name for document in verdict.documents]) == (True, ["letter.pdf"])


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("logo.gif", "Content-ID: <_1_0A>\n"),
        ("image001.wmz", "Content-ID: <2>\n"),
        ("a.gif", "Content-Location: x/a.gif\n"),
    ],
)
def test_what_the_page_shows_is_no_document_whatever_its_type_says(faxed, name: str, head: str):
    page = ("text/html", "", "<p>PIN 4711</p>")
    logo = (f'application/octet-stream; name="{name}"', f"Content-Transfer-Encoding: base64\n{head}", GIF)
    verdict = faxed(mail(joined("related", page, logo, edge="r"), LETTER_PART))
    assert (verdict.accepted, [document.name for document in verdict.documents]) == (True, ["letter.pdf"])


def test_a_picture_that_a_person_attached_is_a_document(faxed):
    scan = (
        'image/gif; name="scan.gif"',
        'Content-Transfer-Encoding: base64\nContent-ID: <9>\nContent-Disposition: attachment; filename="scan.gif"\n',
        GIF,
    )
    assert "scan.gif" in [check.values.get("names", "") for check in faxed(mail(PIN, scan)).checks]


def test_a_picture_that_a_program_calls_inline_and_no_page_shows_is_a_document(faxed):
    photo = (
        'image/jpeg; name="image0.jpeg"',
        'Content-Transfer-Encoding: base64\nContent-Disposition: inline; filename="image0.jpeg"\n',
        base64.b64encode(b"\xff\xd8\xff\xe0 photograph").decode(),
    )
    verdict = faxed(mail(PIN, photo, LETTER_PART, ("text/plain", "", "Sent from my iPhone")))
    assert [document.name for document in verdict.documents] == ["image0.jpeg", "letter.pdf"]
    shown = (photo[0], photo[1] + "Content-ID: <1@alpha.test>\n", photo[2])
    assert [document.name for document in faxed(mail(PIN, shown, LETTER_PART)).documents] == ["letter.pdf"]


def test_what_is_attached_to_each_of_the_alternatives_is_faxed_once(faxed):
    page = ("text/html", "", "<p>PIN 4711</p>")
    twice_there = joined("mixed", PIN, LETTER_PART, edge="p"), joined("mixed", page, LETTER_PART, edge="h")
    assert len(faxed(mail(joined("alternative", *twice_there, edge="a"))).documents) == 1
    once_each = joined("alternative", PIN, joined("mixed", page, LETTER_PART, LETTER_PART, edge="h"), edge="a")
    assert len(faxed(mail(once_each)).documents) == 2
    assert len(faxed(mail(PIN, LETTER_PART, LETTER_PART)).documents) == 2


@pytest.mark.parametrize(
    ("charset", "content"),
    [
        ("windows-1251", "Привет".encode("cp1251")),
        ("utf-16le", "Привет".encode("utf-16le")),
        ("iso-2022-jp", "今日".encode("iso-2022-jp")),
        ("iso-8859-1", "Привет".encode()),
        ("us-ascii", "Привет".encode()),
        ("iso-8859-1", "100 € “net”".encode("cp1252")),
        ("us-ascii", "100 € “net”".encode("cp1252")),
        ("iso-8859-1", "Привет".encode("utf-16")),
        ("unicode_escape", rb"C:\x31\n"),
        ("nobody-knows", "Привет".encode()),
    ],
)
def test_a_text_is_faxed_in_the_letters_that_the_email_says(faxed, charset: str, content: bytes):
    head = 'Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="note.txt"\n'
    (document,) = faxed(
        mail(PIN, (f"text/plain; charset={charset}", head, base64.b64encode(content).decode()))
    ).documents
    assert decoded(document.content) in ("Привет", "今日", "100 € “net”", r"C:\x31\n")


def test_what_only_python_calls_a_charset_takes_no_time(faxed):
    head = 'Content-Disposition: attachment; filename="note.txt"\n'
    with little_work(5):
        verdict = faxed(mail(PIN, ("text/plain; charset=punycode", head, "1" * 2_000_000)))
    assert [document.content for document in verdict.documents] == [b"1" * 2_000_000]


def test_what_is_no_text_stays_as_it_is_whatever_charset_is_said(faxed):
    _kind, head, content = LETTER_PART
    (document,) = faxed(mail(PIN, ("text/plain; charset=iso-8859-1", head, content))).documents
    assert document.content == pdf_bytes()


def test_what_lost_a_letter_of_its_base64_is_not_faxed_as_what_is_left(faxed):
    head = 'Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="note.txt"\n'
    packed = base64.b64encode(b"Twelve signs").decode()
    assert refused(faxed(mail(PIN, ("text/plain", head, packed[:-3]))), "mail_attachment_damaged")


def test_parts_that_cannot_be_told_apart_are_not_faxed_as_they_came(faxed):
    scattered = 'Content-Type: multipart/mixed; boundary="lost"\n\n--other\nContent-Type: text/plain\n\nPIN 4711\n'
    assert refused(faxed(mail(PIN, LETTER_PART, scattered)), "mail_attachment_damaged")


def tnef(*attributes: tuple[int, bytes, bytes]) -> tuple[str, str, str]:
    """As Outlook writes it (MS-OXTNEF, 2.1.3): level, name and content of each attribute, and a sum of its bytes."""
    rows = [
        bytes([level])
        + name
        + len(content).to_bytes(4, "little")
        + content
        + (sum(content) & 0xFFFF).to_bytes(2, "little")
        for level, name, content in attributes
    ]
    packed = base64.encodebytes(b"\x78\x9f\x3e\x22\x01\x00" + b"".join(rows)).decode()
    head = 'Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="ATT00001.dat"\n'
    return "application/octet-stream", head, packed


def test_a_document_that_outlook_packed_is_not_left_out_beside_another(faxed):
    version, content = (1, b"\x06\x90\x08\x00", b"\0\0\1\0"), (2, b"\x0f\x80\x06\x00", pdf_bytes())
    assert refused(faxed(mail(PIN, LETTER_PART, tnef(version, content))), "mail_winmail")
    assert refused(faxed(mail(PIN, tnef(version))), "mail_winmail")
    assert faxed(mail(PIN, LETTER_PART, tnef(version))).accepted, "only the text in another form"


# ---- The PIN in what a person typed


@pytest.mark.parametrize(
    "parts",
    [
        (('text/plain; charset=us-ascii; name="text.txt"', "", "PIN 4711"),),
        (("text/html", "", "<html><head><title>x</title><body><p>PIN 4711</p>"),),
        (("text/html", "", "<p>PIN 4711</p>"), BESIDE["a footer"]),
        (("text/plain", "", ""), ("text/html", "", "<p>PIN 4711</p>")),
        (joined("alternative", ("text/plain", "", "*PIN 4711*"), ("text/html", "", "<b>PIN 4711</b>"), edge="a"),),
        (
            ("text/plain", "", "See below."),
            LETTER_PART,
            (
                'text/plain; name="ATT00001.txt"',
                'Content-Disposition: attachment; filename="ATT00001.txt"\n',
                "PIN 4711",
            ),
        ),
    ],
    ids=["a name", "an open head", "a footer", "an empty text", "bold", "below the document"],
)
def test_the_pin_is_found_wherever_a_program_has_put_the_text(faxed, parts: tuple[Piece, ...]):
    documents = () if LETTER_PART in parts else (LETTER_PART,)
    verdict = faxed(mail(*parts, *documents))
    assert (verdict.accepted, len(verdict.documents)) == (True, 1), verdict.checks


# ---- The number


@pytest.mark.parametrize(
    ("subject", "to"),
    [
        ("050\u00a01234567", PUBLIC),
        ("Re: 050 1234567", PUBLIC),
        ("+39 (0)50 1234567", PUBLIC),
        ("0039 050 1234567", PUBLIC),
        ("050/1234567", PUBLIC),
        ("0" + NUMBER, PUBLIC),  # as our own mails show it
    ],
)
def test_a_number_is_the_same_in_every_spelling(faxed, subject: str, to: str):
    verdict = faxed(mail(subject=subject))
    assert (verdict.accepted, verdict.to) == (True, to), verdict.checks


@pytest.mark.parametrize("subject", ["050 965564/5", "050 965564 / 965565", "+39 050 965564/5", "501/502"])
def test_two_numbers_are_asked_back_and_never_dialled(faxed, subject: str):
    verdict = faxed(mail(subject=subject))
    assert refused(verdict, "number_several")
    assert verdict.answerable


def test_a_number_that_could_be_two_is_asked_back(faxed):
    assert refused(faxed(mail(subject="00498123456")), "number_ambiguous")


def test_smime_is_told_as_such(judged: Judge):
    raw = mail().replace(b"Content-Type: multipart/mixed;", b"Content-Type: application/pkcs7-mime;", 1)
    assert refused(judged(raw, authentication="pin"), "mail_smime")


def test_smime_is_told_as_such_whatever_a_gateway_made_of_it(faxed):
    head = 'Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="smime.p7m"\n'
    for kind in ("application/octet-stream", "application/pkcs7-mime; smime-type=enveloped-data"):
        sealed = (kind, head, "MIAGCSqGSIb3DQEHA6CA")
        assert refused(faxed(mail(sealed, ("text/plain", "", "Confidential."))), "mail_smime")


@pytest.mark.parametrize("unseen", ["\u200b", "\u2060", "\u00ad", "\u202a"])
def test_a_pin_with_signs_in_it_that_nobody_sees_stands_in_no_log_and_in_no_answer(faxed, unseen: str):
    written = unseen.join("4711")
    head = f'Content-Disposition: attachment; filename="{Header(f"{written}.gz").encode()}"\n'
    verdict = faxed(mail(PIN, ("application/gzip", head, "text"), subject=Header(f"Fax, {written}").encode()))
    told = repr((verdict.subject_shown, verdict.checks))
    assert "4711" not in "".join(sign for sign in told if sign.isalnum())
    assert verdict.subject_shown == "Fax, ••••"
