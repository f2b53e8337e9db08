"""A machine that calls pages poor, confirmed all the same or refused: what Asterisk tells of it, on its pipe."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.adapters.telephony.answers import Answers
from app.services.receiving.line_events import Answered
from bench.machine import RTN, RTP, Habits, Machine, serve
from tests.live.lines import Ear, Line, call_of, light_pages, wait_until

pytestmark = pytest.mark.live

#: Called number → what its machine says to which page, and which pages are to be found poor, and which refused.
SAYS: dict[str, tuple[dict[int, int | None], list[int], list[int]]] = {
    "+390509655801": ({1: RTP}, [1], []),
    "+390509655802": ({2: RTP}, [2], []),
    "+390509655803": ({1: RTN}, [], [1]),  # sent again in the same call, and confirmed
    "+390509655804": ({}, [], []),
}


@pytest.fixture(scope="module")
def far(asterisk_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Each number is a machine of its own, without error correction."""
    folder, calls = tmp_path_factory.mktemp("machines"), {uuid.uuid4(): says for says, _, _ in SAYS.values()}

    def machine(call: str) -> Machine:
        return Machine(Habits(ecm=False, says=calls[uuid.UUID(call)]), receives=folder / f"{call}.tif")

    with serve(machine) as port:
        lines = ["[faxroom-in](+)"]
        for number, call in zip(SAYS, calls, strict=True):
            lines += [f"exten => {number},1,Answer()", f" same => n,AudioSocket({call},127.0.0.1:{port})"]
        far = Line(
            tmp_path_factory.mktemp("far"),
            local={"extensions-machines.conf": "\n".join([*lines, " same => n,Hangup()"])},
        )
        far.start()
        far.ari.load_modules(("res_audiosocket.so", "app_audiosocket.so"))
        yield far
        assert far.stop() == 0


@pytest.fixture(scope="module")
def near(far: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    near = Line(tmp_path_factory.mktemp("near"), local={}, trunk=f"sip:127.0.0.1:{far.sip_port}")
    near.keep_apart_from(far)
    near.start()
    yield near
    assert near.stop() == 0


@pytest.fixture(scope="module")
def heard(near: Line) -> Answers:
    """Of the near end, on its pipe."""
    heard, pipe = Answers(), near.home / "spool/faxroom/outgoing/answers"
    heard.listen(pipe)
    for _ in range(2):  # a process that starts anew tells it again
        near.ari.tell_answers(pipe)
    return heard


def test_pages_that_a_machine_calls_poor_are_known_and_no_page_is_on_a_disk(
    near: Line, heard: Answers, tmp_path: Path
) -> None:
    document = light_pages(tmp_path / "two.tif", 2)
    with Ear(near.ari) as ear:
        calls = {number: call_of(f"fax-{number[1:]}-1", document, number, t38=False) for number in SAYS}
        for call in calls.values():
            near.ari.originate(call)
        ended = {number: ear.result_by_sound(call, 150) for number, call in calls.items()}
        logged = {number: ear.of(Answered, end.channel_id) for number, end in ended.items()}
    assert {number: (end.facts.outcome, end.facts.pages) for number, end in ended.items()} == dict.fromkeys(
        SAYS, ("success", 2)
    )
    expected = {number: (poor, refused) for number, (_, poor, refused) in SAYS.items()}

    def found() -> dict[str, tuple[list[int], list[int]]]:
        logs = {number: said.log for number, said in logged.items() if said}
        return {number: (heard.poor(log, 2), heard.refused(log, 2)) for number, log in logs.items()}

    wait_until(100, "the pipe has told of every answer", lambda: found() == expected)
    assert not [file for file in (near.home / "log").iterdir() if b"T.30" in file.read_bytes()]


#: Reads nothing of the pipe: frozen.
FROZEN = "import os, sys, time; os.open(sys.argv[1], os.O_RDWR); print('open', flush=True); time.sleep(600)"


def test_a_reader_that_freezes_and_is_killed_holds_up_no_fax_and_no_end(near: Line, tmp_path: Path) -> None:
    pipe = tmp_path / "answers"
    os.mkfifo(pipe)
    document, number = light_pages(tmp_path / "two.tif", 2), list(SAYS)[-1]
    with ExitStack() as stack:
        reader = subprocess.Popen([sys.executable, "-c", FROZEN, str(pipe)], stdout=subprocess.PIPE)
        stack.enter_context(reader)
        stack.callback(reader.kill)
        assert reader.stdout and reader.stdout.readline()
        near.ari.tell_answers(pipe)
        ear = stack.enter_context(Ear(near.ari))
        for channel_id in ("fax-frozen-1", "fax-killed-1"):
            call = call_of(channel_id, document, number, t38=False)
            near.ari.originate(call)
            assert ear.result_by_sound(call, 150).facts.pages == 2
            reader.kill()
            reader.wait()
