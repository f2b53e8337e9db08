"""Copies of what is over, for archives outside: which are owed, which are late.

They are rows of an outbox, written in the transaction that ends a fax (:func:`app.rules.sending.lifecycle.move`), one
for each file and each enabled place that keeps such files: every place gets its copy, in the places' order. The job
:mod:`app.jobs.upkeep.archive` makes them and does not give up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import ArchiveCopy, ArchiveKind, ArchivePlace, Document, Fax, Status
from app.queues import enqueue_after_commit
from app.rules.numbers.naming import document_name, report_name
from tenants.db import UtcDateTime, rows_changed, utc_now
from tenants.scope import owned_by

#: What is not copied after so long is told to the administrators.
LATE = timedelta(hours=1)
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=30), timedelta(hours=1)
#: While a place does not answer the other copies for it are not even tried for so long.
SPARED = timedelta(minutes=2)
#: A file that went out or came in is kept as it is; of what did not go out only the report says so.
FILES = {
    ArchiveKind.SENT: (Status.SENT, Status.UNKNOWN),
    ArchiveKind.RECEIVED: (Status.RECEIVED, Status.INCOMPLETE),
}
REPORTED = (Status.SENT, Status.UNKNOWN, Status.FAILED, Status.CANCELLED)


def kinds_of(status: str) -> list[ArchiveKind]:
    """What of a fax that ended so is archived."""
    kinds = [kind for kind, statuses in FILES.items() if status in statuses]
    return [*kinds, ArchiveKind.REPORTS] if status in REPORTED else kinds


def _keeps(kind: ArchiveKind) -> sa.ColumnElement[bool]:
    flags = {
        ArchiveKind.SENT: ArchivePlace.keeps_sent,
        ArchiveKind.RECEIVED: ArchivePlace.keeps_received,
        ArchiveKind.REPORTS: ArchivePlace.keeps_reports,
    }
    return flags[kind].is_(True)


def owe_copies(session: Session, fax_id: str, status: str) -> None:
    """Write down what is to be copied of a fax that has just ended. One statement; most companies have no place."""
    now = sa.literal(utc_now(), UtcDateTime())
    owed = [
        sa.select(Fax.id, ArchivePlace.id, sa.literal(str(kind)), now, now, sa.literal(0), Fax.tenant_id)
        .join(ArchivePlace, ArchivePlace.tenant_id == Fax.tenant_id)
        .where(Fax.id == fax_id, ArchivePlace.enabled.is_(True), _keeps(kind), _has_file(kind))
        for kind in kinds_of(status)
    ]
    if not owed:
        return
    columns = ["fax_id", "place_id", "kind", "created_at", "due_at", "tries", "tenant_id"]
    if rows_changed(session, sa.insert(ArchiveCopy).from_select(columns, sa.union_all(*owed))):
        enqueue_after_commit(session, "archive_fax", fax_id)


def _has_file(kind: ArchiveKind) -> sa.ColumnElement[bool]:
    """A report is drawn when it is copied. A call that brought nothing and a fax that was never drawn have no file."""
    if kind == ArchiveKind.REPORTS:
        return sa.true()
    return sa.or_(Fax.pdf_id.is_not(None), Fax.source_id.is_not(None))


def file_of(fax: Fax, kind: str) -> Document | None:
    """What is copied. A received file of which no page can be read is archived as it came."""
    return fax.report if kind == ArchiveKind.REPORTS else fax.pdf or fax.source


def object_name(fax: Fax, kind: str, document: Document) -> str:
    """Where a copy lies: ``sent/2026/11/F0…_501.pdf``, by the day of the fax in the company's zone."""
    name = report_name(fax) if kind == ArchiveKind.REPORTS else document_name(fax)
    if document.type != "pdf":
        name = f"{name.removesuffix('.pdf')}.{document.type}"
    return f"{kind}/{fax.created_at.astimezone(fax.tenant.zone):%Y/%m}/{name}"


# ---- The outbox


def due_copies_of(session: Session, fax_id: str, now: datetime) -> list[int]:
    """In the order of the places."""
    due = sa.select(ArchiveCopy.id).join(ArchivePlace).where(ArchiveCopy.fax_id == fax_id, *_due(now))
    return list(session.scalars(due.order_by(ArchivePlace.position, ArchivePlace.id, ArchiveCopy.id)))


