"""One number, one call: a machine has as many lines as it is known to have, and one where nothing is known.

Whatever the company, no more calls are open to a number than it has lines. The database holds it: each open attempt has
one of the number's lines, and no two the same (``uq_attempt_called_line``). A fax that finds them taken waits for the
number, apart from those that may go: it is not looked at again, and costs nothing, until a line of that number is free.
Nothing has to wake it. Each round of dispatching asks, for the numbers that somebody waits for, whether a line is free,
and lets the first of every fax line back in; whose turn it is, is decided there as for any other place.

An extension comes back to our own Asterisk, and so does a number of ours: it takes as many calls as its company lets
in.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.errors import Refused
from app.models import Attempt, CalledNumber, Fax, FaxEntity
from app.models.faxes.fax import WAITS_FOR_NUMBER
from app.models.faxes.moves import WAITING
from app.queues import enqueue_after_commit
from app.rules.numbers.habits import first_region
from app.rules.numbers.numbers import public_form
from app.rules.sending.trunks.trunk import is_outside
from app.whole_numbers import read_whole
from tenants.models import Tenant

#: What a number has of which nothing is known, and the most that may be set.
USUAL, MOST = 1, 1_000
#: No more are let back in at once than a round can look at.
MOST_LET_IN = 200
#: A machine that has just had a call of ours may still be hanging up: busy so soon after says no more than that.
JUST_NOW, SOON = timedelta(seconds=15), 5
#: A place is counted no further than this.
LAST_PLACE = 99


def called_by(fax: Fax) -> str | None:
    """The number whose line a call of this fax takes; None of an extension."""
    dialled = fax.redirected_to or fax.dial_string
    return dialled if is_outside(dialled) else None


class Lines:
    """Which lines of the numbers that are called are taken. To be asked under the limits' lock."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.taken: dict[str, set[int]] = defaultdict(set)
        is_open = (Attempt.ended_at.is_(None), Attempt.called.is_not(None))
        for number, line in session.execute(sa.select(Attempt.called, Attempt.called_line).where(*is_open)):
            if number and line:
                self.taken[number].add(line)
        self._lines: dict[str, int] = {}

    def know(self, numbers: Collection[str]) -> None:
        """How many lines they have, asked for at once."""
        self._lines |= lines_of(self.session, [number for number in numbers if number not in self._lines])

    def free(self, number: str) -> int:
        self.know([number])
        return max(0, self._lines[number] - len(self.taken[number]))

    def take(self, number: str) -> int:
        """The line, from 1, of a number that has one free."""
        line = next(line for line in range(1, self._lines[number] + 1) if line not in self.taken[number])
        self.taken[number].add(line)
        return line


def lines_of(session: Session, numbers: Collection[str]) -> dict[str, int]:
    found = dict.fromkeys(numbers, USUAL)
    if not found:
        return found
    ours = sa.select(FaxEntity.number, Tenant.limit_inbound, Tenant.limit_total)
    ours = ours.join(Tenant, Tenant.id == FaxEntity.tenant_id).where(FaxEntity.closed_at.is_(None))
    for number, *limits in session.execute(ours.where(FaxEntity.number.in_(found))):
        found[str(number)] = min((limit for limit in limits if limit), default=MOST)
    known = sa.select(CalledNumber.number, CalledNumber.lines).where(CalledNumber.number.in_(found))
    return found | {row[0]: row[1] for row in session.execute(known)}


# ---- Those that wait


def park(session: Session, faxes: Sequence[Fax]) -> None:
    """They wait for the number that they call, unless they have been cancelled meanwhile. The caller commits."""
    waiting = sa.update(Fax).where(Fax.id.in_([fax.id for fax in faxes]), Fax.status.in_(WAITING))
    number = sa.func.coalesce(Fax.redirected_to, Fax.dial_string)
    session.execute(waiting.values(waits_for_number=number).execution_options(synchronize_session=False))


def wait_behind(session: Session, fax: Fax) -> None:
    """Of one that has just become due: behind those that wait for its number already. It is no judgement, for each
    round judges anew. The caller commits."""
    number = called_by(fax)
    if number and session.scalar(sa.select(_parked().where(Fax.waits_for_number == number).exists())):
        park(session, [fax])


def let_in(session: Session, lines: Lines) -> None:
    """Where a number has a line free, the first of each fax line that waits for it may go. The caller commits."""
    numbers = _numbers_waited_for(session)
    lines.know(numbers)
    for number in numbers:
        if free := min(lines.free(number), MOST_LET_IN):
            for entity_id in _distinct(session, Fax.entity_id, Fax.waits_for_number == number):
                back = sa.update(Fax).where(Fax.id.in_(_first(session, number, entity_id, free)))
                session.execute(back.values(waits_for_number=None).execution_options(synchronize_session=False))


