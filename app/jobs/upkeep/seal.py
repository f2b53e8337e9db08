"""Documents from before are sealed, in short runs."""

import logging
import time

from app.jobs.running import long_job
from app.queues import enqueue
from app.services.documents.sealing import seal_documents

log = logging.getLogger(__name__)

#: Then others have their turn; the job comes again.
LONGEST = 120.0
MOST_TOLD = 10


@long_job
def seal() -> None:
    """Returns quietly when nothing is left to seal."""
    sealed = seal_documents(time.monotonic() + LONGEST)
    if sealed.count:
        log.info("%d documents were sealed with the newest keys of their companies", sealed.count)
    if sealed.left:
        told = ", ".join(sealed.left[:MOST_TOLD])
        log.error("%d documents are not there, or not what was stored, among them %s", len(sealed.left), told)
    if not sealed.done:
        enqueue("seal")
