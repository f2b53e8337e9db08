"""What follows an attempt: by its outcome, in one table."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.models import Status

NEVER = None

#: Outcome of an attempt → seconds until the next one. HylaFAX's delays by cause; no retry where nothing would change.
DELAYS: dict[str, int | None] = {
    "busy": 180,
    "no_answer": 300,
    "congestion": 300,
    "far_end_no_fax": 300,
    "silent": 300,
    "stalled": 300,
    "capped": 300,
    "other": 300,
    "protocol_error": 60,
    "dropped": 60,
    "incomplete": 60,
    "unallocated": NEVER,
    "rejected": NEVER,
    "redirected": NEVER,
    "file_refused": NEVER,
}
#: Seconds until the next try where our own Asterisk could not be asked, could not dial, or ended before anything was
#: sent. No attempt is counted.
LINE_DOWN, LINE_DOWN_DELAY = "line_down", 10
#: The outcome of a call that was ended before its first page because our own disk was full; no attempt is counted.
DISK_FULL, DISK_FULL_DELAY = "disk_full", 60
#: The other side redirected the call, and what it named is dialled next: no attempt is counted.
FOLLOWED = "followed"
#: What is our own fault costs a fax none of its attempts.
OUR_SIDE = {LINE_DOWN: LINE_DOWN_DELAY, DISK_FULL: DISK_FULL_DELAY}
#: A call that we ended at the template's longest time; the second is the cause of a fax that may have arrived whole.
CAPPED, CAPPED_LAST_PAGE = "capped", "capped_last_page"


@dataclass(frozen=True)
class Decision:
    """The status that an attempt's end leads to; ``delay`` in seconds for RETRYING."""

    status: Status
    cause: str | None = None
    delay: int | None = None


def decide(
    *,
    outcome: str,
    pages_total: int,
    pages_done: int,
    pages_confirmed: int,
    attempts: int,
    max_attempts: int,
    cancel_requested: bool = False,
    delays: Mapping[str, int] | None = None,
) -> Decision:
    """What becomes of a fax after an attempt.

    ``pages_done`` are the pages confirmed so far, this attempt's included, ``pages_confirmed`` those of this attempt
    alone; ``attempts`` counts this one as well, and none that ended on our side or was
    redirected and followed. A success with fewer pages than the
    document is not *sent*; a word we do not know is no success.
    """
    if outcome == "unknown":
        return Decision(Status.UNKNOWN, "all_confirmed" if 0 < pages_total <= pages_done else "unknown")
    if pages_done >= pages_total and outcome == "success":
        return Decision(Status.SENT)
    if pages_done >= pages_total:  # it arrived, by all that we know: a second dial would be a second fax
        return Decision(Status.UNKNOWN, "all_confirmed")
    cause = "incomplete" if outcome == "success" else outcome
    if cancel_requested:
        return Decision(Status.CANCELLED, "cancelled_on_line" if pages_done else "cancelled")
    if outcome in OUR_SIDE:
        return Decision(Status.RETRYING, outcome, OUR_SIDE[outcome])
    if outcome == FOLLOWED:
        return Decision(Status.RETRYING, FOLLOWED, 0)
    if outcome == CAPPED and pages_total - pages_done == 1:  # we hung up, perhaps between the page and its confirmation
        return Decision(Status.UNKNOWN, CAPPED_LAST_PAGE)
    if outcome == CAPPED and not pages_confirmed:  # all of its time was not enough for one page: nor will it be again
        return Decision(Status.FAILED, CAPPED)
    told = {**DELAYS, **(delays or {})}
    # Who took pages before and rejects a call now is a machine that is not free yet.
    delay = told["busy" if cause == "rejected" and pages_done else cause] if cause in told else told["other"]
    if delay is NEVER or attempts >= max_attempts:
        return Decision(Status.FAILED, cause)
    return Decision(Status.RETRYING, cause, delay)
