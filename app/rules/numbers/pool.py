"""The operator's pool of public numbers: which company may have which, what rests, what is free.

One judgement, asked by pages, by changes of the numbering plan, by the provision file and the command: a company may
have the numbers that were given to it, and no others. One writer: :func:`give` and :func:`take_back`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import DialingPolicy, FaxEntity, PoolNumber, StrayCall
from app.rules.ground.csv_text import read_cells
from app.rules.numbers.habits import first_region
from app.rules.numbers.numbers import public_form
from tenants.models import Tenant
from tenants.scope import lock_tenant

REST_DAYS = 30
MOST_REST_DAYS = 3650
#: Of one range, and of one form or file.
MOST_NUMBERS = 10_000
MOST_SHOWN = 20_000
COLUMNS = ("number", "company")
_RANGE = re.compile(r"(?P<first>\+?[0-9 ().\-/]*[0-9])\s*[-–—]\s*(?P<last>\+?[0-9 ]+)")
#: A dash between bare digits is of a range; between others it may be how people write one number.
_PLAIN_RANGE = re.compile(r"\+[0-9]+\s*[-–—]\s*\+?[0-9]+")
_DIGITS = re.compile(r"[^0-9]")


# ---- What holds for all of them


def rest_days(session: Session) -> int:
    row = session.get(DialingPolicy, 1)
    return row.rest_days if row else REST_DAYS


def set_rest(session: Session, days: int) -> None:
    """The caller commits."""
    row = session.get(DialingPolicy, 1) or DialingPolicy(id=1)
    row.rest_days = days
    session.add(row)


def rests_until(row: PoolNumber, days: int, now: datetime) -> datetime | None:
    """None of one that does not rest, or not any more."""
    if row.tenant_id is not None or row.released_at is None:
        return None
    until = row.released_at + timedelta(days=days)
    return until if until > now else None


# ---- May this company have this number?


def given_among(session: Session, tenant_id: int, numbers: Iterable[str]) -> set[str]:
    """Those of the numbers that the company may have."""
    wanted = set(numbers)
    if not wanted:
        return set()
    query = sa.select(PoolNumber.number).where(PoolNumber.tenant_id == tenant_id, PoolNumber.number.in_(wanted))
    return set(session.scalars(query))


def free_numbers(session: Session, tenant_id: int) -> list[str]:
    """What the company was given and no open fax entity has."""
    held = sa.select(FaxEntity.number).where(FaxEntity.closed_at.is_(None), FaxEntity.number.is_not(None))
    query = sa.select(PoolNumber.number).where(PoolNumber.tenant_id == tenant_id, PoolNumber.number.not_in(held))
    return sorted(session.scalars(query), key=lambda number: (len(number), number))


def not_given(session: Session, tenant_id: int, number: str) -> Refused:
    """What to do about it."""
    code = "number_not_given" if free_numbers(session, tenant_id) else "number_none_given"
    return Refused(code, field="number", number=number)


# ---- Giving and taking back


def give(
    session: Session, tenant: Tenant | None, numbers: Iterable[str], now: datetime, *, by_file: bool = False
) -> int:
    """Enter the numbers into the pool and give them to the company, if one is named; gives how many were not its own
    before. The provision file (``by_file``) is the operator's last word: what nobody uses is the company's at once. Who
    called a number before is forgotten: those calls were another's. The caller commits.

    Raises:
        Refused: ``number_taken_elsewhere``, ``number_rests`` with the day.
    """
    if tenant is not None:
        lock_tenant(session, tenant.id)  # who gives a line its number waits
    wanted, days, changed, new = list(dict.fromkeys(numbers)), rest_days(session), 0, list[str]()
    rows = {row.number: row for row in _rows(session, wanted)}
    used = _in_use(session, wanted)
    for number in wanted:
        row = rows.get(number) or PoolNumber(number=number)
        if tenant is None:
            changed += row.id is None
        else:
            _judge(row, tenant, used.get(number), days, now, by_file=by_file)
            changed += row.tenant_id != tenant.id or row.to_approve
            if row.tenant_id != tenant.id:
                new.append(number)
            row.tenant_id, row.to_approve, row.released_at = tenant.id, False, None
            row.last_holder_id = None
        session.add(row)
    session.execute(sa.delete(StrayCall).where(StrayCall.number.in_(new)))
    session.flush()
    return changed


def _judge(row: PoolNumber, tenant: Tenant, user_id: int | None, days: int, now: datetime, *, by_file: bool) -> None:
    is_others = row.tenant_id is not None and row.tenant_id != tenant.id
    if (user_id is not None and user_id != tenant.id) or (is_others and not by_file):
        raise Refused("number_taken_elsewhere", field="number", number=row.number)
    until = rests_until(row, days, now)
    if until and not by_file and row.last_holder_id != tenant.id:
        raise Refused("number_rests", field="number", number=row.number, day=until.date().isoformat())


def take_back(session: Session, tenant: Tenant, numbers: Iterable[str], now: datetime) -> int:
    """The company's numbers rest from now on. The caller commits.

    Raises:
        Refused: ``number_in_use``: a fax entity has one of them.
    """
    lock_tenant(session, tenant.id)
    rows = [row for row in _rows(session, numbers) if row.tenant_id == tenant.id]
    if used := sorted(_in_use(session, [row.number for row in rows])):
        raise Refused("number_in_use", field="number", number=used[0], count=len(used))
    for row in rows:
        _release(row, now)
    session.flush()
    return len(rows)


def release_all(session: Session, tenant_id: int, now: datetime) -> None:
    """Of a company that goes. The caller commits."""
    for row in session.scalars(sa.select(PoolNumber).where(PoolNumber.tenant_id == tenant_id)):
        _release(row, now)
        row.last_holder_id = None


def _release(row: PoolNumber, now: datetime) -> None:
    row.last_holder_id, row.tenant_id, row.released_at, row.to_approve = row.tenant_id, None, now, False


def remove(session: Session, numbers: Iterable[str], now: datetime) -> int:
    """Out of the pool, as the operator has them no longer. Those that are given or rest stay; gives how many went."""
    days = rest_days(session)
    rows = [row for row in _rows(session, numbers) if row.tenant_id is None and not rests_until(row, days, now)]
    for row in rows:
        session.delete(row)
    session.flush()
    return len(rows)


def approve(session: Session, tenant: Tenant, numbers: Iterable[str]) -> int:
    """What the company uses is its own; gives how many were not before. The caller commits."""
    rows = [row for row in _rows(session, numbers) if row.to_approve and row.tenant_id == tenant.id]
    for row in rows:
        row.to_approve = False
    return len(rows)


def _rows(session: Session, numbers: Iterable[str]) -> list[PoolNumber]:
    wanted = list(numbers)
    found: list[PoolNumber] = []
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        found += session.scalars(sa.select(PoolNumber).where(PoolNumber.number.in_(part)).with_for_update()).all()
    return found


def _in_use(session: Session, numbers: Iterable[str]) -> dict[str, int]:
    """Number → the company of the open fax entity that has it."""
    wanted = list(numbers)
    found: dict[str, int] = {}
    columns = sa.select(FaxEntity.number, FaxEntity.tenant_id).where(FaxEntity.closed_at.is_(None))
    for start in range(0, len(wanted), 500):
        held = session.execute(columns.where(FaxEntity.number.in_(wanted[start : start + 500])))
        found |= {number: tenant_id for number, tenant_id in held if number}
    return found


# ---- As operators write them


def read_numbers(text: str, region: str | None) -> list[str]:
    """Single numbers and ranges (``+390509655600-49``), one on each line or with commas between.

    Raises:
        Refused: ``pool_number_unreadable``, ``pool_range``, ``pool_too_many``, ``pool_numbers_missing``.
    """
    found: dict[str, None] = {}
    for entry in re.split(r"[\n\r,;]+", text):
        if entry.strip():
            found |= dict.fromkeys(read_entry(entry.strip(), region))
        if len(found) > MOST_NUMBERS:
            raise Refused("pool_too_many", field="numbers", limit=MOST_NUMBERS)
    if not found:
        raise Refused("pool_numbers_missing", field="numbers")
    return list(found)


def read_entry(typed: str, region: str | None) -> list[str]:
    """The numbers of one line."""
    whole = None if _PLAIN_RANGE.fullmatch(typed) else public_form(typed, region or "ZZ")
    if whole:
        return [whole]
    match = _RANGE.fullmatch(typed)
    first = public_form(match["first"], region or "ZZ") if match else None
    if match is None or first is None:
        raise Refused("pool_number_unreadable", field="numbers", typed=typed[:40])
    tail = match["last"].replace(" ", "")
    last = tail if tail.startswith("+") else first[: max(0, len(first) - len(tail))] + tail
    if len(tail) > 5 and not tail.startswith("+"):
        last = public_form(tail, region or "ZZ") or last
    if len(last) != len(first) or not public_form(last, "ZZ") or last < first:
        raise Refused("pool_range", field="numbers", typed=typed[:40])
    low, high = int(first[1:]), int(last[1:])
    if high - low >= MOST_NUMBERS:
        raise Refused("pool_too_many", field="numbers", limit=MOST_NUMBERS)
    return [f"+{value}" for value in range(low, high + 1)]


@dataclass(frozen=True)
class Row:
    """One of a CSV file; ``line`` is where a text editor finds it. Without a ``problem`` it can be entered."""

    line: int
    typed: str
    company: str = ""
    tenant: Tenant | None = None
    numbers: list[str] = field(default_factory=list)
    problem: Refused | None = None


def read_csv(session: Session, text: str, now: datetime) -> list[Row]:
    """Every row, with what is wrong with it. The company is named by its short name; empty: nobody's yet.

    Raises:
        Refused: ``pool_columns``, ``pool_numbers_missing``, ``csv_unreadable``, ``pool_too_many``: the file as a whole.
    """
    tenants = {tenant.slug: tenant for tenant in session.scalars(sa.select(Tenant).where(Tenant.deleting_at.is_(None)))}
    rows = [_csv_row(session, *cells, tenants=tenants) for cells in _cells(text)]
    if not rows:
        raise Refused("pool_numbers_missing", field="file")
    if sum(len(row.numbers) for row in rows) > MOST_NUMBERS:
        raise Refused("pool_too_many", field="file", limit=MOST_NUMBERS)
    seen: dict[str, int] = {}
    return [_judged(session, row, seen, now) for row in rows]


def _cells(text: str) -> Iterator[tuple[int, str, str, bool]]:
    """Line, number and company as typed, and whether there is more than the columns have names for."""
    columns: list[str] | None = None
    for line, values in read_cells(text):
        if columns is None:
            columns = [value.lower() for value in values]
            known = [name for name in columns if name]
            if "number" not in known or set(known) - set(COLUMNS) or len(set(known)) < len(known):
                raise Refused("pool_columns", field="file")
            continue
        named = dict(zip(columns, values, strict=False))
        yield line, named.get("number", ""), named.get("company", "").lower(), any(values[len(columns) :])


def _csv_row(
    session: Session, line: int, typed: str, company: str, has_more: bool, *, tenants: dict[str, Tenant]
) -> Row:
    if has_more:
        return Row(line, typed, company, problem=Refused("csv_cells", line=line))
    tenant = tenants.get(company)
    if company and tenant is None:
        return Row(line, typed, company, problem=Refused("pool_company_unknown", name=company[:40]))
    try:
        numbers = read_entry(typed, tenant.region if tenant else first_region(session))
    except Refused as refusal:
        return Row(line, typed, company, tenant, problem=refusal)
    return Row(line, typed, company, tenant, numbers)


def _judged(session: Session, row: Row, seen: dict[str, int], now: datetime) -> Row:
    if row.problem:
        return row
    twice = next((number for number in row.numbers if number in seen), None)
    seen |= dict.fromkeys(row.numbers, row.line)
    if twice:
        problem = Refused("pool_number_twice", number=twice)
        return Row(row.line, row.typed, row.company, problem=problem)
    if row.tenant is None:
        return row
    days, used = rest_days(session), _in_use(session, row.numbers)
    known = {one.number: one for one in _rows(session, row.numbers)}
    try:
        for number in row.numbers:
            one = known.get(number) or PoolNumber(number=number)
            _judge(one, row.tenant, used.get(number), days, now, by_file=False)
    except Refused as refusal:
        return Row(row.line, row.typed, row.company, problem=refusal)
    return row


# ---- The list


@dataclass(frozen=True)
class Block:
    """Numbers one after the other of which the same holds. ``state``: given, approve, resting, free."""

    first: str
    last: str
    count: int
    in_use: int
    tenant: Tenant | None
    state: str
    until: datetime | None


def blocks(session: Session, now: datetime, *, text: str = "", tenant_id: int | None = None) -> list[Block]:
    """In order; those that match."""
    query = sa.select(PoolNumber).order_by(sa.func.length(PoolNumber.number), PoolNumber.number).limit(MOST_SHOWN)
    if digits := _DIGITS.sub("", text):
        query = query.where(PoolNumber.number.contains(digits))
    if tenant_id is not None:
        query = query.where(PoolNumber.tenant_id == tenant_id)
    days = rest_days(session)
    tenants: dict[int | None, Tenant] = {tenant.id: tenant for tenant in session.scalars(sa.select(Tenant))}
    held = set(session.scalars(sa.select(FaxEntity.number).where(FaxEntity.closed_at.is_(None))))
    found: list[Block] = []
    for row in session.scalars(query):
        until = rests_until(row, days, now)
        state = "approve" if row.to_approve else "given" if row.tenant_id else "resting" if until else "free"
        one = Block(row.number, row.number, 1, int(row.number in held), tenants.get(row.tenant_id), state, until)
        last = found[-1] if found else None
        if last and int(last.last[1:]) + 1 == int(one.first[1:]) and _is_alike(last, one):
            joined = (last.first, one.last, last.count + 1, last.in_use + one.in_use)
            found[-1] = Block(*joined, last.tenant, last.state, last.until)
        else:
            found.append(one)
    return found


def _is_alike(one: Block, other: Block) -> bool:
    return (one.tenant, one.state, one.until) == (other.tenant, other.state, other.until)


def range_of(first: str, last: str) -> list[str]:
    """Of a block as the page names it; empty if it is none."""
    if not (_is_whole(first) and _is_whole(last)) or not 0 <= int(last[1:]) - int(first[1:]) < MOST_SHOWN:
        return []
    return [f"+{value}" for value in range(int(first[1:]), int(last[1:]) + 1)]


def _is_whole(number: str) -> bool:
    return bool(re.fullmatch(r"\+[1-9][0-9]{3,14}", number))
