"""Asterisk 22 with spandsp: a root of its own, the configuration of one instance, the command that runs it.

Debian 12 and 13 carry no asterisk. Debian unstable's is unpacked into a folder and run from there with that folder's
own loader and libraries, so that no chroot stands between Asterisk and the instance's folders: every path is a path
of this machine, and so are /etc/hosts and the resolver (a host name that does not resolve stalls T.38).
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import socket
import stat
import string
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import tried
from shell import SetupError
from steps import complain

Say = Callable[[str], None]

TEMPLATES = Path(__file__).resolve().parents[2] / "asterisk"
VERBATIM = frozenset({"extensions.conf"})  # has $ of its own and needs nothing filled in

#: Machine → (folder of the libraries, loader), both below the root.
LIBRARIES = {
    "x86_64": ("usr/lib/x86_64-linux-gnu", "usr/lib64/ld-linux-x86-64.so.2"),
    "aarch64": ("usr/lib/aarch64-linux-gnu", "usr/lib/ld-linux-aarch64.so.1"),
}
#: Ports that one instance may use: 400 legs need 800 for RTP, and UDPTL frees its own late.
RTP_PORTS, UDPTL_PORTS = 1000, 2000
SLICES = 16
#: A Unix socket's path holds 107 characters (unix(7)).
LONGEST_SOCKET = 107 - len("/asterisk.ctl")


#: This machine's certificate authorities, as Debian keeps them.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
#: 0 would be none at all.
FOR_EVER = 1_000_000_000
#: What stands in FAXROOM_TRUNK. The account ends at the last ``@``, so that a password may hold any sign but ``;``.
_TRUNK = re.compile(
    r"(?P<scheme>sips?):(?://)?(?:(?P<account>.*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\[\]:;@/?#]+)"
    r"(?::(?P<port>[0-9]+))?/?"
    r"(?P<parameters>(?:;[a-z]+=[a-z]+)*)"
)
_SHAPE = "loop or sip:[user:password@]host[:port][;transport=udp|tcp|tls][;media=srtp]"
TRANSPORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}  # the ports of RFC 3261
MEDIA = ("plain", "srtp")


@dataclass(frozen=True)
class Trunk:
    """Where calls go: ``loop`` (back to this Asterisk) or ``sip:[user:password@]host:port``. ``host`` may be an IPv6
    address, without brackets."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    transport: str = "udp"
    media: str = "plain"

    @property
    def is_loop(self) -> bool:
        return self.host == "127.0.0.1" and self.user is None and self.transport == "udp"

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    def uri(self, user: str = "") -> str:
        """As pjsip.conf has it, where a bare semicolon begins a comment."""
        host = f"[{self.host}]" if self.is_ipv6 else self.host
        more = "" if self.transport == "udp" else f"\\;transport={self.transport}"
        return f"sip:{user}{'@' if user else ''}{host}:{self.port}{more}"


def read_trunk(text: str, sip_port: int) -> Trunk:
    """Raises SetupError: it says what is wrong, and never the password."""
    if text == "loop":
        return Trunk("127.0.0.1", sip_port)
    found = _TRUNK.fullmatch(text.strip())
    if found is None:
        raise SetupError(f"FAXROOM_TRUNK must be {_SHAPE}. Correct it and start again.")
    given = dict(one.split("=") for one in found["parameters"].split(";") if one)
    transport = given.pop("transport", "tls" if found["scheme"] == "sips" else "udp")
    media = given.pop("media", "plain")
    if given or transport not in TRANSPORTS or media not in MEDIA:
        raise SetupError(f"FAXROOM_TRUNK must be {_SHAPE}. Correct what stands behind the first semicolon.")
    port = int(found["port"] or TRANSPORTS[transport])
    if not 0 < port < 2**16:
        raise SetupError(f"FAXROOM_TRUNK: there is no port {port}. Ports go up to 65535.")
    user, _, password = (found["account"] or "").partition(":")
    user, password = unquote(user), unquote(password)
    if any(character in user + password for character in "\r\n;"):
        raise SetupError("FAXROOM_TRUNK: the user and the password must not contain a semicolon or a line break.")
    return Trunk(found["host"].strip("[]"), port, user or None, password or None, transport, media)


# ---- The root


def is_installed(root: Path) -> bool:
    return (root / "faxroom-complete").exists()


