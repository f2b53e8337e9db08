"""How long files are kept: the fax's row and its log stay for ever, its files as long as the company says.

Nothing goes that is not over, that an archive is still owed, that a mail still has to carry, or that lies open in
somebody's inbox. A file that several faxes have (sent again, forwarded) goes with the last of them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import ArchiveCopy, ArchiveKind, Direction, Document, Fax, Notice, Retention
from app.models.faxes.moves import FINAL
from app.whole_numbers import read_whole
from tenants.db import utc_now
from tenants.models import Tenant

MOST_DAYS = 36500
#: A preview counts so many faxes and says "more than" beyond them.
MOST_COUNTED = 2_000
BATCH = 100
Days = dict[ArchiveKind, int | None]


def retentions_of(session: Session, tenant_id: int) -> Days:
    """Kind → days; None is for ever."""
    rows = session.scalars(sa.select(Retention).where(Retention.tenant_id == tenant_id))
    kept = {row.kind: row.days for row in rows}
    return {kind: kept.get(kind) for kind in ArchiveKind}


def judge_days(texts: dict[str, str]) -> tuple[Days, dict[str, Refused]]:
    """What was typed for each kind, and what is wrong with it by field (``days_sent``…)."""
    days: Days = {}
    faults = {}
    for kind in ArchiveKind:
        field, text = f"days_{kind}", texts.get(kind, "").strip()
        if not text:
            days[kind] = None
        elif (number := read_whole(text, least=1, most=MOST_DAYS)) is not None:
            days[kind] = number
        else:
            faults[field] = Refused("retention_unreadable", field=field, limit=MOST_DAYS)
    return days, faults


def set_retentions(session: Session, tenant: Tenant, days: Days) -> None:
    """The caller commits; the sweep acts on it within an hour."""
    session.execute(sa.delete(Retention).where(Retention.tenant_id == tenant.id))
    session.add_all(Retention(tenant_id=tenant.id, kind=kind, days=count) for kind, count in days.items() if count)


# ---- Which


def _over(tenant_id: int, kind: str, before: datetime) -> list[sa.ColumnElement[bool]]:
    """Faxes that were over before that time and have something of the kind left."""
    direction = Direction.RECEIVED if kind == ArchiveKind.RECEIVED else Direction.SENT
    whole = [Fax.tenant_id == tenant_id, Fax.direction == direction, Fax.finished_at < before, Fax.status.in_(FINAL)]
    if kind == ArchiveKind.REPORTS:
        return [*whole, Fax.report_removed_at.is_(None)]
    files = (Fax.source_id, Fax.pdf_id, Fax.tiff_id)
    return [*whole, Fax.files_removed_at.is_(None), sa.or_(*(file.is_not(None) for file in files))]


def _is_open_in_inbox() -> sa.ColumnElement[bool]:
    return sa.and_(Fax.direction == Direction.RECEIVED, Fax.done_at.is_(None))


def _owed() -> sa.CompoundSelect[Any]:
    """The faxes that are owed to an archive or a mail: few, so they are counted from here."""
    copies = sa.select(ArchiveCopy.fax_id).where(ArchiveCopy.done_at.is_(None))
    mails = sa.select(Notice.fax_id).where(Notice.sent_at.is_(None), Notice.due_at.is_not(None))
    return copies.union(mails)


def _is_owed() -> sa.ColumnElement[bool]:
    """The same asked of one fax, for the many that are not."""
    copy = sa.exists().where(ArchiveCopy.fax_id == Fax.id, ArchiveCopy.done_at.is_(None))
    mail = sa.exists().where(Notice.fax_id == Fax.id, Notice.sent_at.is_(None), Notice.due_at.is_not(None))
    return sa.or_(copy, mail)


def expired(tenant_id: int, kind: str, before: datetime) -> list[sa.ColumnElement[bool]]:
    """The faxes whose files of this kind may go."""
    return [*_over(tenant_id, kind, before), ~_is_open_in_inbox(), ~_is_owed()]


@dataclass(frozen=True)
class Preview:
    """What a retention of so many days would remove now. ``more``: there are more than were counted. ``open`` faxes
    are kept because they lie in the inbox, ``owed`` ones because a copy or a mail is due."""

    kind: ArchiveKind
    days: int
    faxes: int
    size: int
    oldest: datetime | None
    more: bool
    open: int
    owed: int


def preview(session: Session, tenant_id: int, kind: ArchiveKind, days: int) -> Preview:
    before = utc_now() - timedelta(days=days)
    files = (Fax.report_id,) if kind == ArchiveKind.REPORTS else (Fax.source_id, Fax.pdf_id, Fax.tiff_id)
    has_file = sa.or_(*(file.is_not(None) for file in files))
    found = sa.select(Fax.finished_at, *files).where(*expired(tenant_id, kind, before), has_file)
    # found once, then every file once by its key, though several faxes may have it
    some = (
        found.order_by(Fax.finished_at)
        .limit(MOST_COUNTED + 1)
        .cte("some")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    ids = sa.union(*(sa.select(some.c[file.key].label("id")) for file in files)).subquery()
    one = sa.select(Document.size).where(Document.id == ids.c.id).scalar_subquery()  # a join reads the whole table
    size = sa.select(sa.func.sum(one)).select_from(ids).where(ids.c.id.is_not(None))
    count, oldest, total = session.execute(
        sa.select(sa.func.count(), sa.func.min(some.c.finished_at), size.scalar_subquery()).select_from(some)
    ).one()
    over = _over(tenant_id, kind, before)
    return Preview(
        kind=kind,
        days=days,
        faxes=min(count, MOST_COUNTED),
        size=int(total or 0),
        oldest=oldest,
        more=count > MOST_COUNTED,
        # asked for the others, PostgreSQL starts workers only to find that nothing can be sent and received
        open=_count(session, *over, _is_open_in_inbox()) if kind == ArchiveKind.RECEIVED else 0,
        owed=_count(session, *over, ~_is_open_in_inbox(), Fax.id.in_(_owed())),
    )


def _count(session: Session, *conditions: sa.ColumnElement[bool]) -> int:
    some = sa.select(Fax.id).where(*conditions).limit(MOST_COUNTED).subquery()
    return session.scalar(sa.select(sa.func.count()).select_from(some)) or 0


# ---- Removing


def remove_batch(session: Session, tenant_id: int, kind: str, days: int) -> int:
    """Let go of the files of some faxes whose time is up; gives of how many. The rows of the files are marked as
    removed and deleted from the storage afterwards (:func:`to_erase`), so that neither forgets the other. Commits."""
    now = utc_now()
    which = expired(tenant_id, kind, now - timedelta(days=days))
    reports = kind == ArchiveKind.REPORTS
    files = ("report_id",) if reports else ("source_id", "pdf_id", "tiff_id")
    query = sa.select(Fax.id, *(getattr(Fax, name) for name in files)).where(*which)
    locked = session.execute(
        query.order_by(Fax.finished_at).limit(BATCH).with_for_update(of=Fax, key_share=True, skip_locked=True)
    ).all()
    owed = _owed_meanwhile(session, [row.id for row in locked])
    rows = [row for row in locked if row.id not in owed]
    ids = [row.id for row in rows]
    if ids:
        prefix = "report" if reports else "files"
        values = dict.fromkeys(files) | {f"{prefix}_removed_at": now, f"{prefix}_kept_days": days}
        session.execute(sa.update(Fax).where(Fax.id.in_(ids)).values(**values))
        _let_go(session, {document for row in rows for document in row[1:] if document}, now)
    session.commit()
    return len(ids)


def _owed_meanwhile(session: Session, ids: Collection[str]) -> set[str]:
    """Who forwards a fax locks its row (:mod:`app.rules.inbox.forward`), so it is either skipped here, or held back
    until it is gone; or its mail was written between the choice of these and their locks, which only another look
    tells."""
    return set(session.scalars(sa.select(Fax.id).where(Fax.id.in_(ids), _is_owed()))) if ids else set()


def _let_go(session: Session, ids: Collection[str], now: datetime) -> None:
    """Mark those that no fax has any more. Whoever enters a fax with one of them at this moment comes before or after:
    the lock on the file's row decides (see :func:`app.rules.sending.submit`)."""
    locked = sa.select(Document.id).where(Document.id.in_(ids)).order_by(Document.id).with_for_update()
    free = set(session.scalars(locked))
    for column in (Fax.source_id, Fax.pdf_id, Fax.tiff_id, Fax.report_id):
        free -= set(session.scalars(sa.select(column).where(column.in_(free)))) if free else set()
    if free:
        session.execute(sa.update(Document).where(Document.id.in_(free)).values(removed_at=now))


def to_erase(session: Session, limit: int = BATCH) -> list[tuple[str, str]]:
    """Ids and storage keys of files that are removed and still lie in the storage."""
    waiting = sa.select(Document.id, Document.storage_key).where(
        Document.removed_at.is_not(None), Document.erased_at.is_(None)
    )
    return [(row.id, row.storage_key) for row in session.execute(waiting.order_by(Document.removed_at).limit(limit))]


def note_erased(session: Session, ids: Collection[str]) -> None:
    """Commits."""
    session.execute(sa.update(Document).where(Document.id.in_(ids)).values(erased_at=utc_now()))
    session.commit()
