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
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import tried
from shell import SetupError
from steps import complain

sys.path.append(str(Path(__file__).resolve().parents[2]))
from app.rules.sending.trunks.fields import (
    AUTHORITIES,
    FILE,
    LOOP_HOST,
    NoTrunk,
    TrunkFields,
    file_text,
    read_trunks,
)
from app.rules.sending.trunks.ports import MEDIA_FILES, MOST_FILES, NoPorts, Ports, ports_for, read_given

Say = Callable[[str], None]

TEMPLATES = Path(__file__).resolve().parents[2] / "asterisk"
VERBATIM = frozenset({"extensions.conf"})  # has $ of its own and needs nothing filled in

#: Machine → (folder of the libraries, loader), both below the root.
LIBRARIES = {
    "x86_64": ("usr/lib/x86_64-linux-gnu", "usr/lib64/ld-linux-x86-64.so.2"),
    "aarch64": ("usr/lib/aarch64-linux-gnu", "usr/lib/ld-linux-aarch64.so.1"),
}
#: A Unix socket's path holds 107 characters (unix(7)).
LONGEST_SOCKET = 107 - len("/asterisk.ctl")


_SHAPE = "sip:[user:password@]host[:port][;transport=udp|tcp|tls][;media=srtp]"
#: What is wrong with FAXROOM_TRUNK, and what to do.
_TRUNK_FAULTS = {
    "trunk_shape": f"must be loop or addresses with spaces between them, each {_SHAPE}. Correct it and start again.",
    "trunk_parameters": f"must be {_SHAPE}. Correct what follows the first semicolon.",
    "trunk_port": "there is no port {port}. Ports go up to 65535.",
    "trunk_host": "{host} is not a host name or an IP address.",
    "trunk_srtp": "media=srtp needs transport=tls, which keeps its keys secret.",
    "trunk_account": "the user and the password must have no semicolon or line break, and no space at either end.",
    "trunk_user_missing": "a password needs a user in front of it.",
}


def trunks_of(text: str, sip_port: int) -> list[TrunkFields]:
    """Raises SetupError: it says what is wrong, and never the password."""
    try:
        return read_trunks(text, sip_port)
    except NoTrunk as error:
        said = _TRUNK_FAULTS[error.fault.code].format(**error.fault.values)
        verb = " " if said.startswith("must") else ": "
        raise SetupError(f"FAXROOM_TRUNK{verb}{said}") from None


def media_ports_of(text: str) -> tuple[int, int] | None:
    """Raises SetupError: with an example."""
    try:
        return read_given(text)
    except NoPorts as error:
        raise SetupError(f"{error}.") from None


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
    ports: Ports | None = None,
    files: int = MOST_FILES,
) -> None:
    """Write the configuration of the instance whose state lives in ``home``; its database and spool stay."""
    _check_host_name()
    if any(character in ari_password + ari_user for character in "; \t\r\n"):
        raise SetupError("ARI_USER and ARI_PASSWORD must not contain a semicolon, a space or a line break.")
    libraries, _ = _libraries(root)
    trunks = trunks_of(trunk, sip_port)
    spool = home / "spool/faxroom"
    told = _tell_trunks(spool / FILE, trunks, sip_port, authorities)
    _tell_ports(spool, ports or ports_for(0, sip_port=sip_port))
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
        "sip_bind": _sip_bind(trunks, told),
        "trunks": spool / FILE,
        "rtp_ports": spool / MEDIA_FILES["res_rtp_asterisk.so"],
        "udptl_ports": spool / MEDIA_FILES["udptl"],
        "files": files,
        "own_domain": f"{hashlib.sha256(f'own calls {ari_password}'.encode()).hexdigest()[:32]}.invalid",
        "capture_password": capture_password(ari_password),
        "incoming": incoming.all,
        "caller": incoming.caller,
        "called": incoming.called,
    }
    values["console"] = shlex.join(_program(root, home))
    for template in (*TEMPLATES.glob("*.conf"), TEMPLATES / "fax-status", TEMPLATES / "registrations"):
        _write(etc / template.name, template, values)


def capture_password(ari_password: str) -> str:
    """With which Asterisk proves what it tells of SIP; app/adapters/telephony/hep.py makes the same of it."""
    return hashlib.sha256(f"capture {ari_password}".encode()).hexdigest()[:32]


#: Below an instance's home, where it runs under an account of its own: what it writes, and what it reads besides.
WRITTEN = ("lib", "log", "run", "spool/tmp")
READ = ("etc", "etc/local")
#: What it writes for the portal to take away, and the other way round.
FOR_THE_PORTAL = ("spool/faxroom/incoming", "spool/faxroom/answered")
FROM_THE_PORTAL = ("spool/faxroom/outgoing", "spool/faxroom/trunks")
PASSED = (".", "spool", "spool/faxroom")


def _write(target: Path, template: Path, values: Mapping[str, object]) -> None:
    text = template.read_text()
    if template.name not in VERBATIM:
        text = string.Template(text).substitute(values)
    new = target.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(target)


def _tell_trunks(file: Path, trunks: list[TrunkFields], sip_port: int, authorities: Path) -> str:
    """Until the portal tells more of them: what it told before stays, it compares and mends it. Gives what is there."""
    if any(trunk.transport == "tls" for trunk in trunks) and not authorities.exists():
        raise SetupError(f"FAXROOM_TRUNK needs TLS, but {authorities} is missing. Install ca-certificates.")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o640)
        file.write_text(file_text(trunks, sip_port=sip_port, authorities=authorities))
    return file.read_text()


def _tell_ports(spool: Path, ports: Ports) -> None:
    """Likewise: the portal knows how many channels the trunks have."""
    for name, text in ports.files().items():
        if not (spool / name).exists():
            (spool / name).touch(mode=0o640)
            (spool / name).write_text(text)


def _sip_bind(trunks: list[TrunkFields], told: str) -> str:
    """Beyond this machine only where a trunk is reached that way."""
    hosts = re.findall(r"^match = (.+)$", told, re.MULTILINE)
    return "127.0.0.1" if {*hosts, *(trunk.host for trunk in trunks)} == {LOOP_HOST} else "0.0.0.0"


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
    (re.compile(r"^\[own\](?=\(\+\))", re.MULTILINE), "[(own]"),
    (re.compile(r"^(endpoint\s*=>?\s*)own(?=\s*(?:;|$))", re.MULTILINE), r"\1(own"),
    (re.compile(r"^\[\(?trunk-(t38|audio)\](?=\(\+\))", re.MULTILINE), r"[(main-\1]"),
    (re.compile(r"^\[trunk-voice\+\](?=\(\+\))", re.MULTILINE), "[main-voice+]"),
    (re.compile(r"^(endpoint\s*=>?\s*)\(?trunk-(t38|audio)(?=\s*(?:;|$))", re.MULTILINE), r"\1(main-\2"),
    (re.compile(r"(PJSIP/[^,)\s]*@)(?:trunk-t38\b|trunk-audio\b|trunk-voice\+)"), r"\1main-voice+"),
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
