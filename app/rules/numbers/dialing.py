"""The dialing rules of a template: which numbers its lines may dial, and how many faxes each of them sends in a day.

The judgments are pure. They are held when a fax is submitted and once more when it is claimed for dialing, because the
rules, or the day, may have changed since. A forbidden beginning wins over an allowed one; extensions of the own
numbering plan are judged by nothing but the cap, emergency numbers are never dialled whatever the template says. Before
all of them comes the operator's policy (:mod:`app.rules.numbers.policy`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import phonenumbers
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Attempt, Direction, Fax, FaxEntity, FaxTemplate, Origin, Status
from app.rules.ground.days import day_bounds, day_of
from app.rules.numbers.policy import bare, is_emergency, is_premium
from tenants.models import Tenant

MOST_PREFIXES = 100
MOST_A_DAY = 100_000
#: The beginning of a number in E.164: some digits of the country code at least.
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_BETWEEN_PREFIXES = re.compile(r"[,;\n\r]+")


@dataclass(frozen=True)
class DialingRules:
    """``allowed`` and ``forbidden`` are beginnings of numbers as E.164 with +; without an allowed one all are.
    ``daily_cap`` counts faxes of one line in a day of the company's zone, 0 for no limit."""

    allowed: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    premium_allowed: bool = False
    daily_cap: int = 0

    @classmethod
    def of(cls, template: FaxTemplate) -> "DialingRules":
        prefixes = tuple(template.allowed_prefixes or ()), tuple(template.forbidden_prefixes or ())
        return cls(*prefixes, premium_allowed=template.premium_allowed, daily_cap=template.daily_cap)


# ---- Numbers


def rules_for(template: FaxTemplate, origin: str) -> DialingRules:
    """Those of a fax that came through this door. A self-test takes no place in the day."""
    rules = DialingRules.of(template)
    return replace(rules, daily_cap=0) if origin == Origin.TEST else rules


def judge_number(rules: DialingRules, number: str) -> Refused | None:
    """Why a line with these rules may not dial this; None if it may. ``number`` is a fax's ``remote_number``: E.164
    with +, or an extension."""
    if not number.startswith("+"):
        return None
    if is_emergency(number):
        return Refused("number_emergency", field="to")
    if forbidden := longest_match(rules.forbidden, number):
        return Refused("number_forbidden", field="to", prefix=forbidden)
    if rules.allowed and not longest_match(rules.allowed, number):
        return Refused("number_not_allowed", field="to", prefixes=", ".join(rules.allowed))
    if not rules.premium_allowed and is_premium(number):
        return Refused("number_premium", field="to")
    return None


def longest_match(prefixes: Iterable[str], number: str) -> str | None:
    return max((prefix for prefix in prefixes if number.startswith(prefix)), key=len, default=None)


def read_prefixes(text: str, region: str) -> list[str]:
    """What a person has typed, one on a line or with commas between: with + or 00, or as dialled within the country.

    Raises:
        Refused: ``prefix_unreadable`` with what was typed, ``prefix_too_many``.
    """
    typed = [entry.strip() for entry in _BETWEEN_PREFIXES.split(text) if entry.strip()]
    if len(typed) > MOST_PREFIXES:
        raise Refused("prefix_too_many", limit=MOST_PREFIXES)
    return list(dict.fromkeys(read_prefix(entry, region) for entry in typed))


def read_prefix(typed: str, region: str) -> str:
    digits = bare(typed)
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    elif not digits.startswith("+"):
        trunk = phonenumbers.ndd_prefix_for_region(region, True) or ""
        national = digits.removeprefix(trunk)
        digits = f"+{phonenumbers.country_code_for_region(region)}{national}" if national else ""
    if not _PREFIX.fullmatch(digits):
        raise Refused("prefix_unreadable", typed=typed[:40])
    return digits


# ---- The cap of a day


def judge_cap(rules: DialingRules, *, ordered: int, day: date, today: date) -> Refused | None:
    """Whether a line of which ``ordered`` faxes go out on that day may take one more."""
    if not rules.daily_cap or ordered < rules.daily_cap:
        return None
    if day == today:
        return Refused("daily_cap", limit=rules.daily_cap)
    return Refused("daily_cap_on", field="send_at", limit=rules.daily_cap, day=day.isoformat())


def ordered_on(session: Session, entity_id: int, day: date, zone: ZoneInfo) -> int:
    """Faxes of the line that go out on a day: those ordered for it, and those of the day itself that go at once.
    One that ended before it was ever dialled does not count."""
    first, end = day_bounds(day, zone)
    dialled = sa.exists().where(Attempt.fax_id == Fax.id)
    over = Fax.status.in_((Status.CANCELLED, Status.FAILED))
    mine = (
        Fax.entity_id == entity_id,
        Fax.direction == Direction.SENT,
        Fax.origin != Origin.TEST,
        sa.or_(~over, dialled),
    )
    at_once = (Fax.send_at.is_(None), Fax.created_at >= first, Fax.created_at < end)
    later = (Fax.send_at >= first, Fax.send_at < end)
    counts = [sa.select(sa.func.count()).select_from(Fax).where(*mine, *when) for when in (at_once, later)]
    return sum(session.scalar(count) or 0 for count in counts)


def hold_rules(
    session: Session,
    *,
    tenant: Tenant,
    entity: FaxEntity,
    number: str,
    send_at: datetime | None,
    now: datetime,
    origin: str = Origin.WEB,
) -> None:
    """The rules at the door. The company has been queued up for: nobody else counts meanwhile.

    Raises:
        Refused: ``number_emergency``, ``number_forbidden``, ``number_not_allowed``, ``number_premium``,
            ``daily_cap``, ``daily_cap_on``.
    """
    rules = rules_for(entity.template, origin)
    if fault := judge_number(rules, number):
        raise fault
    if rules.daily_cap:
        day, today = day_of(send_at or now, tenant.zone), day_of(now, tenant.zone)
        ordered = ordered_on(session, entity.id, day, tenant.zone)
        if fault := judge_cap(rules, ordered=ordered, day=day, today=today):
            raise fault


class DayCaps:
    """How many faxes each line has begun to dial today. To be asked under the limits' lock."""

    def __init__(self, session: Session, now: datetime) -> None:
        self.session, self.now = session, now
        self.begun: dict[int, int] = {}

    def may_take(self, tenant: Tenant, entity: FaxEntity, rules: DialingRules) -> bool:
        if not rules.daily_cap:
            return True
        if entity.id not in self.begun:
            first, _end = day_bounds(day_of(self.now, tenant.zone), tenant.zone)
            self.begun[entity.id] = first_dials(self.session, entity.id, first)
        return self.begun[entity.id] < rules.daily_cap

    def take(self, fax: Fax, entity: FaxEntity) -> None:
        """Retries are of a fax that has counted before."""
        if fax.status != Status.RETRYING and entity.id in self.begun:
            self.begun[entity.id] += 1

    def next_day(self, tenant: Tenant) -> datetime:
        return day_bounds(day_of(self.now, tenant.zone), tenant.zone)[1]


def first_dials(session: Session, entity_id: int, since: datetime) -> int:
    # written out, so that the database sees that the partial index serves
    first_ones = (Attempt.entity_id == entity_id, Attempt.n == sa.literal_column("1"), Attempt.created_at >= since)
    query = sa.select(sa.func.count()).select_from(Attempt).join(Fax, Fax.id == Attempt.fax_id).where(*first_ones)
    return session.scalar(query.where(Fax.direction == Direction.SENT, Fax.origin != Origin.TEST)) or 0
