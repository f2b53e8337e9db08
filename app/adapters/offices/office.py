"""What runs inside an office's room (:mod:`app.adapters.confined.room`): a LibreOffice, and who speaks for it.

    python3 -m app.adapters.offices.office FD DEADLINE [--fenced FOLDER --filter FD --callers GROUP]

Answers on the listening socket ``FD`` (:mod:`app.adapters.offices.office_protocol`), one document at a time, and ends
with its LibreOffice: then the whole room goes, and is made anew. The package unoserver converts; its own server would
listen on TCP, ask a hung LibreOffice to end and wait for it for ever, and sleep seven seconds at its start.

Behind a fence instead of in a room (:mod:`app.adapters.offices.office_server`) it is the same with a FOLDER for /tmp,
which is emptied at the end, and a filter of system calls for LibreOffice alone.
"""

import argparse
import logging
import os
import resource
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from unoserver.converter import UnoConverter

from app.adapters.confined import confinement
from app.adapters.confined.confinement import FENCE, NAMESPACES
from app.adapters.offices.office_converter import Converter
from app.adapters.offices.office_profile import write_profile
from app.adapters.offices.office_protocol import (
    CRASHED,
    KILLED,
    NO_ROOM,
    NOT_CONVERTED,
    TOO_WIDE,
    Broken,
    group_of,
    receive,
    send,
    user_of,
)
from app.adapters.offices.office_sheets import TooWide
from app.kinds import OFFICE_KINDS

log = logging.getLogger("faxroom.office")

START_SECONDS = 60
#: A LibreOffice that does not even say its version in so long is hung.
PROBE_SECONDS = 10
#: This process says so often that it goes on; one that has not for so long is stopped, and is killed.
BEAT_SECONDS, SILENT_SECONDS = 1.0, 10.0
#: A LibreOffice that has worked on a document for so long gets less of the processor than others: nice(1). What counts
#: is the processor's time: on a machine with other work the first document of a fresh one waits that long for it.
LONG_SECONDS, NICENESS, LOOK_SECONDS = 2.0, 10, 0.25
#: How often is looked whether the caller still waits.
CALLER_MILLISECONDS = 250
#: A caller who connects says what it wants; a document has to arrive.
ASKING_SECONDS = 20
#: Free bytes without which no document is begun, and nothing is said of one that failed.
ROOM = 200 * 1024**2
#: Behind a fence: what an office may put on the machine's disk, and how often is looked.
FOLDER_BYTES, FOLDER_FILES, FOLDER_SECONDS = 1024**3, 20_000, 1.0
#: Where fewer threads can be begun, a failure says nothing either: LibreOffice aborts where it gets none, and
#: gives back with its end what it had: some twenty, and one for each processor.
THREADS = 64
#: LibreOffice's word for "start me again" (EXITHELPER_NORMAL_RESTART), which its shell script would heed.
RESTART = 81
#: Address space, not memory: LibreOffice maps 0.8 GB before its first document.
MEMORY = 2 * 1024**3
#: Where fonts are found, and where LibreOffice puts its pipe.
HANDED_ON = ("FONTCONFIG_FILE", "OSL_SOCKET_PATH")
FLAGS = "--headless --invisible --nocrashreport --nodefault --nologo --nofirststartwizard --norestore".split()
#: Where distributions put the real program; the shell script "soffice" in front of it would outlive a signal.
PROGRAMS = ("/usr/lib/libreoffice/program/soffice.bin", "/opt/libreoffice/program/soffice.bin")


