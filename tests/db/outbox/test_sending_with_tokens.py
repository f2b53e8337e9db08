"""Mails out to a server that takes tokens in place of passwords, such as Microsoft's and Google's."""

import base64
import socket
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, Session

import app.jobs.running as running
from app.adapters.mail import smtp
from app.adapters.mail.smtp import check_mail_server, send_mail
from app.adapters.mail.tokens import Bearer
from app.config import Settings, SmtpTokens
from app.errors import TemporaryFailure
from app.jobs.outbox import notify
from app.models import Notice, SmtpSignIn
from app.rules.sending.results import CallFacts, record_result
from app.services.outbox.tokens import hand_over
from tenants.db import db
from tests.db.faxes import dial
from tests.token_server import CLIENT, SECRET, TokenServer, running_token_server

SENDER = "fax@example.test"


class Taker:
    """Takes mails of who shows a token that ``good`` has; says why not as Google does (a challenge, then 535)."""

    def __init__(self, good: set[str]) -> None:
        self.good, self.taken = good, []

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802 - aiosmtpd's name
        words = base64.b64decode(args[1]).decode()
        if words in {f"user={SENDER}\x01auth=Bearer {token}\x01\x01" for token in self.good}:
            return AuthResult(success=True, auth_data=words)
        answer = await server.challenge_auth('{"status": "400", "scope": "mail"}')
        assert answer in (b"", MISSING), "an empty line, and the token not a second time"
        await server.push("535 5.7.8 Username and Password not accepted")
        return AuthResult(success=False, handled=True)

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope.content)
        return "250 OK"


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with running_token_server(SENDER) as server:
        yield server


@pytest.fixture
def taker(tokens: TokenServer) -> Taker:
    return Taker(tokens.good)


@pytest.fixture
def url(taker: Taker) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(taker, hostname="127.0.0.1", port=port, auth_require_tls=False)
    controller.start()
    yield f"smtp://fax%40example.test@127.0.0.1:{port}"
    controller.stop()


@pytest.fixture
def session(app, cast, url, tokens, monkeypatch) -> Iterator:
    given = SmtpTokens(tokens.url, CLIENT, "mail", SECRET, "", None)
    known = replace(app.config["SETTINGS"], smtp_url=url, smtp_tokens=given, private_hosts=("127.0.0.1",))
    app.config["SETTINGS"] = known
    monkeypatch.setattr(running, "application", lambda: app)
    with app.app_context():
        yield db.session


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "FAX", SENDER, "bob@alpha.test"
    mail.set_content("text")
    return mail


def send() -> None:
    hand_over(lambda url, bearer: send_mail(url, message(), bearer))


def test_a_mail_goes_out_with_a_token_that_is_used_again(session, taker, tokens):
    send()
    send()
    assert len(taker.taken) == 2
    assert len(tokens.asked) == 1


def test_a_token_that_is_not_taken_any_more_is_got_anew_at_the_next_try(session, taker, tokens):
    send()
    tokens.good.clear()
    with pytest.raises(TemporaryFailure) as failure:
        send()
    assert failure.value.code == "mail_server_down"
    assert "535" in failure.value.values["reason"]
    assert "status 400" in failure.value.values["reason"]
    send()
    assert len(taker.taken) == 2


@pytest.mark.parametrize("answer", [(503, b""), (401, b'{"error": "invalid_client"}')])
def test_while_there_is_no_token_the_mail_waits_and_says_why(session, cast, taker, tokens, answer, monkeypatch):
    monkeypatch.setattr(notify, "pause", lambda *_: None)
    record_result(session, dial(session, cast).channel_id, CallFacts("unallocated"))
    notice_id = session.scalar(sa.select(Notice.id))
    session.rollback()
    tokens.answer = answer
    notify.deliver(notice_id)
    waiting = session.get_one(Notice, notice_id, populate_existing=True)
    assert (waiting.sent_at, waiting.given_up_at, waiting.cause) == (None, None, "mail_server_down")
    assert "token server" in waiting.error
    assert SECRET not in waiting.error
    tokens.answer, waiting.due_at = None, waiting.created_at
    session.commit()
    notify.deliver(notice_id)
    assert session.get_one(Notice, notice_id, populate_existing=True).sent_at
    assert len(taker.taken) == 1


def test_other_settings_begin_with_another_token(session, app, tokens):
    send()
    known = app.config["SETTINGS"]
    app.config["SETTINGS"] = replace(known, smtp_tokens=replace(known.smtp_tokens, refresh="refresh-0"))
    send()
    assert [asked["grant_type"] for asked in tokens.asked] == ["client_credentials", "refresh_token"]
    assert session.scalar(sa.select(sa.func.count()).select_from(SmtpSignIn)) == 1


def test_tokens_that_no_key_opens_any_more_are_got_anew(session, taker, tokens):
    send()
    session.execute(sa.text("UPDATE smtp_sign_in SET access_token = 'sealed with a key that is gone'"))
    session.commit()
    session.expunge_all()
    send()
    send()
    assert (len(taker.taken), len(tokens.asked)) == (3, 2)


def test_a_server_without_tokens_is_told_as_such(url, monkeypatch):
    monkeypatch.setattr(smtp, "mechanism_of", lambda offered: None)
    with pytest.raises(TemporaryFailure, match="takes no tokens"):
        check_mail_server(url, Bearer("token"))


def test_half_of_the_settings_is_a_fault():
    given = {"SECRET_KEY": "k", "SMTP_TOKEN_URL": "https://login.example.org/token", "SMTP_CLIENT_ID": "c"}
    with pytest.raises(ValueError, match="SMTP_CLIENT_SECRET"):
        Settings.from_environment(given)
    settings = Settings.from_environment(given | {"SMTP_CLIENT_SECRET": "hidden", "SMTP_REFRESH_TOKEN": "hidden"})
    assert "hidden" not in repr(settings)
