"""Archives and retention as something that is saved first and applied together with the rest: each place, the order of
the places, how long files are kept."""

from dataclasses import replace
from typing import Any

from flask_babel import format_decimal, ngettext
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import ArchiveKind, ArchivePlace, PendingChange
from app.rules.archives.archive import places_of
from app.rules.archives.retention import Days, judge_days, preview, retentions_of, set_retentions
from app.rules.setup.changes import REMOVE, Applied, ChangeHandler, Difference, Values, register, secrets_of
from app.rules.setup.fax_settings import PlaceDetails, details_of, judge_place, put_place, remove_place, shown
from tenants.models import Tenant, User
from tenants.scope import get_owned

PLACE, ORDER, RETENTION = "archive_place", "archive_order", "retention"


def wanted_place(place: ArchivePlace | None, change: PendingChange | None) -> PlaceDetails:
    """As the person who saved ``change`` wants to have it, with the secret key that they typed."""
    details = details_of(place) if place else PlaceDetails()
    if change is None or change.act == REMOVE:
        return details
    typed: Values = {name: "" if value is None else value for name, value in change.after.items()}
    return replace(details, **typed, secret_key=secrets_of(change).get("secret_key", ""))


class PlaceChanges(ChangeHandler):
    def current(self, session: Session, tenant: Tenant, target_id: int) -> Values | None:
        place = get_owned(session, ArchivePlace, target_id, tenant.id)
        return shown(place) if place else None

    def apply(self, session: Session, tenant: Tenant, change: PendingChange, *, by: User) -> Applied:
        place = get_owned(session, ArchivePlace, change.target_id, tenant.id) if change.target_id else None
        if change.act == REMOVE:
            if place is None:
                raise Refused("change_gone")
            name, before = place.name, shown(place)
            return Applied(name, before, {"copies_not_made": remove_place(session, place)})
        details = wanted_place(place, change)
        faults = judge_place(details, has_secret=bool(place and place.secret_key))
        if faults:
            raise next(iter(faults.values()))
        secrets = {"secret_key": "changed"} if details.secret_key else {}
        if place is None:
            saved = put_place(session, tenant, None, details)
            return Applied(saved.name, None, shown(saved) | secrets)
        name = place.name
        put_place(session, tenant, place, details)
        return Applied(name, change.before, change.after | secrets)


class OrderChanges(ChangeHandler):
    """The thing that changes is the company. ``order`` holds the ids of the places."""

    def current(self, session: Session, tenant: Tenant, target_id: int) -> Values | None:
        return {"order": [place.id for place in places_of(session, tenant.id)]} if target_id == tenant.id else None

    def title(self, session: Session, tenant: Tenant, change: PendingChange) -> str:
        return _("Archive order")

    def differences(self, session: Session, tenant: Tenant, change: PendingChange) -> list[Difference]:
        names = {place.id: place.name for place in places_of(session, tenant.id)}
        sides = (change.before.get("order", []), change.after.get("order", []))
        before, after = ([names[place_id] for place_id in side if place_id in names] for side in sides)
        return [Difference("order", before, after)]

    def apply(self, session: Session, tenant: Tenant, change: PendingChange, *, by: User) -> Applied:
        (told,) = self.differences(session, tenant, change)
        for position, place in enumerate(in_order(places_of(session, tenant.id), change)):
            place.position = position
        return Applied(tenant.name, {"order": told.before}, {"order": told.after})


def in_order(places: list[ArchivePlace], change: PendingChange | None) -> list[ArchivePlace]:
    """As ``change`` wants them; one of which it knows nothing stays behind."""
    order = change.after.get("order", []) if change else []
    return sorted(places, key=lambda place: order.index(place.id) if place.id in order else len(order))


class RetentionChanges(ChangeHandler):
    """The thing that changes is the company; for each kind the days, or empty for ever."""

    def current(self, session: Session, tenant: Tenant, target_id: int) -> Values | None:
        return days_as_values(retentions_of(session, tenant.id)) if target_id == tenant.id else None

    def title(self, session: Session, tenant: Tenant, change: PendingChange) -> str:
        return _("Retention")

    def differences(self, session: Session, tenant: Tenant, change: PendingChange) -> list[Difference]:
        """And what goes at once, as it is now: it may be long ago that somebody saved this."""
        found = super().differences(session, tenant, change)
        labels = {
            ArchiveKind.SENT: _("sent files deleted at once"),
            ArchiveKind.RECEIVED: _("received files deleted at once"),
            ArchiveKind.REPORTS: _("reports deleted at once"),
        }
        for name, days in change.after.items():
            if days:
                goes = preview(session, tenant.id, ArchiveKind(name), days)
                count = format_decimal(goes.faxes)
                text = ngettext("of %(count)s fax", "of %(count)s faxes", goes.faxes, count=count)
                if goes.more:
                    text = _("of more than %(count)s faxes", count=count)
                found.append(Difference("removed_at_once", None, text, labels[ArchiveKind(name)]))
        return found

    def apply(self, session: Session, tenant: Tenant, change: PendingChange, *, by: User) -> Applied:
        now = days_as_values(retentions_of(session, tenant.id))
        days, faults = judge_days({name: str(value or "") for name, value in (now | change.after).items()})
        if faults:
            raise next(iter(faults.values()))
        set_retentions(session, tenant, days)
        return Applied(tenant.name, _told(change.before), _told(change.after))


def days_as_values(days: Days) -> dict[str, Any]:
    return {str(kind): count for kind, count in days.items()}


def _told(days: Values) -> Values:
    return {kind: count or "for ever" for kind, count in days.items()}


register(PLACE, PlaceChanges())
register(ORDER, OrderChanges())
register(RETENTION, RetentionChanges())
