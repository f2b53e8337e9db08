"""A trunk's fields: their one grammar and judgement, how FAXROOM_TRUNK writes them, and what Asterisk is told of them.

Standard library only, and our grammar of what is dialled: the set-up reads it before anything is installed.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from app.dialled import TRUNK_NAME, t38_of

TRANSPORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}  # the ports of RFC 3261
MEDIA = ("plain", "srtp")
#: Where our own number stands as the caller's, and what of it Asterisk is told.
CALLER_IN = {
    "usual": ("send_pai = yes",),
    "from": ("send_pai = no",),
    "both": ("send_pai = yes",),
    "rpid": ("send_pai = no", "send_rpid = yes"),
}
#: Sections of ``asterisk/pjsip.conf`` with these names are ours.
RESERVED = frozenset({"own", "trunk", "transport", "global"})
MOST_CHANNELS = 9_999
MOST_TEXT = 255
LOOP_HOST = "127.0.0.1"
#: 0 would be none at all.
FOR_EVER = 1_000_000_000
#: This machine's certificate authorities, as Debian keeps them.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
#: The file of the spool that Asterisk reads the trunks from.
FILE = "trunks/trunks.conf"
#: By this header Asterisk knows a call that the T.38 entrance vouches for (app/adapters/telephony/entrance.py).
ENTRANCE_HEADER = "X-Faxroom-Entrance"
#: The modules that read it anew (Asterisk 22, ``pjsip reload``).
MODULES = ("res_pjsip.so", "res_pjsip_endpoint_identifier_ip.so", "res_pjsip_outbound_registration.so")

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
#: What stands in FAXROOM_TRUNK. The account ends at the last ``@``, so that a password may hold any sign but ``;``.
_ADDRESS = re.compile(
    r"(?P<scheme>sips?):(?://)?(?:(?P<account>.*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\[\]:;@/?#]+)"
    r"(?::(?P<port>[0-9]{1,9}))?/?"
    r"(?P<parameters>(?:;[a-z]+=[a-z]+)*)"
)


@dataclass(frozen=True)
class Fault:
    """``code`` has its sentence in :mod:`app.rules.words.policy_sentences`."""

    code: str
    values: Mapping[str, object]


class NoTrunk(Exception):
    """What stands in FAXROOM_TRUNK is none: of the field, why."""

    def __init__(self, field: str, fault: Fault) -> None:
        super().__init__(fault.code)
        self.field, self.fault = field, fault


@dataclass(frozen=True)
class TrunkFields:
    """``host`` may be an IPv6 address, without brackets. The rest is as in :class:`app.models.Trunk`."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    transport: str = "udp"
    media: str = "plain"
    name: str = "main"
    registers: bool = False
    t38: bool = True
    caller_in: str = "usual"
    channels: int = 0
    prefers: tuple[str, ...] = ()

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    @property
    def transport_name(self) -> str:
        """Of UDP over IPv4 it is the one of the own loop."""
        if self.transport == "udp" and not self.is_ipv6:
            return "transport"
        return f"transport-{self.transport}{'6' if self.is_ipv6 else ''}"

    @property
    def goes_out_by_udp(self) -> bool:
        """Over the own loop's transport, to another machine."""
        return self.transport_name == "transport" and not is_this_machine(self.host)

    @property
    def may_use_entrance(self) -> bool:
        """That speaks UDP over IPv4, and so do the calls that Asterisk makes to this trunk."""
        return self.transport_name == "transport"

    def uri(self, user: str = "") -> str:
        """As pjsip.conf has it, where a bare semicolon begins a comment."""
        host = f"[{self.host}]" if self.is_ipv6 else self.host
        more = "" if self.transport == "udp" else f"\\;transport={self.transport}"
        return f"sip:{user}{'@' if user else ''}{host}:{self.port}{more}"


# ---- The judgement


