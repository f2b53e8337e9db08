"""The T.38 entrance (:mod:`app.adapters.telephony.entrance`), open where an operator has given it a port.

Whose call it is follows from the address that it comes from, as Asterisk itself has it: it is asked every few seconds,
so that what an operator has added by hand counts too, and no name is looked up twice.
"""

import asyncio
import ipaddress
import logging
import re
import signal
from contextlib import suppress

from flask import Flask
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.telephony.ari import Ari
from app.adapters.telephony.entrance import Entrance
from app.adapters.telephony.passing import Passed
from app.adapters.telephony.sip import read_message
from app.config import Settings
from app.errors import FaxroomError
from app.jobs.pulse import Pulse
from app.jobs.running import application
from app.rules.ground.trunks import enabled
from app.rules.numbers.called import SIGNS
from app.rules.receiving.packets import packet_wanted
from app.rules.sending.ladder import USUAL_PACKET
from app.rules.sending.trunks.fields import ENTRANCE_HEADER, entrance_secret, vouching
from app.rules.sending.trunks.table import fields_of
from app.services.upkeep.health import beat
from tenants.db import db, only_reading, utc_now

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
#: A call does not wait longer for a database to say how large its packets are to be.
ASK_SECONDS = 2.0
#: The number is not for us (RFC 3323, 4.2; the older Remote-Party-ID).
_WITHHELD = re.compile(r"\b(id|user|header)\b"), re.compile(r"privacy=\"?(full|uri)")


class Trusted:
    """``known``: trunk → its addresses; None until Asterisk has told them."""

    def __init__(self, line: Ari) -> None:
        self._line = line
        self.known: dict[str, list[ipaddress.IPv4Network | ipaddress.IPv6Network]] | None = None

    def look(self) -> None:
        """
        Raises:
            FaxroomError: Asterisk does not tell. What is known stays.
            SQLAlchemyError: likewise the database.
        """
        with only_reading():
            trunks = [fields_of(trunk) for trunk in enabled(db.session)]
            db.session.rollback()
        names = [trunk.name for trunk in trunks if trunk.may_use_entrance]
        told = {name: self._line.addresses_of(name) for name in names}
        self.known = {name: [ipaddress.ip_network(one, strict=False) for one in of] for name, of in told.items()}

    def trunk_of(self, address: str) -> str | None:
        found = ipaddress.ip_address(address)
        return next((name for name, of in (self.known or {}).items() if any(found in one for one in of)), None)


def run() -> None:
    """Until SIGTERM.

    Raises:
        SystemExit: the operator has given it no port, or one that somebody else has.
    """
    app = application()
    settings: Settings = app.config["SETTINGS"]
    if not settings.entrance_port:
        raise SystemExit("Set FAXROOM_ENTRANCE_PORT to take calls that begin with T.38 alone.")
    try:
        asyncio.run(_serve(app, settings))
    except OSError as error:
        raise SystemExit(f"The T.38 entrance cannot be opened: {error}") from error


async def _serve(app: Flask, settings: Settings) -> None:
    """Open once it is known whom to trust."""
    trusted, stopping, pulse = Trusted(app.extensions["asterisk"]), asyncio.Event(), Pulse()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    secret, entrance = entrance_secret(settings.ari_password), None
    while not stopping.is_set():
        pulse.step()
        await asyncio.to_thread(_look, app, trusted)
        if entrance is None and trusted.known is not None:
            entrance = Entrance(
                port=settings.entrance_port,
                sip_port=settings.sip_port,
                secret=secret,
                trunk_of=trusted.trunk_of,
                header=ENTRANCE_HEADER,
                vouching=lambda trunk: vouching(secret, trunk),
                packet_for=lambda invite, trunk: _packet_for(app, invite, trunk),
                address=settings.entrance_address,
            )
            await entrance.open()
            log.info("open at UDP port %s", entrance.port)
        if entrance and (told := entrance.take_refused()):
            log.warning("refused, because no trunk has the address: %s", told)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)
    if entrance:
        entrance.close()


async def _packet_for(app: Flask, invite: Passed, trunk: str) -> int | None:
    try:
        return await asyncio.wait_for(asyncio.to_thread(packet_asked, app, invite, trunk), ASK_SECONDS)
    except TimeoutError:
        log.warning("a call goes on with packets as they are: the database does not answer")
        return None


def packet_asked(app: Flask, invite: Passed, trunk: str) -> int | None:
    """Milliseconds of sound that a packet of this call is to hold; None: as many as it has. Which number is meant and
    who calls is as Asterisk will tell it (asterisk/extensions.conf, faxroom-signs)."""
    said, (privacy, party) = read_message(invite.write()), _WITHHELD
    if said is None or privacy.search(invite.get("Privacy")) or party.search(invite.get("Remote-Party-ID")):
        return None
    called = "|".join([said.meant, *(invite.get(sign).replace("|", "")[:120] for sign in SIGNS[1:]), trunk])
    with app.app_context():
        try:
            with only_reading():
                packet = packet_wanted(db.session, called, said.caller, utc_now())
        except (FaxroomError, SQLAlchemyError) as error:
            log.warning("a call goes on with packets as they are: %s", error)
            return None
        finally:
            db.session.rollback()
    return packet if packet != USUAL_PACKET else None


def _look(app: Flask, trusted: Trusted) -> None:
    with app.app_context():
        try:
            trusted.look()
        except (FaxroomError, SQLAlchemyError) as error:
            log.warning("the trunks' addresses are not known anew: %s", error)
        finally:
            db.session.rollback()
        if trusted.known is not None:
            with suppress(RedisError):
                beat("entrance")
