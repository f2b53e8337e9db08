"""The log of faxes: one page of what a user sees, newest first, by text and filters, as fast at a million rows as at a
thousand.

A fax's place in the list is its time and, between equal times, its id. Every question is made of *parts*, disjoint sets
of faxes that an index holds in this order (:func:`app.fax.access.visible_parts`): the newest of all are among the
newest of each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer, joinedload, lazyload, load_only
from sqlalchemy.orm.attributes import set_committed_value
from ulid import ULID

from app.fax.access import FAX, Part, VisibleLine, is_fax_id, visible_faxes, visible_parts
from app.fax.lifecycle import FINAL
from app.fax.search import Meaning, meanings
from app.models import Attempt, Direction, Document, Fax, FaxEntity, Status
from tenants.models import Tenant, User

#: A text that many faxes have is found by reading the newest ones, one that few have by the index of words. So many
#: are read first; how often the text is in those tells how far a page of it reaches. So many times as far is looked:
#: by reading on, up to so many faxes, else by the index of words, and only then everywhere. Faxes of a status lie far
#: apart: fewer of those are read.
FIRST_LOOK, FAR_ENOUGH, SECOND_LOOK, SECOND_LOOK_APART = 300, 2, 16_000, 2_000
#: A company with no more faxes than this is read through in any case.
SMALL = 10_000
#: The filter for what is not over yet.
OPEN = "open"

#: What a meaning may ask of a fax, and its place.
SEARCHED = (FAX.created_at, FAX.id, FAX.number, FAX.status, FAX.cause, FAX.search_text)
#: Where a fax stands in the list.
Place = tuple[datetime, str]


@dataclass(frozen=True)
class Filters:
    """What is asked for; the days are the company's, both included. ``status`` is a status or ``OPEN``."""

    direction: Direction
    text: str = ""
    entity_id: int | None = None
    status: str | None = None
    since: date | None = None
    until: date | None = None

    @property
    def narrow(self) -> bool:
        return bool(self.text or self.entity_id or self.status or self.since or self.until)


@dataclass(frozen=True)
class Page:
    """``newer`` and ``older``: there are more in that direction."""

    faxes: list[Fax]
    newer: bool = False
    older: bool = False


def read_page(
    session: Session,
    user: User,
    filters: Filters,
    *,
    lines: list[VisibleLine],
    size: int,
    before: str | None = None,
    after: str | None = None,
) -> Page:
    """A page of what the user sees of these lines (:func:`app.fax.access.visible_lines`).

    Next to the fax with an id, the older ones with ``before``, the newer ones with ``after``; else the newest of all.
    """
    parts = visible_parts(user, filters.direction, lines, entity_id=filters.entity_id)
    if not parts:
        return Page([])
    if after and (place := place_of(session, user, after)):
        found = _places(session, user.tenant, filters, parts, beyond=place, upwards=True, size=size + 1)
        if len(found) > size:
            return Page(_load(session, user, found[:size][::-1]), newer=True, older=True)
        before = None  # less than a page is left: the first page
    place = place_of(session, user, before) if before else None
    found = _places(session, user.tenant, filters, parts, beyond=place, upwards=False, size=size + 1)
    return Page(_load(session, user, found[:size]), newer=place is not None, older=len(found) > size)


def place_of(session: Session, user: User, fax_id: str) -> Place | None:
    """Of a fax that is not there (any more) the time that its id tells; None for what is no id."""
    if not is_fax_id(fax_id):
        return None
    row = session.execute(visible_faxes(user).with_only_columns(Fax.created_at, Fax.id).where(Fax.id == fax_id)).first()
    if row:
        return row.created_at, row.id
    try:
        return ULID.from_str(fax_id).datetime, fax_id
    except (ValueError, OverflowError):
        return None


def count_new(session: Session, user: User, direction: Direction, *, since_number: int, at_most: int) -> int:
    """How many faxes came since the one with this number; numbers are given in the order of the commits."""
    new = visible_faxes(user).where(Fax.direction == direction, Fax.number > since_number).with_only_columns(Fax.id)
    return len(session.execute(new.limit(at_most)).all())


# ---- Loading


def _load(session: Session, user: User, places: Sequence[Place]) -> list[Fax]:
    """The faxes at these places with all that a row shows; who sees what is asked here once more."""
    return load_rows(session, user, [fax_id for _at, fax_id in places])


def load_rows(session: Session, user: User, ids: Iterable[str]) -> list[Fax]:
    order = {fax_id: n for n, fax_id in enumerate(ids) if is_fax_id(fax_id)}
    if not order:
        return []
    query = visible_faxes(user).where(Fax.id.in_(order)).options(*ROW)
    faxes = sorted(session.scalars(query), key=lambda fax: order[fax.id])
    _load_attempts(session, [fax for fax in faxes if fax.status not in FINAL])
    return faxes


