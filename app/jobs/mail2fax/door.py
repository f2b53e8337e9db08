"""The door: takes emails that are handed in by SMTP and LMTP, and makes faxes of them before it says 250.

Any number of these processes may run and be killed at any moment: what was not answered is handed in again, and is
known again (:mod:`app.rules.mail2fax.door`).
"""

import asyncio
import logging
import signal
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from flask import Flask
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.confined.isolation import open_workshop
from app.adapters.mail.door import Door, Place, Turned
from app.config import DoorSettings, Peer, Settings
from app.errors import PermanentFailure, Refused, TemporaryFailure
from app.jobs.mail2fax.messages import MOST_MAIL, TOO_MUCH, deal_with, tell_refused
from app.jobs.pulse import Pulse
from app.jobs.running import application
from app.models import MailFate, MailMessage
from app.rules.ground.holding import held_since
from app.rules.mail2fax.door import (
    UNKNOWN,
    Envelope,
    Guest,
    Sender,
    Target,
    companies_unknown,
    delivery_of,
    is_known_again,
    sender_of_envelope,
    sign_in,
    still_valid,
    target_of,
)
from app.rules.words.sentences import in_language, sentence
from app.services.documents.disk_room import disks
from app.services.mail2fax.wishes import wish_digest
from app.services.upkeep.health import beat
from tenants.connections import JOB, waiting
from tenants.db import db, only_reading, utc_now
from tenants.languages import USUAL

log = logging.getLogger(__name__)

T = TypeVar("T")

TICK, STOP_SECONDS = 3.0, 5.0
#: Messages that one process works on at once.
MOST_AT_ONCE = 4

ACCEPTED = "250 2.0.0 Accepted"
REPEATED = "250 2.0.0 Accepted before, sent once"
TESTED = "250 2.0.0 Test passed, nothing was sent"
ENDED = "535 5.7.8 This user name and password were withdrawn."
UNTELLABLE = "550 5.6.0 This email has neither a Message-ID nor a date. Have the program write one of them."


def run() -> None:
    """Listen until SIGTERM.

    Raises:
        SystemExit: the operator has switched no door on, or a port or certificate cannot be used.
    """
    app = application()
    settings: Settings = app.config["SETTINGS"]
    if not settings.door.is_open:
        raise SystemExit("Set FAXROOM_DOOR_PORT or FAXROOM_DOOR_LMTP_PORT to take emails here.")
    open_workshop()
    _warn_of_companies(app, settings.door)
    try:
        asyncio.run(_listen(app, settings.door))
    except (OSError, ssl.SSLError) as error:
        raise SystemExit(f"The door cannot be opened: {error}") from error


def _warn_of_companies(app: Flask, settings: DoorSettings) -> None:
    with app.app_context():
        try:
            for name in companies_unknown(db.session, settings.companies):
                log.warning("FAXROOM_DOOR_PEERS: there is no company %s", name)
        except SQLAlchemyError as error:
            log.warning("the companies of FAXROOM_DOOR_PEERS were not looked up: %s", error)
        finally:
            db.session.rollback()


async def _listen(app: Flask, settings: DoorSettings) -> None:
    door, stopping, pulse = Door(Desk(app, settings.domain), workers=MOST_AT_ONCE), asyncio.Event(), Pulse()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    for place in places(settings):
        port = await door.begin(place)
        log.info("%s on %s port %s", "LMTP" if place.lmtp else "SMTP", place.host, port)
    while not stopping.is_set():
        pulse.step()
        await door.ask(lambda: _beat(app))
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), TICK)
    await door.end(STOP_SECONDS)


def _beat(app: Flask) -> None:
    with app.app_context():
        try:
            beat("door")
        except RedisError as error:
            log.warning("no sign of life: %s", error)


def places(settings: DoorSettings) -> list[Place]:
    tls = Certificate(settings.certificate, settings.key)
    tls()  # one that cannot be read is told now
    ports = ((settings.port, False), (settings.lmtp_port, True))
    return [
        Place(settings.bind, port, settings.name, settings.peers, MOST_MAIL, lmtp=lmtp, tls=tls)
        for port, lmtp in ports
        if port
    ]


class Certificate:
    """Read again when it was renewed; one that cannot be read leaves the one before."""

    def __init__(self, certificate: Path | None, key: Path | None) -> None:
        self.certificate, self.key = certificate, key
        self.context: ssl.SSLContext | None = None
        self.read_at = 0

    def __call__(self) -> ssl.SSLContext | None:
        if self.certificate is None or self.key is None:
            return None
        try:
            changed = max(self.certificate.stat().st_mtime_ns, self.key.stat().st_mtime_ns)
            if changed != self.read_at:
                fresh = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                fresh.load_cert_chain(self.certificate, self.key)
                self.context, self.read_at = fresh, changed
        except (OSError, ssl.SSLError) as error:
            if self.context is None:
                raise
            log.warning("the renewed certificate cannot be read: %s", error)
        return self.context


