"""An incoming fax: entered when the call is taken, completed when its pages are imported."""

from collections.abc import Collection
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Direction, Document, Fax, FaxEntity, Origin, Status, Unread
from app.rules.ground.access import receivers
from app.rules.log.search import search_text, with_name
from app.rules.numbers.called import is_from_outside, trunk_in
from app.rules.numbers.callers import caller_of
from app.rules.outbox.notices import write_received_notices
from app.rules.sending.dispatch import Limits, Room, lock_limits
from app.rules.sending.lifecycle import move
from app.rules.sending.results import CallFacts, close_attempt
from app.rules.sending.self_test import test_announced, test_called
from app.rules.sending.submit import next_fax_number
from tenants.db import utc_now


def attempt_name(node: str, channel_id: str) -> str:
    """Asterisk's own channel ids are unique on their node only."""
    return f"in-{node}-{channel_id}"[:64]


def channel_of(attempt: Attempt, node: str) -> str:
    return attempt.channel_id.removeprefix(attempt_name(node, ""))


def begin_receiving(
    session: Session,
    entity: FaxEntity,
    *,
    node: str,
    channel_id: str,
    caller: str,
    limits: Limits | None,
    called: str = "",
) -> Fax | None:
    """Enter a call that comes in for ``entity``; None if the tenant may take no more calls at once. Commits.

    A call that was entered before gives the same fax.

    ``limits`` None: the call has been taken already, while the portal was down. ``called`` tells a self-test from
    what strangers send.
    """
    lock_limits(session)
    if known := receiving_fax(session, node=node, channel_id=channel_id):
        return known
    if limits and not Room(session, limits).has_for_incoming(entity.tenant):
        session.rollback()
        return None
    number, test_id = (
        caller_of(session, caller, entity.tenant.region, trunk_in(called)),
        test_called(session, entity, called),
    )
    fax = Fax(
        tenant_id=entity.tenant_id,
        entity_id=entity.id,
        direction=Direction.RECEIVED,
        status=Status.RECEIVING,
        origin=Origin.LINE,
        test_of_id=test_id,
        done_at=utc_now() if test_id else None,  # nothing that anybody has to look at
        number=next_fax_number(session, entity.tenant_id),
        remote_number=number,
        from_outside=is_from_outside(called) if called else None,
        search_text=search_text(tenant=entity.tenant, number=number, names=[entity.name]),
    )
    session.add(fax)
    session.flush()
    name = attempt_name(node, channel_id)
    session.add(Attempt(fax_id=fax.id, tenant_id=fax.tenant_id, entity_id=entity.id, n=1, channel_id=name, node=node))
    session.commit()
    return fax


def receiving_fax(session: Session, *, node: str, channel_id: str) -> Fax | None:
    """The fax that a call belongs to; None if the call was taken without the portal."""
    query = sa.select(Fax).join(Attempt).where(Attempt.channel_id == attempt_name(node, channel_id))
    return session.scalar(query)


def note_off_the_line(session: Session, *, node: str, channel_ids: Collection[str]) -> None:
    """These calls are over. Their pages are still to be entered, which may take as long as a storage is away: meanwhile
    they hold no place that another call could have. Commits."""
    over = sa.update(Attempt).where(Attempt.channel_id.in_([attempt_name(node, one) for one in channel_ids]))
    session.execute(over.where(Attempt.takes_a_place()).values(off_line_at=utc_now()))
    session.commit()


def is_coming_in(session: Session, fax: Fax) -> bool:
    """Whether its pages are still to be entered."""
    return session.scalar(sa.select(Attempt.id).where(Attempt.fax_id == fax.id, Attempt.ended_at.is_(None))) is not None


def began_at(fax: Fax, facts: CallFacts) -> datetime:
    """When the call was answered: the time of a received fax."""
    return datetime.fromtimestamp(facts.answered_at, tz=UTC) if facts.answered_at else fax.created_at


def finish_receiving(
    session: Session,
    fax: Fax,
    facts: CallFacts,
    *,
    pdf: Document | None = None,
    tiff: Document | None = None,
    unreadable: Document | None = None,
) -> bool:
    """Enter what a call brought and tell everybody who may receive; False if that has been done before.

    An outer self-test is known here, by what its machine called itself. ``unreadable`` is a file of which no page
    could be read. The caller commits.
    """
    attempt = session.scalar(sa.select(Attempt).where(Attempt.fax_id == fax.id))
    if attempt is None or not close_attempt(session, attempt.id, facts):
        return False
    station = (facts.remote_station_id or "")[:64]
    pages = (tiff.pages or 0) if tiff else 0
    cause = _cause(facts, pages, damaged=unreadable is not None)
    began = began_at(fax, facts)
    test_id = fax.test_of_id or test_announced(session, fax, station, began)
    moved = move(
        session,
        fax.id,
        Status.INCOMPLETE if cause else Status.RECEIVED,
        cause=cause,
        pages=pages,
        pages_done=pages,
        remote_station_id=station or None,
        search_text=with_name(fax.search_text, station),
        pdf_id=pdf.id if pdf else None,
        tiff_id=tiff.id if tiff else None,
        source_id=unreadable.id if unreadable else None,
        created_at=began,
        test_of_id=test_id,
    )
    believed = pages or unreadable or facts.pages > 0  # the sender believes in pages that are not there, too
    if moved and believed and not test_id:
        session.refresh(fax)
        mark_unread(session, fax)
        write_received_notices(session, fax)
    elif moved:  # nothing that anybody has to look at
        session.execute(sa.update(Fax).where(Fax.id == fax.id).values(done_at=utc_now()))
    return moved


#: Outcomes whose sentences are a sender's → what a receiver has to know. The others say the same to both.
RECEIVERS_CAUSES = {
    "far_end_no_fax": "caller_no_fax",
    "silent": "caller_silent",
    "file_refused": "not_written",
    "success": "unreadable",
    "incomplete": "unreadable",
}


#: spandsp's word where the caller wants to be sent to and has nothing to send (t30.c: T30_ERR_TX_INCAPABLE).
POLLING = "Far end is not able to transmit"


def _cause(facts: CallFacts, pages: int, *, damaged: bool) -> str | None:
    """Why a fax is not whole; None if it is: every page that was confirmed to the sender can be read."""
    if damaged:
        return "unreadable"
    if not pages and facts.error == POLLING:
        return "caller_polled"
    if facts.outcome == "success" and pages and pages >= facts.pages:
        return None
    return RECEIVERS_CAUSES.get(facts.outcome, facts.outcome)


def mark_unread(session: Session, fax: Fax) -> None:
    """Nobody who may receive it has opened it yet. The caller commits."""
    session.add_all(Unread(user_id=user.id, fax_id=fax.id, tenant_id=fax.tenant_id) for user in receivers(session, fax))
