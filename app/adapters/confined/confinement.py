"""What a process gives up before it reads a stranger's file: files, network, other processes. For good.

Landlock (landlock(7), Linux 5.13) leaves it the files that it was given and what programs need to run; a filter of
system calls (seccomp(2), by libseccomp) leaves it no socket, no other program and no signal to others. Both are had
without any right and cost a fraction of a millisecond. A kernel without Landlock confines nothing: ``can_confine``.

A whole program, too, stands behind such a fence where a machine gives no namespaces
(:mod:`app.adapters.confined.room`):

    python3 -I confinement.py FOLDER COMMAND…       sees the system and FOLDER, and writes there
"""

import ctypes
import errno
import os
import signal
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

#: What stands around a program that opens strangers' files, in people's words.
NAMESPACES, FENCE = "namespaces", "Landlock and seccomp"

#: What programs need to run at all. Not /usr as a whole: below /usr/local or /usr/src somebody may keep files.
SYSTEM = ("/usr/bin", "/usr/lib", "/usr/lib64", "/usr/share", "/usr/local/share/fonts")
SETTINGS = ("/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/var/cache/fontconfig")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
#: Ours: never the project's root, below which an instance keeps its state.
CODE = (ROOT / "app", sys.prefix, sys.base_prefix + "/lib", sysconfig.get_paths()["stdlib"])

#: The same number on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
#: Files, folders, sockets, pipes and links of one's own: made, moved and removed; no devices.
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
OWN = (1 << 15) - 1 & ~(MAKE_CHAR | MAKE_BLOCK)
#: ABI → how many kinds of access to files it knows.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
NETWORK_RIGHTS, SCOPES = 0b11, 0b11  # TCP from ABI 4 on; abstract sockets and signals from 6 on
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
CAPABILITY_VERSION = 0x20080522
#: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: root reads files of other users; which ones is Landlock's to say.
KEPT_CAPABILITIES = 0b110

SCMP_ACT_ALLOW, SCMP_ACT_EPERM, SCMP_ACT_ENOSYS = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38
SCMP_CMP_NE, SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ = 1, 4, 7
#: What no program has to do that opens a stranger's file: other processes' memory, mounts, keys, the kernel's own.
DANGEROUS = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "unshare", "setns", "mount", "umount2"),
    *("pivot_root", "chroot", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "add_key"),
    *("request_key", "init_module", "finit_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff"),
    *("sethostname", "settimeofday", "clock_settime", "open_by_handle_at", "name_to_handle_at", "memfd_secret"),
    *("shmget", "msgget", "semget", "personality", "quotactl", "acct", "syslog", "move_mount", "fsopen", "open_tree"),
    # an id of System V's may be guessed; a queue has a name
    *("shmat", "shmctl", "msgrcv", "msgsnd", "msgctl", "semop", "semtimedop", "semctl", "mq_open", "mq_unlink"),
)
#: What reaches other processes of the same user: signals, and their turns at the processor. Who aborts ends all the
#: same, by a fault in place of SIGABRT (abort(3)).
OF_OTHERS = (
    *("kill", "tkill", "tgkill", "pidfd_open", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("setpriority", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_setaffinity"),
)
#: What a reader of documents has not to do besides.
FORBIDDEN = (
    *DANGEROUS,
    *OF_OTHERS,
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "execve", "execveat"),
)
#: What Landlock leaves open that namespaces or another user would not: modes and owners of files, names that come and
#: go in a folder, files made empty (Landlock knows that from Linux 6.2 on only), other processes' turns.
LEFT_OPEN = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "truncate"),
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
    *("utime", "utimes", "utimensat", "futimesat", "inotify_init", "inotify_init1", "fanotify_init"),
    *("ioprio_set", "migrate_pages", "move_pages", "process_madvise", "process_mrelease"),
)
#: What a program behind the fence has not to do.
FENCED = (*DANGEROUS, *LEFT_OPEN)
#: Nor a LibreOffice that another program speaks for: what is left of its sockets is the one that it waits at.
LIBREOFFICE = ("connect", *OF_OTHERS)

#: System call, its argument, comparison, mask, value: refused where it is so. libseccomp knows no other comparisons.
Rule = tuple[str, int, int, int, int]
_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)  # CLONE_NEW…, clone(2)
#: For everybody: no namespace by clone(2) either, no limits for other processes.
ALWAYS: tuple[Rule, ...] = (
    *(("clone", 0, SCMP_CMP_MASKED_EQ, flag, flag) for flag in _NAMESPACES),
    ("prlimit64", 0, SCMP_CMP_NE, 0, 0),
)
#: Behind the fence: sockets of this machine's files only, and no way to send to one without connecting; nothing made
#: empty by who may only read it.
AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_TYPE = 1, 2, 3, 5, 0xF
O_ACCMODE, O_TRUNC, W_OK = 0o3, 0o1000, 2
BEHIND: tuple[Rule, ...] = (
    *((name, 0, SCMP_CMP_NE, AF_UNIX, 0) for name in ("socket", "socketpair")),
    *(
        (name, 1, SCMP_CMP_MASKED_EQ, SOCK_TYPE, kind)
        for name in ("socket", "socketpair")
        for kind in (SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET)
    ),
    *((name, at, SCMP_CMP_MASKED_EQ, O_ACCMODE | O_TRUNC, O_TRUNC) for name, at in (("open", 1), ("openat", 2))),
)
#: By access(2) no folder can be written: so LibreOffice puts its pipe where OSL_SOCKET_PATH says, and not into /tmp.
NOT_IN_TMP: tuple[Rule, ...] = tuple(
    (name, at, SCMP_CMP_EQ, W_OK, 0) for name, at in (("access", 1), ("faccessat", 2), ("faccessat2", 2))
)
#: What the filter cannot look into: programs do without, where the kernel does not know them.
UNKNOWN = ("clone3", "openat2")

