"""The T.38 entrance (:mod:`app.adapters.telephony.entrance`), open where an operator has given it a port.

Whose call it is follows from the address that it comes from, as Asterisk itself has it: it is asked every few seconds,
so that what an operator has added by hand counts too, and no name is looked up twice.
"""

import asyncio
import ipaddress
import logging
import signal
from contextlib import suppress

from flask import Flask
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.telephony.ari import Ari
from app.adapters.telephony.entrance import Entrance
from app.config import Settings
from app.errors import FaxroomError
from app.jobs.pulse import Pulse
from app.jobs.running import application
from app.rules.ground.trunks import enabled
from app.rules.sending.trunks.fields import ENTRANCE_HEADER, entrance_secret, vouching
from app.rules.sending.trunks.table import fields_of
from app.services.upkeep.health import beat
from tenants.db import db, only_reading

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0


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
