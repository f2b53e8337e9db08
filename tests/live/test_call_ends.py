"""What a carrier says is read from a real Asterisk, row by row, and means what the table says.

One Asterisk, one carrier in Python that answers by the called number, all calls at once.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.adapters.telephony.hep import Ear as Hears
from app.jobs.receiving.capturing import MODULES
from app.rules.ground.call_ends import SIP, Unanswered, code_of, judge, of_code, retry_after_of, with_headers
from app.rules.sending.results import CallFacts
from app.services.receiving.line_events import Ended
from tests.live.lines import Ear, Line, call_of, light_pages
from tests.live.strange import HOST, Script, Stranger

pytestmark = pytest.mark.live

TRYING, RINGING, PROGRESS = "100 Trying", "180 Ringing", "183 Session Progress"
CHALLENGE = 'Digest realm="carrier", nonce="abc", algorithm=MD5'
#: Headers without which a response cannot be understood.
NEEDED = {
    401: f"\nWWW-Authenticate: {CHALLENGE}",
    407: f"\nProxy-Authenticate: {CHALLENGE}",
    420: "\nUnsupported: timer",
    **dict.fromkeys((300, 301, 302, 305, 380), f"\nContact: <sip:+39899123456@{HOST}>"),
}
#: What is said to each call, the outcome, and the code of the response that is kept; None: none came.
CASES: dict[str, tuple[Script, str, int | None]] = {
    **{str(code): ((TRYING, f"{code} Said{NEEDED.get(code, '')}"), of_code(code), code) for code in sorted(SIP)},
    "an unknown 4xx": ((TRYING, "499 Unheard Of"), "congestion", 499),
    "an unknown 5xx": ((TRYING, "599 Unheard Of"), "congestion", 599),
    "an unknown 6xx": ((TRYING, "699 Unheard Of"), "busy", 699),
    "a decline by the network": ((TRYING, "603 Network Blocked"), "blocked", 603),
    "rings, then 480": ((TRYING, RINGING, 1.0, "480 Temporarily Unavailable"), "no_answer", 480),
    "rings, then 408": ((TRYING, RINGING, 1.0, "408 Request Timeout"), "no_answer", 408),
    "rings, then 486": ((TRYING, RINGING, 1.0, "486 Busy Here"), "busy", 486),
    "rings, then 603": ((TRYING, RINGING, 1.0, "603 Decline"), "rejected", 603),
    "rings, then 503": ((TRYING, RINGING, 1.0, "503 Service Unavailable"), "congestion", 503),
    "183, then 503": ((TRYING, PROGRESS, 1.0, "503 Service Unavailable"), "congestion", 503),
    "181, then 503": ((TRYING, "181 Call Is Being Forwarded", 1.0, "503 Service Unavailable"), "congestion", 503),
    "183, 180, then 503": ((TRYING, PROGRESS, RINGING, 1.0, "503 Service Unavailable"), "congestion", 503),
    "404, no circuit": ((TRYING, "404 Not Found\nReason: Q.850;cause=34"), "congestion", 404),
    "404, no such number": ((TRYING, "404 Not Found\nReason: Q.850;cause=1"), "unallocated", 404),
    "480, busy": ((TRYING, "480 Temporarily Unavailable\nReason: Q.850;cause=17"), "busy", 480),
    "503, busy": ((TRYING, "503 Service Unavailable\nReason: Q.850;cause=17"), "busy", 503),
    "403, rejected": ((TRYING, "403 Forbidden\nReason: Q.850;cause=21"), "rejected", 403),
    "603, analytics": ((TRYING, "603 Decline\nReason: SIP;cause=603;v=analytics1"), "blocked", 603),
    "503, later": ((TRYING, "503 Service Unavailable\nRetry-After: 30"), "congestion", 503),
    "rings for ever": ((TRYING, RINGING), "no_answer", None),
    "100, then silence": ((TRYING,), "congestion", 100),
    "silence": ((), "trunk_down", None),
}
NUMBERS = {name: f"+390240000{number:03}" for number, name in enumerate(CASES)}


def with_refusal(end: Ended, hears: Hears) -> CallFacts:
    """As the line process and the job after it judge it."""
    facts, told = end.facts, hears.refusal(end.call_id, code_of(end.facts.response) or 0)
    if facts.response and told:
        response = with_headers(facts.response, told.cause, told.retry_after, told.text)
        facts = replace(facts, response=response)
    if facts.rang is None:
        return facts
    return replace(facts, outcome=judge(Unanswered(facts.response, facts.hangup_cause, facts.rang)))


@pytest.fixture(scope="module")
def ends(asterisk_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, CallFacts]]:
    """Case → how its call ended."""
    page: Path = light_pages(tmp_path_factory.mktemp("pages") / "one.tif", 1)
    with Stranger() as carrier:
        carrier.scripts = {NUMBERS[name]: script for name, (script, _, _) in CASES.items()}
        line = Line(tmp_path_factory.mktemp("line"), local={}, trunk=f"sip:localhost:{carrier.port}")
        line.start()
        hears = line.ari.ear()
        line.ari.load_modules(MODULES)
        with closing(hears), Ear(line.ari) as ear:
            ids = {name: f"fax-ends{number.removeprefix('+')}-1" for name, number in NUMBERS.items()}
            rings = {name: 60 if (code or 0) > 100 else 8 for name, (_, _, code) in CASES.items()}
            calls = [call_of(ids[name], page, NUMBERS[name], ring_seconds=rings[name]) for name in CASES]
            line.ari.originate_many(calls)
            ended = {name: ear.result(ids[name]) for name in CASES}  # the last ones were not refused
            yield {name: with_refusal(ended[name], hears) for name in CASES}
        assert line.stop() == 0


@pytest.mark.parametrize("name", CASES)
def test_what_a_carrier_says_means_what_the_table_says(ends: dict[str, CallFacts], name: str) -> None:
    _, outcome, code = CASES[name]
    facts = ends[name]
    assert (facts.outcome, facts.answered_at) == (outcome, None), facts
    if code:
        assert code_of(facts.response) == code, facts


def test_what_came_before_the_end_is_in_the_result(ends: dict[str, CallFacts]) -> None:
    """By which a call that may have rung is known, though nobody listened while it did."""
    assert {name for name, facts in ends.items() if facts.under_way} == {"183, then 503", "181, then 503"}
    assert ends["183, 180, then 503"].rang


def test_how_long_a_carrier_asks_to_wait_is_kept(ends: dict[str, CallFacts]) -> None:
    assert retry_after_of(ends["503, later"].response) == 30
