"""Files without a row: a worker was killed after the storage had the file and before the database had its row, or after
the database had forgotten it and before the storage had. Nobody can reach them; they go after a day.

A file too many costs a little room, a file too few is somebody's contract. So nothing goes that does not look like a
file of ours, nothing that is young, nothing while the database knows no file at all, and nothing where most files are
unknown: then the storage is older or newer than the database, because one of them came back from a backup.
"""

import logging
import re
import time
from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from typing import cast

import sqlalchemy as sa
from redis import RedisError
from sqlalchemy.orm import Session
from ulid import ULID

from app.errors import TemporaryFailure
from app.models import Document
from app.queues import redis
from app.services.documents.documents import storage
from tenants.db import db, utc_now

log = logging.getLogger(__name__)

AGE = timedelta(days=1)
#: One run stops after so long; the next one goes on behind the last key.
SECONDS = 40
BATCH = 500
#: More than this, and more than half, of a batch: they are not the traces of a kill.
MOST = 25
#: Behind which key the next run goes on, and that the whole storage has been looked at today.
PLACE, DONE = "faxroom:orphans:behind", "faxroom:orphans:done"
#: ``3/2026/11/01J….pdf``, and ``.new-01J….pdf-0a1b2c3d`` while it is written.
_KEY = re.compile(r"\d+/\d{4}/\d{2}/(\.new-)?(?P<id>[0-7][0-9A-HJKMNP-TV-Z]{25})\.[a-z0-9]{1,8}(?(1)-[0-9a-f]{8})")


def remove_orphans(seconds: float = SECONDS) -> None:
    """Once a day through the whole storage, a part of it in each run. May be killed at any point."""
    try:
        if redis().exists(DONE):
            return
        behind = cast("bytes", redis().get(PLACE) or b"").decode()
        if place := look_on(behind, time.monotonic() + seconds):
            redis().set(PLACE, place)
            return
        redis().delete(PLACE)
        redis().set(DONE, "1", ex=int(AGE.total_seconds()))
    except (TemporaryFailure, OSError, RedisError) as failure:
        log.warning("files without a row are looked for later: %s", failure)


def look_on(behind: str, until: float) -> str:
    """Remove those behind a key. Gives the key where time was up, or nothing if all have been looked at."""
    if not knows_files(db.session):
        return ""
    keys = storage().keys(before=utc_now() - AGE, after=behind)
    while some := list(islice(keys, BATCH)):
        remove_unknown(some)
        if time.monotonic() > until:
            return some[-1]
    return ""


def knows_files(session: Session) -> bool:
    found = session.scalar(sa.select(Document.id).limit(1)) is not None
    session.rollback()
    return found


def remove_unknown(keys: Iterable[str]) -> None:
    """Those of these files that no row names; no transaction is open while the storage deletes."""
    old = [key for key in keys if is_old(key)]
    known = set(db.session.scalars(sa.select(Document.storage_key).where(Document.storage_key.in_(old))))
    db.session.rollback()
    unknown = [key for key in old if key not in known]
    if len(unknown) > max(MOST, len(old) // 2):
        log.error(
            "%d of %d files in the storage, from %s on, are unknown to the database and were left where they are. "
            "Is this the storage of this database?",
            *(len(unknown), len(old), unknown[0]),
        )
        return
    for key in unknown:
        storage().delete(key)
        log.info("%s was removed from the storage: no row names it", key)


def is_old(key: str) -> bool:
    """True for a file of ours whose id was made a day ago: a copied storage has fresh times and old names."""
    match = _KEY.fullmatch(key)
    return match is not None and ULID.from_str(match["id"]).datetime < utc_now() - AGE
