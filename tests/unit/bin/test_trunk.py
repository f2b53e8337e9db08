"""FAXROOM_TRUNK as operators write it, and what Asterisk is told of it."""

import dataclasses
import sys
from pathlib import Path

import pytest

from app.adapters.telephony import hep

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "bin/lib"))
from shell import SetupError  # noqa: E402 - the set-up's own modules

from app.rules.sending.trunks.fields import TrunkFields, file_text, leads_to_us, read_trunks  # noqa: E402
from asterisk import capture_password, trunks_of  # noqa: E402


@pytest.mark.parametrize(
    ("text", "trunk"),
    [
        ("loop", TrunkFields("127.0.0.1", 5070)),
        ("sip:pbx.example.org", TrunkFields("pbx.example.org", 5060)),
        ("sip:user:secret@sip.example.org:5080", TrunkFields("sip.example.org", 5080, "user", "secret")),
        ("sip://user:secret@sip.example.org", TrunkFields("sip.example.org", 5060, "user", "secret")),
        ("sip:+39050:p#w@x:/?y@sip.example.org", TrunkFields("sip.example.org", 5060, "+39050", "p#w@x:/?y")),
        ("sip:user:a%40b@sip.example.org", TrunkFields("sip.example.org", 5060, "user", "a@b")),
        ("sip:[2001:db8::1]:5080", TrunkFields("2001:db8::1", 5080)),
        ("sip:h;transport=tcp", TrunkFields("h", 5060, transport="tcp")),
        ("sip:h;transport=tls;media=srtp", TrunkFields("h", 5061, transport="tls", media="srtp")),
        ("sips:user:secret@h", TrunkFields("h", 5061, "user", "secret", "tls")),
    ],
)
def test_a_trunk_is_read(text: str, trunk: TrunkFields) -> None:
    assert read_trunks(text, 5070) == [dataclasses.replace(trunk, registers=trunk.password is not None)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "must be loop or"),
        ("http://h", "must be loop or"),
        ("sip:", "must be loop or"),
        ("sip:user:geheim@", "must be loop or"),
        ("sip:h:99999", "there is no port 99999"),
        ("sip:h:0", "there is no port 0"),
        ("sip:h:5060;transport=sctp", "follows the first semicolon"),
        ("sip:h;transports=tcp", "follows the first semicolon"),
        ("sip:h;media=zrtp", "follows the first semicolon"),
        ("sip:h;media=srtp", "needs transport=tls"),
        ("sip:300.1.1.1", "is not a host name or an IP address"),
        ("sip:h_;transport=tcp sip:-x", "is not a host name or an IP address"),
        ("sip:user:geheim%3B@h", "must have no semicolon"),
    ],
)
def test_what_is_no_trunk_is_told_without_the_password(text: str, word: str) -> None:
    with pytest.raises(SetupError, match=word) as fault:
        trunks_of(text, 5070)
    assert "geheim" not in str(fault.value)


def settings(text: str) -> dict[str, str]:
    """Of the registration, by name."""
    told = file_text(read_trunks(text, 5070), sip_port=5070)
    lines = told.partition("type = registration\n")[2].strip().splitlines()
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
    assert told["transport"] == "transport-tcp"
    assert settings("sip:user:secret@h")["transport"] == "transport"


def test_several_trunks_are_named_in_their_order_and_each_has_its_own_transport() -> None:
    trunks = trunks_of("sip:a:p#w@one.example sip:two.example:5080;transport=tcp sips:three.example;media=srtp", 5070)
    assert [(one.name, one.host, one.port) for one in trunks] == [
        ("main", "one.example", 5060),
        ("main-2", "two.example", 5080),
        ("main-3", "three.example", 5061),
    ]
    told = file_text(trunks, sip_port=5070)
    for line in ("[(main-t38](trunk)", "[(main-2-audio](trunk)", "[main-3-voice+](trunk)", "bind = 0.0.0.0:5071"):
        assert line in told.splitlines()
    assert told.count("type = registration") == 1 and told.count("set_var = FAX_TRUNK=main-2") == 4


def test_our_number_stands_where_the_carrier_wants_it() -> None:
    account = TrunkFields("h", 5060, "user", "secret", registers=True)

    def endpoint(caller_in: str) -> list[str]:
        text = file_text([dataclasses.replace(account, caller_in=caller_in)], sip_port=5060)
        return text.split("[(main-audio]")[0].splitlines()

    assert {"from_user = user", "send_pai = yes"} <= set(endpoint("usual"))
    assert "from_user = user" not in endpoint("both") and "send_pai = yes" in endpoint("both")
    assert "from_user = user" not in endpoint("from") and "send_pai = no" in endpoint("from")
    assert {"send_rpid = yes", "send_pai = no"} <= set(endpoint("rpid"))


def test_asterisk_and_the_line_process_make_the_same_password_of_the_capture() -> None:
    assert capture_password("ari") == hep.capture_password("ari")


@pytest.mark.parametrize(
    ("host", "port", "transport", "ours"),
    [
        ("127.0.0.1", 5070, "udp", True),
        ("127.8.9.1", 5070, "udp", True),
        ("LocalHost", 5070, "tcp", True),
        ("::1", 5070, "udp", True),
        ("0:0:0:0:0:0:0:1", 5070, "udp", True),
        ("127.0.0.1", 5071, "tls", True),
        ("127.0.0.1", 5060, "udp", False),
        ("127.0.0.1", 5071, "udp", False),
        ("127.0.0.1", 5070, "tls", False),
        ("192.0.2.1", 5070, "udp", False),
        ("localhost.example", 5070, "udp", False),
    ],
)
def test_only_our_own_address_and_port_lead_back_to_us(host: str, port: int, transport: str, ours: bool) -> None:
    assert leads_to_us(host, port, transport, sip_port=5070) is ours


def test_asterisk_knows_what_the_entrance_vouches_for_where_there_is_one() -> None:
    trunks = read_trunks("sip:h sip:h;transport=tcp", 5070)
    assert "match_header" not in file_text(trunks, sip_port=5070)
    told = file_text(trunks, sip_port=5070, entrance="secret")
    lines = [line for line in told.splitlines() if line.startswith("match_header")]
    assert lines == ["match_header = X-Faxroom-Entrance: secret.main"]  # the other one is by TCP
