"""Every second: what is due, in the database's words, is enqueued. Two clocks at once do no harm."""

import logging
import time
from contextlib import suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app
from redis import RedisError

from app.jobs.pulse import Pulse
from app.jobs.running import application
from app.jobs.upkeep.audit import COLLECTOR
from app.models import Fax, Lane, Notice, PreviewLane
from app.models.faxes.moves import WAITING
from app.queues import JOBS, LANE_JOBS, LOOK_JOBS, enqueue, enqueue_once, is_paused, queue, redis
from app.rules.archives.archive import stale_copies
from app.rules.audit.audit_shipping import shipping_waits
from app.rules.ground.holding import held_since
from app.rules.sending.looking import overdue
from app.rules.sending.preparing import somebody_waits
from app.rules.sending.previews import preview_waits
from app.rules.upkeep.clock_jumps import SMALLEST, shift_waits
from app.services.upkeep.health import beat
from tenants.connections import DATABASE_DOWN
from tenants.db import db, only_reading, utc_now
from tenants.models import Tenant

log = logging.getLogger(__name__)

TICK = 1.0
#: Marks in Redis that end by its clock, which may be the one that was set. Each is made again when it is needed.
MARKS = ("faxroom:waiting:*", "faxroom:served:*")
#: One clock follows a jump.
JUMPED = "faxroom:jumped"
#: What is younger has just been enqueued by whoever wrote it.
PATIENCE = timedelta(seconds=5)
SWEEP_SECONDS = 3600
REMIND_SECONDS = 900
WATCH_SECONDS = 60


class Watch:
    """Sees that the machine's clock was set: it and the one that cannot be set have gone on differently."""

    def __init__(self) -> None:
        self.look()

    def look(self) -> None:
        self.at, self.steady = utc_now(), _steady()

    def jump(self) -> tuple[datetime, datetime] | None:
        """Since the last look: when it would be now, and when it is."""
        before, now = self.at + timedelta(seconds=_steady() - self.steady), utc_now()
        if abs(now - before) >= SMALLEST:
            return before, now
        self.look()
        return None


def _steady() -> float:
    """Seconds that nobody sets, also those in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run() -> None:
    app, watch, pulse = application(), Watch(), Pulse()
    while True:
        pulse.step()
        with app.app_context():
            _one_tick(watch)
        time.sleep(TICK)


def go_on_after(before: datetime, now: datetime) -> None:
    """What waits for seconds waits for no hour more or less. Of two clocks that see the same jump one does it, again at
    its next tick if the database is away."""
    with suppress(RedisError):
        if not redis().set(JUMPED, "1", nx=True, ex=5):
            return
        for pattern in MARKS:
            if found := list(redis().scan_iter(pattern, count=1000)):
                redis().delete(*found)
    try:
        shifted = shift_waits(db.session, before=before, now=now)
    except BaseException:
        with suppress(RedisError):
            redis().delete(JUMPED)
        raise
    log.warning("the machine's clock was set from %s to %s: %d waits go on", before, now, shifted)


def _one_tick(watch: Watch) -> None:
    """A part that is away costs this tick, and is told among the parts: the clock goes on, and says so. What nobody
    foresaw costs the tick and the sign of life."""
    try:
        try:
            if jumped := watch.jump():
                go_on_after(*jumped)
                watch.look()
            tick()
        except DATABASE_DOWN as error:
            log.warning("this tick is left out: %s", error)
        beat("clock")
    except RedisError as error:
        log.warning("this tick is left out: %s", error)
    except Exception:
        log.exception("this tick is left out")


@only_reading()
def tick() -> None:
    now = utc_now()
    if db.session.scalar(_due(now)):
        enqueue_once("dispatch")
    for lane in Lane:
        if somebody_waits(db.session, lane, now):
            enqueue_once(LANE_JOBS[lane])
    for look in PreviewLane:
        if preview_waits(db.session, look, now):
            enqueue_once(LOOK_JOBS[look])
    if db.session.scalar(overdue(now).limit(1)):
        enqueue_once("give_up_looking")
    if not held_since(db.session) and not is_paused("mail"):
        _enqueue_stale("deliver", _undelivered(now))
    if current_app.config["SETTINGS"].audit_log and not is_paused(COLLECTOR) and db.session.scalar(shipping_waits()):
        enqueue_once("ship_audit")
    _enqueue_stale("archive", stale_copies(now - PATIENCE))
    if redis().set("faxroom:swept", "1", nx=True, ex=SWEEP_SECONDS):
        enqueue("sweep")
        enqueue("seal")
    if redis().set("faxroom:reminded", "1", nx=True, ex=REMIND_SECONDS):
        enqueue("remind")
    if redis().set("faxroom:watched", "1", nx=True, ex=WATCH_SECONDS):
        enqueue("watch")
        enqueue("count")


def _due(now: datetime) -> sa.Select[str]:
    """One that may go to the line; what a suspended company has waits until it is open again."""
    suspended = sa.select(Tenant.id).where(Tenant.suspended_at.is_not(None))
    due = sa.select(Fax.id).where(Fax.status.in_(WAITING), Fax.due_at <= now)
    return due.where(Fax.tenant_id.not_in(suspended)).limit(1)


def _undelivered(now: datetime) -> sa.Select[int]:
    due = sa.and_(Notice.sent_at.is_(None), Notice.due_at < now - PATIENCE)
    return sa.select(Notice.id).where(due).order_by(Notice.id).limit(500)


def _enqueue_stale(job_name: str, query: sa.Select[int]) -> None:
    """What waits in Redis is not enqueued a second time: only an empty queue can have lost something."""
    if queue(JOBS[job_name][0]).count == 0:
        for row_id in db.session.scalars(query).all():
            enqueue(job_name, row_id)
