"""Companies as the operator runs them: open, change, suspend, reopen. What a form may say is judged here."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy.orm import Session

from app.errors import Refused
from app.rules.mail2fax.door import hold_domain, judge_domain, read_domain
from app.rules.numbers.policy import release_ceiling
from app.rules.setup.fax_settings import LIMITS, MOST_CALLS
from app.whole_numbers import read_whole
from tenants.db import utc_now
from tenants.languages import LANGUAGES, USUAL
from tenants.models import Tenant
from tenants.provision import OUTSIDE_PREFIX, SERIAL, SLUG, SlugTaken, is_region, open_tenant, zones
from tenants.scope import lock_tenant

MOST_NAME = 100
MOST_COUNT = 99_999
MOST_REASON = 500
QUOTAS = ("quota_storage", "quota_drafts", "quota_uploads", "quota_mails")
CEILINGS = ("calls_a_day", "minutes_a_day")
COUNTS = ("fax_channels", "limit_inbound", "limit_outbound", "limit_total", *QUOTAS, *CEILINGS)


@dataclass(frozen=True)
class Company:
    """As typed. The limits are of simultaneous calls, 0 = none, as with the quotas (:mod:`app.rules.ground.quotas`) and
    the ceilings of a day (:mod:`app.rules.numbers.policy`); ``fax_channels`` is the licence."""

    slug: str = ""
    name: str = ""
    serial: str = ""
    region: str = "IT"
    timezone: str = "Europe/Rome"
    language: str = USUAL
    outside_prefix: str = "0"
    fax_channels: str = "1"
    limit_inbound: str = "0"
    limit_outbound: str = "0"
    limit_total: str = "0"
    quota_storage: str = "500"
    quota_drafts: str = "10000"
    quota_uploads: str = "20000"
    quota_mails: str = "20000"
    calls_a_day: str = "0"
    minutes_a_day: str = "0"
    fax_domain: str = ""

    @classmethod
    def of(cls, tenant: Tenant) -> "Company":
        values = {field.name: getattr(tenant, field.name) for field in fields(cls)}
        return cls(**{name: "" if value is None else str(value) for name, value in values.items()})

    @property
    def values(self) -> dict[str, Any]:
        """What the row holds, of a company that was judged."""
        values = {name: int(value) if name in COUNTS else value for name, value in asdict(self).items()}
        return values | {"fax_domain": read_domain(self.fax_domain)}


def judge_company(company: Company) -> dict[str, Refused]:
    """Field → what is wrong with it."""
    return {name: refusal for name, judge in JUDGES.items() if (refusal := judge(name, getattr(company, name)))}


def _word(pattern: Any, unreadable: str, missing: str | None = None) -> Callable[[str, str], Refused | None]:
    def judge(field: str, text: str) -> Refused | None:
        if missing and not text:
            return Refused(missing, field=field)
        return None if pattern.fullmatch(text) else Refused(unreadable, field=field)

    return judge


def _name(field: str, text: str) -> Refused | None:
    if not text:
        return Refused("name_missing", field=field)
    if len(text) > MOST_NAME or not text.isprintable():
        return Refused("name_too_long", field=field, limit=MOST_NAME)
    return None


def _known(is_known: Callable[[str], bool], code: str) -> Callable[[str, str], Refused | None]:
    return lambda field, text: None if is_known(text) else Refused(code, field=field)


def _count(field: str, text: str) -> Refused | None:
    if read_whole(text, most=MOST_COUNT) is not None:
        return None
    return Refused("count_unreadable", field=field, limit=MOST_COUNT)


def _limit(field: str, text: str) -> Refused | None:
    """As the company's own administrators may set it."""
    if read_whole(text, most=MOST_CALLS) is not None:
        return None
    return Refused("limit_unreadable", field=field, limit=MOST_CALLS)


JUDGES: dict[str, Callable[[str, str], Refused | None]] = {
    "slug": _word(SLUG, "slug_unreadable", "slug_missing"),
    "name": _name,
    "serial": _word(SERIAL, "serial_unreadable", "serial_missing"),
    "region": _known(is_region, "region_unknown"),
    "timezone": _known(lambda text: text in zones(), "zone_unknown"),
    "language": _known(lambda text: text in LANGUAGES, "company_language_unknown"),
    "outside_prefix": _word(OUTSIDE_PREFIX, "outside_prefix_unreadable"),
    "fax_domain": lambda field, text: judge_domain(text) if text else None,
    **dict.fromkeys(COUNTS, _count),
    **{f"limit_{name}": _limit for name in LIMITS},
}


def open_company(session: Session, company: Company) -> Tenant:
    """The caller commits. Raises Refused ``slug_taken``, ``fax_domain_taken``; the surrounding transaction goes on."""
    hold_domain(session, read_domain(company.fax_domain), None)
    try:
        return open_tenant(session, **company.values)
    except SlugTaken as error:
        raise Refused("slug_taken", field="slug") from error


def change_company(session: Session, tenant: Tenant, company: Company) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bring the tenant to what the form says, but for its slug; gives what differs, before and after. The caller
    commits.

    A licence below what is in use keeps what exists (:mod:`app.rules.setup.licence`). In another zone days begin at
    other times: the figures are counted anew.

    Raises:
        Refused: ``fax_domain_taken``.
    """
    lock_tenant(session, tenant.id)
    session.refresh(tenant)
    hold_domain(session, read_domain(company.fax_domain), tenant.id)
    before, after = {}, {}
    for name, value in company.values.items():
        if name != "slug" and getattr(tenant, name) != value:
            before[name], after[name] = getattr(tenant, name), value
            setattr(tenant, name, value)
    if "timezone" in after:
        tenant.counted_until = None
    if after.keys() & {"timezone", *CEILINGS}:
        release_ceiling(session, tenant, utc_now())
    return before, after


def suspend(session: Session, tenant: Tenant, reason: str) -> bool:
    """From now on nothing is sent; what is on the line comes to its end. False if it was so before.

    Raises:
        Refused: ``reason_too_long``.
    """
    if len(reason) > MOST_REASON:
        raise Refused("reason_too_long", field="reason", limit=MOST_REASON)
    lock_tenant(session, tenant.id)
    session.refresh(tenant)
    if tenant.suspended_at:
        return False
    tenant.suspended_at, tenant.suspended_reason = utc_now(), reason or None
    return True


def reopen(session: Session, tenant: Tenant) -> bool:
    """What waited is sent from now on. False if it was not suspended.

    Raises:
        Refused: ``tenant_deleting``.
    """
    lock_tenant(session, tenant.id)
    session.refresh(tenant)
    if tenant.deleting_at:
        raise Refused("tenant_deleting")
    if tenant.suspended_at is None:
        return False
    tenant.suspended_at = tenant.suspended_reason = None
    return True
