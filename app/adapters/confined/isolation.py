"""Work on hostile files in a child of its own: it may hang, crash or eat memory without harm to its caller.

Children are forked from the workshop (:mod:`app.adapters.documents.workshop`), a small process beside each worker that
has loaded what reads documents and nothing else: no secret, no database, and few pages of memory for a fork to copy. A
new interpreter for each document would take a third of a second. What comes back is JSON, never pickle: a file that
takes over the child must not reach its caller.

While nothing is to be done, one child is forked before it is needed and has worked on a page of ours, so that its
memory is its own already. It opens one document, as every child does, and gives the same up before.
"""

import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from app.adapters.confined import confinement
from app.adapters.confined.yielding import LOOK_SECONDS, working
from app.errors import FaxroomError, PermanentFailure, Refused, TemporaryFailure

ROOT = Path(__file__).resolve().parents[3]

#: What a child may take on top of what its parent has already mapped, in bytes.
MEMORY = 2 * 1024**3
#: The largest file that a child may write.
FILE_BYTES = 1024**3
TICKS = os.sysconf("SC_CLK_TCK")
#: A child that has worked for so long gets less of the processor than those that begin: nice(1).
LONG_SECONDS, NICENESS = 1.5, 10
#: More than any honest message; a child that says more is not one of ours any longer.
MESSAGE_BYTES = 16 * 1024**2

#: What the workshop is told of its owner's environment: where programs and languages are, and no secret.
HANDED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "FONTCONFIG_FILE", "FONTCONFIG_PATH")
#: A request to the workshop: names and paths.
REQUEST_BYTES = 64 * 1024
#: A workshop that says nothing for so long, though it may be loading, is given up.
ANSWER_SECONDS = 60
#: When nothing was asked for so long, the next child is forked: not beside a document that is worked on.
REST_SECONDS = 0.3

#: What a child says that was forked before it was needed and now waits.
READY = b"ready"

PR_SET_CHILD_SUBREAPER = 36
#: How often what a child leaves behind may have forked anew while it was ended.
MOST_ROUNDS = 1_000
#: mallopt(3): keep freed memory, grow by so much at once. Planes of megabytes come and go; to have the kernel hand out
#: their memory in pages of 4 kB costs more than the work in them, so the heap asks for huge ones (glibc 2.35, "Memory
#: Allocation Tunables"; an older one, or a kernel without them, takes small ones). Nine planes of 5 MB that come and go
#: six times cost 200 page faults so, and 11,600 without.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
KEEP, HEAP = 1 << 30, 64 * 1024**2
LARGE = 64 * 1024

Report = Callable[[Any], None]

_libc = ctypes.CDLL(None, use_errno=True)
#: The first that fails may have had bad luck: the second one shows whether it was the document. One that somebody
#: killed shows nothing, and another is asked, until there were so many of them in all.
CHILDREN, MOST_CHILDREN = 2, 5
#: What a child says that failed in a way of its own; and Python, where the machine has no thread left.
BROKEN, NO_THREAD = "Broken", "can't start new thread"
_FAILURES = {kind.__name__: kind for kind in (TemporaryFailure, PermanentFailure, Refused)}


#: What a child returns, as JSON has it.
Answer = TypeVar("Answer")


def run_isolated(
    work: Callable[..., Answer],
    *arguments: Any,
    deadline_seconds: float,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
    on_report: Report | None = None,
    memory_bytes: int = MEMORY,
) -> Answer:
    """Call ``work(report, *arguments)`` in a child; give back what it returned, which has to be JSON.

    Of this machine's files the child sees ``reads`` and ``writes``, which are made if they do not exist, and the
    programs' own; it reaches no other process and no network (:mod:`app.adapters.confined.confinement`).

    ``work`` is a function of a module and its arguments are JSON: the child finds them by name. What it hands to
    ``report`` (JSON too) reaches ``on_report`` here.

    Raises:
        FaxroomError: whatever ``work`` raised of it.
        PermanentFailure: ``conversion_timed_out`` past the deadline; ``too_many_pixels`` when the memory did not
            suffice; ``damaged`` when two children crashed or failed in another way.
        TemporaryFailure: ``file_unreadable``: no child could be started, a file could not be read or made, or children
            were killed again and again, which no document does.
    """
    deadline = time.monotonic() + deadline_seconds
    try:
        for path in writes:
            path.touch(mode=0o600)
    except OSError as error:
        raise TemporaryFailure("file_unreadable", reason=str(error)) from error
    request = {
        "module": work.__module__,
        "function": work.__qualname__,
        "arguments": arguments,
        "seconds": deadline_seconds,
        "memory": memory_bytes,
        "reads": [str(path) for path in reads],
        "writes": [str(path) for path in writes],
    }
    broken = 0
    for _ in range(MOST_CHILDREN):
        try:
            answer: Answer = _asked(request, deadline, on_report)
            return answer
        except _Broken:
            broken += 1
        except _Killed:
            continue
        if broken == CHILDREN:
            raise PermanentFailure("damaged")
    raise TemporaryFailure("file_unreadable", reason="its children were killed")


