"""FAXROOM_TRUNK as operators write it, and what Asterisk is told of it."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "bin/lib"))
from shell import SetupError  # noqa: E402 - the set-up's own modules

import asterisk  # noqa: E402
from asterisk import Trunk, read_trunk  # noqa: E402


@pytest.mark.parametrize(
    ("text", "trunk"),
    [
        ("loop", Trunk("127.0.0.1", 5070)),
        ("sip:pbx.example.org", Trunk("pbx.example.org", 5060)),
        ("sip:user:secret@sip.example.org:5080", Trunk("sip.example.org", 5080, "user", "secret")),
        ("sip://user:secret@sip.example.org", Trunk("sip.example.org", 5060, "user", "secret")),
        ("sip:+39050:p#w@x:/?y@sip.example.org", Trunk("sip.example.org", 5060, "+39050", "p#w@x:/?y")),
        ("sip:user:a%40b@sip.example.org", Trunk("sip.example.org", 5060, "user", "a@b")),
        ("sip:[2001:db8::1]:5080", Trunk("2001:db8::1", 5080)),
        ("sip:h;transport=tcp", Trunk("h", 5060, transport="tcp")),
        ("sip:h;transport=tls;media=srtp", Trunk("h", 5061, transport="tls", media="srtp")),
        ("sips:user:secret@h", Trunk("h", 5061, "user", "secret", "tls")),
    ],
)
def test_a_trunk_is_read(text: str, trunk: Trunk) -> None:
    assert read_trunk(text, 5070) == trunk


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "must be loop or"),
        ("http://h", "must be loop or"),
        ("sip:", "must be loop or"),
        ("sip:user:geheim@", "must be loop or"),
        ("sip:h:99999", "there is no port 99999"),
        ("sip:h:0", "there is no port 0"),
        ("sip:h:5060;transport=sctp", "behind the first semicolon"),
        ("sip:h;transports=tcp", "behind the first semicolon"),
        ("sip:h;media=zrtp", "behind the first semicolon"),
        ("sip:user:geheim%3B@h", "must not contain a semicolon"),
    ],
)
def test_what_is_no_trunk_is_told_without_the_password(text: str, word: str) -> None:
    with pytest.raises(SetupError, match=word) as fault:
        read_trunk(text, 5070)
    assert "geheim" not in str(fault.value)


def settings(text: str) -> dict[str, str]:
    """Of the registration, by name."""
    lines = asterisk._account(read_trunk(text, 5070)).partition("type = registration\n")[2].splitlines()
    return dict(line.split(" = ", 1) for line in lines)


def test_a_registration_is_tried_for_ever_whatever_the_carrier_answers() -> None:
    """By default an outage of ten minutes or a single 403 ends it for good."""
    told = settings("sip:user:secret@h")
    assert int(told["max_retries"]) * int(told["retry_interval"]) > 100 * 365 * 86400
    assert told["auth_rejection_permanent"] == "no"
    assert int(told["forbidden_retry_interval"]) > 0 and int(told["fatal_retry_interval"]) > 0


def test_a_registration_goes_the_way_that_calls_go() -> None:
    told = settings("sip:user:secret@h;transport=tcp")
    assert told["server_uri"] == r"sip:h:5060\;transport=tcp"
    assert told["client_uri"] == r"sip:user@h:5060\;transport=tcp"
    assert told["transport"] == "transport-trunk"
    assert settings("sip:user:secret@h")["transport"] == "transport"
