"""One instance: where its state lives, which ports it has, what its processes find in their environment."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import sqlite3
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import accounts
from shell import SetupError

from asterisk import Incoming, media_ports_of

#: Ports that nobody outside the instance needs to know. Chosen free at the first start, then kept.
PRIVATE_PORTS = ("redis", "mail")
#: Below what Linux takes for outgoing connections, above what people choose.
PRIVATE_RANGE = range(20000, 32000)

SECRETS = ("SECRET_KEY", "ARI_PASSWORD", "REDIS_PASSWORD")
#: Settings of app/config.py that are handed on to bin/faxroom when they were given to bin/up.
HANDED_ON = (
    "SECRET_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "STORAGE_URL",
    "SMTP_URL",
    "SMTP_TOKEN_URL",
    "SMTP_CLIENT_ID",
    "SMTP_CLIENT_SECRET",
    "SMTP_CLIENT_SECRET_ENDS",
    "SMTP_TOKEN_SCOPE",
    "SMTP_REFRESH_TOKEN",
    "MAIL_FROM",
    "ARI_URL",
    "ARI_USER",
    "ARI_PASSWORD",
    "UNOSERVER_URL",
    "FAXROOM_URL",
    "FAXROOM_SPOOL",
    "FAXROOM_ASTDB",
    "FAXROOM_MIN_FREE",
    "FAXROOM_ARCHIVES",
    "FAXROOM_ALLOW_PRIVATE_HOSTS",
    "FAXROOM_AUDIT_LOG",
    "FAXROOM_SECURITY_CONTACT",
    "FAXROOM_SECURITY_EXPIRES",
    "FAXROOM_OPERATORS_NEED_FACTOR",
    "FAXROOM_LINE_LIMIT",
    "FAXROOM_LINE_OUTGOING",
    "FAXROOM_MEDIA_PORTS",
    "FAXROOM_PAGE_ANSWERS",
    "FAXROOM_PROXIES",
    "FAXROOM_SEALING_KEYS",
    "FAXROOM_DOOR_BIND",
    "FAXROOM_DOOR_PORT",
    "FAXROOM_DOOR_LMTP_PORT",
    "FAXROOM_DOOR_NAME",
    "FAXROOM_DOOR_DOMAIN",
    "FAXROOM_DOOR_PEERS",
    "FAXROOM_DOOR_CERTIFICATE",
    "FAXROOM_DOOR_KEY",
    "FAXROOM_ENTRANCE_PORT",
    "FAXROOM_ENTRANCE_ADDRESS",
)
#: What bin/up alone reads, besides FAXROOM_HOME and the provision file.
OF_UP = (
    "FAXROOM_BIND",
    "FAXROOM_PORT",
    "FAXROOM_JOBS",
    "FAXROOM_SIP_PORT",
    "FAXROOM_ARI_PORT",
    "FAXROOM_TRUNK",
    "FAXROOM_ASTERISK",
    "FAXROOM_IMAP_PORT",
    "FAXROOM_SMTP_PORT",
    "FAXROOM_LISTEN_SECONDS",
    "FAXROOM_LINE_INCOMING",
    "FAXROOM_LINE_CALLER",
    "FAXROOM_LINE_CALLED",
)
#: Who has a limit of calls of their own, besides all.
CALLERS = ("caller", "called")
#: In HOME, until offices had rooms: LibreOffice's profiles, and parts of documents that it had put aside.
OFFICE_PROFILES = ("office", "office_2")
#: In HOME: what bin/up was given at its last start, for a backup; what the backup's instance was given, for a restored
#: one.
GIVEN, RESTORED = "given.env", "restored.env"
#: In HOME while a restore has not come to its end.
UNFINISHED = "restore-unfinished"
#: In HOME, once everything in it was closed to others.
MENDED = "closed"
#: In HOME, folders through which accounts of ours pass to what is theirs.
SHARED = ("web", "front", "asterisk", "run", "secrets", "redis.conf")
LONGEST_HOME = 80  # Unix sockets and gpg's keys lie below it; such a path holds 107 characters (unix(7))


def given(environment: Mapping[str, str], name: str) -> bool:
    """Was the setting given, itself or as a file that holds it?"""
    return bool(environment.get(name) or environment.get(f"{name}_FILE"))


@dataclass(frozen=True)
class Instance:
    """What ``bin/up`` was told, with the defaults filled in."""

    root: Path
    home: Path
    bind: str
    port: int
    sip_port: int
    ari_port: int
    trunk: str
    provision: Path | None
    jobs: int
    line_limit: int
    media_ports: tuple[int, int] | None  # that an operator has given
    incoming: Incoming
    proxies: int  # of the operator, before our own front
    own_redis: bool
    own_office: bool
    own_asterisk: bool
    own_mail: bool
    imap_port: int | None  # mailboxes for trying out, with the SMTP server at smtp_port
    smtp_port: int | None
    door_bind: str = "127.0.0.1"
    door_ports: tuple[tuple[str, int], ...] = ()  # where emails are handed in: the variable, the port
    entrance_port: int = 0  # where carriers call that begin with T.38 alone
    separate: bool = False  # the portal, the front and Asterisk have accounts of their own

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def asterisk(self) -> Path:
        return self.home / "asterisk"

    @property
    def web(self) -> Path:
        """Where the front finds the web."""
        return self.home / "web/web.sock"

    @property
    def front(self) -> Path:
        return self.home / "front"

    @property
    def portal_account(self) -> str:
        """Who runs the portal; empty where we do."""
        return accounts.PORTAL if self.separate else ""

    @property
    def redis(self) -> Path:
        """Where Redis listens besides its port."""
        return self.run / "redis"

    @property
    def own_mailboxes(self) -> bool:
        """Mails that are handed in are there to be collected; for that both servers must be ours."""
        return self.own_mail and self.imap_port is not None

    @property
    def listen(self) -> str:
        """Address and port of the front."""
        return f"[{self.bind}]:{self.port}" if ":" in self.bind else f"{self.bind}:{self.port}"

    @property
    def address(self) -> str:
        """Where this machine finds the portal."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # what listens on all is asked at home
        bind = everywhere.get(self.bind, self.bind)
        return f"http://[{bind}]:{self.port}" if ":" in bind else f"http://{bind}:{self.port}"


