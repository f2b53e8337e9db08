"""The provision file: a whole installation in YAML, applied in one transaction, again without harm."""

import zoneinfo
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from sqlalchemy.orm import Session

from app.adapters.pgp import read_public_key
from app.errors import FaxroomError, Refused
from app.fax.companies import MOST_COUNT
from app.fax.licence import licence_of
from app.fax.mailboxes import LONGEST_POLL, SHORTEST_POLL, USUAL_POLL, is_server_name, require_proof
from app.fax.numbering import Line, bad_voice, clashes, lines_of, public_form
from app.fax.policy import policy_of, set_policy
from app.fax.pool import give, read_entry
from app.fax.sentences import in_language, sentence
from app.fax.templates import CAUSES, judge_template, put_template, values_of
from app.fax.templates import details_of as template_details
from app.models import FaxEntity, FaxTemplate, Grant, Mail2FaxBox
from tenants.addresses import AddressInvalid, AddressTaken, check_address, claim_address, fold
from tenants.db import utc_now
from tenants.models import Role, Tenant, User
from tenants.pgp_keys import MOST_KEYS, KeyRefused
from tenants.provision import OUTSIDE_PREFIX, SERIAL, SLUG, ForeignAddress, is_region, put_tenant, put_user
from tenants.scope import lock_tenant, owned_by


class ProvisionError(Exception):
    """Why the file was not applied: one sentence for each fault, and nothing of it is in the database."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _known_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name} is not a time zone. Example: Europe/Rome") from error
    return name


def _known_region(name: str) -> str:
    if not is_region(name):
        raise ValueError(f"{name} is not a region. Use two capital letters, such as IT")
    return name


def _valid_number(text: str) -> str:
    if number := public_form(text, "ZZ"):  # without a region only a + makes a whole number
        return number
    raise ValueError(f"{text} is not a public number. Example: +390509655637")


def _server_name(name: str) -> str:
    if not is_server_name(name):
        raise ValueError(f"{name} is not a server name. Example: mx.example.org")
    return name


def _mail_address(text: str) -> str:
    """As typed: a mail's sender is compared with it exactly. Private domains such as .test are fine."""
    try:
        check_address(text)
    except AddressInvalid as error:
        raise ValueError(f"{text} is not an email address: {error}") from error
    return text


Address = Annotated[str, AfterValidator(_mail_address)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Region = Annotated[str, AfterValidator(_known_region)]
PublicNumber = Annotated[str, AfterValidator(_valid_number)]
Extension = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,16}$")]
VoiceDestination = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{1,20}$")]
Language = Literal["en", "it"]


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class OperatorEntry(Entry):
    email: Address
    name: Name
    password: str | None = None
    language: Language | None = None


class UserEntry(OperatorEntry):
    role: Literal["user", "admin"] = "user"
    pgp_public_keys: list[str] | None = None


class TemplateEntry(Entry):
    name: Name
    header: Annotated[str, StringConstraints(max_length=50)] = ""
    station_id: Annotated[str, StringConstraints(pattern=r"^[0-9+ ]{0,20}$")] = ""  # T.30 TSI
    resolution: Literal["standard", "fine"] = "fine"
    page_size: Literal["A4", "Letter"] = "A4"
    ecm: bool = True
    t38: bool = True
    max_rate: Literal[2400, 4800, 7200, 9600, 12000, 14400] = 14400
    max_attempts: int = 5
    ring_seconds: int = 60
    max_seconds: int = 3600
    retry_delays: dict[Literal[CAUSES], int | None] | None = None  # null: no other attempt
    allowed_prefixes: list[str] = []
    forbidden_prefixes: list[str] = []
    premium_allowed: bool = False
    daily_cap: int = 0


class BoxEntry(Entry):
    name: Name
    email: Address
    imap: str
    username: str
    password: str
    private_key: str | None = None
    poll_seconds: int = Field(USUAL_POLL, ge=SHORTEST_POLL, le=LONGEST_POLL)
    authserv_id: Annotated[str, AfterValidator(_server_name)] | None = None


class Mail2FaxEntry(Entry):
    box: str
    authentication: Literal["none", "pin", "pgp"] = "none"
    pin: str | None = None
    encryption: bool = False


class EntityEntry(Entry):
    name: Name
    extension: Extension
    number: PublicNumber | None = None
    shared_with_voice: bool = False
    voice_destination: VoiceDestination | None = None
    limit_outbound: int = Field(0, ge=0)
    template: str
    send: list[str] = []
    receive: list[str] = []
    mail2fax: Mail2FaxEntry | None = None


