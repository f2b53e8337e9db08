"""Fax entities: what may be entered for one, who may use it, and how an edit of one is applied."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.dialled import VOICE_DESTINATION
from app.errors import Refused
from app.models import (
    Authentication,
    Direction,
    Fax,
    FaxEntity,
    FaxTemplate,
    Grant,
    Mail2FaxBox,
    PendingChange,
    ReceivedMail,
    Status,
)
from app.models.faxes.moves import ON_THE_LINE, WAITING
from app.models.setup.entity import FAX_AFTER
from app.rules.numbers.numbers import public_form, shown_number
from app.rules.numbers.policy import bare
from app.rules.setup.changes import (
    ADD,
    CHANGE,
    REMOVE,
    Applied,
    ChangeHandler,
    Difference,
    Values,
    register,
    secrets_of,
)
from app.rules.setup.fax_settings import MOST_CALLS
from app.rules.setup.licence import claim_channel
from app.rules.setup.numbering import KIND, Line, clashes, line_of, lines_of, misleading
from app.whole_numbers import read_whole
from tenants.db import utc_now
from tenants.models import EmailAddress, Tenant, User
from tenants.people import account_state
from tenants.scope import get_owned, owned_by

NAME_LENGTH = 100
#: Seconds that a telephone rings before the call is a fax: two rings, and what two digits say.
SHORTEST_RINGING, LONGEST_RINGING = 10, 90
EXTENSION = re.compile(r"[0-9]{1,16}")
PIN = re.compile(r"[0-9A-Za-z]{4,32}")
#: A fax in one of these still needs its line.
UNDER_WAY = (Status.ACCEPTED, Status.PREPARING, *WAITING, *ON_THE_LINE)
#: What says nothing about a new line.
USUAL = (None, "", 0, False, Authentication.NONE, ReceivedMail.ATTACHED)
#: What a permission is, as it is kept in a saved change.
GRANT = "grant:"
BOTH, SEND, RECEIVE, NONE = "both", "send", "receive", ""


@dataclass(frozen=True)
class EntityDetails:
    """As typed; an empty ``pin`` leaves the one that is kept."""

    name: str = ""
    extension: str = ""
    number: str = ""
    template: str = ""
    limit_outbound: str = "0"
    shared_with_voice: bool = False
    voice_destination: str = ""
    fax_after: str = str(FAX_AFTER)
    box: str = ""
    authentication: str = Authentication.NONE
    pin: str = ""
    encryption_required: bool = False
    received_mail: str = ReceivedMail.ATTACHED


#: What a saved change holds beside the permissions: all but the secret.
FIELDS = tuple(field.name for field in fields(EntityDetails) if field.name != "pin")


def values_of(entity: FaxEntity) -> Values:
    """The fields as they are kept."""
    same = ("name", "extension", "number", "limit_outbound", "shared_with_voice", "voice_destination", "fax_after")
    values = {name: getattr(entity, name) for name in same}
    values |= {"template": entity.template_id, "box": entity.box_id, "authentication": str(entity.authentication)}
    return values | {"encryption_required": entity.encryption_required, "received_mail": str(entity.received_mail)}


def details_of(values: Values, tenant: Tenant) -> EntityDetails:
    """As the form shows them."""
    texts: dict[str, Any] = {name: "" if values.get(name) is None else str(values[name]) for name in FIELDS}
    flags = {name: bool(values.get(name)) for name in ("shared_with_voice", "encryption_required")}
    return EntityDetails(**(texts | flags | {"number": shown_number(values.get("number"), tenant)}))


# ---- What may be entered


def judge_entity(
    session: Session,
    tenant: Tenant,
    details: EntityDetails,
    *,
    others: list[Line],
    entity_id: int | None = None,
    change_id: int | None = None,
    has_pin: bool = False,
) -> tuple[Values, dict[str, Refused]]:
    """The fields as they would be kept, and what is wrong with them. ``others`` are all lines as they are wanted."""
    values, faults = read_entity(tenant, details)
    line = Line(
        values["name"],
        values["extension"],
        values["number"],
        values["voice_destination"],
        entity_id,
        change_id,
    )
    for field, fault in (misleading(session, tenant, line, others) | clashes(session, tenant, line, others)).items():
        faults.setdefault(field, fault)
    for field, fault in _judge_parts(session, tenant, values, has_pin=has_pin or bool(details.pin)).items():
        faults.setdefault(field, fault)
    return values, faults


def read_entity(tenant: Tenant, details: EntityDetails) -> tuple[Values, dict[str, Refused]]:
    """The fields as they would be kept, and which of them cannot be read, whatever other lines there are."""
    found = {
        "name": judge_name(details.name),
        "extension": judge_extension(details.extension),
        "limit_outbound": _judge_limit(details.limit_outbound),
        "fax_after": _judge_fax_after(details.fax_after) if details.shared_with_voice else None,
        "pin": None if not details.pin or PIN.fullmatch(details.pin) else Refused("pin_unreadable", field="pin"),
        "authentication": None if details.authentication in set(Authentication) else Refused("authentication_unknown"),
    }
    received_mail = details.received_mail or ReceivedMail.ATTACHED
    if received_mail not in set(ReceivedMail):
        found["received_mail"] = Refused("received_mail_unknown", field="received_mail")
    number = public_form(details.number, tenant.region) if details.number else None
    if details.number and number is None:
        found["number"] = Refused("public_number_invalid", field="number")
    voice = bare(details.voice_destination) if details.shared_with_voice else ""
    if voice and not VOICE_DESTINATION.fullmatch(voice):
        found["voice_destination"] = Refused("voice_unreadable", field="voice_destination")
    values = {
        "name": details.name,
        "extension": details.extension,
        "number": number,
        "template": read_whole(details.template),
        "limit_outbound": 0 if found["limit_outbound"] else int(details.limit_outbound or 0),
        "shared_with_voice": details.shared_with_voice,
        "voice_destination": voice or None,
        "fax_after": FAX_AFTER if found["fax_after"] or not details.shared_with_voice else _seconds(details.fax_after),
        "box": read_whole(details.box),
        "authentication": str(details.authentication) if details.box else str(Authentication.NONE),
        "encryption_required": details.encryption_required and bool(details.box),
        "received_mail": str(received_mail),
    }
    return values, {field: fault for field, fault in found.items() if fault}


def judge_name(name: str) -> Refused | None:
    if not name:
        return Refused("entity_name_missing", field="name")
    fine = len(name) <= NAME_LENGTH and name.isprintable()
    return None if fine else Refused("name_too_long", field="name", limit=NAME_LENGTH)


def judge_extension(extension: str) -> Refused | None:
    return None if EXTENSION.fullmatch(extension) else Refused("extension_unreadable", field="extension")


def _judge_limit(text: str) -> Refused | None:
    fine = not text or read_whole(text, most=MOST_CALLS) is not None
    return None if fine else Refused("limit_unreadable", field="limit_outbound", limit=MOST_CALLS)


def _judge_fax_after(text: str) -> Refused | None:
    seconds = _seconds(text)
    fine = seconds == 0 or (seconds is not None and SHORTEST_RINGING <= seconds <= LONGEST_RINGING)
    values = {"least": SHORTEST_RINGING, "most": LONGEST_RINGING}
    return None if fine else Refused("fax_after_unreadable", field="fax_after", **values)


def _seconds(text: str) -> int | None:
    return read_whole(text, most=LONGEST_RINGING) if text else FAX_AFTER


def _judge_parts(session: Session, tenant: Tenant, values: Values, *, has_pin: bool) -> dict[str, Refused]:
    """Template and box are the company's own, and what a mail has to prove can be proved."""
    faults: dict[str, Refused] = {}
    if not values["template"] or get_owned(session, FaxTemplate, values["template"], tenant.id) is None:
        faults["template"] = Refused("entity_template_missing", field="template")
    box = get_owned(session, Mail2FaxBox, values["box"], tenant.id) if values["box"] else None
    if values["box"] and box is None:
        faults["box"] = Refused("box_missing", field="box")
    if values["authentication"] == Authentication.PIN and not has_pin:
        faults["pin"] = Refused("pin_missing", field="pin")
    if values["encryption_required"] and box and not box.private_key:
        faults["encryption_required"] = Refused("box_without_key", field="encryption_required", name=box.name)
    return faults


