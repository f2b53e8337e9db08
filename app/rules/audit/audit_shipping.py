"""What of the audit log goes out to where the operator collects it, in the order of each chain and none left out.

How far each chain has gone is kept beside it (``AuditChain.shipped``), so that a collector that is away, or a process
that ends, costs nothing: an entry goes at least once. Its chain and place tell whoever gets it twice, or misses one.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.rules.audit.audit_chain import CHAIN, EVENT, Row, linked
from tenants.db import rows_changed
from tenants.models import EmailAddress, Tenant, User

#: Entries that go out between two notes of how far they went.
BATCH = 200
#: A chain that is never at its end leaves the others their turn.
MOST_BATCHES = 20

Entry = dict[str, Any]


def shipping_waits() -> sa.Select[int]:
    """Something that has not gone out."""
    return sa.select(CHAIN.c.chain).where(CHAIN.c.shipped < CHAIN.c.length).limit(1)


def left_to_ship(session: Session) -> int:
    return session.scalar(sa.select(sa.func.coalesce(sa.func.sum(CHAIN.c.length - CHAIN.c.shipped), 0))) or 0


def ship(session: Session, send: Callable[[list[Entry]], None]) -> None:
    """Give ``send`` what has not gone out, a batch at a time; what it raises ends this. No transaction is open
    meanwhile. Commits."""
    waiting = sa.select(CHAIN.c.chain, CHAIN.c.shipped, Tenant.slug).outerjoin(Tenant, Tenant.id == CHAIN.c.tenant_id)
    rows = session.execute(waiting.where(CHAIN.c.shipped < CHAIN.c.length).order_by(CHAIN.c.chain)).all()
    session.rollback()
    for row in rows:
        _ship_chain(session, row.chain, row.slug, row.shipped, send)


def _ship_chain(
    session: Session, chain: int, slug: str | None, shipped: int, send: Callable[[list[Entry]], None]
) -> None:
    for _batch in range(MOST_BATCHES):
        links = linked(session, chain, shipped, size=BATCH)
        if not links:
            return
        people = _people(session, links)
        send([_entry(chain, slug, link, people) for link in links])
        mine = sa.update(CHAIN).where(CHAIN.c.chain == chain, CHAIN.c.shipped == shipped)
        went = rows_changed(session, mine.values(shipped=links[-1]["n"])) == 1
        session.commit()
        if not went:  # somebody else ships this chain
            return
        shipped = links[-1]["n"]


def _people(session: Session, links: list[Row]) -> dict[int, str]:
    ids = {link["user_id"] for link in links if link["user_id"]}
    query = sa.select(User.id, EmailAddress.address).join(EmailAddress, EmailAddress.id == User.address_id)
    people = {row.id: row.address for row in session.execute(query.where(User.id.in_(ids)))} if ids else {}
    session.rollback()
    return people


def _entry(chain: int, slug: str | None, link: Row, people: dict[int, str]) -> Entry:
    """As it goes out; ``company`` is None for the installation's own."""
    names = [column.name for column in EVENT.c if column.name not in ("id", "tenant_id", "at")]
    return {
        "chain": chain,
        "n": link["n"],
        "digest": link["digest"],
        "event": link["event_id"],
        "company": slug,
        "at": link["at"].isoformat() if link["at"] else None,
        "user": people.get(link["user_id"]),
        **{name: link[name] for name in names},
    }