class _Broken(Exception):
    """A child that ended, or gave up, without a verdict."""


class _Killed(Exception):
    """A child that somebody else ended, or its workshop: somebody at the machine, or its kernel for want of memory."""


def _asked(request: dict[str, Any], deadline: float, on_report: Report | None) -> Any:
    """What one child makes of it; raises :class:`_Broken` besides what ``run_isolated`` does."""
    reading, writing = os.pipe()
    try:
        child = _workshops.begin(request, writing)
    except OSError as error:
        os.close(reading)
        raise TemporaryFailure("file_unreadable", reason=str(error)) from error
    finally:
        os.close(writing)
    try:
        for message in _messages(reading, deadline, child):
            if "report" in message:
                if on_report:
                    on_report(message["report"])
                continue
            if "result" in message:
                child.end()
                return message["result"]
            if message["failure"] == BROKEN:
                raise _Broken
            raise _FAILURES[message["failure"]](message["code"], **message["values"])
        raise _Killed if child.end() in (None, signal.SIGKILL) else _Broken
    except BaseException:
        child.end()
        raise
    finally:
        os.close(reading)


# ---- The caller's side


class Workshop:
    """The process from which children are forked. It ends by itself when its owner does: then nobody talks to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.adapters.documents.workshop", str(theirs.fileno())],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name in HANDED_ON} | HUGE_PAGES,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C for the owner is the owner's to handle
            )
        ours.settimeout(ANSWER_SECONDS)
        self.line, self.lock, self.owner = ours, threading.Lock(), os.getpid()

    def begin(self, request: dict[str, Any], pipe: int) -> "Child":
        """Have a child forked that writes to ``pipe``.

        Raises:
            OSError: the workshop is gone.
        """
        with self.lock:
            return Child(self, self._answer(json.dumps(request).encode(), [pipe]))

    def end(self, pid: int) -> int | None:
        """Returns when the child is no more and writes to nothing: with the signal that ended it (0: none), or None
        where the workshop is gone."""
        with self.lock, suppress(OSError):
            return self._answer(str(pid).encode(), [])
        return None

    def _answer(self, said: bytes, pipes: list[int]) -> int:
        """One that does not answer is spoken to no more: what it says late would be taken for another's answer, and its
        number for that of a child."""
        try:
            socket.send_fds(self.line, [said], pipes)
            if answer := self.line.recv(REQUEST_BYTES):
                return int(answer)
            raise ConnectionResetError("the workshop is gone")
        except OSError:
            self.line.close()
            raise

    def is_ours(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None


class Child:
    """A document's own process, which belongs to the workshop."""

    def __init__(self, workshop: Workshop, pid: int) -> None:
        self.workshop, self.pid = workshop, pid
        self.ended_by: int | None = None
        self.over = False

    def processor_seconds(self) -> float:
        """That it has used, and a second hand of its own; on a busy machine less than have passed."""
        used = 0
        with suppress(OSError):
            for process in (self.pid, *children_of(self.pid)):
                told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                used += sum(map(int, told[11:15]))  # utime, stime, and those of what it has waited for: proc(5)
        return used / TICKS

    def lower(self) -> None:
        """And a second hand of its own, which has its priority where it is forked later. Its pid is its own until
        :meth:`end`: the workshop has not waited for it."""
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, NICENESS)
            for other in children_of(self.pid):
                os.setpriority(os.PRIO_PROCESS, other, NICENESS)

    def end(self) -> int | None:
        """Whatever it is doing; what it ended by. Only the workshop may say so to the kernel: nobody else knows whether
        the pid lives."""
        if not self.over:
            self.over, self.ended_by = True, self.workshop.end(self.pid)
        return self.ended_by


