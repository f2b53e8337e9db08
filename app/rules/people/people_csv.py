"""People from a spreadsheet: which rows of a CSV file can be invited, and what is wrong with the others."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.rules.ground.csv_text import read_cells
from app.rules.people.accounts import Details, judge_details
from tenants.addresses import as_invited, fold
from tenants.models import EmailAddress, Role

COLUMNS = ("email", "name", "role", "language")
NEEDED = ("email", "name")
MOST_ROWS = 500


@dataclass(frozen=True)
class Row:
    """``line`` is where a text editor finds it. Without ``problems`` it can be invited."""

    line: int
    details: Details
    problems: list[Refused] = field(default_factory=list)


def read_rows(session: Session, text: str, tenant_id: int) -> list[Row]:
    """Every row with what is wrong with it.

    Raises:
        Refused: ``csv_columns``, ``csv_empty``, ``csv_too_many``, ``csv_unreadable``: the file as a whole.
    """
    rows = list(_parsed(text.removeprefix("\ufeff")))
    if not rows:
        raise Refused("csv_empty", field="file")
    taken = _taken(session, rows, tenant_id)
    seen: dict[str, int] = {}
    for row in rows:
        address = fold(row.details.email)
        if address and address in seen:
            row.problems.append(Refused("email_twice", field="email", line=seen[address]))
        elif address in taken:
            row.problems.append(Refused("email_taken", field="email"))
        seen.setdefault(address, row.line)
    return rows


def _parsed(text: str) -> Iterator[Row]:
    columns, count = None, 0
    for line, values in read_cells(text):
        if columns is None:
            columns = _columns(values)
            continue
        count += 1
        if count > MOST_ROWS:
            raise Refused("csv_too_many", field="file", limit=MOST_ROWS)
        yield _row(line, columns, values)


def _columns(values: list[str]) -> list[str]:
    names = [value.lower() for value in values]
    known = [name for name in names if name]
    if set(known) - set(COLUMNS) or len(set(known)) < len(known) or not set(NEEDED) <= set(known):
        raise Refused("csv_columns", field="file", columns=", ".join(COLUMNS))
    return names


def _row(line: int, columns: list[str], values: list[str]) -> Row:
    if any(values[len(columns) :]):
        return Row(line, Details(email=values[0][:200]), [Refused("csv_cells", line=line)])
    cells = {name: value for name, value in zip(columns, values, strict=False) if name}
    details = Details(
        email=cells.get("email", ""),
        name=cells.get("name", ""),
        role=cells.get("role", "").lower() or Role.USER,
        language=cells.get("language", "").lower(),
    )
    return Row(line, details, list(judge_details(details).values()))


def _taken(session: Session, rows: list[Row], tenant_id: int) -> set[str]:
    """Anywhere on the installation, or invited by this company already; the database has the last word when they are
    entered."""
    folded = {fold(row.details.email): as_invited(row.details.email, tenant_id) for row in rows}
    query = sa.select(EmailAddress.folded).where(EmailAddress.folded.in_([*folded, *folded.values()]))
    found = set(session.scalars(query))
    return {address for address, invited in folded.items() if found & {address, invited}}
