"""The one door through which every outgoing fax comes: form, mail, command line, resend."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Direction, Document, Fax, FaxEntity, Origin, Status
from app.queues import LANE_JOBS, enqueue_after_commit, first_lane
from app.rules.ground.access import sendable_entities
from app.rules.ground.send_times import read_send_time
from app.rules.log.search import search_text
from app.rules.numbers.dialing import hold_rules
from app.rules.numbers.numbers import Addressee, read_addressee
from app.rules.numbers.policy import hold_policy
from app.rules.sending.looking import LONGEST
from tenants.db import utc_now
from tenants.models import Tenant, User


def submit_fax(
    session: Session,
    *,
    user: User,
    entity_id: int | None,
    addressee_text: str,
    send_at_text: str | None,
    document: Document | None,
    submission_key: str,
    origin: str = Origin.WEB,
    repeats: Fax | None = None,
    beside: Callable[[Fax], None] | None = None,
    look_first: bool = False,
    pages: int | None = None,
    urgent: bool = False,
) -> Fax:
    """Accept a fax: the document is in the storage already, the row is committed here.

    A ``submission_key`` that the user has sent before (a double click, a mail delivered twice) gives the first fax.
    ``repeats`` is the fax whose document goes out once more: to another number, or forwarded. ``beside`` writes what is
    committed together with a new fax; what it raises comes through, and the caller rolls back. An email becomes a fax
    with ``beside=lambda fax: session.add(MailMessage(fax_id=fax.id, …))``: both are there, or neither. Of an email that
    became one before, it is not called, and the first fax is given. With ``look_first`` it is prepared and goes when
    its sender says so (:mod:`app.rules.sending.looking`). ``pages`` are as many as its sender has agreed to, of a
    document that does not say it itself. An ``urgent`` one goes before the other faxes of its company.

    Raises:
        Refused: with the ``field`` to change; nothing was begun and nothing is lost.
    """
    tenant = user.tenant
    if tenant is None or tenant.suspended_at:
        raise Refused("tenant_suspended")
    entity = _origin_line(session, user, entity_id)
    addressee = read_addressee(session, tenant, addressee_text)
    send_at = read_send_time(send_at_text, tenant.zone, utc_now())
    if document is None:
        raise Refused("document_missing", field="document")
    order = Order(
        document.id,
        pages=document.pages or pages,
        origin=origin,
        send_at=send_at,
        repeats_id=repeats.id if repeats else None,
        look_until=utc_now() + LONGEST if look_first else None,
        urgent=urgent,
    )
    return accept_fax(
        session, order, user=user, entity=entity, addressee=addressee, submission_key=submission_key, beside=beside
    )


def resend_fax(session: Session, *, user: User, fax: Fax, submission_key: str) -> Fax:
    """Send a finished fax once more, whole, as a new fax to the same number.

    Raises:
        Refused: the user may no longer send from that line, or the number is no longer accepted.
    """
    if fax.tenant.suspended_at:
        raise Refused("tenant_suspended")
    if fax.source_id is None:
        raise Refused("document_removed", field="document")
    entity = _origin_line(session, user, fax.entity_id)
    addressee = read_addressee(session, fax.tenant, fax.remote_number or "")
    again = Order(fax.source_id, pages=fax.pages, origin=Origin.WEB, repeats_id=fax.id)
    return accept_fax(session, again, user=user, entity=entity, addressee=addressee, submission_key=submission_key)


def _origin_line(session: Session, user: User, entity_id: int | None) -> FaxEntity:
    if entity_id is None:
        raise Refused("entity_missing", field="entity")
    for entity in sendable_entities(session, user):
        if entity.id == entity_id:
            return entity
    raise Refused("entity_not_allowed", field="entity")


@dataclass(frozen=True)
class Order:
    """What is to go out, whoever sends it and wherever to: the document, its ``pages`` if they are known, and when.
    ``look_until`` is how long its sender may look at it first."""

    source_id: str
    pages: int | None
    origin: str
    send_at: datetime | None = None
    repeats_id: str | None = None
    look_until: datetime | None = None
    urgent: bool = False


def accept_fax(
    session: Session,
    order: Order,
    *,
    user: User,
    entity: FaxEntity,
    addressee: Addressee,
    submission_key: str,
    beside: Callable[[Fax], None] | None = None,
) -> Fax:
    """What every outgoing fax goes through once its sender, line and addressee are known. Commits.

    Raises:
        Refused: by the operator's policy (:mod:`app.rules.numbers.policy`), by the dialing rules of the line
            (:mod:`app.rules.numbers.dialing`), or ``document_removed``.
    """
    _queue_up(session, entity.tenant_id)
    session.refresh(entity, ["closed_at"])
    if entity.closed_at:  # while this one waited for its turn
        raise Refused("entity_not_allowed", field="entity")
    if earlier := submitted_before(session, user, submission_key):
        return earlier
    user_id = user.id
    now = utc_now()
    hold_policy(session, entity.tenant, addressee.dial_string, send_at=order.send_at, now=now)
    hold_rules(
        session,
        tenant=entity.tenant,
        entity=entity,
        number=addressee.remote_number,
        send_at=order.send_at,
        now=now,
        origin=order.origin,
    )
    document = session.get(Document, order.source_id)
    lane = first_lane(document.type if document else "pdf")
    names = [document.name if document else None, user.name, entity.name]
    fax = Fax(
        tenant_id=entity.tenant_id,
        entity_id=entity.id,
        user_id=user_id,
        submission_key=submission_key,
        direction=Direction.SENT,
        status=Status.ACCEPTED,
        origin=order.origin,
        number=next_fax_number(session, entity.tenant_id),
        remote_number=addressee.remote_number,
        dial_string=addressee.dial_string,
        source_id=order.source_id,
        pages=order.pages,
        send_at=order.send_at,
        look_until=order.look_until,
        urgent=order.urgent,
        resend_of_id=order.repeats_id,
        lane=lane,
        search_text=search_text(tenant=entity.tenant, number=addressee.remote_number, names=names),
    )
    session.add(fax)
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        earlier = submitted_before(session, session.get_one(User, user_id), submission_key)
        if earlier is None:
            raise
        return earlier
    if document:  # its time may just have been up: who locks its row first decides (app.rules.archives.retention)
        session.refresh(document, ["removed_at"])
        if document.removed_at:
            session.rollback()
            raise Refused("document_removed", field="document")
    if beside:
        beside(fax)
    enqueue_after_commit(session, LANE_JOBS[lane])
    session.commit()
    return fax


def _queue_up(session: Session, tenant_id: int) -> None:
    """Until the commit nobody else takes a number of the company, or a place in a line's day. Unlike
    :func:`tenants.scope.lock_tenant` it waits for nobody who only adds rows."""
    session.execute(sa.select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))


def submitted_before(session: Session, user: User, submission_key: str) -> Fax | None:
    return session.scalar(sa.select(Fax).where(Fax.user_id == user.id, Fax.submission_key == submission_key))


def next_fax_number(session: Session, tenant_id: int) -> int:
    """The fax's number within its tenant; the row stays locked until the commit, so no number comes twice."""
    counter = sa.update(Tenant).where(Tenant.id == tenant_id).values(last_fax_number=Tenant.last_fax_number + 1)
    return session.scalars(counter.returning(Tenant.last_fax_number)).one()