class LimitsEntry(Entry):
    inbound: int = Field(0, ge=0)
    outbound: int = Field(0, ge=0)
    total: int = Field(0, ge=0)


class QuotasEntry(Entry):
    """What is not named stays."""

    storage: int | None = Field(None, ge=0, le=MOST_COUNT)
    drafts: int | None = Field(None, ge=0, le=MOST_COUNT)
    uploads: int | None = Field(None, ge=0, le=MOST_COUNT)
    mails: int | None = Field(None, ge=0, le=MOST_COUNT)


class CeilingsEntry(Entry):
    """What the company may dial in a day, 0 for no limit. What is not named stays."""

    calls: int | None = Field(None, ge=0, le=MOST_COUNT)
    minutes: int | None = Field(None, ge=0, le=MOST_COUNT)


class PolicyEntry(Entry):
    """The operator's dialing policy. What is not named stays."""

    countries: list[Region] | None = None
    premium_allowed: bool | None = None
    satellite_allowed: bool | None = None


class TenantEntry(Entry):
    slug: Annotated[str, StringConstraints(pattern=rf"^{SLUG.pattern}$")]
    name: Name
    serial: Annotated[str, StringConstraints(pattern=rf"^{SERIAL.pattern}$")]
    region: Region
    timezone: Zone
    language: Language = "en"
    outside_prefix: Annotated[str, StringConstraints(pattern=rf"^{OUTSIDE_PREFIX.pattern}$")] = "0"
    fax_channels: int = Field(0, ge=0)
    limits: LimitsEntry = LimitsEntry()
    quotas: QuotasEntry = QuotasEntry()
    ceilings: CeilingsEntry = CeilingsEntry()
    second_factor_required: bool | None = None
    mail_proof_required: bool | None = None
    numbers: list[str] = []
    users: list[UserEntry] = []
    templates: list[TemplateEntry] = []
    mail2fax_boxes: list[BoxEntry] = []
    entities: list[EntityEntry] = []


class ProvisionFile(Entry):
    dialing: PolicyEntry = PolicyEntry()
    operators: list[OperatorEntry] = []
    tenants: list[TenantEntry] = []


def _english(code: str, **values: Any) -> str:
    with in_language("en"):
        return sentence(code, **values)


