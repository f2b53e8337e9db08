"""Who is served next: whoever has waited longest for a turn, first among the companies, then within one."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.models import LastTurn
from tenants.models import Tenant

#: The kind of turn that a fax entity takes on the line; those of documents are named as their lanes.
LINE = "line"


def of_company(kind: str) -> sa.ScalarSelect[datetime]:
    """When a company of the surrounding question had its last turn; NULL for one that never had any."""
    last = sa.select(sa.func.max(LastTurn.at)).where(LastTurn.kind == kind, LastTurn.tenant_id == Tenant.id)
    return last.correlate(Tenant).scalar_subquery()


def of_owner(kind: str, owner: InstrumentedAttribute[int]) -> sa.ScalarSelect[datetime]:
    """The same of a person or a fax entity."""
    last = sa.select(LastTurn.at).where(LastTurn.kind == kind, LastTurn.owner_id == owner)
    return last.correlate(owner.class_).scalar_subquery()


def note_turns(session: Session, kind: str, owners: dict[int, int], at: datetime) -> None:
    """``owners``: person or fax entity → its company. The caller commits."""
    rows = [{"kind": kind, "owner_id": owner, "tenant_id": owners[owner], "at": at} for owner in sorted(owners)]
    if rows:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        insert = dialect.insert(LastTurn)
        session.execute(insert.on_conflict_do_update(index_elements=["kind", "owner_id"], set_={"at": at}), rows)
