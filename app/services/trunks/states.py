"""The state of each trunk: whether it is registered, and whether it answers. The line process writes it, everyone
reads it.

It is in Redis, because Asterisk tells it all again within seconds. Only calls decide whether a trunk is used
(:mod:`app.rules.sending.trunks.trouble`): some carriers never answer a question and take every call.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import cast

from app.queues import redis

_KEY = "faxroom:trunks"
REGISTERED, UNREGISTERED, REACHABLE, UNREACHABLE = "Registered", "Unregistered", "Reachable", "Unreachable"
REGISTRATION_LOST, NO_ANSWER = "registration_lost", "trunk_no_answer"
#: Asterisk was started for this machine alone: nothing gets to a trunk elsewhere by UDP before it is started anew.
RESTART = "trunk_restart"
#: Only what lasts so long is told: each start begins without a registration (max_random_initial_delay, 10 s).
LASTS = 15.0
#: A registration that is lost for so long is worth an email.
MAILED = 60.0
#: What is older says nothing of now.
STALE = 60.0


@dataclass(frozen=True)
class TrunkState:
    """Times are Unix times. ``registration`` is Asterisk's word, None for a trunk without one; it ends ``ends_in``
    seconds after ``seen`` if it is not renewed. ``answer`` is what the carrier said to it last. ``answers``: whether it
    answered when it was asked whether it is there, within ``milliseconds``; None where nobody knows. ``answered`` so
    once. ``is_shut_in``: Asterisk listens on this machine alone, and the trunk is elsewhere. ``matter`` is what was the
    matter when it was seen, since ``since``: as long as nothing is, since when."""

    name: str
    seen: float
    registration: str | None = None
    ends_in: int | None = None
    answer: str = ""
    answers: bool | None = None
    milliseconds: float | None = None
    answered: bool = False
    is_shut_in: bool = False
    matter: str = ""
    since: float = 0.0

    @property
    def fault(self) -> str:
        """What has to be told: a word of this module, or nothing."""
        return self.matter if self.matter == RESTART or self.seen - self.since >= LASTS else ""

    def is_stale(self, now: datetime) -> bool:
        return now.timestamp() - self.seen > STALE

    @property
    def since_when(self) -> datetime:
        return datetime.fromtimestamp(self.since, UTC)

    @property
    def seen_at(self) -> datetime:
        return datetime.fromtimestamp(self.seen, UTC)


def seen_now(before: TrunkState | None, state: TrunkState) -> TrunkState:
    """What is seen, judged by what was seen before. One that has never answered is not missed."""
    answered = bool(state.answers) or (before.answered if before else False)
    matter = _matter(replace(state, answered=answered))
    is_same = before is not None and before.matter == matter and not before.is_stale(state.seen_at)
    since = before.since if before and is_same else state.seen
    return replace(state, answered=answered, matter=matter, since=since)


def _matter(state: TrunkState) -> str:
    if state.is_shut_in:
        return RESTART
    if state.registration not in (None, REGISTERED):
        return REGISTRATION_LOST
    return NO_ANSWER if state.answers is False and state.answered else ""


def note_states(states: Iterable[TrunkState]) -> None:
    """All there are."""
    told = {state.name: json.dumps(asdict(state)) for state in states}
    with redis().pipeline() as pipeline:
        pipeline.delete(_KEY)
        if told:
            pipeline.hset(_KEY, mapping=told)
        pipeline.execute()


def states() -> dict[str, TrunkState]:
    """By name, however old."""
    told = cast("dict[bytes, bytes]", redis().hgetall(_KEY))
    return {name.decode(): TrunkState(**json.loads(text)) for name, text in sorted(told.items())}


def state_of(name: str) -> TrunkState | None:
    told = cast("bytes | None", redis().hget(_KEY, name))
    return TrunkState(**json.loads(told)) if told else None


def unseen(names: Iterable[str], now: datetime) -> list[str]:
    """Those of which nobody knows how they are: nothing was seen of them, or not lately."""
    known = states()
    return [name for name in names if name not in known or known[name].is_stale(now)]


def faults(now: datetime) -> dict[str, TrunkState]:
    """The trunks of which something has to be told."""
    return {name: state for name, state in states().items() if state.fault and not state.is_stale(now)}


def registrations(now: datetime) -> tuple[dict[str, TrunkState], set[str]]:
    """The trunks whose registration has been lost for so long that a mail says so, and those that are registered."""
    known = {name: state for name, state in states().items() if not state.is_stale(now)}
    lost = {name: one for name, one in known.items() if one.matter == REGISTRATION_LOST}
    lasting = {name: one for name, one in lost.items() if one.seen - one.since >= MAILED}
    return lasting, {name for name, one in known.items() if one.registration == REGISTERED}
