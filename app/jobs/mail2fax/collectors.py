"""Collects the Mail2Fax boxes: a thread for each box that this process has, on a connection of its own.

Any number of these processes may run. A box is collected by whoever has its lease (:mod:`app.rules.mail2fax.ledger`);
the processes share the boxes evenly. A server that can tells of new mails at once (IDLE), any other is asked on the
box's schedule. What a mail server does holds up nobody but its own box.
"""

import logging
import math
import secrets
import signal
import socket
import threading
import time
from contextlib import suppress
from datetime import timedelta

from flask import Flask
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.confined.isolation import open_workshop
from app.adapters.mail.imap import Mailbox, Server, Waiting, signed_in
from app.adapters.mail.tokens import Bearer
from app.config import Settings
from app.errors import FaxroomError, PermanentFailure, TemporaryFailure
from app.jobs.mail2fax.messages import BEGINNING, MOST_MAIL, deal_with
from app.jobs.pulse import Pulse
from app.jobs.running import application
from app.models import Mail2FaxBox, MailFate
from app.queues import redis
from app.rules.ground.holding import held_since
from app.rules.mail2fax.answers import tell_of_fault
from app.rules.mail2fax.boxes import MailServer
from app.rules.mail2fax.ledger import (
    FOLDERS,
    LEASE,
    BoxFacts,
    Delivery,
    add_states,
    boxes_to_collect,
    claim_box,
    claimable,
    delay_after,
    filed_before,
    give_back,
    hurry,
    is_to_be_told,
    message_digest,
    message_id,
    note_fault,
    note_filed,
    note_fine,
    note_gone,
    renew_leases,
)
from app.services.documents.disk_room import disks
from app.services.mail2fax.box_access import access_to, note_failure
from app.services.upkeep.health import beat
from tenants.db import db, only_reading, utc_now

log = logging.getLogger(__name__)

TICK = 1.0
#: Between two claims: the other processes get their share.
CLAIM_PAUSE = 0.1
RENEW_SECONDS = LEASE.total_seconds() / 4
#: Messages that one process works on at once; the others wait for their turn, their connections open.
MOST_AT_ONCE = 4
#: Mails come in groups: after one the folder is looked into once more, even if the server says nothing.
SOON_SECONDS = 2.0
#: A message that could not be dealt with is tried again after so long.
AGAIN_SECONDS = 15.0
STOP_SECONDS = 5.0


def run() -> None:
    """Collect until SIGTERM."""
    collectors, pulse = Collectors(application()), Pulse()
    signal.signal(signal.SIGTERM, lambda *_: collectors.stopping.set())
    while not collectors.stopping.is_set():
        pulse.step()
        try:
            busy = collectors.tick()
            with collectors.app.app_context():
                beat("collect")
        except (SQLAlchemyError, RedisError) as error:
            log.warning("this tick is left out: %s", error)
            busy = False
        collectors.stopping.wait(CLAIM_PAUSE if busy else TICK)
    collectors.stop()


