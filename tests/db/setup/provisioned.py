"""Provision files that are applied in tests."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Mail2FaxBox
from app.services.setup.provisioning import Provisioned, apply_provision_file
from tenants.models import Tenant


def applied(session: Session, folder: Path, text: str) -> Provisioned:
    path = folder / "provision.yaml"
    path.write_text(text)
    return apply_provision_file(session, path)


def box_of_gamma(session: Session) -> tuple[Mail2FaxBox, Tenant]:
    """The one box of the company, and the company."""
    gamma = session.scalars(sa.select(Tenant).where(Tenant.slug == "gamma")).one()
    return session.scalars(sa.select(Mail2FaxBox).where(Mail2FaxBox.tenant_id == gamma.id)).one(), gamma
