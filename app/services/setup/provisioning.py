"""The provision file applied: a whole installation in one transaction, again without harm.

Each entry is judged and written by the rules of the pages. What it does not name stays as it is. A value that no page
would take but that is there already, from a file of an earlier version, is told and stays; one that is new is a fault.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from cryptography.fernet import InvalidToken
from sqlalchemy.orm import Session

from app.adapters.mail.pgp import key_text, read_public_key
from app.adapters.mail.pgp_mail import box_key_fault
from app.errors import FaxroomError, Refused
from app.models import FaxEntity, FaxTemplate, Mail2FaxBox
from app.rules.ground.trunks import trunk_by_name
from app.rules.mail2fax.box_sign_in import SignInDetails, without_spent
from app.rules.mail2fax.boxes import (
    MOST_KEY,
    BoxDetails,
    judge_box,
    put_box,
    read_key,
    read_server,
    require_proof,
    server_url,
)
from app.rules.mail2fax.boxes import details_of as box_details
from app.rules.mail2fax.door import judge_door_box, put_door_box
from app.rules.mail2fax.service_keys import MOST as MOST_SERVICE_KEY
from app.rules.numbers.policy import policy_of, set_policy
from app.rules.numbers.pool import give, read_entry
from app.rules.operator.companies import Company, change_company, judge_company, open_company
from app.rules.outbox.digests import read_time
from app.rules.people.accounts import Details, judge_details
from app.rules.sending.trunks import table
from app.rules.setup.entities import FIELDS as ENTITY_FIELDS
from app.rules.setup.entities import (
    EntityDetails,
    grants_of,
    judge_entity,
    open_by_name,
    permission,
    put_entity,
    put_grants,
    read_entity,
    release_entity,
)
from app.rules.setup.entities import values_of as entity_values
from app.rules.setup.numbering import Line, bad_voice, line_of, lines_of
from app.rules.setup.templates import details_of as template_details
from app.rules.setup.templates import judge_template, put_template
from app.rules.setup.templates import values_of as template_values
from app.rules.words.sentences import in_language, sentence
from app.services.setup.provision_file import (
    BoxEntry,
    EntityEntry,
    Entry,
    OperatorEntry,
    ProvisionError,
    ProvisionFile,
    TemplateEntry,
    TenantEntry,
    TrunkEntry,
    UserEntry,
    read_provision_file,
)
from tenants.addresses import AddressTaken, fold, user_by_address
from tenants.db import utc_now
from tenants.models import Role, Tenant, User
from tenants.pgp_keys import MOST_KEYS, KeyRefused
from tenants.provision import ForeignAddress, put_user
from tenants.scope import lock_tenant, owned_by

__all__ = ["ProvisionError", "Provisioned", "apply_provision_file", "read_provision_file"]

#: Field of a form → where the file has it.
ENTITY_PLACES = {"box": "mail2fax.box", "pin": "mail2fax.pin", "encryption_required": "mail2fax.encryption"}
#: Field of a form → the others that make it wrong.
ENTITY_DEPENDS = {
    "pin": ("authentication",),
    "encryption_required": ("box",),
    "voice_destination": ("shared_with_voice",),
    "fax_after": ("shared_with_voice",),
}
SIGN_IN_FIELDS = {field.name for field in fields(SignInDetails)}
BOX_PLACES = dict.fromkeys(("host", "port", "security", "folder"), "imap")
BOX_PLACES |= {name: f"oauth.{name}" for name in SIGN_IN_FIELDS}

#: What a company has by name.
Named = TypeVar("Named", FaxTemplate, Mail2FaxBox)


@dataclass(frozen=True)
class Provisioned:
    """What was applied. ``told`` are faults of what was there already and has stayed as it was."""

    content: ProvisionFile
    told: list[str]


def _english(fault: FaxroomError) -> str:
    with in_language("en"):
        return sentence(fault.code, **fault.values)


def apply_provision_file(session: Session, path: Path) -> Provisioned:
    """Bring the database to what the file says. Commits.

    Raises:
        ProvisionError: with every fault that was found; nothing is applied.
    """
    content = read_provision_file(path)
    application = _Application(session, path.parent)
    wrong_before = application.wrong_voices()
    if wanted := content.dialing.model_dump(exclude_none=True):
        set_policy(session, replace(policy_of(session), **{**wanted, **_ordered(wanted)}))
    for operator in content.operators:
        application.put_user(None, operator, Role.OPERATOR)
    for tenant in content.tenants:
        application.put_tenant(tenant)
    session.flush()
    for n, trunk in enumerate(content.trunks, 1):  # they name fax lines
        application.put_trunk(trunk, {later.name for later in content.trunks[n:]})
    application.check_voices(wrong_before)
    if application.faults:
        session.rollback()
        raise ProvisionError(application.faults)
    session.commit()
    return Provisioned(content, application.told)


def _as_typed(value: str | int | bool | list[str]) -> str:
    """As a form has it."""
    if isinstance(value, bool):
        return table.YES if value else ""
    return " ".join(value) if isinstance(value, list) else str(value)


def _ordered(wanted: dict[str, Any]) -> dict[str, Any]:
    return {"countries": tuple(sorted(set(wanted["countries"])))} if "countries" in wanted else {}


@dataclass(frozen=True)
class _WantedEntity:
    """A line as the file wants it; ``kept`` is how it is."""

    entry: EntityEntry
    where: str
    entity: FaxEntity | None
    details: EntityDetails
    kept: EntityDetails | None
    line: Line


class _Application:
    """One application of a file; faults are collected so that all are told at once."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session = session
        self.folder = folder
        self.faults: list[str] = []
        self.told: list[str] = []

    def _may_put(
        self,
        where: str,
        faults: Mapping[str, Refused],
        is_kept: Callable[[str], bool],
        places: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether it may be written. Each fault is told with its place; of a value that is there already it is only
        told."""
        wrong = [field for field in faults if not is_kept(field)]
        for field, fault in faults.items():
            text = f"{where}, {(places or {}).get(field, field)}: {_english(fault)}"
            if field in wrong:
                self.faults.append(text)
            else:
                self.told.append(text)
        return not wrong

    # ---- Companies

    def put_tenant(self, entry: TenantEntry) -> None:
        tenant = self._put_company(entry)
        if entry.second_factor_required is not None:
            tenant.second_factor_required = entry.second_factor_required
        lock_tenant(self.session, tenant.id)
        self._put_numbers(tenant, entry.numbers)
        users = {fold(user.email): self.put_user(tenant, user, Role(user.role)) for user in entry.users}
        for template in entry.templates:
            self._put_template(tenant, template)
        if entry.mail_proof_required is False:
            require_proof(self.session, tenant, False)
        for box in entry.mail2fax_boxes:
            self._put_box(tenant, box)
        if entry.mail_proof_required:
            self._require_proof(tenant)
        self._put_entities(tenant, entry, users)

    def _put_company(self, entry: TenantEntry) -> Tenant:
        tenant = self.session.scalar(sa.select(Tenant).where(Tenant.slug == entry.slug))
        before = Company.of(tenant) if tenant else Company()
        named = {name: str(value) for name, value in _company_values(entry, is_new=tenant is None).items()}
        company = replace(before, **named)
        faults = judge_company(company)

        def is_kept(field: str) -> bool:
            return tenant is not None and getattr(company, field) == getattr(before, field)

        if not self._may_put(f"Company {entry.slug}", faults, is_kept):
            # nothing of it stays: the rest of the company is judged with what could be
            company = replace(company, **{field: getattr(Company(), field) for field in faults})
        try:
            return self._entered(tenant, company)
        except Refused as refusal:  # its domain is another company's
            self.faults.append(f"Company {entry.slug}, {refusal.field}: {_english(refusal)}")
            return self._entered(tenant, replace(company, fax_domain=before.fax_domain))

    def _entered(self, tenant: Tenant | None, company: Company) -> Tenant:
        if tenant is None:
            return open_company(self.session, company)
        change_company(self.session, tenant, company)
        return tenant

    def _put_numbers(self, tenant: Tenant, texts: list[str]) -> None:
        for text in texts:
            try:
                self._give(tenant, read_entry(text, tenant.region), f"Company {tenant.slug}, numbers")
            except Refused as refusal:
                self.faults.append(f"Company {tenant.slug}, numbers: {_english(refusal)}")

    def _give(self, tenant: Tenant, numbers: list[str], where: str) -> bool:
        """The file is the operator's word: a number in it is the company's."""
        try:
            give(self.session, tenant, numbers, utc_now(), by_file=True)
        except Refused as refusal:
            self.faults.append(f"{where}: {_english(refusal)}")
            return False
        return True

    # ---- Trunks

    def put_trunk(self, entry: TrunkEntry, later: set[str]) -> None:
        row = trunk_by_name(self.session, entry.name)
        told = {name: _as_typed(value) for name, value in entry.model_dump(exclude_none=True).items()}
        faults = dict[str, Refused]()
        if row and row.from_environment:
            set_there = [name for name in table.ADDRESS if name != "name" and name in told]
            faults = {name: Refused("trunk_from_environment", name=row.name) for name in set_there}
        typed = table.form_of(self.session, row) | told
        faults = faults or table.judge_trunk(self.session, typed, row, changing=later)
        self.faults += [f"trunk {entry.name}, {name}: {_english(fault)}" for name, fault in faults.items()]
        if not faults:
            table.put_trunk(self.session, typed, row)

    # ---- People

    def put_user(self, tenant: Tenant | None, entry: OperatorEntry, role: Role) -> User | None:
        details = Details(entry.email, entry.name, Role.USER, entry.language or "")
        user = user_by_address(self.session, entry.email)

        def is_kept(field: str) -> bool:
            return user is not None and getattr(details, field) == getattr(Details.of(user), field)

        if not self._may_put(f"User {entry.email}", judge_details(details), is_kept):
            return None
        names = getattr(entry, "pgp_public_keys", None)
        keys = None if names is None else tuple(filter(None, (self._read_public_key(name) for name in names)))
        values = entry.model_dump(include={"email", "name", "password", "language"})
        try:
            put = put_user(self.session, tenant=tenant, role=role, pgp_public_keys=keys, **values)
            _put_wishes(put, entry)
            return put
        except (AddressTaken, ForeignAddress):
            self._taken(entry.email)
        except KeyRefused as refusal:
            self.faults.append(f"{entry.email}: {_english(Refused(f'key_{refusal.reason}', limit=MOST_KEYS))}")
        return None

    def _read_public_key(self, name: str) -> dict[str, Any] | None:
        """What gpg finds in the file, as the page of a user would take it."""
        content = self._read(name)
        try:
            return None if content is None else asdict(read_public_key(content))
        except FaxroomError as error:
            self.faults.append(f"{name}: {_english(error)}")
        return None

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            self.faults.append(f"{name} cannot be read: {error.strerror}.")
            return None

    def _taken(self, email: str) -> None:
        self.faults.append(
            f"{email} already belongs to somebody else. An address can belong to one person or box only."
        )

    # ---- Templates

    def _named(self, model: type[Named], tenant: Tenant, name: str) -> Named | None:
        return self.session.scalar(owned_by(model, tenant.id).where(model.name == name))

    def _put_template(self, tenant: Tenant, entry: TemplateEntry) -> None:
        template = self._named(FaxTemplate, tenant, entry.name)
        kept = template_values(template) if template else {}
        wanted = kept | entry.model_dump(exclude_unset=template is not None)
        values, faults = judge_template(template_details(wanted), tenant.region)

        def is_kept(field: str) -> bool:
            return bool(template) and all(wanted[name] == kept[name] for name in _template_columns(field))

        if not self._may_put(f"Template {entry.name} of {tenant.slug}", faults, is_kept):
            return
        values |= {name: kept[name] for field in faults for name in _template_columns(field)}
        try:
            put_template(self.session, tenant, template, values)
        except Refused as refusal:
            self.faults.append(f"Template {entry.name} of {tenant.slug}: {_english(refusal)}")

    # ---- Mail2Fax boxes

    def _put_box(self, tenant: Tenant, entry: BoxEntry) -> None:
        where = f"Mail2Fax box {entry.name} of {tenant.slug}"
        box = self._named(Mail2FaxBox, tenant, entry.name)
        if box and box.is_door != entry.door:
            self.faults.append(
                f"{where}: a mailbox does not become a door, nor a door a mailbox. Give it another name."
            )
            return
        if entry.door:
            self._put_door_box(where, tenant, entry, box)
            return
        try:
            server = read_server(entry.imap or "")
        except ValueError as error:
            self._unreadable_server(where, entry, box, str(error))
            return
        kept = box_details(box) if box else BoxDetails()
        named: dict[str, Any] = {name: getattr(entry, name) or "" for name in ("email", "username", "password")}
        named |= {"host": server.host, "port": str(server.port), "security": server.security, "folder": server.folder}
        if box is None or "poll_seconds" in entry.model_fields_set:
            named["poll_seconds"] = str(entry.poll_seconds)
        if "authserv_id" in entry.model_fields_set:
            named["authserv_id"] = entry.authserv_id or ""
        if "programs" in entry.model_fields_set:
            named["programs"] = "\n".join(entry.programs)
        if entry.oauth:
            wanted = entry.oauth.model_dump(exclude={"provider", "secret_ends_on", "service_key"})
            file = self._read(entry.oauth.service_key) if entry.oauth.service_key else b""
            wanted["service_key"] = (file or b"")[: MOST_SERVICE_KEY + 1].decode("utf-8", "replace")
            named["sign_in"] = SignInDetails(
                entry.oauth.provider, secret_ends_on=str(entry.oauth.secret_ends_on), **wanted
            )
        elif entry.password:
            named["sign_in"] = SignInDetails()
        key = self._read(entry.private_key) if entry.private_key else b""
        details = replace(kept, name=entry.name, private_key=read_key(key_text(key or b""))[: MOST_KEY + 1], **named)

        def is_kept(field: str) -> bool:
            if box is None:
                return False
            if field == "private_key":
                there = box
                return details.private_key == _opened(lambda: there.private_key).strip()
            return bool(field not in SIGN_IN_FIELDS and getattr(details, field) == getattr(kept, field))

        row = box.sign_in if box else None
        if box and row and entry.oauth and (box.imap, box.username) == (server_url(server), entry.username):
            details = replace(details, sign_in=without_spent(details.sign_in, row))
        faults = judge_box(details, has_password=False, key_fault=box_key_fault, sign_in=row)
        if not self._may_put(where, faults, is_kept, BOX_PLACES):
            return
        self._store(where, entry, lambda: put_box(self.session, tenant, box, details))

    def _put_door_box(self, where: str, tenant: Tenant, entry: BoxEntry, box: Mail2FaxBox | None) -> None:
        """Its address may lie at any domain: the file is the operator's word."""
        kept = box_details(box) if box else BoxDetails()
        key = self._read(entry.private_key) if entry.private_key else b""
        details = BoxDetails(
            name=entry.name,
            email=entry.email,
            private_key=read_key(key_text(key or b""))[: MOST_KEY + 1],
            authserv_id=(entry.authserv_id or "") if "authserv_id" in entry.model_fields_set else kept.authserv_id,
            programs="\n".join(entry.programs) if "programs" in entry.model_fields_set else kept.programs,
        )
        domain = entry.email.rpartition("@")[2].lower()
        if not self._may_put(where, judge_door_box(details, domain, key_fault=box_key_fault), lambda field: False):
            return
        self._store(where, entry, lambda: put_door_box(self.session, tenant, box, details))

    def _store(self, where: str, entry: BoxEntry, put: Callable[[], Mail2FaxBox]) -> None:
        """What was judged; a key that the file leaves empty goes."""
        try:
            box = put()
        except Refused as refusal:
            if refusal.code == "email_taken":
                self._taken(entry.email)
            else:
                self.faults.append(f"{where}: {_english(refusal)}")
            return
        if "private_key" in entry.model_fields_set and not entry.private_key:
            box.private_key = None

    def _unreadable_server(self, where: str, entry: BoxEntry, box: Mail2FaxBox | None, fault: str) -> None:
        """A box that is like that already has never worked: it stays as it is."""
        is_kept = box is not None and box.imap == entry.imap
        (self.told if is_kept else self.faults).append(f"{where}, imap: {fault}.")

    def _require_proof(self, tenant: Tenant) -> None:
        try:
            require_proof(self.session, tenant, True)
        except Refused as refusal:
            self.faults.append(f"{tenant.slug}: {_english(refusal)}")

    # ---- Fax lines

    def _put_entities(self, tenant: Tenant, entry: TenantEntry, users: dict[str, User | None]) -> None:
        """All are judged as the file wants them, in whatever order, and then written together: two lines may exchange
        their numbers."""
        wanted = [self._wanted(tenant, entry, one) for one in entry.entities]
        named = {one.entity.id for one in wanted if one.entity}
        others = [line for line in lines_of(self.session, tenant.id) if line.entity_id not in named]
        judged = [
            (one, self._judged(tenant, one, [*others, *(other.line for other in wanted if other is not one)]))
            for one in wanted
        ]
        grants = [self._wanted_grants(tenant, one, users) for one in wanted]
        self._check_licence(tenant, len(others) + len(wanted))
        if self.faults:
            return
        for one, values in judged:
            if one.entity:
                release_entity(one.entity, values)
        self.session.flush()
        for (one, values), may in zip(judged, grants, strict=True):
            entity = one.entity or FaxEntity(tenant_id=tenant.id)
            put_entity(self.session, entity, values, pin=one.details.pin)
            put_grants(self.session, tenant, entity, may)

    def _wanted(self, tenant: Tenant, company: TenantEntry, entry: EntityEntry) -> _WantedEntity:
        where = f"Fax entity {entry.name} of {tenant.slug}"
        entity = open_by_name(self.session, tenant.id, entry.name)
        kept = _entity_details(entity) if entity else None
        named = entry.model_dump(
            include={"name", "extension", "number", "shared_with_voice", "voice_destination", "limit_outbound"}
            | {"received_mail", "fax_after"},
            exclude_unset=entity is not None,
        )
        texts: dict[str, Any] = {
            name: value if isinstance(value, bool) else _text(value) for name, value in named.items()
        }
        texts["template"] = self._id_of(FaxTemplate, tenant, entry.template, f"{where}: there is no template", company)
        if mail2fax := entry.mail2fax:
            missing = f"{where}: there is no Mail2Fax box"
            texts |= {
                "box": self._id_of(Mail2FaxBox, tenant, mail2fax.box, missing, company),
                "authentication": mail2fax.authentication,
                "encryption_required": mail2fax.encryption,
                "pin": mail2fax.pin or "",
            }
        details = replace(kept or EntityDetails(), **{"pin": "", **texts})
        values, _faults = read_entity(tenant, details)
        return _WantedEntity(
            entry, where, entity, details, kept, line_of(values, entity_id=entity.id if entity else None)
        )

    def _id_of(self, model: type[Named], tenant: Tenant, name: str, missing: str, company: TenantEntry) -> str:
        """As a form has it; empty if there is none. One that the file describes wrongly has its own fault already."""
        if found := self._named(model, tenant, name):
            return str(found.id)
        described = company.templates if model is FaxTemplate else company.mail2fax_boxes
        if name not in {entry.name for entry in described}:
            self.faults.append(f"{missing} {name}.")
        return ""

    def _judged(self, tenant: Tenant, one: _WantedEntity, others: Sequence[Line]) -> dict[str, Any]:
        """The values as they are written."""
        number = one.details.number
        is_given = not number or self._give(tenant, [one.line.number or number], one.where)
        values, faults = judge_entity(
            self.session,
            tenant,
            one.details,
            others=list(others),
            entity_id=one.entity.id if one.entity else None,
            has_pin=bool(one.kept and one.kept.pin),
        )
        told = {} if is_given else {"number": faults.get("number")}
        told |= {"template": None} if not one.details.template else {}  # said already
        told |= {"box": None} if one.entry.mail2fax and not one.details.box else {}
        faults = {field: fault for field, fault in faults.items() if field not in told}

        def is_kept(field: str) -> bool:
            names = (field, *ENTITY_DEPENDS.get(field, ()))
            return one.kept is not None and all(getattr(one.details, name) == getattr(one.kept, name) for name in names)

        if self._may_put(one.where, faults, is_kept, ENTITY_PLACES) and one.entity:
            values |= {name: value for name, value in entity_values(one.entity).items() if name in faults}
        return values

    def _wanted_grants(self, tenant: Tenant, one: _WantedEntity, users: dict[str, User | None]) -> dict[int, str]:
        """User → what they may. Each list that the file has is the whole of who may do it."""
        before = grants_of(self.session, tenant.id, one.entity.id) if one.entity else {}
        sends = {user_id for user_id, may in before.items() if may in ("send", "both")}
        receives = {user_id for user_id, may in before.items() if may in ("receive", "both")}
        if "send" in one.entry.model_fields_set:
            sends = self._ids_of(tenant, one, one.entry.send, users)
        if "receive" in one.entry.model_fields_set:
            receives = self._ids_of(tenant, one, one.entry.receive, users)
        everybody = before.keys() | sends | receives
        return {user_id: permission(user_id in sends, user_id in receives) for user_id in everybody}

    def _ids_of(self, tenant: Tenant, one: _WantedEntity, emails: list[str], users: dict[str, User | None]) -> set[int]:
        """One of the file's users who could not be entered has a fault of their own."""
        found: set[int] = set()
        for email in sorted({fold(email) for email in emails}):
            user = users[email] if email in users else user_by_address(self.session, email)
            if user and user.tenant_id == tenant.id:
                found.add(user.id)
            elif email not in users:
                self.faults.append(f"{one.where}: {email} is no user of {tenant.slug}.")
        return found

    def _check_licence(self, tenant: Tenant, used: int) -> None:
        if used > tenant.fax_channels:
            self.faults.append(
                f"{tenant.slug} has {used} fax entities but a licence for {tenant.fax_channels} fax channels. "
                "Raise fax_channels or name fewer entities."
            )

    # ---- Calls that are no fax

    def wrong_voices(self) -> set[str]:
        """A call that is no fax must not come back to a fax line: of which lines it would, and why."""
        found: set[str] = set()
        shared = sa.select(FaxEntity.tenant_id).where(FaxEntity.voice_destination.is_not(None))
        for tenant in self.session.scalars(sa.select(Tenant).where(Tenant.id.in_(shared)).order_by(Tenant.id)):
            lines = lines_of(self.session, tenant.id)
            for line in lines:
                if fault := bad_voice(self.session, tenant, line, lines):
                    found.add(f"Fax entity {line.name} of {tenant.slug}, voice_destination: {_english(fault)}")
        return found

    def check_voices(self, before: set[str]) -> None:
        """Once all lines are there. What was wrong before is told."""
        now = self.wrong_voices()
        self.faults += sorted(now - before - set(self.faults))
        self.told += sorted((now & before) - set(self.told))


def _put_wishes(user: User, entry: OperatorEntry) -> None:
    """How they want to be mailed, as far as the file says so."""
    if isinstance(entry, UserEntry) and "received_mail" in entry.model_fields_set:
        user.received_mail = entry.received_mail
    if isinstance(entry, UserEntry) and "digest_at" in entry.model_fields_set:
        user.digest_at = read_time(entry.digest_at or "")


def _company_values(entry: TenantEntry, *, is_new: bool) -> dict[str, Any]:
    """By the columns of a company."""

    def named(part: Entry) -> dict[str, Any]:
        values: dict[str, Any] = part.model_dump(exclude_unset=not is_new, exclude_none=True)
        return values

    plain = {"slug", "name", "serial", "region", "timezone", "language", "outside_prefix", "fax_channels", "fax_domain"}
    return {
        **{name: value for name, value in named(entry).items() if name in plain},
        **{f"limit_{name}": value for name, value in named(entry.limits).items()},
        **{f"quota_{name}": value for name, value in named(entry.quotas).items()},
        **{f"{name}_a_day": value for name, value in named(entry.ceilings).items()},
    }


def _template_columns(field: str) -> tuple[str, ...]:
    """What a fault of the form is about."""
    if field.startswith("delay_"):
        return ("retry_delays",)
    return ("allowed_prefixes", "forbidden_prefixes") if field == "forbidden_prefixes" else (field,)


def _entity_details(entity: FaxEntity) -> EntityDetails:
    """As a form has it, but for the number, which stays as it is kept."""
    values = entity_values(entity)
    texts: dict[str, Any] = {name: value if isinstance(value, bool) else _text(value) for name, value in values.items()}
    return EntityDetails(**{name: texts[name] for name in ENTITY_FIELDS}, pin=_opened(lambda: entity.pin))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _opened(read: Callable[[], str | None]) -> str:
    """A secret that is kept; empty if it was sealed with a key that is gone."""
    try:
        return read() or ""
    except InvalidToken:
        return ""
