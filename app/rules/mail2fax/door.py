"""Direct email: emails that are delivered to us instead of lying in a mailbox. Who delivers, for whom, and to which
line.

``number@fax.example.org`` is a number for the only line that the sender may send from by email.
``number@line.fax.example.org`` names the line, by its name or its extension. The same works below a company's own
domain. Only lines whose box is without a mailbox can be reached. A box's own address works too: then the subject says
the number.

An email is known by its wish (:func:`app.services.mail2fax.wishes.wish_digest`), its line and its number, however
these are written. If it is delivered again, it gets the same answer and is sent once.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app.errors import Refused
from app.models import BoxSource, DoorCredential, FaxEntity, Mail2FaxBox
from app.rules.ground.access import sendable_entities
from app.rules.mail2fax.boxes import BoxDetails, judge_box, put_shared
from app.rules.mail2fax.ledger import Delivery, message_digest, message_id
from app.rules.mail2fax.mail_text import Wanted
from app.rules.numbers.dialing import hold_rules
from app.rules.numbers.numbers import read_mailed
from app.rules.numbers.policy import hold_policy
from tenants.addresses import fold
from tenants.models import EmailAddress, Tenant, User
from tenants.scope import get_owned, lock_tenant, owned_by

#: Characters of a secret, five bits each: nobody guesses it, so a plain digest keeps it.
SECRET_LENGTH = 32
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
MOST_CREDENTIALS = 200
#: How exactly it is noted when a credential was last used.
USED_WITHIN = timedelta(minutes=1)
#: RFC 3192 writes ``FAX=+12025550123``.
_NUMBER = re.compile(r"(?:fax=)?(\+?[0-9][0-9().\-/]{0,59})", re.IGNORECASE)
_DOMAIN = re.compile(r"(?=.{3,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+")
#: Refusals of an address that is nobody's: whatever else is refused may not be dialled.
UNKNOWN = frozenset(
    {"door_domain", "door_line", "door_line_needed", "door_number"}
    | {"number_several", "number_missing", "number_too_short", "number_unreadable", "number_too_long"}
    | {"number_ambiguous", "number_invalid"}
)


# ---- Domains


def read_domain(text: str) -> str | None:
    """As it is kept: lower case, ASCII (IDNA); None if it is none."""
    try:
        domain = text.strip().strip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    return domain if _DOMAIN.fullmatch(domain) else None


def judge_domain(text: str) -> Refused | None:
    return None if read_domain(text) else Refused("fax_domain_unreadable", field="fax_domain")


def hold_domain(session: Session, domain: str | None, tenant_id: int | None) -> None:
    """Whether a company may have it: one right above or below another company's would make a line's name ambiguous.

    Raises:
        Refused: ``fax_domain_taken``.
    """
    others = sa.select(Tenant.fax_domain).where(Tenant.fax_domain.is_not(None), Tenant.id != (tenant_id or 0))
    for other in session.scalars(others) if domain else ():
        if other and domain and (domain in (other, _above(other)) or _above(domain) == other):
            raise Refused("fax_domain_taken", field="fax_domain")


def _above(domain: str) -> str:
    return domain.partition(".")[2]


def domain_of(tenant: Tenant, installation: str) -> str:
    """What the company's addresses end with; empty where there is none."""
    return tenant.fax_domain or installation


