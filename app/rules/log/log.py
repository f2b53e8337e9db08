"""The log of faxes: one page of what a user sees, newest first, by text and filters, as fast at a million rows as at a
thousand.

A fax's place in the list is its time and, between equal times, its id. Every question is made of *parts*, disjoint sets
of faxes that an index holds in this order (:class:`app.rules.ground.access.Parts`): the newest of all are among the
newest of each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from math import prod

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer, joinedload, lazyload, load_only
from sqlalchemy.orm.attributes import set_committed_value
from ulid import ULID

from app.models import SEARCH_KEYS, Attempt, Direction, Document, Fax, FaxEntity, Status, search_key, search_span
from app.models.faxes.moves import FINAL
from app.rules.ground.access import MOST_PARTS, Parts, VisibleLine, is_fax_id, visible_faxes, visible_parts
from app.rules.ground.days import day_bounds
from app.rules.ground.sql import Sql, all_of, any_of, ask, condition, joined, one_of, sql
from app.rules.log.search import Meaning, has, meanings
from tenants.models import Tenant, User

#: A text that many faxes have is found by reading the newest ones, one that few have by the index of words. So many
#: are read first; how often the text is in those tells how far a page of it reaches. So many times as far is looked:
#: by reading on, up to so many faxes (those of a status, which nothing else finds so well, up to more), else by the
#: index of words, and only then everywhere.
FIRST_LOOK, FAR_ENOUGH, SECOND_LOOK, SECOND_LOOK_OF_STATUS = 400, 2, 1_500, 4_000
#: What the index is asked for: the rarest part, and others up to so many if no more than so many times as many of the
#: first faxes have them; beside them so many spans of time, by themselves or with each line, and so many keys in all.
MOST_INDEXED, NEARLY_AS_RARE, MOST_SPANS, MOST_KEYS = 2, 12, 12, 60
#: A company with no more faxes than this is read through in any case.
SMALL = 10_000
#: The filter for what is not over yet.
OPEN = "open"

#: What a meaning may ask of a fax, and its place.
NEAR = Sql("fax.created_at, fax.id, fax.number, fax.status, fax.cause")
SEARCHED = joined(", ", [NEAR, Sql("fax.search_text")])
PLACE = Sql("fax.created_at, fax.id")
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
    """A page of what the user sees of these lines (:func:`app.rules.ground.access.visible_lines`).

    Next to the fax with an id, the older ones with ``before``, the newer ones with ``after``; else the newest of all.
    """
    parts = visible_parts(user, filters.direction, lines, entity_id=filters.entity_id)
    if not parts.each:
        return Page([])
    if after and (place := _place_of(session, parts, after)):
        found = _places(session, user.company, filters, parts, beyond=place, upwards=True, size=size + 1)
        if len(found) > size:
            return Page(_load(session, parts, found[:size][::-1]), newer=True, older=True)
        before = None  # less than a page is left: the first page
    place = _place_of(session, parts, before) if before else None
    found = _places(session, user.company, filters, parts, beyond=place, upwards=False, size=size + 1)
    return Page(_load(session, parts, found[:size]), newer=place is not None, older=len(found) > size)


def count_new(session: Session, user: User, direction: str, *, since_number: int, at_most: int) -> int:
    """How many faxes came since the one with this number; numbers are given in the order of the commits."""
    new = visible_faxes(user).where(Fax.direction == direction, Fax.number > since_number).with_only_columns(Fax.id)
    return len(session.execute(new.limit(at_most)).all())


# ---- Loading


def _load(session: Session, parts: Parts, places: Sequence[Place]) -> list[Fax]:
    """The faxes at these places with all that a row shows; who sees what is asked here once more."""
    return _loaded(session, sa.select(Fax).where(condition(parts.together)), [fax_id for _at, fax_id in places])


def load_rows(session: Session, user: User, ids: Iterable[str]) -> list[Fax]:
    return _loaded(session, visible_faxes(user), filter(is_fax_id, ids))


def _loaded(session: Session, query: sa.Select[Fax], ids: Iterable[str]) -> list[Fax]:
    order = {fax_id: n for n, fax_id in enumerate(ids)}
    if not order:
        return []
    faxes = sorted(session.scalars(query.where(Fax.id.in_(order)).options(*ROW)), key=lambda fax: order[fax.id])
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


def _place_of(session: Session, parts: Parts, fax_id: str) -> Place | None:
    """Of a fax that is not there (any more) the time that its id tells; None for what is no id."""
    if not is_fax_id(fax_id):
        return None
    known = sql("SELECT {} FROM fax WHERE {} AND fax.id = {}", PLACE, parts.together, fax_id)
    if found := ask(session, known, times=("created_at",)):
        return found[0].created_at, found[0].id
    try:
        return ULID.from_str(fax_id).datetime, fax_id
    except (ValueError, OverflowError):
        return None


def _places(
    session: Session,
    tenant: Tenant,
    filters: Filters,
    parts: Parts,
    *,
    beyond: Place | None,
    upwards: bool,
    size: int,
) -> list[Place]:
    question = _Question(session, parts, _conditions(filters, tenant), beyond, upwards, size)
    wanted = meanings(filters.text, tenant)
    if not wanted:
        return [] if filters.text.strip() else question.ask(question.nearest())
    indexed = session.get_bind().dialect.name == "postgresql" and tenant.last_fax_number > SMALL
    return _search(question, wanted) if indexed else question.ask(question.where(_any(wanted)).nearest())


def _conditions(filters: Filters, tenant: Tenant) -> list[Sql]:
    conditions = []
    if filters.status == OPEN:
        conditions.append(one_of("fax.status", [status for status in Status if status not in FINAL]))
    elif filters.status:
        conditions.append(sql("fax.status = {}", filters.status))
    if filters.since:
        conditions.append(sql("fax.created_at >= {}", day_bounds(filters.since, tenant.zone)[0]))
    if filters.until:
        conditions.append(sql("fax.created_at < {}", day_bounds(filters.until, tenant.zone)[1]))
    return conditions


def condition_of(filters: Filters, tenant: Tenant) -> sa.TextClause:
    """All that is asked for, the text too, as a condition on the company's faxes: for whoever reads them all."""
    conditions = _conditions(filters, tenant)
    conditions.append(sql("fax.tenant_id = {} AND fax.direction = {}", tenant.id, filters.direction))
    if filters.entity_id:
        conditions.append(sql("fax.entity_id = {}", filters.entity_id))
    if filters.text.strip():
        conditions.append(_any(meanings(filters.text, tenant)))
    return condition(all_of(conditions))