def read_instance(root: Path, environment: Mapping[str, str]) -> Instance:
    """SetupError names the variable that cannot be used."""
    home = Path(environment.get("FAXROOM_HOME") or root / "var").absolute()
    if len(str(home)) > LONGEST_HOME:
        raise SetupError(f"FAXROOM_HOME is longer than {LONGEST_HOME} characters. Choose a shorter path than {home}")
    if any(character in str(home) for character in "\n\"'%; "):
        raise SetupError(f"FAXROOM_HOME may not contain spaces, quotes, semicolons or percent signs: {home}")
    provision = environment.get("FAXROOM_PROVISION")
    if provision and not Path(provision).is_file():
        raise SetupError(f"FAXROOM_PROVISION: the file {provision} does not exist.")
    return Instance(
        root=root,
        home=home,
        bind=environment.get("FAXROOM_BIND") or "127.0.0.1",
        port=_number(environment, "FAXROOM_PORT", 8000),
        sip_port=_number(environment, "FAXROOM_SIP_PORT", 5060),
        ari_port=_number(environment, "FAXROOM_ARI_PORT", 8088),
        trunk=environment.get("FAXROOM_TRUNK") or "loop",
        provision=Path(provision).absolute() if provision else None,
        jobs=_number(environment, "FAXROOM_JOBS", 2, highest=64),
        line_limit=_line_limit(environment),
        media_ports=media_ports_of(_told(environment, "FAXROOM_MEDIA_PORTS")["FAXROOM_MEDIA_PORTS"]),
        incoming=_incoming(environment),
        proxies=_number(_told(environment, "FAXROOM_PROXIES"), "FAXROOM_PROXIES", 0, lowest=0, highest=9),
        own_redis=not given(environment, "REDIS_URL"),
        own_office=not given(environment, "UNOSERVER_URL"),
        own_asterisk=not given(environment, "ARI_URL"),
        own_mail=not given(environment, "SMTP_URL"),
        imap_port=_optional_number(environment, "FAXROOM_IMAP_PORT"),
        smtp_port=_optional_number(environment, "FAXROOM_SMTP_PORT"),
        door_bind=_told(environment, "FAXROOM_DOOR_BIND")["FAXROOM_DOOR_BIND"] or "127.0.0.1",
        door_ports=_door_ports(environment),
        entrance_port=_number(_told(environment, "FAXROOM_ENTRANCE_PORT"), "FAXROOM_ENTRANCE_PORT", 0, lowest=0),
    )


