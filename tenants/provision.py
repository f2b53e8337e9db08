"""Open tenants, enter users, license fax channels."""

import re
from functools import cache
from typing import Any
from zoneinfo import available_timezones

import phonenumbers
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenants.addresses import claim_address, invited_by, prove_address, user_by_address
from tenants.models import Role, Tenant, User
from tenants.passwords import hash_password, verify_password
from tenants.pgp_keys import put_key

#: It stands in the mails' ids and in the operator's commands, and never changes.
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
#: It stands in square brackets in the subject of each mail.
SERIAL = re.compile(r"[A-Za-z0-9._-]{1,40}")
OUTSIDE_PREFIX = re.compile(r"[0-9]{0,4}")


@cache
def zones() -> frozenset[str]:
    """Time zones by place, such as ``Europe/Rome``."""
    return frozenset(name for name in available_timezones() if "/" in name or name == "UTC")


def is_region(name: str) -> bool:
    """Two capital letters by which national numbers are read."""
    return name in phonenumbers.SUPPORTED_REGIONS


class SlugTaken(Exception):
    """There is a tenant with this slug already."""


class ForeignAddress(Exception):
    """The address belongs to a user of another tenant, or to an operator."""


def open_tenant(session: Session, *, slug: str, **values: Any) -> Tenant:
    """A new tenant. The caller commits.

    Raises:
        SlugTaken: of two who open it at once, one does. The surrounding transaction goes on.
    """
    tenant = Tenant(slug=slug, **values)
    try:
        with session.begin_nested():
            session.add(tenant)
    except IntegrityError as error:
        raise SlugTaken(slug) from error
    return tenant


def put_user(
    session: Session,
    *,
    tenant: Tenant | None,
    email: str,
    name: str,
    role: Role,
    password: str | None,
    language: str | None = None,
    pgp_public_keys: tuple[dict[str, Any], ...] | None = None,
) -> User:
    """Enter the user, or bring the one with this address to these values. ``tenant`` is None for an operator.

    Raises:
        AddressTaken: a Mail2Fax box holds the address.
        ForeignAddress: a user elsewhere holds it.
    """
    user = user_by_address(session, email)
    if user is None and tenant is not None and (user := invited_by(session, email, tenant.id)):
        prove_address(session, user.address)  # the file is the operator's word
    if user is None:
        user = User(tenant_id=tenant.id if tenant else None, address=claim_address(session, email))
        session.add(user)
    elif user.tenant_id != (tenant.id if tenant else None):
        raise ForeignAddress(email)
    user.address.address = email.strip()  # the registry's row stays, its spelling may change
    user.name, user.role, user.language = name, role, language
    if password and not verify_password(user.password_hash, password):
        user.password_hash = hash_password(password)
    session.flush()
    if pgp_public_keys is not None:
        _put_keys(session, user, pgp_public_keys)
    return user


def _put_keys(session: Session, user: User, keys: tuple[dict[str, Any], ...]) -> None:
    """These are all of the user's keys."""
    wanted = {key["fingerprint"] for key in keys}
    user.pgp_keys = [key for key in user.pgp_keys if key.fingerprint in wanted]
    session.flush()
    for key in keys:
        put_key(session, user, **key)
