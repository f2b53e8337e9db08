"""One LibreOffice behind one unoserver, for a supervisor to run and to start again whenever it ends.

    python -m app.adapters.office_server --port 2003 --uno-port 2002 --profile DIR --deadline 60

Needs an interpreter that sees LibreOffice's ``uno`` (Debian's own, or a venv with the system's packages). unoserver
alone will not do: it asks a hung LibreOffice to end and waits for it for ever, sleeps seven seconds at its start, and
leaves LibreOffice behind when it is killed.
"""

import argparse
import ctypes
import logging
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from unoserver import converter
from unoserver.server import UnoServer

from app.adapters.office_profile import write_profile

log = logging.getLogger("faxroom.office")

START_SECONDS = 60
#: LibreOffice's word for "start me again" (EXITHELPER_NORMAL_RESTART), which its shell script would heed.
RESTART = 81
WANTS_RESTART = 81  # its exit code
MEMORY = 6 * 1024**3
FILE_BYTES = 1024**3
PR_SET_PDEATHSIG = 1
#: Where distributions put the real program; the shell script "soffice" in front of it would outlive a signal.
PROGRAMS = ("/usr/lib/libreoffice/program/soffice.bin", "/opt/libreoffice/program/soffice.bin")

_libc = ctypes.CDLL(None)


class OfficeServer(UnoServer):
    """unoserver with a LibreOffice that is gone when this process is, and never works past the deadline."""

    def __init__(self, *, port: int, uno_port: int, profile: Path, deadline_seconds: float) -> None:
        scratch = profile / "tmp"
        super().__init__(
            port=str(port), uno_port=str(uno_port), user_installation=profile.as_uri(), temp_dir=str(scratch)
        )
        self.profile, self.scratch, self.deadline_seconds = profile, scratch, deadline_seconds

    def start(self, executable: str = "") -> subprocess.Popen[bytes]:
        """Returns when documents can be sent."""
        watch = _watch(self, START_SECONDS)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True, mode=0o700)
        write_profile(self.profile)
        self._complete_profile(executable)
        end = time.monotonic() + START_SECONDS
        while not self._office_listens(executable, end):
            if self.libreoffice_process.returncode != RESTART or time.monotonic() > end:
                self.kill_office()
                raise SystemExit(f"LibreOffice did not start ({self.libreoffice_process.returncode})")
        # Only when it answers is our own port opened: who can connect is served.
        converter.UnoConverter(interface=self.uno_interface, port=self.uno_port)
        converter.UnoConverter = _watched(converter.UnoConverter, self)
        self.xmlrcp_thread = threading.Thread(target=self._serve_or_end, daemon=True)
        self.xmlrcp_thread.start()
        while self.xmlrcp_server is None:
            time.sleep(0.01)
        watch.cancel()
        return self.libreoffice_process

    def _complete_profile(self, executable: str) -> None:
        """LibreOffice fills a new profile in at its first start and asks to be started again."""
        command = [*self._command(executable)[:-1], "--terminate_after_init"]
        for _ in range(3):
            done = subprocess.run(command, env=self._environment(), preexec_fn=_tether, check=False)
            if done.returncode != WANTS_RESTART:
                return

    def kill_office(self) -> None:
        if self.libreoffice_process is None:
            return
        try:
            os.killpg(self.libreoffice_process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _command(self, executable: str) -> list[str]:
        accept = f"socket,host={self.uno_interface},port={self.uno_port},tcpNoDelay=1;urp;StarOffice.ComponentContext"
        flags = "--headless --invisible --nocrashreport --nodefault --nologo --nofirststartwizard --norestore".split()
        return [executable, *flags, f"-env:UserInstallation={self.user_installation}", f"--accept={accept}"]

    def _environment(self) -> dict[str, str]:
        """Nothing of ours: a document that takes LibreOffice over finds no secret in its environment."""
        path = os.environ.get("PATH", "/usr/bin:/bin")
        return {"PATH": path, "HOME": str(self.profile), "TMPDIR": str(self.scratch), "LC_ALL": "C.UTF-8"}

    def _office_listens(self, executable: str, end: float) -> bool:
        """Start LibreOffice; False when it ended, as it does after it has filled a fresh profile."""
        self.libreoffice_process = subprocess.Popen(
            self._command(executable), env=self._environment(), start_new_session=True, preexec_fn=_tether
        )
        while time.monotonic() < end and self.libreoffice_process.poll() is None:
            try:
                socket.create_connection((self.uno_interface, int(self.uno_port)), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return True
        return False

    def _serve_or_end(self) -> None:
        """A port that is taken, a LibreOffice that does not answer: the supervisor has to see it."""
        try:
            self.serve()
        except Exception:
            log.exception("unoserver ended")
        self.kill_office()


def _watched(base: type, server: OfficeServer) -> type:
    """unoserver offers no hook: its converter is replaced by one that has a deadline."""

    class Watched(base):
        def convert(self, *args: Any, **kwargs: Any) -> Any:
            watch = _watch(server, server.deadline_seconds)
            try:
                return super().convert(*args, **kwargs)
            finally:
                watch.cancel()

    return Watched


def _watch(server: OfficeServer, seconds: float) -> threading.Timer:
    """After so many seconds all is ended, unless it is cancelled before."""
    timer = threading.Timer(seconds, _give_up, [server, seconds])
    timer.daemon = True
    timer.start()
    return timer


def _give_up(server: OfficeServer, seconds: float) -> None:
    """SIGKILL, which works on a stopped process too; then end, for the thread that waits for it cannot be ended."""
    log.error("no answer from LibreOffice in %s s: it is killed", seconds)
    server.kill_office()
    os._exit(1)


def _tether() -> None:
    """In the child: end with the parent, no core file, limits that no honest document reaches."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))


def find_office() -> str:
    found = next((program for program in PROGRAMS if Path(program).exists()), None)
    if found is None and (script := shutil.which("soffice")):
        beside = Path(script).resolve().with_name("soffice.bin")
        found = str(beside) if beside.exists() else script
    if found is None:
        raise SystemExit("LibreOffice is not installed (Debian: libreoffice-writer-nogui, python3-uno)")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--uno-port", type=int, required=True)
    parser.add_argument("--profile", type=Path, required=True)
    parser.add_argument("--deadline", type=float, default=60)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    server = OfficeServer(
        port=given.port,
        uno_port=given.uno_port,
        profile=given.profile.absolute(),
        deadline_seconds=given.deadline,
    )

    def stop(*_: object) -> None:
        server.kill_office()
        os._exit(0)

    # From before LibreOffice is there: being told to stop in the middle of the start must leave nothing behind either.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    office = server.start(find_office())
    office.wait()
    log.error("LibreOffice ended (%s)", office.returncode)
    # What a caller is waiting for is answered with a fault first: this long is enough for that.
    time.sleep(0.2)
    server.kill_office()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
