"""The last door before Asterisk: what passes it is of a strict grammar."""

from typing import Any

import pytest

from app.adapters.ari import LINES_AT_ONCE, Ari
from app.errors import PermanentFailure


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
    ari.detect("1.1", listen_seconds=6, voice=voice, station_id="+39 050")
    assert (asked[0]["context"], asked[0]["extension"]) == ("faxroom-detect", f"+6*{voice}*KzM5IDA1MA==")


@pytest.mark.parametrize("voice", ["101@other", "101&102", "1,2", "sip:1", "*1", "١٠١", " 1", "1" * 21, "+"])
def test_a_voice_destination_that_reaches_elsewhere_never_reaches_asterisk(asked, ari, voice):
    with pytest.raises(PermanentFailure, match="number_refused"):
        ari.detect("1.1", listen_seconds=6, voice=voice)
    with pytest.raises(PermanentFailure, match="number_refused"):
        ari.tell_lines({"39050": voice}, listen_seconds=6)
    assert asked == []


def test_a_station_id_of_a_received_fax_is_text_and_nothing_else(asked, ari):
    ari.receive("1.1", station_id="${SHELL(id)},|1")
    assert asked[0]["extension"] == "+U0hFTEwoaWQpICAx" or "$" not in asked[0]["extension"]


def test_lines_are_told_in_pieces_that_a_variable_of_the_dialplan_holds(asked, ari):
    lines = {f"{number:028}": "+" + "9" * 20 for number in range(LINES_AT_ONCE + 1)}
    ari.tell_lines({**lines, "1*501": "", "39050": None}, listen_seconds=120)
    told = [body["variables"]["__FAX_LINES"] for body in asked]
    assert all(len(text) < 4096 for text in told)
    entries = "&".join(told).split("&")
    assert len(entries) == LINES_AT_ONCE + 3
    assert entries[-2:] == ["1*501:120|", "39050:"]
