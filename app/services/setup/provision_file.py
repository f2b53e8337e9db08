"""The provision file as it is written: its names, their kinds, and what is an entry at all. What an entry may say is
judged where the pages' forms are judged (:mod:`app.services.setup.provisioning`)."""

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from app.models import Authentication, ReceivedMail
from app.models.setup.entity import FAX_AFTER
from app.rules.mail2fax.box_sign_in import PROVIDERS
from app.rules.mail2fax.boxes import USUAL_POLL
from app.rules.numbers.numbers import public_form
from app.rules.numbers.policy import MOST_VOICE
from app.rules.operator.companies import MOST_COUNT
from app.rules.outbox.digests import read_time
from app.rules.sending.ladder import RATES, kept_rate
from app.rules.setup.templates import CAUSES, PAGE_SIZES, RESOLUTIONS
from tenants.languages import LANGUAGES, USUAL
from tenants.provision import SLUG, is_region


class ProvisionError(Exception):
    """Why the file was not applied: one sentence for each fault, and nothing of it is in the database."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _known_region(name: str) -> str:
    if not is_region(name):
        raise ValueError(f"{name} is not a region. Use two capital letters, such as IT")
    return name


def _valid_number(text: str) -> str:
    if number := public_form(text, "ZZ"):  # without a region only a + makes a whole number
        return number
    raise ValueError(f"{text} is not a public number. Example: +390509655637")


def _one_of(choices: Collection[object]) -> AfterValidator:
    def known(given: object) -> object:
        if given not in choices:
            raise ValueError(f"{given} is not one of {', '.join(map(str, choices))}")
        return given

    return AfterValidator(known)


def _as_it_goes_out(rate: int) -> int:
    """Files from before may name a rate that no modem begins with: it was never kept."""
    return kept_rate(rate) if rate in FORMER_RATES else rate


#: bit/s.
FORMER_RATES = (2400, 7200, 12000)


def _time_of_day(text: str) -> str:
    if read_time(text) is None:
        raise ValueError(f'{text} is not a time of day. Example: "18:00"')
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Region = Annotated[str, AfterValidator(_known_region)]
PublicNumber = Annotated[str, AfterValidator(_valid_number)]
Count = Annotated[int, Field(ge=0, le=MOST_COUNT)]
Language = Annotated[str, _one_of(LANGUAGES)]
TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class OperatorEntry(Entry):
    email: Text
    name: Text
    password: str | None = None
    language: Language | None = None


class UserEntry(OperatorEntry):
    role: Literal["user", "admin"] = "user"
    pgp_public_keys: list[str] | None = None
    received_mail: Annotated[str, _one_of([way.value for way in ReceivedMail])] | None = None
    digest_at: TimeOfDay | None = None


class TemplateEntry(Entry):
    name: Name
    header: str = ""
    station_id: str = ""
    resolution: Annotated[str, _one_of(RESOLUTIONS)] = "fine"
    page_size: Annotated[str, _one_of(PAGE_SIZES)] = "A4"
    ecm: bool = True
    t38: bool = True
    max_rate: Annotated[int, AfterValidator(_as_it_goes_out), _one_of(RATES)] = 14400
    max_attempts: int = 5
    max_dials: int = 12
    dial_hours: int = 24
    ring_seconds: int = 60
    max_seconds: int = 3600
    retry_delays: dict[Annotated[str, _one_of(CAUSES)], int | None] | None = None  # null: no other attempt
    allowed_prefixes: list[str] = []
    forbidden_prefixes: list[str] = []
    premium_allowed: bool = False
    daily_cap: int = 0


class OAuthEntry(Entry):
    provider: Annotated[str, _one_of(list(PROVIDERS))]
    directory: Text = ""
    token_url: Text = ""
    authorize_url: Text = ""
    client_id: Text = ""
    client_secret: Text = ""
    service_key: str | None = None
    refresh_token: Text = ""
    scope: Text = ""
    secret_ends_on: Text | date = ""


class BoxEntry(Entry):
    name: Name
    email: Text
    door: bool = False  # handed in to us: no server, user name or password
    imap: Text | None = None
    username: Text | None = None
    password: str | None = None
    oauth: OAuthEntry | None = None
    private_key: str | None = None
    poll_seconds: int = USUAL_POLL
    authserv_id: Text | None = None
    programs: list[Text] = []

    @model_validator(mode="after")
    def _has_one_source(self) -> "BoxEntry":
        given = [name for name in ("imap", "username", "password", "oauth") if getattr(self, name) is not None]
        if self.door and given:
            raise ValueError(f"a box at the door has no {given[0]}")
        if not self.door and (given[:2] != ["imap", "username"] or len(given) < 3):
            raise ValueError("a box needs imap, username and password or oauth, or door: true")
        return self


class Mail2FaxEntry(Entry):
    box: Name
    authentication: Annotated[str, _one_of([method.value for method in Authentication])] = "none"
    pin: Text | None = None
    encryption: bool = False


class EntityEntry(Entry):
    name: Name
    extension: Text
    number: PublicNumber | None = None
    shared_with_voice: bool = False
    voice_destination: Text | None = None
    fax_after: int = FAX_AFTER
    limit_outbound: int = 0
    template: Name
    send: list[str] = []
    receive: list[str] = []
    received_mail: Annotated[str, _one_of([way.value for way in ReceivedMail])] = ReceivedMail.ATTACHED.value
    mail2fax: Mail2FaxEntry | None = None


class LimitsEntry(Entry):
    inbound: Count = 0
    outbound: Count = 0
    total: Count = 0


class QuotasEntry(Entry):
    storage: Count | None = None
    drafts: Count | None = None
    uploads: Count | None = None
    mails: Count | None = None


class CeilingsEntry(Entry):
    """What the company may dial in a day, 0 for no limit."""

    calls: Count | None = None
    minutes: Count | None = None


class PolicyEntry(Entry):
    """The operator's dialing policy."""

    countries: list[Region] | None = None
    premium_allowed: bool | None = None
    satellite_allowed: bool | None = None
    redirects_followed: bool | None = None
    voice_per_line: Annotated[int, Field(ge=1, le=MOST_VOICE["voice_per_line"])] | None = None
    voice_per_company: Annotated[int, Field(ge=1, le=MOST_VOICE["voice_per_company"])] | None = None
    voice_minutes: Annotated[int, Field(ge=1, le=MOST_VOICE["voice_minutes"])] | None = None