# ---- Who may use it


@dataclass(frozen=True)
class Member:
    """A user of the company as the grid of permissions lists them."""

    id: int
    name: str
    email: str
    role: str
    state: str


def members_of(session: Session, tenant_id: int) -> list[Member]:
    """All of the company's users by name, those whose account is closed too."""
    query = (
        sa.select(User.id, User.name, EmailAddress.address, User.role, account_state)
        .join(EmailAddress, User.address_id == EmailAddress.id)
        .where(User.tenant_id == tenant_id)
        .order_by(sa.func.lower(User.name), User.id)
    )
    return [Member(*row) for row in session.execute(query)]


def grants_of(session: Session, tenant_id: int, entity_id: int) -> dict[int, str]:
    """User → send, receive or both; nobody who may do neither."""
    query = owned_by(Grant, tenant_id).where(Grant.entity_id == entity_id)
    rows = session.execute(query.with_only_columns(Grant.user_id, Grant.may_send, Grant.may_receive))
    found = {user_id: permission(sends, receives) for user_id, sends, receives in rows}
    return {user_id: may for user_id, may in found.items() if may}


def permission(sends: bool, receives: bool) -> str:
    return BOTH if sends and receives else SEND if sends else RECEIVE if receives else NONE


def grant_fields(grants: dict[int, str]) -> Values:
    return {f"{GRANT}{user_id}": may for user_id, may in grants.items()}


