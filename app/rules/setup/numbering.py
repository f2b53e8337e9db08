"""The numbering plan: every extension and public number of a company, who holds it, what is free, what clashes.

The same rules are asked before an edit is saved, when it is applied, and by the provision file.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import sqlalchemy as sa
from phonenumbers import shortnumberinfo
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import FaxEntity, PendingChange
from app.rules.numbers.numbers import national_form, public_form
from app.rules.numbers.policy import judge_voice, policy_of
from app.rules.numbers.pool import given_among, not_given
from app.rules.numbers.routing import entity_for
from app.rules.setup.changes import ADD, REMOVE, Values, overlay, pending
from tenants.models import Tenant, User
from tenants.scope import owned_by

KIND = "entity"
#: A shorter extension is never taken for a public number.
SHORTEST_PUBLIC = 6


@dataclass(frozen=True)
class Line:
    """What a fax entity has of the plan. ``voice`` is where calls of a shared line go that are no fax.
    ``saved`` tells what an administrator has saved and not applied: add or change."""

    name: str
    extension: str
    number: str | None = None
    voice: str | None = None
    entity_id: int | None = None
    change_id: int | None = None
    saved: str = ""
    is_shared: bool = False

    def is_same_as(self, other: "Line") -> bool:
        same_row = self.entity_id is not None and self.entity_id == other.entity_id
        return same_row or (self.entity_id is None and self.change_id is not None and self.change_id == other.change_id)


def lines_of(session: Session, tenant_id: int, *, saved_by: User | None = None) -> list[Line]:
    """The open lines by extension, with what ``saved_by`` has saved as if it were applied."""
    saved = [row for row in pending(session, saved_by) if row.kind == KIND] if saved_by else []
    edits = {row.target_id: row for row in saved if row.act != ADD}
    query = (
        owned_by(FaxEntity, tenant_id)
        .where(FaxEntity.closed_at.is_(None))
        .with_only_columns(
            *(FaxEntity.id, FaxEntity.name, FaxEntity.extension, FaxEntity.number),
            *(FaxEntity.shared_with_voice, FaxEntity.voice_destination),
        )
    )
    lines = [
        line_of(overlay(row._asdict(), edits.get(row.id)), entity_id=row.id, change=edits.get(row.id))
        for row in session.execute(query)
        if row.id not in edits or edits[row.id].act != REMOVE
    ]
    lines += [line_of(row.after, change=row) for row in saved if row.act == ADD]
    return sorted(lines, key=lambda line: (len(line.extension), line.extension, line.name))


def line_of(values: Values, *, entity_id: int | None = None, change: PendingChange | None = None) -> Line:
    is_shared = bool(values.get("shared_with_voice"))
    return Line(
        values["name"],
        values["extension"],
        values.get("number"),
        (values.get("voice_destination") or None) if is_shared else None,
        entity_id,
        change.id if change else None,
        change.act if change else "",
        is_shared,
    )


# ---- What clashes


@dataclass(frozen=True)
class Elsewhere:
    """What others have to do with our numbers: those that other companies hold, those that they lead calls to, and
    those that the operator has given to us."""

    held: frozenset[str]
    led_to: frozenset[str]
    given: frozenset[str]


def elsewhere_of(session: Session, tenant: Tenant, lines: Iterable[Line]) -> Elsewhere:
    numbers = {line.number for line in lines if line.number}
    forms = {form: number for number in numbers for form in _forms(number, tenant)}
    if not numbers:
        return Elsewhere(frozenset(), frozenset(), frozenset())
    theirs = sa.select(FaxEntity.number).where(FaxEntity.tenant_id != tenant.id, FaxEntity.closed_at.is_(None))
    held = session.scalars(theirs.where(FaxEntity.number.in_(numbers)))
    voices = theirs.with_only_columns(FaxEntity.voice_destination)
    led = session.scalars(voices.where(FaxEntity.voice_destination.in_(forms), FaxEntity.shared_with_voice))
    given = given_among(session, tenant.id, numbers)
    led_to = frozenset(forms[voice] for voice in led if voice)
    return Elsewhere(frozenset(number for number in held if number), led_to, frozenset(given))


def _forms(number: str, tenant: Tenant) -> set[str]:
    return {number, number[1:], f"00{number[1:]}", national_form(number, tenant)}


def clashes(
    session: Session, tenant: Tenant, line: Line, others: Sequence[Line], elsewhere: Elsewhere | None = None
) -> dict[str, Refused]:
    """What of the line somebody else has already, or was never given to the company, by field; ``others`` may hold the
    line itself."""
    elsewhere = elsewhere or elsewhere_of(session, tenant, [line])
    faults: dict[str, Refused] = {}
    for other in others:
        if other.is_same_as(line):
            continue
        if other.name.casefold() == line.name.casefold():
            faults["name"] = Refused("entity_name_taken", field="name")
        if other.extension == line.extension:
            faults["extension"] = Refused("extension_taken", field="extension", number=line.extension, name=other.name)
        if line.number and other.number == line.number:
            faults["number"] = Refused("number_taken", field="number", number=line.number, name=other.name)
    if line.number in elsewhere.held:
        faults.setdefault("number", Refused("number_taken_elsewhere", field="number", number=line.number))
    elif line.number and line.number not in elsewhere.given:
        faults.setdefault("number", not_given(session, tenant.id, line.number))
    return faults


def misleading(
    session: Session, tenant: Tenant, line: Line, others: Sequence[Line], elsewhere: Elsewhere | None = None
) -> dict[str, Refused]:
    """What of the line would lead calls astray, by field: emergency numbers, circles between fax lines."""
    everyone = [other for other in others if not other.is_same_as(line)] + [line]
    faults = [_bad_extension(tenant, line), bad_voice(session, tenant, line, everyone)]
    elsewhere = elsewhere or elsewhere_of(session, tenant, [line])
    return {fault.field or "form": fault for fault in faults if fault} | _led_here(tenant, line, everyone, elsewhere)


def _bad_extension(tenant: Tenant, line: Line) -> Refused | None:
    if shortnumberinfo.is_emergency_number(line.extension, tenant.region):
        return Refused("extension_emergency", field="extension", number=line.extension)
    if len(line.extension) >= SHORTEST_PUBLIC and public_form(line.extension, tenant.region):
        return Refused("extension_public", field="extension", number=line.extension)
    return None


def bad_voice(session: Session, tenant: Tenant, line: Line, everyone: Sequence[Line]) -> Refused | None:
    """A call that is no fax must not come back to a fax line: it would be dialled again for ever."""
    if not line.voice:
        return None
    if fault := judge_voice(policy_of(session), line.voice, tenant):
        return fault
    leads_to_fax = any(_leads_to(line.voice, other, tenant) for other in everyone)
    if not leads_to_fax:
        found = entity_for(session, line.voice)
        leads_to_fax = found is not None and found.tenant_id != tenant.id  # the own ones were looked at as wanted
    return Refused("voice_is_fax_line", field="voice_destination", number=line.voice) if leads_to_fax else None


def _leads_to(dialled: str, line: Line, tenant: Tenant) -> bool:
    return dialled == line.extension or bool(line.number and line.number in _read_as(dialled, tenant.region))


def _read_as(dialled: str, region: str) -> set[str]:
    whole = f"+{dialled.removeprefix('+').removeprefix('00')}"
    return {dialled, whole, public_form(dialled, region) or whole}


def _led_here(tenant: Tenant, line: Line, everyone: Sequence[Line], elsewhere: Elsewhere) -> dict[str, Refused]:
    """The other side of the same rule: a shared line's calls that are no fax go to what would be a fax line now."""
    for other in everyone:
        if other.voice and other is not line and _leads_to(other.voice, line, tenant):
            field = "extension" if other.voice == line.extension else "number"
            return {field: Refused("number_is_voice", field=field, number=getattr(line, field), name=other.name)}
    if line.number in elsewhere.led_to:
        return {"number": Refused("number_is_voice_elsewhere", field="number", number=line.number)}
    return {}


