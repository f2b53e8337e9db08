"""What waits for its sender to look at it does not wait for ever."""

from app.jobs.running import job
from app.queues import begin_once
from app.rules.sending.looking import give_up_overdue
from tenants.db import db, utc_now


@job
def give_up_looking() -> None:
    begin_once("give_up_looking")
    give_up_overdue(db.session, utc_now())
