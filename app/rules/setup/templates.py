"""Templates: what may be entered for one, and how an edit of one is applied. Lines share a template."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Direction, Fax, FaxEntity, FaxTemplate, PendingChange
from app.models.faxes.moves import MOVES
from app.rules.numbers.dialing import MOST_A_DAY, longest_match, read_prefixes
from app.rules.sending.ladder import RATES, kept_rate
from app.rules.sending.retry import DELAYS, NEVER, USUAL_DIAL_HOURS, USUAL_DIALS
from app.rules.setup.changes import ADD, CHANGE, REMOVE, Applied, ChangeHandler, Difference, Values, register
from app.whole_numbers import read_whole
from tenants.models import Tenant, User
from tenants.scope import get_owned, owned_by

KIND = "template"
NAME_LENGTH = 100
HEADER_LENGTH = 50
MOST_TEMPLATES = 200
STATION_ID = re.compile(r"[0-9+ ]{0,20}")  # T.30 TSI
STATION_ID_LENGTH = 20
RESOLUTIONS = ("standard", "fine")
PAGE_SIZES = ("A4", "Letter")
#: Field → the least and the most that may be entered.
NUMBERS = {
    "max_attempts": (1, 50),
    "max_dials": (1, 100),
    "dial_hours": (1, 168),
    "ring_seconds": (5, 180),
    "max_seconds": (60, 14_400),
    "daily_cap": (0, MOST_A_DAY),
}
#: What forms, and changes that wait, did not have before there was it.
ADDED_LATER: Values = {"max_dials": USUAL_DIALS, "dial_hours": USUAL_DIAL_HOURS}
SHORTEST_DELAY, LONGEST_DELAY = 0, 86_400
#: A fax in one of these still needs its line's template.
UNDER_WAY = tuple(status for status, following in MOVES.items() if following)
#: Causes after which a line tries again, in the order of the form. Where nothing would change there is no other try.
CAUSES = tuple(cause for cause, delay in DELAYS.items() if delay is not NEVER)
CAUSE_NAMES = {
    "busy": _l("Busy"),
    "no_answer": _l("No answer"),
    "congestion": _l("No route in the network"),
    "far_end_no_fax": _l("No fax machine answered"),
    "silent": _l("Answered, but sent nothing"),
    "stalled": _l("Stopped in the middle of the call"),
    "capped": _l("Maximum call length reached"),
    "forbidden": _l("Refused by the network"),
    "other": _l("Any other reason"),
    "protocol_error": _l("The machines could not agree"),
    "dropped": _l("The call broke off"),
    "incomplete": _l("Fewer pages confirmed than sent"),
}


@dataclass(frozen=True)
class TemplateDetails:
    """As typed. ``delays`` are seconds by cause, empty for the usual; ``never`` are causes without another try."""

    name: str = ""
    header: str = ""
    station_id: str = ""
    resolution: str = "fine"
    page_size: str = "A4"
    ecm: bool = True
    t38: bool = True
    max_rate: str = "14400"
    max_attempts: str = "5"
    max_dials: str = str(USUAL_DIALS)
    dial_hours: str = str(USUAL_DIAL_HOURS)
    ring_seconds: str = "60"
    max_seconds: str = "3600"
    delays: Mapping[str, str] = field(default_factory=dict)
    never: frozenset[str] = frozenset()
    allowed_prefixes: str = ""
    forbidden_prefixes: str = ""
    premium_allowed: bool = False
    daily_cap: str = "0"


#: What is kept of one.
FIELDS = (*(f.name for f in fields(TemplateDetails) if f.name not in ("delays", "never")), "retry_delays")


def values_of(template: FaxTemplate) -> Values:
    """A rate from before only those that can be kept could be chosen is told as what it does."""
    values = {name: getattr(template, name) for name in FIELDS} | {"retry_delays": template.retry_delays or None}
    return values | {"max_rate": kept_rate(template.max_rate)}


def details_of(values: Values) -> TemplateDetails:
    """As the form shows them."""
    values = ADDED_LATER | values
    delays = values.get("retry_delays") or {}
    shown: dict[str, Any] = {name: values[name] for name in FIELDS if name != "retry_delays"}
    shown |= {name: str(values[name]) for name in (*NUMBERS, "max_rate")}
    shown |= {name: "\n".join(values[name] or ()) for name in ("allowed_prefixes", "forbidden_prefixes")}
    return TemplateDetails(
        **shown,
        delays={cause: str(delay) for cause, delay in delays.items() if delay is not NEVER},
        never=frozenset(cause for cause, delay in delays.items() if delay is NEVER),
    )


# ---- What may be entered


def judge_template(details: TemplateDetails, region: str) -> tuple[Values, dict[str, Refused]]:
    """The fields as they would be kept, and what is wrong with them, by field."""
    faults: dict[str, Refused] = {}
    values = {
        "name": details.name,
        "header": details.header,
        "station_id": details.station_id,
        "resolution": details.resolution,
        "page_size": details.page_size,
        "ecm": details.ecm,
        "t38": details.t38,
        "premium_allowed": details.premium_allowed,
        "max_rate": _choice(details.max_rate, RATES),
        "retry_delays": _delays(details, faults),
        **{name: _number(name, getattr(details, name), faults) for name in NUMBERS},
        **{name: _prefixes(name, details, region, faults) for name in ("allowed_prefixes", "forbidden_prefixes")},
    }
    for fault in (*_text_faults(details), *_choice_faults(values), _prefix_clash(values)):
        if fault:
            faults.setdefault(fault.field or "form", fault)
    return values, faults


def _text_faults(details: TemplateDetails) -> list[Refused | None]:
    name, header = details.name, details.header
    wrong_name = None if name else Refused("name_missing", field="name")
    if len(name) > NAME_LENGTH or not name.isprintable():
        wrong_name = Refused("name_too_long", field="name", limit=NAME_LENGTH)
    fine = len(header) <= HEADER_LENGTH and header.isprintable()
    return [
        wrong_name,
        None if fine else Refused("template_header", field="header", limit=HEADER_LENGTH),
        None
        if STATION_ID.fullmatch(details.station_id)
        else Refused("template_station_id", field="station_id", limit=STATION_ID_LENGTH),
    ]


def _choice(text: str, choices: tuple[int, ...]) -> int | None:
    return next((choice for choice in choices if str(choice) == text), None)


def _choice_faults(values: Values) -> list[Refused | None]:
    choices = {"resolution": RESOLUTIONS, "page_size": PAGE_SIZES, "max_rate": RATES}
    return [
        None if values[name] in allowed else Refused("template_choice", field=name) for name, allowed in choices.items()
    ]


def _number(name: str, text: str, faults: dict[str, Refused]) -> int:
    least, most = NUMBERS[name]
    if (number := read_whole(text, least=least, most=most)) is not None:
        return number
    faults[name] = Refused("template_number", field=name, least=least, most=most)
    return least


def _delays(details: TemplateDetails, faults: dict[str, Refused]) -> dict[str, int | None] | None:
    """Only what differs from the usual is kept."""
    delays: dict[str, int | None] = {}
    for cause in CAUSES:
        text = details.delays.get(cause, "")
        if cause in details.never:
            delays[cause] = NEVER
        elif text:
            seconds = read_whole(text, least=SHORTEST_DELAY, most=LONGEST_DELAY)
            if seconds is None:
                limits = {"least": SHORTEST_DELAY, "most": LONGEST_DELAY}
                faults[f"delay_{cause}"] = Refused("template_delay", field=f"delay_{cause}", **limits)
            elif seconds != DELAYS[cause]:
                delays[cause] = seconds
    return delays or None


def _prefixes(name: str, details: TemplateDetails, region: str, faults: dict[str, Refused]) -> list[str]:
    try:
        return read_prefixes(getattr(details, name), region)
    except Refused as refusal:
        faults[name] = Refused(refusal.code, field=name, **refusal.values)
        return []


def _prefix_clash(values: Values) -> Refused | None:
    """An allowed beginning that is forbidden as a whole would allow nothing."""
    for prefix in values["allowed_prefixes"]:
        if longest_match(values["forbidden_prefixes"], prefix):
            return Refused("prefix_twice", field="forbidden_prefixes", prefix=prefix)
    return None


def demand_name_free(
    session: Session, tenant: Tenant, name: str, *, template_id: int | None, except_ids: Collection[int | None] = ()
) -> None:
    """``except_ids`` are templates whose names are about to be given up.

    Raises:
        Refused: ``template_name_taken``.
    """
    others = (FaxTemplate.id != (template_id or 0), FaxTemplate.id.not_in([other for other in except_ids if other]))
    names = owned_by(FaxTemplate, tenant.id).where(*others)
    taken = {other.casefold() for other in session.scalars(names.with_only_columns(FaxTemplate.name))}
    if name.casefold() in taken:
        raise Refused("template_name_taken", field="name")


# ---- The list, and who uses one


def templates_of(session: Session, tenant_id: int) -> list[FaxTemplate]:
    return list(session.scalars(owned_by(FaxTemplate, tenant_id).order_by(FaxTemplate.name, FaxTemplate.id)))


def users_of_templates(session: Session, tenant_id: int) -> dict[int, list[FaxEntity]]:
    """Template → the lines that use it, by name: the open ones, and closed ones that still have a fax to send."""
    under_way = sa.exists().where(
        Fax.tenant_id == tenant_id,
        Fax.direction == Direction.SENT,
        Fax.status.in_(UNDER_WAY),
        Fax.entity_id == FaxEntity.id,
    )
    using = owned_by(FaxEntity, tenant_id).where(sa.or_(FaxEntity.closed_at.is_(None), under_way))
    found: dict[int, list[FaxEntity]] = {}
    for entity in session.scalars(using.order_by(FaxEntity.name)):
        found.setdefault(entity.template_id or 0, []).append(entity)
    return found


# ---- Applying


def put_template(session: Session, tenant: Tenant, template: FaxTemplate | None, values: Values) -> FaxTemplate:
    """Enter a template or change one. The tenant is locked, the caller commits.

    Raises:
        Refused: ``template_name_taken``, ``template_too_many``.
    """
    demand_name_free(session, tenant, values["name"], template_id=template.id if template else None)
    if template is None:
        if len(templates_of(session, tenant.id)) >= MOST_TEMPLATES:
            raise Refused("template_too_many", limit=MOST_TEMPLATES)
        template = FaxTemplate(tenant_id=tenant.id)
        session.add(template)
    values = ADDED_LATER | values
    for name in FIELDS:
        setattr(template, name, values[name])
    session.flush()
    return template


def remove_template(session: Session, template: FaxTemplate) -> None:
    """Closed lines that once had it have none from now on. The caller commits.

    Raises:
        Refused: ``template_in_use``, with the names of the lines.
    """
    if users := users_of_templates(session, template.tenant_id).get(template.id):
        raise Refused("template_in_use", names=", ".join(entity.name for entity in users))
    closed = sa.update(FaxEntity).where(FaxEntity.template_id == template.id, FaxEntity.closed_at.is_not(None))
    session.execute(closed.values(template_id=None))
    session.delete(template)


class TemplateChanges(ChangeHandler):
    def order(self, act: str) -> int:
        """A line may leave a template that goes, in the same lot; and one that comes is there before lines change."""
        return {ADD: 10, CHANGE: 20, REMOVE: 90}[act]

    def current(self, session: Session, tenant: Tenant, target_id: int) -> Values | None:
        template = get_owned(session, FaxTemplate, target_id, tenant.id)
        return values_of(template) if template else None

    def title(self, session: Session, tenant: Tenant, change: PendingChange) -> str:
        template = get_owned(session, FaxTemplate, change.target_id, tenant.id) if change.target_id else None
        return template.name if template else (change.after or change.before).get("name", "–")

    def release(self, session: Session, tenant: Tenant, change: PendingChange) -> None:
        """Two templates may exchange their names."""
        if change.act == CHANGE and "name" in change.after:
            self._demanded(session, tenant, change).name = f"~{change.target_id}"

    def apply(self, session: Session, tenant: Tenant, change: PendingChange, *, by: User) -> Applied:
        if change.act == ADD:
            put_template(session, tenant, None, change.after)
            return Applied(change.after["name"], None, self._told(change, change.after))
        template = self._demanded(session, tenant, change)
        if change.act == REMOVE:
            name, before = template.name, values_of(template)
            remove_template(session, template)
            return Applied(name, before, None)
        # what the release has put aside is in ``before``
        name = change.before.get("name", template.name)
        put_template(session, tenant, template, values_of(template) | {"name": name} | change.after)
        return Applied(name, change.before, change.after)

    def _demanded(self, session: Session, tenant: Tenant, change: PendingChange) -> FaxTemplate:
        template = get_owned(session, FaxTemplate, change.target_id, tenant.id)
        if template is None:
            raise Refused("change_gone")
        return template

    def differences(self, session: Session, tenant: Tenant, change: PendingChange) -> list[Difference]:
        found = []
        told = self._told(change, change.after) if change.act == ADD else change.after
        for name in FIELDS:
            if name == "retry_delays" and (name in change.before or name in told):
                found += _delay_differences(change.before.get(name) or {}, told.get(name) or {})
            elif name in told or (name in change.before and change.act != REMOVE):
                found.append(Difference(name, change.before.get(name), told.get(name)))
        return found

    def _told(self, change: PendingChange, after: Values) -> Values:
        """Of one that is added: what is left as it usually is says nothing."""
        return {name: after[name] for name in FIELDS if name in after and after[name] not in (None, "", [], {})}


def _delay_differences(before: dict[str, int | None], after: dict[str, int | None]) -> list[Difference]:
    """Cause by cause, in words; what is not set is as usual."""
    return [
        Difference("retry_delays", delay_text(cause, before), delay_text(cause, after), label=str(CAUSE_NAMES[cause]))
        for cause in CAUSES
        if (cause in before, before.get(cause)) != (cause in after, after.get(cause))
    ]


def delay_text(cause: str, delays: Mapping[str, int | None]) -> str:
    delay = delays.get(cause, DELAYS[cause])
    if delay is NEVER:
        return str(_l("no retry"))
    return ngettext("%(num)d second", "%(num)d seconds", delay)


register(KIND, TemplateChanges())