_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class _Argument(ctypes.Structure):
    """``struct scmp_arg_cmp`` (seccomp.h)."""

    _fields_ = [("at", ctypes.c_uint), ("how", ctypes.c_int), ("one", ctypes.c_uint64), ("other", ctypes.c_uint64)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


@cache
def landlock_version() -> int:
    """The ABI of this kernel; 0 where there is none."""
    version: int = _libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(0, version)


def can_confine() -> bool:
    return landlock_version() > 0


def end_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """This process, which it has forked, ends by that signal when the parent does; at once where that has happened
    already."""
    _libc.prctl(PR_SET_PDEATHSIG, by, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def confine(*, reads: Iterable[str | Path] = (), writes: Iterable[str | Path] = ()) -> None:
    """From now on this process reads ``reads``, reads and writes ``writes`` (files that exist), and does nothing
    else to this machine. Where the kernel has no Landlock, only the filter of system calls holds.

    Raises:
        OSError: the kernel refuses.
    """
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if can_confine():
        _restrict_files(CODE, reads=reads, writes=writes)
    _drop_capabilities()
    if program := call_filter():
        apply_filter(program)


def why_no_fence() -> str | None:
    """What keeps this machine from having any; None: it has."""
    if not can_confine():
        return "this kernel has no Landlock (Linux 5.13, lsm=landlock)"
    return None if call_filter() else "libseccomp2 is not installed"


def fence(*, shown: Iterable[str | Path] = (), folder: str | Path) -> None:
    """From now on this process, and whatever it runs, reads the system's programs and what is below ``shown``, and does
    what it likes in ``folder`` only; its sockets are those of files, and it reaches no other process but by these.

    Raises:
        OSError: the kernel refuses, or there is no fence on this machine.
    """
    if reason := why_no_fence():
        raise OSError(errno.ENOSYS, reason)
    _checked(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _restrict_files(shown, folder=folder)
    _drop_capabilities(0)
    apply_filter(call_filter(FENCED, BEHIND))


def apply_filter(program: bytes) -> None:
    """One that was made by :func:`call_filter`, on top of those that hold already."""
    filled = _Program(len(program) // 8, program)
    _checked(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filled), 0, 0))


def _restrict_files(
    shown: Iterable[str | Path],
    *,
    reads: Iterable[str | Path] = (),
    writes: Iterable[str | Path] = (),
    folder: str | Path | None = None,
) -> None:
    version = landlock_version()
    known = (1 << FILE_RIGHTS.get(version, 16)) - 1
    ruleset = _Ruleset(known, NETWORK_RIGHTS if version >= 4 else 0, SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    handle = _checked(_libc.syscall(CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0))
    try:
        for place in (*SYSTEM, *SETTINGS, *shown):
            _allow(handle, place, (READ_FILE | READ_DIR | EXECUTE) & known)
        for place in reads:
            _allow(handle, place, READ_FILE)
        if folder:
            _allow(handle, folder, OWN & known)
        for place in (*writes, *DEVICES):
            _allow(handle, place, (READ_FILE | WRITE_FILE | TRUNCATE) & known)
        _checked(_libc.syscall(RESTRICT_SELF, handle, 0))
    finally:
        os.close(handle)


def _allow(ruleset: int, place: str | Path, rights: int) -> None:
    """Nothing for what is not there, or what this process may not reach itself."""
    try:
        parent = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(place):  # noqa: PTH112 - a Path for each of thirty places would cost more than the rule
            rights &= ~READ_DIR
        rule = _Beneath(rights, parent)
        _checked(_libc.syscall(ADD_RULE, ruleset, 1, ctypes.byref(rule), 0))
    finally:
        os.close(parent)


def _drop_capabilities(keep: int = KEPT_CAPABILITIES) -> None:
    kept = (ctypes.c_uint32 * 6)(keep, keep, 0, 0, 0, 0)
    held = (ctypes.c_uint32 * 6)()
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _checked(_libc.capget(header, held))
    for index in range(6):
        kept[index] &= held[index]
    _checked(_libc.capset(header, kept))


@cache
def call_filter(forbidden: tuple[str, ...] = FORBIDDEN, rules: tuple[Rule, ...] = ()) -> bytes:
    """The program of the filter, made once; empty where there is no libseccomp."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return b""
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(SCMP_ACT_ALLOW))
    handle = os.memfd_create("filter")
    try:
        for name, action in (
            *((name, SCMP_ACT_EPERM) for name in forbidden),
            *((name, SCMP_ACT_ENOSYS) for name in UNKNOWN),
        ):
            if (number := library.seccomp_syscall_resolve_name(name.encode())) >= 0:
                library.seccomp_rule_add(context, action, number, 0)
        for name, at, how, one, other in (*ALWAYS, *rules):
            if (number := library.seccomp_syscall_resolve_name(name.encode())) >= 0:
                argument = _Argument(at, how, one, other)
                library.seccomp_rule_add_array(context, SCMP_ACT_EPERM, number, 1, ctypes.byref(argument))
        if library.seccomp_export_bpf(context, handle):
            return b""
        os.lseek(handle, 0, os.SEEK_SET)
        return os.read(handle, 1 << 16)
    finally:
        library.seccomp_release(context)
        os.close(handle)


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def main() -> None:
    """Never returns."""
    folder, *command = sys.argv[1:]
    fence(folder=folder)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
