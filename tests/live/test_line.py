"""Calls on a real Asterisk: over its own loop, to a machine without T.38, with the portal away, through a crash.

The calls of this file run side by side: the first test that needs one places them all.
"""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from app.adapters.telephony.ari import Connected, OutgoingCall
from app.dialled import DIAL_STRING
from app.errors import FaxroomError, PermanentFailure, TemporaryFailure
from app.rules.numbers.called import shown_called
from app.rules.sending.results import CallFacts
from app.rules.sending.retry import DELAYS
from app.services.receiving.line_events import Answered, Ended, Ringing
from tests.disks import SmallDisk, small_disk
from tests.live.lines import (
    BUSY,
    FAR_ENDS,
    FAX_MACHINE,
    HANGS_UP,
    PERSON,
    REDIRECTED,
    REDIRECTING,
    REJECTING,
    SILENT_BELL,
    UNALLOCATED,
    CallElsewhere,
    Ear,
    Line,
    call_of,
    light_pages,
    light_then_dense,
    pages_in,
    wait_until,
)

pytestmark = pytest.mark.live

MANY = 40
#: More durable results than one AstDB key list of 4,095 characters names.
RESULTS = 300
#: So many threads place calls all the time, while a portal comes and goes so many times.
CALLERS, GOES = 3, 40
TWICE = "+390509000992"
HOSTILE = 'Alpha, "Srl" ${SHELL(id)}|ended;x&/etc/passwd\r\n[faxroom-in]'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documents")


@pytest.fixture(scope="module")
def one_page(folder: Path) -> Path:
    return light_pages(folder / "one.tif", 1)


@pytest.fixture(scope="module")
def dense(folder: Path) -> Path:
    return light_then_dense(folder / "dense.tif")


@pytest.fixture(scope="module")
def by_sound(one_page: Path) -> dict[str, OutgoingCall]:
    """The calls that carry a page by sound: channel id → call."""
    calls = (
        call_of("fax-audio-1", one_page, t38=False),
        CallElsewhere.of(call_of("fax-fallback-1", one_page), "g711"),
    )
    return {call.channel_id: call for call in calls}


@pytest.fixture(scope="module")
def placed(
    line: Line,
    ear: Ear,
    unattended: Line,
    folder: Path,
    one_page: Path,
    dense: Path,
    by_sound: dict[str, OutgoingCall],
) -> dict[str, object]:
    """Every call of this module, under way: channel id → what ARI answered."""
    two_pages = light_pages(folder / "two.tif", 2)
    unheard = light_pages(folder / "fax-unheard-1.tif", 2)  # progress is known by the name of the file
    unattended.ari.originate(call_of("fax-unheard-1", unheard))
    calls = [
        call_of("fax-t38-1", one_page),
        call_of("fax-twopages-1", two_pages),
        *by_sound.values(),
        call_of("fax-hostile-1", one_page, station_id=HOSTILE, caller_number=HOSTILE),
        call_of("fax-busy-1", one_page, BUSY),
        call_of("fax-noanswer-1", one_page, SILENT_BELL, ring_seconds=4),
        call_of("fax-unallocated-1", one_page, UNALLOCATED),
        call_of("fax-rejected-1", one_page, REJECTING),
        call_of("fax-dropped-1", dense, HANGS_UP),
        call_of("fax-person-1", one_page, PERSON),
        call_of("fax-redirected-1", one_page, REDIRECTING),
        call_of("fax-capped-1", dense, max_seconds=8),
        call_of("fax-ended-1", dense),
        call_of("fax-nofile-1", folder / "gone.tif"),
        call_of("fax-late-1", one_page, "+390509000991", not_after=int(time.time()) - 1),
        call_of("fax-twice-1", one_page, TWICE),
    ]
    calls += [call_of(f"fax-many{number}-1", one_page) for number in range(MANY)]
    answers = line.ari.originate_many(calls)
    ear.await_of(Ringing, "fax-twice-1")
    calls.append(call_of("fax-twice-1", one_page, TWICE))
    answers.append(line.ari.originate(calls[-1]))
    return {call.channel_id: answer for call, answer in zip(calls, answers, strict=True)}