def _first(session: Session, number: str, entity_id: int, count: int) -> list[str]:
    """So many of those of a fax line that wait for the number, the urgent ones first; each kind as the index has it."""
    found: list[str] = []
    for urgent in (True, False):
        theirs = _parked().where(Fax.waits_for_number == number, Fax.entity_id == entity_id, Fax.urgent == urgent)
        found += session.scalars(theirs.order_by(Fax.due_at, Fax.id).limit(count - len(found)))
    return found


def _parked() -> sa.Select[str]:
    """Written out, so that the database sees that the partial index serves."""
    return sa.select(Fax.id).where(sa.text(WAITS_FOR_NUMBER))


def _numbers_waited_for(session: Session) -> list[str]:
    return _distinct(session, Fax.waits_for_number)


def _distinct(session: Session, column: InstrumentedAttribute[Any], *where: sa.ColumnElement[bool]) -> list[Any]:
    """The values of those that wait, from one to the next in the index: what waits with the same value is not read."""
    first = sa.select(column.label("value")).where(sa.text(WAITS_FOR_NUMBER), *where).order_by(column).limit(1)
    steps = sa.select(first.scalar_subquery().label("value")).cte("steps", recursive=True)
    one = aliased(steps)
    beyond = sa.select(column).where(sa.text(WAITS_FOR_NUMBER), *where, column > one.c.value).order_by(column).limit(1)
    steps = steps.union_all(sa.select(beyond.scalar_subquery()).where(one.c.value.is_not(None)))
    return list(session.scalars(sa.select(steps.c.value).where(steps.c.value.is_not(None))))


# ---- What people see


def place_of(session: Session, fax: Fax) -> int | None:
    """How many go before it to its number, itself included, whoever's they are: companies take turns. None where it
    waits for no number, or so far behind that nobody counts."""
    if fax.waits_for_number is None:
        return None
    waiting = sa.select(Fax.tenant_id).where(sa.text(WAITS_FOR_NUMBER), Fax.waits_for_number == fax.waits_for_number)
    before = sa.or_(Fax.due_at < fax.due_at, sa.and_(Fax.due_at == fax.due_at, Fax.id < fax.id))
    alike = sa.and_(Fax.urgent == fax.urgent, before)
    sooner = alike if fax.urgent else sa.or_(Fax.urgent, alike)
    ahead = waiting.where(Fax.tenant_id == fax.tenant_id, sooner).limit(LAST_PLACE)
    own = 1 + (session.scalar(sa.select(sa.func.count()).select_from(ahead.subquery())) or 0)
    others = waiting.where(Fax.tenant_id != fax.tenant_id).limit(LAST_PLACE**2).subquery()
    theirs = session.execute(sa.select(sa.func.count()).select_from(others).group_by(others.c.tenant_id)).scalars()
    place = own + sum(min(count, own) for count in theirs)
    return place if place <= LAST_PLACE else None


# ---- What is set


def numbers_with_lines(session: Session) -> Sequence[CalledNumber]:
    return session.scalars(sa.select(CalledNumber).order_by(CalledNumber.number)).all()


def set_lines(session: Session, number_text: str, lines_text: str) -> tuple[str, int | None, int | None]:
    """The number, and how many lines were set for it before and are now; without any text none are. The caller commits.

    Raises:
        Refused: ``called_number``, ``called_lines``.
    """
    number = public_form(number_text, first_region(session) or "ZZ")
    if number is None:
        raise Refused("called_number", field="number")
    lines = read_whole(lines_text, least=USUAL, most=MOST)
    if lines is None and lines_text:
        raise Refused("called_lines", field="lines", limit=MOST)
    row = session.get(CalledNumber, number)
    before = row.lines if row else None
    if lines is not None:
        session.merge(CalledNumber(number=number, lines=lines))
    elif row:
        session.delete(row)
    enqueue_after_commit(session, "dispatch")
    return number, before, lines


def is_just_over(session: Session, attempt: Attempt) -> bool:
    """Another call of ours to the same number ended immediately before this one began."""
    if attempt.called is None or attempt.placed_at is None:
        return False
    ended = (Attempt.ended_at > attempt.placed_at - JUST_NOW, Attempt.ended_at <= attempt.placed_at + JUST_NOW)
    other = sa.select(Attempt.id).where(*ended, Attempt.called == attempt.called, Attempt.id != attempt.id)
    return session.scalar(other.where(Attempt.answered_at.is_not(None)).limit(1)) is not None
