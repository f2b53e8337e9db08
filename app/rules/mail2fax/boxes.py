"""Mail2Fax boxes: what may be entered for one, and the one text in which its server is kept."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from app.errors import Refused
from app.models import Authentication, BoxSignIn, BoxSource, FaxEntity, Mail2FaxBox
from app.rules.mail2fax.box_sign_in import PASSWORD, SignInDetails, judge_sign_in, put_sign_in, sign_in_details
from app.rules.people.accounts import judge_email
from app.whole_numbers import read_whole
from tenants.addresses import AddressInvalid, AddressTaken, change_address, check_address, claim_address
from tenants.models import EmailAddress, Tenant, User
from tenants.scope import lock_tenant, owned_by

#: Security → scheme of the kept URL and usual port.
SCHEMES = {"tls": ("imaps", 993), "starttls": ("imap+starttls", 143), "none": ("imap", 143)}
INBOX = "INBOX"
NAME_LENGTH = 100
#: Seconds between two looks into a mailbox.
USUAL_POLL, SHORTEST_POLL, LONGEST_POLL = 60, 10, 3600
MOST_KEY = 200_000
MOST_PROGRAMS = 50
_HOST = re.compile(
    r"(?=.{1,253}$)[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?(?:\.[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?)*"
)
_SERVER_NAME = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,253}[0-9A-Za-z])?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}")
BEGIN = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
END = "-----END PGP PRIVATE KEY BLOCK-----"
_PUBLIC = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


@dataclass(frozen=True)
class MailServer:
    """Where a box lies; ``security`` is one of SCHEMES."""

    host: str
    port: int
    security: str
    folder: str = INBOX


def server_url(server: MailServer) -> str:
    """``imaps://host:993/INBOX``, as the column ``imap`` has it and a provision file may."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{SCHEMES[server.security][0]}://{host}:{server.port}/{quote(server.folder, safe='')}"


def read_server(url: str) -> MailServer:
    """What the column says. A URL without a folder means the inbox; ValueError if it is no such URL."""
    parts = urlsplit(url)
    security = next((name for name, (scheme, _port) in SCHEMES.items() if scheme == parts.scheme), None)
    if security is None or not parts.hostname:
        raise ValueError(f"{url} is not a mail server. Example: imaps://imap.example.org")
    port = parts.port or SCHEMES[security][1]
    return MailServer(parts.hostname, port, security, unquote(parts.path.removeprefix("/")) or INBOX)


@dataclass(frozen=True)
class BoxDetails:
    """As typed. Empty secrets leave those that are kept."""

    name: str = ""
    email: str = ""
    host: str = ""
    port: str = ""
    security: str = "tls"
    folder: str = INBOX
    username: str = ""
    password: str = ""
    private_key: str = ""
    poll_seconds: str = ""
    authserv_id: str = ""
    programs: str = ""
    sign_in: SignInDetails = field(default_factory=SignInDetails)

    def server(self) -> MailServer:
        port = int(self.port) if self.port else SCHEMES[self.security][1]
        return MailServer(self.host, port, self.security, self.folder or INBOX)


def details_of(box: Mail2FaxBox) -> BoxDetails:
    try:
        server = read_server(box.imap)
    except ValueError:  # entered before anybody looked at it
        server = MailServer("", SCHEMES["tls"][1], "tls")
    return BoxDetails(
        name=box.name,
        email=box.address.address,
        host=server.host,
        port=str(server.port),
        security=server.security,
        folder=server.folder,
        username=box.username,
        poll_seconds=str(box.poll_seconds),
        authserv_id=box.authserv_id or "",
        programs="\n".join(box.programs.split()),
        sign_in=sign_in_details(box.sign_in),
    )


def shown(box: Mail2FaxBox) -> dict[str, Any]:
    """What the audit log keeps: never a secret."""
    values: dict[str, Any] = {"name": box.name, "email": box.address.address, "authserv_id": box.authserv_id}
    values |= {"programs": box.programs}
    if box.is_door:
        return values | {"source": box.source}
    values |= {"imap": box.imap, "username": box.username, "poll_seconds": box.poll_seconds}
    if row := box.sign_in:
        values |= {"sign_in": row.provider, "token_url": row.token_url, "client_id": row.client_id, "scope": row.scope}
    return values


def judge_box(
    details: BoxDetails,
    *,
    has_password: bool,
    key_fault: Callable[[str], str | None],
    sign_in: BoxSignIn | None = None,
) -> dict[str, Refused]:
    """What is wrong with it, by field. ``key_fault`` opens the key: the code of what is wrong with it. ``sign_in`` is
    how it gets its tokens now."""
    needs_password = details.sign_in.way == PASSWORD and not details.password and not has_password
    faults = [
        _judge_name(details.name),
        judge_email(details.email),
        _judge_host(details.host),
        _judge_port(details.port),
        None if details.security in SCHEMES else Refused("box_security", field="security"),
        None if _is_line(details.folder, 200, empty=True) else Refused("box_folder", field="folder"),
        None if _is_line(details.username, 320) else Refused("box_username", field="username"),
        Refused("box_password", field="password") if needs_password else None,
        _judge_key(details.private_key, key_fault),
        _judge_poll(details.poll_seconds),
        None if is_server_name(details.authserv_id) else Refused("box_authserv", field="authserv_id"),
        _judge_programs(details.programs),
    ]
    found = {fault.field or "form": fault for fault in faults if fault}
    return found | judge_sign_in(details.sign_in, sign_in)


