"""What the line has heard, written down."""

from typing import Any

from app.jobs.running import job
from app.jobs.sending.dispatch import asterisk, mark_of, spooled_path
from app.rules.sending.results import CallFacts, record_result
from tenants.db import db


@job
def record(channel_id: str, facts: dict[str, Any]) -> None:
    """The end of a call. Only then is Asterisk's own copy of the result forgotten and the spool cleared."""
    record_result(db.session, channel_id, CallFacts.from_json(facts))
    db.session.rollback()
    for file in (spooled_path(channel_id), mark_of(channel_id)):
        file.unlink(missing_ok=True)
    asterisk().forget([channel_id])