def stale_copies(before: datetime) -> sa.Select[int]:
    """What should have been copied before that time."""
    return sa.select(ArchiveCopy.id).join(ArchivePlace).where(*_due(before)).order_by(ArchiveCopy.due_at).limit(500)


def _due(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """A place that was switched off keeps what it is owed; it waits there."""
    return ArchiveCopy.done_at.is_(None), ArchiveCopy.due_at <= now, ArchivePlace.enabled.is_(True)


def claim_copy(session: Session, copy_id: int, *, lease: timedelta) -> bool:
    """Take one copy for so long; False if it is made or somebody else makes it. Commits."""
    now = utc_now()
    mine = sa.update(ArchiveCopy).where(
        ArchiveCopy.id == copy_id, ArchiveCopy.done_at.is_(None), ArchiveCopy.due_at <= now
    )
    claimed = rows_changed(session, mine.values(due_at=now + lease, tries=ArchiveCopy.tries + 1)) == 1
    session.commit()
    return claimed


def spare(session: Session, copy: ArchiveCopy) -> bool:
    """Put the copy off if its place has just failed with another one: a place that hangs must not hold up everything
    else. Commits."""
    now = utc_now()
    failing = sa.select(ArchiveCopy.id).where(
        ArchiveCopy.place_id == copy.place_id,
        ArchiveCopy.id != copy.id,
        ArchiveCopy.done_at.is_(None),
        ArchiveCopy.error.is_not(None),
        ArchiveCopy.due_at > now,
    )
    if session.scalar(failing.limit(1)) is None:
        return False
    session.execute(
        sa.update(ArchiveCopy).where(ArchiveCopy.id == copy.id).values(due_at=now + SPARED, tries=ArchiveCopy.tries - 1)
    )
    session.commit()
    return True


def delay_after(tries: int) -> timedelta:
    """It grows, and never becomes for ever."""
    doubled: int = 2 ** min(max(tries - 1, 0), 12)
    return min(LONGEST_DELAY, FIRST_DELAY * doubled)


@dataclass(frozen=True)
class Owed:
    """What one place is still owed: how many copies, since when, and what the last one said that failed."""

    copies: int
    since: datetime
    error: str | None


def owed_by_place(session: Session, tenant_id: int) -> dict[int, Owed]:
    """Place → what it is owed; reads only what is open."""
    places = owned_by(ArchivePlace, tenant_id).with_only_columns(ArchivePlace.id)
    rows = session.execute(
        sa.select(ArchiveCopy.place_id, sa.func.count(), sa.func.min(ArchiveCopy.created_at))
        .where(ArchiveCopy.done_at.is_(None), ArchiveCopy.place_id.in_(places))
        .group_by(ArchiveCopy.place_id)
    ).all()
    return {place_id: Owed(count, since, _last_error(session, place_id)) for place_id, count, since in rows}


def _last_error(session: Session, place_id: int) -> str | None:
    told = sa.select(ArchiveCopy.error).where(
        ArchiveCopy.place_id == place_id, ArchiveCopy.done_at.is_(None), ArchiveCopy.error.is_not(None)
    )
    return session.scalar(told.order_by(ArchiveCopy.due_at.desc()).limit(1))


def late_places(session: Session, tenant_id: int) -> list[ArchivePlace]:
    """The enabled places whose copies have failed for long: an administrator has to look at them."""
    late = sa.exists().where(
        ArchiveCopy.place_id == ArchivePlace.id,
        ArchiveCopy.done_at.is_(None),
        ArchiveCopy.error.is_not(None),
        ArchiveCopy.created_at < utc_now() - LATE,
    )
    places = owned_by(ArchivePlace, tenant_id).where(ArchivePlace.enabled.is_(True), late)
    return list(session.scalars(places.order_by(ArchivePlace.position, ArchivePlace.id)))


# ---- The places


def places_of(session: Session, tenant_id: int) -> list[ArchivePlace]:
    """In their order."""
    query = owned_by(ArchivePlace, tenant_id).order_by(ArchivePlace.position, ArchivePlace.id)
    return list(session.scalars(query))
