"""A small file system of its own, to be filled."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PIECE = bytes(64 * 1024)


class SmallDisk:
    """A tmpfs. ``fill`` leaves no byte, ``free`` gives it all back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Over and over, as long as somebody else still finds a byte."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for piece in (PIECE, PIECE[:4096], PIECE[:1]):
                try:
                    while ballast.write(piece):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def make_read_only(self) -> bool:
        """False while somebody has a file open to write to it."""
        command = ["mount", "-o", "remount,ro", str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def is_full(self) -> bool:
        return os.statvfs(self.folder).f_bavail == 0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """``size`` in the words of tmpfs(5). Skips where nobody may mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no tmpfs can be mounted here: {getattr(error, 'stderr', error)}")
    try:
        yield SmallDisk(folder)
    finally:
        with suppress(OSError):
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