def label_of(name: str) -> str:
    """A line's name as a part of a domain: ``Front desk`` is ``front-desk``, ``Büro`` is ``buro``."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:63]


# ---- Who hands in


@dataclass(frozen=True)
class Guest:
    """Who has signed in: by which credential, and what it may do."""

    credential_id: int
    tenant_id: int
    box_id: int
    user_id: int | None


def sign_in(session: Session, username: str, secret: str, now: datetime) -> Guest | None:
    """Commits when it was used, if that was not just written down."""
    query = sa.select(DoorCredential).where(DoorCredential.username == username.strip().lower()[:64])
    known = session.scalar(query)
    right = hmac.compare_digest(known.digest if known else _digest(""), _digest(secret))
    if known is None or not right or known.ended_at is not None:
        return None
    guest = Guest(known.id, known.tenant_id, known.box_id, known.user_id)
    if known.used_at is None or known.used_at < now - USED_WITHIN:
        known.used_at = now
        session.commit()
    return guest


def still_valid(session: Session, guest: Guest) -> bool:
    """It may have been ended since its holder signed in."""
    known = session.get(DoorCredential, guest.credential_id, populate_existing=True)
    return known is not None and known.ended_at is None


@dataclass(frozen=True)
class Sender:
    """Who sends, and within which box that holds; None: all of the company's. ``machine``: a copier or a program that
    an administrator let in as this person, whoever it says it is."""

    user_id: int
    tenant_id: int
    email: str
    box_id: int | None
    machine: bool


def sender_of_envelope(
    session: Session, guest: Guest | None, address: str, companies: frozenset[str] | None = None
) -> Sender:
    """Who sends what begins with MAIL FROM ``address``. A trusted mail server is no guest, and speaks for the people of
    these companies (slugs); None: of all.

    Raises:
        Refused: ``door_sender``: nobody who may.
    """
    own_id = guest.user_id if guest else None
    user = session.get(User, own_id) if own_id is not None else _person(session, address)
    known = user is not None and user.is_active and not user.is_invited
    tenant = user.tenant if user and known else None
    if user is None or tenant is None or not _speaks_for(guest, companies, tenant):
        raise Refused("door_sender", address=address[:320])
    if tenant.suspended_at:
        raise Refused("tenant_suspended")
    return Sender(user.id, tenant.id, user.email, guest.box_id if guest else None, machine=own_id is not None)


def _speaks_for(guest: Guest | None, companies: frozenset[str] | None, tenant: Tenant) -> bool:
    return guest.tenant_id == tenant.id if guest else companies is None or tenant.slug in companies


def companies_unknown(session: Session, slugs: Iterable[str]) -> list[str]:
    """Of the settings, those that no company has: whoever stands behind them hands in nothing."""
    named = set(slugs)
    there = session.scalars(sa.select(Tenant.slug).where(Tenant.slug.in_(named))) if named else ()
    return sorted(named - set(there))


def _person(session: Session, address: str) -> User | None:
    query = sa.select(User).join(EmailAddress, User.address_id == EmailAddress.id)
    return session.scalar(query.where(EmailAddress.folded == fold(address)))


# ---- For whom


@dataclass(frozen=True)
class Target:
    """A recipient: the box that judges the email, and what its address asks for; ``wanted`` None: the subject says it.
    ``key`` tells it from the email's other recipients, whatever their spelling; ``key_before`` did so before wishes."""

    tenant_id: int
    box_id: int
    wanted: Wanted | None
    key: str
    key_before: str


def target_of(session: Session, sender: Sender, address: str, installation: str, now: datetime) -> Target:
    """Raises Refused: nobody's address (``UNKNOWN``), or nothing that the sender may dial."""
    local, _at, domain = address.rpartition("@")
    tenant, user = session.get_one(Tenant, sender.tenant_id), session.get_one(User, sender.user_id)
    if box := _box_with(session, sender, address):
        return Target(sender.tenant_id, box.id, None, "subject", "subject")
    label = _label(tenant, domain, installation)
    line = _line(session, user, sender, label)
    number = _NUMBER.fullmatch(local.strip('"'))
    if number is None:
        raise Refused("door_number", typed=local[:60])
    addressee = read_mailed(session, tenant, number[1])
    hold_policy(session, tenant, addressee.dial_string, send_at=None, now=now)
    hold_rules(session, tenant=tenant, entity=line, number=addressee.remote_number, send_at=None, now=now)
    wanted = Wanted(number[1], line.name if label else None)
    keys = (f"{line.id} {addressee.remote_number}", f"{line.id} {addressee.dial_string}")
    return Target(sender.tenant_id, line.box_id or 0, wanted, *keys)


