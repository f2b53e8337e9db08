"""To the line and off it."""

import contextlib
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import joinedload

from app.adapters.fax_files.fax_tiff import write_pages
from app.adapters.pages.rasterizer import take_pages
from app.adapters.storage.disks import NO_ROOM
from app.adapters.telephony.ari import Ari, OutgoingCall
from app.application import settings
from app.errors import FaxroomError, TemporaryFailure
from app.jobs.running import job
from app.jobs.sending.prepare import asked_in_between
from app.models import Attempt, Fax, FaxEntity, Trunk
from app.queues import begin_once
from app.rules.ground.call_ends import DISK_FULL, LINE_DOWN, UNREAD
from app.rules.sending.destinations import way_of
from app.rules.sending.dispatch import Limits, anything_waits, claim_due, mark_placed
from app.rules.sending.our_side import say_no_room
from app.rules.sending.preparing import anybody_is_prepared
from app.rules.sending.results import REQUEST_GRACE, CallFacts, record_result, take_back
from app.rules.sending.self_test import announced_by
from app.rules.sending.trunks.table import is_read
from app.rules.sending.trunks.trouble import is_outside
from app.rules.sending.trunks.writing_out import wire_number
from app.rules.words.sentences import pages_text
from app.services.documents.disk_room import disks
from app.services.documents.documents import storage
from app.services.sending.laying import laid
from app.services.trunks.reading import ask_to_read, dialling, versions_read
from tenants.db import db, id_of, only_reading, utc_now

log = logging.getLogger(__name__)

#: Claims between fence and ARI request: few enough that the first does not wait for the last.
CHUNK = 25
#: A group gathers so long; so long at most while others are being prepared, of which it asks so often.
GATHER_SECONDS, LONGEST_GATHER, GATHER_LOOK = 0.25, 1.0, 0.05


class _Rounds:
    """When this worker's last round of dispatching ended."""

    ended_at = float("-inf")


_rounds = _Rounds()


def asterisk() -> Ari:
    asterisk: Ari = current_app.extensions["asterisk"]
    return asterisk


def let_asterisk_read(path: Path) -> None:
    """A file in the spool, be Asterisk apart or not, and nobody else: whoever may read its folder."""
    path.chmod(0o600 | path.parent.stat().st_mode & 0o044)


def spooled_path(channel_id: str) -> Path:
    """Where Asterisk reads the pages of a call. It sees the spool and nothing else of ours."""
    return settings().spool / "outgoing" / f"{channel_id}.tif"


def mark_of(channel_id: str) -> Path:
    """What the dialplan has on the disk before the first page of a call leaves."""
    return settings().spool / "answered" / channel_id


@job
def dispatch() -> None:
    """Claim what is due within the limits and have Asterisk dial it."""
    _gather()
    begin_once("dispatch")
    _dispatch()
    _rounds.ended_at = time.monotonic()


def _gather() -> None:
    """Who comes alone goes at once. Who comes in a crowd goes in a group, and waits a moment for those that are still
    being prepared: a round costs more than a fax in it, and so do calls that begin beside the drawing of others."""
    if time.monotonic() - _rounds.ended_at < GATHER_SECONDS:
        until = time.monotonic() + LONGEST_GATHER
        time.sleep(GATHER_SECONDS)
        while time.monotonic() < until and _others_come():
            time.sleep(GATHER_LOOK)


def _others_come() -> bool:
    return asked_in_between(lambda _now: anybody_is_prepared(db.session))


def _dispatch() -> None:
    try:
        since = asterisk().ping()
    except TemporaryFailure as failure:
        log.warning("nothing is dialled: %s", failure)
        return
    if full := disks().full():
        log.error("nothing is dialled, because a disk is full: %s", full)
        say_no_room(db.session, utc_now())
        return
    with only_reading():  # after most calls nothing waits, and nobody has to wait for the finding
        is_idle = not anything_waits(db.session, utc_now())
        db.session.rollback()
    if is_idle:
        return
    told = settings()
    limits = Limits(line=told.line_limit, outgoing=told.outgoing_limit)
    if not (read := versions_read(asterisk().node, since)):
        ask_to_read()
    claimed = claim_due(db.session, now=utc_now(), limits=limits, node=asterisk().node, read=read)
    attempt_ids = [id_of(attempt) for attempt in claimed]
    db.session.rollback()
    if attempt_ids:
        log.info("%s claimed", len(attempt_ids))
    for start in range(0, len(attempt_ids), CHUNK):
        _place(attempt_ids[start : start + CHUNK], since)


