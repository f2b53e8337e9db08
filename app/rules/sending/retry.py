"""What follows an attempt: by its outcome, in one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from app.models import Status
from app.rules.ground.call_ends import (
    BLOCKED,
    BUSY,
    CALLED_OFF,
    DISK_FULL,
    FORBIDDEN,
    FULL,
    LINE_DOWN,
    MEDIA,
    NETWORK,
    NO_ANSWER,
    NO_FAX,
    PASSED_ON,
    REFUSED,
    SILENT,
    STALLED,
    TRUNK_DOWN,
    TRUNK_REFUSED,
)

NEVER = None
#: Who answered without a machine has had their telephone ring for nothing: once more, at another time of day.
ANOTHER_TIME_OF_DAY = 4 * 3600
#: Hours of the day in which that may be.
EARLIEST, LATEST = 8, 20

#: Outcome of an attempt → seconds until the next one. HylaFAX's delays by cause; no retry where nothing would change.
DELAYS: dict[str, int | None] = {
    "busy": 180,
    "no_answer": 300,
    "congestion": 300,
    NO_FAX: ANOTHER_TIME_OF_DAY,
    SILENT: ANOTHER_TIME_OF_DAY,
    "stalled": 300,
    "capped": 300,
    FORBIDDEN: 300,
    "other": 300,
    "protocol_error": 60,
    "dropped": 60,
    "incomplete": 60,
    "unallocated": NEVER,
    "rejected": NEVER,
    BLOCKED: NEVER,
    "redirected": NEVER,
    MEDIA: NEVER,
    "file_refused": NEVER,
}
#: Who answered may be a person, unless pages of this fax were taken there before.
PERHAPS_A_PERSON = (NO_FAX, SILENT)
#: What is tried a second time and no more, however many attempts a template allows.
ONCE_MORE = (*PERHAPS_A_PERSON, FORBIDDEN)
#: A call that reached no machine: a dial. They are counted apart from the tries, which a machine took, and end by a
#: number and a time of their own.
DIALS = (BUSY, NO_ANSWER, NETWORK, FORBIDDEN, REFUSED)
USUAL_DIALS, USUAL_DIAL_HOURS = 12, 24
#: Seconds until the next try where our own Asterisk, or its disk, was the fault. No attempt is counted.
LINE_DOWN_DELAY, DISK_FULL_DELAY = 10, 60
#: The other side redirected the call, and what it named is dialled next: no attempt is counted.
FOLLOWED = "followed"
#: A fax that found the carrier away, or unwilling; what waits behind it is not dialled
#: (:mod:`app.rules.sending.trunks.trouble`).
TRUNK_DELAY = 30
#: Until a burst of calls is over of which the trunk takes some (:mod:`app.rules.sending.trunks.room`).
FULL_DELAY = 5
OUR_SIDE_DELAYS = {
    LINE_DOWN: LINE_DOWN_DELAY,
    DISK_FULL: DISK_FULL_DELAY,
    CALLED_OFF: LINE_DOWN_DELAY,
    FULL: FULL_DELAY,
    TRUNK_DOWN: TRUNK_DELAY,
    TRUNK_REFUSED: TRUNK_DELAY,
}
#: The other of T.38 and audio is tried as soon as the line is free again.
OTHER_MEDIA_DELAY = 2
#: Of those that failed by one event not all come back at once.
JITTER = 0.2
#: A call that we ended at the template's longest time; the second is the cause of a fax that may have arrived whole.
CAPPED, CAPPED_LAST_PAGE = "capped", "capped_last_page"


@dataclass(frozen=True)
class Dials:
    """Calls of a fax that reached no machine: so many so far, for so many seconds, and the most of both."""

    count: int = 1
    since: float = 0
    most: int = USUAL_DIALS
    longest: float = USUAL_DIAL_HOURS * 3600

    def are_over(self, delay: float) -> bool:
        return self.count >= self.most or self.since + delay > self.longest


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
    same_before: int = 0,
    dials: Dials | None = None,
    cancel_requested: bool = False,
    goes_on: bool = False,
    delays: Mapping[str, int] | None = None,
) -> Decision:
    """What becomes of a fax after an attempt.

    ``pages_done`` are the pages confirmed so far, this attempt's included, ``pages_confirmed`` those of this attempt
    alone; ``attempts`` and ``dials`` count this one as well: tries that brought no page, and calls that reached no
    machine, none of which ended on our side; ``same_before`` are those before it that ended as it did. ``goes_on``:
    another trunk takes it at once (:mod:`app.rules.sending.trunks.choosing`). A success with fewer pages than the
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
    if goes_on:
        return Decision(Status.RETRYING, PASSED_ON, 0)
    if outcome in OUR_SIDE_DELAYS:
        return Decision(Status.RETRYING, outcome, OUR_SIDE_DELAYS[outcome])
    if outcome == FOLLOWED:
        return Decision(Status.RETRYING, FOLLOWED, 0)
    if outcome == CAPPED and pages_total - pages_done == 1:  # we hung up, perhaps between the page and its confirmation
        return Decision(Status.UNKNOWN, CAPPED_LAST_PAGE)
    if outcome == CAPPED and not pages_confirmed:  # all of its time was not enough for one page: nor will it be again
        return Decision(Status.FAILED, CAPPED)
    if outcome == MEDIA and not same_before:
        return Decision(Status.RETRYING, MEDIA, OTHER_MEDIA_DELAY)
    is_a_machine = outcome in PERHAPS_A_PERSON and pages_done > 0
    if outcome in ONCE_MORE and same_before and not is_a_machine:
        return Decision(Status.FAILED, outcome)
    told = {**DELAYS, **(delays or {})}
    # Who took pages before and rejects a call now is a machine that is not free yet.
    is_busy = cause in (REFUSED, FORBIDDEN) and pages_done
    told_as = BUSY if is_busy else STALLED if is_a_machine else cause
    delay = told[told_as] if told_as in told else told["other"]
    is_last = (dials or Dials()).are_over(delay or 0) if outcome in DIALS else attempts >= max_attempts
    if delay is NEVER or is_last:
        return Decision(Status.FAILED, cause)
    return Decision(Status.RETRYING, cause, delay)


def of_a_test(cause: str | None) -> str:
    """A self-test that did not get out ends by it: nothing waits for the trunk to come back."""
    return f"test_{cause}" if cause in (FULL, TRUNK_DOWN, TRUNK_REFUSED) else cause or "other"


def only_one_call(decision: Decision) -> Decision:
    """What becomes of a self-test where another fax would be dialled anew. Where our own Asterisk, or its disk, was the
    fault, nobody was dialled."""
    if decision.status != Status.RETRYING or decision.cause in (LINE_DOWN, DISK_FULL):
        return decision
    return Decision(Status.FAILED, of_a_test(decision.cause))


def spread(seconds: float, share: float) -> float:
    """A delay, longer by up to ``JITTER`` of it; ``share`` is a random number from 0 to 1."""
    return seconds * (1 + JITTER * share)


def by_day(at: datetime, zone: ZoneInfo) -> datetime:
    """That time, or the next morning where it would be in the evening or at night: it may be a person's telephone."""
    there = at.astimezone(zone)
    if EARLIEST <= there.hour < LATEST:
        return at
    morning = there.replace(hour=EARLIEST, minute=at.minute, second=at.second)
    return (morning + timedelta(days=there.hour >= LATEST)).astimezone(UTC)