def _is_line(text: str, most: int, *, empty: bool = False) -> bool:
    return len(text) <= most and text.isprintable() and (empty or bool(text))


def _judge_name(name: str) -> Refused | None:
    if not name:
        return Refused("name_missing", field="name")
    return None if _is_line(name, NAME_LENGTH) else Refused("name_too_long", field="name", limit=NAME_LENGTH)


def _judge_host(host: str) -> Refused | None:
    return (
        None if _HOST.fullmatch(host) or (":" in host and _IPV6.fullmatch(host)) else Refused("box_host", field="host")
    )


def _judge_port(port: str) -> Refused | None:
    fine = not port or read_whole(port, least=1, most=65535) is not None
    return None if fine else Refused("box_port", field="port")


def _judge_poll(text: str) -> Refused | None:
    if not text or read_whole(text, least=SHORTEST_POLL, most=LONGEST_POLL) is not None:
        return None
    return Refused("box_poll", field="poll_seconds", least=SHORTEST_POLL, most=LONGEST_POLL)


def _judge_programs(text: str) -> Refused | None:
    addresses = read_addresses(text)
    for address in addresses:
        try:
            check_address(address)
        except AddressInvalid:
            return Refused("box_program_address", field="programs", address=address[:100])
    return Refused("box_programs", field="programs", limit=MOST_PROGRAMS) if len(addresses) > MOST_PROGRAMS else None


def read_addresses(text: str) -> list[str]:
    """As typed one below the other, or with commas between."""
    return list(dict.fromkeys(re.split(r"[\s,;]+", text.strip()))) if text.strip() else []


def is_server_name(text: str) -> bool:
    """What a server may call itself in Authentication-Results (RFC 8601), or nothing."""
    return not text or bool(_SERVER_NAME.fullmatch(text))


def read_server_name(text: str) -> str:
    """The name alone, also where the whole line of a mail was copied."""
    rest = re.sub(r"^\s*authentication-results\s*:", "", text, flags=re.IGNORECASE)
    words = rest.partition(";")[0].split()
    return words[0] if words else ""


def read_key(content: bytes) -> str:
    """The text of a key's file; what is no ASCII is none."""
    return content.decode("ascii", "replace").strip()


def _judge_key(text: str, key_fault: Callable[[str], str | None]) -> Refused | None:
    if not text:
        return None
    if _PUBLIC in text and BEGIN not in text:
        return Refused("box_key_public", field="private_key")
    whole = text.count(BEGIN) == 1 and text.rstrip().endswith(END) and len(text) <= MOST_KEY and text.isascii()
    code = key_fault(text) if whole else "box_key_unreadable"
    return Refused(code, field="private_key") if code else None


def put_box(session: Session, tenant: Tenant, box: Mail2FaxBox | None, details: BoxDetails) -> Mail2FaxBox:
    """Enter a box or change one. The caller commits.

    Another server or user name needs the password again: else whoever may come here could have the one that is kept
    sent to a server of theirs.

    Raises:
        Refused: ``box_name_taken``, ``email_taken``, ``box_password_again``, ``box_authserv_needed``,
            ``box_program_unknown``, and those of :func:`app.rules.mail2fax.box_sign_in.put_sign_in`.
    """
    lock_tenant(session, tenant.id)
    elsewhere = bool(box and _leads_elsewhere(box, details))
    by_password = details.sign_in.way == PASSWORD
    if by_password and elsewhere and not details.password:
        raise Refused("box_password_again", field="password")
    if by_password and box and box.sign_in and not details.password:
        raise Refused("box_password", field="password")
    session.refresh(tenant, ["mail_proof_required"])  # somebody may have required it while this waited for the lock
    if tenant.mail_proof_required and not details.authserv_id:
        raise Refused("box_authserv_needed", field="authserv_id")
    box = put_shared(session, tenant, box, details, BoxSource.IMAP)
    box.imap, box.username = server_url(details.server()), details.username
    box.poll_seconds = int(details.poll_seconds or USUAL_POLL)
    if details.password:
        box.password = details.password
    session.add(box)
    put_sign_in(session, box, details.sign_in, elsewhere=elsewhere)
    session.flush()
    return box


