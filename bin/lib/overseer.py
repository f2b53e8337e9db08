"""supervisord as we run it: it outlives a disk that is full or read-only, and never gives a program up.

Its own logs end it where they cannot be written (supervisor 4.3, loggers.py: the traceback about it cannot be written
either). Ours leave out what there is no room for. And it waits a second longer after each start that failed, until it
gives up: what cannot start on a full disk has to start soon after there is room.
"""

import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from supervisor import loggers, process
from supervisor.supervisord import main

#: Seconds between two starts of a program that does not stay up, at most.
LONGEST_PAUSE = 5

# What is ignored of types below: supervisor has none, and no place but its own names where it takes ours.


class ForgivingFileHandler(loggers.Handler):
    """A bounded log that may fail. Nothing is kept open or held back between two writings."""

    def __init__(self, filename: str, mode: str = "ab", maxBytes: int = 0, backupCount: int = 0) -> None:  # noqa: N803
        super().__init__()  # type: ignore[no-untyped-call]
        self.file, self.most, self.kept = Path(filename), maxBytes, backupCount

    def emit(self, record: Any) -> None:
        with suppress(OSError):
            self._write(self._bytes(record))

    def _bytes(self, record: Any) -> bytes:
        if isinstance(record.msg, bytes) and self.fmt == "%(message)s":
            return record.msg
        text: str = self.fmt % record.asdict()
        return text.encode(errors="replace")

    def _write(self, text: bytes) -> None:
        with self.file.open("ab", buffering=0) as log:
            log.write(text)
            size = log.tell()
        if self.most and size >= self.most:
            self._rotate()

    def _rotate(self) -> None:
        names = [self.file, *(self.file.with_name(f"{self.file.name}.{n}") for n in range(1, self.kept + 1))]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)
        self.file.unlink(missing_ok=True)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""

    def reopen(self) -> None:
        """Each writing does."""

    def remove(self) -> None:
        with suppress(OSError):
            self.file.unlink(missing_ok=True)


_change_state = process.Subprocess.change_state


def _change_state_and_never_give_up(self: Any, *arguments: Any, **options: Any) -> Any:
    """Each failed start adds one to ``backoff``, the seconds to the next."""
    self.backoff = min(self.backoff, LONGEST_PAUSE - 1)
    return _change_state(self, *arguments, **options)  # type: ignore[no-untyped-call]


def take_over() -> None:
    """supervisord has no setting for either: its own names lead to ours."""
    vars(loggers).update(FileHandler=ForgivingFileHandler, RotatingFileHandler=ForgivingFileHandler)
    process.Subprocess.change_state = _change_state_and_never_give_up  # type: ignore[method-assign]


if __name__ == "__main__":
    take_over()
    sys.exit(main())
