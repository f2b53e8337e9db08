"""Files for programs, which lie plain for as long as one works on them: what a kill left behind goes after a day."""

import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from app.jobs.upkeep.orphans import AGE

#: What the names of ours begin with.
OURS = "faxroom-"


def remove_leftovers() -> None:
    """On this machine, of this account. A folder is as old as the newest of what lies in it."""
    for path in Path(tempfile.gettempdir()).glob(f"{OURS}*"):
        with suppress(FileNotFoundError):
            facts = path.lstat()
            if facts.st_uid != os.geteuid() or _newest(path) > time.time() - AGE.total_seconds():
                continue
            if stat.S_ISDIR(facts.st_mode):
                shutil.rmtree(path, ignore_errors=True)
            elif stat.S_ISREG(facts.st_mode):
                path.unlink()


def _newest(path: Path) -> float:
    return max(entry.lstat().st_mtime for entry in (path, *path.rglob("*")))
