"""What a carrier's support may see of a SIP message."""

import random
import re

import pytest

from app.adapters.telephony import sip
from app.adapters.telephony.sip import LONGEST_LINE, LONGEST_PART, Refusal, read_message, read_refusal, shortened

OFFER = """v=0
o=- 1 1 IN IP4 192.0.2.1
s=Asterisk
c=IN IP4 192.0.2.1
t=0 0
k=clear:thekey
m=audio 31472 RTP/SAVP 8
a=rtpmap:8 PCMA/8000
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=key-mgmt:mikey AQAFgM0XflABAAAAAAAAAAAAAAsAyONQ6gAAAAAGEEoo2pee4hp2
a=ice-pwd:asd88fgpdd777uzjYhagZg
a=sendrecv
m=image 4000 udptl t38
a=T38FaxVersion:0
a=T38MaxBitRate:14400
"""
INVITE = (
    """INVITE sip:+493023125000@carrier.example SIP/2.0
Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1
f: "Alpha" <sip:joe:hunter2@carrier.example>;tag=aaa
To: <sip:+493023125000@carrier.example>
i: call-1
CSeq: 17 INVITE
Authorization: Digest username="joe", realm="carrier", nonce="n", response="0123456789abcdef"
Proxy-Authorization: Digest username="joe",
 response="fedcba9876543210"
P-Asserted-Identity: <sip:+390509655637@carrier.example>
Contact: <sip:joe@192.0.2.1:5061?Authorization=Digest%20hunter3>
X-Api-Key: hunter4
Identity: eyJhbGciOiJFUzI1NiIs
Content-Type: application/sdp
Content-Length: 400

"""
    + OFFER
)


