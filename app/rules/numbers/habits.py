"""How each trunk writes numbers, as the operator has set it: what a call that came over it means."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import CallerForm, Trunk
from app.rules.ground.trunks import enabled, trunk_by_name, trunks
from app.rules.numbers.called import SIGNS, trunk_in
from tenants.models import Tenant


@dataclass(frozen=True)
class Habits:
    """``regions``: by whose rules numbers without a country code are read, the trunk's own country's or each company's;
    ``area``: an area code that it leaves out, or empty; ``company_id``: whose telephone system it is, so that an
    extension alone is one of that company; ``order`` what names the called number; ``caller_form`` how it writes the
    caller's."""

    regions: Sequence[str]
    area: str = ""
    company_id: int | None = None
    order: Sequence[str] = SIGNS
    caller_form: CallerForm = CallerForm.USUAL


def first_trunk(session: Session) -> Trunk | None:
    """The one that is used before all others; None before any is known."""
    return next(iter(trunks(session)), None)


def trunk_called(session: Session, name: str) -> Trunk | None:
    """The one of that name, else the first one."""
    return (trunk_by_name(session, name) if name else None) or first_trunk(session)


def habits_for(session: Session, called: str) -> Habits:
    """Those of the trunk that a call came over; ``called`` is as Asterisk told it."""
    return habits_of(session, trunk_called(session, trunk_in(called)))


def habits_of(session: Session, trunk: Trunk | None) -> Habits:
    row = trunk or Trunk()
    regions = [row.region] if row.region else session.scalars(sa.select(Tenant.region).distinct()).all()
    form = row.caller_form or CallerForm.USUAL
    return Habits(regions, row.area or "", row.company_id, row.called_order or SIGNS, CallerForm(form))


def all_habits(session: Session) -> list[Habits]:
    """Of every trunk that calls may come over, the first one first."""
    return [habits_of(session, trunk) for trunk in enabled(session)] or [habits_of(session, None)]


def orders(session: Session) -> dict[str, tuple[str, ...]]:
    """What names the called number, by the name of each trunk that calls may come over."""
    return {trunk.name: tuple(trunk.called_order or SIGNS) for trunk in enabled(session)}


def first_region(session: Session) -> str | None:
    """The country by whose rules the first trunk writes numbers without a country code; None if each company's are
    tried."""
    trunk = first_trunk(session)
    return trunk.region if trunk else None
