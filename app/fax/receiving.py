"""An incoming fax: entered when the call is taken, completed when its pages are imported."""

import re
from datetime import UTC, datetime

import phonenumbers
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.fax.dispatch import Limits, Room, lock_limits
from app.fax.lifecycle import move
from app.fax.results import CallFacts, close_attempt
from app.fax.search import search_text, with_name
from app.fax.submit import next_fax_number
from app.models import Attempt, Direction, Document, Fax, FaxEntity, Status


def attempt_name(node: str, channel_id: str) -> str:
    """Asterisk's own channel ids are unique on their node only."""
    return f"in-{node}-{channel_id}"[:64]


def channel_of(attempt: Attempt, node: str) -> str:
    return attempt.channel_id.removeprefix(attempt_name(node, ""))


def begin_receiving(
    session: Session, entity: FaxEntity, *, node: str, channel_id: str, caller: str, limits: Limits | None
) -> Fax | None:
    """Enter a call that comes in for ``entity``; None if the tenant may take no more calls at once. Commits.

    A call that was entered before gives the same fax.

    ``limits`` None: the call has been taken already, while the portal was down.
    """
    lock_limits(session)
    if known := receiving_fax(session, node=node, channel_id=channel_id):
        return known
    if limits and not Room(session, limits).has_for_incoming(entity.tenant):
        session.rollback()
        return None
    number = readable_caller(caller, entity.tenant.region)
    fax = Fax(
        tenant_id=entity.tenant_id,
        entity_id=entity.id,
        direction=Direction.RECEIVED,
        status=Status.RECEIVING,
        origin="line",
        number=next_fax_number(session, entity.tenant_id),
        remote_number=number,
        search_text=search_text(tenant=entity.tenant, number=number, names=[entity.name]),
    )
    session.add(fax)
    session.flush()
    name = attempt_name(node, channel_id)
    session.add(Attempt(fax_id=fax.id, tenant_id=fax.tenant_id, entity_id=entity.id, n=1, channel_id=name, node=node))
    session.commit()
    return fax


def readable_caller(caller: str, region: str) -> str | None:
    """The caller as E.164 if it is a number; None if it was withheld. It is a stranger's text."""
    digits = re.sub(r"[^0-9+]", "", caller)[:20]
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return digits or None
    if not phonenumbers.is_possible_number(number):
        return digits or None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def receiving_fax(session: Session, *, node: str, channel_id: str) -> Fax | None:
    """The fax that a call belongs to; None if the call was taken without the portal."""
    query = sa.select(Fax).join(Attempt).where(Attempt.channel_id == attempt_name(node, channel_id))
    return session.scalar(query)


def finish_receiving(
    session: Session,
    fax: Fax,
    facts: CallFacts,
    *,
    pdf: Document | None,
    tiff: Document | None,
) -> bool:
    """Enter the pages that came; False if that has been done before. The caller commits."""
    attempt = session.scalar(sa.select(Attempt).where(Attempt.fax_id == fax.id))
    if attempt is None or not close_attempt(session, attempt.id, facts):
        return False
    complete = facts.outcome == "success" and tiff is not None
    return move(
        session,
        fax.id,
        Status.RECEIVED if complete else Status.INCOMPLETE,
        cause=None if complete else facts.outcome,
        pages=tiff.pages if tiff else 0,
        pages_done=tiff.pages if tiff else 0,
        remote_station_id=(facts.remote_station_id or "")[:64] or None,
        search_text=with_name(fax.search_text, (facts.remote_station_id or "")[:64]),
        pdf_id=pdf.id if pdf else None,
        tiff_id=tiff.id if tiff else None,
        created_at=datetime.fromtimestamp(facts.answered_at, tz=UTC) if facts.answered_at else Fax.created_at,
    )