def raw(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def shown(text: str) -> str:
    read = read_message(raw(text))
    assert read is not None
    return "\n".join([read.first, *read.lines])


def test_what_support_asks_for_is_shown() -> None:
    text = shown(INVITE)
    for line in (
        "INVITE sip:+493023125000@carrier.example SIP/2.0",
        "Call-ID: call-1",
        "CSeq: 17 INVITE",
        "P-Asserted-Identity: <sip:+390509655637@carrier.example>",
        "m=audio 31472 RTP/SAVP 8",
        "a=rtpmap:8 PCMA/8000",
        "a=T38MaxBitRate:14400",
    ):
        assert line in text


def test_nothing_that_proves_an_account_and_no_key_is_shown() -> None:
    text = shown(INVITE)
    secrets = ("hunter", "0123456789abcdef", "fedcba", "inline", "thekey", "mikey", "asd88", "eyJ", "Digest", "nonce")
    for secret in secrets:
        assert secret not in text
    assert 'From: "Alpha" <sip:joe:…@carrier.example>;tag=aaa' in text
    assert "[4 lines not shown]" in text


def test_content_that_is_no_session_description_is_not_shown() -> None:
    text = shown(INVITE.replace("application/sdp", "multipart/mixed;boundary=x"))
    assert text.endswith("[content not shown]")
    assert "m=audio" not in text


def test_a_password_with_signs_in_it_is_hidden_whole() -> None:
    told = INVITE.replace("joe:hunter2@", "joe:hun@ter:2@")
    assert "ter:2" not in shown(told)
    assert "hun@" not in shown(told)


def test_a_response_belongs_to_the_method_that_it_answers() -> None:
    read = read_message(raw("SIP/2.0 486 Busy Here\nf: <sip:a@b>;tag=x\nt: <sip:c@d>;tag=y\ni: 1\nCSeq: 3 INVITE\n\n"))
    assert read is not None
    assert (read.first, read.method, read.is_request, read.from_tag) == ("SIP/2.0 486 Busy Here", "INVITE", False, "x")
    assert (read.caller, read.called) == ("a", "c")


def test_what_is_no_sip_is_nothing() -> None:
    for noise in (b"", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff" * 700):
        assert read_message(noise) is None


def test_a_message_cannot_write_on_the_page_or_the_terminal() -> None:
    told = INVITE.replace('"Alpha"', '"\x1b[2J\x07\u202e\ud7ff"').replace("joe:hunter2", "j")
    assert not set("\x1b\x07") & set(shown(told))


def test_a_broken_message_shows_no_secret_either() -> None:
    """Cut, doubled and shuffled bytes: what is listed is shown, so that no damage turns a key into something shown."""
    chance, whole = random.Random(22), raw(INVITE)
    for _ in range(400):
        at, upto = sorted(chance.sample(range(len(whole)), 2))
        broken = whole[:at] + whole[upto:] + whole[at : at + chance.randrange(40)]
        read = read_message(broken)
        text = "\n".join((read.first, *read.lines)) if read else ""
        assert "a=crypto" not in text
        assert not any(line.startswith(("Authorization", "Proxy-Authorization")) for line in text.splitlines())


def test_of_a_stranger_s_long_header_no_more_is_looked_at_than_of_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asterisk takes 65,535 bytes from anybody, before it asks who that is."""
    looked_at = list[int]()

    def counted(run: str) -> str:
        looked_at.append(len(run))
        return run

    monkeypatch.setattr(sip, "_without_secrets", counted)
    for value in ("sip:" * 15_000, "sip:a?" * 10_000, "<sip:a:b>;tag=" * 4_000, ";tag" * 15_000):
        for name in ("Contact", "From", "To", "P-Asserted-Identity"):
            looked_at.clear()
            read_message(raw(f"INVITE sip:a@b SIP/2.0\n{name}: {value}\nCall-ID: 1\n\n"))
            assert sum(looked_at) <= 3 * LONGEST_LINE
    looked_at.clear()
    read_message(raw("INVITE sip:a@b SIP/2.0\n" + f"Contact: {'sip:' * 90}\n" * 500 + "\n" + "s=sip:\n" * 9_000))
    assert sum(looked_at) <= 2 * LONGEST_PART


def test_a_message_is_kept_as_far_as_it_is_looked_at() -> None:
    whole = raw("INVITE sip:a@b SIP/2.0\n" + "Contact: <sip:a@b>\n" * 3_000 + "\n" + "a=x\n" * 9_000)
    assert len(shortened(whole)) <= 2 * LONGEST_PART + 6
    assert read_message(shortened(whole)) == read_message(whole)
    assert shortened(raw(INVITE)) == raw(INVITE)


def test_where_a_message_is_cut_no_half_of_a_password_is_left() -> None:
    account = "<sip:joe:hunter2hunter2hunter2@carrier.example>"
    for length in range(LONGEST_LINE - 60, LONGEST_LINE + 10):
        assert "hunter" not in shown(f"INVITE sip:a@b SIP/2.0\nCall-ID: 1\nContact: {'x' * length} {account}\n\n")
        assert "hunter" not in shown(f"INVITE sip:a@b SIP/2.0\nCall-ID: 1\nContact: {'x' * length}{account[1:]}\n\n")
    for length in range(LONGEST_PART - 120, LONGEST_PART, 3):
        start = "INVITE sip:a@b SIP/2.0\nCall-ID: 1\n"
        assert "hunter" not in shown(f"{start}X: {'x' * (length - len(start))}\nContact: {account}\n\n")


def test_the_secret_of_our_calls_to_ourselves_is_never_shown() -> None:
    secret = "0123456789abcdef" * 2
    told = INVITE.replace("joe:hunter2@carrier.example", f"12@{secret}.invalid")
    told = told.replace("+390509655637@carrier.example", f"12@{secret.upper()}.INVALID")
    read = read_message(raw(told))
    assert read is not None
    assert read.is_own
    assert not re.search(secret, f"{read}", re.IGNORECASE)
    plain = read_message(raw(INVITE))
    assert plain is not None
    assert not plain.is_own


@pytest.mark.parametrize(
    ("reason", "cause", "text"),
    [
        ("Reason: Q.850;cause=17", 17, ""),
        ('reason: q.850 ; text="a;cause=3, b" ; cause = 34', 34, "a;cause=3, b"),
        ('Reason: SIP;cause=486;text="Busy", Q.850;cause=21', 21, "Busy"),
        ("Reason: SIP;cause=600\r\nReason: Q.850;cause=1", 1, ""),
        ('Reason: SIP;cause=603;text="Network Blocked";v=analytics1', None, "Network Blocked analytics1"),
        ("Reason: Q.850;because=17", None, ""),
        ("Subject: Q.850;cause=17", None, ""),
    ],
)
def test_a_refusal_tells_its_reason(reason: str, cause: int | None, text: str) -> None:
    for blank in (" ", "\t"):
        raw = f"SIP/2.0 503 Service Unavailable\r\ni: abc\r\nCSeq: 7{blank}INVITE\r\n{reason}\r\n\r\n"
        assert read_refusal(raw.encode()) == ("abc", Refusal(503, cause, text))


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("900", 900), ("18000;duration=3600", 18000), ("120 (in a meeting)", 120), ("0", 0)]
    + [(odd, None) for odd in ("-5", "1000000000000", "soon", "", "\N{ARABIC-INDIC DIGIT THREE}")],
)
def test_a_refusal_tells_when_to_call_again_unless_it_makes_no_sense(typed: str, seconds: int | None) -> None:
    raw = f"SIP/2.0 486 Busy Here\r\nCall-ID: abc\r\nCSeq: 7 INVITE\r\nRetry-After: {typed}\r\n\r\n"
    assert read_refusal(raw.encode()) == ("abc", Refusal(486, retry_after=seconds))
