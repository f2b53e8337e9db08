"""A token whenever one is needed: the one that is kept, or another one from the token server. One asks at a time, for a
server may take two questions with one refresh token for a theft."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from cryptography.fernet import InvalidToken
from redis.exceptions import LockError, RedisError

from app.adapters.mail.smtp import check_mail_server
from app.adapters.mail.tokens import REFUSALS, SECONDS, Bearer, TokenPlace, fetch_token
from app.application import settings
from app.config import SmtpTokens
from app.errors import FaxroomError, PermanentFailure, TemporaryFailure
from app.models import BoxSignIn, SmtpSignIn
from app.queues import redis
from app.rules.outbox.token_states import access_of, forget_access, note_given, note_refused, smtp_state
from app.rules.words.sentences import in_language, sentence
from tenants.db import db, utc_now

Row = TypeVar("Row", BoxSignIn, SmtpSignIn)


def bearer_for(kind: type[Row], row_id: int, place_of: Callable[[Row], TokenPlace], *, seconds: float) -> Bearer:
    """No transaction is open while the token server thinks.

    Raises:
        PermanentFailure, TemporaryFailure: as :func:`app.adapters.mail.tokens.fetch_token`; ``sealing_key_unknown``.
    """
    if kept := _kept(kind, row_id):
        return Bearer(kept)
    with _alone(f"{kind.__tablename__}:{row_id}"):
        if kept := _kept(kind, row_id):  # somebody else has just asked
            return Bearer(kept)
        try:
            row = db.session.get_one(kind, row_id, populate_existing=True)
            place, asked_of = place_of(row), row.changed_at if isinstance(row, BoxSignIn) else None
        except InvalidToken as error:
            raise PermanentFailure("sealing_key_unknown") from error
        finally:
            db.session.rollback()
        try:
            given = fetch_token(place, allowed=settings().private_hosts, seconds=seconds)
        except FaxroomError as failure:
            if failure.code in REFUSALS:
                note_refused(db.session, kind, row_id, failure.code)
            raise
        note_given(
            db.session,
            kind,
            row_id,
            access_token=given.access_token,
            seconds=given.seconds,
            refresh_token=given.refresh_token,
            refresh_seconds=given.refresh_seconds,
            asked_of=asked_of,
        )
        return Bearer(given.access_token)


def _kept(kind: type[Row], row_id: int) -> str | None:
    try:
        return access_of(db.session.get_one(kind, row_id, populate_existing=True), utc_now())
    except InvalidToken as error:
        raise PermanentFailure("sealing_key_unknown") from error
    finally:
        db.session.rollback()


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Without Redis two may ask at once: that costs a token, or the next try."""
    lock = redis().lock(f"faxroom:token:{name}", timeout=2 * SECONDS, blocking_timeout=SECONDS)
    held = False
    with suppress(RedisError):
        held = lock.acquire()
    try:
        yield
    finally:
        if held:
            with suppress(RedisError, LockError):
                lock.release()


# ---- For the operator's mail server


def _place(given: SmtpTokens, row: SmtpSignIn) -> TokenPlace:
    return TokenPlace(given.url, given.client_id, given.scope, given.client_secret, row.refresh_token or given.refresh)


def _digest(given: SmtpTokens) -> str:
    words = (given.url, given.client_id, given.scope, given.client_secret, given.refresh)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def hand_over(send: Callable[[str | None, Bearer | None], None]) -> None:
    """``send`` with ``SMTP_URL`` and what signs in there. A token that is not taken is got anew at the next try.

    Raises:
        TemporaryFailure: ``mail_server_down`` where there is no token: an operator mends that, and all mails wait.
    """
    known = settings()
    if known.smtp_tokens is None:
        send(known.smtp_url, None)
        return
    given = known.smtp_tokens
    row_id = smtp_state(db.session, _digest(given)).id
    db.session.rollback()
    try:
        bearer = bearer_for(SmtpSignIn, row_id, lambda row: _place(given, row), seconds=SECONDS)
    except FaxroomError as failure:
        with in_language("en"):
            reason = sentence(failure.code, **{"reason": "-", **failure.values})
        raise TemporaryFailure("mail_server_down", reason=reason) from failure
    try:
        send(known.smtp_url, bearer)
    except TemporaryFailure as failure:
        if failure.code != "mail_token_refused":
            raise
        forget_access(db.session, SmtpSignIn, row_id)
        raise TemporaryFailure("mail_server_down", **failure.values) from failure


def check_operators_server() -> None:
    hand_over(check_mail_server)
