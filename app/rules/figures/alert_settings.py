"""When a company's administrators are warned by mail (:mod:`app.rules.figures.alerts`): what may be set, and what is
wrong."""

from collections.abc import Mapping

from app.errors import Refused
from app.whole_numbers import read_whole
from tenants.models import Tenant

#: Field → least and most. 0 percent, and 0 minutes, are never.
BOUNDS = {"alert_failed_percent": (0, 100), "alert_failed_of": (3, 100), "alert_stuck_minutes": (0, 1440)}


def alert_settings_of(tenant: Tenant) -> dict[str, int]:
    return {name: getattr(tenant, name) for name in BOUNDS}


def judge_alert_settings(typed: Mapping[str, str]) -> tuple[dict[str, int], dict[str, Refused]]:
    """The numbers, and what is wrong by field."""
    numbers, faults = {}, {}
    for name, (least, most) in BOUNDS.items():
        text = typed.get(name, "").strip()
        if (number := read_whole(text, least=least, most=most)) is not None:
            numbers[name] = number
        else:
            faults[name] = Refused("template_number", field=name, least=least, most=most)
    return numbers, faults


def set_alerts(tenant: Tenant, numbers: dict[str, int]) -> None:
    """They hold from the next look on, within a minute or two."""
    for name in BOUNDS:
        setattr(tenant, name, numbers[name])
