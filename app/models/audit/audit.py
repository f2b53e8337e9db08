"""Who did what to which thing. Rows are only ever added."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import BigId, Model, utc_now


class AuditEvent(Model):
    """``tenant_id`` is null for an act of the operator on the installation itself."""

    __tablename__ = "audit_event"
    __table_args__ = (
        # the log, newest first: whole, of one person, of one kind
        sa.Index("ix_audit_event_at", "tenant_id", "at", "id"),
        sa.Index("ix_audit_event_user", "tenant_id", "user_id", "at", "id"),
        sa.Index("ix_audit_event_action", "tenant_id", "action", "at", "id"),
    )

    id: Mapped[BigId]
    tenant_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tenant.id"))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    action: Mapped[str] = mapped_column(sa.String(64))
    target: Mapped[str] = mapped_column(sa.String(200))
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    remote_address: Mapped[str | None] = mapped_column(sa.String(64))
    at: Mapped[datetime] = mapped_column(default=utc_now)


class AuditChain(Model):
    """One for each company, 0 for the installation's own acts: how long it is and with which digest it ends.

    Whoever enters something takes this row first, so that of two at once one follows the other. ``shipped`` of its
    links have gone out to where the operator collects them (:mod:`app.rules.audit.audit_chain`).
    """

    __tablename__ = "audit_chain"

    chain: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    tenant_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tenant.id"), unique=True)
    length: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    digest: Mapped[str] = mapped_column(sa.String(64))
    shipped: Mapped[int] = mapped_column(sa.BigInteger, default=0)


class AuditLink(Model):
    """An event's place in its chain: the ``n``-th, from 1 on. The digest is of the one before it and of the event."""

    __tablename__ = "audit_link"

    chain: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(sa.ForeignKey("audit_event.id"), unique=True)
    digest: Mapped[str] = mapped_column(sa.String(64))


def _append_only(table: str, company: str) -> dict[str, tuple[str, ...]]:
    """The database itself refuses to change or remove a row, but for those of a company that is being deleted.
    ``company`` is the column that names it."""
    deleting = f"EXISTS (SELECT 1 FROM tenant WHERE id = OLD.{company} AND deleting_at IS NOT NULL)"
    refusal = "'the audit log is append-only'"
    return {
        "sqlite": (
            f"""CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
        BEGIN SELECT RAISE(ABORT, {refusal}); END""",
            f"""CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
        WHEN NOT {deleting}
        BEGIN SELECT RAISE(ABORT, {refusal}); END""",
        ),
        "postgresql": (
            f"""CREATE OR REPLACE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                IF {deleting} THEN
                    RETURN OLD;
                END IF;
            END IF;
            RAISE EXCEPTION {refusal};
        END $$""",
            f"""CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION {table}_append_only()""",
            f"""CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()""",
        ),
    }


for _table, _company in ((AuditEvent.__table__, "tenant_id"), (AuditLink.__table__, "chain")):
    for _dialect, _statements in _append_only(_table.name, _company).items():
        for _statement in _statements:
            event.listen(_table, "after_create", sa.DDL(_statement).execute_if(dialect=_dialect))
