"""The audit log as chains: each entry holds what came before it, so that none is changed or taken away unseen.

There is a chain for each company and one, 0, for acts on the installation itself. A link's digest is SHA-256 over the
digest before it and the entry in its canonical form. Links are made at the very end of the transaction that enters
something: until the commit, the chain's row is taken, and whoever else enters something in it comes after. Nothing is
locked afterwards, so that no two wait for each other. When a company is deleted its chain goes with it; how it ended
stands in the installation's.

Who can write to the database can make a chain anew. That shows against what has gone elsewhere meanwhile: every entry
that is shipped (:mod:`app.rules.audit.audit_shipping`) names its place and its digest.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.models import AuditChain, AuditEvent, AuditLink
from tenants.db import reading_long
from tenants.models import Tenant

#: The installation's own.
INSTALLATION = 0
#: What the first link of a chain follows.
BEGINNING = "0" * 64
#: Links that are read at a time.
BATCH = 1_000

EVENT = AuditEvent.__table__
LINK = AuditLink.__table__
CHAIN = AuditChain.__table__

Row = Mapping[str, Any]


def canonical(entry: Row) -> bytes:
    """The entry as its digest sees it: JSON in ASCII, names in order, no blanks, the time in UTC with microseconds."""
    values = {name: entry[name] for name in ("id", "tenant_id", "user_id", "action", "target", "before", "after")}
    values["remote_address"] = entry["remote_address"]
    values["at"] = entry["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest_after(previous: str, entry: Row) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(previous.encode() + b"\n" + canonical(entry)).hexdigest()


# ---- Writing


@event.listens_for(AuditEvent, "after_insert")
def _note(_mapper: Any, _connection: sa.Connection, entered: AuditEvent) -> None:
    session = sa.inspect(entered).session
    assert session is not None  # one flushes it
    session.info.setdefault("audit_events", set()).add(entered.id)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop("audit_events", None)


@event.listens_for(Session, "before_commit")
def _chain_entered(session: Session) -> None:
    """What a savepoint took back is in the set and not in the table."""
    if session.in_nested_transaction():
        return
    session.flush()
    if ids := session.info.pop("audit_events", None):
        link_events(session, ids)


def link_events(session: Session, ids: Iterable[int]) -> None:
    """Put these events at the ends of their chains, in the order of their ids."""
    query = sa.select(EVENT).where(EVENT.c.id.in_(ids)).order_by(EVENT.c.tenant_id, EVENT.c.id)
    rows = sorted((row._asdict() for row in session.execute(query)), key=lambda row: row["tenant_id"] or INSTALLATION)
    for tenant_id, entries in groupby(rows, key=lambda row: row["tenant_id"]):
        _link(session, tenant_id, entries)


def _link(session: Session, tenant_id: int | None, entries: Iterable[Row]) -> None:
    chain = tenant_id or INSTALLATION
    length, digest = _take(session, chain, tenant_id)
    links = []
    for entry in entries:
        length, digest = length + 1, digest_after(digest, entry)
        links.append({"chain": chain, "n": length, "event_id": entry["id"], "digest": digest})
    session.execute(sa.insert(LINK), links)
    session.execute(sa.update(CHAIN).where(CHAIN.c.chain == chain).values(length=length, digest=digest))


def _take(session: Session, chain: int, tenant_id: int | None) -> tuple[int, str]:
    """The chain's end, which nobody else moves before this transaction is over. On SQLite one writes at a time."""
    mine = sa.select(CHAIN.c.length, CHAIN.c.digest).where(CHAIN.c.chain == chain)
    if session.get_bind().dialect.name == "postgresql":
        mine = mine.with_for_update()
    if row := session.execute(mine).one_or_none():
        return row.length, row.digest
    values = {"chain": chain, "tenant_id": tenant_id, "length": 0, "digest": BEGINNING, "shipped": 0}
    session.execute(_insert(session).values(values).on_conflict_do_nothing())
    row = session.execute(mine).one()
    return row.length, row.digest


