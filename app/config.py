"""Settings from the environment. Every one may also be given as ``NAME_FILE``, a path to a file that holds it."""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path

#: Of the installation, not of a tenant: what a document may be at most.
DOCUMENT_BYTES = 30 * 1024 * 1024
#: In FAXROOM_HOME: the keys that `bin/faxroom keys rotate` makes.
OWN_KEYS = "secrets/FAXROOM_SEALING_KEYS"


def _read(environment: Mapping[str, str], name: str) -> str | None:
    if path := environment.get(f"{name}_FILE"):
        return Path(path).read_text().strip()
    return environment.get(name) or None


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Peer:
    """A mail server that is trusted at the door, or a network of them. ``companies`` are the slugs of those for whose
    people it speaks; None: for all."""

    network: Network
    companies: frozenset[str] | None = None


@dataclass(frozen=True)
class DoorSettings:
    """Where emails are handed in (:mod:`app.jobs.mail2fax.door`). A port of 0: nowhere. ``domain`` is the
    installation's own, lower case, or empty; ``certificate`` and ``key`` are files in PEM, both or none."""

    bind: str = "127.0.0.1"
    port: int = 0
    lmtp_port: int = 0
    name: str = "faxroom.invalid"
    domain: str = ""
    peers: tuple[Peer, ...] = ()
    certificate: Path | None = None
    key: Path | None = None

    @property
    def companies(self) -> set[str]:
        """Slugs of those that a peer is bound to."""
        return {slug for peer in self.peers for slug in peer.companies or ()}

    @property
    def is_open(self) -> bool:
        return bool(self.port or self.lmtp_port)

    @classmethod
    def read(cls, read: Callable[[str, str], str]) -> "DoorSettings":
        """Raises ValueError: a setting of FAXROOM_DOOR_… is not what it has to be."""
        domain = read("FAXROOM_DOOR_DOMAIN", "").strip().strip(".").lower()
        if domain and not (domain.isascii() and "." in domain and "@" not in domain):
            raise ValueError(f"FAXROOM_DOOR_DOMAIN: {domain} is not a domain such as fax.example.org")
        certificate, key = read("FAXROOM_DOOR_CERTIFICATE", ""), read("FAXROOM_DOOR_KEY", "")
        if bool(certificate) != bool(key):
            raise ValueError("Set FAXROOM_DOOR_CERTIFICATE and FAXROOM_DOOR_KEY together, or neither.")
        return cls(
            bind=read("FAXROOM_DOOR_BIND", cls.bind),
            port=int(read("FAXROOM_DOOR_PORT", "0")),
            lmtp_port=int(read("FAXROOM_DOOR_LMTP_PORT", "0")),
            name=read("FAXROOM_DOOR_NAME", domain or cls.name),
            domain=domain,
            peers=_peers(read("FAXROOM_DOOR_PEERS", "")),
            certificate=Path(certificate) if certificate else None,
            key=Path(key) if key else None,
        )


_PEERS = "FAXROOM_DOOR_PEERS"
#: What nobody can have meant as an address. Whether there is such a company is found out where the companies are.
_COMPANY = re.compile(r"[^.:/=]+")


def _peers(text: str) -> tuple[Peer, ...]:
    """``10.0.0.5=alpha,beta 10.0.0.0/24``: what follows a = up to the next address are companies.

    Raises:
        ValueError: something is neither, or an address stands there twice.
    """
    found: dict[Network, set[str] | None] = {}
    latest: set[str] | None = None
    for word in re.sub(r"\s*=\s*", "=", text).replace(",", " ").split():
        if latest is not None and _network(word) is None and _COMPANY.fullmatch(word):
            latest.add(word)
            continue
        place, binds, company = word.partition("=")
        network = _network(place)
        if network is None:
            raise ValueError(f"{_PEERS}: {place or word} is not an address or network such as 10.0.0.0/24")
        if network in found:
            raise ValueError(f"{_PEERS}: {place} stands there twice. Write its companies behind one =")
        if binds and not _COMPANY.fullmatch(company):
            raise ValueError(f"{_PEERS}: {company or 'nothing'} after {place}= is not a company such as alpha")
        found[network] = latest = {company} if binds else None
    return tuple(Peer(network, None if names is None else frozenset(names)) for network, names in found.items())


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class SmtpTokens:
    """Where the tokens come from with which ``SMTP_URL``'s user signs in; ``ends_on``: the secret's last day."""

    url: str
    client_id: str
    scope: str
    client_secret: str = field(repr=False)
    refresh: str = field(repr=False)
    ends_on: date | None


