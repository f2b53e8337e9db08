"""RQ workers."""

import ctypes
import os
import signal

from rq import Queue, SimpleWorker, Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from app.jobs import dispatch, notify, prepare, receive, record, sweep  # noqa: F401 - loaded before the fork, not in each job
from app.jobs.running import application
from app.queues import queue, redis

PR_SET_PDEATHSIG = 1  # prctl(2)

#: RQ notices a dead worker after this; the database's leases hold all the same.
WORKER_TTL = 60


class ForkingWorker(Worker):
    """A job in a process of its own, which ends when the worker does: an orphan would run beside its successor."""

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:  # it died before the line above
            os._exit(1)
        super().main_work_horse(job, queue)


def run(queues: list[str]) -> None:
    """Serve ``queues`` until SIGTERM. The line's jobs are our own short code and need no process each."""
    kind = SimpleWorker if queues == ["line"] else ForkingWorker
    with application().app_context():
        worker = kind(
            [queue(name) for name in queues],
            connection=redis(),
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            maintenance_interval=30,
            job_monitoring_interval=5,
            log_job_description=False,
        )
    worker.work(logging_level="WARNING")
