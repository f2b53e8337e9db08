"""Mail out, to a real SMTP server on loopback."""

import smtplib
import socket
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.adapters import smtp
from app.adapters.smtp import check_mail_server, send_mail
from app.errors import PermanentFailure, TemporaryFailure


class Postmaster:
    """Takes mail, except for two recipients."""

    ANSWERS = {"nobody@alpha.test": "550 no such user", "busy@alpha.test": "451 try again later"}

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.goodbye = "221 Bye"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.ANSWERS:
            return self.ANSWERS[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self.goodbye

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope.content)
        return "250 OK"


@pytest.fixture
def postmaster() -> Postmaster:
    return Postmaster()


@pytest.fixture
def url(postmaster: Postmaster) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(postmaster, hostname="127.0.0.1", port=port)
    controller.start()
    yield f"smtp://127.0.0.1:{port}"
    controller.stop()


def message(recipient: str) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "FAX", "faxroom@alpha.test", recipient
    mail.set_content("Perché così")
    return mail


def test_a_mail_arrives(url, postmaster):
    send_mail(url, message("bob@alpha.test"))
    assert b"Subject: FAX" in postmaster.taken[0]


def test_a_recipient_that_does_not_exist_is_a_permanent_failure(url):
    with pytest.raises(PermanentFailure, match="no such user"):
        send_mail(url, message("nobody@alpha.test"))


def test_a_server_that_says_later_is_a_temporary_failure(url):
    with pytest.raises(TemporaryFailure, match="try again later"):
        send_mail(url, message("busy@alpha.test"))


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:1", None, ""])
def test_no_server_is_a_temporary_failure(url):
    with pytest.raises(TemporaryFailure, match="mail_server_down"):
        send_mail(url, message("bob@alpha.test"))
    with pytest.raises(TemporaryFailure, match="mail_server_down"):
        check_mail_server(url)


def test_a_mail_that_is_taken_is_sent_however_the_server_says_goodbye(url, postmaster):
    postmaster.goodbye = "421 I have had enough"
    send_mail(url, message("alice@alpha.test"))
    assert len(postmaster.taken) == 1


def test_a_password_is_never_sent_in_clear_to_another_machine(url, postmaster, monkeypatch):
    monkeypatch.setattr(smtp, "LOOPBACK", ())
    monkeypatch.setattr(smtplib.SMTP, "login", lambda *_: pytest.fail("the password went out"))
    with pytest.raises(TemporaryFailure, match="no encryption"):
        send_mail(url.replace("smtp://", "smtp://user:secret@"), message("bob@alpha.test"))
    assert postmaster.taken == []