@dataclass(frozen=True)
class Settings:
    """What one instance of Faxroom is told from outside. Secrets do not show in its repr."""

    home: Path
    secret_key: str = field(repr=False)
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    storage_url: str = field(repr=False)
    spool: Path
    sip_port: int
    astdb: Path  # folder of Asterisk's own database
    min_free: int  # megabytes
    smtp_url: str | None = field(repr=False)
    smtp_tokens: SmtpTokens | None
    mail_from: str
    base_url: str
    ari_url: str
    ari_user: str
    ari_password: str = field(repr=False)
    unoserver_urls: tuple[str, ...]
    line_limit: int
    media_ports: str  # that an operator has given, app/rules/sending/trunks/ports.py
    outgoing_limit: int
    listen_seconds: int
    page_answers: bool  # heed what machines say of the pages that we send, app/adapters/telephony/answers.py
    trusted_proxies: int
    front: str | None  # address of what reads requests for the web on this machine, bin/lib/front.py
    secure_cookies: bool
    sealing_secrets: tuple[str, ...] = field(repr=False)  # where there is no file of them
    sealing_file: Path | None  # read again when it changes; None: given by value
    archives: Path  # below it each tenant has a folder for local archives
    audit_log: str | None  # where the audit log goes out to, app/adapters/servers/audit_collector.py
    security_contact: tuple[str, ...]  # whom to tell of a hole, RFC 9116
    security_expires: datetime | None
    operators_need_factor: bool
    door: "DoorSettings"
    entrance_port: int  # where carriers call that begin with T.38 alone, app/adapters/telephony/entrance.py; 0: nowhere
    entrance_address: str  # by which they reach it, where this machine does not know it
    private_hosts: tuple[str, ...]  # hosts and networks inside that tenants may name; "yes": all

    @property
    def own_asterisk(self) -> bool:
        """bin/up has set it up beside us; an operator's own has ports as they like."""
        place = self.spool.parent.parent  # every machine has an /etc
        return place != Path(place.anchor) and (place / "etc").is_dir()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the environment; anything not given follows from ``FAXROOM_HOME``.

        Raises:
            RuntimeError: ``SECRET_KEY`` is not given: without it no session could be trusted.
            ValueError: a setting is not what it has to be.
        """

        def given(name: str) -> str | None:
            return _read(environment, name)

        def read(name: str, default: str) -> str:
            value = given(name)
            return default if value is None else value

        home = Path(read("FAXROOM_HOME", "var")).absolute()
        secret_key = given("SECRET_KEY")
        if not secret_key:
            raise RuntimeError("SECRET_KEY is not set. bin/up makes one; elsewhere give a long random text.")
        base_url = read("FAXROOM_URL", f"http://127.0.0.1:{read('FAXROOM_PORT', '8000')}")
        return cls(
            home=home,
            secret_key=secret_key,
            database_url=_with_driver(read("DATABASE_URL", f"sqlite:///{home}/faxroom.sqlite3")),
            redis_url=read("REDIS_URL", "redis://127.0.0.1:6379/0"),
            storage_url=read("STORAGE_URL", f"file://{home}/storage"),
            sip_port=int(read("FAXROOM_SIP_PORT", "5060")),
            spool=Path(read("FAXROOM_SPOOL", f"{home}/asterisk/spool/faxroom")),
            astdb=Path(read("FAXROOM_ASTDB", f"{home}/asterisk/lib")),
            min_free=int(read("FAXROOM_MIN_FREE", "200")),
            smtp_url=given("SMTP_URL"),
            smtp_tokens=_smtp_tokens(given),
            mail_from=read("MAIL_FROM", "Faxroom <faxroom@localhost.localdomain>"),
            base_url=base_url.rstrip("/"),
            ari_url=read("ARI_URL", "http://127.0.0.1:8088").rstrip("/"),
            ari_user=read("ARI_USER", "faxroom"),
            ari_password=read("ARI_PASSWORD", ""),
            unoserver_urls=tuple(read("UNOSERVER_URL", f"unix:{home}/run/office.sock").split(",")),
            line_limit=(line_limit := int(read("FAXROOM_LINE_LIMIT", "400"))),
            outgoing_limit=int(read("FAXROOM_LINE_OUTGOING", str(-(-line_limit * 3 // 4)))),
            media_ports=read("FAXROOM_MEDIA_PORTS", ""),
            listen_seconds=int(read("FAXROOM_LISTEN_SECONDS", "6")),
            page_answers=read("FAXROOM_PAGE_ANSWERS", "yes") == "yes",
            trusted_proxies=int(read("FAXROOM_PROXIES", "0")),
            front=given("FAXROOM_FRONT"),
            secure_cookies=base_url.startswith("https://"),
            sealing_secrets=tuple((given("FAXROOM_SEALING_KEYS") or secret_key).split(",")),
            sealing_file=_sealing_file(environment, home),
            archives=Path(read("FAXROOM_ARCHIVES", f"{home}/archives")).absolute(),
            audit_log=given("FAXROOM_AUDIT_LOG"),
            security_contact=_contacts(read("FAXROOM_SECURITY_CONTACT", "")),
            security_expires=_expiry(given("FAXROOM_SECURITY_EXPIRES"), given("FAXROOM_SECURITY_CONTACT")),
            operators_need_factor=read("FAXROOM_OPERATORS_NEED_FACTOR", "no") == "yes",
            door=DoorSettings.read(read),
            entrance_port=int(read("FAXROOM_ENTRANCE_PORT", "0")),
            entrance_address=_address(read("FAXROOM_ENTRANCE_ADDRESS", "")),
            private_hosts=tuple(name.strip() for name in read("FAXROOM_ALLOW_PRIVATE_HOSTS", "").split(",")),
        )


def _sealing_file(environment: Mapping[str, str], home: Path) -> Path | None:
    if path := environment.get("FAXROOM_SEALING_KEYS_FILE"):
        return Path(path)
    return None if environment.get("FAXROOM_SEALING_KEYS") else home / OWN_KEYS


def _address(text: str) -> str:
    """Raises ValueError: it is none of IPv4."""
    try:
        return str(ipaddress.IPv4Address(text)) if text else ""
    except ValueError:
        raise ValueError(f"FAXROOM_ENTRANCE_ADDRESS: {text} is not an IPv4 address such as 192.0.2.1") from None


def _smtp_tokens(given: Callable[[str], str | None]) -> SmtpTokens | None:
    """None where ``SMTP_URL`` has a password, or none is asked for.

    Raises:
        ValueError: something of it is missing, or no date.
    """
    url = given("SMTP_TOKEN_URL")
    if not url:
        return None
    missing = [name for name in ("SMTP_CLIENT_ID", "SMTP_CLIENT_SECRET") if not given(name)]
    if missing:
        raise ValueError(f"SMTP_TOKEN_URL needs {' and '.join(missing)} too")
    day = given("SMTP_CLIENT_SECRET_ENDS")
    try:
        ends_on = date.fromisoformat(day) if day else None
    except ValueError:
        raise ValueError("SMTP_CLIENT_SECRET_ENDS has to be a date such as 2027-06-30") from None
    texts = {name: given(name) or "" for name in ("SMTP_CLIENT_ID", "SMTP_CLIENT_SECRET", "SMTP_TOKEN_SCOPE")}
    return SmtpTokens(
        url,
        texts["SMTP_CLIENT_ID"],
        texts["SMTP_TOKEN_SCOPE"],
        texts["SMTP_CLIENT_SECRET"],
        given("SMTP_REFRESH_TOKEN") or "",
        ends_on,
    )


def _contacts(text: str) -> tuple[str, ...]:
    """One or more, separated by blanks.

    Raises:
        ValueError: one is no URI that RFC 9116, 2.5.3, has.
    """
    contacts = tuple(text.split())
    for contact in contacts:
        if not contact.startswith(("mailto:", "https://", "tel:")):
            raise ValueError(f"FAXROOM_SECURITY_CONTACT: {contact} has to begin with mailto:, https:// or tel:")
    return contacts


def _expiry(text: str | None, contact: str | None) -> datetime | None:
    """The end of the day, in UTC.

    Raises:
        ValueError: it is no date, or none is given for a contact (RFC 9116, 2.5.5).
    """
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        if not text and not contact:
            return None
        raise ValueError("FAXROOM_SECURITY_EXPIRES has to be a date such as 2027-06-30") from None
    return datetime.combine(day, time(23, 59, 59), tzinfo=UTC)


def _with_driver(url: str) -> str:
    """Name psycopg 3 where a database URL names none."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url
