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
