"""Where an incoming call belongs: by the called number, to one fax entity or to nobody."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import phonenumbers
import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app.dialled import Internal, read_internal
from app.models import FaxEntity, FormerNumber, PoolNumber
from app.rules.numbers.called import is_from_outside, shown_called, trunk_in, written_numbers
from app.rules.numbers.habits import Habits, all_habits, habits_for
from app.rules.numbers.policy import Ceilings, policy_of
from app.rules.numbers.voice import Telephone, voice_of, whose_line
from tenants.db import utc_now


@dataclass(frozen=True)
class Found:
    """Whose a call is: one ``entity``, or nobody's, and then why: ``several`` may be meant, the number ``resting``,
    ``nobody`` has it, or the call is for ``no_number``. ``called`` is the number as the network wrote it, ``number``
    the one that it must mean, as E.164; ``trunk`` names the trunk that it came over, where that was told."""

    called: str
    entity: FaxEntity | None = None
    reason: str | None = None
    number: str | None = None
    trunk: str = ""


def find_line(session: Session, called: str) -> Found:
    """The line of a called number, however the network writes it, or of ``<tenant>*<extension>`` on the own loop.

    Of all that a call from outside says (:mod:`app.rules.numbers.called`) the first public number decides, whether
    anybody has it or not: what else stands in its headers may be somebody's who is not called.
    """
    if not is_from_outside(called) and (line := read_internal(called)):
        theirs = (FaxEntity.tenant_id == line.tenant_id, FaxEntity.extension == line.extension)
        entity = session.scalar(_open().where(*theirs))
        return Found(called, entity, None if entity else "nobody")
    trunk = habits_for(session, called)
    for written in written_numbers(called, trunk.order):
        readings = _readings(written, trunk)
        lines = _lines_meant(session, written, readings, trunk)
        if len(lines) == 1:
            return Found(written, lines[0])
        if len(lines) > 1:
            return Found(written, reason="several", trunk=trunk_in(called))
        if valid := sorted(filter(_is_valid, readings)):
            number = valid[0] if len(valid) == 1 else None
            reason = _why_nobodys(session, readings)
            return Found(written, reason=reason, number=number, trunk=trunk_in(called))
    is_number = next(written_numbers(called, trunk.order), None)
    return Found(shown_called(called), reason="nobody" if is_number else "no_number", trunk=trunk_in(called))


def entity_for(session: Session, called: str) -> FaxEntity | None:
    """That of :func:`find_line`."""
    return find_line(session, called).entity


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


def _readings(written: str, trunk: Habits) -> set[str]:
    """The numbers, E.164 with +, that may be meant."""
    digits = written.removeprefix("+").removeprefix("00")
    found = {f"+{digits}"} | {_read(written, region) for region in trunk.regions}
    if trunk.area and not written.startswith(("+", "0")):
        found |= {_read(trunk.area + written, region) for region in trunk.regions}
    return {number for number in found if number}


def _lines_meant(session: Session, written: str, readings: set[str], trunk: Habits) -> Sequence[FaxEntity]:
    """More than one where nobody can say which: a fax that could be of two companies is of none."""
    meant: sa.ColumnElement[bool] = FaxEntity.number.in_(readings)
    if trunk.company_id is not None:
        inside = (FaxEntity.tenant_id == trunk.company_id, FaxEntity.extension == written)
        meant = sa.or_(meant, sa.and_(*inside))
    return session.scalars(_open().where(meant)).all()


def _why_nobodys(session: Session, readings: set[str]) -> str:
    resting = sa.select(PoolNumber.id).where(PoolNumber.number.in_(readings), PoolNumber.tenant_id.is_(None))
    return "resting" if session.scalar(resting.where(PoolNumber.released_at.is_not(None)).limit(1)) else "nobody"


def _open() -> sa.Select[FaxEntity]:
    return sa.select(FaxEntity).where(FaxEntity.closed_at.is_(None))


def voice_by_dialled(session: Session) -> dict[str, Telephone | None]:
    """Every form of :func:`line_by_dialled` → where its calls go that are no fax; None on a line that is not shared."""
    policy, ceilings = policy_of(session), Ceilings(session, utc_now())
    lines = line_by_dialled(session)
    voices = {
        entity.id: Telephone(
            voice_of(session, entity, policy=policy, ceilings=ceilings), whose_line(entity), entity.fax_after
        )
        for entity in lines.values()
        if entity.shared_with_voice
    }
    return {form: voices.get(entity.id) for form, entity in lines.items()}


def line_by_dialled(session: Session) -> dict[str, FaxEntity]:
    """Every form in which the network may name a line, as digits without + and 00, with the line, its company and
    template.

    The same rules as :func:`find_line`, for an Asterisk that has to do without it. A form that leads elsewhere by the
    habits of another trunk is left out.
    """
    whole = (joinedload(FaxEntity.tenant), joinedload(FaxEntity.template))
    lines = session.scalars(_open().options(*whole)).all()
    found: dict[str, FaxEntity] = {}
    doubtful = set()
    for trunk in all_habits(session):
        told = _by_dialled(lines, trunk)
        doubtful |= {form for form in told.keys() & found.keys() if told[form] is not found[form]}
        found |= told
    extensions = {str(Internal(line.tenant_id, line.extension)): line for line in lines}
    return {form: line for form, line in found.items() if form not in doubtful} | extensions


def _by_dialled(lines: Sequence[FaxEntity], trunk: Habits) -> dict[str, FaxEntity]:
    """Of one trunk, without what it may mean two lines by."""
    numbers = {line.number: line for line in lines if line.number}
    inside = {line.extension: line for line in lines if line.tenant_id == trunk.company_id}
    found = {}
    for form in {form for number in numbers for form in _forms(number, trunk)} | inside.keys():
        meant = [numbers[number] for number in numbers.keys() & _readings(form, trunk)]
        meant += [inside[form]] if form in inside else []
        if len(meant) == 1:
            found[form] = meant[0]
    return found


def _forms(number: str, trunk: Habits) -> set[str]:
    """As digits, without + and 00."""
    national = {form for region in trunk.regions if (form := _national_digits(number, region))}
    local = {form.removeprefix(trunk.area) for form in national if trunk.area and form.startswith(trunk.area)}
    local.discard("")  # a number that is an area's as a whole is never left out
    return {number.removeprefix("+")} | national | local


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


@lru_cache(maxsize=100_000)
def _is_valid(number: str) -> bool:
    """Whether it can be anybody's, of numbers in E.164."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False
