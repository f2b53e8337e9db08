"""The SIP of calls, kept for a day if an operator asked for it. It is in Redis: losing it harms nobody.

The number of calls, and the size of each, are limited. :mod:`app.adapters.telephony.sip` decides what is kept.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from app.queues import redis

KEPT = timedelta(hours=24)
MOST_CALLS = 1_000
#: Bytes of its messages, as they are written down.
MOST_TEXT = 48_000
#: A test call is over by then.
TEST_TIME = timedelta(minutes=20)
#: The line process says so often that it captures.
RUNNING_SECONDS = 10

MOST_TESTS = 5

_CODECS = {"alaw": "A-law", "ulaw": "µ-law"}

_DAY, _TESTS, _RUNNING, _CALLS, _TESTED = (
    f"faxroom:sip:{name}" for name in ("day", "tests", "running", "calls", "tested")
)


@dataclass(frozen=True)
class Step:
    """One message: ``at`` is a Unix time; ``sent`` by us; ``first`` its request or status line."""

    at: float
    sent: bool
    first: str
    lines: tuple[str, ...]

    @property
    def what(self) -> str:
        """Such as *INVITE* or *486 Busy Here*."""
        return self.first.removeprefix("SIP/2.0 ") if self.first.startswith("SIP/2.0 ") else self.first.split()[0]

    @property
    def is_answer(self) -> bool:
        """To an INVITE, and the last one to it."""
        is_final = self.first.startswith("SIP/2.0 ") and not self.first.startswith("SIP/2.0 1")
        return is_final and any(line.startswith("CSeq:") and line.endswith(" INVITE") for line in self.lines)

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


@dataclass(frozen=True)
class Sound:
    """Packets of RTP in a whole call, as Asterisk counted them; ``codec`` as it calls it. Pages by T.38 are no sound:
    nobody counts their packets."""

    received: int
    sent: int
    lost: int
    codec: str = ""


@dataclass(frozen=True)
class Ladder:
    """A call as SIP saw it. ``began`` is a Unix time; ``goes_out`` from us; ``is_cut`` where more was said
    than is kept; ``sound`` of a call of ours that is over."""

    name: str
    began: float
    goes_out: bool
    caller: str
    called: str
    trunk: str
    steps: list[Step] = field(default_factory=list)
    is_cut: bool = False
    sound: Sound | None = None

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.began, UTC)

    @property
    def end(self) -> str:
        """The first final answer to the call that asks for no password; without one, what was said last."""
        answers = [step.what for step in self.steps if step.is_answer]
        said = answers or [step.what for step in self.steps]
        return next((answer for answer in answers if answer[:3] not in ("401", "407")), (said or [""])[-1])


@dataclass(frozen=True)
class Wanted:
    """What is to be captured: all calls until ``until``, and those of the faxes ``tests``."""

    until: datetime | None = None
    tests: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.until or self.tests)

    def keeps(self, channel_id: str) -> bool:
        """A channel of ours is named after its fax (:mod:`app.rules.sending.dispatch`)."""
        return bool(self.until) or channel_id.removeprefix("fax-").rpartition("-")[0] in self.tests


def said_of_sound(sound: Sound | None, mode: str | None) -> tuple[str, dict[str, object]] | None:
    """The code of a sentence and its values; None where nobody knows, or no call was answered. ``mode`` is the
    attempt's."""
    if sound is None:
        return None
    if mode == "T38":
        return "sound_uncounted", {}
    if not sound.received:
        return "sound_missing", {}
    return "sound_came", asdict(sound) | {"codec": _CODECS.get(sound.codec, sound.codec or "?")}


# ---- What is wanted


def capture_for_a_day(now: datetime) -> None:
    redis().set(_DAY, (now + KEPT).isoformat(), ex=KEPT)


def end_capture() -> None:
    """What was captured stays until its day is over."""
    redis().delete(_DAY)


def capture_test(fax_id: str, now: datetime) -> None:
    with redis().pipeline() as pipeline:
        pipeline.zadd(_TESTS, {fax_id: (now + TEST_TIME).timestamp()})
        pipeline.expire(_TESTS, TEST_TIME)
        pipeline.execute()


def warm_up(key: str, now: datetime, *, seconds: float) -> bool:
    """Have the line process capture, and wait for it: whether it does."""
    capture_test(key, now)
    until = time.monotonic() + seconds
    while capturing() != "yes":
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def note_test(trunk_id: int, fax_id: str) -> None:
    """For the trunk's page, for a day. Another trunk that gets its name has no part in it."""
    key = f"{_TESTED}:{trunk_id}"
    with redis().pipeline() as pipeline:
        pipeline.lpush(key, fax_id)
        pipeline.ltrim(key, 0, MOST_TESTS - 1)
        pipeline.expire(key, KEPT)
        pipeline.execute()


