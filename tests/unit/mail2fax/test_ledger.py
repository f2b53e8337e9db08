"""What makes two deliveries one mail, and which name it has."""

from hypothesis import given
from hypothesis import strategies as st

from app.adapters.servers.hosts import _at_port
from app.rules.mail2fax.ledger import FIRST_DELAY, LONGEST_DELAY, delay_after, message_digest, message_id

MAIL = b"""From: Bob <bob@alpha.test>\r
To: fax@alpha.test\r
Subject: 0501234567\r
Message-ID: <1@alpha.test>\r
Content-Type: text/plain;\r
 charset=utf-8\r
\r
4711\r
"""


def test_what_servers_add_on_the_way_does_not_make_another_mail():
    trace = b"Return-Path: <bob@alpha.test>\r\nReceived: by a;\r\n Mon, 1 Jan 2026\r\nX-Spam: no\r\n"
    assert message_digest(trace + MAIL) == message_digest(MAIL)
    assert message_digest(MAIL.replace(b"\r\n", b"\n") + b"\n\n") == message_digest(MAIL)


def test_what_the_sender_wrote_does():
    for old, new in ((b"4711", b"4712"), (b"<1@", b"<2@"), (b"0501234567", b"0501234568"), (b"Bob", b"Rob")):
        assert message_digest(MAIL.replace(old, new)) != message_digest(MAIL), new
    assert message_digest(b"Subject: 1\r\n" + MAIL) != message_digest(MAIL)


def test_a_body_that_looks_like_a_header_is_body():
    assert message_digest(MAIL + b"\r\nReceived: x\r\n") != message_digest(MAIL)


@given(st.binary(max_size=400))
def test_any_bytes_have_a_digest_and_a_name_that_is_no_header(raw: bytes):
    assert len(message_digest(raw)) == 64
    name = message_id(raw)
    assert name.isprintable()
    assert name.isascii()
    assert len(name) <= 255


def test_a_message_id_is_taken_only_if_an_answer_may_name_it():
    assert message_id(MAIL) == "<1@alpha.test>"
    assert message_id(MAIL.replace(b"<1@alpha.test>", b"\r\n <folded@alpha.test>")) == "<folded@alpha.test>"
    assert message_id(b"Subject: x\n\nMessage-ID: <in@body>\n") == ""
    assert message_id(b"Message-ID: <a\x00b@c>\n\n") == ""
    assert message_id(b"Message-ID: <" + b"a" * 300 + b"@c>\n\n") == ""


def test_a_box_that_fails_is_asked_less_and_less_often_but_never_given_up():
    delays = [delay_after(failures) for failures in range(1, 100)]
    assert delays[0] == FIRST_DELAY
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY


def test_a_host_may_be_permitted_at_one_port_only():
    assert _at_port("127.0.0.1:1143", 1143) == "127.0.0.1"
    assert _at_port("127.0.0.1:1143", 6379) == ""
    assert _at_port("127.0.0.1", 6379) == "127.0.0.1"
    assert _at_port("10.0.0.0/8", 143) == "10.0.0.0/8"
    assert _at_port("::1", 143) == "::1"