def faults_of(fields: TrunkFields) -> dict[str, Fault]:
    """What is wrong, by field. No value tells the password."""
    found: dict[str, Fault] = {}

    def wrong(field: str, code: str, **values: object) -> None:
        found.setdefault(field, Fault(code, values))

    if not TRUNK_NAME.fullmatch(fields.name) or fields.name in RESERVED:
        wrong("name", "trunk_name", name=fields.name)
    if not is_host(fields.host):
        wrong("host", "trunk_host", host=fields.host)
    if not 0 < fields.port < 2**16:
        wrong("port", "trunk_port", port=fields.port)
    if fields.transport not in TRANSPORTS:
        wrong("transport", "choice_unknown")
    if fields.media not in MEDIA:
        wrong("media", "choice_unknown")
    elif fields.media == "srtp" and fields.transport != "tls":
        wrong("media", "trunk_srtp")
    if fields.caller_in not in CALLER_IN:
        wrong("caller_in", "choice_unknown")
    for field, text in (("username", fields.username), ("password", fields.password)):
        if text and not _is_safe(text):
            wrong(field, "trunk_account")
    if fields.password and not fields.username:
        wrong("username", "trunk_user_missing")
    if fields.registers and not (fields.username and fields.password):
        wrong("username" if not fields.username else "password", "trunk_registers")
    if not 0 <= fields.channels <= MOST_CHANNELS:
        wrong("channels", "trunk_channels", limit=MOST_CHANNELS)
    for prefix in fields.prefers:
        if not _PREFIX.fullmatch(prefix):
            wrong("prefers", "trunk_prefix", prefix=prefix)
    return found


def is_host(text: str) -> bool:
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return "%" not in text
    return bool(_HOST.fullmatch(text)) and ".." not in text


def leads_to_us(host: str, port: int, transport: str, *, sip_port: int) -> bool:
    """Back to our own Asterisk, which listens for TLS one port above."""
    return is_this_machine(host) and port == sip_port + (transport == "tls")


def is_this_machine(host: str) -> bool:
    """By an address that is nobody else's. Other names are not looked up."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.casefold() in ("localhost", "localhost.")
    return address.is_loopback or address.is_unspecified


def is_same_host(one: str, other: str) -> bool:
    """As they are written; an IPv6 address may be written in several ways. Names are not looked up."""
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return one.casefold() == other.casefold()


def _is_safe(text: str) -> bool:
    """A semicolon begins a comment in pjsip.conf, blanks at the ends are lost, and a line ends at its end."""
    return len(text) <= MOST_TEXT and text.isprintable() and ";" not in text and text == text.strip()


# ---- FAXROOM_TRUNK


def read_trunks(text: str, sip_port: int) -> list[TrunkFields]:
    """``loop``, or addresses with blanks between; they are called main, main-2, …

    Raises:
        NoTrunk: never with the password.
    """
    words = text.split()
    if words == ["loop"]:
        return [TrunkFields(LOOP_HOST, sip_port)]
    if not words:
        raise NoTrunk("host", Fault("trunk_shape", {}))
    return [_read_address(word, "main" if n == 1 else f"main-{n}") for n, word in enumerate(words, 1)]


def _read_address(text: str, name: str) -> TrunkFields:
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise NoTrunk("host", Fault("trunk_shape", {}))
    given = dict(one.split("=") for one in found["parameters"].split(";") if one)
    transport = given.pop("transport", "tls" if found["scheme"] == "sips" else "udp")
    media = given.pop("media", "plain")
    if given or transport not in TRANSPORTS or media not in MEDIA:
        raise NoTrunk("transport", Fault("trunk_parameters", {}))
    user, _, password = (found["account"] or "").partition(":")
    user, password = unquote(user), unquote(password)
    port = int(found["port"] or TRANSPORTS[transport])
    fields = TrunkFields(
        found["host"].strip("[]"),
        port,
        user or None,
        password or None,
        transport=transport,
        media=media,
        name=name,
        registers=bool(user and password),
    )
    for field, fault in faults_of(fields).items():
        raise NoTrunk(field, fault)
    return fields


# ---- What Asterisk is told


def file_text(
    trunks: Iterable[TrunkFields], *, sip_port: int, authorities: Path = AUTHORITIES, entrance: str = ""
) -> str:
    """Transports that are needed besides UDP over IPv4, then each trunk. What is there already stays as it is when the
    file is read anew, so that no call ends by it. ``entrance`` is the secret of the T.38 entrance, where there is
    one."""
    trunks = list(trunks)
    ways = {trunk.transport_name: trunk for trunk in trunks if trunk.transport_name != "transport"}
    parts = [_transport(name, trunk, sip_port, authorities) for name, trunk in sorted(ways.items())]
    return "\n\n".join([*parts, *(_sections(trunk, entrance) for trunk in trunks)]) + "\n"


def entrance_secret(ari_password: str) -> str:
    """By which Asterisk knows the T.38 entrance, and this its own calls."""
    return hashlib.sha256(f"entrance {ari_password}".encode()).hexdigest()


def vouching(secret: str, trunk: str) -> str:
    """The header's value: that somebody has called from an address of this trunk."""
    return f"{secret}.{trunk}"


def version_of(trunk: TrunkFields, key: str) -> str:
    """Differs whenever Asterisk is told something else of it. With a key, as a password is in there."""
    return hmac.new(key.encode(), _sections(trunk).encode(), "sha256").hexdigest()


