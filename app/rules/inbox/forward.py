"""A fax goes on: to colleagues by mail, or to another fax machine through the one door of
:mod:`app.rules.sending.submit`."""

from collections.abc import Collection
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Direction, Document, Fax, InboxAct, InboxEvent, Notice, NoticeKind
from app.rules.ground.quotas import hold_mails
from app.rules.inbox.inbox import colleagues, hand_over
from app.rules.outbox.notices import write_colleague_notices
from app.rules.sending.lifecycle import may_resend
from app.rules.sending.submit import submit_fax
from tenants.models import User

#: A note is a line or two, not a letter.
LONGEST_NOTE = 1000


def may_forward(fax: Fax) -> bool:
    """A received fax with pages to pass on."""
    return fax.direction == Direction.RECEIVED and fax.pdf_id is not None


def document_to_repeat(fax: Fax) -> Document | None:
    """What goes out when this fax is forwarded or sent to another number; None if it cannot be."""
    if fax.direction == Direction.RECEIVED:
        return fax.pdf
    return fax.source if may_resend(fax) else None


def forward_by_mail(
    session: Session, *, fax: Fax, user: User, to_ids: Collection[int], note: str, submission_key: str
) -> list[User]:
    """Mail the fax to colleagues who may see it; gives them. Commits.

    A ``submission_key`` that was used before (a double click) sends nothing more.

    Raises:
        Refused: ``colleague_missing``, ``colleague_not_allowed``, ``note_too_long``, ``forwarded_too_late``,
            ``quota_mails``, ``quota_mails_own``.
    """
    recipients = chosen_colleagues(session, fax, user, to_ids)
    words = read_note(note)
    try:
        held = _held_from_retention(session, fax)
        if not _forwarded_before(session, fax, submission_key):
            if not may_forward(held):
                raise Refused("forwarded_too_late")
            hold_mails(session, user, len(recipients))
            write_colleague_notices(
                session, fax, NoticeKind.FORWARDED, recipients, occasion=submission_key, sender=user, note=words
            )
            session.add_all(_forwarded(fax, user, recipient, words) for recipient in recipients)
            session.commit()
    except IntegrityError:  # the other of two clicks was faster
        session.rollback()
    return recipients


def _held_from_retention(session: Session, fax: Fax) -> Fax:
    """As it is now, and as it stays until the commit. A notice's foreign key alone would not hold up who takes the
    document away (:func:`app.rules.archives.retention.remove_batch`), and the mail would leave without it."""
    return session.get_one(Fax, fax.id, with_for_update={"key_share": True}, populate_existing=True)


def _forwarded_before(session: Session, fax: Fax, submission_key: str) -> bool:
    written = sa.select(Notice.id).where(Notice.fax_id == fax.id, Notice.occasion == submission_key)
    return session.scalar(written.limit(1)) is not None


def _forwarded(fax: Fax, user: User, recipient: User, note: str | None) -> InboxEvent:
    event = InboxEvent(tenant_id=fax.tenant_id, fax_id=fax.id, user_id=user.id, act=InboxAct.FORWARDED)
    event.to_user_id, event.note = recipient.id, note
    return event


def chosen_colleagues(session: Session, fax: Fax, user: User, ids: Collection[int]) -> list[User]:
    """The colleagues with these ids; each of them may see the fax."""
    if not ids:
        raise Refused("colleague_missing", field="colleagues")
    chosen = [other for other in colleagues(session, fax) if other.id in ids and other.id != user.id]
    if len(chosen) < len(set(ids)):
        raise Refused("colleague_not_allowed", field="colleagues")
    return chosen


def read_note(text: str) -> str | None:
    """PostgreSQL takes no text with a NUL in it, and no person writes one."""
    note = text.replace("\0", "").replace("\r\n", "\n").strip()
    if len(note) > LONGEST_NOTE:
        raise Refused("note_too_long", field="note", limit=LONGEST_NOTE)
    return note or None


def hand_over_to(session: Session, *, fax: Fax, user: User, to_id: int, instead_of: int | None, note: str) -> bool:
    """Give the fax to a colleague, and tell them by mail; False if another colleague was faster. Commits.

    Raises:
        Refused: ``colleague_not_allowed``, ``note_too_long``, ``quota_mails``, ``quota_mails_own``.
    """
    (to,) = chosen_colleagues(session, fax, user, [to_id])
    hold_mails(session, user, 1)
    event = hand_over(session, fax, user, to, instead_of=instead_of, note=read_note(note))
    if event is None:
        return False
    write_colleague_notices(
        session, fax, NoticeKind.HANDED_OVER, [to], occasion=uuid4().hex, sender=user, note=event.note
    )
    session.commit()
    return True


def send_on(
    session: Session,
    *,
    fax: Fax,
    user: User,
    entity_id: int | None,
    addressee_text: str,
    send_at_text: str,
    submission_key: str,
) -> Fax:
    """Forward a received fax by fax, or send a sent one to another number: its document as a new fax. Commits.

    Raises:
        Refused: as :func:`app.rules.sending.submit.submit_fax`.
    """
    return submit_fax(
        session,
        user=user,
        entity_id=entity_id,
        addressee_text=addressee_text,
        send_at_text=send_at_text,
        document=document_to_repeat(fax),
        submission_key=submission_key,
        repeats=fax,
    )
