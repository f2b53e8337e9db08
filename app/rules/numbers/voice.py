"""Where calls of a shared line go that are no fax, as long as the operator lets them."""

from typing import NamedTuple

from sqlalchemy.orm import Session

from app.models import FaxEntity
from app.rules.numbers.policy import Ceilings, Policy, judge_voice, policy_of
from tenants.db import utc_now


class Telephone(NamedTuple):
    """Where calls of a shared line go that are no fax: ``number``, "" where there is none, whose line it is, and the
    seconds that the telephone rings before the call is answered as a fax, 0 for never."""

    number: str
    whose: str
    rings: int = 0


def whose_line(entity: FaxEntity) -> str:
    """Company and line in one word, as the dialplan carries it."""
    return f"{entity.tenant_id}-{entity.id}"


def voice_of(
    session: Session, entity: FaxEntity, *, policy: Policy | None = None, ceilings: Ceilings | None = None
) -> str:
    """The destination; "" where there is none or it may not be dialled: then every call is taken as a fax. A company
    that is suspended, or has reached its ceiling of today, goes on receiving faxes and nothing else."""
    tenant, voice = entity.tenant, entity.voice_destination
    if not entity.shared_with_voice or not voice or tenant.suspended_at:
        return ""
    ceilings = ceilings or Ceilings(session, utc_now())
    if judge_voice(policy or policy_of(session), voice, tenant) or ceilings.is_reached(tenant):
        return ""
    return voice
