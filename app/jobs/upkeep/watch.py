"""Looks after the installation: figures are counted, alerts given, deletions that broke off go on."""

from redis import RedisError

from app.adapters.storage.disks import MEGABYTE
from app.jobs.running import job, long_job
from app.queues import enqueue, queue
from app.rules.figures.alerts import watch as watch_faxes
from app.rules.figures.figures import count_days
from app.rules.operator.erasing import tenants_to_erase
from app.rules.outbox.digests import write_digests
from app.rules.sending.senders import let_go_again
from app.rules.upkeep.disk_alerts import watch_disks
from app.rules.upkeep.trunk_alerts import watch_registrations, watch_trunks
from app.services.documents.disk_room import disks
from app.services.trunks.states import registrations
from tenants.db import db, only_reading, utc_now


@job
def watch() -> None:
    """Short, and in the queue of the mails: what is stuck may be the others."""
    let_go_again(db.session, utc_now())
    write_digests(db.session, utc_now())
    watch_faxes(db.session, utc_now())
    watch_trunks(db.session)
    _watch_registrations()
    filling = {place.name: place.megabytes for place in disks().filling()}
    watch_disks(db.session, filling, least=disks().floor // MEGABYTE, is_over=disks().have_room())


def _watch_registrations() -> None:
    """As long as Redis tells nothing of them, neither do we."""
    try:
        lost, registered = registrations(utc_now())
    except RedisError:
        return
    watch_registrations(db.session, {name: (one.since_when, one.answer) for name, one in lost.items()}, registered)


@long_job
def count() -> None:
    count_days(db.session, utc_now())
    with only_reading():
        erased = tenants_to_erase(db.session)
        db.session.rollback()
    if queue("later").count == 0:
        for tenant_id in erased:
            enqueue("erase", tenant_id)
