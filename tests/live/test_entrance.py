"""Calls that begin with T.38 alone come in through the T.38 entrance, on a real Asterisk."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from PIL import Image
from sqlalchemy.orm import Session

from app.adapters.telephony.ari import Ari, OutgoingCall
from app.adapters.telephony.entrance import Address, Entrance
from app.adapters.telephony.passing import Passed
from app.jobs.receiving.entrance import packet_asked
from app.models import FaxEntity
from app.rules.numbers.called import shown_called
from app.rules.receiving.receiving import begin_receiving, finish_receiving
from app.rules.sending.dispatch import Limits
from app.rules.sending.trunks.fields import ENTRANCE_HEADER, FILE, TrunkFields, file_text, vouching
from app.services.receiving.line_events import Incoming, Received
from tests.db.conftest import session  # noqa: F401
from tests.live.caller import T38, Caller
from tests.live.image_first import ImageFirst
from tests.live.lines import (
    BUSY,
    FAR_ENDS,
    PERSON,
    SILENT_BELL,
    TELEPHONE,
    UNALLOCATED,
    CallElsewhere,
    Ear,
    Line,
    call_of,
    light_pages,
    wait_until,
)
from tests.web.cast import Cast
from tests.web.conftest import app, cast, kept, memory  # noqa: F401

pytestmark = pytest.mark.live

SECRET = "of-the-entrance"
NUMBER, LOSSY, WITH_SOUND, OUTLIVES = "+390509655701", "+390509655702", "+390509655703", "+390509655704"
SHARED, BY_SOUND = "+390509655705", "+390509655706"
#: Seconds after which a call breaks off: the two machines have agreed, and no page is through.
BREAKS_OFF = 14
CALLER, COMPANY = "+390511234567", "+390509655000"
#: What a carrier adds to it.
HEADERS = (
    ("P-Asserted-Identity", f"<sip:{CALLER}@carrier.example>"),
    ("P-Called-Party-ID", f"<sip:{COMPANY}@carrier.example>"),
    (ENTRANCE_HEADER, "made-up.main"),
)


class Watched(Entrance):
    """``loses`` says what does not get out. ``trunk`` is whose everybody on this machine is."""

    def __init__(self, line: Line, port: int = 0) -> None:
        self.trunk: str | None = "main"
        self.loop = asyncio.get_running_loop()
        self.is_lossy = False
        self.loses = lambda message: False
        self.asked: Callable[[Passed, str], int | None] = lambda invite, trunk: None
        self.said = list[Passed]()
        self._lost = set[tuple[str, str, str]]()
        super().__init__(
            port=port,
            sip_port=line.sip_port,
            secret=SECRET,
            trunk_of=lambda address: self.trunk,
            header=ENTRANCE_HEADER,
            vouching=lambda trunk: vouching(SECRET, trunk),
            packet_for=lambda invite, trunk: asyncio.to_thread(self.asked, invite, trunk),
        )

    def _send(self, raw: bytes, where: Address) -> None:
        message = Passed.read(raw)
        self.said.append(message)
        said = (message.first, message.get("CSeq"), message.call_id)
        if self.loses(message) or (self.is_lossy and where != self.asterisk and said not in self._lost):
            self._lost.add(said)
        else:
            super()._send(raw, where)


@contextmanager
def opened(line: Line, port: int = 0) -> Iterator[Watched]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True, name="entrance")
    thread.start()

    async def begin() -> Watched:
        entrance = Watched(line, port)
        await entrance.open("127.0.0.1")
        return entrance

    entrance = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    yield entrance

    async def end() -> None:
        entrance.close()
        await asyncio.sleep(0)  # the port is free by then

    asyncio.run_coroutine_threadsafe(end(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def called(asterisk_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Knows nobody on this machine by the address, only by what the entrance says. The trunk ``plain`` has no T.38."""
    line = Line(
        tmp_path_factory.mktemp("called"), local={"extensions.conf": FAR_ENDS}, trunk="sip:192.0.2.9 sip:192.0.2.10"
    )
    trunks = [TrunkFields("192.0.2.9", 5060), TrunkFields("192.0.2.10", 5060, name="plain", t38=False)]
    told = line.home / "spool/faxroom" / FILE
    told.parent.mkdir(parents=True)
    told.write_text(file_text(trunks, sip_port=line.sip_port, entrance=SECRET))
    line.start()
    yield line
    assert line.stop() == 0


