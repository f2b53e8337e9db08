"""Rooms in which programs open strangers' files: nothing to see, nothing to keep, nobody to call.

Made by bubblewrap: user, mount, pid, network, ipc and host name of its own. In a room are the system's programs,
libraries and fonts, an empty /tmp that goes with it, and what it is given. No other process is there, and no folder of
this machine can be written but the one that it may be given. Where a machine gives no namespaces, as many containers do
not, a fence stands in its stead (:mod:`app.adapters.confined.confinement`): the same places, on the machine's own disk.

    python3 -m app.adapters.confined.room         says which of the two this machine has, and ends with 1 where neither
"""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from app.adapters.confined import confinement
from app.adapters.confined.confinement import FENCE, NAMESPACES, SETTINGS, SYSTEM

PYTHON = "/usr/bin/python3"  # Debian's own, which sees LibreOffice's "uno"
NOBODY = 65534
CHANGE_USER = 1 << 6 | 1 << 7  # CAP_SETGID, CAP_SETUID
#: For what a program puts aside; in memory, and only as far as it is used.
SPACE = 1024**3
LINKS = ("bin", "lib", "lib64")
#: Bubblewrap's own environment can be read in the room.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}

#: What the kernel says where it has nothing left just now: no process, no memory, no descriptor.
WANT = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)

ADVICE = (
    "Office documents and texts are not opened on this machine, because LibreOffice cannot be confined "
    "({reason}). PDFs and pictures are sent all the same. Install bubblewrap, and allow user namespaces "
    "(kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0; in a container see docs/install.md)."
)


def room_command(
    inside: Sequence[str],
    *,
    shown: Sequence[str] = (),
    files: Mapping[str, int] | None = None,
    folder: str | None = None,
    call_filter: int | None = None,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> list[str]:
    """What makes a room and runs ``inside`` in it. ``shown``: places that can be read there too, where they exist;
    ``files``: place → descriptor of what is copied there; ``folder`` can be written; ``call_filter``: descriptor of a
    program for seccomp(2)."""
    command = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    command += ["--unshare-cgroup-try", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv"]
    command += ["--cap-drop", "ALL", "--hostname", "room"]
    for place in (*SYSTEM, *SETTINGS, *shown):
        command += ["--ro-bind-try", place, place]
    for name in LINKS:
        command += ["--symlink", f"usr/{name}", f"/{name}"]
    for place, handle in (files or {}).items():
        command += ["--ro-bind-data", str(handle), place]
    command += ["--proc", "/proc", "--dev", "/dev", "--size", str(SPACE), "--tmpfs", "/tmp"]
    if folder:
        command += ["--bind", folder, folder]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", folder or "/tmp"]
    if call_filter is not None:
        command += ["--seccomp", str(call_filter)]
    for name, value in environment.items():
        command += ["--setenv", name, value]
    return [*command, "--", *inside]


def why_there_is_none() -> str | None:
    """What keeps this machine from having rooms; None: it has. Takes some milliseconds.

    Raises:
        OSError: it cannot be known, because the machine has nothing left just now.
    """
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    nobody = NOBODY if can_become_nobody() else None
    command = room_command(["/usr/bin/true"])
    try:
        done = subprocess.run(
            command,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=20,
            cwd="/",
            check=False,
            user=nobody,
            group=nobody,
            extra_groups=None if nobody is None else [],
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(str(error)) from error
    except OSError as error:
        if error.errno in WANT:
            raise
        return str(error)
    if done.returncode == 0:
        return None
    said = done.stderr.strip()
    if number := next((number for number in WANT if os.strerror(number) in said), None):
        raise OSError(number, said)
    return said or f"bwrap ended with {done.returncode}"


def why_neither() -> str | None:
    """What keeps this machine from having a room or a fence; None: it has one of them. Raises as
    :func:`why_there_is_none`."""
    reason, fenceless = why_there_is_none(), confinement.why_no_fence()
    return f"{reason}; {fenceless}" if reason and fenceless else None


def can_become_nobody() -> bool:
    """Root with the right to change its user, which root of a container may lack, or lack the other user."""
    status = Path("/proc/self/status").read_text()
    may = os.geteuid() == 0 and int(status.partition("CapEff:")[2].split()[0], 16) & CHANGE_USER == CHANGE_USER
    return may and all(_is_there(NOBODY, Path(f"/proc/self/{kind}_map")) for kind in ("uid", "gid"))


def _is_there(number: int, known: Path) -> bool:
    """In this process's user namespace (user_namespaces(7))."""
    lines = (map(int, line.split()) for line in known.read_text().splitlines())
    return any(first <= number < first + count for first, _outside, count in lines)


@cache
def there_are_rooms() -> bool:
    """Looked at until it is known, once in the life of a process. Raises as :func:`why_there_is_none`."""
    return why_there_is_none() is None


def confined_command(inside: Sequence[str], folder: str) -> list[str]:
    """``inside`` as it sees the system and ``folder``, and nothing else where this machine can have that. Raises as
    :func:`why_there_is_none`."""
    if there_are_rooms():
        return room_command(inside, folder=folder)
    if confinement.why_no_fence():
        return [*inside]
    return [PYTHON, "-I", confinement.__file__, folder, *inside]


def main() -> int:
    try:
        reason = why_there_is_none()
        neither = reason and why_neither()
    except OSError as error:
        sys.stdout.write(f"Whether LibreOffice can be confined is not known yet: {error}\n")
        return 1
    if neither:
        sys.stdout.write(ADVICE.format(reason=neither) + "\n")
    elif reason:
        sys.stdout.write(f"Documents are opened behind {FENCE}, because there are no namespaces ({reason}).\n")
    else:
        sys.stdout.write(f"Documents are opened in {NAMESPACES} of their own.\n")
    return 1 if neither else 0


if __name__ == "__main__":
    sys.exit(main())