def _insert(session: Session) -> postgresql.Insert | sqlite.Insert:
    """The dialect's own, which can leave out a chain that is there."""
    return postgresql.insert(CHAIN) if session.get_bind().dialect.name == "postgresql" else sqlite.insert(CHAIN)


# ---- Looking whether it holds


@dataclass(frozen=True)
class Verdict:
    """Of one chain. ``slug`` is None for the installation's. ``fault`` says what does not hold, in English."""

    chain: int
    slug: str | None
    length: int
    digest: str
    fault: str | None = None


def verify_chains(session: Session) -> Iterator[Verdict]:
    """Each chain, the installation's first. Of a company that is being deleted rows go at this moment: it is left out.

    Entries are looked at only as far as the chain went when it was read: others may come meanwhile.
    """
    query = sa.select(CHAIN, Tenant.slug).outerjoin(Tenant, Tenant.id == CHAIN.c.tenant_id)
    with reading_long():
        chains = session.execute(query.where(Tenant.deleting_at.is_(None)).order_by(CHAIN.c.chain)).all()
        session.rollback()
    for chain in chains:
        fault = _fault(session, chain) or _unlinked(session, chain)
        yield Verdict(chain.chain, chain.slug, chain.length, chain.digest, fault)


def linked(session: Session, chain: int, after: int, *, size: int = BATCH) -> list[Row]:
    """The next links of a chain with their events; ``link_chain``, ``n`` and ``digest`` are the link's. An event that
    is gone leaves its fields empty. Ends the transaction."""
    there = sa.select(LINK.c.n, LINK.c.digest, LINK.c.event_id, EVENT)
    there = there.outerjoin(EVENT, EVENT.c.id == LINK.c.event_id)
    with reading_long():
        rows = session.execute(there.where(LINK.c.chain == chain, LINK.c.n > after).order_by(LINK.c.n).limit(size))
        found: list[Row] = [row._asdict() for row in rows]
        session.rollback()
    return found


def _fault(session: Session, chain: Any) -> str | None:
    n, digest = 0, BEGINNING
    while n < chain.length:
        rows = linked(session, chain.chain, n)
        if not rows:
            return f"it ends with entry {n}, and had {chain.length}"
        for row in rows:
            if row["n"] != n + 1:
                return f"entry {n + 1} is missing"
            if row["id"] is None:
                return f"entry {row['n']} (event {row['event_id']}) was taken away"
            if (row["tenant_id"] or INSTALLATION) != chain.chain:
                return f"entry {row['n']} (event {row['id']}) is another company's"
            n, digest = row["n"], digest_after(digest, row)
            if digest != row["digest"]:
                return f"entry {n} (event {row['id']}, {row['at']:%Y-%m-%d %H:%M:%S} UTC) is not what was entered"
            if n == chain.length:
                break
    return None if digest == chain.digest else f"its end is not entry {n}"


def _unlinked(session: Session, chain: Any) -> str | None:
    """Events beside the chain: entered by other means than Faxroom's."""
    mine = EVENT.c.tenant_id == chain.tenant_id if chain.tenant_id else EVENT.c.tenant_id.is_(None)
    query = sa.select(EVENT.c.id).outerjoin(LINK, LINK.c.event_id == EVENT.c.id).where(mine, LINK.c.n.is_(None))
    with reading_long():
        beside = session.scalar(query.order_by(EVENT.c.id).limit(1))
        session.rollback()
    return None if beside is None else f"event {beside} is beside the chain"


def differs(session: Session, shipped: Row) -> str | None:
    """What an entry that went out says against what is here now; None if it is the same. ``shipped`` has ``chain``,
    ``n`` and ``digest``."""
    mine = sa.select(LINK.c.digest).where(LINK.c.chain == shipped["chain"], LINK.c.n == shipped["n"])
    here = session.scalar(mine)
    if here is None:
        return f"chain {shipped['chain']}: entry {shipped['n']} went out and is not here"
    if here != shipped["digest"]:
        return f"chain {shipped['chain']}: entry {shipped['n']} went out as something else"
    return None
