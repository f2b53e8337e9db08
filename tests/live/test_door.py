"""An email that is handed in at the door of a running instance goes out on the real line, once, whoever dies."""

import os
import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models import BoxSource, Fax, FaxEntity, Mail2FaxBox, MailMessage, Origin, Status
from tenants.addresses import claim_address
from tenants.db import new_ulid
from tenants.models import Tenant
from tests.live.instance import Instance
from tests.web.cast import pdf_bytes

pytestmark = pytest.mark.live

ALICE, DOMAIN, FAR = "alice@alpha.test", "fax.faxroom.test", "+493023125000"


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Instance(Path(os.environ["FAXROOM_TEST_HOME"]))


@pytest.fixture(scope="module")
def line(instance: Instance) -> Iterator[str]:
    """The address of one that has a box at the door for as long as this file runs."""
    name = f"door-{new_ulid().lower()}"
    with instance.session() as session:
        alpha = session.scalars(sa.select(Tenant).where(Tenant.slug == "alpha")).one()
        lines = sa.select(FaxEntity).where(FaxEntity.tenant_id == alpha.id, FaxEntity.closed_at.is_(None))
        chosen = session.scalars(lines.order_by(FaxEntity.box_id.is_not(None), FaxEntity.id)).first()
        before = chosen.box_id, chosen.authentication
        box = Mail2FaxBox(tenant_id=alpha.id, name=name, address=claim_address(session, f"{name}@{DOMAIN}"))
        box.source, box.imap, box.username, box.password = BoxSource.DOOR, "", "", ""
        session.add(box)
        session.flush()
        chosen.box_id, chosen.authentication = box.id, "none"
        line_id, label = chosen.id, chosen.extension
        session.commit()
    yield f"{FAR}@{label}.{DOMAIN}"
    with instance.session() as session:
        chosen = session.get_one(FaxEntity, line_id)
        chosen.box_id, chosen.authentication = before
        session.commit()


def email() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["Subject"], message["Message-ID"] = ALICE, "Contract", f"<{new_ulid()}@alpha.test>"
    message.set_content("Please send this.")
    message.add_attachment(pdf_bytes(1), maintype="application", subtype="pdf", filename="contract.pdf")
    return message


def connected(*, seconds: float = 240) -> smtplib.SMTP:
    """To the door, when it is there."""
    end = time.monotonic() + seconds
    while True:
        try:
            return smtplib.SMTP("127.0.0.1", int(os.environ["FAXROOM_TEST_DOOR_PORT"]), timeout=60)
        except OSError:
            assert time.monotonic() < end, "the door did not come back"
            time.sleep(0.3)


def hand_in(message: EmailMessage, to: str, sender: str = ALICE) -> None:
    with connected() as client:
        client.sendmail(sender, [to], message.as_bytes())


def faxes_of(instance: Instance, message: EmailMessage) -> list[Fax]:
    with instance.session() as session:
        mine = sa.select(MailMessage.fax_id).where(MailMessage.message_id == message["Message-ID"])
        found = list(session.scalars(sa.select(Fax).where(Fax.id.in_(mine))))
        session.expunge_all()
        return found


def test_an_email_that_is_handed_in_goes_out_on_the_line_and_its_sender_is_answered(
    instance: Instance, line: str
) -> None:
    message = email()
    hand_in(message, line)
    (fax,) = faxes_of(instance, message)
    assert (fax.origin, fax.remote_number) == (Origin.MAIL, FAR)
    answer = instance.mailed(ALICE, lambda mail: mail["In-Reply-To"] == message["Message-ID"])
    assert f"/faxes/{fax.id}" in answer.get_content()
    instance.until(fax.id, lambda fax: fax.status == Status.SENT)


def test_a_door_that_is_killed_is_back_and_knows_the_email_again(instance: Instance, line: str) -> None:
    message = email()
    hand_in(message, line)
    assert instance.kill("worker.py door")
    message.set_boundary("another-try")
    hand_in(message, line)
    assert len(faxes_of(instance, message)) == 1


def test_the_mail_server_of_one_company_hands_in_nothing_for_another(instance: Instance, line: str) -> None:
    message = email()
    message.replace_header("From", "charlie@beta.test")
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        hand_in(message, line, sender="charlie@beta.test")
    assert refused.value.smtp_code == 550
    assert faxes_of(instance, message) == []
