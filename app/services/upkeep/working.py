"""Do workers work? Told by what they do, not by what they registered once: a Redis that was emptied knows nothing of
them, while all of them go on."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import cast

from app.queues import QUEUES, queue, redis

#: A small job is back within so long, if a worker is free. The clock of this machine may jump; none is compared.
PROBE_SECONDS = 2.5
#: What a job that came back proves holds for so long.
SERVED_SECONDS = 20
#: A worker says so often what it does, and what it has said holds for so long.
SIGN_SECONDS, SIGN_HOLDS = 3.0, 20
#: Of each name what its worker wrote, None where that is no longer.
Marks = list[bytes | None]
_WORKERS = "faxroom:workers"


@dataclass(frozen=True)
class Sign:
    """What a worker said last. ``left``: for how many seconds its job may still run, 0 where it waits for one."""

    host: str
    queues: list[str]
    left: float


def note_served(name: str) -> None:
    """A worker took a job from this queue."""
    redis().set(f"faxroom:served:{name}", "1", ex=SERVED_SECONDS)


def give_sign(worker: str, sign: Sign) -> None:
    with redis().pipeline() as pipe:
        pipe.sadd(_WORKERS, worker)
        pipe.set(f"{_WORKERS}:{worker}", json.dumps(asdict(sign)), ex=SIGN_HOLDS)
        pipe.execute()


def signs() -> list[Sign]:
    """Of the workers that have said something of late."""
    names = [name.decode() for name in cast("set[bytes]", redis().smembers(_WORKERS))]
    told = cast(Marks, redis().mget([f"{_WORKERS}:{name}" for name in names])) if names else []
    said = dict(zip(names, told, strict=True))
    if gone := [name for name, sign in said.items() if sign is None]:
        redis().srem(_WORKERS, *gone)
    return [Sign(**json.loads(sign)) for sign in said.values() if sign is not None]


def unserved() -> set[str]:
    """Queues that nobody serves: a small job did not come back, and no worker of theirs is at a job within its time."""
    missing = _not_served(QUEUES)
    for name in missing:
        _probe(name)
    until = time.monotonic() + PROBE_SECONDS
    while missing and time.monotonic() < until:
        time.sleep(0.05)
        missing = _not_served(missing)
    if not missing:
        return set()
    return missing - {name for sign in signs() if sign.left > 0 for name in sign.queues}


def _not_served(names: Iterable[str]) -> set[str]:
    names = list(names)
    found = cast(Marks, redis().mget([f"faxroom:served:{name}" for name in names]))
    return {name for name, mark in zip(names, found, strict=True) if mark is None}


def _probe(name: str) -> None:
    """At the head: what waits says nothing about who works. One that still lies there is replaced."""
    asked, probe = queue(name), f"probe-{name}"
    redis().lrem(asked.key, 1, probe)
    options = {"job_id": probe, "at_front": True, "job_timeout": 10, "result_ttl": 0, "failure_ttl": 60}
    asked.enqueue("app.jobs.probe.probe", args=(name,), **options)
