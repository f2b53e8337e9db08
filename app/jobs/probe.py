"""The small job that proves that a queue is served."""

from app.jobs.running import job
from app.services.upkeep.working import note_served


@job
def probe(name: str) -> None:
    note_served(name)
