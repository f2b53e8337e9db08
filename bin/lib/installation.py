"""All that is installed once and shared by every instance: ``.tools/``, the web's assets, Debian packages."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import assets
import environment
import packages
import tried
from shell import Say, sudo
from steps import Progress

import asterisk

ASTERISK = ".tools/asterisk"
HYLAFAX = ".tools/hylafax"


def install(
    root: Path,
    progress: Progress,
    *,
    with_asterisk: bool = True,
    with_mailboxes: bool = False,
    for_tests: bool = False,
) -> None:
    """Install what is missing. The slow ones go side by side: Asterisk, LibreOffice, the Python packages."""
    log = root / ".tools/log"
    wanted = (*packages.RUNTIME, *(packages.TEST if for_tests else ()))

    def rest_of_packages() -> None:
        progress.step("packages", lambda say: _install_packages(wanted, say, log=log, for_tests=for_tests))
        progress.step("front", lambda say: _install_front(say, log=log / "packages.log"))
        if for_tests or with_mailboxes:
            progress.step(
                "dovecot", lambda say: packages.install_server("dovecot-imapd", say, log=log / "packages.log")
            )
        if for_tests:
            progress.step("hylafax", lambda say: packages.install_hylafax(root / HYLAFAX, say, log=log / "hylafax.log"))

    def python_and_assets() -> None:
        lock = "requirements-test.lock" if for_tests else "requirements.lock"
        progress.step("python", lambda say: environment.install(root, say, lock=lock, log=log / "python.log"))
        progress.step("assets", lambda say: assets.install(root, say))
        progress.step("languages", lambda say: assets.compile_translations(root))

    def own_asterisk() -> None:
        progress.step("asterisk", lambda say: _install_asterisk(root / ASTERISK, say))

    os.umask(0o022)  # what is installed is used by other accounts too, whoever starts us
    with _alone(root, progress):
        progress.step("basics", lambda say: packages.install(packages.FIRST, say, log=log / "packages.log"))
        progress.together(rest_of_packages, python_and_assets, *([own_asterisk] if with_asterisk else []))


def _install_packages(wanted: tuple[str, ...], say: Say, *, log: Path, for_tests: bool) -> None:
    packages.install(wanted, say, log=log / "packages.log")
    if for_tests:
        packages.install_postgres(say, log=log / "packages.log")


def _install_front(say: Say, *, log: Path) -> None:
    packages.install_server("nginx", say, log=log)
    packages.install(packages.FRONT, say, log=log)


def _install_asterisk(target: Path, say: Say) -> None:
    if not asterisk.is_installed(target):
        asterisk.install(target, say, sudo=sudo(), allowed=os.environ.get("FAXROOM_ASTERISK") or tried.SERIES_TOO)


@contextmanager
def _alone(root: Path, progress: Progress) -> Iterator[None]:
    """Two instances may start at once; one installs, the other waits and finds it done."""
    (root / ".tools/log").mkdir(parents=True, exist_ok=True)
    with (root / ".tools/lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("basics", "another start is installing in .tools; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
