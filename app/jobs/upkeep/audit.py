"""The audit log goes out to where the operator collects it, beside all that people do."""

import logging

from flask import current_app

from app.adapters.servers.audit_collector import deliver
from app.errors import TemporaryFailure
from app.jobs.running import job
from app.queues import begin_once, pause
from app.rules.audit.audit_shipping import ship
from tenants.db import db

log = logging.getLogger(__name__)

#: A collector that does not answer is not asked for so long.
REST_SECONDS = 15
COLLECTOR = "audit collector"


@job
def ship_audit() -> None:
    """All that has not gone out; nothing where no collector is named."""
    begin_once("ship_audit")
    url = current_app.config["SETTINGS"].audit_log
    if not url:
        return
    try:
        ship(db.session, lambda entries: deliver(url, entries))
    except TemporaryFailure as failure:
        pause(COLLECTOR, REST_SECONDS)
        log.warning("the audit log does not go out: %s", failure.values.get("reason"))
