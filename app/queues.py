"""Queue and job names, and the two ways to enqueue.

Jobs take ids and re-read the row: Redis only wakes workers. What is lost there, the clock finds in the database.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from flask import current_app
from redis import ConnectionError as Unreachable
from redis import Redis, RedisError
from redis import TimeoutError as Silent
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.kinds import OFFICE_KINDS

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: A Redis on the same network answers within a millisecond.
SECONDS = 1.0
#: After one that was silent it is not asked for so long: a page asks several times, and has five seconds in all.
REST_SECONDS = 2.0

#: Queue names in the order in which a worker serves them: the line comes first, what nobody waits for last. Each has
#: jobs that wait for the same others: the line and the storage, the offices, what takes long, the spool, the mail
#: server, places of archives (:mod:`app.jobs.crew`).
QUEUES = (
    *("line", "documents", "offices", "slow", "imports", "previews", "preview_offices", "slow_previews", "mail"),
    *("watch", "archive", "later"),
)

#: Job name → (queue, dotted path of the function, longest run in seconds). The function has the job's name, for good:
#: jobs that wait are found by it (:func:`path_of`).
JOBS: dict[str, tuple[str, str, int]] = {
    "dispatch": ("line", "app.jobs.sending.dispatch.dispatch", 60),
    "hang_up": ("line", "app.jobs.sending.dispatch.hang_up", 30),
    "record": ("line", "app.jobs.sending.record.record", 60),
    "import_received": ("imports", "app.jobs.receiving.receive.import_received", 300),
    "prepare": ("documents", "app.jobs.sending.prepare.prepare", 600),
    "convert": ("offices", "app.jobs.sending.prepare.convert", 600),
    "prepare_slowly": ("slow", "app.jobs.sending.prepare.prepare_slowly", 600),
    "redraw": ("slow", "app.jobs.sending.redraw.redraw", 600),
    "preview": ("previews", "app.jobs.sending.preview.preview", 600),
    "preview_convert": ("preview_offices", "app.jobs.sending.preview.preview_convert", 600),
    "preview_slowly": ("slow_previews", "app.jobs.sending.preview.preview_slowly", 600),
    "deliver": ("mail", "app.jobs.outbox.notify.deliver", 120),
    "remind": ("watch", "app.jobs.upkeep.remind.remind", 120),
    "archive_fax": ("archive", "app.jobs.upkeep.archive.archive_fax", 600),
    "archive": ("archive", "app.jobs.upkeep.archive.archive", 600),
    "give_up_looking": ("watch", "app.jobs.sending.looking.give_up_looking", 120),
    "ship_audit": ("watch", "app.jobs.upkeep.audit.ship_audit", 120),
    "watch": ("watch", "app.jobs.upkeep.watch.watch", 120),
    "count": ("watch", "app.jobs.upkeep.watch.count", 600),
    "erase": ("later", "app.jobs.upkeep.erase.erase", 600),
    "sweep": ("later", "app.jobs.upkeep.sweep.sweep", 300),
    "seal": ("later", "app.jobs.upkeep.seal.seal", 600),
}


def path_of(waiting: str) -> str:
    """Where the function of a job lies today, of one that waits. What was enqueued before an upgrade names the place
    where it lay then: the last word is the job's name, whatever stands before it."""
    name = waiting.rpartition(".")[2]
    return JOBS[name][1] if name in JOBS else waiting


class _Impatient(Retry):
    """A connection that was closed meanwhile is opened again, once. A Redis that takes connections and is silent gets
    no second chance: redis-py repeats greeting, connecting and command, each of them for all of the others."""

    def __init__(self) -> None:
        super().__init__(NoBackoff(), 1, supported_errors=(Unreachable,))
        self.resting_until = float("-inf")

    def __deepcopy__(self, _memo: object) -> "_Impatient":
        return self  # all connections know what one has met

    def call_with_retry(self, do: Callable[[], Answer], *arguments: Any, **options: Any) -> Answer:
        if time.monotonic() < self.resting_until:
            raise Unreachable("Redis was silent a moment ago")
        try:
            return super().call_with_retry(do, *arguments, **options)
        except (Silent, TimeoutError):
            self.resting_until = time.monotonic() + REST_SECONDS
            raise


def connect(url: str) -> Redis:
    """For everybody but a worker that waits for jobs. RQ's ``Worker`` must not get it, in whatever form: it makes the
    pool wait for as long as a worker does, for everybody."""
    return Redis.from_url(
        url,
        socket_connect_timeout=SECONDS,
        socket_timeout=SECONDS,
        health_check_interval=15,
        retry=_Impatient(),
    )


#: Lane → the job that takes the next document of it.
LANE_JOBS = {"documents": "prepare", "offices": "convert", "slow": "prepare_slowly"}


def first_lane(document_type: str) -> str:
    """What needs no office never waits behind what needs an office."""
    return "offices" if document_type in OFFICE_KINDS else "documents"


#: The same for pages that are only looked at: their workers are their own, so that neither waits for the other.
LOOK_JOBS = {"looks": "preview", "office_looks": "preview_convert", "slow_looks": "preview_slowly"}


def redis() -> Redis:
    server: Redis = current_app.extensions["redis"]
    return server


def queue(name: str, connection: Redis | None = None) -> Queue:
    return Queue(name, connection=connection or redis(), serializer=JSONSerializer)


def enqueue(name: str, *args: Any) -> None:
    """Wake a worker. A Redis that is down is no failure: the clock enqueues again from the database."""
    queue_name, path, seconds = JOBS[name]
    try:
        queue(queue_name).enqueue(path, args=args, job_timeout=seconds, result_ttl=0, failure_ttl=7 * 86400)
    except RedisError as error:
        log.warning("%s%r was not enqueued, the clock will do it: %s", name, args, error)


def _waiting_mark(name: str) -> str:
    return f"faxroom:waiting:{name}"


def enqueue_once(name: str) -> None:
    """Enqueue a job without arguments unless one of it waits already (see :func:`begin_once`)."""
    try:
        if redis().set(_waiting_mark(name), "1", nx=True, ex=5):
            enqueue(name)
    except RedisError as error:
        log.warning("%s was not enqueued, the clock will do it: %s", name, error)


def begin_once(name: str) -> None:
    """First thing in a job of :func:`enqueue_once`: what is enqueued from here on is work that it may not see. Where
    that cannot be said the job goes on; the mark ends by itself, and the clock looks again."""
    try:
        redis().delete(_waiting_mark(name))
    except RedisError as error:
        log.warning("it could not be noted that %s has begun: %s", name, error)


def pause(what: str, seconds: int) -> None:
    """Somebody has found out that ``what`` does not answer: for a while nobody else needs to."""
    with suppress(RedisError):
        redis().set(f"faxroom:paused:{what}", "1", ex=seconds)


def is_paused(what: str) -> bool:
    try:
        return bool(redis().exists(f"faxroom:paused:{what}"))
    except RedisError:
        return False


def enqueue_after_commit(session: Session, name: str, *args: Any) -> None:
    """Enqueue when, and only when, the session's transaction commits."""
    session.info.setdefault("jobs", []).append((name, args))


@event.listens_for(Session, "after_commit")
def _enqueue_committed(session: Session) -> None:
    for name, args in session.info.pop("jobs", ()):
        if args:
            enqueue(name, *args)
        else:
            enqueue_once(name)


@event.listens_for(Session, "after_rollback")
def _forget_rolled_back(session: Session) -> None:
    session.info.pop("jobs", None)
