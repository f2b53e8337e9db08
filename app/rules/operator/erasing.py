"""A company goes: what may be removed when, in which order, a little at a time, so that a kill costs nothing.

``deleting_at`` is set in one transaction with all that closes the company; from then on each step finds what is left
and removes it. The tables are those that the models know: one that is added tomorrow is emptied as well.
"""

from collections.abc import Callable, Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Attempt, AuditChain, Document, FaxEntity, FormerNumber
from app.queues import enqueue_after_commit
from app.rules.audit.auditing import audit
from app.rules.numbers.pool import release_all
from app.rules.operator.tenant_tables import address_columns, belongs, tables
from app.rules.sending.dispatch import lock_limits
from app.rules.upkeep.keys import destroy_keys
from tenants.db import rows_changed, utc_now
from tenants.models import EmailAddress, SignInSession, Tenant, User
from tenants.scope import lock_tenant

BATCH = 500


def begin_erasing(session: Session, tenant: Tenant, typed_slug: str, *, by: User, remote_address: str | None) -> None:
    """Close the company for good. Its numbers lead nowhere and nobody of it signs in any more; the rest is removed by
    jobs. Done before, it wakes them once more. The caller commits.

    Raises:
        Refused: ``slug_differs``, ``tenant_not_suspended``, ``tenant_on_the_line``.
    """
    if typed_slug != tenant.slug:
        raise Refused("slug_differs", field="slug", slug=tenant.slug)
    lock_limits(session)  # no call is entered or claimed meanwhile
    lock_tenant(session, tenant.id)
    session.refresh(tenant)
    if tenant.suspended_at is None:
        raise Refused("tenant_not_suspended", field="slug")
    if is_on_the_line(session, tenant.id):
        raise Refused("tenant_on_the_line", field="slug")
    if tenant.deleting_at is None:
        _close(session, tenant)
        values = {"name": tenant.name, "serial": tenant.serial, "faxes": tenant.last_fax_number}
        audit(
            session,
            user=by,
            tenant_id=None,
            action="tenant.deletion_begun",
            target=tenant.slug,
            before=values,
            remote_address=remote_address,
        )
    enqueue_after_commit(session, "erase", tenant.id)


def is_on_the_line(session: Session, tenant_id: int) -> bool:
    calls = sa.select(Attempt.id).where(Attempt.tenant_id == tenant_id, Attempt.ended_at.is_(None))
    return session.scalar(calls.limit(1)) is not None


def _close(session: Session, tenant: Tenant) -> None:
    now = utc_now()
    tenant.deleting_at = now
    _give_up_numbers(session, tenant.id)
    destroy_keys(session, tenant.id)
    release_all(session, tenant.id, now)
    people = sa.select(User.id).where(User.tenant_id == tenant.id)
    for statement in (
        sa.update(User).where(User.tenant_id == tenant.id, User.disabled_at.is_(None)).values(disabled_at=now),
        sa.update(SignInSession)
        .where(SignInSession.user_id.in_(people), SignInSession.ended_at.is_(None))
        .values(ended_at=now),
        sa.update(FaxEntity).where(FaxEntity.tenant_id == tenant.id).values(number=None),
    ):
        session.execute(statement, execution_options={"synchronize_session": False})


def _give_up_numbers(session: Session, tenant_id: int) -> None:
    """Nobody's any more: what still comes for them is for no later tenant, not even one with the same id."""
    session.execute(sa.update(FormerNumber).where(FormerNumber.holder_id == tenant_id).values(holder_id=None))
    of_tenant = sa.select(FaxEntity.number).where(FaxEntity.tenant_id == tenant_id, FaxEntity.number.is_not(None))
    session.add_all(FormerNumber(number=number) for number in session.scalars(of_tenant).all())


def tenants_to_erase(session: Session) -> list[int]:
    return list(session.scalars(sa.select(Tenant.id).where(Tenant.deleting_at.is_not(None)).order_by(Tenant.id)))


# ---- Removing


def remove_rows(session: Session, tenant_id: int, *, remove_file: Callable[[str], None]) -> Iterator[int]:
    """Remove what the tenant has but people, boxes and addresses, a batch for each step. Commits each batch.

    ``remove_file`` takes a document's key in the storage: the file goes before the row that knows of it.
    """
    for table in reversed(tables()):  # what refers to others comes first
        mine = None if _stays_to_the_end(table) else belongs(table, tenant_id)
        while mine is not None and (removed := _remove_batch(session, table, mine, remove_file)):
            yield removed


def _stays_to_the_end(table: sa.Table) -> bool:
    """The tenant, and who has an address: whose it was must be known until the address goes too. And how its audit log
    ended."""
    return table.name in ("tenant", "email_address", "audit_chain") or bool(address_columns(table))


def _remove_batch(
    session: Session, table: sa.Table, mine: sa.ColumnElement[bool], remove_file: Callable[[str], None]
) -> int:
    keys = list(table.primary_key.columns)
    rows = [tuple(row) for row in session.execute(sa.select(*keys).where(mine).limit(BATCH))]
    if not rows:
        session.rollback()
        return 0
    chosen = sa.tuple_(*keys).in_(rows)
    if table is Document.__table__:
        stored = session.scalars(sa.select(Document.storage_key).where(chosen)).all()
        session.rollback()  # no transaction while the storage works
        for key in stored:
            remove_file(key)
    ids = [row[0] for row in rows]
    for reference in table.foreign_keys:
        if reference.column.table is table:  # what is repeated may go before what repeats it
            repeating = sa.update(table).where(reference.parent.in_(ids))
            session.execute(repeating.values({reference.parent: None}))
    session.execute(sa.delete(table).where(chosen))
    session.commit()
    return len(rows)


def finish_erasing(session: Session, tenant_id: int) -> bool:
    """The people, boxes and addresses, and the tenant itself, in one transaction; False if it was gone already.

    Raises:
        sqlalchemy.exc.IntegrityError: something came in between; remove the rows once more.
    """
    slug = session.scalar(sa.select(Tenant.slug).where(Tenant.id == tenant_id, Tenant.deleting_at.is_not(None)))
    if slug is None:
        session.rollback()
        return False
    owners = [
        (table, mine)
        for table in reversed(tables())
        if address_columns(table) and (mine := belongs(table, tenant_id)) is not None
    ]
    addresses = {
        address_id
        for table, mine in owners
        for column in address_columns(table)
        for address_id in session.scalars(sa.select(column).where(mine))
    }
    for table, mine in owners:
        session.execute(sa.delete(table).where(mine))
    session.execute(sa.delete(EmailAddress.__table__).where(EmailAddress.id.in_(addresses)))
    chain = session.get(AuditChain, tenant_id)
    ended = {"entries": chain.length, "digest": chain.digest} if chain else None
    session.execute(sa.delete(AuditChain.__table__).where(AuditChain.tenant_id == tenant_id))
    gone = rows_changed(session, sa.delete(Tenant.__table__).where(Tenant.id == tenant_id)) == 1
    if gone:
        audit(session, user=None, tenant_id=None, action="tenant.deleted", target=slug, before=ended)
    session.commit()
    return gone
