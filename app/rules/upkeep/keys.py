"""Keys of companies: a new one, all of them gone, and which documents the newest one has not sealed yet."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import CompanyKey, Document, new_content
from app.rules.audit.auditing import audit
from tenants.db import rows_changed
from tenants.models import Tenant
from tenants.scope import lock_tenant


@dataclass(frozen=True)
class Unsealed:
    """A document that lies plain, or is sealed with a key that was followed by another."""

    id: str
    storage_key: str
    sha256: str


def renew_key(session: Session, tenant: Tenant) -> None:
    """What is stored from now on has a key of its own. The others stay, for what they sealed. Commits."""
    lock_tenant(session, tenant.id)
    session.add(CompanyKey(tenant_id=tenant.id, content=new_content(tenant.id)))
    audit(session, user=None, tenant_id=tenant.id, action="tenant.key_renewed", target=tenant.slug)
    session.commit()


def destroy_keys(session: Session, tenant_id: int) -> None:
    """Nothing that the company has stored can be read any more, wherever a copy of it lies. The caller commits."""
    if session.get_bind().dialect.name == "sqlite":  # else what is deleted stays in the file until it is written over
        session.execute(sa.text("PRAGMA secure_delete=ON"))
    session.execute(sa.delete(CompanyKey).where(CompanyKey.tenant_id == tenant_id))


def companies_with_older_keys(session: Session) -> list[int]:
    """Some of their documents may still have one."""
    company = CompanyKey.tenant_id
    renewed = sa.select(company).group_by(company).having(sa.func.count() > 1)
    return list(session.scalars(renewed.order_by(company)))


def plain_documents(session: Session, *, after: str, limit: int) -> list[Unsealed]:
    """Of all companies that have keys, in the order of their ids."""
    query = sa.select(Document.id, Document.storage_key, Document.sha256).where(
        Document.sealed_with.is_(None),
        Document.removed_at.is_(None),
        Document.tenant_id.in_(sa.select(CompanyKey.tenant_id)),
    )
    return _found(session, query, after, limit)


def documents_with_older_key(
    session: Session, *, tenant_id: int, newest: str, after: str, limit: int
) -> list[Unsealed]:
    query = sa.select(Document.id, Document.storage_key, Document.sha256).where(
        Document.tenant_id == tenant_id, Document.sealed_with != newest, Document.removed_at.is_(None)
    )
    return _found(session, query, after, limit)


def _found(session: Session, query: sa.Select[str, str, str], after: str, limit: int) -> list[Unsealed]:
    return [
        Unsealed(*row) for row in session.execute(query.where(Document.id > after).order_by(Document.id).limit(limit))
    ]


def note_sealed(session: Session, document_id: str, name: str) -> bool:
    """True unless the document's time was up meanwhile, or it is gone. Commits."""
    kept = sa.update(Document).where(Document.id == document_id, Document.removed_at.is_(None))
    noted = rows_changed(session, kept.values(sealed_with=name)) == 1
    session.commit()
    return noted