#: No more than a row shows: fifty users with their company and address would cost more than the fifty faxes.
ROW = (
    joinedload(Fax.entity).load_only(FaxEntity.name),
    joinedload(Fax.source).load_only(Document.name),
    joinedload(Fax.user).options(load_only(User.name), lazyload("*")),
    defer(Fax.search_text),
)


def _load_attempts(session: Session, faxes: list[Fax]) -> None:
    """Of those that are under way: where one is tells of its attempts, how it ended does not."""
    attempts: dict[str, list[Attempt]] = {fax.id: [] for fax in faxes}
    if attempts:
        query = sa.select(Attempt).where(Attempt.fax_id.in_(attempts)).order_by(Attempt.fax_id, Attempt.n)
        for attempt in session.scalars(query):
            attempts[attempt.fax_id].append(attempt)
    for fax in faxes:
        set_committed_value(fax, "attempts", attempts[fax.id])


# ---- Finding


def _places(
    session: Session,
    tenant: Tenant,
    filters: Filters,
    parts: list[Part],
    *,
    beyond: Place | None,
    upwards: bool,
    size: int,
) -> list[Place]:
    question = _Question(session, parts, _conditions(filters, tenant), beyond, upwards, size)
    wanted = meanings(filters.text, tenant)
    if not wanted:
        return [] if filters.text.strip() else question.nearest()
    indexed = session.get_bind().dialect.name == "postgresql" and tenant.last_fax_number > SMALL
    return _search(question, wanted) if indexed else question.where(_any(wanted, FAX)).nearest()


def _conditions(filters: Filters, tenant: Tenant) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if filters.status == OPEN:
        conditions.append(FAX.status.in_([status for status in Status if status not in FINAL]))
    elif filters.status:
        conditions.append(FAX.status == filters.status)
    if filters.since:
        conditions.append(FAX.created_at >= _midnight(filters.since, tenant))
    if filters.until:
        conditions.append(FAX.created_at < _midnight(filters.until + timedelta(days=1), tenant))
    return conditions


def conditions_of(filters: Filters, tenant: Tenant) -> list[sa.ColumnElement[bool]]:
    """All that is asked for, the text too, as conditions on the faxes of one direction: for whoever reads them all."""
    conditions = _conditions(filters, tenant)
    if filters.entity_id:
        conditions.append(FAX.entity_id == filters.entity_id)
    return [*conditions, _any(meanings(filters.text, tenant), FAX)] if filters.text.strip() else conditions


def _midnight(day: date, tenant: Tenant) -> datetime:
    return datetime.combine(day, clock_time.min, tzinfo=tenant.zone)


def _any(wanted: list[Meaning], fax: Any) -> sa.ColumnElement[bool]:
    return sa.or_(*(meaning.holds(fax) for meaning in wanted))


def _search(question: "_Question", wanted: list[Meaning]) -> list[Place]:
    """Where many are meant the newest faxes are enough; else each meaning is asked for on its own."""
    look = question.look_at_first(wanted)
    if len(look.found) == question.size or look.read < FIRST_LOOK:
        return look.found
    asked = zip(wanted, look.with_text, strict=True)
    everywhere = {place for meaning, count in asked for place in _all_of(question, look, meaning, count)}
    return sorted(everywhere, reverse=not question.upwards)[: question.size]


def _all_of(question: "_Question", look: "_Look", meaning: Meaning, count: int) -> list[Place]:
    """The nearest faxes of one meaning, however far away they are; ``count`` of the first ones have its text."""
    text = replace(meaning, statuses=frozenset(), causes=frozenset())
    if meaning.of_status:
        question = question.narrowed(status=meaning.statuses, cause=meaning.causes)
        if not text.parts:
            return question.nearest()
    elif meaning.whole_number:
        found = question.narrowed(remote_number=[meaning.whole_number]).nearest()
        if len(found) >= question.size:
            return found
    found = []
    times = FAR_ENOUGH * question.size / count if count else 0
    if 0 < times * look.read <= (SECOND_LOOK_APART if meaning.of_status else SECOND_LOOK):
        found = question.nearest_within(round(times * look.read), text)
    elif count and not meaning.of_status:
        found = question.up_to(look.beyond(times)).picked(text)
    return found if len(found) == question.size else question.picked(text)


@dataclass(frozen=True)
class _Look:
    """What was found, how many faxes were read for it, from when to when, and how many of those have each meaning's
    text."""

    found: list[Place]
    read: int
    nearest: datetime
    farthest: datetime
    with_text: list[int]

    def beyond(self, times: float) -> datetime:
        """So many times as far away as the farthest, as far as there are years."""
        try:
            return self.nearest + times * (self.farthest - self.nearest)
        except OverflowError:
            end = datetime.max if self.farthest > self.nearest else datetime.min
            return end.replace(tzinfo=self.nearest.tzinfo)


