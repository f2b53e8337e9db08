"""What a process gives up before it reads a stranger's file: files, network, other processes. For good.

Landlock (landlock(7), Linux 5.13) leaves it the files that it was given and what programs need to run; a filter of
system calls (seccomp(2), by libseccomp) leaves it no socket, no other program and no signal to others. Both are had
without any right and cost a fraction of a millisecond. A kernel without Landlock confines nothing: ``can_confine``.
"""

import ctypes
import os
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: What programs need to run at all. Not /usr as a whole: below /usr/local or /usr/src somebody may keep files.
SYSTEM = ("/usr/bin", "/usr/lib", "/usr/lib64", "/usr/share", "/usr/local/share/fonts")
SETTINGS = ("/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/var/cache/fontconfig")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
#: Ours: never the project's root, below which an instance keeps its state.
CODE = (ROOT / "app", sys.prefix, sys.base_prefix + "/lib", sysconfig.get_paths()["stdlib"])

#: The same number on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
#: ABI → how many kinds of access to files it knows.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
NETWORK_RIGHTS, SCOPES = 0b11, 0b11  # TCP from ABI 4 on; abstract sockets and signals from 6 on
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
CAPABILITY_VERSION = 0x20080522
#: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: root reads files of other users; which ones is Landlock's to say.
KEPT_CAPABILITIES = 0b110

SCMP_ACT_ALLOW, SCMP_ACT_EPERM = 0x7FFF0000, 0x00050000 | 1
#: What no program has to do that opens a stranger's file: other processes' memory, mounts, keys, the kernel's own.
DANGEROUS = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "unshare", "setns", "mount", "umount2"),
    *("pivot_root", "chroot", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "add_key"),
    *("request_key", "init_module", "finit_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff"),
    *("sethostname", "settimeofday", "clock_settime", "open_by_handle_at", "name_to_handle_at", "memfd_secret"),
    *("shmget", "msgget", "semget", "personality", "quotactl", "acct", "syslog", "move_mount", "fsopen", "open_tree"),
)
#: What a reader of documents has not to do besides.
FORBIDDEN = (
    *DANGEROUS,
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "execve", "execveat"),
    *("kill", "tkill", "pidfd_open", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
)

_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


@cache
def landlock_version() -> int:
    """The ABI of this kernel; 0 where there is none."""
    return max(0, _libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def can_confine() -> bool:
    return landlock_version() > 0


def confine(*, reads: Iterable[str | Path] = (), writes: Iterable[str | Path] = ()) -> None:
    """From now on this process reads ``reads``, reads and writes ``writes`` (files that exist), and does nothing
    else to this machine. Where the kernel has no Landlock, only the filter of system calls holds.

    Raises:
        OSError: the kernel refuses.
    """
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if can_confine():
        _restrict_files([*reads], [*writes])
    _drop_capabilities()
    if program := call_filter():
        length = len(program) // 8
        _checked(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(_Program(length, program)), 0, 0))


def _restrict_files(reads: list[str | Path], writes: list[str | Path]) -> None:
    version = landlock_version()
    known = (1 << FILE_RIGHTS.get(version, 16)) - 1
    ruleset = _Ruleset(known, NETWORK_RIGHTS if version >= 4 else 0, SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    handle = _checked(_libc.syscall(CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0))
    try:
        for place in (*SYSTEM, *SETTINGS, *CODE):
            _allow(handle, place, (READ_FILE | READ_DIR | EXECUTE) & known)
        for place in reads:
            _allow(handle, place, READ_FILE)
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


def _drop_capabilities() -> None:
    kept = (ctypes.c_uint32 * 6)(KEPT_CAPABILITIES, KEPT_CAPABILITIES, 0, 0, 0, 0)
    held = (ctypes.c_uint32 * 6)()
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _checked(_libc.capget(header, held))
    for index in range(6):
        kept[index] &= held[index]
    _checked(_libc.capset(header, kept))


@cache
def call_filter(forbidden: tuple[str, ...] = FORBIDDEN) -> bytes:
    """The program of the filter, made once; empty where there is no libseccomp."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return b""
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(SCMP_ACT_ALLOW))
    handle = os.memfd_create("filter")
    try:
        for name in forbidden:
            if (number := library.seccomp_syscall_resolve_name(name.encode())) >= 0:
                library.seccomp_rule_add(context, SCMP_ACT_EPERM, number, 0)
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
