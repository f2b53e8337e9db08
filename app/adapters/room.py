"""Rooms in which programs open strangers' files: nothing to see, nothing to keep, nobody to call.

Made by bubblewrap: user, mount, pid, network, ipc and host name of its own. In a room are the system's programs,
libraries and fonts, an empty /tmp that goes with it, and what it is given. No other process is there, and no folder of
this machine can be written but the one that it may be given.

    python3 -m app.adapters.room         says why this machine has none, and ends with 1 then
"""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from app.adapters.confinement import SETTINGS, SYSTEM

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
    "(kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0; in a container see README.md)."
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
    lowered = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if can_become_nobody() else {}
    command = room_command(["/usr/bin/true"])
    try:
        done = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, text=True, timeout=20, cwd="/", check=False, **lowered
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


def can_become_nobody() -> bool:
    """Root with the right to change its user, which root of a container may lack."""
    status = Path("/proc/self/status").read_text()
    return os.geteuid() == 0 and int(status.partition("CapEff:")[2].split()[0], 16) & CHANGE_USER == CHANGE_USER


@cache
def there_are_rooms() -> bool:
    """Looked at until it is known, once in the life of a process. Raises as :func:`why_there_is_none`."""
    return why_there_is_none() is None


def main() -> int:
    try:
        reason = why_there_is_none()
    except OSError as error:
        sys.stdout.write(f"Whether LibreOffice can be confined is not known yet: {error}\n")
        return 1
    if reason:
        sys.stdout.write(ADVICE.format(reason=reason) + "\n")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
