"""The list of a company's users: searched, filtered, with what each may do, in two queries however many they are."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.models import Grant
from tenants.addresses import fold
from tenants.models import EmailAddress, Role, User
from tenants.people import ACCOUNT_STATES, account_state

PAGE = 100


@dataclass(frozen=True)
class Person:
    """``sends`` and ``receives`` count fax entities."""

    id: int
    name: str
    email: str
    role: str
    state: str
    second_factor_at: datetime | None
    sends: int
    receives: int


@dataclass(frozen=True)
class People:
    rows: list[Person]
    total: int
    page: int
    pages: int


def list_people(
    session: Session, tenant_id: int, *, text: str = "", role: str = "", state: str = "", page: int = 1
) -> People:
    """By name, a hundred on a page; a page that is not there is the nearest one."""
    chosen = (
        sa.select(User.id).join(EmailAddress, User.address_id == EmailAddress.id).where(User.tenant_id == tenant_id)
    )
    if text:
        part = f"%{_escaped(fold(text))}%"
        name = sa.func.lower(User.name).like(part, escape="\\")
        chosen = chosen.where(sa.or_(name, sa.func.lower(EmailAddress.address).like(part, escape="\\")))
    if role in (Role.USER, Role.ADMIN):
        chosen = chosen.where(User.role == role)
    if state in ACCOUNT_STATES:
        chosen = chosen.where(account_state == state)
    total = session.scalar(sa.select(sa.func.count()).select_from(chosen.subquery())) or 0
    pages = max(1, -(-total // PAGE))
    page = min(max(1, page), pages)
    return People(_rows(session, tenant_id, chosen, page), total, page, pages)


def _rows(session: Session, tenant_id: int, chosen: sa.Select[int], page: int) -> list[Person]:
    def count(may: InstrumentedAttribute[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((may, 1), else_=0)), 0)

    granted = (
        sa.select(Grant.user_id, count(Grant.may_send).label("sends"), count(Grant.may_receive).label("receives"))
        .where(Grant.tenant_id == tenant_id)
        .group_by(Grant.user_id)
        .subquery()
    )
    sends, receives = sa.func.coalesce(granted.c.sends, 0), sa.func.coalesce(granted.c.receives, 0)
    query = (
        sa.select(
            User.id, User.name, EmailAddress.address, User.role, account_state, User.second_factor_at, sends, receives
        )
        .join(EmailAddress, User.address_id == EmailAddress.id)
        .outerjoin(granted, granted.c.user_id == User.id)
        .where(User.id.in_(chosen))
        .order_by(sa.func.lower(User.name), User.id)
        .limit(PAGE)
        .offset((page - 1) * PAGE)
    )
    return [Person(*row) for row in session.execute(query)]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
