"""Mail out, over SMTP."""

import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from functools import cache
from urllib.parse import unquote, urlsplit

from app.errors import PermanentFailure, TemporaryFailure

SECONDS = 30
LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: RFC 4954: the server wants a login first, at whatever command it says so.
LOGIN_WANTED = 530
#: RFC 1870: at MAIL FROM already, because the size of the mail stands there.
TOO_LARGE = 552


@cache
def _context() -> ssl.SSLContext:
    """Reading the machine's certificates takes longer than a mail does."""
    return ssl.create_default_context()


def _connect(url: str) -> smtplib.SMTP:
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=SECONDS, context=_context())
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=SECONDS)
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls"):
            server.starttls(context=_context())
            server.ehlo()
    if parts.username:
        if not isinstance(server.sock, ssl.SSLSocket) and host not in LOOPBACK:
            server.close()
            raise smtplib.SMTPException("it offers no encryption, so the password was not sent to it")
        server.login(unquote(parts.username), unquote(parts.password or ""))
    return server


def send_mail(url: str | None, message: EmailMessage) -> None:
    """Hand ``message`` to the server of ``SMTP_URL``.

    Raises:
        TemporaryFailure: ``mail_server_down``: no server, it said to come back (4xx), or it refuses us rather than this
            mail. An operator mends that, and the mail has to leave then.
        PermanentFailure: ``mail_refused``: it will not take this mail, or not for this recipient (5xx, RFC 5321).
    """
    if not url:
        raise TemporaryFailure("mail_server_down", reason="SMTP_URL is not set")
    try:
        server = _connect(url)
        try:
            server.send_message(message)
            with suppress(OSError, smtplib.SMTPException):  # it is taken, however the conversation ends
                server.quit()
        finally:
            server.close()
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise _failure(code, str(text), about_mail=True) from error
    except smtplib.SMTPResponseException as error:
        raise _failure(error.smtp_code, str(error.smtp_error), about_mail=_is_about_mail(error)) from error
    except (OSError, smtplib.SMTPException) as error:
        raise TemporaryFailure("mail_server_down", reason=str(error)) from error


def _is_about_mail(error: smtplib.SMTPResponseException) -> bool:
    """A refused greeting, login or sender would meet every mail; the content and the size are this one's."""
    if isinstance(error, smtplib.SMTPSenderRefused):
        return error.smtp_code == TOO_LARGE
    return isinstance(error, smtplib.SMTPDataError)


def _failure(code: int, text: str, *, about_mail: bool) -> TemporaryFailure | PermanentFailure:
    if about_mail and code >= 500 and code != LOGIN_WANTED:
        return PermanentFailure("mail_refused", reason=f"{code} {text}")
    return TemporaryFailure("mail_server_down", reason=f"{code} {text}")


def check_mail_server(url: str | None) -> None:
    """TemporaryFailure if nobody answers there."""
    if not url:
        raise TemporaryFailure("mail_server_down", reason="SMTP_URL is not set")
    try:
        with _connect(url) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        raise TemporaryFailure("mail_server_down", reason=str(error)) from error
