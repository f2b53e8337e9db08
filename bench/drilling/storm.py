"""Kills in quick succession with faults laid over them, and faxes all the while: nobody waits for a recovery."""

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from .faults import FAULTS, Room
from .people import People
from .plan import Event

#: One in so many faxes is a docx; up to so many pages.
WORDS_EVERY, MOST_PAGES = 5, 3
#: With whom all others end; a kill of theirs is left out but one time in so many.
WHOLE, SPARED = ("bin/up", "supervisord"), 4


@dataclass
class Storm:
    """``pace``: seconds from one kill to the next, on average. Killed is any process of the whole tree, bin/up, the
    supervisor and PostgreSQL's server among them; whoever runs these in production starts them again at once. While
    bin/up starts there is no tree, and nothing is done; so these two are killed but one time in four that it is their
    turn."""

    room: Room
    people: People
    pace: float
    killed: Counter[str] = field(default_factory=Counter)
    broke: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    enough: threading.Event = field(default_factory=threading.Event)
    _stands: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    def rage(self, *, faxes: int, kills: int, events: tuple[Event, ...], seconds: float) -> None:
        """Until all that was wished for has been done, for ``seconds``, or until it is ``enough``."""
        end, chance = time.monotonic() + seconds, random.Random(self.room.chance.random())
        duration = min(seconds, max(kills * self.pace, sum(event.hold for event in events)))
        arrivals = sorted(chance.uniform(0, duration) for _ in range(faxes))
        pool = ThreadPoolExecutor(64)
        works: list[Callable[[], None]] = [
            lambda: self._give(pool, arrivals, chance),
            lambda: self._kill(kills, end),
            lambda: self._break(events, duration, end),
        ]
        threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pool.shutdown()

    def keep(self) -> None:
        """Start again what nobody else does, until :meth:`leave`."""
        self._stands.set()
        threading.Thread(target=self._keep, daemon=True, name="keeper").start()

    def leave(self) -> None:
        self._over.set()

    def _keep(self) -> None:
        portal, database = self.room.portal, self.room.database
        while not self._over.wait(0.2):
            if database and database.process.poll() is not None:
                with self.room.starting, suppress(Exception):  # its children are still there, its disk is full
                    database.start()
            if portal.process.poll() is not None:
                self._stands.clear()
                self.restarts += 1
                with suppress(SystemExit):  # else bin/up would end with this thread, which it is bound to
                    portal.start()
                self._stands.set()

    def _give(self, pool: ThreadPoolExecutor, arrivals: list[float], chance: random.Random) -> None:
        began = time.monotonic()
        for arrival in arrivals:
            if self.enough.wait(max(0.0, began + arrival - time.monotonic())):
                return
            pages, as_word = chance.randint(1, MOST_PAGES), chance.randrange(WORDS_EVERY) == 0
            pool.submit(self.people.send, pages=pages, as_word=as_word)

    def _kill(self, kills: int, end: float) -> None:
        """Counted is who was there to be killed."""
        chance = random.Random(self.room.chance.random())
        while self.killed.total() < kills and time.monotonic() < end:
            if self.enough.wait(chance.uniform(0.3, 1.7) * self.pace):
                return
            self._stands.wait()
            tree = self.room.portal.tree()
            if self.room.database:
                tree += self.room.database.processes()
            if tree:
                pid = chance.choice(tree)
                name = self.room.portal.name_of(pid)
                if name in WHOLE and chance.randrange(SPARED):
                    continue
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.killed[name] += 1

    def _break(self, events: tuple[Event, ...], duration: float, end: float) -> None:
        """One after the other, spread over the time that there is."""
        pause = max(0.0, duration - sum(event.hold for event in events)) / max(1, len(events))
        for event in events:
            if time.monotonic() > end or self.enough.wait(pause):
                return
            self._stands.wait()
            try:
                with FAULTS[event.name].breaking(self.room):
                    time.sleep(event.hold)
                self.broke[event.name] += 1
            except Exception as error:  # the part was being killed: this fault did not hold, and is not counted
                print(f"{event.name} could not be had: {error!r}", file=sys.stderr, flush=True)
            self._tell(event.name)

    def _tell(self, last: str) -> None:
        counts = f"{self.killed.total()} kills, {self.broke.total()} faults, {self.restarts} restarts"
        print(
            f"{time.strftime('%X')} {last}; {counts}, {len(self.people.given)} faxes, load {os.getloadavg()[0]:.1f}",
            file=sys.stderr,
            flush=True,
        )
