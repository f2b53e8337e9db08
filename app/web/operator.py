"""What the installation holds, for those who run it."""

from dataclasses import dataclass

import sqlalchemy as sa
from flask import Blueprint, abort, render_template
from flask_login import current_user

from app.fax.lifecycle import FINAL
from app.models import Fax, FaxEntity
from tenants.db import db
from tenants.models import Tenant, User

blueprint = Blueprint("operator", __name__, url_prefix="/operator")


@blueprint.before_request
def _operators_only() -> None:
    """For everybody else these pages do not exist."""
    if not current_user.is_operator:
        abort(404)


@dataclass(frozen=True)
class TenantUse:
    """One company: ``entities`` of its licensed ``fax_channels`` are in use, ``under_way`` faxes are not finished."""

    tenant: Tenant
    entities: int
    users: int
    under_way: int
    faxes: int


def tenants_in_use() -> list[TenantUse]:
    def count(model: type, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
        return sa.select(sa.func.count()).where(model.tenant_id == Tenant.id, *conditions).scalar_subquery()

    under_way = count(Fax, Fax.status.not_in(FINAL))
    query = sa.select(Tenant, count(FaxEntity), count(User), under_way, count(Fax)).order_by(Tenant.name)
    return [TenantUse(*row) for row in db.session.execute(query)]


@blueprint.get("/tenants")
def tenants() -> str:
    return render_template("operator/tenants.html", uses=tenants_in_use())