def _door_ports(environment: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    told = {name: _told(environment, name) for name in ("FAXROOM_DOOR_PORT", "FAXROOM_DOOR_LMTP_PORT")}
    return tuple((name, _number(text, name, 0)) for name, text in told.items() if text[name])


def _line_limit(environment: Mapping[str, str]) -> int:
    return _number(_told(environment, "FAXROOM_LINE_LIMIT"), "FAXROOM_LINE_LIMIT", 400, lowest=0)


def _incoming(environment: Mapping[str, str]) -> Incoming:
    """Of what the line holds three quarters may come in, and half of that from one caller or to one line."""
    line = _line_limit(environment)
    most = _number(environment, "FAXROOM_LINE_INCOMING", -(-line * 3 // 4), lowest=0)
    each = {way: _number(environment, f"FAXROOM_LINE_{way.upper()}", -(-most // 2), lowest=0) for way in CALLERS}
    return Incoming(most, **each)


def restored_defaults(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What a restored instance is told by its backup, where nothing else is given.

    Raises:
        SetupError: the restore broke off.
    """
    if (home / UNFINISHED).exists():
        raise SetupError(f"An earlier restore to {home} did not finish. Remove this folder and restore again.")
    defaults = read_values(home / RESTORED)
    return {name: value for name, value in defaults.items() if not given(environment, name.removesuffix("_FILE"))}


def read_values(file: Path) -> dict[str, str]:
    """Lines of NAME=value; nothing where there is no such file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _optional_number(environment: Mapping[str, str], name: str) -> int | None:
    return _number(environment, name, 0) if environment.get(name) else None


def _told(environment: Mapping[str, str], name: str) -> dict[str, str]:
    """One setting, wherever it was given (app/config.py)."""
    file = environment.get(f"{name}_FILE")
    return {name: Path(file).read_text().strip() if file else environment.get(name, "")}


def _number(environment: Mapping[str, str], name: str, default: int, *, lowest: int = 1, highest: int = 65535) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise SetupError(f"{name} is {text!r}; it must be a number from {lowest} to {highest}.")
    return int(text)


# ---- Ports


def check_ports(instance: Instance) -> None:
    """SetupError, with the variable to change, for the first port that somebody else has."""
    wanted = [("FAXROOM_PORT", instance.bind, instance.port, socket.SOCK_STREAM)]
    if instance.own_asterisk:
        sip_host = "127.0.0.1" if instance.trunk == "loop" else "0.0.0.0"
        wanted.append(("FAXROOM_ARI_PORT", "127.0.0.1", instance.ari_port, socket.SOCK_STREAM))
        wanted.append(("FAXROOM_SIP_PORT", sip_host, instance.sip_port, socket.SOCK_DGRAM))
    for name, port in (("FAXROOM_IMAP_PORT", instance.imap_port), ("FAXROOM_SMTP_PORT", instance.smtp_port)):
        if port and instance.own_mail:
            wanted.append((name, "127.0.0.1", port, socket.SOCK_STREAM))
    wanted += [(name, instance.door_bind, port, socket.SOCK_STREAM) for name, port in instance.door_ports]
    if instance.entrance_port:
        wanted.append(("FAXROOM_ENTRANCE_PORT", "0.0.0.0", instance.entrance_port, socket.SOCK_DGRAM))
    for name, host, port, kind in wanted:
        try:
            _bind(host, port, kind)
        except OSError as error:
            raise SetupError(
                f"Port {port} of {host} cannot be used ({error.strerror}). Choose another one: {name}={port + 1} bin/up"
            ) from error


def _bind(host: str, port: int, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection may still linger
        probe.bind((host, port))


def _is_free(port: int) -> bool:
    try:
        _bind("127.0.0.1", port, socket.SOCK_STREAM)
    except OSError:
        return False
    return True


def private_ports_kept(home: Path) -> dict[str, int]:
    """As of the last start."""
    try:
        ports: dict[str, int] = json.loads((home / "ports.json").read_text())
        return ports
    except (FileNotFoundError, ValueError):
        return {}


def private_ports(home: Path) -> dict[str, int]:
    """Name → port; the same at each start as long as nobody else took one."""
    file, kept = home / "ports.json", private_ports_kept(home)
    ports: dict[str, int] = {}
    for name in PRIVATE_PORTS:
        port = kept.get(name, 0)
        while port in ports.values() or port not in PRIVATE_RANGE or not _is_free(port):
            port = secrets.choice(PRIVATE_RANGE)
        ports[name] = port
    if ports != kept:
        file.write_text(json.dumps(ports, indent=1))
    return ports


# ---- Secrets and the environment of all processes


def prepare_home(instance: Instance) -> None:
    """The folders and the secrets, readable by their owner only."""
    try:
        instance.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _guard(instance.home, separate=instance.separate)
        _mend_once(instance.home)
        for folder in (instance.log, instance.run, instance.home / "secrets"):
            folder.mkdir(mode=0o700, exist_ok=True)
        for folder in (instance.front, instance.web.parent, instance.redis):
            folder.mkdir(mode=0o700, exist_ok=True)
        instance.log.chmod(0o700)
        if instance.separate:
            accounts.open_to(instance.home, accounts.THROUGH)
            accounts.open_to(instance.run, accounts.PORTAL)
            accounts.open_to(instance.web.parent, accounts.FRONT, owner=accounts.PORTAL)
        else:
            instance.run.chmod(0o700)
            (instance.home / "secrets").chmod(0o700)
    except OSError as error:
        raise SetupError(f"FAXROOM_HOME cannot be written: {error}. Choose another folder.") from error
    for name in OFFICE_PROFILES:
        shutil.rmtree(instance.home / name, ignore_errors=True)
    for name in SECRETS:
        _make_secret(instance.home / "secrets" / name)
    if instance.separate:
        accounts.show(instance.home / "secrets", accounts.PORTAL)


def _guard(home: Path, *, separate: bool) -> None:
    """Nobody else enters, whatever it was before; what lies at its top is taken from others too. Groups are those of
    the accounts of ours.

    Raises:
        SetupError: it belongs to somebody else, who could do so.
    """
    if home.stat().st_uid != os.geteuid():
        raise SetupError(f"{home} belongs to another account. Start as that account, or choose another FAXROOM_HOME.")
    passed = {home, *(home / name for name in SHARED)} if separate else set()
    for path in (home, *home.iterdir()):
        mode = stat.S_IMODE(path.lstat().st_mode)
        kept = 0o2751 if path in passed else 0o700
        if mode & ~kept and not path.is_symlink():
            path.chmod(mode & kept)


def _mend_once(home: Path) -> None:
    """What an earlier version or a copy left open to others, all the way down: looked at once, for there may be
    millions of files, and what came after is closed. Links are not followed."""
    done = home / MENDED
    if done.exists():
        return
    for _, folders, files, opened in os.fwalk(home):
        for name in (*folders, *files):
            mode = os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode):
                os.chmod(name, stat.S_IMODE(mode) & 0o700, dir_fd=opened)
    done.touch(mode=0o600)


def _make_secret(file: Path) -> None:
    if file.exists() and file.stat().st_size:
        return
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(secrets.token_urlsafe(32))
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)


def secret(instance: Instance, name: str) -> str:
    return (instance.home / "secrets" / name).read_text().strip()


def settings(instance: Instance, ports: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, str]:
    """All that the instance's processes, and ``bin/faxroom``, find in their environment.

    What was given wins. Secrets of ours are handed on as files, so that no process list or dump shows them.
    """
    own = {
        "FAXROOM_HOME": str(instance.home),
        "FAXROOM_PORT": str(instance.port),
        "FAXROOM_FRONT": instance.address,
        "SECRET_KEY_FILE": str(instance.home / "secrets/SECRET_KEY"),
    }
    if instance.own_redis:
        password = secret(instance, "REDIS_PASSWORD")
        own["REDIS_URL"] = f"redis://:{password}@127.0.0.1:{ports['redis']}/0"
    if instance.own_office:
        own["UNOSERVER_URL"] = ",".join(f"unix:{path}" for path in office_sockets(instance).values())
    if instance.own_asterisk:
        own["ARI_URL"] = f"http://127.0.0.1:{instance.ari_port}"
        own["ARI_PASSWORD_FILE"] = str(instance.home / "secrets/ARI_PASSWORD")
    if instance.own_mail:
        own["SMTP_URL"] = f"smtp://127.0.0.1:{instance.smtp_port or ports['mail']}"
    if instance.own_mailboxes and not given(environment, "FAXROOM_ALLOW_PRIVATE_HOSTS"):
        own["FAXROOM_ALLOW_PRIVATE_HOSTS"] = f"127.0.0.1:{instance.imap_port}"
    names = (variant for name in HANDED_ON for variant in (name, f"{name}_FILE"))
    told = {name: environment[name] for name in names if environment.get(name)}
    return {**{name: value for name, value in own.items() if not given(told, name.removesuffix("_FILE"))}, **told}


def office_sockets(instance: Instance) -> dict[str, Path]:
    """Program → where it listens, in a folder that only its owner may enter, and the portal."""
    return {name: instance.run / f"{name}.sock" for name in ("office", "office_2")}


# ---- What the portal has of its own


#: In HOME, what the portal alone reads and writes, besides its database and the spool.
PORTAL_FOLDERS = ("storage", "archives", "mail", "mailboxes")
#: A maildir is made whole or not at all: who finds its folder takes the rest for granted (mailbox.Maildir).
MAIL_FOLDERS = ("mail/new", "mail/cur", "mail/tmp")


def places_elsewhere(instance: Instance, environment: Mapping[str, str]) -> list[tuple[Path, str]]:
    """What the portal was told to read (``-r``) or to write (``-w``) outside HOME, where nothing is ours to give."""
    files = [environment[f"{name}_FILE"] for name in HANDED_ON if environment.get(f"{name}_FILE")]
    files += [environment[name] for name in ("FAXROOM_DOOR_CERTIFICATE", "FAXROOM_DOOR_KEY") if environment.get(name)]
    folders = [environment[name] for name in ("FAXROOM_ARCHIVES", "FAXROOM_SPOOL") if environment.get(name)]
    storage = urlsplit(environment.get("STORAGE_URL", ""))
    folders += [storage.path] if storage.scheme == "file" else []
    database = environment.get("DATABASE_URL", "")
    folders += [str(Path(urlsplit(database).path[1:]).parent)] if database.startswith("sqlite") else []
    told = [(Path(name), "-r") for name in files] + [(Path(name), "-w") for name in folders]
    return [(path, test) for path, test in told if not path.absolute().is_relative_to(instance.home)]


def move_database(instance: Instance) -> Path:
    """SQLite writes files beside its own: in HOME, where everything else is root's, a link leads to the folder in which
    they are. Nothing of this instance may be running. Gives the folder.

    Raises:
        SetupError: there is one at both places.
    """
    folder, name = instance.home / "database", "faxroom.sqlite3"
    folder.mkdir(mode=0o700, exist_ok=True)
    old, new = instance.home / name, folder / name
    if not old.is_symlink():
        if old.exists() and new.exists():
            raise SetupError(f"There is one database in {old} and another in {new}. Move away the one you do not need.")
        if old.exists():
            with contextlib.closing(sqlite3.connect(old)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            old.rename(new)  # alone: what was beside it went when it was closed
        for ending in ("-queue", "-shm", "-wal"):
            (instance.home / f"{name}{ending}").unlink(missing_ok=True)
        old.symlink_to(new)
    return folder


def write_environment(instance: Instance, values: Mapping[str, str]) -> None:
    """``HOME/faxroom.env``: one NAME=value a line, no quoting, read by ``bin/faxroom``."""
    if broken := [name for name, value in values.items() if "\n" in value]:
        raise SetupError(f"{', '.join(broken)} must be of one line. Give it as a file: {broken[0]}_FILE=PATH")
    write_values(instance.home / "faxroom.env", values)


def write_given(instance: Instance, environment: Mapping[str, str]) -> None:
    """``HOME/given.env``, for a backup: an instance that is restored from it is told the same."""
    names = (variant for name in (*HANDED_ON, *OF_UP) for variant in (name, f"{name}_FILE"))
    told = {name: environment[name] for name in names if environment.get(name)}
    write_values(instance.home / GIVEN, {name: value for name, value in told.items() if "\n" not in value})


def write_values(file: Path, values: Mapping[str, str]) -> None:
    """NAME=value, one a line, for the owner only."""
    new = file.with_name(f"{file.name}.new")
    new.touch(mode=0o600)
    new.write_text("".join(f"{name}={value}\n" for name, value in sorted(values.items())))
    new.replace(file)
