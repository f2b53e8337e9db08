"""One number, one call: a number has as many lines as it is known to have, or one if nothing is known.

Whatever the company, no more calls are open to a number than it has lines. The database ensures it: each open attempt
has one of the number's lines, and no two have the same (``uq_attempt_called_line``). A fax that finds all lines taken
waits for the number, apart from the faxes that may go. It is not looked at again, and costs nothing, until a line of
that number is free. Nothing has to wake it: each round of dispatching asks whether a line is free for the numbers
that faxes wait for, and lets the first fax of every fax line back in. From then on, turns decide as for any other
place.

An extension comes back to our own Asterisk, and so does a number of ours: it takes as many calls as its company lets
in.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.errors import Refused
from app.models import Attempt, CalledNumber, Fax, FaxEntity, NumberLines
from app.models.faxes.fax import WAITS_FOR_NUMBER
from app.models.faxes.moves import WAITING
from app.queues import enqueue_after_commit
from app.rules.ground.call_ends import BUSY
from app.rules.numbers.habits import first_region
from app.rules.numbers.numbers import public_form
from app.rules.sending.trunks.trouble import is_outside
from app.whole_numbers import read_whole
from tenants.models import Tenant

#: What a number has of which nothing is known, and the most that may be set, by the operator and by a company.
USUAL, MOST, MOST_SAID = 1, 1_000, 30
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
    """Which lines of the numbers that are called are taken. To be asked under the limits' lock.

    A company may say how many a number has of which nothing else is known. That lets its own calls in as long as fewer
    are open, whoever's they are, and nobody else's.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.taken: dict[str, set[int]] = defaultdict(set)
        is_open = (Attempt.ended_at.is_(None), Attempt.called.is_not(None))
        open_calls = sa.select(Attempt.called, Attempt.called_line, Attempt.created_at).where(*is_open)
        began = []
        for number, line, created_at in session.execute(open_calls):
            began.append(created_at)
            if number and line:
                self.taken[number].add(line)
        self._full = _told_busy(session, self.taken, min(began)) if began else set[str]()
        self._lines: dict[str, int] = {}
        self._said: dict[str, dict[int, int]] = {}

    def know(self, numbers: Collection[str]) -> None:
        """How many lines they have, asked for at once."""
        new = [number for number in numbers if number not in self._lines]
        known = known_lines(self.session, new)
        self._lines |= dict.fromkeys(new, USUAL) | known
        self._said |= said_of(self.session, [number for number in new if number not in known])

    def free(self, number: str, tenant_id: int) -> int:
        """For this company."""
        self.know([number])
        if number in self._full:
            return 0
        most = self._said.get(number, {}).get(tenant_id, self._lines[number])
        return max(0, most - len(self.taken[number]))

    def take(self, number: str) -> int:
        """The line, from 1, of a number that has one free."""
        line = next(line for line in count(1) if line not in self.taken[number])
        self.taken[number].add(line)
        return line


def _told_busy(session: Session, numbers: Collection[str], since: datetime) -> set[str]:
    """Those of numbers that we call, since then, whose last call to end was busy, while one that is open still was
    open: they have no more lines, whatever is known or said of them."""
    is_open, ended = aliased(Attempt), aliased(Attempt)
    busy = sa.select(Attempt.called).where(Attempt.ended_at >= since, Attempt.outcome == BUSY)
    beside = sa.exists().where(
        is_open.called == Attempt.called, is_open.ended_at.is_(None), is_open.placed_at <= Attempt.ended_at
    )
    later = sa.exists().where(ended.called == Attempt.called, ended.ended_at > Attempt.ended_at)
    found = session.scalars(busy.where(Attempt.called.in_(numbers), beside, ~later))
    return {number for number in found if number}


def lines_of(session: Session, numbers: Collection[str]) -> dict[str, int]:
    return dict.fromkeys(numbers, USUAL) | known_lines(session, numbers)


def known_lines(session: Session, numbers: Collection[str]) -> dict[str, int]:
    """Of numbers of ours, and of those that the operator has entered."""
    found = dict[str, int]()
    if not numbers:
        return found
    ours = sa.select(FaxEntity.number, Tenant.limit_inbound, Tenant.limit_total)
    ours = ours.join(Tenant, Tenant.id == FaxEntity.tenant_id).where(FaxEntity.closed_at.is_(None))
    for number, *limits in session.execute(ours.where(FaxEntity.number.in_(numbers))):
        found[str(number)] = min((limit for limit in limits if limit), default=MOST)
    known = sa.select(CalledNumber.number, CalledNumber.lines).where(CalledNumber.number.in_(numbers))
    return found | {row[0]: row[1] for row in session.execute(known)}


