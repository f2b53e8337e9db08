"""Work on hostile files in a child of its own: it may hang, crash or eat memory without harm to its caller.

A fork costs milliseconds where a new interpreter with its imports costs a third of a second. What comes back is JSON,
never pickle: a file that takes over the child must not reach its parent.
"""

import ctypes
import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from app.errors import FaxroomError, PermanentFailure, Refused, TemporaryFailure

#: What a child may take on top of what its parent has already mapped, in bytes.
MEMORY = 2 * 1024**3
#: The largest file that a child may write.
FILE_BYTES = 1024**3
#: More than any honest message; a child that says more is not one of ours any longer.
MESSAGE_BYTES = 16 * 1024**2

PR_SET_PDEATHSIG = 1
#: mallopt(3): keep freed memory. Planes of megabytes come and go, and fresh pages cost more than the work in them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, KEEP = -1, -3, 1 << 30

Report = Callable[[Any], None]

_libc = ctypes.CDLL(None, use_errno=True)
_FAILURES = {kind.__name__: kind for kind in (TemporaryFailure, PermanentFailure, Refused)}


def run_isolated(
    work: Callable[[Report], Any],
    *,
    deadline_seconds: float,
    on_report: Report | None = None,
    memory_bytes: int = MEMORY,
) -> Any:
    """Call ``work`` in a child; give back what it returned, which has to be JSON.

    ``work`` is handed a function whose argument (JSON too) reaches ``on_report`` here.

    Raises:
        FaxroomError: whatever ``work`` raised of it.
        PermanentFailure: ``conversion_timed_out`` past the deadline; ``too_many_pixels`` when the memory did not
            suffice; ``damaged`` when the child crashed or failed in another way.
    """
    deadline = time.monotonic() + deadline_seconds
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_the_child(work, writing, parent=parent, seconds=deadline_seconds, memory_bytes=memory_bytes)
    os.close(writing)
    try:
        for message in _messages(reading, deadline):
            if "report" in message:
                if on_report:
                    on_report(message["report"])
                continue
            if "result" in message:
                return message["result"]
            raise _FAILURES[message["failure"]](message["code"], **message["values"])
        raise PermanentFailure("damaged")
    finally:
        os.close(reading)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _be_the_child(work: Callable[[Report], Any], pipe: int, *, parent: int, seconds: float, memory_bytes: int) -> None:
    """Never returns: what the parent has open (database, sockets) is not ours to tidy up."""
    try:
        _confine(parent, seconds=seconds, memory_bytes=memory_bytes)
        message = _outcome(work, pipe)
        _say(pipe, message)
    finally:
        os._exit(0)


def _confine(parent: int, *, seconds: float, memory_bytes: int) -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    _libc.mallopt(M_MMAP_THRESHOLD, KEEP)
    _libc.mallopt(M_TRIM_THRESHOLD, KEEP)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - nothing needless after a fork
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    for limit, value in (
        (resource.RLIMIT_AS, mapped + memory_bytes),
        (resource.RLIMIT_CPU, int(seconds) + 2),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def _outcome(work: Callable[[Report], Any], pipe: int) -> dict[str, Any]:
    try:
        return {"result": work(lambda value: _say(pipe, {"report": value}))}
    except FaxroomError as error:
        return {"failure": type(error).__name__, "code": error.code, "values": error.values}
    except MemoryError:
        return {"failure": "PermanentFailure", "code": "too_many_pixels", "values": {}}
    except OSError as error:
        return {"failure": "TemporaryFailure", "code": "file_unreadable", "values": {"reason": str(error)}}
    except Exception:  # whatever a library makes of a hostile file
        return {"failure": "PermanentFailure", "code": "damaged", "values": {}}


def _say(pipe: int, message: dict[str, Any]) -> None:
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(pipe, line) :]


def _messages(pipe: int, deadline: float) -> Iterator[dict[str, Any]]:
    buffered = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise PermanentFailure("conversion_timed_out")
        data = os.read(pipe, 65536)
        if not data:
            return
        buffered += data
        if len(buffered) > MESSAGE_BYTES:
            raise PermanentFailure("damaged")
        *lines, buffered = buffered.split(b"\n")
        for line in lines:
            yield _understood(line)


def _understood(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
        known = "report" in message or "result" in message or message["failure"] in _FAILURES
    except (ValueError, TypeError, KeyError) as error:
        raise PermanentFailure("damaged") from error
    if not known:
        raise PermanentFailure("damaged")
    return message