@dataclass(frozen=True)
class _Question:
    """Which faxes are asked for, apart from the text: ``size`` of them beyond a place, upwards or downwards."""

    session: Session
    parts: list[Part]
    conditions: list[sa.ColumnElement[bool]]
    beyond: Place | None
    upwards: bool
    size: int

    def where(self, *more: sa.ColumnElement[bool]) -> "_Question":
        return replace(self, conditions=[*self.conditions, *more])

    def up_to(self, at: datetime) -> "_Question":
        return self.where(FAX.created_at <= at if self.upwards else FAX.created_at >= at)

    def as_one_part(self) -> Part:
        return (sa.or_(*(sa.and_(*part) for part in self.parts)),)

    def narrowed(self, **columns: Iterable[str]) -> "_Question":
        """To faxes with one of the values, by indexes that hold each value in order. A fax may be found once by each
        column, by its status and by its cause: as many more are asked for."""
        whole = self.as_one_part()
        parts = [(*whole, FAX[name] == value) for name in columns for value in sorted(columns[name])]
        return replace(self, parts=parts, size=self.size * sum(map(bool, columns.values())))

    def nearest(self) -> list[Place]:
        """By the indexes that hold each part in order: reads until enough is found."""
        near = self._merged((FAX.created_at, FAX.id), depth=self.size)
        return self._ask(sa.select(near.c.created_at, near.c.id), near.c)

    def look_at_first(self, wanted: list[Meaning]) -> _Look:
        """The next faxes, all of which are read."""
        near = sa.select(self._merged(SEARCHED, depth=FIRST_LOOK)).cte("near")
        meant = sa.select(near.c.created_at, near.c.id).where(_any(wanted, near.c))
        meant = meant.order_by(*self._order(near.c)).limit(self.size).subquery()
        texts = [replace(meaning, statuses=frozenset(), causes=frozenset()).holds(near.c) for meaning in wanted]
        times = (sa.func.max(near.c.created_at), sa.func.min(near.c.created_at))
        counts = [sa.func.count().filter(text) for text in texts]
        read = sa.select(sa.func.count(), *(reversed(times) if self.upwards else times), *counts).select_from(near)
        read = read.subquery()
        query = sa.select(meant.c.created_at, meant.c.id, read).select_from(read.outerjoin(meant, sa.true()))
        rows = self.session.execute(query.order_by(*self._order(meant.c))).all()
        found = [(at, fax_id) for at, fax_id, *_rest in rows if fax_id]
        _at, _fax_id, count, nearest, farthest, *with_text = rows[0]
        return _Look(found, count, nearest, farthest, with_text)

    def nearest_within(self, depth: int, meaning: Meaning) -> list[Place]:
        """Those that are meant of the next ``depth`` faxes; reads until enough is found."""
        near = self._merged(SEARCHED, depth=depth)
        return self._ask(sa.select(near.c.created_at, near.c.id).where(meaning.holds(near.c)), near.c)

    def picked(self, meaning: Meaning) -> list[Place]:
        """All that are meant, then sorted: by an index that knows no order."""
        meant = meaning.holds_by_index() if meaning.parts else meaning.holds(FAX)
        whole = self.as_one_part()
        few = sa.select(FAX.created_at, FAX.id).where(*whole, *self.conditions, *self._beyond(), meant).cte("few")
        few = few.prefix_with("MATERIALIZED", dialect="postgresql")  # else it would read in order until it finds them
        return self._ask(sa.select(few.c.created_at, few.c.id), few.c)

    def _merged(self, columns: Sequence[Any], *, depth: int) -> sa.Subquery:
        """The next ``depth`` of all parts. Each part is asked in order on its own, so that the database reads them side
        by side; over all of them at once PostgreSQL would sort all that there is."""
        ordered = [
            sa.select(*columns)
            .where(*part, *self.conditions, *self._beyond())
            .order_by(*self._order(FAX))
            .limit(depth)
            .subquery()
            for part in self.parts
        ]
        if len(ordered) == 1:
            return ordered[0]
        every = sa.union_all(*(sa.select(part) for part in ordered)).subquery()
        return sa.select(every).order_by(*self._order(every.c)).limit(depth).subquery()

    def _beyond(self) -> list[sa.ColumnElement[bool]]:
        if self.beyond is None:
            return []
        at, fax_id = self.beyond
        place, here = sa.tuple_(FAX.created_at, FAX.id), sa.tuple_(sa.literal(at, FAX.created_at.type), fax_id)
        return [place > here if self.upwards else place < here]

    def _order(self, columns: Any) -> list[sa.ColumnElement[Any]]:
        pair = (columns.created_at, columns.id)
        return [column.asc() if self.upwards else column.desc() for column in pair]

    def _ask(self, query: sa.Select[Any], columns: Any) -> list[Place]:
        rows = self.session.execute(query.order_by(*self._order(columns)).limit(self.size))
        return [(row.created_at, row.id) for row in rows]