def put_shared(
    session: Session, tenant: Tenant, box: Mail2FaxBox | None, details: BoxDetails, source: BoxSource
) -> Mail2FaxBox:
    """Enter or change what every kind of box has. The caller holds the company's lock and adds the box.

    Raises:
        Refused: ``box_name_taken``, ``email_taken``, ``box_program_unknown``.
    """
    if _name_is_taken(session, tenant, box, details.name):
        raise Refused("box_name_taken", field="name")
    programs = _read_programs(session, tenant, details.programs, known=box.programs if box else "")
    try:
        if box is None:
            box = Mail2FaxBox(tenant_id=tenant.id, address=claim_address(session, details.email), source=source)
            box.imap = box.username = box.password = ""
        elif box.address.address != details.email:
            change_address(session, box.address, details.email)
    except AddressTaken as error:
        raise Refused("email_taken", field="email") from error
    box.name, box.authserv_id, box.programs = details.name, details.authserv_id or None, programs
    if details.private_key:
        box.private_key = details.private_key
    return box


def _name_is_taken(session: Session, tenant: Tenant, box: Mail2FaxBox | None, name: str) -> bool:
    others = owned_by(Mail2FaxBox, tenant.id).where(Mail2FaxBox.id != (box.id if box else 0))
    return any(other.name.casefold() == name.casefold() for other in session.scalars(others))


def _read_programs(session: Session, tenant: Tenant, typed: str, *, known: str) -> str:
    """As the column has them. A program sends in the name of a user; one of the ``known`` may have lost its user since.

    Raises:
        Refused: ``box_program_unknown``.
    """
    addresses = read_addresses(typed)
    users = sa.select(EmailAddress.address).join(User, User.address_id == EmailAddress.id)
    found = {*session.scalars(users.where(User.tenant_id == tenant.id)), *known.split()} if addresses else set()
    if stranger := next((address for address in addresses if address not in found), None):
        raise Refused("box_program_unknown", field="programs", address=stranger)
    return " ".join(addresses)


def _leads_elsewhere(box: Mail2FaxBox, details: BoxDetails) -> bool:
    try:
        before = read_server(box.imap)
    except ValueError:
        return True
    after = details.server()
    kept = (before.host.lower(), before.port, before.security, box.username)
    return kept != (after.host.lower(), after.port, after.security, details.username)


def require_proof(session: Session, tenant: Tenant, required: bool) -> None:
    """Whether a mail becomes a fax only if the mailbox's own server vouches for its sender. The caller commits.

    Raises:
        Refused: ``mail_proof_boxes``, with the names of the boxes whose server is not known by name: no mail to them
            would be good enough.
    """
    lock_tenant(session, tenant.id)
    nameless = names_without_server(session, tenant.id) if required else []
    if nameless:
        raise Refused("mail_proof_boxes", field="required", names=", ".join(nameless))
    tenant.mail_proof_required = required


def names_without_server(session: Session, tenant_id: int) -> list[str]:
    """Boxes that believe nobody's Authentication-Results. At the door whoever hands in has made sure of the sender."""
    nameless = (Mail2FaxBox.authserv_id.is_(None), Mail2FaxBox.source == BoxSource.IMAP)
    query = owned_by(Mail2FaxBox, tenant_id).where(*nameless).order_by(Mail2FaxBox.name)
    return list(session.scalars(query.with_only_columns(Mail2FaxBox.name)))


def lines_by_method(session: Session, box: Mail2FaxBox) -> dict[str, list[str]]:
    """Names of its fax entities, by how a mail proves there who sent it."""
    query = owned_by(FaxEntity, box.tenant_id).where(FaxEntity.box_id == box.id, FaxEntity.closed_at.is_(None))
    found: dict[str, list[str]] = {method.value: [] for method in Authentication}
    columns = query.order_by(FaxEntity.name).with_only_columns(FaxEntity.name, FaxEntity.authentication)
    for name, method in session.execute(columns):
        found[method].append(name)
    return found


def remove_box(session: Session, box: Mail2FaxBox) -> None:
    """Its address is free for anybody afterwards.

    Raises:
        Refused: ``box_in_use``, with the names of the fax entities.
    """
    names = entities_of(session, box)
    if names:
        raise Refused("box_in_use", names=", ".join(names))
    address = box.address
    session.delete(box)
    try:
        session.flush()
    except IntegrityError as error:  # given to an entity at this very moment
        session.rollback()
        raise Refused("box_in_use", names="…") from error
    session.delete(address)


def entities_of(session: Session, box: Mail2FaxBox) -> list[str]:
    query = owned_by(FaxEntity, box.tenant_id).where(FaxEntity.box_id == box.id).order_by(FaxEntity.name)
    return list(session.scalars(query.with_only_columns(FaxEntity.name)))


def boxes_of(session: Session, tenant_id: int) -> list[tuple[Mail2FaxBox, list[str]]]:
    """By name, each with the fax entities that it belongs to."""
    boxes = owned_by(Mail2FaxBox, tenant_id).options(joinedload(Mail2FaxBox.address)).order_by(Mail2FaxBox.name)
    used = owned_by(FaxEntity, tenant_id).where(FaxEntity.box_id.is_not(None)).order_by(FaxEntity.name)
    names: dict[int | None, list[str]] = {}
    for box_id, name in session.execute(used.with_only_columns(FaxEntity.box_id, FaxEntity.name)):
        names.setdefault(box_id, []).append(name)
    return [(box, names.get(box.id, [])) for box in session.scalars(boxes)]
