"""A call that the T.38 entrance (:mod:`app.adapters.telephony.entrance`) sets up, and what is said of it until it is
heard."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from app.adapters.telephony.passing import Passed

#: RFC 3261, 17.1.1.1; and when whoever says something again gives it up.
T1, T2, GIVEN_UP = 0.5, 4.0, 32.0


class Repeated:
    """Said again and again until it is heard, or given up (RFC 3261, 17.1.1.2, 17.1.2.2, 17.2.1)."""

    def __init__(self, say: Callable[[], None], given_up: Callable[[], None], longest: float = GIVEN_UP) -> None:
        self._say, self._given_up, self._longest = say, given_up, longest
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + GIVEN_UP
        self._handle: asyncio.TimerHandle | None = None
        self._go_on(T1)

    def _go_on(self, pause: float) -> None:
        if self._loop.time() >= self._end:
            self._given_up()
            return
        self._say()
        self._handle = self._loop.call_later(pause, self._go_on, min(2 * pause, self._longest))

    def stop(self) -> None:
        if self._handle:
            self._handle.cancel()
        self._handle = None


@dataclass
class Call:
    """One that began with T.38 alone, until it is set up. ``answer`` is Asterisk's to the sound. ``sequence`` is what
    we have said last to Asterisk. ``final`` is what the far end is told in the end."""

    invite: Passed
    trunk: str
    passed_on: bytes
    answer: Passed | None = None
    sequence: int = 0
    branch: str = ""
    tries: int = 0
    final: bytes = b""
    is_ours: bool = False  # the refusal, which nobody but we wait to be acknowledged
    repeated: dict[str, Repeated] = field(default_factory=dict)
    forgetting: asyncio.TimerHandle | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.invite.call_id, self.invite.from_tag

    def stop(self, *names: str) -> None:
        for name in names or tuple(self.repeated):
            if said := self.repeated.pop(name, None):
                said.stop()
