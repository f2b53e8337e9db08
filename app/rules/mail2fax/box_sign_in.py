"""How a box gets the tokens that it signs in with: what may be entered, by provider."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from app.errors import Refused
from app.models import BoxSignIn, Mail2FaxBox
from app.rules.mail2fax.service_keys import FIELD, read_service_key
from tenants.db import rows_changed, utc_now

PASSWORD, MICROSOFT, GOOGLE, OTHER = "password", "microsoft", "google", "other"
GOOGLE_SERVICE = "google_service"


@dataclass(frozen=True)
class Provider:
    """``token_url``, ``authorize_url`` (where a person signs in) and scopes as the provider documents them, for the
    program's own tokens and for a person's; empty: to be entered. ``wanted`` is what else is said to have a refresh
    token, ``issuer`` how the name begins of who says who signed in. https://learn.microsoft.com/exchange/client-developer/legacy-protocols/
    how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth, https://developers.google.com/workspace/gmail/imap/
    xoauth2-protocol"""

    token_url: str = ""
    scope: str = ""
    persons_scope: str = ""
    needs_person: bool = False
    authorize_url: str = ""
    issuer: str = ""
    wanted: tuple[tuple[str, str], ...] = ()
    has_key: bool = False

    @property
    def usual_scopes(self) -> tuple[str, str]:
        return self.scope, self.persons_scope


PROVIDERS = {
    MICROSOFT: Provider(
        "https://login.microsoftonline.com/{directory}/oauth2/v2.0/token",
        "https://outlook.office365.com/.default",
        "https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
        authorize_url="https://login.microsoftonline.com/{directory}/oauth2/v2.0/authorize",
        issuer="https://login.microsoftonline.com/",
        wanted=(("prompt", "select_account"),),
    ),
    GOOGLE: Provider(
        "https://oauth2.googleapis.com/token",
        "",
        "https://mail.google.com/",
        needs_person=True,
        authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
        issuer="https://accounts.google.com",
        wanted=(("access_type", "offline"), ("prompt", "select_account consent")),
    ),
    GOOGLE_SERVICE: Provider("https://oauth2.googleapis.com/token", "https://mail.google.com/", has_key=True),
    OTHER: Provider(),
}
_DIRECTORY = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.-]{0,252}[0-9A-Za-z])?")
_WORD = re.compile(r"[\x21-\x7e]{1,255}")
_SCOPE = re.compile(r"[\x20-\x7e]{0,1000}")
_SECRET = re.compile(r"[\x21-\x7e]{0,8000}")
#: What follows from asking the token server.
_GIVEN = ("access_token", "access_until", "refresh_until", "refused", "refused_at")


@dataclass(frozen=True)
class SignInDetails:
    """As typed. Empty secrets leave those that are kept; an empty scope means the provider's usual one."""

    way: str = PASSWORD
    directory: str = ""
    token_url: str = ""
    authorize_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    service_key: str = ""
    refresh_token: str = ""
    scope: str = ""
    secret_ends_on: str = ""

    def url(self) -> str:
        preset = PROVIDERS[self.way].token_url
        return preset.format(directory=self.directory) if preset else self.token_url

    def sign_in_page(self) -> str:
        """Where a person signs in to the mailbox; empty where nobody does."""
        preset = PROVIDERS[self.way].authorize_url
        if PROVIDERS[self.way].token_url:
            return preset.format(directory=self.directory)
        return self.authorize_url


def sign_in_details(row: BoxSignIn | None) -> SignInDetails:
    if row is None:
        return SignInDetails()
    ends = row.secret_ends_on.isoformat() if row.secret_ends_on else ""
    provider = PROVIDERS[row.provider]
    places = ("", "") if provider.token_url else (row.token_url, row.authorize_url)
    scope = "" if row.scope in provider.usual_scopes else row.scope
    return SignInDetails(row.provider, row.directory or "", *places, row.client_id, scope=scope, secret_ends_on=ends)


def judge_sign_in(details: SignInDetails, row: BoxSignIn | None) -> dict[str, Refused]:
    """What is wrong, by field of the form."""
    if details.way == PASSWORD:
        return {}
    if details.way not in PROVIDERS:
        return {"way": Refused("box_security", field="way")}
    provider = PROVIDERS[details.way]
    try:
        details = _with_key(details, row)
    except Refused as refusal:
        return {FIELD: refusal}
    again = row is None or _is_another(details, row)
    faults = [
        None
        if details.way != MICROSOFT or _DIRECTORY.fullmatch(details.directory)
        else Refused("token_directory", field="directory"),
        None if provider.token_url or _is_url(details.token_url) else Refused("token_url", field="token_url"),
        None
        if provider.token_url or not details.authorize_url or _is_url(details.authorize_url)
        else Refused("token_authorize_url", field="authorize_url"),
        *(() if provider.has_key else _judge_client(details, again=again)),
        Refused("token_key_missing", field=FIELD) if provider.has_key and again and not details.service_key else None,
        None if _SCOPE.fullmatch(details.scope) else Refused("token_scope", field="scope"),
        None
        if not details.secret_ends_on or read_day(details.secret_ends_on)
        else Refused("token_day", field="secret_ends_on"),
    ]
    return {fault.field or "form": fault for fault in faults if fault}


