"""Who may send from an entity, and who may see a fax."""

import re
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app.models import Direction, Fax, FaxEntity, Grant
from app.rules.ground.sql import Sql, all_of, any_of, one_of, sql
from tenants.models import User
from tenants.scope import owned_by


def sendable_entities(session: Session, user: User) -> list[FaxEntity]:
    """The origin lines of the user's send form, by name, with the rules of each."""
    if user.tenant_id is None:
        return []
    query = owned_by(FaxEntity, user.tenant_id).where(FaxEntity.closed_at.is_(None))
    query = query.where(FaxEntity.id.in_(lines_open_to(user, Direction.SENT)))
    return list(session.scalars(query.options(joinedload(FaxEntity.template)).order_by(FaxEntity.name)))


@dataclass(frozen=True)
class Rights:
    """Which pages are there for a user: ``sends`` from some open line, ``receives`` at some and has an inbox, has a fax
    module (``sees_faxes``). Administrators see to the faxes of all."""

    sends: bool = False
    receives: bool = False
    sees_faxes: bool = False


def rights_of(session: Session, user: User) -> Rights:
    if user.tenant_id is None:
        return Rights()
    granted = owned_by(Grant, user.tenant_id).join(FaxEntity).where(Grant.user_id == user.id)
    asked = granted.with_only_columns(Grant.may_send, Grant.may_receive, FaxEntity.closed_at.is_(None)).distinct()
    kinds = session.execute(asked).all()
    return Rights(
        sends=any(sends and is_open for sends, _receives, is_open in kinds),
        receives=user.is_admin or any(receives for _sends, receives, _is_open in kinds),
        sees_faxes=user.is_admin or any(sends or receives for sends, receives, _is_open in kinds),
    )


def visible_faxes(user: User) -> sa.Select[Fax]:
    """The faxes that the user may see, unordered.

    An administrator sees all of the tenant; others what they sent themselves, what was sent from an entity that they
    may send from, and what was received at an entity that they may receive at.
    """
    if user.tenant_id is None:
        return sa.select(Fax).where(sa.false())
    query = owned_by(Fax, user.tenant_id)
    if user.is_admin:
        return query
    allowed = [
        sa.and_(Fax.direction == direction, Fax.entity_id.in_(lines_open_to(user, direction)))
        for direction in (Direction.SENT, Direction.RECEIVED)
    ]
    return query.where(sa.or_(Fax.user_id == user.id, *allowed))


def may(direction: str) -> sa.SQLColumnExpression[bool]:
    """Of a permission: whether it is one to send, or to receive."""
    return Grant.may_send if direction == Direction.SENT else Grant.may_receive


def lines_open_to(user: User, direction: str) -> sa.Select[int]:
    """Ids of the lines at which the user may send, or may receive."""
    return sa.select(Grant.entity_id).where(Grant.tenant_id == user.tenant_id, Grant.user_id == user.id, may(direction))


def people_who_may(direction: str, entity_id: Any) -> sa.Select[int]:
    """Ids of the users who may send from a line, or receive at it; ``entity_id`` may be a column of a query around."""
    return sa.select(Grant.user_id).where(Grant.entity_id == entity_id, may(direction))


_FAX_ID = re.compile(r"[0-9A-Z]{26}")
#: From so many lines on a user sees most of the company: one condition over all is cheaper than as many questions.
MOST_PARTS = 24


@dataclass(frozen=True)
class VisibleLine:
    """A line of which the user sees all faxes of one direction (``whole``) or only those that they sent themselves."""

    entity: FaxEntity
    whole: bool


def visible_lines(session: Session, user: User, direction: str) -> list[VisibleLine]:
    """The lines of which :func:`visible_faxes` has faxes of this direction, by name."""
    if user.tenant_id is None:
        return []
    granted = FaxEntity.id.in_(lines_open_to(user, direction))
    own = sa.exists().where(Fax.user_id == user.id, Fax.entity_id == FaxEntity.id, Fax.direction == direction)
    whole = sa.true() if user.is_admin else granted
    lines = owned_by(FaxEntity, user.tenant_id).where(sa.or_(whole, own)).add_columns(whole.label("whole"))
    return [
        VisibleLine(entity, bool(all_of_it)) for entity, all_of_it in session.execute(lines.order_by(FaxEntity.name))
    ]


@dataclass(frozen=True)
class Parts:
    """Conditions on the columns of ``fax``: of disjoint sets of faxes, each of which an index holds by time and id, and
    of all of them together. For whoever sees a few of a million, the latter would read the million to find the newest.
    ``lines`` are the entities that they are of, none if of all.
    """

    direction: str
    each: list[Sql]
    together: Sql
    lines: tuple[int, ...] = ()


def visible_parts(user: User, direction: str, lines: list[VisibleLine], *, entity_id: int | None = None) -> Parts:
    """The faxes of :func:`visible_faxes` in one direction, and of one entity if it is given."""
    tenant = sql("fax.tenant_id = {} AND fax.direction = {}", user.tenant_id, direction)
    line, sender = "fax.entity_id = {}", sql("fax.user_id = {}", user.id)
    if user.is_admin:
        all_of_them = all_of([tenant, sql(line, entity_id)]) if entity_id else tenant
        return Parts(direction, [all_of_them], all_of_them, (entity_id,) if entity_id else ())
    meant = [one for one in lines if entity_id in (None, one.entity.id)]
    whole, own = ([one.entity.id for one in meant if one.whole == w] for w in (True, False))
    of_own = all_of([one_of("fax.entity_id", own), sender])
    together = all_of([tenant, any_of([one_of("fax.entity_id", whole), of_own])])
    ids = tuple(one.entity.id for one in meant)
    if len(meant) > MOST_PARTS:
        return Parts(direction, [together], together, ids)
    each = [all_of([tenant, sql(line, one.entity.id), *([] if one.whole else [sender])]) for one in meant]
    return Parts(direction, each, together, ids)


def receivers(session: Session, fax: Fax) -> list[User]:
    """Who is told of a received fax: the active users of its entity with the permission to receive."""
    users = sa.select(User).where(
        User.tenant_id == fax.tenant_id,
        User.id.in_(people_who_may(Direction.RECEIVED, fax.entity_id)),
        User.disabled_at.is_(None),
    )
    return list(session.scalars(users.order_by(User.id)))


def is_fax_id(text: str) -> bool:
    """A database refuses some texts instead of finding nothing (NUL, on PostgreSQL)."""
    return _FAX_ID.fullmatch(text) is not None


def get_visible_fax(session: Session, user: User, fax_id: str) -> Fax | None:
    """The fax if the user may see it; a foreign one and a missing one are both None."""
    if not is_fax_id(fax_id):
        return None
    return session.scalar(visible_faxes(user).where(Fax.id == fax_id))
