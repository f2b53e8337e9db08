"""Running other programs during set-up. Standard library only."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Say = Callable[[str], None]
#: A program and what it is told.
Words = Sequence[str | Path]


class SetupError(Exception):
    """A step that failed, with what to do about it."""


def run(command: Words, *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run to its end with all output in ``log``. SetupError carries the last lines of it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(words)}\n".encode())
        output.flush()
        try:
            done = subprocess.run(
                words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd, env=env, check=False
            )
        except OSError as error:
            raise SetupError(f"{words[0]} could not be started: {error.strerror}.") from error
    if done.returncode:
        raise SetupError(f"{words[0]} ended with code {done.returncode}. The end of {log}:\n{tail(log)}")


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, indented."""
    try:
        text = log.read_text(errors="replace").strip()
    except FileNotFoundError:
        text = ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (it is empty)"


def sudo() -> tuple[str, ...]:
    """What to put before a command that only root may run: nothing for root."""
    if os.geteuid() == 0:
        return ()
    if not shutil.which("sudo"):
        raise SetupError(
            "Some software must be installed, which needs root, but there is no sudo. Run this once as root."
        )
    return ("sudo",)