def tests_of_trunk(trunk_id: int) -> list[str]:
    """Ids of faxes, the newest first."""
    return [fax_id.decode() for fax_id in cast("list[bytes]", redis().lrange(f"{_TESTED}:{trunk_id}", 0, -1))]


def wanted(now: datetime) -> Wanted:
    with redis().pipeline() as pipeline:
        pipeline.get(_DAY)
        pipeline.zrangebyscore(_TESTS, now.timestamp(), "+inf")
        day, tests = pipeline.execute()
    until = datetime.fromisoformat(day.decode()) if day else None
    return Wanted(until if until and until > now else None, frozenset(test.decode() for test in tests))


def note_capturing(fault: str = "") -> None:
    """By the line process, again and again: it hears, or why it cannot."""
    redis().set(_RUNNING, fault or "yes", ex=RUNNING_SECONDS)


def capturing() -> str | None:
    """``yes``, why it fails, or None where nobody captures."""
    told = cast("bytes | None", redis().get(_RUNNING))
    return told.decode() if told else None


# ---- What was heard


def keep(ladder: Ladder) -> None:
    """The newest word on this call, in place of what was kept of it before."""
    steps, room = list[Step](), MOST_TEXT
    for step in ladder.steps:
        room -= len(json.dumps(asdict(step)))
        if room < 0:
            break
        steps.append(step)
    told = asdict(ladder) | {"steps": [asdict(step) for step in steps], "is_cut": len(steps) < len(ladder.steps)}
    left = max(1, round(ladder.began + KEPT.total_seconds() - datetime.now(UTC).timestamp()))
    with redis().pipeline() as pipeline:
        pipeline.set(_key(ladder.name), json.dumps(told), ex=left)
        pipeline.zadd(_CALLS, {ladder.name: ladder.began})
        pipeline.zrange(_CALLS, 0, -MOST_CALLS - 1)
        pipeline.zremrangebyrank(_CALLS, 0, -MOST_CALLS - 1)
        pipeline.expire(_CALLS, KEPT)
        too_many = pipeline.execute()[2]
    if too_many:
        redis().delete(*(_key(name.decode()) for name in too_many))


def ladder_of(name: str) -> Ladder | None:
    told = cast("bytes | None", redis().get(_key(name)))
    return _read(told) if told else None


def ladders_of_fax(fax_id: str) -> list[Ladder]:
    """Of each attempt, the first one first."""
    own = sorted((name for name in _names() if name.startswith(f"fax-{fax_id}-")), key=lambda name: (len(name), name))
    return [ladder for name in own if (ladder := ladder_of(name))]


def latest(text: str = "", *, most: int) -> list[Ladder]:
    """The newest first; with ``text`` only calls from or to a number that holds it."""
    if not (names := _names()[::-1]):
        return []
    digits = "".join(character for character in text if character.isalnum())
    found = [_read(told) for told in cast("list[bytes | None]", redis().mget([_key(name) for name in names])) if told]
    return [ladder for ladder in found if digits in f"{ladder.caller} {ladder.called}"][:most]


def _names() -> list[str]:
    oldest = (datetime.now(UTC) - KEPT).timestamp()
    return [name.decode() for name in cast("list[bytes]", redis().zrangebyscore(_CALLS, oldest, "+inf"))]


def _key(name: str) -> str:
    return f"faxroom:sip:call:{name}"


def _read(told: bytes) -> Ladder:
    values: dict[str, Any] = json.loads(told)
    steps = [Step(**{**step, "lines": tuple(step["lines"])}) for step in values.pop("steps")]
    sound = values.pop("sound", None)
    return Ladder(**values, steps=steps, sound=Sound(**sound) if sound else None)


# ---- As text


def as_text(ladder: Ladder) -> str:
    """To copy into a ticket; times in UTC."""
    way = "outgoing" if ladder.goes_out else "incoming"
    head = [f"SIP ladder of one {way} call, by Faxroom", f"Trunk: {ladder.trunk or '-'}"]
    head += [
        f"From: {ladder.caller or '-'}  To: {ladder.called or '-'}",
        f"Began: {ladder.moment:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if (told := ladder.sound) and (told.received or told.sent):  # none at all: it went by T.38
        head += [f"RTP packets: {told.received} received, {told.lost} lost, {told.sent} sent ({told.codec or '-'})"]
    head += ["Passwords, keys and content were left out.", ""]
    body = [line for step in ladder.steps for line in _told(step)]
    return "\n".join([*head, *body, *(["[later messages were not kept]"] if ladder.is_cut else [])]) + "\n"


def _told(step: Step) -> list[str]:
    at = f"{step.moment:%H:%M:%S}.{step.moment.microsecond // 1000:03d}"
    return [f"{at} {'-->' if step.sent else '<--'} {step.first}", *(f"    {line}".rstrip() for line in step.lines), ""]
