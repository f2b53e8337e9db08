"""Mail out, over SMTP."""

import smtplib
import socket
import ssl
from contextlib import suppress
from email.message import EmailMessage
from functools import cache
from urllib.parse import unquote, urlsplit

from app.adapters.mail.tokens import Bearer, Showing, mechanism_of, said
from app.adapters.servers.answers import Answers
from app.errors import PermanentFailure, TemporaryFailure

#: Until a server that is alive has greeted us and let us in; and for each answer about a mail, which it may look
#: through first.
GREETING_SECONDS, SECONDS = 10, 30
LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: RFC 4954: the server wants a login first, at whatever command it says so.
LOGIN_WANTED = 530
#: RFC 1870: at MAIL FROM already, because the size of the mail stands there.
TOO_LARGE = 552


#: Of an answer; the longest of honest servers, to EHLO, has some hundred.
MOST_BYTES = 64 * 1024
#: RFC 5321: it ends the conversation, whatever was asked.
CLOSING = 421


@cache
def _context() -> ssl.SSLContext:
    """Reading the machine's certificates takes longer than a mail does."""
    return ssl.create_default_context()


class _Within:
    """Reads answers in place of a file that smtplib opens: each within the socket's timeout, as a whole."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.answers = sock, Answers()

    def expect_answer(self) -> None:
        self.answers.expect(seconds=self.sock.gettimeout() or SECONDS, lines=MOST_BYTES, most=MOST_BYTES)

    def readline(self, longest: int) -> bytes:
        return self.answers.line(self.sock, longest)

    def close(self) -> None:
        """The socket is smtplib's."""


class _Plain(smtplib.SMTP):
    """smtplib gives up a line that is too long, but not an answer of too many, or one that never ends."""

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Within(self.sock)
        if self.file is not None:
            self.file.expect_answer()
        return super().getreply()


class _Secure(_Plain, smtplib.SMTP_SSL):
    pass


def _connect(url: str, bearer: Bearer | None) -> smtplib.SMTP:
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    if parts.scheme == "smtps":
        server: smtplib.SMTP = _Secure(host, parts.port or 465, timeout=GREETING_SECONDS, context=_context())
    else:
        server = _Plain(host, parts.port or 25, timeout=GREETING_SECONDS)
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls"):
            server.starttls(context=_context())
            server.ehlo()
    if parts.username:
        if not isinstance(server.sock, ssl.SSLSocket) and host not in LOOPBACK:
            server.close()
            raise smtplib.SMTPException("it offers no encryption, so the password was not sent to it")
        if bearer:
            _show_token(server, host, unquote(parts.username), bearer)
        else:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    if server.sock is not None:
        server.sock.settimeout(SECONDS)
    return server


def _show_token(server: smtplib.SMTP, host: str, username: str, bearer: Bearer) -> None:
    server.ehlo_or_helo_if_needed()
    mechanism = mechanism_of(server.esmtp_features.get("auth", "").split())
    if mechanism is None:
        server.close()
        raise smtplib.SMTPException("it takes no tokens (neither XOAUTH2 nor OAUTHBEARER)")
    port = server.sock.getpeername()[1] if server.sock else 0
    showing = Showing(mechanism, username, bearer, host=host, port=port)
    try:
        server.auth(mechanism, showing)
    except smtplib.SMTPAuthenticationError as error:
        answer = error.smtp_error
        words = f"{showing.refused} {answer.decode('utf-8', 'replace') if isinstance(answer, bytes) else answer}"
        raise TokenRefused(error.smtp_code, said(words)) from None


class TokenRefused(smtplib.SMTPAuthenticationError):
    """Another one may be taken."""


def send_mail(url: str | None, message: EmailMessage, bearer: Bearer | None = None) -> None:
    """Hand ``message`` to the server of ``SMTP_URL``, whose user signs in with the URL's password or with ``bearer``.

    Raises:
        TemporaryFailure: ``mail_server_down``: no server, or it refuses us rather than this mail. An operator mends
            that, and the mail has to leave then. ``mail_token_refused``: so, and it was the token.
            ``mail_deferred``: this mail, or this recipient, later (4xx).
        PermanentFailure: ``mail_refused``: it will not take this mail, or not for this recipient (5xx, RFC 5321).
    """
    if not url:
        raise TemporaryFailure("mail_server_down", reason="SMTP_URL is not set")
    try:
        server = _connect(url, bearer)
        try:
            server.send_message(message)
            with suppress(OSError, smtplib.SMTPException):  # it is taken, however the conversation ends
                server.quit()
        finally:
            server.close()
    except TokenRefused as error:
        raise _token_refused(error) from error
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise _failure(code, text, about_mail=True) from error
    except smtplib.SMTPResponseException as error:
        raise _failure(error.smtp_code, error.smtp_error, about_mail=_is_about_mail(error)) from error
    except (OSError, smtplib.SMTPException) as error:
        raise TemporaryFailure("mail_server_down", reason=str(error)) from error


def _is_about_mail(error: smtplib.SMTPResponseException) -> bool:
    """A refused greeting, login or sender would meet every mail; the content and the size are this one's."""
    if isinstance(error, smtplib.SMTPSenderRefused):
        return error.smtp_code == TOO_LARGE
    return isinstance(error, smtplib.SMTPDataError)


def _failure(code: int, text: bytes | str, *, about_mail: bool) -> TemporaryFailure | PermanentFailure:
    """With the server's words as people read them; what it sends is a stranger's text."""
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    reason = " ".join(f"{code} {''.join(c if c.isprintable() else ' ' for c in words)}".split())
    if about_mail and code >= 500 and code != LOGIN_WANTED:
        return PermanentFailure("mail_refused", reason=reason)
    if about_mail and code not in (LOGIN_WANTED, CLOSING):
        return TemporaryFailure("mail_deferred", reason=reason)
    return TemporaryFailure("mail_server_down", reason=reason)


def _token_refused(error: TokenRefused) -> TemporaryFailure:
    """A server that is busy (454) has not looked at it."""
    code = "mail_token_refused" if error.smtp_code >= 500 else "mail_server_down"
    return TemporaryFailure(code, reason=f"{error.smtp_code} {error.smtp_error!s}")


def check_mail_server(url: str | None, bearer: Bearer | None = None) -> None:
    """TemporaryFailure if nobody answers there."""
    if not url:
        raise TemporaryFailure("mail_server_down", reason="SMTP_URL is not set")
    try:
        with _connect(url, bearer) as server:
            server.noop()
    except TokenRefused as error:
        raise _token_refused(error) from error
    except (OSError, smtplib.SMTPException) as error:
        raise TemporaryFailure("mail_server_down", reason=str(error)) from error