def _any(wanted: list[Meaning]) -> Sql:
    return any_of(meaning.holds() for meaning in wanted)


def _search(question: "_Question", wanted: list[Meaning]) -> list[Place]:
    """Where many are meant the newest faxes are enough; else each meaning is asked for on its own, beyond those."""
    look = question.look_at_first(wanted)
    if len(look.found) == question.size or look.read < FIRST_LOOK:
        return look.found
    rest = replace(question, beyond=look.last, size=question.size - len(look.found))
    found = {place for meaning in wanted for place in _nearest(rest, look, meaning)}
    return look.found + sorted(found, reverse=not question.upwards)[: rest.size]


def _nearest(question: "_Question", look: "_Look", meaning: Meaning) -> list[Place]:
    """The nearest faxes of one meaning, however far away they are: the cheap questions first.

    50 are wanted and 400 were looked at. If 40 of those have the text, 50 lie within the next 500: twice as many are
    read in order. If one has it, 50 lie within the next 20,000: the index of words is asked for it, of the span of time
    in which twice as many lie. If none has it, or that was not enough, the index alone.
    """
    if meaning.number is not None:
        return question.ask(question.where(meaning.holds()).nearest())
    text, telling = Meaning(parts=meaning.parts), look.telling(meaning.parts)
    count = look.counts[meaning.parts]
    if meaning.of_status:
        question = question.narrowed(status=meaning.statuses, cause=meaning.causes)
        if not text.parts:
            return question.ask(question.nearest())
    found: list[Place] = []
    reach = FAR_ENOUGH * look.read * (len(look.found) + question.size) / count if count else 0
    if meaning.whole_number and count:
        found = question.ask(question.of_number(meaning.whole_number, text).nearest())
    elif 0 < reach <= (SECOND_LOOK_OF_STATUS if meaning.of_status else SECOND_LOOK):
        found = question.ask(question.nearest_within(round(reach), text))
    elif count and not meaning.of_status and (spans := look.spans(reach)):
        found = question.ask(question.keyed(spans).picked(text, telling))
    if len(found) >= question.size:
        return found
    many = max(count, look.likely(telling)) >= 1 and not meaning.of_status
    return question.ask((question.keyed() if many else question).picked(text, telling))