class _Workshops:
    """The workshop of this process, opened when it is first needed and anew when it has died."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open: Workshop | None = None

    def get(self) -> Workshop:
        with self.lock:
            if self.open is None or not self.open.is_ours():
                self.open = Workshop()
            return self.open

    def begin(self, request: dict[str, Any], pipe: int) -> Child:
        try:
            return self.get().begin(request, pipe)
        except OSError:
            with self.lock:
                self.open = None
            return self.get().begin(request, pipe)


_workshops = _Workshops()


def open_workshop() -> None:
    """Have it load what it needs while its owner still has other things to do."""
    _workshops.get()


def workshop_pid() -> int:
    """Of this process's workshop, for who wants to know what its children cost."""
    return _workshops.get().process.pid


# ---- The workshop's side


def serve(line: socket.socket) -> None:
    """Fork a child for each request, end the children that are named; return when the owner is gone."""
    confinement.call_filter()  # made once, for all children
    gc.collect()
    gc.freeze()
    _libc.malloc_trim(0)
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    forge = _Forge(line)
    try:
        with suppress(ConnectionError):  # the owner does not even hear the last answer
            while forge.serve_one():
                pass
    finally:
        forge.end_all()


class _Forge:
    """Makes children. ``last`` is the module of what was asked for last: the next is likely to be asked for the same,
    so that the one that waits has done a thing of that kind before (its ``warm_up``)."""

    def __init__(self, line: socket.socket) -> None:
        self.line, self.pid, self.mapped = line, os.getpid(), _mapped()
        self.loaded: set[str] = set()
        self.last = ""
        self.waiting: tuple[int, socket.socket] | None = None
        self.working = set[int]()

    def serve_one(self) -> bool:
        """False: the owner is gone."""
        if not self.waiting and self.last and not select.select([self.line], [], [], REST_SECONDS)[0]:
            self.have_one_wait()
        said, pipes, _flags, _from = socket.recv_fds(self.line, REQUEST_BYTES, 1)
        if not said:
            return False
        if pipes:
            answer = self.begin(said, pipes[0])
            os.close(pipes[0])
        else:
            answer = self.end(int(said))
        self.line.send(str(answer).encode())
        return True

    def begin(self, request: bytes, pipe: int) -> int:
        """The pid of the child that works on it."""
        child = self._begun(request, pipe)
        self.working.add(child)
        return child

    def end(self, child: int) -> int:
        """The signal that ended it, or 0. What it has forked ends as well: its second hand, and whatever else one does
        that was taken over."""
        ended_by = _end(child)
        self.working.discard(child)
        ours = self.working | ({self.waiting[0]} if self.waiting else set())
        for _ in range(MOST_ROUNDS):
            if not (left := set(children_of(self.pid)) - ours):
                break
            for stray in left:
                _end(stray)
        return ended_by

    def end_all(self) -> None:
        """What they have forked would go on without the workshop."""
        for child in list(self.working):
            self.end(child)

    def _begun(self, request: bytes, pipe: int) -> int:
        self.last = json.loads(request)["module"]
        if self.last not in self.loaded:
            _load(self.last)
            self.loaded.add(self.last)
            self.mapped = _mapped()
            self._dismiss()  # it does not know what was loaded
        if self.waiting and (waited := self._hand_over(*self.waiting, request, pipe)):
            return waited
        child = os.fork()
        if child == 0:
            self.line.close()
            if self.waiting:
                self.waiting[1].close()
            _be_the_child(lambda: (request, pipe), parent=self.pid, mapped=self.mapped)
        return child

    def have_one_wait(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            child = os.fork()
            if child == 0:
                self.line.close()
                ours.close()
                _be_the_child(lambda: _wait_for_work(theirs, self.last), parent=self.pid, mapped=self.mapped)
        self.waiting = (child, ours)

    def _hand_over(self, child: int, line: socket.socket, request: bytes, pipe: int) -> int | None:
        """None where it is not ready yet, so that it would be waited for, or where somebody has ended it."""
        try:
            if line.recv(len(READY), socket.MSG_DONTWAIT) != READY:
                raise ConnectionResetError("it has ended")
            socket.send_fds(line, [request], [pipe])
        except BlockingIOError:
            return None
        except OSError:
            self._dismiss()
            return None
        line.close()
        self.waiting = None
        return child

    def _dismiss(self) -> None:
        if self.waiting:
            child, line = self.waiting
            line.close()
            _end(child)
            self.waiting = None


def _wait_for_work(line: socket.socket, module: str) -> tuple[bytes, int]:
    """In a child that was forked before it was needed: a request, and where to write what comes of it."""
    with suppress(Exception):
        if warm_up := getattr(importlib.import_module(module), "warm_up", None):
            warm_up()
    with line:
        line.send(READY)
        said, pipes, _flags, _from = socket.recv_fds(line, REQUEST_BYTES, 1)
    if not pipes:
        os._exit(0)
    return said, pipes[0]


def _load(module: str) -> None:
    """What only some workshops need, and then for every child; what cannot be loaded is the child's to say."""
    with suppress(Exception):
        if load := getattr(importlib.import_module(module), "load", None):
            load()


def _mapped() -> int:
    """Bytes of address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def settle_workshop_heap() -> None:
    """What is large gives its memory back when it goes, so that no child fills the gaps page by page."""
    _libc.mallopt(M_MMAP_THRESHOLD, LARGE)


def _end(child: int) -> int:
    """The signal that ended it, or 0. One that was over before keeps its own."""
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _be_the_child(work: Callable[[], tuple[bytes, int]], *, parent: int, mapped: int) -> None:
    """Never returns. ``work`` gives a request, and where to write what comes of it."""
    try:
        _settle(parent)
        said, pipe = work()
        request = json.loads(said)
        _limit(seconds=request["seconds"], memory_bytes=mapped + request["memory"])
        message = _outcome(request, pipe)
        _say(pipe, message)
    finally:
        os._exit(0)


def children_of(process: int) -> list[int]:
    """Pids; none of one that has ended."""
    try:
        return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _settle(parent: int) -> None:
    confinement.end_with(parent)
    _settle_heap()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)


def _limit(*, seconds: float, memory_bytes: int) -> None:
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, int(seconds) + 2),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # one past its seconds of the processor ends by SIGXCPU, and so is told from one that somebody killed
        later = limit == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY
        resource.setrlimit(limit, (value, value + later))


def _settle_heap() -> None:
    one_heap = ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, KEEP), (M_TRIM_THRESHOLD, KEEP), (M_TOP_PAD, HEAP))
    for parameter, value in one_heap:
        _libc.mallopt(parameter, value)


def give_back() -> None:
    """What a child has freed, it gives back to the machine: otherwise it keeps that, and grows by each gap into which
    nothing fits."""
    _libc.malloc_trim(0)


def _outcome(request: dict[str, Any], pipe: int) -> dict[str, Any]:
    try:
        work = getattr(importlib.import_module(request["module"]), request["function"])
        confinement.confine(reads=request["reads"], writes=request["writes"])
        return {"result": work(lambda value: _say(pipe, {"report": value}), *request["arguments"])}
    except FaxroomError as error:
        return {"failure": type(error).__name__, "code": error.code, "values": error.values}
    except MemoryError:
        return {"failure": "PermanentFailure", "code": "too_many_pixels", "values": {}}
    except OSError as error:
        return {"failure": "TemporaryFailure", "code": "file_unreadable", "values": {"reason": str(error)}}
    except Exception as error:  # whatever a library makes of a hostile file
        if isinstance(error, RuntimeError) and str(error) == NO_THREAD:
            return {"failure": "TemporaryFailure", "code": "file_unreadable", "values": {"reason": str(error)}}
        return {"failure": BROKEN}


def _say(pipe: int, message: dict[str, Any]) -> None:
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(pipe, line) :]


def _messages(pipe: int, deadline: float, child: Child) -> Iterator[dict[str, Any]]:
    buffered = b""
    for data in _read(pipe, deadline, child):
        buffered += data
        if len(buffered) > MESSAGE_BYTES:
            raise PermanentFailure("damaged")
        *lines, buffered = buffered.split(b"\n")
        for line in lines:
            yield _understood(line)


def _read(pipe: int, deadline: float, child: Child) -> Iterator[bytes]:
    """What the child says, until it ends. One that takes long goes on beside the others, no longer in their stead."""
    is_lowered = False
    with working() as look:
        while (now := time.monotonic()) < deadline:
            if select.select([pipe], [], [], min(LOOK_SECONDS, deadline - now))[0]:
                data = os.read(pipe, 65536)
                if not data:
                    return
                yield data
            taken = child.processor_seconds()
            if taken > LONG_SECONDS and not is_lowered:
                is_lowered = True
                child.lower()
            look(taken)
    raise PermanentFailure("conversion_timed_out")


def _understood(line: bytes) -> dict[str, Any]:
    try:
        message: dict[str, Any] = json.loads(line)
        known = "report" in message or "result" in message or message["failure"] in (*_FAILURES, BROKEN)
    except (ValueError, TypeError, KeyError) as error:
        raise PermanentFailure("damaged") from error
    if not known:
        raise PermanentFailure("damaged")
    return message
