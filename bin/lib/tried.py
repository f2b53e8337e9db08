"""Which Asterisk may be taken from an archive that moves: the ones that were tried, by the hashes in ``asterisk.lock``.

Debian unstable keeps no version but its newest, so that a pin alone would break each new installation on the day it
moves. apt takes nothing that its archive's keys have not signed; beyond that FAXROOM_ASTERISK says what may be taken:

    tried     only what is in asterisk.lock
    series    also another version of the same series (22), as Debian's security updates are; it is said that it is one
    any       any version
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from shell import SetupError

LOCK = Path(__file__).resolve().parents[2] / "asterisk.lock"
#: Whose interfaces the dialplan, the settings and the portal are written for.
SERIES = "22"
TRIED, SERIES_TOO, ANY = "tried", "series", "any"


@dataclass(frozen=True, order=True)
class Package:
    name: str
    version: str
    architecture: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.architecture}"


def read_lock(path: Path = LOCK) -> set[Package]:
    lines = (line.split() for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {Package(*words) for words in lines}


def fetched(archives: Iterable[Path], names: Iterable[str]) -> set[Package]:
    """Those of apt's files NAME_VERSION_ARCHITECTURE.deb that are of ``names``, as they lie on the disk."""
    wanted, found = {*names}, set()
    for path in archives:
        name, version, architecture = path.stem.split("_")
        if name in wanted:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found.add(Package(name, unquote(version), architecture, digest))
    return found


def judge(found: set[Package], lock: set[Package], *, allowed: str = SERIES_TOO) -> list[str]:
    """What is to be said of ``found``, line by line; nothing where all of it was tried.

    Raises:
        SetupError: something may not be taken: with what to do.
    """
    if allowed not in (TRIED, SERIES_TOO, ANY):
        raise SetupError(f"FAXROOM_ASTERISK must be {TRIED}, {SERIES_TOO} or {ANY}. Correct it and start again.")
    if missing := {package.name for package in lock} - {package.name for package in found}:
        raise SetupError(f"The archive gave no {', '.join(sorted(missing))}: this is no Asterisk that Faxroom knows.")
    hashes = {(known.name, known.version, known.architecture): known.sha256 for known in lock}
    said = []
    for package in sorted(found - lock):
        if (package.name, package.version, package.architecture) in hashes:
            raise SetupError(
                f"The archive's file of {package} is not the one that was tried: its SHA-256 is {package.sha256}. One "
                "version has one file, so somebody may have changed it. Nothing of it was run or installed."
            )
        if allowed == TRIED:
            raise SetupError(_advice(package, lock, f"FAXROOM_ASTERISK={TRIED} allows no other"))
        if allowed == SERIES_TOO and package.name == "asterisk" and series_of(package.version) != SERIES:
            raise SetupError(_advice(package, lock, f"it is not of the series {SERIES} either"))
        said.append(f"{package} was not tried with Faxroom; the archive has signed it. SHA-256 {package.sha256}")
    return said


def _advice(package: Package, lock: set[Package], why: str) -> str:
    tried = ", ".join(sorted(known.version for known in lock if known.name == package.name))
    return (
        f"The archive has {package}, which was not tried with Faxroom ({tried} was), and {why}. Take a newer Faxroom, "
        f"or an Asterisk of your own (ARI_URL), or have it taken all the same: FAXROOM_ASTERISK={ANY}."
    )


def series_of(version: str) -> str:
    """``1:22.10.1+dfsg-1`` → ``22``."""
    found = re.match(r"(?:\d+:)?(\d+)\.", version)
    return found[1] if found else ""