@dataclass(frozen=True)
class _Look:
    """What was found, how many faxes were read for it, from when to which one, and how many of those have these parts
    of a text, all of one meaning and each alone."""

    found: list[Place]
    read: int
    nearest: datetime
    last: Place
    counts: dict[tuple[str, ...], int]

    def spans(self, reach: float) -> Sequence[int]:
        """The spans of time in which so many faxes lie beyond those that were read, if these lie as in the others;
        none if there are too many."""
        farthest = self.last[0]
        try:
            end = farthest + reach / self.read * (farthest - self.nearest)
            first, last = sorted(map(search_span, (farthest, end)))
        except OverflowError:  # farther than there are years
            return ()
        return range(first, last + 1) if last - first < MOST_SPANS else ()

    def likely(self, parts: Iterable[str]) -> float:
        """How many of the faxes that were read would have all of these parts if none of them told of another."""
        return self.read * prod(self.counts[part,] / self.read for part in parts)

    def telling(self, parts: Iterable[str]) -> list[str]:
        """The rarest parts: an index reads through all faxes that have what it is asked for."""
        rarest = sorted(parts, key=lambda part: (self.counts[part,], -len(part)))[:MOST_INDEXED]
        return [part for part in rarest if self.counts[part,] <= NEARLY_AS_RARE * (1 + self.counts[rarest[0],])]