def _boxes(sender: Sender) -> sa.Select[Mail2FaxBox]:
    query = owned_by(Mail2FaxBox, sender.tenant_id).where(Mail2FaxBox.source == BoxSource.DOOR)
    return query.where(Mail2FaxBox.id == sender.box_id) if sender.box_id else query


def _box_with(session: Session, sender: Sender, address: str) -> Mail2FaxBox | None:
    return session.scalar(_boxes(sender).join(Mail2FaxBox.address).where(EmailAddress.folded == fold(address)))


def _label(tenant: Tenant, domain: str, installation: str) -> str | None:
    """What names the line; None where nothing does. A company's own domain comes first: it may lie below that of the
    installation."""
    ours = [one for one in (tenant.fax_domain, installation) if one]
    folded = read_domain(domain) or domain.casefold()
    if folded in ours:
        return None
    label, _dot, above = folded.partition(".")
    if above not in ours:
        raise Refused("door_domain", domain=domain[:253])
    try:
        return label_of(label.encode("ascii").decode("idna") if label.startswith("xn--") else label)
    except UnicodeError as error:  # no name was ever encoded as this (RFC 3490)
        raise Refused("door_line", name=label[:63]) from error


def _line(session: Session, user: User, sender: Sender, label: str | None) -> FaxEntity:
    boxes = set(session.scalars(_boxes(sender).with_only_columns(Mail2FaxBox.id)))
    lines = [line for line in sendable_entities(session, user) if line.box_id in boxes]
    if label is None:
        if len(lines) != 1:
            raise Refused("door_line_needed" if lines else "door_no_line")
        return lines[0]
    query = owned_by(FaxEntity, sender.tenant_id).where(FaxEntity.closed_at.is_(None), FaxEntity.box_id.in_(boxes))
    named = [line for line in session.scalars(query) if label in (line.extension, label_of(line.name))]
    if len(named) != 1:
        raise Refused("door_line", name=label)
    if named[0].id not in {line.id for line in lines}:
        raise Refused("entity_not_allowed")
    return named[0]


# ---- What was handed in


@dataclass(frozen=True)
class Envelope:
    """What is known of an email beside itself: who handed it in, and what its recipient's address asks for."""

    sender: str
    machine: bool
    wanted: Wanted | None


def is_known_again(raw: bytes) -> bool:
    """Without a Message-ID and a date an email sent again cannot be told from one written again."""
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    return bool(message_id(raw)) or bool(re.search(rb"^date:[ \t]*\S", head, re.IGNORECASE | re.MULTILINE))


def delivery_of(target: Target, raw: bytes, wish: str) -> Delivery:
    digest = _known_by(wish, target.key)
    before = _known_by(message_digest(raw), target.key_before)
    return Delivery(target.tenant_id, target.box_id, 0, 0, message_id(raw), digest, len(raw), wish, before)


def _known_by(content: str, key: str) -> str:
    return hashlib.sha256(f"door {content} {key}".encode()).hexdigest()


# ---- Boxes


DOOR_FIELDS = ("name", "email", "private_key", "authserv_id", "programs")


def judge_door_box(details: BoxDetails, domain: str, *, key_fault: Callable[[str], str | None]) -> dict[str, Refused]:
    """What is wrong with it, by field. Its address is at the company's domain, and no number."""
    faults = judge_box(details, has_password=True, key_fault=key_fault)
    faults = {field: faults[field] for field in DOOR_FIELDS if field in faults}
    local, _at, at = details.email.rpartition("@")
    if "email" not in faults and (at.lower() != domain or not re.search(r"[a-z]", local, re.IGNORECASE)):
        faults["email"] = Refused("door_email", field="email", domain=domain)
    return faults


def put_door_box(session: Session, tenant: Tenant, box: Mail2FaxBox | None, details: BoxDetails) -> Mail2FaxBox:
    """Enter a box at the door or change one. The caller commits.

    Raises:
        Refused: ``box_name_taken``, ``email_taken``, ``box_program_unknown``.
    """
    lock_tenant(session, tenant.id)
    box = put_shared(session, tenant, box, details, BoxSource.DOOR)
    session.add(box)
    session.flush()
    return box


