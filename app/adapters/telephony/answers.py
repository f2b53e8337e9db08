"""What the far end answers to the pages that we send, which only spandsp's log tells: a machine without error
correction may confirm a page and call it poor all the same (RTP, ITU-T T.30, 5.3.6.1.7), or refuse it and have it sent
again (RTN).

SendFAX with the option d has that log (Asterisk 22, res_fax_spandsp.c: set_logging, spandsp_log), and in it all that
goes over the line, pages included. So it goes through a pipe that this process reads, to no disk, and nothing is kept
of it but the answers. A line names its call as ``CHANNEL(callid)`` does.
"""

import fcntl
import logging
import os
import re
import stat
import threading
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

#: Not in quotes, where spandsp has what the other machine calls itself: 20 signs of its choice.
_ANSWER = re.compile(rb"\[(C-[0-9a-f]{8,16})\] [^\n\"]*\bT\.30 Rx:  (MCF|PIP|RTP|RTN|PIN) with")
#: Those that confirm the page; RTN and PIN have it sent again.
_CONFIRM, _POOR = ("MCF", "PIP", "RTP"), "RTP"
#: A log's line is shorter (logger.c: LOGMSG_SIZE).
_LONGEST_LINE, _AT_ONCE = 8 * 1024, 64 * 1024
MOST_CALLS, MOST_ANSWERS = 2_000, 1_000


class Answers:
    """Of one Asterisk on this machine, which is told of the pipe by :meth:`.ari.Ari.tell_answers`."""

    def __init__(self) -> None:
        self._calls: dict[str, list[str]] = {}
        self._rest = b""

    def listen(self, pipe: Path) -> None:
        """For as long as this process lives. The pipe stays: an Asterisk that waits for its other end would wait for
        ever.

        Raises:
            OSError: it cannot be made, something else is in its place, or another process reads it: each of two would
                hear a half.
        """
        with suppress(FileExistsError):
            os.mkfifo(pipe, 0o600)
        handle = os.open(pipe, os.O_RDWR | os.O_NOFOLLOW)
        if not stat.S_ISFIFO(os.fstat(handle).st_mode):
            os.close(handle)
            raise FileExistsError(f"{pipe} is no pipe")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise BlockingIOError(f"another process reads {pipe}") from error
        # whoever may read the pages of a call, which lie beside it, may write here
        os.fchmod(handle, 0o600 | (pipe.parent.stat().st_mode & 0o040) >> 1)
        threading.Thread(target=self._run, args=(handle,), daemon=True, name="answers").start()

    def _run(self, handle: int) -> None:
        while True:  # with an end of our own to write into it never ends
            self.take(os.read(handle, _AT_ONCE))

    def take(self, raw: bytes) -> None:
        whole, _, rest = (self._rest + raw).rpartition(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        for found in _ANSWER.finditer(whole):
            call, answer = (part.decode() for part in found.groups())
            said = self._calls.setdefault(call, [])
            if len(said) < MOST_ANSWERS:
                said.append(answer)
            while len(self._calls) > MOST_CALLS:
                del self._calls[next(iter(self._calls))]

    def forget(self) -> None:
        """An Asterisk that was started anew counts its calls from the first again."""
        self._calls = {}

    def poor(self, call: str, pages: int) -> list[int]:
        """Which pages of a call, from 1, were called poor, of so many that were confirmed. None where another number of
        confirmations was heard: it would be a guess."""
        return [page for page, answer in self._by_page(call, pages) if answer == _POOR]

    def refused(self, call: str, pages: int) -> list[int]:
        """Which were refused, likewise. The last one may be behind those that were confirmed."""
        return sorted({page for page, answer in self._by_page(call, pages) if answer not in _CONFIRM})

    def _by_page(self, call: str, pages: int) -> list[tuple[int, str]]:
        said = self._calls.get(call, [])
        confirmed = [answer in _CONFIRM for answer in said]
        if sum(confirmed) != pages:
            return []
        return [(1 + sum(confirmed[:number]), answer) for number, answer in enumerate(said)]
