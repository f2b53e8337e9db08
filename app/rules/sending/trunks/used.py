"""The trunks that faxes go over. Our own loop is one only where there is no other: a number that is not ours it
calls unallocated, as a carrier does one that nobody has."""

from collections.abc import Sequence

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from app.models import Trunk
from app.rules.sending.trunks.fields import leads_to_us


def is_loop(trunk: Trunk) -> bool:
    return leads_to_us(trunk.host, trunk.port, trunk.transport, sip_port=current_app.config["SETTINGS"].sip_port)


def in_use(session: Session) -> Sequence[Trunk]:
    """In the order of their use."""
    return without_loop(enabled(session))


def enabled(session: Session) -> Sequence[Trunk]:
    """Those that a test call may go over."""
    return session.scalars(sa.select(Trunk).where(Trunk.enabled).order_by(Trunk.position, Trunk.id)).all()


def without_loop(trunks: Sequence[Trunk]) -> Sequence[Trunk]:
    """As they are where there is nothing but the loop."""
    return [trunk for trunk in trunks if not is_loop(trunk)] or trunks
