"""What a hostile document might make of the child that reads it."""

import ctypes
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path


def hang(_report):
    time.sleep(600)


def toil(_report, seconds):
    """Until the processor has worked for so long; gives its niceness."""
    while time.process_time() < seconds:
        pass
    return os.getpriority(os.PRIO_PROCESS, 0)


def toil_until_lowered(_report):
    """For a minute of the processor at most; gives its niceness. Who looks after it may be late."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    while os.getpriority(os.PRIO_PROCESS, 0) == before and time.process_time() < 60:
        pass
    return os.getpriority(os.PRIO_PROCESS, 0)


def have_another_toil(report, seconds):
    """Beside a first hand that does nothing."""
    if (other := os.fork()) == 0:
        toil(report, seconds)
        os._exit(0)
    os.waitpid(other, 0)


def have_another_toil_for_long(report):
    """Beside a first hand that does nothing; gives the other's niceness."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, bytes([toil_until_lowered(report)]))
        os._exit(0)
    return os.read(reading, 1)[0]


def leave_one_behind(report):
    """Which does not end with who has forked it."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        if (grandchild := os.fork()) == 0:
            time.sleep(600)
        os.write(writing, str(grandchild).encode())
        os._exit(0)
    return int(os.read(reading, 20))


def leave_one_behind_and_hang(report):
    report(leave_one_behind(report))
    hang(report)


def crash(_report):
    ctypes.string_at(0)


def abort(_report):
    """As a library does that has found itself wrong."""
    os.abort()


def eat(_report):
    return len(bytearray(8 * 1024**3))


def stumble(_report):
    return 1 / 0


def be_killed_once(_report, mark):
    """As by somebody who kills the workshop, whose children end with it."""
    if Path(mark).stat().st_size:
        return "whole"
    Path(mark).write_text("begun")
    os._exit(9)


def wait_to_be_killed(report, mark, times):
    """As often as that; ``mark`` counts."""
    so_far = Path(mark).stat().st_size
    if so_far == times:
        return "whole"
    Path(mark).write_text("x" * (so_far + 1))
    report(os.getpid())
    return time.sleep(600)


def find_no_thread(_report):
    raise RuntimeError("can't start new thread")


def lie(report):
    os.write(report.__closure__[0].cell_contents, b'{"failure": "SystemExit", "code": "x", "values": {}}\n')


def look_around(report, name):
    report("looking")
    return [os.environ.get(name), os.getppid(), os.getpid()]


def try_everything(_report, given, written, canary, caller):
    """What a child that was taken over could still do: name → what came of it."""
    tries = {
        "read what it was given": lambda: Path(given).read_text(),
        "write what it was given": lambda: Path(written).write_text("x"),
        "read another file": lambda: Path(canary).read_text(),
        "write beside": lambda: Path(written + "2").write_text("x"),
        "write what it reads": lambda: Path(given).write_text("x"),
        "list a folder": lambda: list(Path(canary).parent.iterdir()),
        "look into its own environment": lambda: Path("/proc/self/environ").read_text(),
        "look into its caller's": lambda: Path(f"/proc/{caller}/environ").read_text(),
        "open its caller's files": lambda: list(Path(f"/proc/{caller}/fd").iterdir()),
        "go to the network": lambda: socket.socket(socket.AF_INET),
        "go to a local server": lambda: socket.socket(socket.AF_UNIX),
        "end its caller": lambda: os.kill(caller, 0),
        "end a thread of its caller": lambda: _called("tgkill", caller, caller, 0),
        "slow its caller down": lambda: os.setpriority(os.PRIO_PROCESS, caller, 19),
        "keep its caller from a processor": lambda: os.sched_setaffinity(caller, {0}),
        "run a program": lambda: os.execv("/usr/bin/true", ["true"]),
    }
    return {name: _outcome(attempt) for name, attempt in tries.items()}


def _called(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _outcome(attempt):
    try:
        attempt()
    except PermissionError:
        return "no"
    return "yes"


def try_everything_behind_the_fence():
    """In a process behind it that is taken over: says what can be done, line by line. Its folder is the current one;
    arguments: another file, beside which is one that it may read, its caller's pid, a socket of this machine."""
    another, caller, address = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    libc = ctypes.CDLL(None, use_errno=True)

    def asked(number, *arguments):
        if libc.syscall(number, *(ctypes.c_long(value) for value in arguments)) < 0:
            raise PermissionError(ctypes.get_errno(), "refused")

    def local(kind=socket.SOCK_STREAM):
        return socket.socket(socket.AF_UNIX, kind)

    tries = {
        "write in its folder": lambda: Path("own").write_text("x"),
        "begin a thread": lambda: threading.Thread(target=int).start(),
        "run a program": lambda: subprocess.run(["/usr/bin/true"], check=True),
        "wait at a socket": lambda: local().bind("waiting"),
        "read another file": lambda: Path(another).read_text(),
        "empty another file": lambda: os.truncate(another, 0),
        "empty what it may read": lambda: os.open(Path(another).with_name("shown"), os.O_RDONLY | os.O_TRUNC),
        "open another file's mode": lambda: Path(another).chmod(0o777),
        "give another file away": lambda: os.chown(another, os.getuid(), os.getgid()),
        "date another file": lambda: os.utime(another),
        "remove another file": lambda: Path(another).unlink(),
        "rename another file": lambda: Path(another).rename("mine"),
        "link another file": lambda: os.link(another, "mine"),
        "list its folder": lambda: [*Path(another).parent.iterdir()],
        "list /tmp": lambda: [*Path("/tmp").iterdir()],
        "make a file in /tmp": lambda: Path(f"/tmp/{os.getpid()}").touch(),
        "make a socket in /tmp": lambda: local().bind(f"/tmp/{os.getpid()}.sock"),
        "watch a folder": lambda: libc.inotify_init1(0) < 0 and asked(-1),
        "list processes": lambda: [*Path("/proc").iterdir()],
        "look into its caller's environment": lambda: Path(f"/proc/{caller}/environ").read_bytes(),
        "look into its own": lambda: Path("/proc/self/environ").read_bytes(),
        "open its caller's files": lambda: [*Path(f"/proc/{caller}/fd").iterdir()],
        "follow its caller's files": lambda: Path(f"/proc/{caller}/fd/0").readlink(),
        "signal its caller": lambda: os.kill(caller, 0),
        "slow its caller down": lambda: os.setpriority(os.PRIO_PROCESS, caller, 19),
        "limit its caller": lambda: resource.prlimit(caller, resource.RLIMIT_CPU),
        "connect to a socket": lambda: local().connect(address),
        "send to a socket without connecting": lambda: local(socket.SOCK_DGRAM),
        "send by a pair": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
        "go to the network": lambda: socket.socket(socket.AF_INET),
        "go to it by UDP": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
        "talk to the kernel": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "make a namespace": lambda: libc.unshare(0x10000000) and asked(-1),
        "make one as it forks": lambda: asked(56, 0x10000000 | 17, 0, 0, 0, 0),
        "find shared memory": lambda: libc.shmat(0, None, 0) == -1 and asked(-1),
    }
    for name, attempt in tries.items():
        try:
            attempt()
        except OSError:
            continue
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
