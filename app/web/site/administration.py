"""What the pages of a tenant's administration share: who may see them, their menu, the audit of what is done there."""

from typing import Any

from flask import Flask, abort, current_app, request
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.rules.audit.auditing import audit
from tenants.db import db
from tenants.models import Tenant

#: Endpoint → what the menu calls it, in the menu's order. One that no blueprint serves is left out.
SECTIONS = {
    "entities.entities": _l("Fax lines"),
    "numbering.numbering": _l("Numbering plan"),
    "mail2fax.boxes": _l("Mail2Fax boxes"),
    "templates.templates": _l("Templates"),
    "settings.settings": _l("Fax settings"),
    "users.users": _l("Users and roles"),
    "outbox.outbox": _l("Outbox"),
    "audit.log": _l("Audit log"),
    "figures.figures": _l("Figures"),
    "operator_access.access": _l("Operator's access"),
    "changes.changes": _l("Saved changes"),
}
#: Blueprints whose pages belong to a section of another one.
WITHIN = {"door": "mail2fax", "self_test": "entities", "alerts": "figures", "calls": "figures", "held": "outbox"}


def administrators_only() -> None:
    """For a blueprint's ``before_request``: for everybody but the tenant's administrators these pages do not exist."""
    if current_user.tenant_id is None or not current_user.is_admin:
        abort(404)


def own_tenant() -> Tenant:
    """The company of whoever administers it."""
    return db.session.get_one(Tenant, current_user.company_id)


def operators_only() -> None:
    """For everybody else the operator's pages do not exist."""
    if not current_user.is_operator:
        abort(404)


def sections() -> list[tuple[str, str]]:
    """Endpoint and name of each administration page that there is; none for who administers nothing."""
    if not current_user or not current_user.is_authenticated or not current_user.is_admin:
        return []
    return [(endpoint, str(name)) for endpoint, name in SECTIONS.items() if endpoint in current_app.view_functions]


def section() -> str:
    """The blueprint whose section of the menu this page belongs to."""
    return WITHIN.get(request.blueprint or "", request.blueprint or "")


def is_administration() -> bool:
    """True on one of the administration's pages."""
    return section() in {endpoint.split(".")[0] for endpoint in SECTIONS}


def audit_act(action: str, target: str, *, before: dict[str, Any] | None = None, after: Any = None) -> None:
    """What the person at this request does to a thing of their own tenant (see
    :func:`app.rules.audit.auditing.audit`)."""
    audit(
        db.session,
        user=current_user,
        tenant_id=current_user.tenant_id,
        action=action,
        target=target,
        before=before,
        after=after,
        remote_address=request.remote_addr,
    )


def init_app(app: Flask) -> None:
    app.add_template_global(sections)
    app.add_template_global(section)
    app.add_template_global(is_administration)