# ---- The whole plan


@dataclass(frozen=True)
class Gap:
    """Numbers between two that are held: nobody has them."""

    first: str
    last: str
    count: int


@dataclass(frozen=True)
class Conflict:
    line: Line
    field: str
    fault: Refused


@dataclass(frozen=True)
class Plan:
    lines: list[Line]
    free_extensions: list[Gap]
    free_numbers: list[Gap]
    conflicts: list[Conflict]


def plan_of(session: Session, tenant: Tenant, user: User) -> Plan:
    """With what this administrator has saved as if it were applied."""
    lines = lines_of(session, tenant.id, saved_by=user)
    conflicts = list(_conflicts(session, tenant, lines))
    extensions, numbers = (line.extension for line in lines), (line.number for line in lines if line.number)
    return Plan(lines, gaps(extensions), gaps(numbers), conflicts)


def _conflicts(session: Session, tenant: Tenant, lines: Sequence[Line]) -> Iterator[Conflict]:
    elsewhere = elsewhere_of(session, tenant, lines)
    for line in lines:
        faults = misleading(session, tenant, line, lines, elsewhere) | clashes(session, tenant, line, lines, elsewhere)
        yield from (Conflict(line, field, fault) for field, fault in faults.items())


def gaps(held: Iterable[str]) -> list[Gap]:
    """What lies between the lowest and the highest of each block: numbers of one length that differ in the last three
    digits only, as blocks are handed out."""
    blocks: dict[tuple[str, int], set[int]] = defaultdict(set)
    for text in held:
        head = text[:-3]
        blocks[(head, len(text) - len(head))].add(int(text[len(head) :]))
    found = []
    for (head, width), values in sorted(blocks.items()):
        order = sorted(values)
        for low, high in pairwise(order):
            if high - low > 1:
                first, last = (f"{head}{value:0{width}}" for value in (low + 1, high - 1))
                found.append(Gap(first, last, high - low - 1))
    return found