class TrunkEntry(Entry):
    """What is not named stays as it is; ``host`` and ``port`` of one in FAXROOM_TRUNK stand there."""

    name: Text
    host: Text | None = None
    port: int | None = None
    transport: Text | None = None
    media: Text | None = None
    username: Text | None = None
    password: str | None = None
    registers: bool | None = None
    channels: int | None = None
    t38: bool | None = None
    number_form: Text | None = None
    caller_in: Text | None = None
    prefers: list[str] | None = None
    fax_lines: list[str] | None = None
    enabled: bool | None = None
    trunk_region: str | None = None
    trunk_area: str | None = None
    called_first: Text | None = None
    caller_form: Text | None = None


class TenantEntry(Entry):
    slug: Annotated[str, StringConstraints(pattern=rf"^{SLUG.pattern}$")]
    name: Text
    serial: Text
    region: Text
    timezone: Text
    language: Language = USUAL
    outside_prefix: Text = "0"
    fax_channels: Count = 0
    limits: LimitsEntry = LimitsEntry()
    quotas: QuotasEntry = QuotasEntry()
    ceilings: CeilingsEntry = CeilingsEntry()
    second_factor_required: bool | None = None
    mail_proof_required: bool | None = None
    fax_domain: Text | None = None
    numbers: list[str] = []
    users: list[UserEntry] = []
    templates: list[TemplateEntry] = []
    mail2fax_boxes: list[BoxEntry] = []
    entities: list[EntityEntry] = []


class ProvisionFile(Entry):
    dialing: PolicyEntry = PolicyEntry()
    operators: list[OperatorEntry] = []
    trunks: list[TrunkEntry] = []
    tenants: list[TenantEntry] = []


class _Loader(yaml.SafeLoader):
    """YAML, but ``0501`` is an extension and not 321, and a + is part of a number."""


def _digits(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    number = loader.construct_yaml_int(node)
    return number if str(number) == node.value else node.value


_Loader.add_constructor("tag:yaml.org,2002:int", _digits)


def read_provision_file(path: Path) -> ProvisionFile:
    """Parse and check the form of the file; ProvisionError names every fault with its place."""
    try:
        content = yaml.load(path.read_text(), _Loader)
    except OSError as error:
        raise ProvisionError([f"{path} cannot be read: {error.strerror}."]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProvisionError([f"{path} is not valid YAML: {error}"]) from error
    try:
        return ProvisionFile.model_validate(content or {})
    except ValidationError as error:
        raise ProvisionError([_fault(entry) for entry in error.errors()]) from error


def _fault(entry: ErrorDetails) -> str:
    place = ".".join(str(part) for part in entry["loc"])
    return f"{place or 'the file'}: {entry['msg'].removeprefix('Value error, ')}"