def decide(ari: Ari, call: Incoming) -> None:
    """All lines are of a fax machine alone, but one."""
    if shown_called(call.called) == SHARED and not call.is_fax:
        ari.detect(call.channel_id, listen_seconds=30, voice=TELEPHONE, whose="3-17", rings=30)
    else:
        ari.receive(call.channel_id)


@pytest.fixture(scope="module")
def ear_of_called(called: Line) -> Iterator[Ear]:
    with Ear(called.ari, deciding=decide) as ear:
        yield ear


@pytest.fixture(scope="module")
def entrance(called: Line) -> Iterator[Watched]:
    with opened(called) as entrance:
        yield entrance


@pytest.fixture(scope="module")
def first(entrance: Watched) -> Iterator[ImageFirst]:
    with ImageFirst(("127.0.0.1", entrance.port), HEADERS) as first:
        yield first


@pytest.fixture
def far(called: Line, first: ImageFirst, entrance: Watched) -> Iterator[ImageFirst]:
    first.begin_anew()
    yield first
    entrance.trunk, entrance.is_lossy, entrance.loses = "main", False, lambda message: False
    entrance.asked = lambda invite, trunk: None
    wait_until(100, "no call is left", lambda: not called.ari.live_channels())


@pytest.fixture(scope="module")
def sender(
    called: Line, first: ImageFirst, entrance: Watched, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    through = "[through](trunk)\nt38_udptl = yes\nt38_udptl_ec = redundancy\naors = through\n"
    through += f"[through]\ntype = aor\ncontact = sip:127.0.0.1:{entrance.port}\n"
    through += f"[through]\ntype = identify\nendpoint = through\nmatch = 127.0.0.1:{entrance.port}\n"
    home = tmp_path_factory.mktemp("sender")
    sender = Line(home, local={"pjsip.conf": through}, trunk=f"sip:127.0.0.1:{first.port}")
    sender.keep_apart_from(called)
    sender.start()
    yield sender
    assert sender.stop() == 0


@pytest.fixture(scope="module")
def ear_of_sender(sender: Line) -> Iterator[Ear]:
    with Ear(sender.ari) as ear:
        yield ear


def received(ear: Ear, number: str) -> Received:
    def those() -> list[Received]:
        return [one for one in ear.heard if isinstance(one, Received) and one.called.startswith(number)]

    ear.wait(f"a fax for {number}", 100, those)
    return those()[0]


def dots(path: Path) -> np.ndarray:
    with Image.open(path) as page:
        return np.asarray(page.convert("1"))


def send(sender: Line, ear: Ear, call: OutgoingCall) -> None:
    sender.ari.originate(call)
    facts = ear.result(call.channel_id).facts
    assert (facts.outcome, facts.pages, facts.mode) == ("success", 1, "T38")


def test_a_fax_is_received_dot_by_dot_and_says_whom_it_is_for(
    called: Line, ear_of_called: Ear, sender: Line, ear_of_sender: Ear, far: ImageFirst, tmp_path: Path
) -> None:
    page = light_pages(tmp_path / "one.tif", 1)
    send(sender, ear_of_sender, call_of("fax-image-1", page, NUMBER))
    fax = received(ear_of_called, NUMBER)
    assert (fax.facts.outcome, fax.facts.mode, fax.caller) == ("success", "T38", CALLER)
    assert COMPANY in fax.called and fax.called.endswith("|main")
    assert np.array_equal(dots(called.home / f"spool/faxroom/incoming/{fax.channel_id}.tif"), dots(page))
    wait_until(100, "Asterisk hangs up", lambda: "BYE" in far.requests())


def test_whatever_is_lost_is_said_again(
    ear_of_called: Ear, sender: Line, ear_of_sender: Ear, far: ImageFirst, entrance: Watched, tmp_path: Path
) -> None:
    """The first of everything that the entrance says to the far end. Asterisk is on the same machine."""
    entrance.is_lossy = True
    send(sender, ear_of_sender, call_of("fax-lossy-1", light_pages(tmp_path / "one.tif", 1), LOSSY))
    assert received(ear_of_called, LOSSY).facts.outcome == "success"


def test_on_a_shared_line_no_telephone_rings(
    ear_of_called: Ear, sender: Line, ear_of_sender: Ear, far: ImageFirst, tmp_path: Path
) -> None:
    send(sender, ear_of_sender, call_of("fax-shared-1", light_pages(tmp_path / "one.tif", 1), SHARED))
    assert received(ear_of_called, SHARED).facts.outcome == "success"
    assert [call.is_fax for call in ear_of_called.incoming if shown_called(call.called) == SHARED] == [False, True]


def test_a_call_with_sound_goes_through_as_it_is_and_changes_to_t38(
    ear_of_called: Ear, sender: Line, ear_of_sender: Ear, far: ImageFirst, tmp_path: Path
) -> None:
    call = call_of("fax-sound-1", light_pages(tmp_path / "one.tif", 1), WITH_SOUND)
    send(sender, ear_of_sender, CallElsewhere.of(call, "through"))
    assert received(ear_of_called, WITH_SOUND).facts.outcome == "success"


@pytest.mark.usefixtures("cast")
def test_who_failed_by_sound_is_asked_for_large_packets_in_the_next_call(
    called: Line,
    ear_of_called: Ear,
    sender: Line,
    ear_of_sender: Ear,
    entrance: Watched,
    far: ImageFirst,
    app: Flask,  # noqa: F811
    session: Session,  # noqa: F811
    cast: Cast,  # noqa: F811
    tmp_path: Path,
) -> None:
    entity = session.get_one(FaxEntity, cast.frontdesk)
    entity.number = BY_SOUND
    session.commit()
    page, offers = light_pages(tmp_path / "one.tif", 1), []
    entrance.asked = lambda invite, trunk: offers.append(invite) or packet_asked(app, invite, trunk)
    pages = []
    for channel_id, seconds in (("fax-breaks-1", BREAKS_OFF), ("fax-breaks-2", 600)):
        before = len(ear_of_called.heard)
        call = call_of(channel_id, page, BY_SOUND, t38=False, max_seconds=seconds)
        sender.ari.originate(CallElsewhere.of(call, "through"))
        is_it = lambda one: isinstance(one, Received) and one.called.startswith(BY_SOUND)  # noqa: E731
        ear_of_called.wait("its end", 120, lambda: any(map(is_it, ear_of_called.heard[before:])))  # noqa: B023
        fax = next(filter(is_it, ear_of_called.heard[before:]))
        known = {"node": "test", "channel_id": fax.channel_id, "caller": fax.caller, "limits": Limits(line=0)}
        session.rollback()
        finish_receiving(session, begin_receiving(session, entity, **known, called=fax.called), fax.facts)
        session.commit()
        pages.append((fax.facts.mode, fax.facts.pages))
    assert pages == [("audio", 0), ("audio", 1)]
    assert np.array_equal(dots(called.home / f"spool/faxroom/incoming/{fax.channel_id}.tif"), dots(page))
    assert ear_of_sender.result("fax-breaks-2").facts.outcome == "success"
    calls = {invite.call_id: invite.sequence for invite in offers}
    sizes = {
        (said.call_id, said.status): re.findall(rb"a=ptime:([0-9]+)", said.body)
        for said in entrance.said
        if calls.get(said.call_id) == said.sequence and b"m=audio" in said.body
    }
    assert [*sizes.values()] == [[b"20"], [b"20"], [b"60"], [b"60"]], "as Asterisk hears the offers, and its answers"


def test_a_fax_goes_on_when_the_entrance_dies_and_ends_by_the_next_one(
    called: Line, ear_of_called: Ear, sender: Line, ear_of_sender: Ear, tmp_path: Path
) -> None:
    page = light_pages(tmp_path / "one.tif", 1)
    with opened(called) as dying, ImageFirst(("127.0.0.1", dying.port)) as far:
        through = (
            f"[dying](trunk)\nt38_udptl = yes\naors = dying\n[dying]\ntype = aor\ncontact = sip:127.0.0.1:{far.port}\n"
        )
        (sender.home / "etc/local/pjsip-dying.conf").write_text(through)
        sender.console("module reload res_pjsip.so")
        wait_until(100, "Asterisk knows it", lambda: "dying" in sender.console("pjsip show endpoints"))
        wait_until(100, "and where it is", lambda: "dying" in sender.console("pjsip show aors"))
        sender.ari.originate(CallElsewhere.of(call_of("fax-dying-1", page, OUTLIVES), "dying"))
        wait_until(100, "it is taken", lambda: 200 in far.statuses())
        port = dying.port
        asyncio.run_coroutine_threadsafe(_closed(dying), dying.loop).result(10)
        with opened(called, port):
            assert ear_of_sender.result("fax-dying-1").facts.outcome == "success"
            assert received(ear_of_called, OUTLIVES).facts.outcome == "success"
            wait_until(100, "Asterisk hangs up", lambda: "BYE" in far.requests())


async def _closed(entrance: Entrance) -> None:
    entrance.close()


def test_the_far_end_hangs_up(called: Line, ear_of_called: Ear, far: ImageFirst) -> None:
    far.call(NUMBER, f"<sip:{CALLER}@carrier.example>")
    wait_until(100, "it is taken", lambda: 200 in far.statuses())
    time.sleep(0.5)
    far.hang_up()
    wait_until(100, "the answer", lambda: far.answered("BYE"))
    wait_until(100, "it is over", lambda: not called.ari.live_channels())


def test_the_far_end_offers_the_image_again_and_each_counts_as_it_does(
    called: Line, ear_of_called: Ear, far: ImageFirst, entrance: Watched
) -> None:
    acknowledged = []
    entrance.loses = lambda message: message.first.startswith("ACK") and acknowledged.append(message.sequence)
    far.call(NUMBER, f"<sip:{CALLER}@carrier.example>")
    wait_until(100, "it is taken, of sound and of the image", lambda: {1, 2} <= {*acknowledged})
    far.offer_again()
    wait_until(100, "that too", lambda: [said for said in far.said if said.status == 200 and said.sequence == 2])
    wait_until(100, "it is acknowledged", lambda: 3 in acknowledged)
    far.hang_up()
    wait_until(100, "the answer", lambda: far.answered("BYE"))
    assert {said.sequence for said in far.said if said.method == "BYE"} == {3}


def test_asterisk_hangs_up(called: Line, ear_of_called: Ear, far: ImageFirst) -> None:
    far.call(NUMBER, f"<sip:{CALLER}@carrier.example>")
    wait_until(100, "it is taken", lambda: 200 in far.statuses())
    (channel,) = called.ari.live_channels()
    called.ari.hangup(channel)
    wait_until(100, "the far end hears of it", lambda: "BYE" in far.requests())
    assert {said.from_tag for said in far.said if said.status is None} == {far.tag}


def test_whoever_hangs_up_while_it_rings_is_heard(called: Line, far: ImageFirst) -> None:
    far.call(SILENT_BELL, f"<sip:{CALLER}@carrier.example>")
    wait_until(100, "it rings", lambda: 180 in far.statuses())
    far.cancel()
    wait_until(100, "the end", lambda: 487 in far.statuses())
    wait_until(100, "it is over", lambda: not called.ari.live_channels())


def test_whoever_hangs_up_while_asterisk_changes_is_heard(called: Line, far: ImageFirst, entrance: Watched) -> None:
    changes = []
    entrance.loses = lambda message: (
        message.first.startswith("INVITE") and bool(message.to_tag) and not changes.append(1)
    )
    far.call(PERSON, f"<sip:{CALLER}@carrier.example>")
    wait_until(100, "it changes", lambda: changes)
    far.cancel()
    wait_until(100, "the end", lambda: 487 in far.statuses())
    wait_until(100, "it is over", lambda: not called.ari.live_channels())


@pytest.mark.parametrize(("number", "status"), [(BUSY, 486), (UNALLOCATED, 404)])
def test_a_refusal_goes_back(far: ImageFirst, number: str, status: int) -> None:
    far.call(number, f"<sip:{CALLER}@carrier.example>")
    wait_until(100, "the refusal", lambda: [one for one in far.statuses() if one >= 200])
    assert {one for one in far.statuses() if one >= 200} == {status}


def test_where_there_is_no_t38_it_is_refused(called: Line, far: ImageFirst, entrance: Watched) -> None:
    entrance.trunk = "plain"
    far.call(PERSON, f"<sip:{CALLER}@carrier.example>")
    wait_until(100, "the refusal", lambda: 488 in far.statuses())
    wait_until(100, "it is over", lambda: not called.ari.live_channels())


def test_strangers_are_refused(called: Line, ear_of_called: Ear, far: ImageFirst, entrance: Watched) -> None:
    before = len(ear_of_called.incoming)
    entrance.trunk = None
    far.call(NUMBER, f"<sip:{CALLER}@carrier.example>")
    wait_until(100, "the refusal", lambda: 403 in far.statuses())
    assert "the last from 127.0.0.1" in entrance.take_refused()
    made_up = (f"{ENTRANCE_HEADER}: made-up.main",)
    with Caller(called.sip_port, NUMBER, user=CALLER, headers=made_up, media=(T38,)) as caller:
        assert caller.until_refused() == 401
    assert ear_of_called.incoming[before:] == []
