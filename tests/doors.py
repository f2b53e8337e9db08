"""A door that listens on this machine, with its certificate, and what a test hands in there."""

import asyncio
import smtplib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask

from app.adapters.mail.door import Door
from app.config import DoorSettings
from app.jobs.mail2fax.door import Desk, places
from app.models import BoxSource, FaxEntity, Mail2FaxBox
from app.rules.mail2fax.door import make_credential
from tenants.addresses import claim_address
from tenants.db import db
from tests.dovecot import free_port

DOMAIN = "fax.house.test"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "door.test")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = (
        made.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(days=2))
    )
    certificate, secret = folder / "door.pem", folder / "door.key"
    certificate.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return certificate, secret


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextmanager
def open_door(app: Flask, settings: DoorSettings) -> Iterator[Door]:
    """In a thread of this process."""
    began, doors = threading.Event(), []

    async def listen() -> None:
        door = Door(Desk(app, settings.domain), workers=4)
        for place in places(settings):
            await door.begin(place)
        stop = asyncio.Event()
        doors.append((door, asyncio.get_running_loop(), stop))
        began.set()
        await stop.wait()
        await door.end(5)

    thread = threading.Thread(target=lambda: asyncio.run(listen()), daemon=True)
    thread.start()
    assert began.wait(60), "the door was not opened"
    door, loop, stop = doors[0]
    try:
        yield door
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)


def door_settings(folder: Path, **changes: object) -> DoorSettings:
    certificate, key = make_certificate(folder)
    local = DoorSettings.read(lambda name, default: "127.0.0.0/8" if name == "FAXROOM_DOOR_PEERS" else default)
    found = replace(local, port=free_port(), lmtp_port=free_port(), domain=DOMAIN, name=DOMAIN)
    return replace(found, certificate=certificate, key=key, **changes)


def make_door_box(app: Flask, tenant_id: int, *line_ids: int, name: str = "door", **line: object) -> int:
    """A box at the door that these lines have."""
    with app.app_context():
        box = Mail2FaxBox(
            tenant_id=tenant_id,
            name=name,
            address=claim_address(db.session, f"{name}@{DOMAIN}"),
            source=BoxSource.DOOR,
            imap="",
            username="",
            password="",
        )
        db.session.add(box)
        db.session.flush()
        for one in db.session.scalars(sa.select(FaxEntity).where(FaxEntity.id.in_(line_ids))):
            one.box_id = box.id
            for field, value in line.items():
                setattr(one, field, value)
        db.session.commit()
        return box.id


def credential(app: Flask, box_id: int, user_id: int | None = None, name: str = "Copier") -> tuple[str, str]:
    """User name and secret."""
    with app.app_context():
        made, secret = make_credential(db.session, db.session.get_one(Mail2FaxBox, box_id), name=name, user_id=user_id)
        db.session.commit()
        return made.username, secret


def hand_in(settings: DoorSettings, content: bytes, *to: str, sender: str = "bob@alpha.test") -> dict[str, tuple]:
    """As a trusted peer; what was refused of its recipients (smtplib.SMTP.sendmail)."""
    with smtplib.SMTP("127.0.0.1", settings.port, timeout=100) as client:
        return client.sendmail(sender, list(to), content)
