"""RQ workers.

Jobs run in the worker itself: what is dangerous about a document happens in children of their own
(:mod:`app.adapters.confined.isolation`, the office servers), and a fork for each job would cost more than most jobs do.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, current_app
from redis import Redis, RedisError
from rq import SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import import_attribute

from app.adapters.confined.isolation import open_workshop
from app.jobs import probe  # noqa: F401 - loaded before the first job
from app.jobs.outbox import notify  # noqa: F401 - loaded before the first job
from app.jobs.pulse import say_alive
from app.jobs.receiving import receive  # noqa: F401 - loaded before the first job
from app.jobs.running import application
from app.jobs.sending import dispatch, looking, prepare, preview, record  # noqa: F401 - loaded before the first job
from app.jobs.upkeep import archive, erase, remind, sweep, watch  # noqa: F401 - loaded before the first job
from app.queues import path_of, queue
from app.services.upkeep.working import SIGN_SECONDS, Sign, give_sign

log = logging.getLogger(__name__)

#: RQ notices a dead worker after this; the database's leases hold all the same.
WORKER_TTL = 45
#: Then a fresh process takes over, started by the supervisor: nothing that leaks does so for ever.
MOST_JOBS = 5000


#: A job that goes on for so long after RQ has ended it hangs where nothing reaches it.
OVERTIME_SECONDS = 60.0

#: Who serves one of these needs the workshop for nearly every job.
WITH_WORKSHOP = {"documents", "offices", "slow", "previews", "preview_offices", "slow_previews"}


class NamedJob(Job):
    """It is known by its name, so that what was enqueued before an upgrade finds its function wherever it lies now."""

    @property
    def func(self) -> Callable[..., Any]:
        return import_attribute(path_of(self.func_name or ""))


class Worker(SimpleWorker):
    """Knows how long what it does may take."""

    job_class = NamedJob
    max_connection_wait_time = 5.0  # RQ would come to a Redis that is back up to a minute later
    busy_until = 0.0

    def gets_on(self) -> bool:
        """It waits for a job, or is at one that RQ has not had to end long ago."""
        return not self.busy_until or time.monotonic() < self.busy_until + OVERTIME_SECONDS

    def perform_job(self, job: Job, *arguments: Any) -> bool:
        self.busy_until = time.monotonic() + float(job.timeout or 0)
        try:
            return super().perform_job(job, *arguments)
        finally:
            self.busy_until = 0.0

    def sign(self) -> Sign:
        left = max(0.0, self.busy_until - time.monotonic())
        return Sign(socket.gethostname(), [queue.name for queue in self.queues], left)


def _keep_signing(app: Flask, worker: Worker) -> None:
    """Beside the jobs, so that one that takes long is told from a worker that is gone."""
    while True:
        if worker.gets_on():
            say_alive()
        try:
            with app.app_context():
                give_sign(worker.name, worker.sign())
        except RedisError as error:
            log.warning("no sign is given: %s", error)
        time.sleep(SIGN_SECONDS)


def run(queues: list[str]) -> None:
    """Serve ``queues`` until SIGTERM."""
    if WITH_WORKSHOP.intersection(queues):
        open_workshop()
    with application().app_context():
        # waits for jobs for minutes, which the connection of everybody else may not
        url = current_app.config["SETTINGS"].redis_url
        waiting = Redis.from_url(url, socket_connect_timeout=2, health_check_interval=15)
        worker = Worker(
            [queue(name, waiting) for name in queues],
            connection=waiting,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            maintenance_interval=30,
            log_job_description=False,
        )
    threading.Thread(target=_keep_signing, args=(application(), worker), daemon=True, name="signs").start()
    worker.work(logging_level="WARNING", max_jobs=MOST_JOBS)
