"""Every second: what is due, in the database's words, is enqueued. Two clocks at once do no harm."""

import logging
import time
from datetime import datetime, timedelta

import sqlalchemy as sa
from redis import RedisError
from sqlalchemy.exc import OperationalError

from app.fax.archive import stale_copies
from app.fax.lifecycle import WAITING
from app.health import beat
from app.jobs.running import application
from app.models import Fax, Notice, Status
from app.queues import enqueue, enqueue_once, queue, redis
from tenants.db import db, read_only, utc_now
from tenants.models import Tenant

log = logging.getLogger(__name__)

TICK = 1.0
#: What is younger has just been enqueued by whoever wrote it.
PATIENCE = timedelta(seconds=5)
SWEEP_SECONDS = 3600
REMIND_SECONDS = 900
WATCH_SECONDS = 60


def run() -> None:
    app = application()
    while True:
        with app.app_context():
            try:
                tick()
                beat("clock")
            except (OperationalError, RedisError) as error:
                log.warning("this tick is left out: %s", error)
        time.sleep(TICK)


def tick() -> None:
    read_only.set(True)
    now = utc_now()
    if db.session.scalar(_due(now)):
        enqueue_once("dispatch")
    _enqueue_stale("documents", "prepare", _unprepared(now))
    _enqueue_stale("mail", "deliver", _undelivered(now))
    _enqueue_stale("later", "archive", stale_copies(now - PATIENCE))
    if redis().set("faxroom:swept", "1", nx=True, ex=SWEEP_SECONDS):
        enqueue("sweep")
    if redis().set("faxroom:reminded", "1", nx=True, ex=REMIND_SECONDS):
        enqueue("remind")
    if redis().set("faxroom:watched", "1", nx=True, ex=WATCH_SECONDS):
        enqueue("watch")
        enqueue("count")


def _due(now: datetime) -> sa.Select:
    """One that may go to the line; what a suspended company has waits until it is open again."""
    suspended = sa.select(Tenant.id).where(Tenant.suspended_at.is_not(None))
    due = sa.select(Fax.id).where(Fax.status.in_(WAITING), Fax.due_at <= now)
    return due.where(Fax.tenant_id.not_in(suspended)).limit(1)


def _unprepared(now: datetime) -> sa.Select:
    lost = sa.and_(Fax.status == Status.ACCEPTED, Fax.created_at < now - PATIENCE)
    left_behind = sa.and_(Fax.status == Status.PREPARING, Fax.lease_until < now)
    return sa.select(Fax.id).where(sa.or_(lost, left_behind)).order_by(Fax.id).limit(500)


def _undelivered(now: datetime) -> sa.Select:
    due = sa.and_(Notice.sent_at.is_(None), Notice.due_at < now - PATIENCE)
    return sa.select(Notice.id).where(due).order_by(Notice.id).limit(500)


def _enqueue_stale(queue_name: str, job_name: str, query: sa.Select) -> None:
    """What waits in Redis is not enqueued a second time: only an empty queue can have lost something."""
    if queue(queue_name).count == 0:
        for row_id in db.session.scalars(query).all():
            enqueue(job_name, row_id)
