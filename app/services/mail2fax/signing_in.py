"""A person signs in to a box's mailbox at its provider, and the box keeps what it gets for that."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography.fernet import InvalidToken
from sqlalchemy.orm import Session

from app.adapters.mail.mailbox_sign_in import Errand, sign_in_url, who_signed_in
from app.adapters.mail.tokens import Code, TokenPlace, fetch_token
from app.errors import PermanentFailure, TemporaryFailure
from app.models import BoxSignIn, Mail2FaxBox
from app.rules.mail2fax.box_sign_in import OTHER, PROVIDERS, keep_sign_in, persons_scope
from tenants.db import utc_now

#: With these the provider also says who signed in.
WHO = ("openid", "email")


def url_for_sign_in(box: Mail2FaxBox, row: BoxSignIn, errand: Errand, redirect_uri: str) -> str:
    """Where the person's browser goes."""
    scope, wanted = persons_scope(row), dict(PROVIDERS[row.provider].wanted)
    if row.provider != OTHER:
        scope = " ".join((scope, *WHO))
    elif "offline_access" in scope.split():  # OpenID Connect Core, 11
        wanted["prompt"] = "consent"
    wanted |= {"scope": scope} if scope else {}
    wanted |= {"login_hint": box.username}
    return sign_in_url(row.authorize_url, errand, client_id=row.client_id, redirect_uri=redirect_uri, **wanted)


def finish_sign_in(
    session: Session,
    row: BoxSignIn,
    errand: Errand,
    *,
    began_with: datetime,
    code: str,
    redirect_uri: str,
    allowed: Iterable[str],
    seconds: float,
) -> str:
    """Take the code to the token server and keep the refresh token; gives who signed in, empty if that is not said. No
    transaction is open while the token server thinks. The caller commits.

    Raises:
        PermanentFailure: ``sealing_key_unknown``, ``token_answer_foreign``, ``token_settings_changed``,
            ``token_no_refresh``: none was given; and as :func:`fetch_token`.
        TemporaryFailure: as :func:`fetch_token`; ``token_code_refused``.
    """
    if row.changed_at != began_with:  # whoever entered another token server gets no code
        raise PermanentFailure("token_settings_changed")
    row_id, provider, client_id = row.id, row.provider, row.client_id
    wants_who = provider != OTHER or WHO[0] in persons_scope(row).split()
    try:
        place = TokenPlace(row.token_url, client_id, row.scope, row.client_secret)
    except InvalidToken as error:
        raise PermanentFailure("sealing_key_unknown") from error
    session.rollback()
    try:
        given = fetch_token(place, allowed=allowed, seconds=seconds, code=Code(code, errand.verifier, redirect_uri))
    except TemporaryFailure as failure:
        if failure.code != "token_grant_expired":
            raise
        raise TemporaryFailure("token_code_refused", **failure.values) from None
    now, who = utc_now(), ""
    if wants_who or given.id_token:
        issuer = PROVIDERS[provider].issuer
        who = who_signed_in(given.id_token, errand, client_id=client_id, issuer=issuer, now=now.timestamp())
    if not given.refresh_token:
        raise PermanentFailure("token_no_refresh")
    until = now + timedelta(seconds=given.refresh_seconds) if given.refresh_seconds else None
    tokens: dict[str, object] = {"refresh_token": given.refresh_token, "refresh_until": until}
    tokens |= {"access_token": given.access_token, "access_until": now + timedelta(seconds=given.seconds)}
    row = session.get_one(BoxSignIn, row_id)
    if not keep_sign_in(session, row, began_with=began_with, tokens=tokens, signed_in_as=who):
        raise PermanentFailure("token_settings_changed")
    return who