def install(root: Path, say: Say, *, sudo: tuple[str, ...] = (), allowed: str = tried.SERIES_TOO) -> None:
    """Unpack Asterisk into ``root`` unless it is there. An interrupted attempt is begun anew. ``allowed`` is
    FAXROOM_ASTERISK (:mod:`tried`).

    Raises:
        SetupError: with the last lines of the log and what to do.
    """
    if is_installed(root):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    if root.exists():
        _run([*sudo, "rm", "-rf", "--one-file-system", str(root)], root, "removing the unfinished root")
    say("unpacking a Debian root for Asterisk")
    # debootstrap and packages mount /proc in there: in a mount namespace nothing of it outlives a kill -9.
    apart = (*sudo, *_apart(sudo))
    _run([*apart, "debootstrap", "--variant=minbase", "sid", str(root)], root, "debootstrap")
    say("installing Asterisk 22 in it")
    policy = root / "usr/sbin/policy-rc.d"
    _run([*sudo, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {policy} && chmod 755 {policy}"], root, "policy")
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "chroot", str(root), "apt-get", "install", "-y"]
    command += ["--no-install-recommends", "asterisk", "asterisk-modules"]
    _run([*apart, *command, "--download-only"], root, "apt-get")
    lock = tried.read_lock()
    found = tried.fetched((root / "var/cache/apt/archives").glob("*.deb"), {package.name for package in lock})
    for line in tried.judge(found, lock, allowed=allowed):
        say(line)
    _run([*apart, *command, "--no-download"], root, "apt-get")
    _run([*sudo, "chroot", str(root), "apt-get", "clean"], root, "apt-get clean")
    _run([*sudo, "touch", str(root / "faxroom-complete")], root, "the last step")


def _apart(sudo: tuple[str, ...]) -> tuple[str, ...]:
    """A mount namespace where the machine lets us have one; a container without privileges does not."""
    command = ("unshare", "--mount")
    allowed = subprocess.run([*sudo, *command, "true"], capture_output=True, check=False).returncode == 0
    return command if allowed else ()


def _run(command: list[str], root: Path, what: str) -> None:
    log = root.parent / "asterisk-install.log"
    with log.open("ab") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SetupError(f"Installing Asterisk failed at {what}. The whole log is in {log}; its end:\n{tail}")


def _libraries(root: Path) -> tuple[Path, Path]:
    try:
        folder, loader = LIBRARIES[platform.machine()]
    except KeyError:
        raise SetupError(
            f"Asterisk can be installed on {', '.join(LIBRARIES)} only, not on {platform.machine()}."
        ) from None
    return root / folder, root / loader


# ---- One instance


def port_ranges(sip_port: int) -> dict[str, int]:
    """RTP and UDPTL ports of an instance: a slice of 3,000 from 10,000 on, chosen by the SIP port modulo 16.

    Two instances side by side are disjoint when their SIP ports differ in their last four bits.
    """
    start = 10000 + (sip_port % SLICES) * (RTP_PORTS + UDPTL_PORTS)
    return {
        "rtp_start": start,
        "rtp_end": start + RTP_PORTS - 1,
        "udptl_start": start + RTP_PORTS,
        "udptl_end": start + RTP_PORTS + UDPTL_PORTS - 1,
    }


@dataclass(frozen=True)
class Incoming:
    """Calls that may come in at once: all, from one caller, to one line; 0: no limit."""

    all: int = 0
    caller: int = 0
    called: int = 0


def render(
    root: Path,
    home: Path,
    *,
    sip_port: int,
    ari_port: int,
    ari_user: str,
    ari_password: str,
    trunk: str = "loop",
    incoming: Incoming = Incoming(),
    authorities: Path = AUTHORITIES,
) -> None:
    """Write the configuration of the instance whose state lives in ``home``; its database and spool stay."""
    _check_host_name()
    if any(character in ari_password + ari_user for character in "; \t\r\n"):
        raise SetupError("ARI_USER and ARI_PASSWORD must not contain a semicolon, a space or a line break.")
    libraries, _ = _libraries(root)
    chosen = read_trunk(trunk, sip_port)
    etc = home / "etc"
    for folder in (
        "etc/local",
        "lib",
        "log",
        "spool/faxroom/incoming",
        "spool/faxroom/outgoing",
        "spool/faxroom/answered",
        "spool/tmp",
    ):
        (home / folder).mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    _rename_endpoints(etc / "local")
    values = {
        "home": home,
        "etc": etc,
        "run": _run_folder(home),
        "modules": libraries / "asterisk/modules",
        "data": root / "usr/share/asterisk",
        "ari_port": ari_port,
        "ari_user": ari_user,
        "ari_password": ari_password,
        "sip_port": sip_port,
        "sip_bind": "127.0.0.1" if chosen.is_loop else "0.0.0.0",
        "trunk_host": chosen.host,
        "trunk_uri": chosen.uri(),
        "trunk_transport": _transport(chosen, sip_port, authorities),
        "trunk_over": "transport" if _is_usual(chosen) else "transport-trunk",
        "trunk_only": _of_the_trunk_only(chosen),
        "own_domain": f"{hashlib.sha256(f'own calls {ari_password}'.encode()).hexdigest()[:32]}.invalid",
        "trunk_account": _account(chosen),
        **port_ranges(sip_port),
        "incoming": incoming.all,
        "caller": incoming.caller,
        "called": incoming.called,
    }
    values["console"] = shlex.join(_program(root, home))
    for template in (*TEMPLATES.glob("*.conf"), TEMPLATES / "fax-status"):
        _write(etc / template.name, template, values)


#: Below an instance's home, where it runs under an account of its own: what it writes, and what it reads besides.
WRITTEN = ("lib", "log", "run", "spool/tmp")
READ = ("etc", "etc/local")
#: What it writes for the portal to take away, and the other way round.
FOR_THE_PORTAL = ("spool/faxroom/incoming", "spool/faxroom/answered")
FROM_THE_PORTAL = "spool/faxroom/outgoing"
PASSED = (".", "spool", "spool/faxroom")


def _write(target: Path, template: Path, values: Mapping[str, object]) -> None:
    text = template.read_text()
    if template.name not in VERBATIM:
        text = string.Template(text).substitute(values)
    new = target.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(target)


def _is_usual(trunk: Trunk) -> bool:
    return trunk.transport == "udp" and not trunk.is_ipv6


def _transport(trunk: Trunk, sip_port: int, authorities: Path) -> str:
    """For a trunk that is not reached by UDP over IPv4, which the own loop takes. Of TLS the certificate is checked
    against this machine's authorities, and the name in it against the trunk's."""
    if _is_usual(trunk):
        return ""
    lines = ["[transport-trunk]", "type = transport", f"protocol = {trunk.transport}"]
    lines += [f"bind = {'[::]' if trunk.is_ipv6 else '0.0.0.0'}:{sip_port}"]
    if trunk.transport == "tls":
        if not authorities.exists():
            raise SetupError(f"FAXROOM_TRUNK wants TLS, but {authorities} is missing. Install ca-certificates.")
        lines += ["method = tlsv1_2", "verify_server = yes", f"ca_list_file = {authorities}"]
    return "\n".join(lines)


def _of_the_trunk_only(trunk: Trunk) -> str:
    """What its endpoints have and the own loop has not. Pages by T.38 are never encrypted: SRTP is of sound alone."""
    lines = ["outbound_auth = trunk", f"from_user = {trunk.user}"] if trunk.user else []
    lines += ["media_encryption = sdes"] if trunk.media == "srtp" else []
    return "\n".join([*lines, *(["rtp_ipv6 = yes", "t38_udptl_ipv6 = yes"] if trunk.is_ipv6 else [])])


def _account(trunk: Trunk) -> str:
    """Signing on to the trunk, for those that want it. It is tried for ever: with Asterisk's defaults nothing comes in
    any more after an outage of ten minutes, or a single 403 (res_pjsip_outbound_registration)."""
    if trunk.user is None:
        return ""
    return "\n".join(
        (
            f"[trunk]\ntype = auth\nauth_type = digest\nusername = {trunk.user}\npassword = {trunk.password or ''}",
            f"[trunk]\ntype = registration\noutbound_auth = trunk\nserver_uri = {trunk.uri()}",
            f"transport = {'transport' if _is_usual(trunk) else 'transport-trunk'}",
            f"client_uri = {trunk.uri(trunk.user)}\ncontact_user = {trunk.user}",
            f"retry_interval = 30\nforbidden_retry_interval = 60\nfatal_retry_interval = 60\nmax_retries = {FOR_EVER}",
            "auth_rejection_permanent = no\nline = yes\nendpoint = (trunk-t38",
        )
    )


def _run_folder(home: Path) -> Path:
    folder = home / "run"
    if len(str(folder)) <= LONGEST_SOCKET:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"faxroom-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise SetupError(f"{folder} is not ours alone. Remove it and start again.")
    return folder


def control_socket(home: Path) -> Path:
    """Where its console listens; it greets whoever connects."""
    return _run_folder(home) / "asterisk.ctl"


#: How former versions called the endpoints, and what each is called now.
_FORMER = (
    (re.compile(r"^\[(trunk-t38|trunk-audio|own)\](?=\(\+\))", re.MULTILINE), r"[(\1]"),
    (re.compile(r"^(endpoint\s*=>?\s*)(trunk-t38|trunk-audio|own)(?=\s*(?:;|$))", re.MULTILINE), r"\1(\2"),
    (re.compile(r"(PJSIP/[^,)\s]*@)(?:trunk-t38|trunk-audio)\b"), r"\1trunk-voice+"),
)


def _rename_endpoints(folder: Path) -> None:
    """In what an operator added, the names of former versions become those of today: Asterisk would read nothing at all
    of a file that adds to a section that is not there. The file as it was stays beside it."""
    for path in sorted(folder.glob("*.conf")):
        text = was = path.read_text(errors="surrogateescape")
        for former, now in _FORMER:
            text = former.sub(now, text)
        if text != was:
            kept = path.with_name(f"{path.name}.before")
            shutil.copy2(path, kept)
            path.write_text(text, errors="surrogateescape")
            complain(
                f"{path} named the trunk's endpoints as earlier versions did. Renamed; it was copied to {kept.name}."
            )


def _check_host_name() -> None:
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        raise SetupError(
            f"This machine's name {name} does not resolve; each T.38 call would stall on it. "
            f"Add a line to /etc/hosts and start again: 127.0.0.1 {name}"
        ) from None


def command(root: Path, home: Path) -> list[str]:
    """The foreground command, for a supervisor. SIGTERM ends it."""
    return [*_program(root, home), "-f"]


def _program(root: Path, home: Path) -> list[str]:
    libraries, loader = _libraries(root)
    configuration = str(home / "etc/asterisk.conf")
    return [str(loader), "--library-path", str(libraries), str(root / "usr/sbin/asterisk"), "-C", configuration]
