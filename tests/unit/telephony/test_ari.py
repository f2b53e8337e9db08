"""The last door before Asterisk: what passes it is of a strict grammar."""

import dataclasses
import re
from typing import Any

import httpx
import pytest

from app.adapters.telephony.ari import LINES_AT_ONCE, Ari, OutgoingCall, Receiving
from app.errors import PermanentFailure, TemporaryFailure
from app.rules.sending.trunks.fields import TrunkFields, file_text


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies of the requests that would have gone to Asterisk."""
    bodies: list[dict[str, Any]] = []
    monkeypatch.setattr(Ari, "_ask", lambda self, method, path, **arguments: bodies.append(arguments["json"]))
    return bodies


@pytest.fixture
def ari() -> Ari:
    return Ari("http://127.0.0.1:1", "faxroom", "password")


@pytest.mark.parametrize("voice", ["", "101", "+390501234567"])
def test_a_shared_line_is_listened_to_and_goes_on_to_an_extension_or_a_number(asked, ari, voice):
    ari.detect("1.1", listen_seconds=6, voice=voice, whose="3-17", station_id="+39 050")
    assert (asked[0]["context"], asked[0]["extension"]) == ("faxroom-detect", f"+6*{voice}*KzM5IDA1MA==*3-17*0")


def test_what_goes_with_the_extension_of_a_shared_line_fits_into_one(asked, ari):
    """AST_MAX_EXTENSION is 80, with a zero at the end; a station id has twenty signs at most (ITU-T T.30)."""
    whose = "9" * 10 + "-" + "9" * 10
    ari.detect("1.1", listen_seconds=95, voice="+" + "9" * 20, whose=whose, station_id="9" * 20, rings=99)
    assert len(asked[0]["extension"]) < 80


@pytest.mark.parametrize("whose", ["3", "3-", "-3", "3-17,x", "3|17", "3-17*1"])
def test_whose_a_line_is_is_two_numbers_and_nothing_else(asked, ari, whose):
    with pytest.raises(PermanentFailure, match="number_refused"):
        ari.detect("1.1", listen_seconds=6, voice="101", whose=whose)
    with pytest.raises(PermanentFailure, match="number_refused"):
        ari.tell_lines({"39050": ("101", whose, 30)}, listen_seconds=6)
    assert asked == []


@pytest.mark.parametrize("voice", ["101@other", "101&102", "1,2", "sip:1", "*1", "١٠١", " 1", "1" * 21, "+"])
def test_a_voice_destination_that_reaches_elsewhere_never_reaches_asterisk(asked, ari, voice):
    with pytest.raises(PermanentFailure, match="number_refused"):
        ari.detect("1.1", listen_seconds=6, voice=voice)
    with pytest.raises(PermanentFailure, match="number_refused"):
        ari.tell_lines({"39050": (voice, "", 30)}, listen_seconds=6)
    assert asked == []


@pytest.mark.parametrize(
    ("how", "told"),
    [(Receiving(ecm=True, max_rate=14400, t38=True), "yes*v17*yes"), (Receiving(False, 4800, False), "no*v27*no")],
)
def test_a_fax_comes_in_as_the_line_s_template_says(asked, ari, how, told):
    ari.receive("1.1", station_id="9" * 20, how=how)
    assert asked[0]["extension"].endswith(f"*{told}")
    assert len(asked[0]["extension"]) < 80


def test_a_station_id_of_a_received_fax_is_text_and_nothing_else(asked, ari):
    ari.receive("1.1", station_id="${SHELL(id)},|1")
    assert asked[0]["extension"] == "+U0hFTEwoaWQpICAx" or "$" not in asked[0]["extension"]


def test_lines_are_told_in_pieces_that_a_variable_of_the_dialplan_holds(asked, ari):
    longest = ("+" + "9" * 20, "9" * 10 + "-" + "9" * 10, 120)
    lines = {f"{number:028}": longest for number in range(LINES_AT_ONCE + 1)}
    ari.tell_lines({**lines, "1*501": ("", "3-17", 30), "39050": None}, listen_seconds=120)
    told = [body["variables"]["__FAX_LINES"] for body in asked]
    assert all(len(text) < 4096 for text in told)
    entries = "&".join(told).split("&")
    assert len(entries) == LINES_AT_ONCE + 3
    assert entries[-2:] == ["1*501:120||3-17|30", "39050:"]


def test_ways_to_receive_are_told_in_pieces_that_a_variable_of_the_dialplan_holds(asked, ari):
    longest = ("9" * 20, Receiving(ecm=True, max_rate=14400, t38=True))
    ways = {f"{number:028}": longest for number in range(LINES_AT_ONCE)}
    ari.tell_ways({**ways, "1*501": ("", Receiving(False, 4800, False)), "39050": None})
    assert all(len(body["variables"]["__FAX_LINES"]) < 4096 for body in asked)
    assert asked[-1]["variables"]["__FAX_LINES"] == "1*501:*no*v27*no&39050:"


def answering(ari: Ari, status: int, body: Any, *, as_json: bool = True) -> Ari:
    content = {"json": body} if as_json else {"text": body}
    transport = httpx.MockTransport(lambda _: httpx.Response(status, **content))
    ari._http = httpx.Client(base_url="http://asterisk/ari", transport=transport)
    return ari


CALL = OutgoingCall("fax-A-1", "+390501234567", "/a.tif", "", "", True, 14400, True, 60, 3600, 0)


@pytest.mark.parametrize(
    ("status", "body", "certain"),
    [
        (500, {"message": "Allocation failed"}, True),  # no channel, or no thread to dial with: before it dials
        (500, {"message": "Internal error"}, False),
        (503, {"message": "Service Unavailable"}, True),  # it is starting
        (504, {"message": "a proxy's word"}, False),
        (401, {"error": "Authentication required"}, True),
        (403, {"message": "Forbidden"}, True),
    ],
)
def test_an_asterisk_that_cannot_is_down_and_what_it_did_not_begin_is_certain(ari, status, body, certain):
    with pytest.raises(TemporaryFailure) as failure:
        answering(ari, status, body).originate(CALL)
    assert (failure.value.code, failure.value.values["certain"]) == ("line_down", certain)
    assert failure.value.values.get("no_channel", False) is (body == {"message": "Allocation failed"})


@pytest.mark.parametrize("body", ["<html>", '["Allocation failed"]'])
def test_a_500_that_says_nothing_of_the_kind_is_doubtful(ari, body):
    with pytest.raises(TemporaryFailure) as failure:
        answering(ari, 500, body, as_json=False).originate(CALL)
    assert failure.value.values["certain"] is False


def test_what_asterisk_will_not_do_is_about_the_call(ari):
    with pytest.raises(PermanentFailure):
        answering(ari, 400, {"message": "Invalid parameter"}).originate(CALL)
    assert answering(ari, 409, {"message": "Conflict"}).originate(CALL) == "adopted"


@pytest.mark.parametrize(("status", "packets"), [(200, 120), (404, None), (500, None)])
def test_a_call_without_rtp_has_no_packets_to_count_and_is_no_fault_of_asterisk(ari, status, packets):
    """ARI answers 500 where a function of the dialplan tells nothing, as CHANNEL(rtcp) of a call by T.38."""
    body = {"value": "120"} if status == 200 else {"message": "Unable to read provided function"}
    assert answering(ari, status, body).packets_received("1.1") == packets


@pytest.mark.parametrize("number", ["0501234567", "112", "+0501234567", "+1", "12*501*12345678"])
def test_what_no_rule_would_have_dialled_is_refused_at_the_last_door_too(number):
    with pytest.raises(PermanentFailure, match="number_refused"):
        dataclasses.replace(CALL, number=number).body()


@pytest.mark.parametrize("number", ["+390501234567", "1*501", "12*501*123456789"])
def test_a_public_number_a_line_and_a_self_test_are_dialled(number):
    assert f"PJSIP/{number}@" in dataclasses.replace(CALL, number=number).body()["endpoint"]


@pytest.mark.parametrize("name", ["main", "main-2", "t38"])
def test_asterisk_is_asked_for_a_trunk_and_called_over_it_by_the_names_that_its_file_has(monkeypatch, name):
    """Who is asked for by another name is not there: the T.38 entrance would take its carrier for a stranger."""
    paths: list[str] = []

    def ask(_ari: Ari, _method: str, path: str, **_more: object) -> httpx.Response:
        paths.append(path)
        return httpx.Response(200, json=[{"attribute": "match", "value": "192.0.2.9/255.255.255.255"}])

    monkeypatch.setattr(Ari, "_ask", ask)
    written = file_text([TrunkFields("192.0.2.9", 5060, name=name)], sip_port=5080)
    sections = dict(re.findall(r"^\[([^\]]+)\](?:\(.*\))?\n(type = identify)?", written, re.MULTILINE))
    assert Ari("http://127.0.0.1:1", "faxroom", "password").addresses_of(name) == ["192.0.2.9/255.255.255.255"]
    assert sections[paths[0].rpartition("/")[2]] == "type = identify"
    for t38 in (True, False):
        assert dataclasses.replace(CALL, trunk=name, t38=t38).body()["endpoint"].split("@")[-1] in sections
