"""Where an incoming call belongs: by the called number, to one fax entity or to nobody."""

import re
from collections import defaultdict
from functools import lru_cache

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
    digits = _without_prefix(called)
    whole = session.scalar(sa.select(FaxEntity).where(FaxEntity.number == f"+{digits}"))
    return whole or (None if called.startswith("+") else _by_national_form(session, called))


def _by_national_form(session: Session, called: str) -> FaxEntity | None:
    """Some providers leave the country code out. Read in the region of each tenant it must lead to one entity only:
    a fax that could be of two companies is of none."""
    regions = session.scalars(sa.select(Tenant.region).distinct()).all()
    numbers = {number for region in regions if (number := _read(called, region))}
    found = session.scalars(sa.select(FaxEntity).where(FaxEntity.number.in_(numbers))).all()
    return found[0] if len(found) == 1 else None


def _without_prefix(called: str) -> str:
    return called.removeprefix("+").removeprefix("00")


def voice_by_dialled(session: Session) -> dict[str, str | None]:
    """Every form in which the network may name a line, as digits without + and 00 → where its calls go that are no
    fax: the voice destination, "" on a shared line without one, None on a line that is not shared.

    The same rules as :func:`entity_for`, for an Asterisk that has to do without it.
    """
    columns = (FaxEntity.tenant_id, FaxEntity.extension, FaxEntity.number)
    lines = session.execute(sa.select(*columns, FaxEntity.shared_with_voice, FaxEntity.voice_destination)).all()
    regions = session.scalars(sa.select(Tenant.region).distinct()).all()
    found, national = {}, defaultdict(set)
    for tenant_id, extension, number, shared, destination in lines:
        voice = (destination or "") if shared else None
        found[f"{tenant_id}*{extension}"] = voice
        if number:
            found[number.removeprefix("+")] = voice
            for region in regions:
                national[_national_digits(number, region)].add((number, voice))
    unambiguous = {form: voice for form, ((_, voice), *others) in national.items() if form and not others}
    return unambiguous | found


@lru_cache(maxsize=100_000)
def _national_digits(number: str, region: str) -> str | None:
    """How the number is dialled within the region; None for one of another country."""
    parsed = phonenumbers.parse(number)
    if parsed.country_code != phonenumbers.country_code_for_region(region):
        return None
    return re.sub(r"\D", "", phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL))


def _read(called: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(called, region)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