@dataclass(frozen=True)
class _Question:
    """Which faxes are asked for, apart from the text: ``size`` of them beyond a place, upwards or downwards."""

    session: Session
    parts: Parts
    conditions: list[Sql]
    beyond: Place | None
    upwards: bool
    size: int

    def where(self, *more: Sql) -> "_Question":
        return replace(self, conditions=[*self.conditions, *more])

    def keyed(self, spans: Sequence[int] = ()) -> "_Question":
        """By what the index of words holds beside them: to faxes of these spans of time, all of which are then read, or
        of any time; and to those of the lines, if these are few. It costs more than it saves if few have the words, or
        if another index narrows them anyway."""
        lines = self.parts.lines if len(self.parts.lines) * max(1, len(spans)) <= MOST_KEYS else ()
        if not (lines or spans):
            return self
        direction = self.parts.direction
        keys = ",".join(str(search_key(direction, line, span)) for line in lines or (0,) for span in spans or (0,))
        return self.where(sql(f"{SEARCH_KEYS} && CAST({{}} AS bigint[])", f"{{{keys}}}"))

    def narrowed(self, **columns: Iterable[str]) -> "_Question":
        """To faxes with one of the values, by indexes that hold each value in order. A fax may be found once by each
        column, by its status and by its cause: as many more are asked for."""
        asked = [sql(f"fax.{name} = {{}}", value) for name in columns for value in sorted(columns[name])]
        parts = self.parts.each if len(self.parts.each) * len(asked) <= MOST_PARTS else [self.parts.together]
        each = [all_of([part, value]) for part in parts for value in asked]
        together = all_of([self.parts.together, any_of(asked)])
        size = self.size * sum(map(bool, columns.values()))
        return replace(self, parts=replace(self.parts, each=each, together=together), size=size)

    def of_number(self, number: str, text: Meaning) -> "_Question":
        """To the faxes of one number, which an index holds in order for a company as a whole. Their text is compared so
        that PostgreSQL takes it for no rare one, or it would rather read the index of words for it."""
        whole = replace(self, parts=replace(self.parts, each=[self.parts.together]))
        return whole.where(sql("fax.remote_number = {}", number), text.holds_by_index([]))

    def nearest(self) -> Sql:
        """By the indexes that hold each part in order: reads until enough is found."""
        return self._merged(PLACE, depth=self.size)

    def look_at_first(self, wanted: list[Meaning]) -> _Look:
        """The next faxes, all of which are read; each part of a text is looked for once."""
        parts = sorted({part for one in wanted for part in one.parts})
        told = {part: Sql(f"fax.has_{n}") for n, part in enumerate(parts)}.__getitem__
        looked = joined(", ", [NEAR, *(sql(f"{{}} AS has_{n}", has(part)) for n, part in enumerate(parts))])
        texts = sorted({meaning.parts for meaning in wanted} | {(part,) for part in parts})
        counts = [sql("count(*) FILTER (WHERE {})", Meaning(parts=text).holds(told)) for text in texts]
        nearest = Sql(f"{'min' if self.upwards else 'max'}(fax.created_at)")
        query = sql(
            "WITH near AS ({}), "
            "meant AS (SELECT {} FROM near AS fax WHERE {} {}), "
            "last AS (SELECT {} FROM near AS fax {}) "
            "SELECT fax.created_at, fax.id, last.created_at, last.id, seen.* "
            "FROM (SELECT {} FROM near AS fax) AS seen LEFT JOIN last ON TRUE LEFT JOIN meant AS fax ON TRUE {}",
            self._merged(looked, depth=FIRST_LOOK),
            *(PLACE, any_of(meaning.holds(told) for meaning in wanted), self._first(self.size)),
            *(PLACE, replace(self, upwards=not self.upwards)._first(1)),
            *(joined(", ", [Sql("count(*)"), nearest, *counts]), self._order()),
        )
        rows = ask(self.session, query)
        found = [(at, fax_id) for at, fax_id, *_rest in rows if fax_id]
        _at, _id, last_at, last_id, count, nearest_at, *with_text = rows[0]
        return _Look(found, count, nearest_at, (last_at, last_id), dict(zip(texts, with_text, strict=True)))

    def nearest_within(self, depth: int, meaning: Meaning) -> Sql:
        """Those that are meant of the next ``depth`` faxes; reads until enough is found."""
        near = self._merged(SEARCHED, depth=depth)
        return sql("SELECT {} FROM ({}) AS fax WHERE {} {}", PLACE, near, meaning.holds(), self._first(self.size))

    def picked(self, text: Meaning, telling: list[str]) -> Sql:
        """All that are meant, then sorted: by an index that knows no order."""
        meant = all_of([self.parts.together, *self.conditions, *self._beyond(), text.holds_by_index(telling)])
        # Not materialized, it would read in order until it finds them.
        few = sql("WITH few AS MATERIALIZED (SELECT {} FROM fax WHERE {})", PLACE, meant)
        return sql("{} SELECT {} FROM few AS fax {}", few, PLACE, self._first(self.size))

    def ask(self, query: Sql) -> list[Place]:
        return [(row.created_at, row.id) for row in ask(self.session, query, times=("created_at",))]

    def _merged(self, columns: Sql, *, depth: int) -> Sql:
        """The next ``depth`` of all parts. Each part is asked in order on its own, so that the database reads them side
        by side; over all of them at once PostgreSQL would sort all that there is."""
        first, rest = self._first(depth), [*self.conditions, *self._beyond()]
        each = [all_of([part, *rest]) for part in self.parts.each]
        ordered = [sql("SELECT {} FROM fax WHERE {} {}", columns, part, first) for part in each]
        if len(ordered) == 1:
            return ordered[0]
        merged = [sql(f"SELECT * FROM ({{}}) AS part_{n}", one) for n, one in enumerate(ordered)]
        return sql("SELECT * FROM ({}) AS fax {}", joined(" UNION ALL ", merged), first)

    def _beyond(self) -> list[Sql]:
        sign = ">" if self.upwards else "<"
        return [sql(f"(fax.created_at, fax.id) {sign} ({{}}, {{}})", *self.beyond)] if self.beyond else []

    def _order(self) -> Sql:
        return Sql("ORDER BY fax.created_at, fax.id" if self.upwards else "ORDER BY fax.created_at DESC, fax.id DESC")

    def _first(self, count: int) -> Sql:
        return sql("{} LIMIT {}", self._order(), count)
