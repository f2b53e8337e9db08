"""What spandsp's log tells of the far end's answers to our pages."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.adapters.telephony.answers import MOST_CALLS, Answers
from tests.live.lines import wait_until


def said(call: str, *answers: str) -> bytes:
    """As Asterisk 22 writes it, with what else it says."""
    lines = []
    for answer in answers:
        lines += [
            f"[2026-12-01 20:19:02.175] FAX[29636][{call}] res_fax.c: FLOW T.30 Tx:  MPS with final frame tag",
            f"[2026-12-01 20:19:02.175] FAX[29636][{call}] res_fax.c: FLOW T.30 Rx:  {answer} with final frame tag",
            f"[2026-12-01 20:19:02.176] FAX[29636][{call}] res_fax.c: FLOW T.30 Rx:  ff 13 8c",
        ]
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.mark.parametrize(
    ("answers", "pages", "poor", "refused"),
    [
        (["MCF", "MCF"], 2, [], []),
        (["RTP", "MCF"], 2, [1], []),
        (["CFR", "MCF", "FTT", "RTP"], 2, [2], []),
        (["RTP", "RTP"], 2, [1, 2], []),
        (["RTN", "MCF", "RTP"], 2, [2], [1]),  # a page that was refused is sent again
        (["MCF", "RTN", "RTN", "MCF"], 2, [], [2]),
        (["MCF", "RTN"], 1, [], [2]),  # in the next call
        (["RTN", "RTP"], 1, [1], [1]),
        (["PIN", "PIP", "RTP"], 2, [2], [1]),
        (["MCF", "MCF", "MCF", "MCF"], 2, [], []),  # with error correction parts of a page are confirmed
        (["RTP", "RTN", "MCF"], 1, [], []),
        ([], 2, [], []),
    ],
)
def test_a_page_is_poor_or_refused_where_the_answer_to_it_said_so(
    answers: list[str], pages: int, poor: list[int], refused: list[int]
) -> None:
    heard = Answers()
    heard.take(said("C-00000001", *answers))
    assert (heard.poor("C-00000001", pages), heard.refused("C-00000001", pages)) == (poor, refused)


def test_calls_are_told_apart_however_the_log_is_cut() -> None:
    heard = Answers()
    log = said("C-00000001", "MCF") + said("C-00000002", "RTP") + said("C-00000001", "RTP")
    for at in range(len(log)):
        heard.take(log[at : at + 1])
    assert (heard.poor("C-00000001", 2), heard.poor("C-00000002", 1)) == ([2], [1])


@pytest.mark.parametrize("name", ["RTP with", "T.30 Rx:  RTP with", '"T.30 Rx:  RTN with'])
def test_what_a_far_end_calls_itself_confirms_nothing(name: str) -> None:
    heard = Answers()
    heard.take(f'[2026-12-01 20:19:02.175] FAX[1][C-00000001] res_fax.c: FLOW Remote gave CSI as: "{name}"\n'.encode())
    heard.take(said("C-00000001", "MCF"))
    assert (heard.poor("C-00000001", 1), heard.refused("C-00000001", 1)) == ([], [])
    assert heard._calls == {"C-00000001": ["MCF"]}


def test_only_so_much_is_kept() -> None:
    heard = Answers()
    heard.take(b"x" * 1_000_000)
    for call in range(MOST_CALLS + 1):
        heard.take(said(f"C-{call:08x}", "RTP"))
    assert heard.poor("C-00000001", 1) == [1]
    assert heard.poor("C-00000000", 1) == []


#: A line process that has the pipe until it is ended.
FORMER = """import sys, time
from pathlib import Path
from app.adapters.telephony.answers import Answers
Answers().listen(Path(sys.argv[1]))
print("listens", flush=True)
time.sleep(600)
"""


def test_what_is_written_into_the_pipe_is_heard_by_one_process_after_the_other(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "answers", Answers()
    with subprocess.Popen([sys.executable, "-c", FORMER, str(pipe)], stdout=subprocess.PIPE) as former:
        assert former.stdout and former.stdout.readline()
        with pytest.raises(BlockingIOError, match="another process"):
            heard.listen(pipe)  # each of the two would hear a half
        former.kill()
    heard.listen(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_IMODE(pipe.stat().st_mode) & 0o007 == 0
    with pipe.open("ab") as asterisk:
        asterisk.write(said("C-00000001", "RTP"))
    wait_until(10, "the answer", lambda: heard.poor("C-00000001", 1) == [1])


def test_a_file_in_the_place_of_the_pipe_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("kept")
    with pytest.raises(FileExistsError):
        Answers().listen(tmp_path / "answers")
    assert (tmp_path / "answers").read_text() == "kept"