def _place(attempt_ids: list[int], since: datetime) -> None:
    """``since``: when this Asterisk started."""
    calls, failures = dict[int, OutgoingCall](), dict[int, FaxroomError]()
    with only_reading():  # pages are laid meanwhile
        attempts = db.session.scalars(sa.select(Attempt).where(Attempt.id.in_(attempt_ids)).options(*_WHOLE)).all()
        channels = {attempt.id: attempt.channel_id for attempt in attempts}
        for attempt in attempts:
            try:
                calls[attempt.id] = _call_of(attempt)
            except FaxroomError as failure:
                failures[attempt.id] = failure
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                failures[attempt.id] = TemporaryFailure(DISK_FULL, reason=str(error))
        db.session.rollback()
    with dialling(asterisk().node, since) as read:
        placed = mark_placed(db.session, list(calls), utc_now())
        ready = _over_trunks({attempt_id: calls[attempt_id] for attempt_id in placed}, read)
        outcomes = asterisk().originate_many(list(ready.values()))
    unread = {attempt_id: TemporaryFailure(UNREAD) for attempt_id in placed if attempt_id not in ready}
    for attempt_id, outcome in [*failures.items(), *unread.items(), *zip(ready, outcomes, strict=True)]:
        if isinstance(outcome, FaxroomError):
            _not_placed(attempt_id, channels[attempt_id], outcome)


def _over_trunks(calls: dict[int, OutgoingCall], read: Mapping[str, str]) -> dict[int, OutgoingCall]:
    """With the number as its trunk wants it: the pages of some were laid while an operator changed a trunk. Those whose
    trunk Asterisk has not read as it is, or does not know any more, are left out."""
    query = (
        sa.select(Attempt.id, Trunk)
        .join(Attempt.trunk)
        .where(Attempt.id.in_(calls))
        .execution_options(populate_existing=True)
    )
    ready = {attempt_id: call for attempt_id, call in calls.items() if not is_outside(call.number)}
    with only_reading():
        for attempt_id, trunk in db.session.execute(query):
            call = calls[attempt_id]
            if is_read(trunk, read):
                wire = wire_number(call.number, trunk.number_form, trunk.region)
                ready[attempt_id] = replace(call, trunk=trunk.name, wire=wire)
        db.session.rollback()
    return ready


_FAX = joinedload(Attempt.fax)
_WHOLE = (
    _FAX.joinedload(Fax.tiff),
    _FAX.joinedload(Fax.tenant),
    _FAX.joinedload(Fax.entity).joinedload(FaxEntity.template),
)


def _call_of(attempt: Attempt) -> OutgoingCall:
    """Everything that Asterisk has to know but the trunk, with the pages laid in the spool."""
    fax: Fax = attempt.fax
    template, entity, way = fax.entity.template, fax.entity, way_of(attempt)
    path = spooled_path(attempt.channel_id)
    if fax.dial_string is None:
        raise LookupError(f"fax {fax.id} goes to nobody")
    _lay_pages(attempt, path)
    let_asterisk_read(path)
    latest_answer, number = utc_now() + REQUEST_GRACE, attempt.dialled or fax.dial_string
    return OutgoingCall(
        channel_id=attempt.channel_id,
        number=number,
        file=str(path),
        station_id=announced_by(fax) or template.station_id,
        caller_number=entity.number or entity.extension,
        ecm=way.ecm,
        max_rate=way.rate,
        t38=way.t38,
        ring_seconds=template.ring_seconds,
        max_seconds=template.max_seconds,
        not_after=int(latest_answer.timestamp()) + template.ring_seconds,
        packet=way.packet,
    )


def _lay_pages(attempt: Attempt, path: Path) -> None:
    """What is still to be sent, in the spool, with the attempt's header on top of each page."""
    fax, first, standard = attempt.fax, attempt.first_page, way_of(attempt).standard
    for folder in (path.parent, mark_of(attempt.channel_id).parent):
        folder.mkdir(parents=True, exist_ok=True)
    with storage().local_copy(fax.its_tiff.storage_key) as prepared:
        if first == 1 and not attempt.header_name and not standard:
            shutil.copyfile(prepared, path)
            return
        note = f"{first}-{fax.pages} / {pages_text(fax.pages)}" if first > 1 and fax.pages else None
        taken = take_pages(prepared, first, note)
    with path.open("wb") as target:  # not durable, and need not be: a call that is lost has its pages laid anew
        write_pages(target, laid(attempt, taken), total=len(taken))


def _not_placed(attempt_id: int, channel_id: str, failure: FaxroomError) -> None:
    """Take the claim back if Asterisk certainly never heard of it; leave the doubtful to the reconciliation."""
    log.warning("%s was not placed: %s", channel_id, failure)
    db.session.rollback()
    if isinstance(failure, TemporaryFailure):
        if failure.values.get("certain", True):
            cause = failure.code if failure.code in (DISK_FULL, UNREAD) else LINE_DOWN
            take_back(db.session, attempt_id, cause, by_trunk=bool(failure.values.get("no_channel")))
    else:
        record_result(db.session, channel_id, CallFacts("other", error=str(failure)))


@job
def hang_up(fax_id: str) -> None:
    """End the running call of a fax; its result comes the usual way.

    A line that does not answer is asked again by the next reconciliation.
    """
    running = sa.select(Attempt.channel_id).where(Attempt.fax_id == fax_id, Attempt.ended_at.is_(None))
    channel_id = db.session.scalar(running)
    db.session.rollback()
    if channel_id:
        with contextlib.suppress(TemporaryFailure):
            asterisk().hangup(channel_id)
