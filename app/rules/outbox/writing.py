"""Into the outbox: the one way, in the transaction of what a mail tells."""

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from app.models import Notice, NoticeKind
from app.queues import enqueue_after_commit
from tenants.models import Tenant, User

#: In the Message-ID of mails that are of no company.
OPERATORS = "operators"


def write_notices(
    session: Session,
    kind: NoticeKind,
    users: Iterable[User],
    *,
    tenant: Tenant | None,
    is_personal: bool = False,
    recipient: str | None = None,
    **more: Any,
) -> list[Notice]:
    """A mail to each of them, in their language, and a job that delivers it after the commit. The caller commits.

    ``tenant`` is the company that it is about, None for the operators' own affairs. ``is_personal``: it concerns them
    rather than a fax, and the row says whose it is. ``recipient`` is an address that was theirs. ``more`` are columns
    of :class:`app.models.Notice`.
    """
    slug = tenant.slug if tenant else OPERATORS
    notices = [
        Notice(
            tenant_id=tenant.id if tenant else None,
            user_id=user.id if is_personal else None,
            kind=kind,
            recipient=recipient or user.email,
            language=user.preferred_language,
            message_id=f"<{uuid4()}@faxroom.{slug}.invalid>",
            **more,
        )
        for user in users
    ]
    session.add_all(notices)
    session.flush()
    for notice in notices:
        enqueue_after_commit(session, "deliver", notice.id)
    return notices
