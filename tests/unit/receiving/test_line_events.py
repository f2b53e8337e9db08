"""What Asterisk tells, in our words."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from app.rules.sending.results import CallFacts
from app.rules.sending.retry import DELAYS
from app.services.receiving.line_events import (
    AllTold,
    Answered,
    Dials,
    Ended,
    Incoming,
    Received,
    Ringing,
    StillReceiving,
    StillSending,
    Telephoned,
    UnderWay,
    read_event,
    read_received,
    read_result,
    read_telephoned,
    waiting_call,
)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def answered(status: str = "SUCCESS", pages: str = "2", error: str = "", station: str = "", *, capped: str = "") -> str:
    """A durable result of an answered call, as the hangup handler writes it."""
    ends = f"ended|1700000040|1700000000|16|{capped}|"
    return f"{ends}|{status}|{pages}|14400|yes|T38|{b64(error)}|{b64(error or 'OK')}|{b64(station)}"


def user_event(name: str, **told: str) -> dict[str, Any]:
    userevent = {"eventname": name, **told}
    return {"type": "ChannelUserevent", "userevent": userevent, "channel": {"id": "fax-A-1"}}


def facts_of(line: str) -> CallFacts:
    said = read_result("fax-A-1", line)
    assert isinstance(said, Ended)
    return said.facts


def test_a_good_fax_is_read_field_by_field() -> None:
    assert facts_of(answered(station=" +39 050 1 ")) == CallFacts(
        "success",
        pages=2,
        mode="T38",
        rate=14400,
        remote_station_id="+39 050 1",
        hangup_cause=16,
        answered_at=1700000000,
        ended_at=1700000040,
    )


def test_a_call_that_our_own_disk_ended_sent_nothing() -> None:
    facts = facts_of("ended|1700000040||16||full")
    assert (facts.outcome, facts.pages, facts.answered_at) == ("disk_full", 0, None)


def test_a_call_that_nobody_answered_is_judged_by_what_the_network_said_last() -> None:
    facts = facts_of(f"ended|1700000040||34||||{b64('SIP 503 Service Unavailable')}|Down")
    assert (facts.outcome, facts.response, facts.rang) == ("congestion", "SIP 503 Service Unavailable", False)
    facts = facts_of(f"ended|1700000040||19||||{b64('SIP 480 Temporarily Unavailable')}|Ringing")
    assert (facts.outcome, facts.hangup_cause, facts.rang) == ("no_answer", 19, True)


def test_a_call_that_was_under_way_did_not_ring_for_all_that_is_known():
    facts = facts_of(f"ended|1700000040||38||||{b64('SIP 503 Service Unavailable')}|Progress")
    assert (facts.outcome, facts.rang, facts.under_way) == ("congestion", False, True)


def test_a_call_of_which_nobody_said_anything_found_no_carrier() -> None:
    facts = facts_of("ended|1700000040||18|||||Down")
    assert (facts.outcome, facts.response) == ("trunk_down", "")


def test_a_result_of_a_former_version_is_judged_by_its_cause() -> None:
    facts = facts_of("ended|1700000040||17||")
    assert (facts.outcome, facts.response, facts.rang) == ("busy", None, False)


def test_the_words_of_a_response_cannot_forge_a_field() -> None:
    words = b64("SIP 603 No|Ringing|\r\n\x00")
    facts = facts_of(f"ended|1700000040||21||||{words}|Down")
    assert (facts.outcome, facts.rang, facts.response) == ("rejected", False, "SIP 603 No|Ringing|")


@pytest.mark.parametrize(("mode", "resolution"), [("T38", "0x0"), ("audio", "8031x7700")])
def test_t38_or_a_dis_tells_a_machine_that_gave_no_station_id(mode: str, resolution: str) -> None:
    line = answered("FAILED", "0", "The call dropped prematurely").replace("T38", mode)
    assert facts_of(f"{line}|{resolution}|{b64('SIP 200 OK')}|Up").outcome == "dropped"
    person = line.replace("T38", "audio")
    assert facts_of(f"{person}|0x0|{b64('SIP 200 OK')}|Up").outcome == "far_end_no_fax"


def test_a_mark_without_a_result_is_still_sending() -> None:
    assert read_result("fax-A-1", "sending|1700000000") == StillSending("fax-A-1")


@pytest.mark.parametrize(
    "line", ["", "x", "ended", "ended|1|2|3", answered() + "|more", "SUCCESS|2", "Ended|1|2|16|||SUCCESS|1|||||||"]
)
def test_a_result_that_cannot_be_read_is_unknown_and_never_a_success(line: str) -> None:
    facts = facts_of(line)
    assert facts.outcome == "unknown"
    assert facts.error


@pytest.mark.parametrize("status", ["FAILED", "FAILURE", "", "success", "SUCCESS ", "PARTIAL", "OK"])
def test_a_word_that_we_do_not_know_is_no_success(status: str) -> None:
    assert facts_of(answered(status, pages="0")).outcome in DELAYS


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"M\xfcller & S\xf6hne", "Müller & Söhne"),  # Latin-1
        ("Müller & Söhne".encode(), "Müller & Söhne"),
        (b"\x1b[31mACME\x00\r\n\x85\x9b1m\xe8", "[31mACME1mè"),
        (b"ACME\xe2\x80\xaegpj", "ACMEgpj"),  # turns what follows the other way round
        (b"\xa0ACME\xad", "ACME"),
    ],
)
def test_a_station_id_is_read_as_machines_write_it_and_without_control_signs(raw: bytes, shown: str) -> None:
    line = answered() + base64.b64encode(raw).decode()
    assert facts_of(line).remote_station_id == shown


def test_a_station_id_cannot_forge_a_field() -> None:
    facts = facts_of(answered("FAILED", "0", "The call dropped prematurely", "1|SUCCESS|9|\r\n\x00A"))
    assert (facts.outcome, facts.pages, facts.remote_station_id) == ("dropped", 0, "1|SUCCESS|9|A")


@pytest.mark.parametrize("pages", ["", "-1", "1.5", "٣", "two"])
def test_pages_that_are_no_number_are_none(pages: str) -> None:
    assert facts_of(answered(pages=pages)).pages == 0


def test_the_text_of_a_failure_is_kept_and_of_a_success_is_not() -> None:
    assert facts_of(answered("FAILED", "1", "The call dropped prematurely")).error
    assert facts_of(answered()).error is None


def test_base64_that_is_none_is_empty() -> None:
    assert facts_of(answered()[: -len(b64(""))] + "%%%").remote_station_id is None


def test_what_an_asterisk_that_ended_cut_is_unknown_and_its_pages_are_told() -> None:
    line = answered("FAILED", "1", "HANGUP").replace("|16||", "|0||ending")
    assert (facts_of(line).outcome, facts_of(line).pages) == ("unknown", 1)
    assert facts_of(answered().replace("|16||", "|0||ending")).outcome == "success"


def test_what_it_cut_before_t30_began_is_our_side_and_nothing_has_left() -> None:
    """With the words that such a call leaves behind; once T.30 has begun nobody knows."""
    waiting = answered("FAILED", "0", "T38_NEG_ERROR").replace("|16||", "|0||ending")
    assert facts_of(waiting).outcome == "line_down"
    for words in ("HANGUP", "The call dropped prematurely", "INIT_ERROR", ""):
        assert facts_of(answered("FAILED", "0", words).replace("|16||", "|0||ending")).outcome == "unknown"


def test_a_call_answered_too_late_was_not_rejected_by_anybody() -> None:
    assert facts_of("ended|1700000040||21||1").outcome == "other"


def test_the_cap_explains_a_failure_but_does_not_undo_a_success() -> None:
    assert facts_of(answered("FAILED", "0", "The call dropped prematurely", capped="1")).outcome == "capped"
    assert facts_of(answered(capped="1")).outcome == "success"


def test_events_of_a_call_are_told_in_order_of_its_life() -> None:
    dials = {"type": "Dial", "dialstatus": "", "peer": {"id": "fax-A-1"}}
    assert read_event(dials) == Dials("fax-A-1")
    ringing = {"type": "Dial", "dialstatus": "RINGING", "peer": {"id": "fax-A-1"}}
    assert read_event(ringing) == Ringing("fax-A-1")
    assert read_event({**ringing, "dialstatus": "PROGRESS"}) == UnderWay("fax-A-1")
    assert read_event({**ringing, "dialstatus": "PROCEEDING"}) is None
    assert read_event(user_event("FaxAnswered")) == Answered("fax-A-1")
    ended = read_event(user_event("FaxResult", Fax="fax-A-1", Result=answered()))
    assert isinstance(ended, Ended) and ended.facts.outcome == "success"
    assert read_event(user_event("FaxResultsEnd", Asked="word")) == AllTold("word")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "ChannelDestroyed"},
        {"type": "Dial", "dialstatus": "PROCEEDING", "peer": {"id": "fax-A-1"}},
        {"type": "Dial", "dialstatus": "", "peer": {"id": "1700000000.1"}},
        {"type": "Dial", "dialstatus": "RINGING", "peer": {"id": "1700000000.1"}},
        {"type": "StasisStart", "args": [], "channel": {"id": "1700000000.1"}},
        user_event("FaxResult", Fax="raw-1", Result=answered()),
        user_event("FaxReceived", Fax="1700000000.1", Result="receiving|1700000000"),
        {"type": "StasisStart", "args": ["results", "MQ=="], "channel": {"id": "1700000000.1"}},
        user_event("Another"),
    ],
)
def test_what_is_not_ours_tells_nothing(event: dict[str, Any]) -> None:
    assert read_event(event) is None


@pytest.mark.parametrize(
    "channel_id", ["fax-/../../database/faxroom.db", "fax-1/..", "fax-a b", "fax-\0", "fax-" + "é"]
)
def test_an_id_that_leads_out_of_the_spool_is_nobodys(channel_id: str) -> None:
    """Files of the spool are named after calls, and go when a call is over."""
    received = "receiving|1700000000|MQ==|MQ=="
    for event in (
        user_event("FaxResult", Fax=channel_id, Result=answered()),
        user_event("FaxReceived", Fax=channel_id, Result=received),
        user_event("FaxReceived", Fax=f"../{channel_id}", Result=received),
        {"type": "Dial", "dialstatus": "RINGING", "peer": {"id": channel_id}},
    ):
        assert read_event(event) is None
    waiting = {"app_name": "Stasis", "app_data": "faxroom,incoming,MQ=="}
    assert waiting_call({"id": channel_id, "dialplan": waiting, "caller": {"number": "1"}}) is None


@pytest.mark.parametrize(("said", "outcome"), [("+390511234567", "redirected"), ("1*504", "redirected"), ("", "other")])
def test_a_call_that_was_redirected_tells_whom_the_other_side_named(said: str, outcome: str) -> None:
    facts = facts_of(f"ended|1700000000||0|||{b64(said)}")
    assert (facts.outcome, facts.redirected_to, facts.answered_at) == (outcome, said or None, None)


def test_former_versions_told_nothing_of_a_redirect() -> None:
    told = {"hangup_cause": 23, "ended_at": 1700000000, "rang": False}
    assert facts_of("ended|1700000000||23||") == CallFacts("redirected", **told)


# ---- Calls to telephones

CALL = f"3-17|{b64('+390501234567')}|101|1700000000"


def test_a_call_to_a_telephone_runs_until_its_end_is_told() -> None:
    runs = Telephoned("1.1", 17, "+390501234567", "101", 1700000000)
    assert read_telephoned("1.1", f"calling|{CALL}") == runs
    ended = read_telephoned("1.1", f"ended|{CALL}|1700000090|ANSWER|75|")
    assert ended == replace(runs, ended_at=1700000090, seconds=75, end="answered")


@pytest.mark.parametrize(
    ("status", "ours", "end"),
    [
        ("NOANSWER", "", "no_answer"),
        ("BUSY", "", "busy"),
        ("CANCEL", "", "gave_up"),
        ("CHANUNAVAIL", "", "unreachable"),
        ("ANSWER", "longest", "longest"),
        ("CANCEL", "fax", "fax"),
        ("", "limit", "limit"),
        ("", "", "unknown"),
        ("", "answered", "unknown"),
    ],
)
def test_how_a_call_to_a_telephone_ended_is_told_by_us_or_by_dial(status: str, ours: str, end: str) -> None:
    told = read_telephoned("1.1", f"ended|{CALL}|1700000090|{status}||{ours}")
    assert told is not None
    assert (told.end, told.seconds) == (end, 0)


@pytest.mark.parametrize("line", ["", "calling", f"calling|{CALL}|1", f"ended|{CALL}", "calling||||", "calling|x|||1"])
def test_what_cannot_be_read_of_a_call_to_a_telephone_tells_nothing(line: str) -> None:
    assert read_telephoned("1.1", line) is None


@pytest.mark.parametrize(("why", "is_fax"), [("incoming", False), ("fax", True)])
def test_an_incoming_call_brings_its_numbers_as_they_are(why: str, is_fax: bool) -> None:
    waiting = {"exten": "s", "app_name": "Stasis", "app_data": f"faxroom,{why},{b64('+39050,x')}"}
    channel = {"id": "1700000000.1", "dialplan": waiting, "caller": {"number": "'; DROP"}}
    event = {"type": "StasisStart", "args": [why, b64("+39050,x")], "channel": channel}
    assert read_event(event) == Incoming("1700000000.1", "+39050,x", "'; DROP", is_fax)
    assert waiting_call(channel) == read_event(event)


@pytest.mark.parametrize("app", [("Wait", "6"), ("Stasis", "faxroom"), ("Stasis", "faxroom,other,MQ=="), ("", "")])
def test_a_call_that_does_something_else_waits_for_no_decision(app: tuple[str, str]) -> None:
    dialplan = {"exten": "s", "app_name": app[0], "app_data": app[1]}
    assert waiting_call({"id": "1700000000.1", "dialplan": dialplan, "caller": {"number": ""}}) is None


def test_a_mark_of_pages_that_come_in_names_who_called_whom() -> None:
    mark = read_received("1700000000.1", f"receiving|1700000000|{b64('+39050')}|{b64('0501|x')}")
    assert mark == StillReceiving("1700000000.1", "+39050", "0501|x", 1700000000)


def test_a_received_fax_names_who_called_whom() -> None:
    numbers = f"{b64('+39050')}|{b64('0501|x')}"
    line = f"ended|1700000000|{numbers}|1700000030|SUCCESS|3|9600|no|audio|{b64('')}|{b64('ACME')}"
    received = read_received("1700000000.1", line)
    assert isinstance(received, Received)
    assert (received.called, received.caller) == ("+39050", "0501|x")
    assert (received.facts.outcome, received.facts.pages, received.facts.rate) == ("success", 3, 9600)
    assert (received.facts.ecm, received.facts.remote_station_id) == (None, "ACME")


def test_a_silent_caller_is_told_by_the_cause_which_former_versions_did_not_keep() -> None:
    line = "ended|1790000000|KzM5|KzM5|1790000038|FAILED|0|14400|yes|audio||"
    assert read_received("1.1", line).facts.outcome != "silent"
    assert read_received("1.1", f"{line}|16").facts.outcome != "silent"
    assert read_received("1.1", f"{line}|44").facts.outcome == "silent"
