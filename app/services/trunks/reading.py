"""Which version of each trunk Asterisk has read: no call goes over one before.

The line process writes the trunks down, has Asterisk read them, and says so here. Before that it takes back what it has
said of those that change, and waits for everybody who had looked before it did (:func:`dialling`). So no call is
written as the new version wants it and made by the old one, nor the other way round.

In Redis, by the Asterisk and its start: one that was started anew has read what nobody knows. What is lost here is said
again a second after somebody misses it; until then faxes wait.
"""

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, cast

from redis import RedisError
from sqlalchemy import event
from sqlalchemy.orm import Session, object_session

from app.models import Trunk
from app.queues import redis

log = logging.getLogger(__name__)

#: Whoever dials has asked Asterisk for all of its calls by then (:data:`app.jobs.sending.dispatch.CHUNK`), or is gone.
LONGEST = 45.0
_ASKED = "faxroom:trunks:asked"
_CHANGED = "trunks_changed"


def versions_read(node: str, since: datetime) -> dict[str, str]:
    """By name, of the Asterisk that runs since then; none where nobody can tell."""
    try:
        return _versions(cast("bytes | None", redis().get(_key(node))), since)
    except RedisError as error:
        log.warning("nobody knows which trunks %s has read: %s", node, error)
        return {}


def note_read(node: str, since: datetime, versions: Mapping[str, str]) -> None:
    """All there are."""
    redis().set(_key(node), json.dumps({"since": since.isoformat(), "versions": dict(versions)}))


def _key(node: str) -> str:
    return f"faxroom:trunks:read:{node}"


def _versions(told: bytes | None, since: datetime) -> dict[str, str]:
    known = json.loads(told or b"{}")
    return dict(known["versions"]) if known.get("since") == since.isoformat() else {}


# ---- Who dials


@contextmanager
def dialling(node: str, since: datetime) -> Iterator[dict[str, str]]:
    """The versions that this Asterisk has read. It reads no other before this is over, or ``LONGEST`` later."""
    me, versions = uuid.uuid4().hex, dict[str, str]()
    try:
        with redis().pipeline() as pipeline:
            pipeline.zadd(_dialling(node), {me: time.time() + LONGEST})
            pipeline.expire(_dialling(node), round(2 * LONGEST))
            pipeline.get(_key(node))
            versions = _versions(pipeline.execute()[-1], since)
    except RedisError as error:
        log.warning("nobody knows which trunks %s has read: %s", node, error)
    try:
        yield versions
    finally:
        with suppress(RedisError):
            redis().zrem(_dialling(node), me)


def who_dials(node: str) -> set[bytes]:
    return set(cast("list[bytes]", redis().zrangebyscore(_dialling(node), time.time(), "+inf")))


def _dialling(node: str) -> str:
    return f"faxroom:trunks:dialling:{node}"


# ---- What the line process is asked


def ask_to_read() -> None:
    """A trunk has changed, or somebody misses what is said of it: at once, not at the next look."""
    try:
        redis().set(_ASKED, "1")
    except RedisError as error:
        log.warning("the line process reads the trunks at its next look: %s", error)


def is_asked() -> bool:
    """Once for all who have asked."""
    try:
        return bool(redis().delete(_ASKED))
    except RedisError:
        return False


def _changes(_mapper: Any, _connection: Any, trunk: Trunk) -> None:
    if session := object_session(trunk):
        session.info[_CHANGED] = True


for _change in ("after_insert", "after_update", "after_delete"):
    event.listen(Trunk, _change, _changes)


@event.listens_for(Session, "after_commit")
def _ask_after_commit(session: Session) -> None:
    if session.info.pop(_CHANGED, False):
        ask_to_read()


@event.listens_for(Session, "after_rollback")
def _forget_rolled_back(session: Session) -> None:
    session.info.pop(_CHANGED, None)
