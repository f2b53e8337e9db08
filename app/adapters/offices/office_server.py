"""One office, for a supervisor to run and to start again whenever it ends.

    python -m app.adapters.offices.office_server --socket PATH --deadline 60

Opens the socket, in a folder that nobody else may enter, and goes into a room (:mod:`app.adapters.confined.room`) with
it and with copies of the few files of ours that :mod:`app.adapters.offices.office` consists of; as root it becomes
*nobody* before. So nothing of this machine can be written by a LibreOffice, and the only way out is that socket. Where
there can be no room, a fence stands around a folder of the office's own (:mod:`app.adapters.confined.confinement`);
where there can be neither, it opens no document and says so.
"""

import argparse
import hashlib
import importlib.util
import logging
import os
import resource
import shutil
import socket
import sys
import time
from pathlib import Path

from app.adapters.confined import confinement, room
from app.adapters.confined.confinement import DANGEROUS, FENCE, LIBREOFFICE, call_filter
from app.adapters.offices.office_protocol import UNCONFINED, Broken, receive, send

log = logging.getLogger("faxroom.office")

ROOT = Path(__file__).resolve().parents[3]
INSIDE = "/faxroom"
FONTS = f"{INSIDE}/fonts.conf"
#: Files of ours that an office consists of, and the packages that they lie in.
OURS = (
    "app/__init__.py",
    "app/kinds.py",
    "app/adapters/__init__.py",
    "app/adapters/confined/__init__.py",
    "app/adapters/offices/__init__.py",
    "app/adapters/confined/confinement.py",
    "app/adapters/offices/office.py",
    "app/adapters/offices/office_converter.py",
    "app/adapters/offices/office_profile.py",
    "app/adapters/offices/office_protocol.py",
    "app/adapters/offices/office_sheets.py",
)
SHOWN = ("/etc/libreoffice", "/opt/libreoffice")
#: Behind a fence a place that may not be read is a fault, where one that is not there is none.
SHOWN_BEHIND = (*SHOWN, "/var/lib/libreoffice", "/var/spool/libreoffice")
FILE_BYTES = 1024**3
#: A machine may be given its namespaces later: then the supervisor starts the office again.
LOOK_AGAIN_SECONDS = 300


