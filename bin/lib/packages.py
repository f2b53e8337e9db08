"""What comes from Debian. None of these packages brings a system service: we run our own processes."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from shell import Say, SetupError, run, sudo

#: Needed before anything else can go on.
FIRST = ("ca-certificates", "debootstrap", "python3-venv")
#: "a|b": either will do; the first is installed.
RUNTIME = (
    "bubblewrap",  # the room in which LibreOffice opens documents
    "fonts-crosextra-caladea",  # as wide as Cambria
    "fonts-crosextra-carlito",  # as wide as Calibri
    "fonts-dejavu-core",  # what documents name, or the like of it
    "fonts-freefont-ttf",  # scripts from Hebrew to Thai, in 7 MB
    "fonts-liberation",
    "fonts-wqy-microhei",  # Chinese, Japanese and Korean, in 5 MB
    "gnupg",  # signed and encrypted mail
    "libharfbuzz-subset0",  # WeasyPrint
    "libpango-1.0-0",
    "libpangoft2-1.0-0",
    "libseccomp2",  # what a child that reads documents may ask of the kernel
    "libreoffice-calc-nogui|libreoffice-calc",
    "libreoffice-impress-nogui|libreoffice-impress",
    "libreoffice-math-nogui|libreoffice-math",  # formulas in documents of Word
    "libreoffice-writer-nogui|libreoffice-writer",
    "python3-uno",
    "redis-tools",  # holds the server's program too, without the service of redis-server
    "tzdata",
)
#: Of the front, beside nginx: it can tell how fast a body comes.
FRONT = ("libnginx-mod-http-lua",)
TEST = (
    "chromium",
    "fonts-dejavu-core",
    "ghostscript",
    "libtiff-tools",
    "poppler-utils",
    "tesseract-ocr",
)
#: Debian's packages that would begin to serve → their units, masked before: a link to nowhere keeps systemd from them
#: (systemd.unit(5)).
SERVERS = {"dovecot-imapd": ("dovecot.service", "dovecot.socket"), "nginx": ("nginx.service",)}
UNITS = Path("/etc/systemd/system")
POLICY = Path("/usr/sbin/policy-rc.d")
#: A fax machine that is not ours, for the tests. Its libraries beyond libc come with libtiff-tools.
HYLAFAX = ("hylafax-client", "hylafax-server", "iaxmodem")
POSTGRES_DROP_IN = Path("/etc/postgresql-common/createcluster.d/faxroom.conf")


def missing(wanted: Iterable[str]) -> list[str]:
    """Those of ``wanted`` of which no alternative is installed, by their first name."""
    entries = [entry.split("|") for entry in wanted]
    names = [name for entry in entries for name in entry]
    listing = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        check=False,  # 1 when it does not know one of them
    ).stdout
    installed = {line.split()[0] for line in listing.splitlines() if line.endswith(" installed")}
    return [entry[0] for entry in entries if installed.isdisjoint(entry)]


def install(wanted: Iterable[str], say: Say, *, log: Path) -> None:
    """Install what is missing of ``wanted``. Does nothing, and needs no root, when nothing is."""
    names = missing(wanted)
    if not names:
        return
    if not shutil.which("apt-get"):
        raise SetupError("This is not Debian. Install by hand and start again: " + " ".join(names))
    say(f"installing {len(names)} packages: {' '.join(names)}")
    run([*sudo(), "dpkg", "--configure", "-a"], log=log)  # an earlier start may have been stopped in the middle
    try:
        run(_apt("update"), log=log)
    except SetupError:
        say("apt-get update reported faults; going on with what is known")
    run(_apt("install", "--no-install-recommends", *names), log=log)


def _apt(verb: str, *arguments: str) -> list[str]:
    settings = ["-y", "-q", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"]
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
    return [*sudo(), *environment, "apt-get", *settings, verb, *arguments]


def install_postgres(say: Say, *, log: Path) -> None:
    """PostgreSQL's programs for the tests, without the cluster that the package would make and run."""
    if postgres_programs():
        return
    say("installing PostgreSQL's programs")
    drop_in = str(POSTGRES_DROP_IN)
    run([*sudo(), "mkdir", "-p", POSTGRES_DROP_IN.parent], log=log)
    run([*sudo(), "sh", "-c", f"echo create_main_cluster = false > {drop_in}"], log=log)
    try:
        run(_apt("install", "--no-install-recommends", "postgresql"), log=log)
    finally:
        run([*sudo(), "rm", "-f", drop_in], log=log)


def install_server(package: str, say: Say, *, log: Path) -> None:
    """One of :data:`SERVERS`: its programs, without the service that the package would start and enable. One that is
    there already is left as it is."""
    if not missing([package]):
        return
    say(f"installing the programs of {package}")
    run([*sudo(), "mkdir", "-p", UNITS], log=log)
    for unit in (UNITS / name for name in SERVERS[package]):
        if not unit.exists() and not unit.is_symlink():
            run([*sudo(), "ln", "-s", "/dev/null", unit], log=log)
    ours = not POLICY.exists()
    if ours:
        run([*sudo(), "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}"], log=log)
    try:
        install([package], say, log=log)
    finally:
        if ours:
            run([*sudo(), "rm", "-f", POLICY], log=log)


def install_hylafax(target: Path, say: Say, *, log: Path) -> None:
    """HylaFAX and iaxmodem, unpacked and not installed: they would bring services and a mail server."""
    complete = target / "faxroom-complete"
    if complete.exists():
        return
    say("unpacking HylaFAX and iaxmodem")
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="faxroom-packages-") as folder:
        download = ["apt-get", "-q", "-o", "Acquire::Retries=3", "download", *HYLAFAX]
        try:
            run(download, log=log, cwd=Path(folder))
        except SetupError:  # nobody has asked for the lists yet, or they are old
            run(_apt("update"), log=log)
            run(download, log=log, cwd=Path(folder))
        for package in sorted(Path(folder).glob("*.deb")):
            run(["dpkg-deb", "-x", package, target], log=log)
    complete.touch()


def postgres_programs() -> Path | None:
    """The folder of initdb and postgres: in PATH, or the newest of Debian's."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def postgres_program(name: str) -> Path | None:
    """One for clients: the newest of Debian's, which reads every older, or the one in PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = versions[-1] if versions else shutil.which(name)
    return Path(found) if found else None


def redis_server(tools: Path) -> Path:
    """The program redis-server. Debian's redis-tools has it under another of its names: it goes by its own name."""
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return Path(found)
    link, target = tools / "redis-server", Path("/usr/bin/redis-check-rdb")
    if not target.exists():
        raise SetupError("There is no redis-server. Install it and start again: apt-get install redis-server")
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return link
