"""How much room is left where Faxroom, and Asterisk for it, write."""

import errno
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from app.config import Settings

MEGABYTE = 1024 * 1024
#: People are told while there is still so many times the room that has to be left.
TOLD_AT = 2
#: And that it is over as soon as there is so many times as much, which is more, lest it be told again and again.
OVER_AT = 3
#: A file system that has not answered in so many seconds is hung, as one of another machine may be.
ANSWER_SECONDS = 1.0
#: What was found holds so long: a crowd of faxes asks for each of them, several times.
HOLDS_SECONDS = 1.0

#: Of a write on a disk that is full, used up for this user, or read-only.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Place:
    """What lies in ``path``, and how many bytes are free there: none on a file system that cannot be written."""

    name: str
    path: Path
    free: int

    @property
    def megabytes(self) -> int:
        return self.free // MEGABYTE


class Disks:
    """``places``: what lies there → its folder. Each may be a file system of its own, or of another machine and not to
    be seen from here. ``floor``: bytes that have to be left everywhere; 0: nobody looks."""

    def __init__(self, places: dict[str, Path], floor: int) -> None:
        self.places, self.floor = places, floor
        self._looks = {name: _Look(path) for name, path in places.items()}

    @classmethod
    def of(cls, settings: Settings) -> "Disks":
        database, documents = make_url(settings.database_url), urlsplit(settings.storage_url)
        places = {"astdb": settings.astdb, "spool": settings.spool}
        if database.get_backend_name() == "sqlite" and database.database:
            places["database"] = Path(database.database).resolve().parent
        if documents.scheme == "file":
            places["documents"] = Path(documents.path)
        return cls(places, settings.min_free * MEGABYTE)

    def full(self) -> list[Place]:
        """Where less is free than has to be left: no call is placed or taken, no document either."""
        return self._below(self.floor)

    def filling(self) -> list[Place]:
        """Where somebody has to make room soon."""
        return self._below(self.floor * TOLD_AT)

    def have_room(self) -> bool:
        return not self._below(self.floor * OVER_AT)

    def _below(self, limit: int) -> list[Place]:
        found = {name: look.free() for name, look in self._looks.items()}
        seen = [Place(name, self.places[name], free) for name, free in found.items() if free is not None]
        return [place for place in seen if place.free < limit]


class _Look:
    """One file system, asked by a thread of its own: where it hangs it holds nobody up, and is not asked again before
    it has answered. What is not to be seen is not full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: int | None = None
        self.found_at = float("-inf")
        self.thread: threading.Thread | None = None

    def free(self) -> int | None:
        if time.monotonic() - self.found_at < HOLDS_SECONDS:
            return self.found
        thread = self.thread
        if thread is None or not thread.is_alive():
            self.thread = thread = threading.Thread(target=self._ask, daemon=True)
            thread.start()
        thread.join(ANSWER_SECONDS)
        return None if thread.is_alive() else self.found

    def _ask(self) -> None:
        self.found = _free(self.path)
        self.found_at = time.monotonic()


def _free(path: Path) -> int | None:
    """Of the nearest folder that is there: before the first document its folder is not. None where there is nothing of
    ours at all."""
    for folder in (path, path.parent):
        try:
            found = os.statvfs(folder)
        except OSError:
            continue
        return 0 if found.f_flag & os.ST_RDONLY else found.f_bavail * found.f_frsize
    return None
