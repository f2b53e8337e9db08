"""What a number has shown to a company's faxes, and what follows from it for its next call."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.models import Attempt, Destination, Fax, FaxTemplate, Origin
from app.rules.ground.call_ends import DROPPED, FAILED, MEDIA, NETWORK, STALLED
from app.rules.sending.ladder import (
    AUDIO,
    T38,
    USUAL_PACKET,
    Memory,
    Shown,
    Tried,
    Way,
    is_standard_only,
    kept_rate,
    next_way,
)
from tenants.db import rows_changed
from tenants.models import Tenant

#: A machine may be replaced, a carrier may mend its T.38: then all is tried anew.
BELIEVED = timedelta(days=30)
#: What is kept of a number beside when it was learned.
KEPT = ("t38", "rate", "ecm", "standard_only", "station_id", "trunk_id")
#: Ends that say something of a trunk on the way to this number, if it has answered at all. What keeps one from all
#: numbers is known of the trunk (:mod:`app.rules.sending.trunks.trouble`), and who was busy has said nothing of it.
FAILED_THERE = (FAILED, DROPPED, STALLED, MEDIA, NETWORK)


def wish_of(template: FaxTemplate) -> Way:
    return Way(template.t38, kept_rate(template.max_rate), template.ecm)


# ---- Before a call


def note_ways(session: Session, attempts: Sequence[Attempt], now: datetime) -> None:
    """Write down how these calls are to go, before they are placed. The caller commits."""
    tried, shown = _tried(session, attempts), _shown(session, attempts, now)
    for attempt in attempts:
        way, number = wish_of(attempt.fax.entity.template), _dialled(attempt)
        if attempt.fax.origin != Origin.TEST:  # it is to show how the template's own way works
            way = next_way(way, shown.get((attempt.tenant_id, number)), tried[attempt.fax_id, number])
        t38_is_allowed = attempt.trunk is None or attempt.trunk.t38
        attempt.asked_t38, attempt.asked_rate, attempt.asked_ecm = way.t38 and t38_is_allowed, way.rate, way.ecm
        attempt.asked_standard, attempt.asked_packet = way.standard, way.packet


def way_of(attempt: Attempt) -> Way:
    """How it was to go."""
    return _way(attempt) or wish_of(attempt.fax.entity.template)


def _way(attempt: Attempt) -> Way | None:
    t38, rate, ecm = attempt.asked_t38, attempt.asked_rate, attempt.asked_ecm
    if t38 is None or rate is None or ecm is None:
        return None
    return Way(t38, rate, ecm, bool(attempt.asked_standard), attempt.asked_packet or USUAL_PACKET)


def _dialled(attempt: Attempt) -> str:
    return attempt.dialled or attempt.fax.dial_string or ""


def _tried(session: Session, attempts: Sequence[Attempt]) -> dict[tuple[str, str], list[Tried]]:
    """Fax and number → the calls of it that are over, in order."""
    found = defaultdict[tuple[str, str], list[Tried]](list)
    again = {attempt.fax_id: attempt.fax.dial_string or "" for attempt in attempts if attempt.n > 1}
    if not again:
        return found
    earlier = sa.select(Attempt).where(Attempt.fax_id.in_(again), Attempt.ended_at.is_not(None))
    for attempt in session.scalars(earlier.order_by(Attempt.fax_id, Attempt.n)):
        found[attempt.fax_id, attempt.dialled or again[attempt.fax_id]].append(_as_tried(attempt))
    return found


def _as_tried(attempt: Attempt) -> Tried:
    pages, error = attempt.pages_confirmed, attempt.error or ""
    return Tried(_way(attempt), attempt.outcome or "", attempt.mode, pages, error)


def _shown(session: Session, attempts: Sequence[Attempt], now: datetime) -> dict[tuple[int, str], Memory]:
    """Company and number → what it has shown."""
    mine = (
        Destination.tenant_id.in_({attempt.tenant_id for attempt in attempts}),
        Destination.number.in_({_dialled(attempt) for attempt in attempts}),
    )
    rows = session.scalars(sa.select(Destination).where(*mine, _is_believed(now)))
    return {(row.tenant_id, row.number): _memory(row) for row in rows}


def _memory(row: Destination) -> Memory:
    return Memory(row.t38, row.rate, row.ecm, row.standard_only)


def _is_believed(now: datetime) -> sa.ColumnElement[bool]:
    return Destination.learned_at > now - BELIEVED


# ---- After a call


def learn(session: Session, attempt: Attempt, fax: Fax, now: datetime) -> None:
    """What this call says of the number. Only what got through proves anything, and that a machine has refused the
    resolution. The caller commits."""
    number = attempt.dialled or fax.dial_string
    if fax.origin == Origin.TEST or not number:
        return
    known = destination_of(session, fax.tenant_id, number, now)
    before = _kept(known)
    told = before | _told(session, attempt, fax)
    if told == before:
        return
    is_new = known is None or any(told[name] != before[name] for name in KEPT if name != "station_id")
    _keep(session, fax.tenant_id, number, told, now if is_new or known is None else known.learned_at)


def _kept(known: Destination | None) -> dict[str, Any]:
    if known is None:
        return {**dict.fromkeys(KEPT), "standard_only": False}
    return {name: getattr(known, name) for name in KEPT}


def _told(session: Session, attempt: Attempt, fax: Fax) -> dict[str, Any]:
    if is_standard_only(attempt.error):
        return {"standard_only": True}
    return _proved(session, attempt, fax) if attempt.pages_confirmed else {}


def _proved(session: Session, attempt: Attempt, fax: Fax) -> dict[str, Any]:
    way, wish = way_of(attempt), wish_of(fax.entity.template)
    told: dict[str, Any] = {}
    if attempt.mode == T38:
        told["t38"] = Shown.WORKS.value
    elif attempt.mode == AUDIO and way.t38:
        told["t38"] = Shown.IN_VAIN.value
    elif attempt.mode == AUDIO and _t38_came_to_nothing(session, attempt, fax):
        told["t38"] = Shown.FAILS.value
    if attempt.outcome == "success":
        told |= {"rate": way.rate, "ecm": True if way.ecm else None} if _was_changed(way, wish) else {}
    if _found_its_way(session, attempt, fax):
        told["trunk_id"] = attempt.trunk_id
    if attempt.remote_station_id:
        told["station_id"] = attempt.remote_station_id
    return told


def _found_its_way(session: Session, attempt: Attempt, fax: Fax) -> bool:
    """All has arrived by this call, and one of the same fax to the same number had failed over another trunk."""
    is_whole = attempt.outcome == "success" and attempt.first_page - 1 + attempt.pages_confirmed >= (fax.pages or 0)
    if not is_whole or attempt.trunk_id is None or attempt.n == 1:
        return False
    failed = sa.select(Attempt.id).where(Attempt.fax_id == fax.id, Attempt.outcome.in_(FAILED_THERE))
    over_another = failed.where(Attempt.trunk_id != attempt.trunk_id, Attempt.response.is_not(None))
    elsewhere = over_another.where(Attempt.dialled.is_not_distinct_from(attempt.dialled))
    return session.scalar(elsewhere.limit(1)) is not None


def _was_changed(way: Way, wish: Way) -> bool:
    return (way.rate, way.ecm) != (wish.rate, wish.ecm)


def _t38_came_to_nothing(session: Session, attempt: Attempt, fax: Fax) -> bool:
    number = attempt.dialled or fax.dial_string or ""
    earlier = _tried(session, [attempt])[fax.id, number]
    return any(call.came_to_nothing_by_t38 for call in earlier)


def _keep(session: Session, tenant_id: int, number: str, told: dict[str, Any], learned_at: datetime) -> None:
    values = {"learned_at": learned_at, **told}
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(Destination).values(tenant_id=tenant_id, number=number, **values)
    session.execute(row.on_conflict_do_update(index_elements=["tenant_id", "number"], set_=values))


def best_trunk(session: Session, fax: Fax, now: datetime) -> int | None:
    """The id of the trunk that got through to its number where another one had not."""
    if fax.origin == Origin.TEST:
        return None
    known = destination_of(session, fax.tenant_id, fax.redirected_to or fax.dial_string or "", now)
    return known.trunk_id if known else None


# ---- For people


def destination_of(session: Session, tenant_id: int, number: str, now: datetime) -> Destination | None:
    """As long as it is believed."""
    mine = (Destination.tenant_id == tenant_id, Destination.number == number)
    return session.scalar(sa.select(Destination).where(*mine, _is_believed(now)))


def forget_destination(session: Session, tenant: Tenant, number: str) -> bool:
    """All is tried anew. The caller commits."""
    mine = (Destination.tenant_id == tenant.id, Destination.number == number)
    return rows_changed(session, sa.delete(Destination).where(*mine)) == 1


def forget_old(session: Session, now: datetime) -> int:
    """What is not believed any more. The caller commits."""
    return rows_changed(session, sa.delete(Destination).where(~_is_believed(now)))
