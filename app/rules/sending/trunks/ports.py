"""The ports and open files that calls take, and how many calls these are for.

Standard library only: the set-up reads it before anything is installed.
"""

#: UDP ports that one instance may use for sound and for T.38 (bin/lib/asterisk.py: port_ranges).
RTP_PORTS, UDPTL_PORTS = 1000, 2000
#: A call takes one port for sound and the next for its reports (RFC 3550, 11). Asterisk gives a port of T.38 free late,
#: so that five are counted.
RTP_OF_A_CALL, UDPTL_OF_A_CALL = 2, 5
#: Open files of a call: its sockets, its clock, its alerts and its pages; and of an Asterisk without any calls.
FILES_OF_A_CALL, FILES_WITHOUT_CALLS = 10, 200
MOST_CALLS = min(RTP_PORTS // RTP_OF_A_CALL, UDPTL_PORTS // UDPTL_OF_A_CALL)


def too_few(line_limit: int, *, files: int | None = None) -> str:
    """Nothing, or what there is too little of for so many calls at once (0: no limit), and what to do. ``files`` are
    those that Asterisk may have open, where that is known."""
    enough = MOST_CALLS if files is None else min(MOST_CALLS, max(files - FILES_WITHOUT_CALLS, 0) // FILES_OF_A_CALL)
    if 0 < line_limit <= enough:
        return ""
    what = "UDP ports" if enough == MOST_CALLS else f"open files ({files})"
    more = "" if enough == MOST_CALLS else ", or raise the limit of open files (ulimit -n, LimitNOFILE)"
    allowed = f"allows {line_limit} calls at once" if line_limit else "is 0, which allows any number of calls"
    return (
        f"FAXROOM_LINE_LIMIT {allowed}, but Asterisk has {what} for {enough} only. Calls beyond that fail. "
        f"Set it to {max(enough, 1)} or less{more}."
    )
