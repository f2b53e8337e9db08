"""A company that is being deleted goes, a little at a time; whatever broke off goes on."""

import logging
import shutil
import time

from flask import current_app
from sqlalchemy.exc import IntegrityError

from app.jobs.running import long_job
from app.queues import enqueue
from app.rules.operator.erasing import finish_erasing, remove_rows, tenants_to_erase
from app.services.documents.documents import storage
from tenants.db import db
from tenants.models import Tenant

log = logging.getLogger(__name__)

#: Then others have their turn; the job comes again.
LONGEST = 120.0


@long_job
def erase(tenant_id: int) -> None:
    """Remove files and rows of a company whose deletion was begun; returns quietly if it is gone."""
    session, until = db.session, time.monotonic() + LONGEST
    if tenant_id not in tenants_to_erase(session):
        return
    slug = session.get_one(Tenant, tenant_id).slug
    session.rollback()
    for _removed in remove_rows(session, tenant_id, remove_file=storage().delete):
        if time.monotonic() > until:
            enqueue("erase", tenant_id)
            return
    shutil.rmtree(current_app.config["SETTINGS"].archives / slug, ignore_errors=True)
    try:
        if finish_erasing(session, tenant_id):
            log.warning("the company %s is deleted", slug)
    except IntegrityError as error:
        session.rollback()
        log.warning("something of %s came in between, it is removed soon: %s", slug, error)
