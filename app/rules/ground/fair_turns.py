"""Who is served next: whoever has waited longest for a turn, first among the companies, then within one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.models import LastTurn
from tenants.models import Tenant, User

#: The kind of turn that a fax entity takes on the line; those of documents and of previews are named as their lanes.
LINE = "line"
#: Since when a lease is over that is given back: anybody may have the document at once.
JUST_OVER = timedelta(seconds=1)


def of_company(kind: str) -> sa.ScalarSelect[datetime]:
    """When a company of the surrounding question had its last turn; NULL for one that never had any."""
    last = sa.select(sa.func.max(LastTurn.at)).where(LastTurn.kind == kind, LastTurn.tenant_id == Tenant.id)
    return last.correlate(Tenant).scalar_subquery()


def of_owner(kind: str, owner: InstrumentedAttribute[int]) -> sa.ScalarSelect[datetime]:
    """The same of a person or a fax entity."""
    last = sa.select(LastTurn.at).where(LastTurn.kind == kind, LastTurn.owner_id == owner)
    return last.correlate(owner.class_).scalar_subquery()


@dataclass(frozen=True)
class Turn:
    """What is next, and whose it is."""

    id: str
    tenant_id: int
    user_id: int | None


class Turns:
    """Whose turn it is among those that wait. The questions are made once: to make them takes longer than to ask them.

    ``waiting`` is about a row of ``what``. What it leaves open as a parameter, whoever asks says.
    """

    def __init__(
        self,
        kind: str,
        what: InstrumentedAttribute[str],
        *,
        tenant: InstrumentedAttribute[int],
        user: InstrumentedAttribute[int | None],
        waiting: sa.ColumnElement[bool],
    ) -> None:
        self._anybody = sa.select(what).where(waiting).limit(1)
        company, person = sa.bindparam("company", type_=sa.BigInteger), sa.bindparam("person", type_=sa.BigInteger)
        of_its_company = sa.exists().where(tenant == Tenant.id, waiting)
        companies = sa.select(Tenant.id).where(of_its_company)
        self._company = companies.order_by(of_company(kind).nulls_first(), Tenant.id).limit(1)
        of_its_user = sa.exists().where(tenant == company, user == User.id, waiting)
        theirs_or_ours = sa.or_(User.tenant_id == company, User.tenant_id.is_(None))  # an operator who tests a trunk
        people = sa.select(User.id).where(theirs_or_ours, of_its_user)
        self._person = people.order_by(of_owner(kind, User.id).nulls_first(), User.id).limit(1)
        theirs = sa.select(what).where(tenant == company, waiting).order_by(what).limit(1)
        self._first, self._first_of_nobody = theirs.where(user == person), theirs.where(user.is_(None))

    def anybody(self, session: Session, *which: sa.ColumnElement[bool], **values: Any) -> bool:
        """Whether one waits, of those ``which``. ``values`` are those of the parameters in ``waiting``."""
        return session.scalar(self._anybody.where(*which) if which else self._anybody, values) is not None

    def next(self, session: Session, **values: Any) -> Turn | None:
        """The oldest, by its id, of the person and the company whose turn it is; ``values`` as above."""
        tenant_id = session.scalar(self._company, values)
        if tenant_id is None:
            return None
        values["company"] = tenant_id
        user_id = session.scalar(self._person, values)
        first = self._first_of_nobody if user_id is None else self._first
        found = session.scalar(first, values | {"person": user_id})
        return Turn(found, tenant_id, user_id) if found else None


def note_turns(session: Session, kind: str, owners: dict[int, int], at: datetime) -> None:
    """``owners``: person or fax entity → its company. The caller commits."""
    rows = [{"kind": kind, "owner_id": owner, "tenant_id": owners[owner], "at": at} for owner in sorted(owners)]
    if rows:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        insert = dialect.insert(LastTurn)
        session.execute(insert.on_conflict_do_update(index_elements=["kind", "owner_id"], set_={"at": at}), rows)
