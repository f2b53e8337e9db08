"""The operator's dialing policy: what nobody on this installation dials, whatever a company's own rules say.

One judgement for every way to a dialled number: :func:`judge_dialled` for what Asterisk is about to dial (faxes,
resends, forwards, mails, extensions that lead to a number, self-tests), :func:`judge_voice` for what a company has
typed as the destination of its voice calls. It is asked when the wish is made, and again immediately before dialing.
Then there is a ceiling of calls and minutes a day for a company: beyond it nothing is dialled before the next day.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache

import phonenumbers
import sqlalchemy as sa
from phonenumbers import PhoneNumberFormat, PhoneNumberType, ShortNumberCost, shortnumberinfo
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Attempt, CallEnd, DialingPolicy, Direction, Fax, Status, VoiceCall
from app.models.operator.policy import VOICE_MINUTES, VOICE_PER_COMPANY, VOICE_PER_LINE
from app.rules.ground.days import day_bounds, day_of
from tenants.models import Tenant

#: Networks of satellites, and international ones that are mostly such: Inmarsat, GMSS, shared codes (ITU-T E.164.D).
SATELLITE = frozenset({870, 881, 882, 883})
#: Emergency numbers that networks know in every country (3GPP TS 22.101, 10.1.1).
EVERYWHERE = frozenset({"000", "110", "112", "118", "119", "911", "999"})
#: What an operator may set for calls to telephones, from 1 on.
MOST_VOICE = {"voice_per_line": 999, "voice_per_company": 9_999, "voice_minutes": 1_440}
#: Why a fax waits for the next day: its company's ceiling.
CEILING = "ceiling"
#: With what nobody sees, as address books and chats put it around a number that is copied. Marks that turn the order of
#: what is seen around (U+200F, U+202B, U+202E, U+2067) are not among it: the figures would be others than those shown.
_UNSEEN = r"\u00ad\u200b-\u200e\u202a\u202c\u202d\u2060\u2066\u2068\u2069\ufeff"
_PUNCTUATION = re.compile(rf"[\s().\-\u2010-\u2015/{_UNSEEN}]+")


@dataclass(frozen=True)
class Policy:
    """``countries`` are ISO 3166 codes, none for all of them. The rest is as in :class:`app.models.DialingPolicy`."""

    countries: tuple[str, ...] = ()
    premium_allowed: bool = False
    satellite_allowed: bool = False
    redirects_followed: bool = False
    voice_per_line: int = VOICE_PER_LINE
    voice_per_company: int = VOICE_PER_COMPANY
    voice_minutes: int = VOICE_MINUTES


def policy_of(session: Session, *, to_change: bool = False) -> Policy:
    """What holds now; nobody else changes it until the commit of whoever is going ``to_change`` it."""
    row = session.get(DialingPolicy, 1, populate_existing=True, with_for_update=True if to_change else None)
    if row is None:
        return Policy()
    others = {field.name: getattr(row, field.name) for field in fields(Policy) if field.name != "countries"}
    return Policy(tuple(row.countries or ()), **others)


def set_policy(session: Session, policy: Policy) -> None:
    """It holds from the next call on. The caller commits."""
    row = session.get(DialingPolicy, 1) or DialingPolicy(id=1)
    for field in fields(policy):
        setattr(row, field.name, getattr(policy, field.name))
    row.countries = list(policy.countries)
    session.add(row)


# ---- Numbers


def judge_dialled(policy: Policy, dialled: str) -> Refused | None:
    """Why nobody may dial this; None if they may. ``dialled`` is a fax's ``dial_string``: E.164 with +, or what only
    the own loop carries, which reaches no network."""
    if not dialled.startswith("+"):
        return None
    number = parsed(dialled)
    if number is None:
        return Refused("number_invalid", field="to")
    if is_emergency(dialled):
        return Refused("number_emergency", field="to")
    if number.country_code in SATELLITE and not policy.satellite_allowed:
        return Refused("policy_satellite", field="to")
    if not policy.premium_allowed and is_premium(dialled):
        return Refused("policy_premium", field="to")
    if policy.countries and not _is_allowed_country(policy, number):
        return Refused("policy_country", field="to", country=country_of(number))
    return None


def _is_allowed_country(policy: Policy, number: phonenumbers.PhoneNumber) -> bool:
    """Free numbers of no country (+800) are allowed, and satellites are judged by their own rule. Of a number that no
    plan knows all countries count that share its code (+1, +7, +44)."""
    if number.country_code in SATELLITE or number.country_code == 800:
        return True
    region = phonenumbers.region_code_for_number(number)
    if region:
        return region in policy.countries
    return set(phonenumbers.region_codes_for_country_code(number.country_code or 0)) <= set(policy.countries)


def country_of(number: phonenumbers.PhoneNumber) -> str:
    """As people write it: IT, or the code of those that belong to no country."""
    region = phonenumbers.region_code_for_number(number)
    return region if region and region != "001" else f"+{number.country_code}"


@lru_cache(maxsize=100_000)
def is_emergency(number: str) -> bool:
    """An emergency number of the country that the number (E.164 with +) belongs to."""
    found = parsed(number)
    if found is None:
        return False
    national = phonenumbers.national_significant_number(found)
    regions = phonenumbers.region_codes_for_country_code(found.country_code or 0)
    return national in EVERYWHERE or any(shortnumberinfo.is_emergency_number(national, region) for region in regions)


@lru_cache(maxsize=100_000)
def is_premium(number: str) -> bool:
    """A number whose calls cost the caller a fee (899 in Italy, 0900 in Germany, 976 in New York, +979 anywhere)."""
    found = parsed(number)
    return found is not None and phonenumbers.number_type(found) == PhoneNumberType.PREMIUM_RATE


def parsed(number: str) -> phonenumbers.PhoneNumber | None:
    """Of E.164 with +; None of anything else."""
    if not number.startswith("+"):
        return None
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None


# ---- As it is typed, or dialled behind a telephone system


def bare(typed: str) -> str:
    return _PUNCTUATION.sub("", typed)


def reaches_emergency(typed: str, tenant: Tenant) -> bool:
    """Whether a network, or a telephone system before it, would read an emergency number in this: 112, +112, 0049112,
    0039 112, 0112 with the digit for an outside line in front."""
    region = tenant.region
    return any(
        spelled in EVERYWHERE or shortnumberinfo.is_emergency_number(spelled, region)
        for spelled in _spellings(bare(typed), region, tenant.outside_prefix)
    ) or any(is_emergency(whole) for whole in _with_plus(bare(typed), tenant))


def _spellings(digits: str, region: str, outside_prefix: str) -> set[str]:
    """What is left when any of the prefixes that people put before a number is taken off, again and again. A country
    code is one only behind + or 00."""
    abroad = ("+", "00", *_INTERNATIONAL.get(region, ()))
    prefixes = {*abroad, "0", outside_prefix, phonenumbers.ndd_prefix_for_region(region, True) or ""} - {""}
    prefixes |= {f"{before}{phonenumbers.country_code_for_region(region)}" for before in abroad}
    found, new = set(), {digits}
    while new:
        found |= new
        new = {text.removeprefix(prefix) for text in new for prefix in prefixes} - found
    return found - {""}


#: How numbers abroad begin where it is not 00 (ITU-T, list of dialling procedures).
_INTERNATIONAL = {
    "US": ("011",), "CA": ("011",), "AU": ("0011",), "JP": ("010",), "RU": ("810",), "KR": ("001", "002"),
    "HK": ("001",), "SG": ("001",), "BR": ("0015", "0021"), "IL": ("012", "013"),
}  # fmt: skip


def _with_plus(digits: str, tenant: Tenant) -> Iterator[str]:
    """The whole numbers that it names by itself, in its forms with + or 00, behind an outside line or not."""
    outside = tenant.outside_prefix
    for text in {digits, digits.removeprefix(outside) if outside else digits}:
        if text.startswith("+"):
            yield text
        for prefix in ("00", *_INTERNATIONAL.get(tenant.region, ())):
            if text.startswith(prefix) and len(text) > len(prefix):
                yield f"+{text.removeprefix(prefix)}"


def judge_voice(policy: Policy, voice: str, tenant: Tenant) -> Refused | None:
    """Why calls of a shared line may not go on to this; None if they may. What a telephone system makes of the digits
    is not known here, so each number that may be meant is judged. Few digits are an extension there."""
    digits, outside = bare(voice), tenant.outside_prefix
    if reaches_emergency(digits, tenant):
        return Refused("voice_emergency", field="voice_destination", number=voice)
    if not policy.premium_allowed and outside and digits.startswith(outside):
        short = digits.removeprefix(outside)
        if short and _is_premium_short(short, tenant.region):
            return Refused("policy_premium", field="voice_destination")
    whole = set(_with_plus(digits, tenant))
    for number in sorted(whole):
        found = parsed(number)
        if found is None or not phonenumbers.is_valid_number(found):
            return Refused("voice_invalid", field="voice_destination", number=voice)
    for number in sorted(whole | _meant(digits, tenant)):
        if fault := judge_dialled(policy, number):
            return Refused(fault.code, field="voice_destination", **fault.values)
    return None


def voice_goes_out(voice: str, tenant: Tenant) -> bool:
    """Whether it may be a number outside of the house, which costs; else it is an extension of the telephone system."""
    digits = bare(voice)
    return bool(set(_with_plus(digits, tenant)) | _meant(digits, tenant))


def _is_premium_short(short: str, region: str) -> bool:
    if short.startswith("0"):
        return False
    number = phonenumbers.PhoneNumber(
        country_code=phonenumbers.country_code_for_region(region), national_number=int(short)
    )
    return shortnumberinfo.expected_cost_for_region(number, region) == ShortNumberCost.PREMIUM_RATE


def _meant(digits: str, tenant: Tenant) -> set[str]:
    """Valid numbers that digits without + may name: in the company's country, behind its outside line, or with a
    country code and nothing in front of it."""
    if digits.startswith("+"):
        return set()
    outside = tenant.outside_prefix
    readings = [(digits, tenant.region), (f"+{digits}", None)]
    readings += [(digits.removeprefix(outside), tenant.region)] if outside and digits != outside else []
    found = set()
    for text, region in readings:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            found.add(phonenumbers.format_number(number, PhoneNumberFormat.E164))
    return found


def hold_policy(session: Session, tenant: Tenant, dialled: str, *, send_at: datetime | None, now: datetime) -> None:
    """The policy at the door.

    Raises:
        Refused: ``number_emergency``, ``number_invalid``, ``policy_premium``, ``policy_satellite``, ``policy_country``,
            ``ceiling_today``.
    """
    if fault := judge_dialled(policy_of(session), dialled):
        raise fault
    goes_out = dialled.startswith("+")
    is_today = day_of(send_at or now, tenant.zone) <= day_of(now, tenant.zone)
    if goes_out and is_today and Ceilings(session, now).is_reached(tenant):
        raise Refused("ceiling_today")


# ---- The ceiling of a company's day


@dataclass(frozen=True)
class Use:
    """What a company has dialled today: calls out of the house, and seconds of those that were answered. Faxes, a call
    that went on over another trunk counted once, and calls of its shared lines that go on to a telephone."""

    calls: int
    seconds: float

    def reaches(self, tenant: Tenant) -> bool:
        calls, minutes = tenant.calls_a_day, tenant.minutes_a_day
        return bool((calls and self.calls >= calls) or (minutes and self.seconds >= minutes * 60))


def has_ceiling(tenant: Tenant) -> bool:
    return bool(tenant.calls_a_day or tenant.minutes_a_day)


def use_today(session: Session, tenant: Tenant, now: datetime) -> Use:
    """In the day of the company's zone. A call to a telephone that is not over counts from its beginning: when somebody
    took it is known at its end."""
    first, _end = day_bounds(day_of(now, tenant.zone), tenant.zone)
    mine = (Attempt.tenant_id == tenant.id, Attempt.created_at >= first)
    out = (Fax.direction == Direction.SENT, Fax.dial_string.startswith("+"))
    query = sa.select(Attempt.answered_at, Attempt.ended_at).join(Fax, Fax.id == Attempt.fax_id).where(*mine, *out)
    query = query.where(~Attempt.passed_on)
    faxes = session.execute(query).all()
    begun = sa.case((VoiceCall.ended_at.is_(None), VoiceCall.began_at), else_=VoiceCall.answered_at)
    today = (VoiceCall.tenant_id == tenant.id, VoiceCall.began_at >= first, VoiceCall.goes_out)
    put_through = VoiceCall.end.is_distinct_from(CallEnd.LIMIT)
    voice = session.execute(sa.select(begun, VoiceCall.ended_at).where(*today, put_through)).all()
    spoken = [((ended or now) - answered).total_seconds() for answered, ended in [*faxes, *voice] if answered]
    return Use(len(faxes) + len(voice), sum(max(0.0, seconds) for seconds in spoken))


class Ceilings:
    """Who has dialled enough today. To be asked under the limits' lock where calls are claimed."""

    def __init__(self, session: Session, now: datetime) -> None:
        self.session, self.now = session, now
        self.used: dict[int, Use] = {}

    def is_reached(self, tenant: Tenant) -> bool:
        if not has_ceiling(tenant):
            return False
        if tenant.id not in self.used:
            self.used[tenant.id] = use_today(self.session, tenant, self.now)
        return self.used[tenant.id].reaches(tenant)

    def take(self, tenant: Tenant) -> None:
        if used := self.used.get(tenant.id):
            self.used[tenant.id] = Use(used.calls + 1, used.seconds)

    def next_day(self, tenant: Tenant) -> datetime:
        return day_bounds(day_of(self.now, tenant.zone), tenant.zone)[1]


def release_ceiling(session: Session, tenant: Tenant, now: datetime) -> None:
    """The ceiling was changed: what waits for the next day because of it is judged anew. The caller commits."""
    waits = (Fax.tenant_id == tenant.id, Fax.cause == CEILING, Fax.due_at > now)
    statuses = Fax.status.in_((Status.READY, Status.SCHEDULED, Status.RETRYING))
    session.execute(
        sa.update(Fax).where(*waits, statuses).values(due_at=now, cause=None),
        execution_options={"synchronize_session": False},
    )
