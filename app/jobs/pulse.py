"""The sign of life of a process, for whoever watches it: ``WATCHDOG=1``, as sd_notify(3) has it. ``bin/up``'s watchdog
kills a process that stops giving it (FAXROOM_NOTIFY_SOCKET); under systemd ``WatchdogSec=`` does."""

import os
import socket
import threading
import time
from contextlib import suppress

#: Five times in what bin/lib/watchdog.py takes for silence.
SECONDS = 3.0
#: The kernel keeps so few words (net.unix.max_dgram_qlen) that one is waited for until there is room.
PATIENCE_SECONDS = 1.0
#: One step of a loop takes no longer, whatever its neighbours do: each wait for one of them has a limit of its own.
STEP_SECONDS = 180.0


def say_alive() -> None:
    """Waits a moment where too many others speak at the same one; where nobody watches nothing is said."""
    path = os.environ.get("FAXROOM_NOTIFY_SOCKET") or os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
        way.settimeout(PATIENCE_SECONDS)
        way.connect(f"\0{path[1:]}" if path.startswith("@") else path)  # unconnected ones are not woken, but spin
        way.send(b"WATCHDOG=1")


class Pulse:
    """Of a loop: as long as one step follows the other."""

    def __init__(self) -> None:
        self.stepped = time.monotonic()
        threading.Thread(target=self._beat, daemon=True, name="pulse").start()

    def step(self) -> None:
        self.stepped = time.monotonic()

    def _beat(self) -> None:
        while True:
            if time.monotonic() - self.stepped < STEP_SECONDS:
                say_alive()
            time.sleep(SECONDS)
