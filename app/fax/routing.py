"""Where an incoming call belongs: by the called number, to one fax entity or to nobody."""

import re

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import FaxEntity

_INTERNAL = re.compile(r"([0-9]{1,10})\*([0-9]{1,16})")


def entity_for(session: Session, called: str) -> FaxEntity | None:
    """The entity with this public number, however the network writes it, or the one of ``<tenant>*<extension>``."""
    if internal := _INTERNAL.fullmatch(called):
        tenant_id, extension = int(internal[1]), internal[2]
        return session.scalar(
            sa.select(FaxEntity).where(FaxEntity.tenant_id == tenant_id, FaxEntity.extension == extension)
        )
    digits = called.removeprefix("+").removeprefix("00")
    return session.scalar(sa.select(FaxEntity).where(FaxEntity.number == f"+{digits}"))