class Collectors:
    """The boxes that this process has."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.holder = f"{socket.gethostname()[:40]}-{secrets.token_hex(8)}"
        self.stopping = threading.Event()
        self.turns = threading.BoundedSemaphore(MOST_AT_ONCE)
        self.running: dict[int, Collector] = {}
        self.versions: dict[int, int] = {}
        self.renewed = 0.0

    def tick(self) -> bool:
        """Keep, give up, take; True if there may be more to take at once."""
        with self.app.app_context():
            self.running = {box_id: thread for box_id, thread in self.running.items() if thread.is_alive()}
            if time.monotonic() - self.renewed > RENEW_SECONDS:
                self._renew()
            with only_reading():
                boxes = [] if held_since(db.session) else boxes_to_collect(db.session)
                db.session.rollback()
            self._drop_changed(boxes)
            return self._take_one(boxes)

    def _renew(self) -> None:
        """Only of what somebody works on: others take the box of a thread that has ended without giving it back."""
        kept = renew_leases(db.session, self.holder, self.running.keys(), utc_now())
        self.renewed = time.monotonic()
        for box_id, thread in self.running.items():
            if box_id not in kept:
                thread.stopped.set()

    def _drop_changed(self, boxes: list[BoxFacts]) -> None:
        """A box with other settings is begun anew, at once; one that is gone is left."""
        versions = {box.box_id: box.version for box in boxes}
        if versions.keys() - self.versions.keys():
            add_states(db.session, boxes)
        for box_id, thread in self.running.items():
            if versions.get(box_id) != thread.version:
                thread.stopped.set()
        for box_id, version in versions.items():
            if self.versions.get(box_id, version) != version:
                hurry(db.session, box_id, utc_now())
        self.versions = versions

    def _take_one(self, boxes: list[BoxFacts]) -> bool:
        share = math.ceil(len(boxes) / self._processes())
        surplus = [thread for thread in self.running.values() if not thread.stopped.is_set()][share:]
        for thread in surplus:
            thread.stopped.set()
        free = {box.box_id: box for box in boxes if box.box_id not in self.running}
        if len(self.running) >= share or not free:
            return False
        with only_reading():
            box_id = claimable(db.session, free, utc_now())
            db.session.rollback()
        if box_id is None or not claim_box(db.session, box_id, self.holder, utc_now()):
            return box_id is not None
        open_workshop()
        self.running[box_id] = Collector(self, free[box_id])
        self.running[box_id].start()
        return True

    def _processes(self) -> int:
        """How many of these processes there are. Without Redis each takes what it finds."""
        now, key = time.time(), "faxroom:collectors"
        try:
            with redis().pipeline() as pipe:
                pipe.zadd(key, {self.holder: now})
                pipe.zremrangebyscore(key, 0, now - LEASE.total_seconds())
                pipe.zcard(key)
                return max(1, int(pipe.execute()[2]))
        except RedisError:
            return 1

    def stop(self) -> None:
        """Let each finish its message, and others take over without waiting for the leases."""
        for thread in self.running.values():
            thread.stopped.set()
        end = time.monotonic() + STOP_SECONDS
        for thread in self.running.values():
            thread.join(max(0.0, end - time.monotonic()))
        with self.app.app_context(), suppress(RedisError):
            redis().zrem("faxroom:collectors", self.holder)


class Collector(threading.Thread):
    """One box, for as long as this process has it."""

    def __init__(self, owner: Collectors, box: BoxFacts) -> None:
        super().__init__(daemon=True, name=f"box-{box.box_id}")
        self.owner, self.app = owner, owner.app
        self.box_id, self.tenant_id, self.version = box.box_id, box.tenant_id, box.version
        self.stopped = threading.Event()
        self.settings: Settings = self.app.config["SETTINGS"]
        self.poll_seconds = 60
        self.took = False  # in the last look

    def run(self) -> None:
        failure: FaxroomError | None = None
        try:
            self._collect()
        except FaxroomError as error:
            failure = error
        except SQLAlchemyError as error:  # the box is as it was; others take it when the lease is over
            log.warning("box %s: %s", self.box_id, error)
            return
        except Exception:
            log.exception("box %s", self.box_id)
            failure = TemporaryFailure("collector_failed")
        try:
            self._leave(failure)
        except SQLAlchemyError as error:
            log.warning("box %s: %s", self.box_id, error)

    def _collect(self) -> None:
        server, place, username, secret = self._read()
        with signed_in(place, username, secret, allowed=self.settings.private_hosts) as client:
            mailbox = Mailbox(client, server.folder)
            while not self.stopped.is_set():
                failure = self._take_all(mailbox)
                self._note(failure, idle=mailbox.can_idle)
                if not mailbox.can_idle:
                    return
                if mailbox.has_news():
                    continue
                seconds = SOON_SECONDS if self.took else AGAIN_SECONDS if failure else float(self.poll_seconds)
                mailbox.idle(seconds, until=self.stopped.is_set)

    def _read(self) -> tuple[MailServer, Server, str, str | Bearer]:
        """Where it is, and what signs in there."""
        with self.app.app_context():
            with only_reading():
                box = db.session.get(Mail2FaxBox, self.box_id)
                if box is None:
                    raise PermanentFailure("box_host")
                self.poll_seconds = box.poll_seconds
            return access_to(box)

    def _take_all(self, mailbox: Mailbox) -> FaxroomError | None:
        """Deal with all that waits; gives why something of it has to wait longer."""
        messages = mailbox.waiting()
        with self.app.app_context():
            if disks().full():
                return TemporaryFailure("no_room")
            present = {message.uid for message in messages}
            note_gone(db.session, self.box_id, mailbox.uid_validity, present, utc_now())
            done = filed_before(db.session, self.box_id, mailbox.uid_validity)
        failure: FaxroomError | None = None
        self.took = False
        for waiting in messages:
            if self.stopped.is_set():
                break
            if (waiting.uid, waiting.size) in done:
                continue
            try:
                self._take(mailbox, waiting)
                self.took = True
            except FaxroomError as error:  # of this message; the others need not wait for it
                log.warning("box %s: message %s waits: %s", self.box_id, waiting.uid, error)
                failure = error
        return failure

    def _take(self, mailbox: Mailbox, waiting: Waiting) -> None:
        raw = mailbox.fetch(waiting.uid, most=BEGINNING if waiting.size > MOST_MAIL else None)
        if raw is None:
            return
        delivery = Delivery(
            self.tenant_id,
            self.box_id,
            mailbox.uid_validity,
            waiting.uid,
            message_id(raw),
            message_digest(raw),
            waiting.size,
        )
        with self.owner.turns, self.app.app_context():
            dealt = deal_with(delivery, raw)
        folder = mailbox.file(waiting.uid, FOLDERS[MailFate(dealt.fate)])
        with self.app.app_context():
            note_filed(db.session, dealt.row_id, folder, utc_now())

    def _note(self, failure: FaxroomError | None, *, idle: bool) -> timedelta:
        """Write down how it goes, and tell who has to know; gives how long to wait with the next look."""
        with self.app.app_context():
            session, now = db.session, utc_now()
            if failure is None:
                note_fine(session, self.box_id, now, idle=idle)
                return timedelta(seconds=self.poll_seconds)
            state = note_fault(session, self.box_id, failure, now)
            if state and is_to_be_told(state, now):
                tell_of_fault(session, state, now)
            delay = delay_after(state.failures if state else 1)
            session.commit()
            return delay

    def _leave(self, failure: FaxroomError | None) -> None:
        """Another look when it is due: at once where only this process is done with the box."""
        delay = timedelta(0) if self.stopped.is_set() else timedelta(seconds=self.poll_seconds)
        if failure:
            log.warning("box %s: %s", self.box_id, failure)
            with self.app.app_context():
                note_failure(self.box_id, failure)
            delay = self._note(failure, idle=False)
        with self.app.app_context():
            give_back(db.session, self.box_id, self.owner.holder, due_at=utc_now() + delay)
