"""RQ workers.

Jobs run in the worker itself: what is dangerous about a document happens in children of their own
(:mod:`app.adapters.isolation`, the office servers), and a fork for each job would cost more than most jobs do.
"""

from flask import current_app
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from app.adapters.isolation import open_workshop
from app.jobs import (  # noqa: F401 - loaded before the first job
    dispatch,
    erase,
    notify,
    prepare,
    receive,
    record,
    remind,
    sweep,
    watch,
)
from app.jobs.running import application
from app.queues import queue

#: RQ notices a dead worker after this; the database's leases hold all the same.
WORKER_TTL = 60
#: Then a fresh process takes over, started by the supervisor: nothing that leaks does so for ever.
MOST_JOBS = 5000


def run(queues: list[str]) -> None:
    """Serve ``queues`` until SIGTERM."""
    open_workshop()
    with application().app_context():
        # waits for jobs for minutes, which the connection of everybody else may not
        url = current_app.config["SETTINGS"].redis_url
        waiting = Redis.from_url(url, socket_connect_timeout=2, health_check_interval=15)
        worker = SimpleWorker(
            [queue(name, waiting) for name in queues],
            connection=waiting,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            maintenance_interval=30,
            log_job_description=False,
        )
    worker.work(logging_level="WARNING", max_jobs=MOST_JOBS)