def read_provision_file(path: Path) -> ProvisionFile:
    """Parse and check the form of the file; ProvisionError names every fault with its place."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ProvisionError([f"{path} cannot be read: {error.strerror}."]) from error
    except yaml.YAMLError as error:
        raise ProvisionError([f"{path} is not valid YAML: {error}"]) from error
    try:
        return ProvisionFile.model_validate(content or {})
    except ValidationError as error:
        raise ProvisionError([_fault(entry) for entry in error.errors()]) from error


def _fault(entry: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in entry["loc"])
    return f"{place or 'the file'}: {entry['msg'].removeprefix('Value error, ')}"


def apply_provision_file(session: Session, path: Path) -> ProvisionFile:
    """Bring the database to what the file says. What the file does not name stays as it is. Commits.

    Raises:
        ProvisionError: with every fault that was found; nothing is applied.
    """
    content = read_provision_file(path)
    application = _Application(session, path.parent)
    if wanted := content.dialing.model_dump(exclude_none=True):
        set_policy(session, replace(policy_of(session), **{**wanted, **_ordered(wanted)}))
    for operator in content.operators:
        application.put_user(None, operator, Role.OPERATOR)
    for tenant in content.tenants:
        application.put_tenant(tenant)
    application.check_voice_destinations()
    if application.faults:
        session.rollback()
        raise ProvisionError(application.faults)
    session.commit()
    return content


def _ordered(wanted: dict[str, Any]) -> dict[str, Any]:
    return {"countries": tuple(sorted(set(wanted["countries"])))} if "countries" in wanted else {}


class _Application:
    """One application of a file; faults are collected so that all are told at once."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session = session
        self.folder = folder
        self.faults: list[str] = []

    def put_tenant(self, entry: TenantEntry) -> None:
        tenant = put_tenant(
            self.session,
            **entry.model_dump(include={"slug", "name", "serial", "region", "timezone", "language", "outside_prefix"}),
            fax_channels=entry.fax_channels,
            limit_inbound=entry.limits.inbound,
            limit_outbound=entry.limits.outbound,
            limit_total=entry.limits.total,
            **{f"{name}_a_day": value for name, value in entry.ceilings.model_dump(exclude_none=True).items()},
            **{f"quota_{name}": value for name, value in entry.quotas.model_dump(exclude_none=True).items()},
        )
        if entry.second_factor_required is not None:
            tenant.second_factor_required = entry.second_factor_required
        lock_tenant(self.session, tenant.id)
        self._put_numbers(tenant, entry.numbers)
        users = {fold(user.email): self.put_user(tenant, user, Role(user.role)) for user in entry.users}
        for template in entry.templates:
            self._put_template(tenant, template)
        for box in entry.mail2fax_boxes:
            self._put_box(tenant, box)
        self._put_proof(tenant, entry.mail_proof_required)
        for entity in entry.entities:
            self._put_entity(tenant, entity, users)
        self._check_licence(tenant)

    def put_user(self, tenant: Tenant | None, entry: OperatorEntry, role: Role) -> User | None:
        names = getattr(entry, "pgp_public_keys", None)
        keys = None if names is None else tuple(filter(None, (self._read_key(name) for name in names)))
        values = entry.model_dump(include={"email", "name", "password", "language"})
        try:
            return put_user(self.session, tenant=tenant, role=role, pgp_public_keys=keys, **values)
        except (AddressTaken, ForeignAddress):
            self._taken(entry.email)
        except KeyRefused as refusal:
            self.faults.append(f"{entry.email}: {_english(f'key_{refusal.reason}', limit=MOST_KEYS)}")
        return None

    def _read_key(self, name: str) -> dict[str, Any] | None:
        """What gpg finds in the file, as the page of a user would take it."""
        try:
            return asdict(read_public_key((self.folder / name).read_bytes()))
        except OSError as error:
            self.faults.append(f"{name} cannot be read: {error.strerror}.")
        except FaxroomError as error:
            self.faults.append(f"{name}: {_english(error.code, **error.values)}")
        return None

    def _taken(self, email: str) -> None:
        self.faults.append(
            f"{email} already belongs to somebody else. An address can belong to one person or box only."
        )

    def _read(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text()
        except OSError as error:
            self.faults.append(f"{name} cannot be read: {error.strerror}.")
            return None

    def _named(self, model: type, tenant: Tenant, name: str) -> Any:
        return self.session.scalar(owned_by(model, tenant.id).where(model.name == name))

    def _put_template(self, tenant: Tenant, entry: TemplateEntry) -> None:
        """As the page of templates would take it; what the file does not name stays as it is."""
        template = self._named(FaxTemplate, tenant, entry.name)
        named = entry.model_dump(exclude_unset=template is not None)
        values = (values_of(template) if template else {}) | named
        values, faults = judge_template(template_details(values), tenant.region)
        for fault in faults.values():
            told = _english(fault.code, **fault.values)
            self.faults.append(f"Template {entry.name} of {tenant.slug}, {fault.field}: {told}")
        if not faults:
            put_template(self.session, tenant, template, values)

    def _put_box(self, tenant: Tenant, entry: BoxEntry) -> None:
        box = self._named(Mail2FaxBox, tenant, entry.name)
        if box is None:
            try:
                box = Mail2FaxBox(tenant_id=tenant.id, address=claim_address(self.session, entry.email))
            except AddressTaken:
                self._taken(entry.email)
                return
        elif box.address.folded != fold(entry.email):
            try:
                box.address = claim_address(self.session, entry.email)
            except AddressTaken:
                self._taken(entry.email)
                return
        for name in ("name", "imap", "username", "password"):
            setattr(box, name, getattr(entry, name))
        for name in ("poll_seconds", "authserv_id"):
            if name in entry.model_fields_set:
                setattr(box, name, getattr(entry, name) or None)
        box.private_key = self._read(entry.private_key) if entry.private_key else None
        self.session.add(box)
        self.session.flush()

    def _put_proof(self, tenant: Tenant, required: bool | None) -> None:
        try:
            require_proof(self.session, tenant, tenant.mail_proof_required if required is None else required)
        except Refused as refusal:
            self.faults.append(f"{tenant.slug}: {_english(refusal.code, **refusal.values)}")

    def _put_entity(self, tenant: Tenant, entry: EntityEntry, users: dict[str, User | None]) -> None:
        where = f"Fax entity {entry.name} of {tenant.slug}"
        template = self._named(FaxTemplate, tenant, entry.template)
        if template is None:
            self.faults.append(f"{where}: there is no template {entry.template}.")
        named = owned_by(FaxEntity, tenant.id).where(FaxEntity.name == entry.name, FaxEntity.closed_at.is_(None))
        entity = self.session.scalar(named)
        if not self._give(tenant, [entry.number] if entry.number else [], where):
            return
        if self._is_in_use(tenant, entry, entity, where) or template is None:
            return
        entity = entity or FaxEntity(tenant_id=tenant.id)
        for name in ("name", "extension", "number", "shared_with_voice", "voice_destination", "limit_outbound"):
            setattr(entity, name, getattr(entry, name))
        entity.template = template
        self._put_mail2fax(tenant, entity, entry.mail2fax, where)
        self.session.add(entity)
        self.session.flush()
        self._put_grants(tenant, entity, entry, users, where)

    def _give(self, tenant: Tenant, numbers: list[str], where: str) -> bool:
        """The file is the operator's word: a number in it is the company's."""
        try:
            give(self.session, tenant, numbers, utc_now(), by_file=True)
        except Refused as refusal:
            self.faults.append(f"{where}: {_english(refusal.code, **refusal.values)}")
            return False
        return True

    def _put_numbers(self, tenant: Tenant, texts: list[str]) -> None:
        for text in texts:
            try:
                numbers = read_entry(text, tenant.region)
            except Refused as refusal:
                self.faults.append(f"{tenant.slug}: {_english(refusal.code, **refusal.values)}")
            else:
                self._give(tenant, numbers, tenant.slug)

    def _is_in_use(self, tenant: Tenant, entry: EntityEntry, entity: FaxEntity | None, where: str) -> bool:
        line = Line(entry.name, entry.extension, entry.number, entity_id=entity.id if entity else None)
        clashing = clashes(self.session, tenant, line, lines_of(self.session, tenant.id)).values()
        self.faults += [f"{where}: {_english(fault.code, **fault.values)}" for fault in clashing]
        return bool(clashing)

    def check_voice_destinations(self) -> None:
        """Once all lines are there: a call that is no fax must not come back to one of them."""
        shared = sa.select(FaxEntity.tenant_id).where(FaxEntity.voice_destination.is_not(None))
        for tenant in self.session.scalars(sa.select(Tenant).where(Tenant.id.in_(shared)).order_by(Tenant.id)):
            lines = lines_of(self.session, tenant.id)
            for line in lines:
                if fault := bad_voice(self.session, tenant, line, lines):
                    where = f"Fax entity {line.name} of {tenant.slug}"
                    self.faults.append(f"{where}: {_english(fault.code, **fault.values)}")

    def _put_mail2fax(self, tenant: Tenant, entity: FaxEntity, entry: Mail2FaxEntry | None, where: str) -> None:
        if entry is None:
            return
        box = self._named(Mail2FaxBox, tenant, entry.box)
        if box is None:
            self.faults.append(f"{where}: there is no Mail2Fax box {entry.box}.")
        if entry.authentication == "pin" and not entry.pin:
            self.faults.append(f"{where}: authentication by PIN needs a pin.")
        entity.box, entity.authentication = box, entry.authentication
        entity.pin, entity.encryption_required = entry.pin, entry.encryption

    def _put_grants(
        self, tenant: Tenant, entity: FaxEntity, entry: EntityEntry, users: dict[str, User | None], where: str
    ) -> None:
        """The file's lists are the whole of the entity's permissions."""
        send, receive = {fold(email) for email in entry.send}, {fold(email) for email in entry.receive}
        for unknown in sorted((send | receive) - users.keys()):
            self.faults.append(f"{where}: {unknown} is no user of {tenant.slug}.")
        wanted = {users[email].id: email for email in send | receive if users.get(email)}
        present = {grant.user_id: grant for grant in entity.grants}
        for user_id in present.keys() - wanted.keys():
            entity.grants.remove(present[user_id])
        for user_id, email in wanted.items():
            grant = present.get(user_id) or Grant(tenant_id=tenant.id, user_id=user_id)
            grant.may_send, grant.may_receive = email in send, email in receive
            if user_id not in present:
                entity.grants.append(grant)
        self.session.flush()

    def _check_licence(self, tenant: Tenant) -> None:
        licence = licence_of(self.session, tenant.id)
        if licence.is_exceeded:
            self.faults.append(
                f"{tenant.slug} has {licence.used} fax entities but a licence for {licence.channels} fax channels. "
                "Raise fax_channels or name fewer entities."
            )
