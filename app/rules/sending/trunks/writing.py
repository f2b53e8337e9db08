"""How a trunk writes numbers, as the operator has set it: one judgement and one writer."""

from collections.abc import Mapping

import phonenumbers
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import CallerForm, Trunk
from app.rules.numbers.called import SIGNS
from app.rules.numbers.habits import first_trunk
from tenants.models import Tenant

#: The fields of a form. ``called_first``: what names the called number before all else, one of SIGNS.
FIELDS = ("trunk_region", "trunk_area", "trunk_company", "called_first", "caller_form")
MOST_AREA = 8


def writing_of(session: Session, trunk: Trunk | None = None) -> dict[str, str]:
    """As a form has it; empty strings where nothing is set."""
    row = trunk or first_trunk(session) or Trunk()
    company = session.get(Tenant, row.company_id) if row.company_id else None
    return {
        "trunk_region": row.region or "",
        "trunk_area": row.area or "",
        "trunk_company": company.slug if company else "",
        "called_first": row.called_order[0] if row.called_order else SIGNS[0],
        "caller_form": row.caller_form or CallerForm.USUAL,
    }


def judge_writing(session: Session, typed: Mapping[str, str]) -> dict[str, Refused]:
    """What is wrong, by field."""
    faults = {}
    region, area = typed["trunk_region"], typed["trunk_area"]
    if region and region not in phonenumbers.SUPPORTED_REGIONS:
        faults["trunk_region"] = Refused("region_unknown")
    if area and not (area.isascii() and area.isdigit() and len(area) <= MOST_AREA):
        faults["trunk_area"] = Refused("trunk_area", limit=MOST_AREA)
    elif area and not region:
        faults["trunk_region"] = Refused("trunk_area_of", area=area)
    if typed["trunk_company"] and _company(session, typed["trunk_company"]) is None:
        faults["trunk_company"] = Refused("pool_company_unknown", name=typed["trunk_company"])
    for name, known in (("called_first", SIGNS), ("caller_form", tuple(CallerForm))):
        if typed[name] not in known:
            faults[name] = Refused("choice_unknown")
    return faults


def set_writing(session: Session, typed: Mapping[str, str], trunk: Trunk | None = None) -> None:
    """What was judged, for a trunk or the first one. The caller commits."""
    row = trunk or first_trunk(session)
    assert row is not None
    company = _company(session, typed["trunk_company"])
    row.region, row.area = typed["trunk_region"] or None, typed["trunk_area"] or None
    row.company_id = company.id if company else None
    first = typed["called_first"]
    row.called_order = [] if first == SIGNS[0] else [first, *(name for name in SIGNS if name != first)]
    row.caller_form = CallerForm(typed["caller_form"])


def _company(session: Session, slug: str) -> Tenant | None:
    return session.scalar(sa.select(Tenant).where(Tenant.slug == slug, Tenant.deleting_at.is_(None)))
