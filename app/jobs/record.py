"""What the line has heard, written down."""

from typing import Any

from app.fax.results import CallFacts, record_result
from app.jobs.dispatch import line, spooled_path
from app.jobs.running import job
from tenants.db import db


@job
def record(channel_id: str, facts: dict[str, Any]) -> None:
    """The end of a call. Only then is Asterisk's own copy of the result forgotten and the spool cleared."""
    record_result(db.session, channel_id, CallFacts.from_json(facts))
    db.session.rollback()
    spooled_path(channel_id).unlink(missing_ok=True)
    line().forget([channel_id])