def assert_placed(placed: dict[str, object], channel_id: str) -> None:
    """Of a request that a slow machine did not answer in time nobody knows, until the call's own result is there."""
    answer = placed[channel_id]
    is_doubtful = isinstance(answer, TemporaryFailure) and not answer.values["certain"]
    assert answer == "placed" or is_doubtful, f"{channel_id}: {answer!r}"


@pytest.fixture
def facts(
    placed: dict[str, object], by_sound: dict[str, OutgoingCall], ear: Ear, request: pytest.FixtureRequest
) -> CallFacts:
    """The end of the call that the test names."""
    channel_id = request.param
    assert_placed(placed, channel_id)
    call = by_sound.get(channel_id)
    return (ear.result_by_sound(call) if call else ear.result(channel_id)).facts


def the_end_of(channel_id: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("facts", [channel_id], indirect=True)


def test_a_call_without_a_portal_is_followed_page_by_page_and_its_result_is_found_afterwards(
    placed: dict[str, object], unattended: Line
) -> None:
    """The first test, so that the call is still on its way."""
    seen = set()

    def over() -> bool:
        if fax := unattended.ari.sent_so_far().get("fax-unheard-1"):
            seen.add(fax.pages)
        return "fax-unheard-1" not in unattended.ari.live_channels()

    wait_until(100, "the end of the call", over)
    with Ear(unattended.ari) as ear:
        told = ear.durable()["fax-unheard-1"]
        assert isinstance(told, Ended)
        assert (told.facts.outcome, told.facts.pages) == ("success", 2)
    assert 1 in seen
    wait_until(100, "it came in, too", lambda: 2 in [pages_in(path) for path in unattended.received()])


@the_end_of("fax-t38-1")
def test_a_page_goes_over_t38(facts: CallFacts, ear: Ear) -> None:
    assert (facts.outcome, facts.pages, facts.mode, facts.rate) == ("success", 1, "T38", 14400)
    assert facts.error is None
    assert facts.answered_at and facts.ended_at and facts.ended_at - facts.answered_at > 5
    assert ear.of(Ringing, "fax-t38-1") and ear.of(Answered, "fax-t38-1")


@the_end_of("fax-twopages-1")
def test_two_pages_are_counted(facts: CallFacts) -> None:
    assert (facts.outcome, facts.pages) == ("success", 2)


@the_end_of("fax-audio-1")
def test_a_template_without_t38_sends_over_g711(facts: CallFacts) -> None:
    assert (facts.outcome, facts.pages, facts.mode) == ("success", 1, "audio")


@the_end_of("fax-fallback-1")
def test_a_machine_that_refuses_t38_gets_the_page_over_g711(facts: CallFacts) -> None:
    assert (facts.outcome, facts.pages, facts.mode, facts.error) == ("success", 1, "audio", None)


@the_end_of("fax-hostile-1")
def test_separators_and_substitutions_in_a_station_id_do_no_harm(facts: CallFacts, line: Line) -> None:
    assert (facts.outcome, facts.pages) == ("success", 1)
    assert "uid=" not in (line.home / "log/full.log").read_text()


@pytest.mark.parametrize(
    ("facts", "outcome", "cause"),
    [
        ("fax-busy-1", "busy", 17),
        ("fax-noanswer-1", "no_answer", 19),
        ("fax-unallocated-1", "unallocated", 1),
        ("fax-rejected-1", "forbidden", 21),
    ],
    indirect=["facts"],
)
def test_a_call_that_nobody_takes_has_a_durable_result_too(facts: CallFacts, outcome: str, cause: int) -> None:
    assert (facts.outcome, facts.hangup_cause, facts.pages, facts.answered_at) == (outcome, cause, 0, None)


@the_end_of("fax-dropped-1")
def test_a_far_end_that_hangs_up_in_page_two_has_confirmed_one(facts: CallFacts) -> None:
    assert (facts.outcome, facts.pages) == ("dropped", 1)


@the_end_of("fax-person-1")
def test_a_person_who_picks_up_is_no_success(facts: CallFacts) -> None:
    assert facts.outcome in DELAYS
    assert (facts.pages, facts.mode) == (0, "audio")


@the_end_of("fax-redirected-1")
def test_a_redirect_by_the_far_end_leads_nowhere(facts: CallFacts, ear: Ear) -> None:
    assert facts.outcome in ("redirected", "other")
    assert facts.answered_at is None
    assert REDIRECTED not in {shown_called(call.called) for call in ear.incoming}


@the_end_of("fax-capped-1")
def test_a_call_ends_at_its_cap(facts: CallFacts) -> None:
    assert (facts.outcome, facts.pages) == ("capped", 0)
    assert facts.answered_at and facts.ended_at and facts.ended_at - facts.answered_at < 60, "its pages take minutes"


@the_end_of("fax-nofile-1")
def test_a_file_that_is_not_there_is_refused(facts: CallFacts) -> None:
    assert (facts.outcome, facts.pages) == ("file_refused", 0)


@the_end_of("fax-late-1")
def test_a_call_answered_after_it_was_given_up_sends_nothing(facts: CallFacts) -> None:
    assert (facts.outcome, facts.pages, facts.answered_at) == ("other", 0, None)


def test_our_hang_up_ends_the_call_with_a_result(placed: dict[str, object], line: Line, ear: Ear) -> None:
    ear.await_of(Answered, "fax-ended-1")
    line.ari.hangup("fax-ended-1")
    assert ear.result("fax-ended-1").facts.outcome == "dropped"
    line.ari.hangup("fax-ended-1")  # over already: fine


def test_the_same_channel_id_is_adopted_and_rings_once(placed: dict[str, object], ear: Ear) -> None:
    assert placed["fax-twice-1"] == "adopted"
    assert ear.result("fax-twice-1").facts.outcome == "success"
    assert len([call for call in ear.incoming if shown_called(call.called) == TWICE]) == 1


def test_many_calls_at_once_all_succeed(placed: dict[str, object], line: Line, ear: Ear) -> None:
    outcomes = [ear.result(f"fax-many{number}-1").facts.outcome for number in range(MANY)]
    assert outcomes == ["success"] * MANY
    for number in range(MANY):
        assert_placed(placed, f"fax-many{number}-1")


def test_what_is_sent_is_what_arrives(placed: dict[str, object], line: Line, ear: Ear) -> None:
    ear.result("fax-twopages-1")
    wait_until(100, "a received fax of two pages", lambda: 2 in [pages_in(path) for path in line.received()])
    widths = {_width(path) for path in line.received() if pages_in(path)}
    assert widths == {1728}


def _width(path: Path) -> int:
    with Image.open(path) as image:
        return image.width


def test_a_number_that_nobody_has_is_refused_before_it_is_answered(unattended: Line, one_page: Path) -> None:
    with Ear(unattended.ari, deciding=lambda ari, call: ari.refuse(call.channel_id, 1)) as ear:
        unattended.ari.originate(call_of("fax-refused-1", one_page))
        facts = ear.result("fax-refused-1").facts
    assert (facts.outcome, facts.answered_at) == ("unallocated", None)


def test_hundreds_of_results_are_told_and_forgotten(line: Line, ear: Ear, one_page: Path) -> None:
    ids = [f"fax-01JDABCDEFGHJKMNPQRSTV{number:04}-1" for number in range(RESULTS)]
    line.ari.originate_many([call_of(channel_id, one_page, UNALLOCATED) for channel_id in ids])
    for channel_id in ids:
        ear.result(channel_id)
    assert set(ids) - set(ear.durable()) == set()
    line.ari.forget(ids)
    wait_until(100, "all are forgotten", lambda: not set(ids) & set(ear.durable()))


STRANGE_IDS = ("fax-x';touch hacked;'", "fax-$(touch hacked)", "fax-`touch hacked`", 'fax-"|touch hacked|"')


def test_not_even_who_has_the_password_of_ari_gets_words_into_a_command(unattended: Line, one_page: Path) -> None:
    """Neither by a call's id nor by variables of a call, nor by asking for the function itself."""
    http, spool = unattended.ari._client, unattended.home / "spool/faxroom"
    body = call_of("fax-strange-1", one_page).body()
    shadowing = {"ASTSPOOLDIR": f"{spool}/answered'; touch hacked; cd '", "FAX_MARK": "'; touch hacked; '"}
    for number, channel_id in enumerate((*STRANGE_IDS, "fax-shadowing-1")):
        told = body | {"variables": body["variables"] | (shadowing if number == len(STRANGE_IDS) else {})}
        assert http.post(f"/channels/{quote(channel_id, safe='')}", json=told).is_success
    names = {"fax-xtouchhacked", "fax-touchhacked", "fax-shadowing-1"}
    wait_until(100, "the marks of these calls", lambda: names <= unattended.marks())
    answer = http.get("/asterisk/variable", params={"variable": "SHELL(touch hacked)"})
    assert answer.json().get("value", "") == ""
    said = {"Action": "Getvar", "Variable": "SHELL(touch hacked)"}
    http.get(str(http.base_url).replace("/ari", "") + "/rawman", params=said)
    assert not [*unattended.home.rglob("hacked")] and not Path("hacked").exists()


@pytest.fixture
def doomed(asterisk_root: None, tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path / "doomed", local={"extensions.conf": FAR_ENDS})
    line.home.mkdir()
    line.start()
    yield line
    line.stop()


def test_a_killed_asterisk_leaves_the_mark_of_the_call_that_it_was_sending(doomed: Line, dense: Path) -> None:
    with Ear(doomed.ari) as ear:
        doomed.ari.originate(call_of("fax-killed-1", dense))
        ear.await_of(Answered, "fax-killed-1")
        started = doomed.ari.ping()
        doomed.kill()
        with pytest.raises(TemporaryFailure):
            doomed.ari.ping()
        doomed.start()
        ear.wait("a second connection", 100, lambda: ear.connections > 1)
        assert ear.durable() == {}
    assert doomed.marks() == {"fax-killed-1"}
    assert "fax-killed-1" not in doomed.ari.live_channels()
    assert doomed.ari.ping() > started


@pytest.mark.parametrize(("seconds", "outcome"), [(0.3, "line_down"), (9, "unknown")])
def test_of_a_call_that_a_stopped_asterisk_cut_nothing_is_known_but_that_t30_had_not_begun(
    doomed: Line, dense: Path, seconds: float, outcome: str
) -> None:
    """It may have been between a page and its confirmation: a second dial could be a second fax. While SendFAX still
    waited for the far end's T.38 (which a receiving Asterisk offers after 3 s) no page can have left."""
    with Ear(doomed.ari) as ear:
        doomed.ari.originate(call_of("fax-stopped-1", dense))
        ear.await_of(Answered, "fax-stopped-1")
        time.sleep(seconds)
        told = _stopped_and_asked(doomed, ear, "fax-stopped-1")
    assert (told.outcome, told.pages) == (outcome, 0)


def test_a_call_that_rings_when_asterisk_is_stopped_is_our_side(doomed: Line, one_page: Path) -> None:
    with Ear(doomed.ari) as ear:
        doomed.ari.originate(call_of("fax-rings-1", one_page, SILENT_BELL))
        ear.await_of(Ringing, "fax-rings-1")
        told = _stopped_and_asked(doomed, ear, "fax-rings-1")
    assert (told.outcome, told.answered_at) == ("line_down", None)


def _stopped_and_asked(line: Line, ear: Ear, channel_id: str) -> CallFacts:
    """Asterisk is told to end, starts anew, and says what it knows of a call."""
    assert line.stop() == 0
    line.start()
    ear.wait("a second connection", 100, lambda: ear.connections > 1)
    return ear.durable()[channel_id].facts


def test_a_portal_that_comes_and_goes_while_calls_do_never_locks_up_the_line(doomed: Line, one_page: Path) -> None:
    """Each call changes the state of a device, about which Asterisk must not have to tell a stream that ends."""
    over = threading.Event()

    def call_and_call(caller: int) -> None:
        for number in itertools.takewhile(lambda _: not over.is_set(), itertools.count()):
            with suppress(FaxroomError):
                doomed.ari.originate(call_of(f"fax-come{caller}x{number}-1", one_page, BUSY))

    with ThreadPoolExecutor(CALLERS) as pool:
        calling = [pool.submit(call_and_call, caller) for caller in range(CALLERS)]
        try:
            for _ in range(GOES):
                with closing(doomed.ari.events()) as events:
                    assert isinstance(next(events), Connected)
                    assert next(events)
        finally:
            over.set()
        for one in calling:
            one.result()
    with Ear(doomed.ari) as ear:
        doomed.ari.originate(call_of("fax-after-1", one_page, BUSY))
        assert ear.result("fax-after-1").facts.outcome == "busy"


def test_an_asterisk_that_starts_is_down_not_refusing(doomed: Line, one_page: Path) -> None:
    """A refusal would be held against the fax; while Asterisk loads its modules nothing was dialled."""
    doomed.stop()
    doomed.launch()
    failures = []

    def answers() -> bool:
        try:
            return bool(doomed.ari.ping())
        except FaxroomError as failure:
            failures.append(failure)
            return False

    wait_until(100, "Asterisk answers", answers)
    assert failures
    assert all(isinstance(failure, TemporaryFailure) and failure.values["certain"] for failure in failures)


@pytest.mark.parametrize(
    "number",
    ["", "abc", "+39050/1", "0501@other", "050,1", "050&060", "050;1", "1\n2", "٣٤٥", "+", "*5", "5*", "1" * 40],
)
def test_a_number_outside_the_grammar_never_reaches_asterisk(number: str, one_page: Path) -> None:
    assert not DIAL_STRING.fullmatch(number)
    with pytest.raises(PermanentFailure, match="number_refused"):
        call_of("fax-x-1", one_page, number).body()


@pytest.mark.parametrize("channel_id", ["", "fax/1", "fax&1", "fax 1", "fax?x=1", "a" * 65])
def test_a_channel_id_outside_the_grammar_never_reaches_asterisk(channel_id: str, one_page: Path) -> None:
    with pytest.raises(PermanentFailure):
        replace(call_of("fax-x-1", one_page, FAX_MACHINE), channel_id=channel_id).body()


def test_a_listener_that_another_replaced_listens_again_when_that_one_is_gone(unattended: Line) -> None:
    """Asterisk keeps the first one's stream open and tells it nothing more."""
    with Ear(unattended.ari) as first:
        with Ear(unattended.ari):
            pass
        first.wait("it listens anew", 100, lambda: first.connections > 1)
        assert isinstance(first.durable(), dict)


# ---- A disk that is full


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("small"), "40m") as disk:
        yield disk


