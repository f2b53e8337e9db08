"""The audit log: who did what to which thing, from where, before and after. Rows are only ever added."""

from typing import Any

from sqlalchemy.orm import Session

from app.models import AuditEvent
from app.rules.audit import audit_chain  # noqa: F401 - which links what is entered here, at the commit
from tenants.models import User


def audit(
    session: Session,
    *,
    user: User | None,
    tenant_id: int | None,
    action: str,
    target: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    remote_address: str | None = None,
) -> None:
    """Enter one act; the caller commits it together with the act itself.

    ``action`` is thing and verb, such as ``entity.changed`` or ``user.invited``; ``target`` names the thing as a person
    knows it. ``before`` and ``after`` hold what differs, never a secret: of those only that they were changed.
    """
    session.add(
        AuditEvent(
            tenant_id=tenant_id,
            user_id=user.id if user else None,
            action=action,
            target=target[:200],
            before=before,
            after=after,
            remote_address=remote_address,
        )
    )