def open_socket(path: Path) -> socket.socket:
    """Bound, not yet listening; what a server before us left behind goes. It is for its owner and for the group that
    may pass through its folder.

    Raises:
        SystemExit: its folder is open to others.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.parent.stat()
    if status.st_mode & 0o067 or status.st_uid not in (0, os.geteuid()):
        raise SystemExit(f"{path.parent} can be entered by others. Give the socket of an office a folder of mode 0700.")
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    os.chown(path, -1, status.st_gid)
    path.chmod(0o660 if status.st_mode & 0o010 else 0o600)
    return listening


def enter_room(listening: socket.socket, *, deadline: float) -> None:
    """Become a room with an office in it that answers on ``listening``. Never returns.

    Raises:
        OSError: there is no bubblewrap.
    """
    handles = {place: os.open(path, os.O_RDONLY) for place, path in _copied().items()}
    program = _filter(DANGEROUS)
    for handle in (*handles.values(), listening.fileno(), *([program] if program is not None else [])):
        os.set_inheritable(handle, True)
    _own_nothing()
    command = room.room_command(
        _office(listening, deadline),
        shown=SHOWN,
        files=handles,
        call_filter=program,
        environment={**room.ENVIRONMENT, "PYTHONPATH": INSIDE, "FONTCONFIG_FILE": FONTS},
    )
    os.execvpe(command[0], command, room.ENVIRONMENT)


def stand_behind_fence(listening: socket.socket, *, deadline: float) -> None:
    """Become an office with a fence around it. Never returns.

    Raises:
        SystemExit: its folder is somebody else's.
        OSError: there is no fence on this machine.
    """
    folder = _fenced_folder(listening)
    kept = os.umask(0o022)  # our own code, which nobody reads as well
    for place, path in _copied().items():
        (folder / place[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / place[1:])
    os.umask(kept)
    inside = folder / "room"
    inside.mkdir(mode=0o700)
    status, program = Path(listening.getsockname()).parent.stat(), _filter(LIBREOFFICE)
    if program is None:
        raise OSError("this kernel keeps no program from its calls")
    for handle in (listening.fileno(), program):
        os.set_inheritable(handle, True)
    if room.can_become_nobody():
        os.chown(inside, room.NOBODY, room.NOBODY)
    callers = ["--callers", str(status.st_gid)] if status.st_mode & 0o010 else []
    fenced = ["--fenced", str(inside), "--filter", str(program), *callers]
    environment = room.ENVIRONMENT | {"HOME": str(inside), "OSL_SOCKET_PATH": str(inside)}
    environment |= {"PYTHONPATH": str(folder / INSIDE[1:]), "FONTCONFIG_FILE": str(folder / FONTS[1:])}
    _own_nothing()
    confinement.fence(shown=(*SHOWN_BEHIND, folder / INSIDE[1:]), folder=inside)
    confinement.apply_filter(call_filter((), confinement.NOT_IN_TMP))
    os.execve(room.PYTHON, [*_office(listening, deadline), *fenced], environment)


def _fenced_folder(listening: socket.socket) -> Path:
    """Empty, ours, and a short way from the root: LibreOffice's pipe is in it (unix(7): 107 characters). Of each socket
    the same one, so that what a killed office left behind goes."""
    digest = hashlib.sha256(listening.getsockname().encode()).hexdigest()[:12]
    folder = Path("/tmp") / f"faxroom-office-{digest}"
    if folder.is_symlink() or (folder.exists() and folder.lstat().st_uid != os.geteuid()):
        raise SystemExit(f"{folder} is somebody else's. Remove it; the office starts by itself then.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o711)
    folder.chmod(0o711)  # who is nobody passes through
    return folder


def _office(listening: socket.socket, deadline: float) -> list[str]:
    return [room.PYTHON, "-s", "-m", "app.adapters.offices.office", str(listening.fileno()), str(deadline)]


def _own_nothing() -> None:
    if room.can_become_nobody():  # a user who owns nothing
        os.setgroups([])
        os.setresgid(room.NOBODY, room.NOBODY, room.NOBODY)
        os.setresuid(room.NOBODY, room.NOBODY, room.NOBODY)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    os.chdir("/")


def _filter(forbidden: tuple[str, ...]) -> int | None:
    """A descriptor of the program that keeps LibreOffice from what it need not ask of the kernel."""
    if not (program := call_filter(forbidden)):
        return None
    handle = os.memfd_create("filter")
    os.write(handle, program)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def _copied() -> dict[str, Path]:
    """Place in the room → file of ours, and unoserver's converter."""
    files = {f"{INSIDE}/{name}": ROOT / name for name in OURS}
    found = importlib.util.find_spec("unoserver")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("unoserver")
    package = Path(found.origin).parent
    files |= {f"{INSIDE}/unoserver/{name}": package / name for name in ("__init__.py", "converter.py")}
    return files | {FONTS: ROOT / "app/adapters/offices/office_fonts.conf"}


def refuse(listening: socket.socket, reason: str, *, seconds: float) -> None:
    """Answer everybody that no document is opened here, and why."""
    listening.listen()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        listening.settimeout(left)
        try:
            line, _ = listening.accept()
            with line:
                receive(line, seconds=5)
                send(line, {"fault": UNCONFINED, "reason": reason})
        except (Broken, OSError):
            continue


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--deadline", type=float, default=60)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    listening = open_socket(given.socket.absolute())
    try:
        reason = room.why_there_is_none()
        neither = reason and room.why_neither()
    except OSError as error:
        log.error("no room yet, and no verdict on this machine: %s", error)
        return 1
    if neither:
        log.error("%s", room.ADVICE.format(reason=neither))
        refuse(listening, neither, seconds=LOOK_AGAIN_SECONDS)
        return 1
    if reason:
        log.info("no namespaces (%s): behind %s", reason, FENCE)
        stand_behind_fence(listening, deadline=given.deadline)
    enter_room(listening, deadline=given.deadline)
    return 1


if __name__ == "__main__":
    sys.exit(main())
