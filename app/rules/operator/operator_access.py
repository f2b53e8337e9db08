"""What operators may see of a company's contents: nothing, unless the company lets them in, until a time that it sets.

What is exported without that is sealed: an operator can hand it over, and the company's administrators have the key.
"""

import secrets
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from tenants.models import Tenant
from tenants.scope import lock_tenant

#: For how long a company can let operators in, by the name that the form has.
TERMS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


def lets_in(tenant: Tenant, now: datetime) -> bool:
    return tenant.operator_until is not None and tenant.operator_until > now


def let_in(tenant: Tenant, term: str, now: datetime) -> datetime:
    """Until when. The caller commits."""
    tenant.operator_until = now + TERMS[term]
    return tenant.operator_until


def shut_out(tenant: Tenant) -> None:
    tenant.operator_until = None


def export_key(session: Session, tenant: Tenant) -> str:
    """The text that opens the company's sealed exports, made when it is first needed. The caller commits."""
    lock_tenant(session, tenant.id)
    session.refresh(tenant)
    if tenant.export_key is None:
        tenant.export_key = "-".join(secrets.token_hex(4) for _ in range(8))
    return tenant.export_key
