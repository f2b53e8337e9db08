"""Which emails that were handed in are one wish, and which are two."""

import random
from email.message import EmailMessage

import pytest

from app.services.mail2fax.wishes import wish_digest


def written(*, boundary: str = "first", **changes: str) -> EmailMessage:
    head = {
        "From": "Bob <bob@alpha.test>",
        "Subject": "Invoice",
        "Date": "Tue, 1 Dec 2026 10:00:00 +0100",
    }
    message = EmailMessage()
    for name, value in (head | {"Message-ID": "<1@alpha.test>"} | changes).items():
        if value and name not in ("text", "content", "filename"):
            message[name] = value
    message.set_content(changes.get("text", "Please send this.\n"))
    content = changes.get("content", "%PDF-1.7 one").encode()
    message.add_attachment(content, maintype="application", subtype="pdf", filename=changes.get("filename", "a.pdf"))
    message.set_boundary(boundary)
    return message


def same(one: bytes, other: bytes) -> bool:
    return wish_digest(one) == wish_digest(other)


def test_what_a_program_writes_anew_with_each_try_makes_no_second_wish():
    first = written().as_bytes()
    again = written(boundary="second", Date="Tue, 1 Dec 2026 11:30:00 +0100", Received="from a by b").as_bytes()
    assert same(first, again)
    assert same(first, first.replace(b"\n", b"\r\n"))
    assert same(first, first.replace(b"Subject: Invoice", b"Subject:\n =?utf-8?q?Invoice?="))


def test_another_transfer_encoding_on_the_way_makes_no_second_wish():
    whole, encoded = EmailMessage(), EmailMessage()
    for message, way in ((whole, "8bit"), (encoded, "base64")):
        message["From"], message["Message-ID"] = "bob@alpha.test", "<1@alpha.test>"
        message.set_content("Grüße\n", cte=way)
    assert same(whole.as_bytes(), encoded.as_bytes())


@pytest.mark.parametrize(
    "changes",
    [
        {"Message-ID": "<2@alpha.test>"},
        {"From": "alice@alpha.test"},
        {"Subject": "Another invoice"},
        {"text": "Please send that.\n"},
        {"content": "%PDF-1.7 two"},
        {"filename": "b.pdf"},
        {"Auto-Submitted": "auto-generated"},
    ],
    ids=str,
)
def test_what_a_person_writes_anew_is_a_second_wish(changes: dict[str, str]):
    assert not same(written().as_bytes(), written(**changes).as_bytes())


def test_without_a_message_id_the_date_tells_a_document_that_is_sent_once_more():
    nameless = {"Message-ID": ""}
    assert same(written(**nameless).as_bytes(), written(boundary="second", **nameless).as_bytes())
    later = nameless | {"Date": "Tue, 1 Dec 2026 11:00:00 +0100"}
    assert not same(written(**nameless).as_bytes(), written(**later).as_bytes())


def test_nothing_runs_into_what_is_next():
    one, other = written(text="ab\n", filename="c").as_bytes(), written(text="a\n", filename="bc").as_bytes()
    assert not same(one, other)


def test_whatever_bytes_come_have_a_digest_and_the_same_ones_the_same():
    chance = random.Random(7)
    good = written().as_bytes()
    for _ in range(300):
        raw = bytearray(good)
        for _ in range(chance.randrange(1, 20)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        assert len(wish_digest(bytes(raw))) == 64
        assert wish_digest(bytes(raw)) == wish_digest(bytes(raw))
    forwarded = b"From: a@b.test\nContent-Type: message/rfc822\n\n" + good
    assert not same(forwarded, forwarded.replace(b"Please", b"Do not"))
