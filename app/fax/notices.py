"""Who is told what: rows of the outbox, written in the transaction of what they tell."""

from uuid import uuid4

from sqlalchemy.orm import Session

from app.fax.numbers import outside_form
from app.models import Fax, Notice, NoticeKind, Status
from app.queues import enqueue_after_commit


def write_outcome_notice(session: Session, fax: Fax) -> None:
    """One mail to the sender about how it ended."""
    if fax.user is None or not fax.user.is_active:
        return
    notice = Notice(
        tenant_id=fax.tenant_id,
        fax_id=fax.id,
        kind=NoticeKind.OUTCOME,
        recipient=fax.user.email,
        language=fax.user.preferred_language,
        message_id=f"<{uuid4()}@faxroom.{fax.tenant.slug}.invalid>",
    )
    session.add(notice)
    session.flush()
    enqueue_after_commit(session, "deliver", notice.id)


#: The contract's subjects, the same in every language: programs sort mails by them.
SUBJECTS = {
    Status.SENT: "[{serial}] FAX successfully sent to {number}",
    Status.FAILED: "[{serial}] FAX not sent to {number}",
    Status.UNKNOWN: "[{serial}] FAX outcome unknown to {number}",
}


def outcome_subject(fax: Fax) -> str:
    number = outside_form(fax.remote_number or "", fax.tenant)
    return SUBJECTS[Status(fax.status)].format(serial=fax.tenant.serial, number=number)