class Office:
    """A LibreOffice that is gone when this process is, and never works past the deadline."""

    def __init__(
        self, folder: Path, *, deadline_seconds: float, own_disk: bool = True, call_filter: bytes = b""
    ) -> None:
        """``own_disk``: nobody else writes where ``folder`` is, so whoever fills it was a document. Otherwise it is
        behind a fence: ``call_filter`` is LibreOffice's."""
        self.folder, self.call_filter = folder, call_filter
        self.profile, self.scratch, self.job = folder / "profile", folder / "scratch", folder / "job"
        self.deadline_seconds, self.own_disk = deadline_seconds, own_disk
        self.pipe = secrets.token_hex(16)
        self.is_lowered = False
        self.documents = 0  # given to this LibreOffice; the first one is given to a fresh one
        self.process: subprocess.Popen[bytes] | None = None
        self.converter: Converter | None = None

    def start(self) -> None:
        """Returns when documents can be taken.

        Raises:
            SystemExit: LibreOffice did not start.
        """
        watch = self._watch(START_SECONDS)
        for folder in (self.scratch, self.job):
            _emptied(folder)
        write_profile(self.profile)
        executable, end = find_office(), time.monotonic() + START_SECONDS
        self._complete_profile(executable)
        while not self._answers(executable, end):
            code = self._started.returncode
            if code != RESTART or time.monotonic() > end:
                self.kill()
                raise SystemExit(f"LibreOffice did not start ({code})")
        watch.cancel()

    def state(self) -> dict[str, Any]:
        """Before a document is given to it: LibreOffice answers, it has room, and how fresh it is. One that does not
        answer is killed and started again."""
        watch = self._watch(PROBE_SECONDS)
        try:
            UnoConverter.uno_info(self._conversing)
        finally:
            watch.cancel()
        return {"documents": self.documents, "has_room": self.has_room(), "guard": self.guard}

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        assert self.process is not None  # start comes first
        return self.process

    @property
    def _conversing(self) -> Converter:
        assert self.converter is not None  # start comes first
        return self.converter

    @property
    def guard(self) -> str:
        return NAMESPACES if self.own_disk else FENCE

    def convert(self, data: bytes, wanted: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        """The PDF, and what else is to be said of the document.

        Raises:
            Exception: whatever LibreOffice or unoserver make of it.
        """
        self.documents += 1
        watch, done = self._watch(self.deadline_seconds), threading.Event()
        threading.Thread(target=self._lower_if_long, args=(done,), daemon=True).start()
        _emptied(self.job)
        try:
            pdf, told = self._conversing.print_document(data, self.job, wanted)
            _judge(pdf)
            return pdf, told
        finally:
            watch.cancel()
            done.set()
            _emptied(self.job)

    def _lower_if_long(self, done: threading.Event) -> None:
        with suppress(OSError):  # it has ended
            began = self._worked()
            while not done.wait(LOOK_SECONDS):
                if self._worked() - began >= LONG_SECONDS:
                    self._lower()
                    return

    def _worked(self) -> float:
        """Seconds of the processor that LibreOffice has had (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self._started.pid << 3 | 2)

    def _lower(self) -> None:
        """It goes on beside the others, no longer in their stead."""
        self.is_lowered = True
        with suppress(PermissionError):  # it is lower already
            os.setpriority(os.PRIO_PGRP, self._started.pid, NICENESS)

    def has_room(self) -> bool:
        """Whether a document and its PDF could be written here."""
        try:
            return shutil.disk_usage(self.scratch).free >= ROOM
        except OSError:
            return False

    def fault(self, error: Exception) -> dict[str, Any]:
        """What became of a document that was not converted: whose fault it was."""
        if isinstance(error, TooWide):
            return {"fault": TOO_WIDE, "reason": str(error)[:1000]}
        ended = self._how_it_ended()
        if (not self.own_disk and not self.has_room()) or not can_begin(THREADS):
            code = NO_ROOM
        elif ended is None:
            code = NOT_CONVERTED
        else:
            code = KILLED if ended in (-signal.SIGKILL, -signal.SIGTERM) else CRASHED
        log.error("not converted (fault %s, LibreOffice %s): %s", code, ended, error)
        return {"fault": code, "reason": f"{type(error).__name__}: {error}"[:1000]}

    def kill(self) -> None:
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def end(self) -> None:
        self.kill()
        if not self.own_disk:
            _emptied(self.folder)
        os._exit(1)

    def keep_small(self) -> None:
        """To be called in a thread of its own, where the folder's disk is the machine's."""
        while True:
            time.sleep(FOLDER_SECONDS)
            sizes = [size for folder in os.walk(self.folder) for size in _sizes(folder[0])]
            if sum(sizes) > FOLDER_BYTES or len(sizes) > FOLDER_FILES:
                log.error("%s files of %s bytes in all: too much", len(sizes), sum(sizes))
                self.end()

    def end_with_libreoffice(self) -> None:
        """To be called in a thread of its own. What a caller waits for is answered with a fault first."""
        code = self._started.wait()
        log.error("LibreOffice ended (%s)", code)
        time.sleep(1)
        self.end()

    def _how_it_ended(self) -> int | None:
        """Its exit code; None if it goes on. What broke the connection to it is told before its end is."""
        end = time.monotonic() + 0.3
        while (code := self._started.poll()) is None and time.monotonic() < end:
            time.sleep(0.01)
        return code

    def _complete_profile(self, executable: str) -> None:
        """LibreOffice fills a new profile in at its first start and asks to be started again."""
        command = [executable, *FLAGS, f"-env:UserInstallation={self.profile.as_uri()}", "--terminate_after_init"]
        for _ in range(3):
            done = subprocess.run(
                command, env=self._environment(), preexec_fn=partial(self._tether, os.getpid()), check=False
            )
            if done.returncode != RESTART:
                return

    def _environment(self) -> dict[str, str]:
        ours = {"PATH": "/usr/bin:/bin", "HOME": str(self.profile), "TMPDIR": str(self.scratch), "LC_ALL": "C.UTF-8"}
        return ours | {name: os.environ[name] for name in HANDED_ON if name in os.environ}

    def _tether(self, office: int) -> None:
        """In the child: end with the parent, and an address space that no honest document fills."""
        confinement.end_with(office)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        if self.call_filter:
            confinement.apply_filter(self.call_filter)

    def _answers(self, executable: str, end: float) -> bool:
        """Start LibreOffice; False when it ended, as it does after it has filled a fresh profile."""
        accept = f"--accept=pipe,name={self.pipe};urp;StarOffice.ComponentContext"
        self.process = subprocess.Popen(
            [executable, *FLAGS, f"-env:UserInstallation={self.profile.as_uri()}", accept],
            env=self._environment(),
            start_new_session=True,
            preexec_fn=partial(self._tether, os.getpid()),
        )
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.converter = Converter(self.pipe)
            except Exception:  # uno.RuntimeException: nobody listens yet
                time.sleep(0.05)
            else:
                return True
        return False

    def _watch(self, seconds: float) -> threading.Timer:
        """After so many seconds all is ended, unless it is cancelled before: the thread that waits for a LibreOffice
        that hangs cannot be ended. SIGKILL works on a stopped one too."""

        def give_up() -> None:
            log.error("no answer from LibreOffice in %s s: it is killed", seconds)
            self.end()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        return timer


def serve(office: Office, listening: socket.socket, callers: int | None = None) -> None:
    """Answer one caller after the other. Returns after a document that was not converted: the next one finds a fresh
    office, which is what a verdict on a document takes. ``callers``: a group whose members are answered."""
    while True:
        line, _ = listening.accept()
        is_last = False
        with line:
            if not _is_known(line, is_behind_fence=not office.own_disk, callers=callers):
                continue
            try:
                head, body = receive(line, seconds=ASKING_SECONDS)
                with _for_whoever_waits(office, line):
                    answer, pdf = _answer(office, head, body)
                is_last = "fault" in answer or office.is_lowered  # the kernel takes a niceness back from nobody
                if is_last:
                    listening.shutdown(socket.SHUT_RDWR)  # who asks on is refused, not cut off with its document
                send(line, answer, pdf)
            except Broken:
                continue  # somebody who only wanted to know whether we are there
            except OSError as error:
                log.warning("a caller was gone before the answer: %s", error)
            if is_last or office.is_lowered:
                return


def _is_known(line: socket.socket, *, is_behind_fence: bool, callers: int | None) -> bool:
    """Ourselves; in a room root, who has made us nobody, and its callers look like it."""
    user = user_of(line)
    return user == os.getuid() or (is_behind_fence and (user == 0 or group_of(line) == callers))


@contextmanager
def _for_whoever_waits(office: Office, line: socket.socket) -> Iterator[None]:
    """A caller who goes meanwhile has given the document up: LibreOffice does not go on with it."""
    poll, done = select.poll(), threading.Event()
    poll.register(line, select.POLLRDHUP)

    def watch() -> None:
        while not done.is_set():
            if poll.poll(CALLER_MILLISECONDS) and not done.is_set():
                log.info("nobody waits for the document any more")
                office.end()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _answer(office: Office, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    if head.get("do") == "state":
        return office.state(), b""
    if head.get("do") != "convert" or head.get("kind") not in OFFICE_KINDS:
        raise Broken("no question")
    try:
        pdf, told = office.convert(body, head)
        return told, pdf
    except Exception as error:
        return office.fault(error), b""


def can_begin(count: int) -> bool:
    """Whether the machine has so many threads left for us (ulimit -u, a control group), which is tried."""
    enough, begun = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=enough.wait, daemon=True)
            thread.start()
            begun.append(thread)
    except RuntimeError:  # "can't start new thread"
        return False
    finally:
        enough.set()
        for thread in begun:
            thread.join()
    return True


def _judge(result: object) -> None:
    """A disk that fills up leaves half a file, and LibreOffice does not say so."""
    if isinstance(result, bytes) and result.startswith(b"%PDF-") and b"%%EOF" not in result[-1024:]:
        raise ValueError("only a part of the PDF was written")


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)


def _sizes(folder: str) -> Iterator[int]:
    """Of the files in it, which come and go."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                yield entry.stat(follow_symlinks=False).st_size


def _have_us_watched() -> None:
    """A process of its own, as long as this one lives: a stopped process takes connections and answers none, and cannot
    see that itself. To be called before there are threads."""
    reading, writing = os.pipe()
    watched = os.getpid()
    if os.fork() == 0:
        os.close(writing)
        try:
            _kill_if_silent(reading, watched)
        finally:
            os._exit(0)
    os.close(reading)
    threading.Thread(target=_keep_beating, args=(writing,), daemon=True).start()


def _keep_beating(pipe: int) -> None:
    """Nobody who watches: it is all started again."""
    while True:
        try:
            os.write(pipe, b".")
        except OSError:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(BEAT_SECONDS)


def _kill_if_silent(pipe: int, watched: int) -> None:
    """LibreOffice ends with it. Asked twice: where all of the machine stood still, both go on at once."""
    silent = 0
    while silent < 2:
        if not select.select([pipe], [], [], 2 * BEAT_SECONDS if silent else SILENT_SECONDS)[0]:
            silent += 1
        elif os.read(pipe, 4096):
            silent = 0
        else:
            return  # it has ended
    log.error("no sign of life in %s s: it is killed", SILENT_SECONDS)
    os.kill(watched, signal.SIGKILL)


def find_office() -> str:
    """The program.

    Raises:
        SystemExit: there is none.
    """
    found = next((program for program in PROGRAMS if Path(program).exists()), None)
    if found is None:
        raise SystemExit("LibreOffice is not installed (Debian: libreoffice-writer-nogui, python3-uno)")
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("socket", type=int)
    parser.add_argument("deadline", type=float)
    parser.add_argument("--fenced", type=Path)
    parser.add_argument("--filter", type=int)
    parser.add_argument("--callers", type=int)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    os.umask(0o077)
    _have_us_watched()
    office = Office(
        given.fenced or Path("/tmp"),
        deadline_seconds=given.deadline,
        own_disk=given.fenced is None,
        call_filter=os.read(given.filter, 1 << 16) if given.filter else b"",
    )
    with socket.socket(fileno=given.socket) as listening:
        if given.fenced:
            signal.signal(signal.SIGTERM, lambda *_: office.end())
            threading.Thread(target=office.keep_small, daemon=True).start()
        office.start()
        threading.Thread(target=office.end_with_libreoffice, daemon=True).start()
        listening.listen()  # only now: who can connect is served
        serve(office, listening, given.callers)
    office.end()
    return 1


if __name__ == "__main__":
    sys.exit(main())
