"""Which trunks faxes go over. Our own loop counts only if there is no other trunk: it
answers any number that is not ours as unallocated, as a carrier does."""

from collections.abc import Sequence

from flask import current_app
from sqlalchemy.orm import Session

from app.models import Trunk
from app.rules.ground.trunks import enabled
from app.rules.sending.trunks.fields import leads_to_us


def is_loop(trunk: Trunk) -> bool:
    return leads_to_us(trunk.host, trunk.port, trunk.transport, sip_port=current_app.config["SETTINGS"].sip_port)


def in_use(session: Session) -> Sequence[Trunk]:
    return without_loop(enabled(session))


def without_loop(trunks: Sequence[Trunk]) -> Sequence[Trunk]:
    """The same trunks if there is nothing but the loop."""
    return [trunk for trunk in trunks if not is_loop(trunk)] or trunks
