"""The allowed moves of a fax: which status may follow which. :func:`app.rules.sending.lifecycle.move` makes them."""

from app.models.faxes.fax import Status

S = Status

#: Off the line a fax fails by a dialing rule, and is unknown in a database restored from a backup.
MOVES: dict[Status, frozenset[Status]] = {
    S.ACCEPTED: frozenset({S.PREPARING, S.CANCELLED, S.UNKNOWN}),
    S.PREPARING: frozenset({S.READY, S.SCHEDULED, S.FAILED, S.CANCELLED, S.UNKNOWN}),
    S.READY: frozenset({S.DIALING, S.FAILED, S.CANCELLED, S.UNKNOWN}),
    S.SCHEDULED: frozenset({S.DIALING, S.FAILED, S.CANCELLED, S.UNKNOWN}),
    S.DIALING: frozenset({S.SENDING, S.SENT, S.RETRYING, S.FAILED, S.CANCELLED, S.UNKNOWN}),
    S.SENDING: frozenset({S.SENT, S.RETRYING, S.FAILED, S.CANCELLED, S.UNKNOWN}),
    S.RETRYING: frozenset({S.DIALING, S.FAILED, S.CANCELLED, S.UNKNOWN}),
    S.SENT: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
    S.UNKNOWN: frozenset(),
    S.RECEIVING: frozenset({S.RECEIVED, S.INCOMPLETE}),
    S.RECEIVED: frozenset(),
    S.INCOMPLETE: frozenset(),
}
FINAL = frozenset(status for status, following in MOVES.items() if not following)
WAITING = (S.READY, S.SCHEDULED, S.RETRYING)  # from here a line is dialled as soon as the time has come
ON_THE_LINE = (S.DIALING, S.SENDING)


def is_final(status: str) -> bool:
    return status in FINAL


def sources_of(target: Status) -> list[Status]:
    """The statuses from which a fax may move to ``target``."""
    return [status for status, following in MOVES.items() if target in following]
