"""Pieces of a document's work done by two processes."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.adapters.pages import hands
from app.adapters.pages.hands import by_two
from tests.waiting import until


def by(work: Callable[[int], bytes]) -> hands.Hand:
    @contextmanager
    def hand() -> Iterator[Callable[[int], bytes]]:
        yield work

    return hand


def meeting(folder: Path) -> Callable[[int], bytes]:
    """Each of two hands waits at its first piece until the other has one as well; a piece says who did it."""
    ours = os.getpid()

    def work(at: int) -> bytes:
        own, other = ("first", "other") if os.getpid() == ours else ("other", "first")
        (folder / own).touch()
        until((folder / other).exists)
        return f"{at} {own} ".encode() + bytes(at * 40_000)

    return work


def test_two_hands_share_the_pieces_which_come_in_their_order(tmp_path: Path) -> None:
    pieces = list(by_two(by(meeting(tmp_path)), 12))
    assert [int(piece.split()[0]) for piece in pieces] == list(range(12))
    assert {piece.split()[1] for piece in pieces} == {b"first", b"other"}
    assert [piece.count(b"\0") for piece in pieces] == [at * 40_000 for at in range(12)]


def test_one_piece_needs_no_other_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("there is but one piece"))
    assert list(by_two(by(lambda at: b"%d" % at), 1)) == [b"0"]


def test_what_a_hand_that_dies_leaves_is_done_by_the_first(tmp_path: Path) -> None:
    ours, meet = os.getpid(), meeting(tmp_path)

    def work(at: int) -> bytes:
        piece = meet(at)
        if os.getpid() != ours:
            os.kill(os.getpid(), signal.SIGKILL)
        return piece

    assert [piece.split()[:2] for piece in by_two(by(work), 6)] == [[b"%d" % at, b"first"] for at in range(6)]


def test_a_machine_without_a_process_to_spare_draws_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", none_left)
    assert list(by_two(by(lambda at: b"%d" % at), 3)) == [b"0", b"1", b"2"]


@pytest.mark.parametrize("faulty", [0, 3, 5])
def test_a_fault_is_raised_by_who_asks_whichever_hand_comes_to_it(faulty: int) -> None:
    def work(at: int) -> bytes:
        if at == faulty:
            raise LookupError(at)
        return b"%d" % at

    pieces = []
    with pytest.raises(LookupError, match=str(faulty)):
        for piece in by_two(by(work), 6):
            pieces.append(piece)
    # who asks may come to it while the other hand is still at a piece before it
    assert pieces == [b"%d" % at for at in range(faulty)][: len(pieces)]


@pytest.mark.parametrize("does", [lambda: bytes(8 * hands.WAITING), lambda: signal.pause()], ids=["talks", "works"])
def test_who_has_a_fault_to_tell_waits_for_no_other_hand(tmp_path: Path, does: Callable[[], bytes]) -> None:
    ours, said = os.getpid(), tmp_path / "other"

    def work(_at: int) -> bytes:
        if os.getpid() == ours:
            until(lambda: said.exists() and said.read_text())
            raise LookupError
        said.write_text(str(os.getpid()))
        return does()

    with pytest.raises(LookupError):
        list(by_two(by(work), 2))
    other = int(said.read_text())
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)


def test_the_other_hand_ends_with_the_first(tmp_path: Path) -> None:
    first = os.fork()
    if first == 0:
        try:
            ours = os.getpid()

            def work(at: int) -> bytes:
                (tmp_path / ("first" if os.getpid() == ours else "other")).write_text(str(os.getpid()))
                signal.pause()
                return b""

            list(by_two(by(work), 2))
        finally:
            os._exit(0)
    until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in ("first", "other")))
    other = int((tmp_path / "other").read_text())
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    until(lambda: not _runs(other))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
