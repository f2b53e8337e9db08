"""What is done when, by a seed alone."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from .faults import FAULTS, Kind, killing

#: One fault in so many is joined by a kill while it holds.
JOINED = 4


@dataclass(frozen=True)
class Event:
    """Something that is done: after ``lead`` seconds it begins and holds for ``hold``; ``also`` is killed meanwhile.
    ``faxes`` are given before and while it holds, so many seconds after the event's turn has come."""

    name: str
    lead: float
    hold: float
    also: str | None
    faxes: tuple[float, ...]

    @property
    def kind(self) -> Kind:
        return _kind(self.name)


def plan(
    seed: int, *, faxes: int, kills: int, faults: int, names: list[str], to_kill: list[str], longest: float = 40
) -> tuple[Event, ...]:
    """The same for the same seed. Every name has its turn before one comes again."""
    chance = random.Random(seed)
    done = [*_in_turns(chance, names, faults), *(f"kill {name}" for name in _in_turns(chance, to_kill, kills))]
    chance.shuffle(done)
    shares = [faxes // len(done) + (n < faxes % len(done)) for n in range(len(done))] if done else []
    return tuple(_event(chance, name, share, to_kill, longest) for name, share in zip(done, shares, strict=True))


def _in_turns(chance: random.Random, names: list[str], count: int) -> Iterator[str]:
    while count > 0 and names:
        turn = chance.sample(names, min(count, len(names)))
        count -= len(turn)
        yield from turn


def _event(chance: random.Random, name: str, faxes: int, to_kill: list[str], longest: float) -> Event:
    kind = _kind(name)
    lead, hold = min(longest, chance.uniform(0.5, 6)), min(longest, chance.uniform(*kind.seconds))
    also = chance.choice(to_kill) if hold and to_kill and chance.randrange(JOINED) == 0 else None
    return Event(name, lead, hold, also, tuple(sorted(chance.uniform(0, lead + hold) for _ in range(faxes))))


def _kind(name: str) -> Kind:
    return killing(name.removeprefix("kill ")) if name.startswith("kill ") else FAULTS[name]
