"""Queue and job names, and the two ways to enqueue.

Jobs take ids and re-read the row: Redis only wakes workers. What is lost there, the clock finds in the database.
"""

import logging
from typing import Any

from flask import current_app
from redis import Redis, RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import event
from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

#: Queue names in the order in which a worker serves them: the line comes first, what nobody waits for last.
QUEUES = ("line", "documents", "mail", "later")

#: Job name → (queue, dotted path of the function, longest run in seconds).
JOBS: dict[str, tuple[str, str, int]] = {
    "dispatch": ("line", "app.jobs.dispatch.dispatch", 60),
    "hang_up": ("line", "app.jobs.dispatch.hang_up", 30),
    "record": ("line", "app.jobs.record.record", 60),
    "import_received": ("documents", "app.jobs.receive.import_received", 300),
    "prepare": ("documents", "app.jobs.prepare.prepare", 600),
    "picture": ("later", "app.jobs.prepare.picture", 60),
    "deliver": ("mail", "app.jobs.notify.deliver", 120),
    "remind": ("mail", "app.jobs.remind.remind", 120),
    "archive_fax": ("later", "app.jobs.archive.archive_fax", 600),
    "archive": ("later", "app.jobs.archive.archive", 600),
    "watch": ("mail", "app.jobs.watch.watch", 120),
    "count": ("later", "app.jobs.watch.count", 600),
    "erase": ("later", "app.jobs.erase.erase", 600),
    "sweep": ("later", "app.jobs.sweep.sweep", 300),
}


def redis() -> Redis:
    return current_app.extensions["redis"]


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
    """First thing in a job of :func:`enqueue_once`: what is enqueued from here on is work that it may not see."""
    redis().delete(_waiting_mark(name))


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