def grants_in(values: Values) -> dict[int, str]:
    """The permissions that a set of fields holds."""
    return {int(name.removeprefix(GRANT)): may for name, may in values.items() if name.startswith(GRANT)}


# ---- The list


@dataclass(frozen=True)
class Listed:
    """One line of the list: as it is, or as it is saved; ``sends`` and ``receives`` count users."""

    values: Values
    entity_id: int | None
    change: PendingChange | None
    template: str
    box: str
    sends: int
    receives: int


def list_entities(session: Session, tenant: Tenant, changes: list[PendingChange]) -> list[Listed]:
    """The open ones by name, with what ``changes`` say of them, and those that are only saved yet."""
    mine = [row for row in changes if row.kind == KIND]
    edits = {row.target_id: row for row in mine if row.act != ADD}
    templates, boxes = names_of(session, FaxTemplate, tenant.id), names_of(session, Mail2FaxBox, tenant.id)
    counts = _grant_counts(session, tenant.id)
    query = owned_by(FaxEntity, tenant.id).where(FaxEntity.closed_at.is_(None))
    found: list[tuple[int | None, Values, PendingChange | None]] = [
        (entity.id, values_of(entity), edits.get(entity.id)) for entity in session.scalars(query)
    ]
    found += [(None, row.after, row) for row in mine if row.act == ADD]

    def listed(entity_id: int | None, values: Values, change: PendingChange | None) -> Listed:
        wanted = values | (change.after if change and change.act == CHANGE else {})
        sends, receives = counts.get(entity_id, (0, 0))
        moved = change.after if change else {}
        for user_id, may in grants_in(moved).items():
            before = (change.before if change else {}).get(f"{GRANT}{user_id}") or NONE
            sends += (may in (SEND, BOTH)) - (before in (SEND, BOTH))
            receives += (may in (RECEIVE, BOTH)) - (before in (RECEIVE, BOTH))
        template, box = templates.get(wanted.get("template"), ""), boxes.get(wanted.get("box"), "")
        return Listed(wanted, entity_id, change, template, box, sends, receives)

    return sorted((listed(*row) for row in found), key=lambda row: row.values["name"].casefold())


def names_of(session: Session, model: type[FaxTemplate] | type[Mail2FaxBox], tenant_id: int) -> dict[int | None, str]:
    """By name."""
    query = owned_by(model, tenant_id).with_only_columns(model.id, model.name).order_by(model.name)
    return {row.id: row.name for row in session.execute(query)}


def _grant_counts(session: Session, tenant_id: int) -> dict[int | None, tuple[int, int]]:
    def count(may: Any) -> Any:
        return sa.func.coalesce(sa.func.sum(sa.case((may, 1), else_=0)), 0)

    query = sa.select(Grant.entity_id, count(Grant.may_send), count(Grant.may_receive))
    rows = session.execute(query.where(Grant.tenant_id == tenant_id).group_by(Grant.entity_id))
    return {entity_id: (sends, receives) for entity_id, sends, receives in rows}


def get_open(session: Session, tenant_id: int, entity_id: int | None) -> FaxEntity | None:
    """A closed one is as one that does not exist."""
    query = owned_by(FaxEntity, tenant_id).where(FaxEntity.id == entity_id, FaxEntity.closed_at.is_(None))
    return session.scalar(query)


def open_by_name(session: Session, tenant_id: int, name: str) -> FaxEntity | None:
    return session.scalar(owned_by(FaxEntity, tenant_id).where(FaxEntity.name == name, FaxEntity.closed_at.is_(None)))


def faxes_under_way(session: Session, tenant_id: int, entity_id: int) -> int:
    """Faxes that still have to go out from this line."""
    waiting = sa.select(sa.func.count()).where(
        Fax.tenant_id == tenant_id,
        Fax.direction == Direction.SENT,
        Fax.status.in_(UNDER_WAY),
        Fax.entity_id == entity_id,
    )
    return session.scalar(waiting) or 0