def _judge_client(details: SignInDetails, *, again: bool) -> tuple[Refused | None, ...]:
    return (
        None if _WORD.fullmatch(details.client_id) else Refused("token_client_id", field="client_id"),
        _judge_secret(details.client_secret, "client_secret", missing=again),
        _judge_secret(details.refresh_token, "refresh_token", missing=False),
    )


def _with_key(details: SignInDetails, row: BoxSignIn | None) -> SignInDetails:
    """Of a service account: its address and private key are in its file, and nobody signs in. Raises as
    :func:`read_service_key`."""
    if not PROVIDERS[details.way].has_key:
        return details
    details = replace(details, client_id="", client_secret="", refresh_token="")
    if details.service_key:
        key = read_service_key(details.service_key)
        return replace(details, client_id=key.address, client_secret=key.private_key)
    kept = row.client_id if row and row.provider == details.way else ""
    return replace(details, client_id=kept)


def _judge_secret(text: str, field: str, *, missing: bool) -> Refused | None:
    if not text:
        return Refused(f"token_{field}_missing", field=field) if missing else None
    return None if _SECRET.fullmatch(text) else Refused("token_secret_unreadable", field=field)


def _is_another(details: SignInDetails, row: BoxSignIn) -> bool:
    """Whoever may come here must not have a kept secret sent to a server of theirs."""
    return (details.way, details.url(), details.client_id) != (row.provider, row.token_url, row.client_id)


def without_spent(details: SignInDetails, row: BoxSignIn) -> SignInDetails:
    """Of a file that is applied again: its refresh token is the first one, and the newest that the token server gave
    stays until that is not taken any more."""
    is_spent = row.refresh_token and row.refused != "token_grant_expired" and not _is_another(details, row)
    return replace(details, refresh_token="") if is_spent else details


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return fine and len(text) <= 500 and text.isascii() and text.isprintable() and "@" not in parts.netloc


def read_day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        return None


def put_sign_in(session: Session, box: Mail2FaxBox, details: SignInDetails, *, elsewhere: bool) -> None:
    """Bring the box to these judged details. ``elsewhere``: the mail server is another one, which must not be shown a
    token that was got for the one before: who signed in has to do so again. The caller commits.

    Raises:
        Refused: ``token_secret_again``, ``token_key_again``, ``token_refresh_token_missing``.
    """
    row = box.sign_in
    if details.way == PASSWORD:
        box.sign_in = None
        return
    details, provider = _with_key(details, row), PROVIDERS[details.way]
    if row is not None and elsewhere and not details.client_secret:
        raise (
            Refused("token_key_again", field=FIELD)
            if provider.has_key
            else Refused("token_secret_again", field="client_secret")
        )
    is_spent = row is not None and elsewhere and row.refresh_token and not details.refresh_token
    if is_spent and not details.sign_in_page():
        raise Refused("token_refresh_token_missing", field="refresh_token")
    another = row is None or is_spent or _is_another(details, row)
    if row is None:
        row = BoxSignIn(tenant_id=box.tenant_id, client_secret="")
        box.sign_in = row
    box.password = ""
    if another:
        row.refresh_token = row.signed_in_as = None
    row.authorize_url = details.sign_in_page()
    row.provider, row.directory, row.token_url = details.way, details.directory or None, details.url()
    row.client_id, row.secret_ends_on = details.client_id, read_day(details.secret_ends_on)
    row.client_secret = details.client_secret or row.client_secret
    if details.refresh_token:
        row.refresh_token, row.signed_in_as = details.refresh_token, None
    row.scope = details.scope or (provider.persons_scope if row.refresh_token else provider.scope)
    for name in _GIVEN:
        setattr(row, name, None)
        flag_modified(row, name)  # a token may have come since this row was read
    row.changed_at = utc_now()
    session.add(row)


def forget_sign_in(row: BoxSignIn) -> None:
    """Nobody is signed in to the mailbox any more. The caller commits."""
    row.scope = PROVIDERS[row.provider].scope if row.scope in PROVIDERS[row.provider].usual_scopes else row.scope
    row.changed_at = utc_now()
    for name in ("refresh_token", "signed_in_as", *_GIVEN):
        setattr(row, name, None)
        flag_modified(row, name)


def keep_sign_in(
    session: Session, row: BoxSignIn, *, began_with: datetime, tokens: dict[str, object], signed_in_as: str
) -> bool:
    """A person has signed in: ``tokens`` by column. Not kept (False) where somebody has entered other settings since
    ``began_with`` (``changed_at``). The caller commits."""
    now = utc_now()
    values: dict[str, object] = dict.fromkeys(_GIVEN) | tokens | {"signed_in_as": signed_in_as, "changed_at": now}
    values["scope"] = persons_scope(row)
    mine = sa.update(BoxSignIn).where(BoxSignIn.id == row.id, BoxSignIn.changed_at == began_with)
    done = rows_changed(session, mine.values(**values))
    session.expire(row)
    return bool(done)


def persons_scope(row: BoxSignIn) -> str:
    """What a person is asked to allow."""
    provider = PROVIDERS[row.provider]
    return provider.persons_scope if row.scope in provider.usual_scopes else row.scope
