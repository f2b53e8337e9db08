"""The log of faxes from the first to the last, for downloads.

It is read in batches, each in a transaction of its own: a download that takes an hour holds nothing for an hour, and a
million rows take the memory of one batch.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Document, Fax, FaxEntity
from app.rules.log.log import Filters, Place, condition_of
from tenants.db import reading_long
from tenants.models import EmailAddress, Tenant, User

BATCH = 2_000

_ATTEMPTS = sa.select(sa.func.count()).where(Attempt.fax_id == Fax.id).correlate(Fax).scalar_subquery()
#: What the CSV file says of a fax, beside its place.
COLUMNS = (
    Fax.number,
    Fax.status,
    Fax.created_at,
    Fax.finished_at,
    FaxEntity.name.label("entity"),
    FaxEntity.extension,
    FaxEntity.number.label("own_number"),
    Fax.remote_number,
    Fax.remote_station_id,
    User.name.label("sender"),
    EmailAddress.address.label("sender_address"),
    Document.name.label("document"),
    Fax.pages,
    Fax.pages_done,
    _ATTEMPTS.label("attempts"),
    Fax.cause,
    Fax.cause_values,
    Fax.id,
)


def place_of_number(session: Session, tenant_id: int, direction: str, number: int) -> Place | None:
    """Where the fax with this number stands in the list; None if the company has none like that."""
    query = sa.select(Fax.created_at, Fax.id).where(Fax.tenant_id == tenant_id, Fax.number == number)
    row = session.execute(query.where(Fax.direction == direction)).first()
    return (row.created_at, row.id) if row else None


def read_rows(
    session: Session, tenant: Tenant, filters: Filters, *, begin_with: Place | None, size: int = BATCH
) -> Iterator[list[Any]]:
    """Batches of rows with :data:`COLUMNS`, newest first, from the fax at a place on. Of all faxes of the company: for
    its administrators. No transaction is open while a batch is dealt with."""
    query = (
        sa.select(*COLUMNS)
        .join(FaxEntity, Fax.entity_id == FaxEntity.id)
        .outerjoin(User, Fax.user_id == User.id)
        .outerjoin(EmailAddress, User.address_id == EmailAddress.id)
        .outerjoin(Document, Fax.source_id == Document.id)
        .order_by(Fax.created_at.desc(), Fax.id.desc())
        .limit(size)
    )
    yield from _batches(session, query.where(condition_of(filters, tenant)), begin_with, size)


def read_ids(
    session: Session, tenant: Tenant, filters: Filters, *, begin_with: Place | None, size: int = BATCH
) -> Iterator[str]:
    """The ids alone, in the same order."""
    query = sa.select(Fax.created_at, Fax.id).order_by(Fax.created_at.desc(), Fax.id.desc()).limit(size)
    for rows in _batches(session, query.where(condition_of(filters, tenant)), begin_with, size):
        yield from (row.id for row in rows)


def _batches(
    session: Session,
    query: sa.Select[*tuple[Any, ...]],
    begin_with: Place | None,
    size: int,
) -> Iterator[list[Any]]:
    place, here = begin_with, True
    while True:
        asked = query
        if place:
            there = sa.tuple_(sa.literal(place[0], Fax.created_at.type), place[1])
            own = sa.tuple_(Fax.created_at, Fax.id)
            asked = query.where(own <= there if here else own < there)
        with reading_long():
            rows = session.execute(asked).all()
            session.rollback()
        if rows:
            yield list(rows)
        if len(rows) < size:
            return
        place, here = (rows[-1].created_at, rows[-1].id), False