# ---- Applying


def release_entity(entity: FaxEntity, wanted: Values) -> None:
    """Give up what it will not have any more, so that another line may take it: names, extensions and numbers."""
    for name, nobodys in (("name", f"~{entity.id}"), ("extension", f"~{entity.id}"), ("number", None)):
        if name in wanted and wanted[name] != getattr(entity, name):
            setattr(entity, name, nobodys)


def put_entity(session: Session, entity: FaxEntity, values: Values, *, pin: str = "") -> None:
    """Bring a line, new or not, to these judged values. An empty ``pin`` leaves the one that is kept. The tenant is
    locked, the caller commits."""
    for name in ("name", "extension", "number", "limit_outbound", "shared_with_voice", "voice_destination"):
        setattr(entity, name, values[name])
    entity.fax_after = values.get("fax_after", FAX_AFTER)  # as below
    entity.template_id, entity.box_id = values["template"], values["box"]
    entity.authentication, entity.encryption_required = values["authentication"], values["encryption_required"]
    entity.received_mail = values.get("received_mail", ReceivedMail.ATTACHED)  # a change saved by an earlier version
    if pin:
        entity.pin = pin
    if entity.authentication != Authentication.PIN:
        entity.pin = None
    session.add(entity)
    session.flush()


class EntityChanges(ChangeHandler):
    removed = "closed"

    def current(self, session: Session, tenant: Tenant, target_id: int) -> Values | None:
        entity = get_open(session, tenant.id, target_id)
        return values_of(entity) | grant_fields(grants_of(session, tenant.id, entity.id)) if entity else None

    def release(self, session: Session, tenant: Tenant, change: PendingChange) -> None:
        """Two lines may exchange their extensions. What does not change stays where it is."""
        if change.act == CHANGE:
            release_entity(_demanded(session, tenant, change), change.after)

    def apply(self, session: Session, tenant: Tenant, change: PendingChange, *, by: User) -> Applied:
        if change.act == REMOVE:
            return _close(session, tenant, change)
        before, after = self._audited(session, tenant, change)
        if change.act == ADD:
            claim_channel(session, tenant.id)
            entity, values = FaxEntity(tenant_id=tenant.id), change.after
        else:
            entity = _demanded(session, tenant, change)
            values = _as_before_release(entity, change) | change.after
        _demand_free(session, tenant, values, entity)
        put_entity(session, entity, values, pin=secrets_of(change).get("pin", ""))
        put_grants(session, tenant, entity, grants_in(change.after))
        return Applied(str(change.before.get("name") or values["name"]), before, after)

    def judge(self, session: Session, tenant: Tenant, change: PendingChange) -> None:
        if change.act == REMOVE:
            return
        lines = lines_of(session, tenant.id)
        line = next(line for line in lines if _is_of(line, change))
        entity = get_open(session, tenant.id, line.entity_id)
        if entity is None:
            raise Refused("change_gone")
        faults = misleading(session, tenant, line, lines)
        faults |= _judge_parts(session, tenant, values_of(entity), has_pin=bool(entity.pin))
        if faults:
            raise next(iter(faults.values()))

    def title(self, session: Session, tenant: Tenant, change: PendingChange) -> str:
        if change.act == ADD:
            return str(change.after["name"])
        name = owned_by(FaxEntity, tenant.id).where(FaxEntity.id == change.target_id)
        return session.scalar(name.with_only_columns(FaxEntity.name)) or "–"

    def differences(self, session: Session, tenant: Tenant, change: PendingChange) -> list[Difference]:
        templates, boxes = names_of(session, FaxTemplate, tenant.id), names_of(session, Mail2FaxBox, tenant.id)
        read: dict[str, Callable[[Any], Any]] = {
            "template": lambda key: templates.get(key, "–") if key else None,
            "box": lambda key: boxes.get(key, "–") if key else None,
            "number": lambda number: shown_number(number, tenant) or None,
        }
        plain = [name for name in FIELDS if name in change.before or name in change.after]
        if change.act == ADD:  # what is left as it usually is says nothing
            plain = [name for name in plain if not _is_usual(name, change.after[name])]
        found = []
        for name in plain:
            show = read.get(name, lambda value: value)
            found.append(Difference(name, show(change.before.get(name)), show(change.after.get(name))))
        found += [Difference(name, None, "changed") for name in secrets_of(change)]
        return found + _grant_differences(session, tenant, change)

    def _audited(self, session: Session, tenant: Tenant, change: PendingChange) -> tuple[Values | None, Values]:
        shown = self.differences(session, tenant, change)
        plain = [found for found in shown if not found.label]
        before, after = {d.field: d.before for d in plain}, {d.field: d.after for d in plain}
        emails = {member.id: member.email for member in members_of(session, tenant.id)}
        for word, kinds in (("send", (SEND, BOTH)), ("receive", (RECEIVE, BOTH))):
            lists = [
                sorted(emails[user] for user, may in grants_in(values).items() if may in kinds and user in emails)
                for values in (change.before, change.after)
            ]
            if lists[0] != lists[1]:
                before[word], after[word] = lists
        return (None if change.act == ADD else before), after


