"""Who may send from an entity, and who may see a fax."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Direction, Fax, FaxEntity, Grant
from tenants.models import User
from tenants.scope import owned_by


def sendable_entities(session: Session, user: User) -> list[FaxEntity]:
    """The origin lines of the user's send form, by name."""
    if user.tenant_id is None:
        return []
    query = owned_by(FaxEntity, user.tenant_id).join(Grant).where(Grant.user_id == user.id, Grant.may_send)
    return list(session.scalars(query.order_by(FaxEntity.name)))


def may_send(session: Session, user: User) -> bool:
    return bool(sendable_entities(session, user))


def uses_fax_module(session: Session, user: User) -> bool:
    """Everyone with a permission for some entity has a fax module; the tenant's administrator has it always."""
    if user.tenant_id is None:
        return False
    grants = owned_by(Grant, user.tenant_id).where(Grant.user_id == user.id, sa.or_(Grant.may_send, Grant.may_receive))
    return user.is_admin or session.scalar(grants.limit(1)) is not None


def visible_faxes(user: User) -> sa.Select[tuple[Fax]]:
    """The faxes that the user may see, unordered.

    An administrator sees all of the tenant; others what they sent themselves, what was sent from an entity that they
    may send from, and what was received at an entity that they may receive at.
    """
    if user.tenant_id is None:
        return sa.select(Fax).where(sa.false())
    query = owned_by(Fax, user.tenant_id)
    if user.is_admin:
        return query
    granted = sa.select(Grant.entity_id).where(Grant.user_id == user.id)
    return query.where(
        sa.or_(
            Fax.user_id == user.id,
            sa.and_(Fax.direction == Direction.SENT, Fax.entity_id.in_(granted.where(Grant.may_send))),
            sa.and_(Fax.direction == Direction.RECEIVED, Fax.entity_id.in_(granted.where(Grant.may_receive))),
        )
    )


#: Conditions that hold for a set of faxes; an index begins with their columns and goes on with time and id.
Part = tuple[sa.ColumnElement[bool], ...]
#: From so many lines on a user sees most of the company: one condition over all is cheaper than as many questions.
MOST_PARTS = 60


def visible_parts(session: Session, user: User, direction: str, *, entity_id: int | None = None) -> list[Part]:
    """The faxes of :func:`visible_faxes` in one direction, and of one entity if it is given, in disjoint parts.

    For whoever sees a few of a million, one condition over all of these would read the million to find the newest.
    """
    if user.tenant_id is None:
        return []
    tenant = (Fax.tenant_id == user.tenant_id, Fax.direction == direction)
    chosen = (Fax.entity_id == entity_id,) if entity_id else ()
    if user.is_admin:
        return [(*tenant, *chosen)]
    granted = _granted_entities(session, user, direction)
    if len(granted) > MOST_PARTS:
        return [(*tenant, *chosen, sa.or_(Fax.user_id == user.id, Fax.entity_id.in_(granted)))]
    parts = [(*tenant, Fax.entity_id == entity) for entity in granted if entity_id in (None, entity)]
    others = _other_entities(session, user, direction, granted)
    own = [entity for entity in others if entity_id in (None, entity)]
    return parts + [(*tenant, Fax.user_id == user.id, Fax.entity_id == entity) for entity in own]


def visible_entities(session: Session, user: User, direction: str) -> list[FaxEntity]:
    """The lines whose faxes of this direction the user may find in the list, by name."""
    if user.tenant_id is None:
        return []
    query = owned_by(FaxEntity, user.tenant_id).order_by(FaxEntity.name)
    if not user.is_admin:
        granted = _granted_entities(session, user, direction)
        query = query.where(FaxEntity.id.in_([*granted, *_other_entities(session, user, direction, granted)]))
    return list(session.scalars(query))


def _granted_entities(session: Session, user: User, direction: str) -> list[int]:
    may = Grant.may_send if direction == Direction.SENT else Grant.may_receive
    granted = owned_by(Grant, user.tenant_id).where(Grant.user_id == user.id, may)
    return list(session.scalars(granted.with_only_columns(Grant.entity_id)))


def _other_entities(session: Session, user: User, direction: str, granted: list[int]) -> list[int]:
    """Where the user has sent something and no longer may."""
    own = sa.exists().where(Fax.user_id == user.id, Fax.entity_id == FaxEntity.id, Fax.direction == direction)
    query = owned_by(FaxEntity, user.tenant_id).where(FaxEntity.id.not_in(granted), own)
    return list(session.scalars(query.with_only_columns(FaxEntity.id)))


def receivers(session: Session, fax: Fax) -> list[User]:
    """Who is told of a received fax: the active users of its entity with the permission to receive."""
    allowed = owned_by(Grant, fax.tenant_id).where(Grant.entity_id == fax.entity_id, Grant.may_receive)
    users = sa.select(User).where(
        User.tenant_id == fax.tenant_id,
        User.id.in_(allowed.with_only_columns(Grant.user_id)),
        User.disabled_at.is_(None),
    )
    return list(session.scalars(users.order_by(User.id)))


def get_visible_fax(session: Session, user: User, fax_id: str) -> Fax | None:
    """The fax if the user may see it; a foreign one and a missing one are both None."""
    return session.scalar(visible_faxes(user).where(Fax.id == fax_id))
