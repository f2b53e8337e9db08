"""Which trunks there are, in the order of their use."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Trunk


def trunks(session: Session) -> Sequence[Trunk]:
    return session.scalars(sa.select(Trunk).order_by(Trunk.position, Trunk.id)).all()


def enabled(session: Session) -> Sequence[Trunk]:
    """Those that are switched on. A test call may go over any of them."""
    return [trunk for trunk in trunks(session) if trunk.enabled]


def lock_trunks(session: Session) -> None:
    """Nobody else changes one, or has a fax line prefer it, until the commit. On SQLite the one write lock does it."""
    session.execute(sa.select(Trunk.id).order_by(Trunk.id).with_for_update(key_share=True))


def trunk_by_name(session: Session, name: str) -> Trunk | None:
    return session.scalar(sa.select(Trunk).where(Trunk.name == name))