@pytest.fixture(scope="module")
def cramped(asterisk_root: None, small: SmallDisk) -> Iterator[Line]:
    """An Asterisk all of whose files are on a disk that is full as soon as it runs."""
    line = Line(small.folder / "home", local={"extensions.conf": FAR_ENDS})
    line.home.mkdir()
    line.start()
    small.fill()
    yield line
    small.free()
    line.stop()


def test_a_call_that_is_answered_when_the_disk_is_full_ends_before_its_first_page(
    cramped: Line, small: SmallDisk, one_page: Path
) -> None:
    with Ear(cramped.ari) as ear:
        small.fill()
        cramped.ari.originate(call_of("fax-full-1", one_page, PERSON))
        facts = ear.result("fax-full-1").facts
        assert (facts.outcome, facts.answered_at) == ("disk_full", None)
        assert ear.of(Answered, "fax-full-1") is None
    assert cramped.marks() == set()


def test_a_full_disk_makes_the_line_busy_where_there_is_no_portal(
    cramped: Line, small: SmallDisk, one_page: Path, tmp_path: Path
) -> None:
    contact = f"sip:127.0.0.1:{cramped.sip_port}"
    elsewhere = f"[cramped](trunk)\naors = cramped\n[cramped]\ntype = aor\ncontact = {contact}\n"
    caller = Line(tmp_path / "caller", local={"pjsip.conf": elsewhere})
    caller.home.mkdir()
    caller.start()
    try:
        with Ear(caller.ari) as ear:
            small.fill()
            caller.ari.originate(CallElsewhere.of(call_of("fax-in-1", one_page), "cramped"))
            assert ear.result("fax-in-1").facts.outcome == "busy"
            small.free()
            caller.ari.originate(CallElsewhere.of(call_of("fax-in-2", one_page), "cramped"))
            assert ear.result("fax-in-2").facts.outcome == "success"
            small.fill()
    finally:
        caller.stop()
