"""The UDP ports and open files that calls need: how many there are, and how many calls they are enough for.

The ports follow the number of calls that are possible at once. No running call loses its port: Asterisk reads its
ranges only when it opens a port, and skips one that is taken (Asterisk 22, res_rtp_asterisk.c:
rtp_allocate_transport; main/udptl.c: ast_udptl_new_with_bindaddr).

Standard library only: the set-up reads it before anything is installed.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

#: An installation has so many at least, in a place of its own that follows from its SIP port (:func:`ports_for`).
FEWEST_PORTS, FIRST_PORT, LAST_PORT, SLICES = 3_000, 10_000, 65_535, 16
#: A call takes one port for sound and the next for its reports (RFC 3550, 11). Asterisk gives a port of T.38 free late,
#: so that five are counted. A third of all ports are for sound: a call to a telephone takes them twice.
RTP_OF_A_CALL, UDPTL_OF_A_CALL, RTP_SHARE = 2, 5, 3
#: Open files of a call: its sockets, its clock, its alerts and its pages; and of an Asterisk without any calls.
FILES_OF_A_CALL, FILES_WITHOUT_CALLS = 10, 200
#: The ports that an operator gives may be no fewer.
FEWEST_GIVEN, LOWEST_GIVEN = 30, 1_024
#: Files of the spool, beside that of the trunks, by the module that reads them anew.
MEDIA_FILES = {"res_rtp_asterisk.so": "trunks/rtp.conf", "udptl": "trunks/udptl.conf"}

_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


class NoPorts(ValueError):
    """What stands in FAXROOM_MEDIA_PORTS is none."""

    def __init__(self) -> None:
        super().__init__(
            f"FAXROOM_MEDIA_PORTS must be the first and the last UDP port, from {LOWEST_GIVEN} to {LAST_PORT} and at "
            f"least {FEWEST_GIVEN}: 20000-29999"
        )


@dataclass(frozen=True)
class Ports:
    """Each with its last one."""

    rtp: tuple[int, int]
    udptl: tuple[int, int]

    @property
    def calls(self) -> int:
        """So many at once have enough of them."""
        return min(_count(self.rtp) // RTP_OF_A_CALL, _count(self.udptl) // UDPTL_OF_A_CALL)

    def files(self) -> dict[str, str]:
        """What Asterisk is told of them, by the files of the spool."""
        told = zip(MEDIA_FILES.values(), (("rtp", self.rtp), ("udptl", self.udptl)), strict=True)
        return {file: f"[general](+)\n{word}start = {of[0]}\n{word}end = {of[1]}\n" for file, (word, of) in told}


def _count(ports: tuple[int, int]) -> int:
    return ports[1] - ports[0] + 1


def read_given(text: str) -> tuple[int, int] | None:
    """FAXROOM_MEDIA_PORTS: the first port and the last, or nothing.

    Raises:
        NoPorts
    """
    if not text:
        return None
    found = _RANGE.fullmatch(text.strip())
    given = (int(found[1]), int(found[2])) if found else (0, 0)
    if not LOWEST_GIVEN <= given[0] < given[1] <= LAST_PORT or _count(given) < FEWEST_GIVEN:
        raise NoPorts
    return given


def calls_wanted(line_limit: int, channels: Collection[int]) -> int:
    """Calls that may be there at once: as many as the whole line is allowed (0: it has no limit), or as the trunks have
    ``channels``, if these are more. Of a fax between two lines of ours each leg is a call: one out, one in."""
    return max(line_limit, sum(channels))


def ports_for(calls: int, *, sip_port: int, given: tuple[int, int] | None = None) -> Ports:
    """Enough for so many calls, or what an operator has ``given``.

    Two installations side by side are disjoint when their SIP ports differ in their last four bits and no more than
    :data:`FEWEST_PORTS` are needed: what more there is goes upwards, and below only where there is nothing above.
    """
    if given is None:
        wanted = -(-calls * UDPTL_OF_A_CALL * RTP_SHARE // (RTP_SHARE - 1))
        count = min(max(wanted, FEWEST_PORTS), LAST_PORT + 1 - FIRST_PORT)
        start = min(FIRST_PORT + sip_port % SLICES * FEWEST_PORTS, LAST_PORT + 1 - count)
        given = (start, start + count - 1)
    first = given[0] + given[0] % 2  # sound begins with an even one
    middle = first + (given[1] + 1 - first) // RTP_SHARE // 2 * 2
    return Ports((first, middle - 1), (middle, given[1]))


#: All that calls can have, and an Asterisk's open files with so many of them: that is set at its start alone.
MOST_CALLS = ports_for(LAST_PORT, sip_port=0).calls
MOST_FILES = FILES_WITHOUT_CALLS + FILES_OF_A_CALL * MOST_CALLS


def too_few(
    line_limit: int, channels: Collection[int] = (), *, given: tuple[int, int] | None = None, files: int | None = None
) -> str:
    """Nothing, or what there is too little of for so many calls at once (0: no limit), and what to do. ``files`` are
    those that Asterisk may have open, where that is known."""
    calls = calls_wanted(line_limit, channels)
    by_ports = ports_for(calls, sip_port=0, given=given).calls
    by_files = max(files - FILES_WITHOUT_CALLS, 0) // FILES_OF_A_CALL if files is not None else by_ports
    enough = min(by_ports, by_files)
    if line_limit > 0 and calls <= enough:
        return ""
    if by_ports <= by_files:
        what, more = "UDP ports", "give more ports in FAXROOM_MEDIA_PORTS" if given else ""
    else:
        what, more = f"open files ({files})", "raise the limit of open files (ulimit -n, LimitNOFILE)"
    if not line_limit:
        allowed, change = "FAXROOM_LINE_LIMIT is 0, which allows any number of calls", "Set it"
    elif line_limit >= calls:
        allowed, change = f"FAXROOM_LINE_LIMIT allows {calls} calls at once", "Set it"
    else:
        allowed, change = f"The trunks have channels for {calls} calls at once", "Set these"
    return (
        f"{allowed}, but Asterisk has {what} for {enough} only. Calls beyond that fail. "
        f"{change} to {max(enough, 1)} or less{f', or {more}' if more else ''}."
    )
