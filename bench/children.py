"""What the workshop's children take: those that open documents, and the second hand that a long one has
(:mod:`app.adapters.pages.hands`)."""

import re
import threading
from contextlib import suppress
from pathlib import Path

from app.adapters.confined.isolation import children_of, workshop_pid


class Peak:
    """Looks every so many seconds at what the kernel has noted as the peak of each of them; ``peak`` is the largest, in
    megabytes of 2^20 bytes.

    The note (VmHWM) only grows, so that nothing is missed but what comes in a child's last moment.
    """

    def __init__(self, look_seconds: float) -> None:
        self.look_seconds = look_seconds

    def __enter__(self) -> "Peak":
        self.peak, self.over = 0.0, threading.Event()
        self.hand = threading.Thread(target=self._look, args=(workshop_pid(),))
        self.hand.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.hand.join()

    def _look(self, workshop: int) -> None:
        while not self.over.wait(self.look_seconds):
            for child in children_of(workshop):
                for process in (child, *children_of(child)):
                    with suppress(OSError):
                        status = Path(f"/proc/{process}/status").read_text()
                        if found := re.search(r"VmHWM:\s+(\d+) kB", status):
                            self.peak = max(self.peak, int(found[1]) / 1024)
