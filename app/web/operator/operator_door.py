"""The door as the operator has set it up, and which companies use it."""

from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509
from flask import Blueprint, current_app, render_template

from app.config import DoorSettings
from app.models import BoxSource, DoorCredential, Mail2FaxBox
from app.rules.mail2fax.door import companies_unknown
from app.services.upkeep.health import check_part
from app.web.site.administration import operators_only
from tenants.db import db
from tenants.models import Tenant

blueprint = Blueprint("operator_door", __name__, url_prefix="/operator")
blueprint.before_request(operators_only)


@blueprint.get("/door")
def door() -> str:
    """The process is asked; it answers from Redis."""
    settings: DoorSettings = current_app.config["SETTINGS"].door
    rows, unknown = _companies(), companies_unknown(db.session, settings.companies)
    db.session.rollback()
    answer = check_part("door") if settings.is_open else None
    until = _valid_until(settings.certificate) if settings.certificate else None
    return render_template("operator/door.html", door=settings, rows=rows, unknown=unknown, answer=answer, until=until)


def _companies() -> list[tuple[Tenant, int, int]]:
    """With its boxes at the door and what may sign in there; without those that have neither box nor domain."""
    boxes = sa.select(Mail2FaxBox.tenant_id, sa.func.count()).where(Mail2FaxBox.source == BoxSource.DOOR)
    living = sa.select(DoorCredential.tenant_id, sa.func.count()).where(DoorCredential.ended_at.is_(None))
    there = {row[0]: row[1] for row in db.session.execute(boxes.group_by(Mail2FaxBox.tenant_id))}
    keys = {row[0]: row[1] for row in db.session.execute(living.group_by(DoorCredential.tenant_id))}
    tenants = db.session.scalars(sa.select(Tenant).order_by(Tenant.name)).all()
    shown = [tenant for tenant in tenants if tenant.fax_domain or tenant.id in there]
    return [(tenant, there.get(tenant.id, 0), keys.get(tenant.id, 0)) for tenant in shown]


def _valid_until(certificate: Path) -> datetime | None:
    """None where it cannot be read."""
    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None