# ---- What is answered


class Desk:
    """The rules behind the door."""

    def __init__(self, app: Flask, domain: str) -> None:
        self.app, self.domain = app, domain

    def sign_in(self, username: str, secret: str) -> Guest | None:
        return self._answered(lambda: sign_in(db.session, username, secret, utc_now()))

    def sender(self, host: Guest | Peer, address: str) -> Sender:
        return self._answered(lambda: self._sender(host, address))

    def _sender(self, host: Guest | Peer, address: str) -> Sender:
        if held_since(db.session):
            raise TemporaryFailure("held")
        if disks().full():
            raise TemporaryFailure("no_room")
        if isinstance(host, Guest) and not still_valid(db.session, host):
            raise Turned(ENDED)
        if isinstance(host, Guest):
            return sender_of_envelope(db.session, host, address)
        return sender_of_envelope(db.session, None, address, host.companies)

    def company(self, sender: Sender) -> int:
        return sender.tenant_id

    def recipient(self, sender: Sender, address: str) -> Target:
        return self._answered(lambda: self._recipient(sender, address))

    def _recipient(self, sender: Sender, address: str) -> Target:
        with only_reading():
            return target_of(db.session, sender, address, self.domain, utc_now())

    def take(
        self, guest: Guest | None, sender: Sender, recipients: Sequence[Target], content: bytes, *, each: bool
    ) -> list[str]:
        """With one answer for all, what can be tried again decides: those that are done with are known then. Else one
        that was accepted is worth the yes, and the others are told by email; a no tells of all of them."""
        if guest and not self._answered(lambda: still_valid(db.session, guest)):
            raise Turned(ENDED)
        if not is_known_again(content):
            return [UNTELLABLE] * (len(recipients) if each else 1)
        wish = wish_digest(content)
        answers = [self._taken(sender, target, content, wish) for target in recipients]
        if each:
            return answers
        answer = min(answers, key=lambda answer: "425".index(answer[0]))
        for target, refusal in zip(recipients, answers, strict=True):
            if answer.startswith("2") and refusal.startswith("5"):
                self._tell(sender, target, content, wish)
        return [answer]

    def _taken(self, sender: Sender, target: Target, content: bytes, wish: str) -> str:
        envelope = Envelope(sender.email, sender.machine, target.wanted)
        try:
            return self._answered(lambda: self._dealt(target, content, wish, envelope))
        except Turned as turned:
            return turned.answer

    def _tell(self, sender: Sender, target: Target, content: bytes, wish: str) -> None:
        envelope = Envelope(sender.email, sender.machine, target.wanted)
        self._answered(lambda: tell_refused(delivery_of(target, content, wish), content, envelope))

    def _dealt(self, target: Target, content: bytes, wish: str, envelope: Envelope) -> str:
        dealt = deal_with(delivery_of(target, content, wish), content, envelope)
        if dealt.fate == MailFate.REFUSED:
            row = db.session.get_one(MailMessage, dealt.row_id)
            raise Turned(f"550 5.7.1 {_said(row.reason or 'mail_unreadable', row.reason_values or {})}")
        return {MailFate.REPEATED: REPEATED, MailFate.TESTED: TESTED}.get(MailFate(dealt.fate), ACCEPTED)

    def _answered(self, work: Callable[[], T]) -> T:
        """In English, as the answers of mail servers are: the sender's server shows them as they come."""
        with self.app.app_context(), waiting(JOB), in_language(USUAL):
            try:
                return work()
            except Turned:
                raise
            except Refused as refusal:
                raise Turned(_refusal(refusal)) from refusal
            except TemporaryFailure as failure:
                log.warning("an email waits: %s", failure)
                raise Turned(_later(failure)) from failure
            except PermanentFailure as failure:
                raise Turned(f"550 5.6.0 {_said(failure.code, failure.values)}") from failure
            except (SQLAlchemyError, RedisError, OSError) as error:
                log.warning("an email waits: %s", error)
                raise Turned("451 4.3.0 Something that Faxroom needs does not answer. Try again later.") from error
            finally:
                db.session.rollback()


def _refusal(refusal: Refused) -> str:
    code = "550 5.1.1" if refusal.code in UNKNOWN else "550 5.7.1"
    return f"{code} {_said(refusal.code, refusal.values)}"


def _later(failure: TemporaryFailure) -> str:
    if failure.code in TOO_MUCH:
        return f"452 4.2.2 {_said(failure.code, failure.values)}"
    if failure.code == "no_room":
        return "452 4.3.1 A disk is full here. Try again later."
    if failure.code == "held":
        return "451 4.3.2 Faxroom was restored from a backup and takes nothing yet. Try again later."
    return "451 4.3.0 Faxroom cannot take this email at the moment. Try again later."


def _said(code: str, values: dict[str, object]) -> str:
    return str(sentence(code, **values))
