"""A collector that is killed at one step of its second message. Without a step it lives until somebody ends it."""

import os
import signal
import time
from typing import Any

from app.factory import create_app
from app.jobs.mail2fax import collectors as collect
from app.jobs.mail2fax import messages
from app.jobs.mail2fax.collectors import Collectors
from app.services.documents import documents

#: Step → where it dies: the object and the name of what is called there, and whether before or after it.
STEPS: dict[str, tuple[Any, str, str]] = {
    "fetched": (collect, "deal_with", "before"),
    "judged": (messages, "_accept", "before"),
    "stored": (messages, "take_source", "after"),
    "written, not committed": (messages, "answer_accepted", "after"),
    "committed": (collect, "deal_with", "after"),
    "filed": (collect, "note_filed", "before"),
    "all noted": (collect, "note_filed", "after"),
    "refused, not committed": (messages, "answer_refused", "after"),
    "storing": (documents, "storage", "before"),
}


def die_at(step: str) -> None:
    """At the second time that the step is reached: one message is through by then."""
    place, name, when = STEPS[step]
    original, calls = getattr(place, name), []

    def dying(*arguments: object, **more: object) -> object:
        calls.append(1)
        if len(calls) == 2 and when == "before":
            _die()
        result = original(*arguments, **more)
        if len(calls) == 2:
            _die()
        return result

    setattr(place, name, dying)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def collect_in(environment: dict[str, str], step: str) -> None:
    """What a process of its own does."""
    os.environ.update(environment)
    if step:
        die_at(step)
    collectors = Collectors(create_app())
    signal.signal(signal.SIGTERM, lambda *_: collectors.stopping.set())
    while not collectors.stopping.is_set():
        collectors.tick()
        time.sleep(0.05)
