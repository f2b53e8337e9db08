"""Where an incoming call belongs: by the called number, to one fax entity or to nobody."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import phonenumbers
import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app.dialled import Internal, read_internal
from app.models import FaxEntity, FormerNumber, PoolNumber
from app.rules.numbers.policy import Ceilings, policy_of
from app.rules.numbers.pool import trunk_region
from app.rules.numbers.voice import Telephone, voice_of, whose_line
from tenants.db import utc_now
from tenants.models import Tenant


def entity_for(session: Session, called: str) -> FaxEntity | None:
    """The entity with this public number, however the network writes it, or the one of ``<tenant>*<extension>``."""
    if line := read_internal(called):
        theirs = (FaxEntity.tenant_id == line.tenant_id, FaxEntity.extension == line.extension)
        return session.scalar(_open().where(*theirs))
    digits = _without_prefix(called)
    whole = session.scalar(_open().where(FaxEntity.number == f"+{digits}"))
    return whole or (None if called.startswith("+") else _by_national_form(session, called))


def entity_then(session: Session, called: str, at: float | None) -> FaxEntity | None:
    """:func:`entity_for` of a call that was taken without us at this Unix time: not an entity that has had the number
    only since then, if it was another company's before. Nobody's fax is for whoever is given the number next."""
    entity = entity_for(session, called)
    if entity is None or entity.number is None or entity.number_since is None or read_internal(called):
        return entity
    if at is not None and datetime.fromtimestamp(at, tz=UTC) >= entity.number_since:
        return entity
    others = sa.or_(FormerNumber.holder_id.is_(None), FormerNumber.holder_id != entity.tenant_id)
    known = sa.select(FormerNumber.id).where(FormerNumber.number == entity.number, others)
    return None if session.scalar(known.limit(1)) else entity


def _by_national_form(session: Session, called: str) -> FaxEntity | None:
    """Some providers leave the country code out. It must lead to one entity only: a fax that could be of two
    companies is of none."""
    found = _entities_meant(session, called)
    return found[0] if len(found) == 1 else None


def _entities_meant(session: Session, called: str) -> Sequence[FaxEntity]:
    numbers = {number for region in regions_of(session) if (number := _read(called, region))}
    return session.scalars(_open().where(FaxEntity.number.in_(numbers))).all()


def regions_of(session: Session) -> Sequence[str]:
    """By whose rules the trunk may have written a number: its own country's, or each company's."""
    region = trunk_region(session)
    return [region] if region else session.scalars(sa.select(Tenant.region).distinct()).all()


def why_nobodys(session: Session, called: str) -> str:
    """Of a call that :func:`entity_for` gives to nobody: ``several`` companies may be meant, the number ``resting``, or
    there is ``nobody`` who has it."""
    if not called.startswith("+") and len(_entities_meant(session, called)) > 1:
        return "several"
    meant = {f"+{_without_prefix(called)}"} | {_read(called, region) for region in regions_of(session)}
    resting = sa.select(PoolNumber.id).where(PoolNumber.number.in_(meant - {None}), PoolNumber.tenant_id.is_(None))
    return "resting" if session.scalar(resting.where(PoolNumber.released_at.is_not(None)).limit(1)) else "nobody"


def _open() -> sa.Select[FaxEntity]:
    return sa.select(FaxEntity).where(FaxEntity.closed_at.is_(None))


def _without_prefix(called: str) -> str:
    return called.removeprefix("+").removeprefix("00")


def voice_by_dialled(session: Session) -> dict[str, Telephone | None]:
    """Every form in which the network may name a line, as digits without + and 00 → where its calls go that are no
    fax; None on a line that is not shared.

    The same rules as :func:`entity_for`, for an Asterisk that has to do without it.
    """
    voices: dict[str, Telephone | None] = {}
    extensions: dict[str, Telephone | None] = {}
    policy, ceilings = policy_of(session), Ceilings(session, utc_now())
    for entity in session.scalars(_open().options(joinedload(FaxEntity.tenant))):
        voice = None
        if entity.shared_with_voice:
            number = voice_of(session, entity, policy=policy, ceilings=ceilings)
            voice = Telephone(number, whose_line(entity))
        extensions[str(Internal(entity.tenant_id, entity.extension))] = voice
        if entity.number:
            voices[entity.number] = voice
    regions = regions_of(session)
    whole = {number.removeprefix("+"): voice for number, voice in voices.items()}
    return _by_national_digits(voices, regions) | whole | extensions


def _by_national_digits(voices: dict[str, Telephone | None], regions: Sequence[str]) -> dict[str, Telephone | None]:
    """Those forms that lead to one number only, as in :func:`_by_national_form`."""
    found = {}
    for form in {form for number in voices for region in regions if (form := _national_digits(number, region))}:
        meant = voices.keys() & {_read(form, region) for region in regions}
        if len(meant) == 1:
            found[form] = voices[meant.pop()]
    return found


@lru_cache(maxsize=100_000)
def _national_digits(number: str, region: str) -> str | None:
    """How the number is dialled within the region; None for one of another country."""
    parsed = phonenumbers.parse(number)
    if parsed.country_code != phonenumbers.country_code_for_region(region):
        return None
    return re.sub(r"\D", "", phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL))


@lru_cache(maxsize=100_000)
def _read(called: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(called, region)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