def said_of(session: Session, numbers: Collection[str]) -> dict[str, dict[int, int]]:
    """Number → company → how many lines it says that the number has."""
    found: dict[str, dict[int, int]] = defaultdict(dict)
    if numbers:
        said = sa.select(NumberLines.number, NumberLines.tenant_id, NumberLines.lines)
        for number, tenant_id, lines in session.execute(said.where(NumberLines.number.in_(numbers))):
            found[number][tenant_id] = lines
    return found


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
    """Where a number has a line free, the first of each fax line that waits for it may go. Nobody goes by what a
    company says as long as another waits that by its own word may not, or its turn might never come. The caller
    commits."""
    numbers = _numbers_waited_for(session)
    lines.know(numbers)
    for number in numbers:
        waiting = _distinct(session, Fax.entity_id, Fax.waits_for_number == number)
        whose = sa.select(FaxEntity.id, FaxEntity.tenant_id).where(FaxEntity.id.in_(waiting))
        found = {entity_id: lines.free(number, tenant_id) for entity_id, tenant_id in session.execute(whose)}
        if all(found.values()):
            for entity_id, free in found.items():
                back = sa.update(Fax).where(Fax.id.in_(_first(session, number, entity_id, min(free, MOST_LET_IN))))
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
    """Which place it has among its own company's that wait for its number; what others send is not told, not even that
    there are any. None where it waits for no number of its own company's doing, or so far behind that nobody counts."""
    if fax.waits_for_number is None:
        return None
    number, tenant_id = fax.waits_for_number, fax.tenant_id
    before = sa.or_(Fax.due_at < fax.due_at, sa.and_(Fax.due_at == fax.due_at, Fax.id < fax.id))
    alike = sa.and_(Fax.urgent == fax.urgent, before)
    sooner = alike if fax.urgent else sa.or_(Fax.urgent, alike)
    ahead = _parked().where(Fax.waits_for_number == number, Fax.tenant_id == tenant_id, sooner).limit(LAST_PLACE)
    place = 1 + (session.scalar(sa.select(sa.func.count()).select_from(ahead.subquery())) or 0)
    if place == 1 and not _calls_it(session, tenant_id, number):
        return None
    return place if place <= LAST_PLACE else None


def _calls_it(session: Session, tenant_id: int, number: str) -> bool:
    mine = (Attempt.ended_at.is_(None), Attempt.called == number, Attempt.tenant_id == tenant_id)
    return session.scalar(sa.select(Attempt.id).where(*mine).limit(1)) is not None


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


def said_lines(session: Session, tenant_id: int, number: str) -> int | None:
    """As many as the company says that the number has."""
    mine = (NumberLines.tenant_id == tenant_id, NumberLines.number == number)
    return session.scalar(sa.select(NumberLines.lines).where(*mine))


def say_lines(session: Session, tenant_id: int, number: str, text: str) -> tuple[int | None, int | None]:
    """What the company said before and says now; nothing without any text. The caller commits.

    Raises:
        Refused: ``called_lines``.
    """
    lines, before = read_whole(text, least=USUAL, most=MOST_SAID), said_lines(session, tenant_id, number)
    if lines is None and text:
        raise Refused("called_lines", field="lines", limit=MOST_SAID)
    mine = (NumberLines.tenant_id == tenant_id, NumberLines.number == number)
    session.execute(sa.delete(NumberLines).where(*mine))
    if lines is not None:
        session.add(NumberLines(tenant_id=tenant_id, number=number, lines=lines))
    enqueue_after_commit(session, "dispatch")
    return before, lines


def is_taken_by_us(session: Session, attempt: Attempt) -> bool:
    """Whether a busy number is so by another call of ours, which is open or was immediately before."""
    mine = sa.select(Attempt.id).where(Attempt.id == attempt.id, is_busy_by_us())
    return session.scalar(mine) is not None or _is_just_over(session, attempt)


def is_busy_by_us() -> sa.ColumnElement[bool]:
    """Of attempts: busy while another call of ours to that number was open, which was not told the same."""
    other = aliased(Attempt)
    was_open = (
        other.placed_at <= Attempt.ended_at,
        sa.or_(other.ended_at.is_(None), other.ended_at > Attempt.ended_at),
    )
    not_busy = other.outcome.is_distinct_from(BUSY)
    there = sa.exists().where(other.called == Attempt.called, other.id != Attempt.id, *was_open, not_busy)
    return sa.and_(Attempt.outcome == BUSY, there.correlate(Attempt))


def _is_just_over(session: Session, attempt: Attempt) -> bool:
    """Another call of ours to the same number ended immediately before this one began."""
    if attempt.called is None or attempt.placed_at is None:
        return False
    ended = (Attempt.ended_at > attempt.placed_at - JUST_NOW, Attempt.ended_at <= attempt.placed_at + JUST_NOW)
    other = sa.select(Attempt.id).where(*ended, Attempt.called == attempt.called, Attempt.id != attempt.id)
    return session.scalar(other.where(Attempt.answered_at.is_not(None)).limit(1)) is not None
