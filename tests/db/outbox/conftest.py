"""What the tests of emails share."""

import email
import email.policy
from email.message import EmailMessage

import pytest

from app.jobs.outbox import notify


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> list[EmailMessage]:
    """What the mail server was handed, read again from its bytes."""
    taken: list[EmailMessage] = []

    def send(_url: str | None, message: EmailMessage) -> None:
        taken.append(email.message_from_bytes(message.as_bytes(), policy=email.policy.default))

    monkeypatch.setattr(notify, "send_mail", send)
    return taken
