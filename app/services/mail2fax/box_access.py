"""What a box signs in with: its password, or a token."""

from cryptography.fernet import InvalidToken

from app.adapters.mail.imap import Server
from app.adapters.mail.tokens import SECONDS, Bearer, TokenPlace
from app.errors import FaxroomError, PermanentFailure, TemporaryFailure
from app.models import BoxSignIn, Mail2FaxBox
from app.rules.mail2fax.box_sign_in import PROVIDERS
from app.rules.mail2fax.boxes import MailServer, read_server
from app.rules.outbox.token_states import forget_access
from app.services.outbox.tokens import bearer_for
from tenants.db import db


def access_to(box: Mail2FaxBox, *, seconds: float = SECONDS) -> tuple[MailServer, Server, str, str | Bearer]:
    """Where it is, and who signs in there with what. Ends the transaction.

    Raises:
        PermanentFailure: ``box_host``, ``sealing_key_unknown``; and what :func:`bearer_for` raises.
        TemporaryFailure: what :func:`bearer_for` raises.
    """
    try:
        server, username, password = read_server(box.imap), box.username, box.password
    except InvalidToken as error:
        raise PermanentFailure("sealing_key_unknown") from error
    except ValueError as error:
        raise PermanentFailure("box_host") from error
    row_id = box.sign_in.id if box.sign_in else None
    db.session.rollback()
    secret = bearer_for(BoxSignIn, row_id, _place, seconds=seconds) if row_id else password
    return server, Server(server.host, server.port, server.security), username, secret


def _place(row: BoxSignIn) -> TokenPlace:
    """Raises TemporaryFailure ``token_sign_in_missing``: nobody has signed in yet."""
    provider, refresh_token = PROVIDERS[row.provider], row.refresh_token or ""
    if provider.needs_person and not refresh_token:
        raise TemporaryFailure("token_sign_in_missing")
    subject = row.box.username if provider.has_key else ""
    return TokenPlace(row.token_url, row.client_id, row.scope, row.client_secret, refresh_token, subject)


def note_failure(box_id: int, failure: FaxroomError) -> None:
    """A token that the mail server does not take is not shown to it again."""
    if failure.code != "imap_token_refused":
        return
    box = db.session.get(Mail2FaxBox, box_id)
    if box and box.sign_in:
        forget_access(db.session, BoxSignIn, box.sign_in.id)
