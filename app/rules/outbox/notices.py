"""Who is told what: rows of the outbox, written in the transaction of what they tell."""

from collections.abc import Iterable

from sqlalchemy.orm import Session

from app.models import Fax, NoticeKind, Origin, Status
from app.rules.ground.access import receivers
from app.rules.numbers.numbers import national_form, outside_form
from app.rules.outbox.digests import enter
from app.rules.outbox.writing import write_notices
from tenants.models import User

WITHHELD = "anonymous"


def write_outcome_notice(session: Session, fax: Fax) -> None:
    """One mail to the sender about how it ended. Who tests a line watches the test; who has chosen a digest reads there
    what was sent, and hears at once of what was not."""
    if fax.user is None or not fax.user.is_active or fax.origin == Origin.TEST:
        return
    if fax.user.digest_at is not None:
        enter(session, fax.user, fax)
        session.refresh(fax, ["status"])
        if fax.status == Status.SENT:
            return
    write_notices(session, NoticeKind.OUTCOME, [fax.user], tenant=fax.tenant, fax_id=fax.id)


def write_held_notice(session: Session, fax: Fax) -> None:
    """One mail to the sender: nothing goes before they say so."""
    if fax.user and fax.user.is_active:
        write_notices(session, NoticeKind.HELD, [fax.user], tenant=fax.tenant, fax_id=fax.id)


def write_received_notices(session: Session, fax: Fax) -> None:
    """One mail to each who may receive, on their own: what becomes of one does not touch the others."""
    write_notices(session, NoticeKind.RECEIVED, receivers(session, fax), tenant=fax.tenant, fax_id=fax.id)


def write_colleague_notices(
    session: Session,
    fax: Fax,
    kind: NoticeKind,
    users: Iterable[User],
    *,
    occasion: str,
    sender: User,
    note: str | None,
) -> None:
    """What a colleague has sent, once for each ``occasion``."""
    write_notices(
        session, kind, users, tenant=fax.tenant, fax_id=fax.id, occasion=occasion, from_user_id=sender.id, note=note
    )


def write_reminder(session: Session, fax: Fax, user: User, *, day: str) -> None:
    """About this fax, and about whatever else lies there when the mail goes out."""
    write_notices(session, NoticeKind.REMINDER, [user], tenant=fax.tenant, fax_id=fax.id, occasion=day)


#: The contract's subjects, the same in every language: programs sort mails by them.
SUBJECTS = {
    Status.SENT: "[{serial}] FAX successfully sent to {number}",
    Status.FAILED: "[{serial}] FAX not sent to {number}",
    Status.CANCELLED: "[{serial}] FAX not sent to {number}",
    Status.UNKNOWN: "[{serial}] FAX outcome unknown to {number}",
    Status.RECEIVED: "[{serial}] FAX successfully received from {number}",
    Status.INCOMPLETE: "[{serial}] FAX incompletely received from {number}",
}
#: The reference's lines to the byte, with the no-break space and the space at the end that it has. Programs read them.
RECEIVED_TEXT = """\
FAX received from {number}

Date and time: {at:%d/%m/%Y %H:%M:%S}
Transmission time\N{NO-BREAK SPACE}: {seconds} seconds
Number of pages: {pages}\N{SPACE}
"""


def subject_of(fax: Fax) -> str:
    """Of the mail about a fax that is over."""
    number = outside_form(fax.remote_number, fax.tenant) if fax.remote_number else WITHHELD
    return SUBJECTS[Status(fax.status)].format(serial=fax.tenant.serial, number=number)


def received_text(fax: Fax) -> str:
    """What the reference's mail says. The transmission lasts from the answer to the hang-up."""
    call = fax.attempts[0]
    seconds = ((call.ended_at or fax.created_at) - (call.answered_at or fax.created_at)).total_seconds()
    return RECEIVED_TEXT.format(
        number=national_form(fax.remote_number, fax.tenant) if fax.remote_number else WITHHELD,
        at=fax.created_at.astimezone(fax.tenant.zone),
        seconds=max(0, round(seconds)),
        pages=fax.pages or 0,
    )
