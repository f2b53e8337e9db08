"""Accounts of ours, where bin/up is started as root. The portal, the front and Asterisk each have one, which owns
folders of its own in FAXROOM_HOME and nothing else; an office is nobody. What root writes for them lies in folders of
root, so that nobody can put a link in its way. An ordinary user has no other account to give."""

import contextlib
import grp
import os
import pwd
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from shell import SetupError

PORTAL, FRONT, ASTERISK = "faxroom-portal", "faxroom-front", "faxroom-asterisk"
#: Whoever is in it may pass through FAXROOM_HOME to its own folder, and see nothing of it.
THROUGH = "faxroom"
#: Ends with its parent: a change of account lets go of what was said before.
TETHER = ("--pdeathsig", "TERM")


def why_not(places: Iterable[Path]) -> str | None:
    """Why all runs as root: others may not pass through a folder above one of ``places``. None where they may."""
    for place in places:
        for folder in place.resolve().parents:
            if folder.exists() and not folder.stat().st_mode & 0o001:
                return f"no other account may pass through {folder}"
    return None


def make() -> None:
    """SetupError where an account cannot be made. Does nothing where all are there."""
    _unless_there(grp.getgrnam, THROUGH, "groupadd", "--system")
    for name in (PORTAL, FRONT, ASTERISK):
        options = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent")
        _unless_there(pwd.getpwnam, name, "useradd", *options, "--shell", "/usr/sbin/nologin")


def _unless_there(ask: object, name: str, *command: str) -> None:
    try:
        ask(name)  # type: ignore[operator]
    except KeyError:
        done = subprocess.run([*command, name], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SetupError(f"The account {name} cannot be made: {done.stderr.strip()}") from None


def become(name: str, *, low_port: bool = False) -> tuple[str, ...]:
    """Put before a command that root starts: it runs as ``name``, with no right but to a port below 1024 if it needs
    one, and gets none any more."""
    kept = "-all,+net_bind_service" if low_port else "-all"
    rights = ("--inh-caps", kept, "--bounding-set", kept, *(("--ambient-caps", kept) if low_port else ()))
    return ("setpriv", "--reuid", name, "--regid", name, "--groups", THROUGH, "--nnp", *rights, *TETHER, "--")


def may(name: str, test: str, path: Path) -> bool:
    """``test`` as test(1) has them: ``-r``, ``-w``, ``-x``."""
    return not subprocess.run([*become(name), "test", test, str(path)], check=False).returncode


def give(folder: Path, name: str) -> None:
    """The folder and all in it, for that account only. It may have put links there: none is followed, and a file that
    has another name elsewhere stays whose it is."""
    account = pwd.getpwnam(name)
    os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)
    for _, folders, files, opened in os.fwalk(folder):
        for entry in (*folders, *files):
            found = os.stat(entry, dir_fd=opened, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
                os.chown(entry, account.pw_uid, account.pw_gid, dir_fd=opened, follow_symlinks=False)
    folder.chmod(0o700)


def give_once(folder: Path, name: str) -> None:
    """The same, unless it has that account already: there may be millions of files."""
    if folder.exists() and folder.stat().st_uid != pwd.getpwnam(name).pw_uid:
        give(folder, name)


def hand(folder: Path, owner: str, *, to: str, may_remove: bool = False) -> None:
    """What ``owner`` puts there is read by ``to``, and taken away by it where it ``may_remove``, and by nobody else."""
    give(folder, owner)
    account, group = pwd.getpwnam(owner).pw_uid, grp.getgrnam(to).gr_gid
    os.chown(folder, account, group)
    folder.chmod(0o2770 if may_remove else 0o2750)  # the group is that of new files
    for entry in os.scandir(folder):
        _hand_file(entry.path, account, group)


def _hand_file(path: str, account: int, group: int) -> None:
    """Or a pipe. One that its owner puts a link in the place of meanwhile, or that has another name elsewhere, stays as
    it is."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(handle)
            if found.st_nlink == 1 and (stat.S_ISREG(found.st_mode) or stat.S_ISFIFO(found.st_mode)):
                os.fchown(handle, account, group)
                os.fchmod(handle, 0o640)
        finally:
            os.close(handle)


def show_file(file: Path, name: str) -> None:
    """It is ours; that account may read it."""
    os.chown(file, os.geteuid(), grp.getgrnam(name).gr_gid)
    file.chmod(0o640)


def let_pass(folder: Path) -> None:
    """The folder is ours; who knows a name in it may pass to it. What is above it keeps everybody else out."""
    os.chown(folder, os.geteuid(), os.getegid())
    folder.chmod(0o711)


def show(folder: Path, name: str) -> None:
    """The folder is ours, and so is all that we put there; that account may read it."""
    group = grp.getgrnam(name).gr_gid
    os.chown(folder, os.geteuid(), group)
    folder.chmod(0o2750)  # the group is that of new files
    for entry in folder.iterdir():
        if entry.is_file() and not entry.is_symlink():
            show_file(entry, name)


def open_to(folder: Path, group: str, *, owner: str = "root") -> None:
    """The folder is the owner's, and the group may pass through it."""
    os.chown(folder, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
    folder.chmod(0o710)