def _is_usual(name: str, value: object) -> bool:
    return value in USUAL or (name, value) == ("fax_after", FAX_AFTER)


def _demanded(session: Session, tenant: Tenant, change: PendingChange) -> FaxEntity:
    entity = get_open(session, tenant.id, change.target_id)
    if entity is None:
        raise Refused("change_gone")
    return entity


def _as_before_release(entity: FaxEntity, change: PendingChange) -> Values:
    return values_of(entity) | {name: value for name, value in change.before.items() if name in FIELDS}


def _is_of(line: Line, change: PendingChange) -> bool:
    if change.act == ADD:
        return bool(line.extension == change.after["extension"])
    return line.entity_id == change.target_id


def _demand_free(session: Session, tenant: Tenant, values: Values, entity: FaxEntity) -> None:
    with session.no_autoflush:
        line = line_of(values, entity_id=entity.id)
        faults = clashes(session, tenant, line, lines_of(session, tenant.id))
    if faults:
        raise next(iter(faults.values()))


def put_grants(session: Session, tenant: Tenant, entity: FaxEntity, wanted: dict[int, str]) -> None:
    """Give the users named exactly what is wanted; the others keep what they have.

    Raises:
        Refused: ``change_gone``: one of them is no user of the company.
    """
    if not wanted:
        return
    users = owned_by(User, tenant.id).where(User.id.in_(wanted)).with_only_columns(User.id)
    if set(session.scalars(users)) != set(wanted):
        raise Refused("change_gone")
    query = owned_by(Grant, tenant.id).where(Grant.entity_id == entity.id, Grant.user_id.in_(wanted))
    present = {grant.user_id: grant for grant in session.scalars(query)}
    for user_id, may in wanted.items():
        grant = present.get(user_id)
        if not may:
            if grant:
                session.delete(grant)
            continue
        grant = grant or Grant(tenant_id=tenant.id, entity_id=entity.id, user_id=user_id)
        grant.may_send, grant.may_receive = may in (SEND, BOTH), may in (RECEIVE, BOTH)
        session.add(grant)
    session.flush()


def forget_saved_grants(session: Session, tenant_id: int, user_id: int) -> None:
    """Of somebody who is about to be removed: nobody's saved changes shall stumble over them."""
    name = f"{GRANT}{user_id}"
    query = owned_by(PendingChange, tenant_id).where(PendingChange.kind == KIND)
    for change in session.scalars(query.order_by(PendingChange.id)):
        if name not in change.before | change.after:
            continue
        change.before, change.after = (
            {field: value for field, value in values.items() if field != name}
            for values in (change.before, change.after)
        )
        if change.act == CHANGE and not change.after and not change.secrets:
            session.delete(change)


def _close(session: Session, tenant: Tenant, change: PendingChange) -> Applied:
    """Nobody sends from it or is called there any more; its faxes stay, and with them who may see them."""
    entity = _demanded(session, tenant, change)
    if count := faxes_under_way(session, tenant.id, entity.id):
        raise Refused("entity_faxes_under_way", count=count)
    before = {name: getattr(entity, name) for name in ("name", "extension", "number")}
    entity.closed_at, entity.box_id, entity.pin = utc_now(), None, None
    entity.authentication, entity.encryption_required = Authentication.NONE, False
    return Applied(entity.name, before, None)


def _grant_differences(session: Session, tenant: Tenant, change: PendingChange) -> list[Difference]:
    before, after = grants_in(change.before), grants_in(change.after)
    ids = [*after, *(user_id for user_id in before if user_id not in after)]
    if not ids:
        return []
    names = {member.id: f"{member.name} ({member.email})" for member in members_of(session, tenant.id)}
    found = [
        Difference("grant", before.get(user_id) or NONE, after.get(user_id) or NONE, names.get(user_id, "–"))
        for user_id in ids
        if (before.get(user_id) or NONE) != (after.get(user_id) or NONE)
    ]
    return sorted(found, key=lambda difference: difference.label.casefold())


register(KIND, EntityChanges())