def _transport(name: str, trunk: TrunkFields, sip_port: int, authorities: Path) -> str:
    """Of TLS the certificate is checked against this machine's authorities, and the name in it against the trunk's; it
    listens one port above, as 5061 is above 5060."""
    host = "[::]" if trunk.is_ipv6 else "0.0.0.0"
    port = sip_port + (trunk.transport == "tls")
    lines = [f"[{name}]", "type = transport", f"protocol = {trunk.transport}", f"bind = {host}:{port}"]
    if trunk.transport == "tls":
        lines += ["method = tlsv1_2", "verify_server = yes", f"ca_list_file = {authorities}"]
    return "\n".join(lines)


def _sections(trunk: TrunkFields, entrance: str = "") -> str:
    name = trunk.name
    known = [f"match = {trunk.host}"]
    if entrance and trunk.may_use_entrance:
        known.append(f"match_header = {ENTRANCE_HEADER}: {vouching(entrance, name)}")
    t38 = ["t38_udptl = yes", "t38_udptl_ec = redundancy", "t38_udptl_maxdatagram = 400"]
    sections = [
        (f"({t38_of(name)}", "trunk", _of_endpoint(trunk) + (t38 if trunk.t38 else ["t38_udptl = no"])),
        (f"({name}-audio", "trunk", [*_of_endpoint(trunk), "t38_udptl = no"]),
        (f"{name}-voice+", "trunk", [*_of_endpoint(trunk), "t38_udptl = no", "rtp_timeout = 0"]),
        (name, "", ["type = aor", f"contact = {trunk.uri()}", "qualify_frequency = 0"]),
        (t38_of(name), "", ["type = identify", f"endpoint = ({t38_of(name)}", *known]),
        *_asked(trunk),
    ]
    sections += _account(trunk)
    return "\n\n".join("\n".join([f"[{what}]{f'({of})' if of else ''}", *lines]) for what, of, lines in sections)


def _asked(trunk: TrunkFields) -> list[tuple[str, str, list[str]]]:
    """Whether the carrier is there is asked at an address that no call goes to (OPTIONS, RFC 3261, 11): to one that
    does not answer these Asterisk makes no calls any more, and there are carriers that never answer them."""
    name = f"{trunk.name}-health"
    lines = [line for line in _of_endpoint(trunk) if not line.startswith("aors")]
    asks = ["type = aor", f"contact = {trunk.uri()}", "qualify_frequency = 20", "qualify_timeout = 4"]
    return [(f"({name}", "trunk", [f"aors = {name}", *lines]), (name, "", asks)]


def _of_endpoint(trunk: TrunkFields) -> list[str]:
    """Pages by T.38 are never encrypted: SRTP is of sound alone."""
    lines = [f"aors = {trunk.name}", f"transport = {trunk.transport_name}", f"set_var = FAX_TRUNK={trunk.name}"]
    lines += CALLER_IN[trunk.caller_in]
    lines += [f"outbound_auth = {trunk.name}"] if trunk.username else []
    lines += [f"from_user = {trunk.username}"] if trunk.username and trunk.caller_in == "usual" else []
    lines += ["media_encryption = sdes"] if trunk.media == "srtp" else []
    return [*lines, *(["rtp_ipv6 = yes", "t38_udptl_ipv6 = yes"] if trunk.is_ipv6 else [])]


def _account(trunk: TrunkFields) -> list[tuple[str, str, list[str]]]:
    """Signing on is tried for ever: with Asterisk's defaults nothing comes in any more after an outage of ten minutes,
    or a single 403 (res_pjsip_outbound_registration)."""
    if trunk.username is None:
        return []
    name, user = trunk.name, quote(trunk.username, safe="&=+$,?/-_.!~*'()")
    auth = ["type = auth", "auth_type = digest", f"username = {trunk.username}", f"password = {trunk.password or ''}"]
    registration = ["type = registration", f"outbound_auth = {name}", f"server_uri = {trunk.uri()}"]
    registration += [f"transport = {trunk.transport_name}", f"client_uri = {trunk.uri(user)}", f"contact_user = {user}"]
    registration += ["retry_interval = 30", "forbidden_retry_interval = 60", "fatal_retry_interval = 60"]
    registration += [f"max_retries = {FOR_EVER}", "auth_rejection_permanent = no", "line = yes"]
    registration += [f"endpoint = ({t38_of(name)}"]
    return [(name, "", auth), *([(name, "", registration)] if trunk.registers else [])]
