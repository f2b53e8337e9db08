"""Where an incoming call belongs: by the called number, to one fax entity or to nobody."""

import re

import phonenumbers
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import FaxEntity
from tenants.models import Tenant

_INTERNAL = re.compile(r"([0-9]{1,10})\*([0-9]{1,16})")


def entity_for(session: Session, called: str) -> FaxEntity | None:
    """The entity with this public number, however the network writes it, or the one of ``<tenant>*<extension>``."""
    if internal := _INTERNAL.fullmatch(called):
        tenant_id, extension = int(internal[1]), internal[2]
        return session.scalar(
            sa.select(FaxEntity).where(FaxEntity.tenant_id == tenant_id, FaxEntity.extension == extension)
        )
    digits = called.removeprefix("+").removeprefix("00")
    whole = session.scalar(sa.select(FaxEntity).where(FaxEntity.number == f"+{digits}"))
    return whole or (None if called.startswith("+") else _by_national_form(session, called))


def _by_national_form(session: Session, called: str) -> FaxEntity | None:
    """Some providers leave the country code out. Read in the region of each tenant it must lead to one entity only:
    a fax that could be of two companies is of none."""
    regions = session.scalars(sa.select(Tenant.region).distinct()).all()
    numbers = {number for region in regions if (number := _read(called, region))}
    found = session.scalars(sa.select(FaxEntity).where(FaxEntity.number.in_(numbers))).all()
    return found[0] if len(found) == 1 else None


def _read(called: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(called, region)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
