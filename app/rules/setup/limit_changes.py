"""Simultaneity as something that is saved first and applied together with the rest."""

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import PendingChange
from app.rules.setup.changes import Applied, ChangeHandler, Values, register
from app.rules.setup.fax_settings import judge_limits, limits_of, set_limits
from tenants.models import Tenant, User

KIND = "settings"


class LimitChanges(ChangeHandler):
    """The thing that changes is the company: ``target_id`` is its id."""

    def current(self, session: Session, tenant: Tenant, target_id: int) -> Values | None:
        return dict(limits_of(tenant)) if target_id == tenant.id else None

    def title(self, session: Session, tenant: Tenant, change: PendingChange) -> str:
        return _("Simultaneous calls")

    def apply(self, session: Session, tenant: Tenant, change: PendingChange, *, by: User) -> Applied:
        if change.target_id != tenant.id:
            raise Refused("change_gone")
        limits, faults = judge_limits({name: str(value) for name, value in (limits_of(tenant) | change.after).items()})
        if faults:
            raise next(iter(faults.values()))
        set_limits(tenant, limits)
        return Applied(tenant.name, change.before, change.after)


register(KIND, LimitChanges())
