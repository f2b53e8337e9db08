"""Steps of a set-up: told while they run, measured, several at once where they may."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from shell import Say

Work = Callable[[Say], None]


class StepFailed(Exception):
    """Which step failed and why."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f'The step "{step}" failed. {reason}')


class Progress:
    """Prints each step with the seconds since the start, and keeps what each took."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def say(self, step: str, text: str) -> None:
        with self._lock:
            print(f"{time.monotonic() - self.start:7.1f} s  {step:<12} {text}", flush=True)

    def step(self, name: str, work: Work) -> None:
        """Do ``work``; whatever it raises becomes StepFailed with the step's name."""
        begin = time.monotonic()
        try:
            work(lambda text: self.say(name, text))
        except StepFailed:
            raise
        except Exception as error:
            reason = str(error) if type(error).__name__ in ("SetupError", "RuntimeError") else repr(error)
            raise StepFailed(name, reason) from error
        self.seconds[name] = time.monotonic() - begin
        self.say(name, f"ready ({self.seconds[name]:.1f} s)")

    def together(self, *branches: Callable[[], None]) -> None:
        """Run branches at once. The first failure is raised as soon as it is there; the others go on by themselves."""
        pool = ThreadPoolExecutor(len(branches))
        futures = [pool.submit(branch) for branch in branches]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def total(self) -> float:
        return time.monotonic() - self.start


def complain(text: str) -> None:
    """Where there is room for it."""
    with contextlib.suppress(OSError):
        print(f"\n{text}", file=sys.stderr, flush=True)
