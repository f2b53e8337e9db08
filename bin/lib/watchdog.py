"""Kills whoever lives and does nothing any more, stopped or locked up; the supervisor starts it anew.

    python bin/lib/watchdog.py --notify SOCKET [--silent 15] [--ask PATIENCE SOCKET WORD …] [--answer SOCKET]

Our own processes say that they get on with their work (``WATCHDOG=1`` to NOTIFY_SOCKET, as sd_notify(3) does). Who has
said so and then says nothing for ``--silent`` seconds is killed. A program that is not ours is asked at its Unix
socket: it gets WORD and has PATIENCE seconds to say anything. Seconds are counted in which this process was awake
itself: on a machine that stood still nobody is killed.
"""

import argparse
import contextlib
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path

import processes

CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7)
ASK_SECONDS = 2


class Watched:
    """A process by a handle that no other gets, however often numbers are used again."""

    def __init__(self, pid: int) -> None:
        self.pid, self.silent = pid, 0
        self.handle = os.pidfd_open(pid)

    def is_gone(self) -> bool:
        return _is_ready(0, self.handle)

    def kill(self, why: str) -> None:
        name = _name(self.pid)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
        with contextlib.suppress(OSError):  # no room for it
            print(f"killed {self.pid} ({name}): {why}", flush=True)

    def close(self) -> None:
        os.close(self.handle)


def _is_ready(seconds: float, *handles: int | socket.socket) -> bool:
    """Something can be read from one of them, or will be within ``seconds``."""
    asked = select.poll()
    for handle in handles:
        asked.register(handle, select.POLLIN)
    return bool(asked.poll(1000 * seconds))


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:200]
    return ""


# ---- Those who say it themselves


def bound(path: Path, kind: socket.SocketKind) -> socket.socket:
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(str(path))
    os.chown(path, -1, path.parent.stat().st_gid)  # whoever may pass to it
    path.chmod(0o660)
    return made


def watch(notified: socket.socket, most: int, kept: Path, asked: socket.socket | None) -> None:
    """For ever. ``most``: seconds of silence; ``kept``: the file of those who are watched; ``asked``: where somebody
    asks whether we go on."""
    known = _remembered(kept)
    while True:
        said = _said(notified, 1)
        if asked:
            _answer(asked)
        before = known.keys() | set()
        for pid in said:
            with contextlib.suppress(ProcessLookupError):
                known[pid] = known.get(pid) or Watched(pid)
                known[pid].silent = 0
        for pid, process in list(known.items()):
            process.silent += 1
            if process.is_gone():
                known.pop(pid).close()
            elif process.silent > most:
                process.kill(f"it has said nothing for {process.silent} s")
        if known.keys() != before:
            processes.remember(known, kept)


def _remembered(kept: Path) -> dict[int, Watched]:
    """Those of an earlier life who are still there."""
    known: dict[int, Watched] = {}
    for pid in processes.remembered(kept):
        with contextlib.suppress(ProcessLookupError):
            known[pid] = Watched(pid)
    return known


def _answer(asked: socket.socket) -> None:
    while _is_ready(0, asked):
        with contextlib.suppress(OSError), asked.accept()[0] as line:
            line.sendall(b"here")


def _said(notified: socket.socket, seconds: float) -> set[int]:
    """Process ids, by the kernel's word, of all that are heard meanwhile. Each is heard as it speaks: the kernel keeps
    few words for us (``net.unix.max_dgram_qlen``, 10), and who finds no room for one is not heard."""
    found, end = set[int](), time.monotonic() + seconds
    while _is_ready(max(0.0, end - time.monotonic()), notified):
        text, more, _, _ = notified.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
        if b"WATCHDOG=1" in text.split(b"\n"):
            found |= {
                CREDENTIALS.unpack(data)[0]
                for level, kind, data in more
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
            }
    return found


# ---- Those who are asked


def keep_asking(path: str, word: bytes, patience: int) -> None:
    """For ever. Where nobody listens there is nobody to kill."""
    while True:
        time.sleep(ASK_SECONDS)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.settimeout(patience)
            asked.connect(path)
            pid, user, _ = CREDENTIALS.unpack(asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
            if os.lstat(path).st_uid != user:  # whoever may write there leads us to somebody else's process
                continue
            with contextlib.closing(Watched(pid)) as process:
                asked.sendall(word)
                if not _answers(asked, process, patience):
                    process.kill(f"it has not answered at {path} for {patience} s")


def _answers(asked: socket.socket, process: Watched, patience: int) -> bool:
    """Also true of one that ends."""
    return any(_is_ready(1, asked, process.handle) for _ in range(patience))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notify", type=Path, required=True)
    parser.add_argument("--silent", type=int, default=15)
    parser.add_argument("--answer", type=Path)
    parser.add_argument("--ask", nargs=3, action="append", default=[], metavar=("PATIENCE", "SOCKET", "WORD"))
    given = parser.parse_args()
    notified, asked = bound(given.notify, socket.SOCK_DGRAM), None
    notified.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    if given.answer:
        asked = bound(given.answer, socket.SOCK_STREAM)
        asked.listen()
    for patience, path, word in given.ask:
        arguments = (path, f"{word}\r\n".encode(), int(patience))
        threading.Thread(target=keep_asking, args=arguments, daemon=True, name=path).start()
    watch(notified, given.silent, given.notify.with_suffix(".known"), asked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
