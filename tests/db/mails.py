"""Mails to a Mail2Fax box of alpha."""

import re
from email.message import EmailMessage

import sqlalchemy as sa
from flask import Flask

from app.models import FaxEntity, Mail2FaxBox
from tenants.addresses import claim_address
from tenants.db import db, new_ulid
from tests.dovecot import PASSWORD
from tests.web.cast import Cast, pdf_bytes

NUMBER, PUBLIC, PIN = "0501234567", "+390501234567", "4711"
#: As a signed text has to say it: it names the line.
WISH = f"{NUMBER}@frontdesk"


def write_mail(
    *,
    sender: str = "bob@alpha.test",
    to: str = "fax@alpha.test",
    subject: str = NUMBER,
    text: str = f"PIN {PIN}",
    documents: tuple[bytes, ...] | None = None,
) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = "Mon, 23 Nov 2026 10:00:00 +0100"
    message["Message-ID"] = f"<{new_ulid()}@alpha.test>"
    message.set_content(text)
    for n, content in enumerate((pdf_bytes(),) if documents is None else documents):
        message.add_attachment(content, maintype="application", subtype="pdf", filename=f"letter-{n}.pdf")
    return message


def tells_pin(text: str) -> bool:
    """As a word of its own: within a digest, a boundary or a time the same digits stand by chance."""
    return bool(re.search(rf"(?<!\w){PIN}(?!\w)", text))


def make_box(
    app: Flask, cast: Cast, *, imap: str = "imap://127.0.0.1:1/INBOX", name: str = "fax", **entity: object
) -> int:
    """A box that the front desk has."""
    with app.app_context():
        address = claim_address(db.session, f"{name}@alpha.test")
        box = Mail2FaxBox(
            tenant_id=cast.alpha,
            name=name,
            address=address,
            imap=imap,
            username=f"{name}@alpha.test",
            password=PASSWORD,
        )
        db.session.add(box)
        db.session.flush()
        values = {"authentication": "pin", "pin": PIN} | entity
        mine = sa.update(FaxEntity).where(FaxEntity.id == values.pop("entity_id", cast.frontdesk))
        db.session.execute(mine.values(box_id=box.id))
        line = db.session.scalar(sa.select(FaxEntity).where(FaxEntity.box_id == box.id))
        for field, value in values.items():
            setattr(line, field, value)
        db.session.commit()
        return box.id
