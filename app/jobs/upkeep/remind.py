"""The shared inbox looks after itself: what nobody reads is told of, what nobody needs any more leaves it."""

from app.jobs.running import job
from app.rules.inbox.inbox import settle
from app.rules.inbox.reminding import write_reminders
from tenants.db import db, utc_now


@job
def remind() -> None:
    now = utc_now()
    settle(db.session, now)
    write_reminders(db.session, now)