def lines_at(session: Session, box: Mail2FaxBox) -> list[tuple[str, str]]:
    """Name and extension of each line that has it."""
    query = owned_by(FaxEntity, box.tenant_id).where(FaxEntity.box_id == box.id, FaxEntity.closed_at.is_(None))
    return [(line.name, line.extension) for line in session.scalars(query.order_by(FaxEntity.name))]


# ---- Credentials


def _digest(secret: str) -> str:
    return hashlib.sha256(re.sub(r"[\s-]", "", secret).lower().encode("utf-8", "replace")).hexdigest()


def credentials_of(session: Session, box: Mail2FaxBox) -> list[DoorCredential]:
    """Those that have not ended, by name."""
    mine = owned_by(DoorCredential, box.tenant_id).where(DoorCredential.box_id == box.id)
    query = mine.where(DoorCredential.ended_at.is_(None)).options(joinedload(DoorCredential.user))
    return list(session.scalars(query.order_by(DoorCredential.name, DoorCredential.id)))


def senders_of(session: Session, tenant_id: int) -> list[User]:
    """As whom a credential may send."""
    people = owned_by(User, tenant_id).order_by(User.name, User.id)
    return [user for user in session.scalars(people) if user.is_active and not user.is_invited]


def make_credential(
    session: Session, box: Mail2FaxBox, *, name: str, user_id: int | None
) -> tuple[DoorCredential, str]:
    """With its secret, which is told once. The caller commits.

    Raises:
        Refused: ``name_missing``, ``name_too_long``, ``door_person``, ``door_credentials_many``.
    """
    if not name:
        raise Refused("name_missing", field="credential_name")
    if len(name) > 100 or not name.isprintable():
        raise Refused("name_too_long", field="credential_name", limit=100)
    user = get_owned(session, User, user_id, box.tenant_id) if user_id else None
    if user_id and (user is None or not user.is_active or user.is_invited):
        raise Refused("door_person", field="person")
    if len(credentials_of(session, box)) >= MOST_CREDENTIALS:
        raise Refused("door_credentials_many", field="credential_name", limit=MOST_CREDENTIALS)
    secret = "".join(secrets.choice(_LETTERS) for _ in range(SECRET_LENGTH))
    username = f"{label_of(name)[:40] or 'door'}-{''.join(secrets.choice(_LETTERS) for _ in range(8))}"
    made = DoorCredential(
        tenant_id=box.tenant_id, box_id=box.id, name=name, username=username, digest=_digest(secret), user_id=user_id
    )
    session.add(made)
    session.flush()
    return made, secret


def end_credential(session: Session, box: Mail2FaxBox, credential_id: int, now: datetime) -> DoorCredential | None:
    """None if there is none of this box, or it has ended already. The caller commits."""
    known = get_owned(session, DoorCredential, credential_id, box.tenant_id)
    if known is None or known.box_id != box.id or known.ended_at is not None:
        return None
    known.ended_at = now
    return known


# ---- A company's addresses


def addresses_of(lines: list[tuple[str, str]], domain: str) -> list[tuple[str, list[str]]]:
    """Name of each line (name, extension) → what stands behind the @. What two lines could mean is left out."""
    labels: dict[str, int] = {}
    read = [(name, [label for label in (label_of(name), extension) if label]) for name, extension in lines]
    wanted = [(name, list(dict.fromkeys(own))) for name, own in read]
    for _name, own in wanted:
        for label in own:
            labels[label] = labels.get(label, 0) + 1
    return [(name, [f"{label}.{domain}" for label in own if labels[label] == 1]) for name, own in wanted]


def shown(credential: DoorCredential) -> dict[str, Any]:
    """For the audit log: never the secret."""
    person = credential.user.email if credential.user else None
    return {"name": credential.name, "username": credential.username, "person": person}
