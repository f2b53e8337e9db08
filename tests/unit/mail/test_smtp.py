"""Mail out, to a real SMTP server on loopback."""

import smtplib
import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from app.adapters.mail import smtp
from app.adapters.mail.smtp import check_mail_server, send_mail
from app.errors import PermanentFailure, TemporaryFailure


class Postmaster:
    """Takes mail, except for some recipients, and what ``refusals`` names by command."""

    ANSWERS = {
        "nobody@alpha.test": "550 no such user",
        "busy@alpha.test": "451 try again later",
        "outside@alpha.test": "530 5.7.0 Authentication required",
    }

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.refusals: dict[str, str] = {}
        self.goodbye = "221 Bye"

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, name: str, responses: list[str]
    ) -> list[str]:
        if "HELO" in self.refusals:
            return [self.refusals["HELO"]]
        session.host_name = name
        return responses

    async def handle_HELO(self, server: SMTP, session: Session, envelope: Envelope, name: str) -> str:  # noqa: N802
        return self.refusals["HELO"]

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.refusals.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.ANSWERS:
            return self.ANSWERS[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self.goodbye

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if "DATA" in self.refusals:
            return self.refusals["DATA"]
        self.taken.append(envelope.content)
        return "250 OK"


@pytest.fixture
def postmaster() -> Postmaster:
    return Postmaster()


@pytest.fixture
def url(postmaster: Postmaster) -> Iterator[str]:
    """A server that lets nobody log in and takes mails of 10 kB."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(
        postmaster,
        hostname="127.0.0.1",
        port=port,
        data_size_limit=10_000,
        authenticator=lambda *_: AuthResult(success=False, handled=False),
        auth_require_tls=False,
    )
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


def test_a_mail_that_the_server_will_not_take_is_a_permanent_failure(url, postmaster):
    postmaster.refusals["DATA"] = "554 5.7.1 this looks like spam"
    with pytest.raises(PermanentFailure, match="looks like spam"):
        send_mail(url, message("bob@alpha.test"))


def test_a_mail_that_is_too_large_is_a_permanent_failure(url):
    mail = message("bob@alpha.test")
    mail.set_content(("x" * 70 + "\n") * 200, cte="7bit")
    with pytest.raises(PermanentFailure, match="552"):
        send_mail(url, mail)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("HELO", "550 I do not know you"),
        ("MAIL", "550 5.7.1 sender rejected"),
        ("MAIL", "530 5.7.0 Authentication required"),
        ("MAIL", "553 this sender is somebody else's"),
        ("DATA", "530 5.7.0 Authentication required"),
        ("MAIL", "451 come back later"),
    ],
)
def test_a_server_that_refuses_us_and_not_the_mail_is_a_temporary_failure(url, postmaster, command, answer):
    postmaster.refusals[command] = answer
    with pytest.raises(TemporaryFailure, match=answer[4:]) as failure:
        send_mail(url, message("bob@alpha.test"))
    assert failure.value.code == "mail_server_down"


def test_a_mail_or_a_recipient_that_is_put_off_waits_alone_and_says_why(url, postmaster):
    with pytest.raises(TemporaryFailure) as failure:
        send_mail(url, message("busy@alpha.test"))
    assert (failure.value.code, failure.value.values["reason"]) == ("mail_deferred", "451 try again later")
    postmaster.refusals["DATA"] = "452 no room at the moment"
    with pytest.raises(TemporaryFailure, match="mail_deferred"):
        send_mail(url, message("bob@alpha.test"))


def test_a_server_that_ends_the_conversation_is_away_for_every_mail(url, postmaster):
    postmaster.refusals["DATA"] = "421 4.3.2 shutting down"
    with pytest.raises(TemporaryFailure, match="mail_server_down"):
        send_mail(url, message("bob@alpha.test"))


def test_a_recipient_for_whom_a_login_is_wanted_is_a_temporary_failure(url):
    with pytest.raises(TemporaryFailure, match=r"mail_server_down.*530"):
        send_mail(url, message("outside@alpha.test"))


def test_a_login_that_is_refused_is_a_temporary_failure(url, postmaster):
    with pytest.raises(TemporaryFailure, match=r"mail_server_down.*535"):
        send_mail(url.replace("smtp://", "smtp://faxroom:old-password@"), message("bob@alpha.test"))
    assert postmaster.taken == []


def test_a_server_that_greets_with_a_refusal_is_a_temporary_failure():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with server.accept()[0] as caller:
                caller.sendall(b"554 no service for this address\r\n")

        greeter = threading.Thread(target=greet)
        greeter.start()
        with pytest.raises(TemporaryFailure, match=r"mail_server_down.*no service"):
            send_mail(f"smtp://127.0.0.1:{server.getsockname()[1]}", message("bob@alpha.test"))
        greeter.join()


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
