"""Tokens instead of passwords: fetched from a token server (RFC 6749; RFC 7523 for service accounts), and used at a
mail server by SASL XOAUTH2 or OAUTHBEARER (RFC 7628)."""

import json
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc7523 import JWTBearerGrant
from joserfc import jwt
from joserfc.jwk import RSAKey

from app.adapters.servers.hosts import addresses_of, is_inside
from app.adapters.servers.within import within
from app.errors import FaxroomError, PermanentFailure, TemporaryFailure

#: For the whole of an answer; for a person who tries it, as the mail server's.
SECONDS, TRYING_SECONDS = 15.0, 4.0
#: An answer has a few thousand, a certificate chain no more.
MOST_BYTES = 256 * 1024
#: Seconds that a token is taken to be good for where the server does not say (RFC 6749, 5.1), and at most.
USUAL_LIFE, LONGEST_LIFE = 300, 86_400
#: What may pass for the days of a refresh token.
LONGEST_REFRESH = 10 * 366 * 86_400
#: Of what a server says, so much is shown and kept.
MOST_SAID = 300
#: RFC 6750, 2.1, and no longer than what a mail server reads in a line.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16000}")
#: Microsoft's number of what is wrong → code of the sentence. https://learn.microsoft.com/entra/identity-platform/
#: reference-error-codes
AADSTS = {
    "7000215": "token_secret_wrong",
    "7000222": "token_secret_expired",
    "700082": "token_grant_expired",
    "70008": "token_grant_expired",
    "50173": "token_grant_expired",
    "70043": "token_grant_expired",
    "700016": "token_client_unknown",
    "90002": "token_directory_unknown",
    "900023": "token_directory_unknown",
    "65001": "token_consent_missing",
    "70011": "token_scope_wrong",
    "1002012": "token_scope_wrong",
}
#: What RFC 6749, 5.2, knows → code of the sentence.
ERRORS = {
    "invalid_client": "token_client_wrong",
    "invalid_grant": "token_grant_expired",
    "unauthorized_client": "token_unauthorized",
    "invalid_scope": "token_scope_wrong",
    "unsupported_grant_type": "token_unauthorized",
}
#: What they mean where a service account asked.
KEY_ERRORS = {
    "invalid_client": "token_key_refused",
    "invalid_grant": "token_key_refused",
    "unauthorized_client": "token_delegation_missing",
    "access_denied": "token_delegation_missing",
}
#: All that a person has to mend.
REFUSALS = frozenset({*AADSTS.values(), *ERRORS.values(), *KEY_ERRORS.values(), "token_refused"})
#: Seconds for which what a service account has signed is good.
SIGNED_LIFE = 600


@dataclass(frozen=True)
class TokenPlace:
    """Where tokens are given, and to whom. They are a person's with a ``refresh_token``; with a ``subject`` they are
    for the mailbox of that name, and a service account asks with its private key (PEM) as ``client_secret``; else they
    are the program's own (client credentials)."""

    url: str
    client_id: str
    scope: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    subject: str = ""


@dataclass(frozen=True)
class Code:
    """What a browser brought back from a sign-in, and what that sign-in was begun with (RFC 6749, 4.1; RFC 7636)."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True)
class Given:
    """``seconds`` is how long it is good for; ``refresh_token`` is what to ask with the next time, good for
    ``refresh_seconds`` if the server says so. ``id_token`` says who signed in, for a code."""

    access_token: str = field(repr=False)
    seconds: int
    refresh_token: str = field(default="", repr=False)
    refresh_seconds: int | None = None
    id_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Bearer:
    """What signs in instead of a password."""

    token: str = field(repr=False)


class _Session:
    """As authlib asks by; its own client is of another library."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def post(self, url: str, data: dict[str, str], headers: dict[str, str], auth: Any) -> httpx.Response:
        url, headers, body = auth.prepare("POST", url, headers, urlencode(data))
        return self.client.post(url, content=body, headers=headers)


def _demand_plain(answer: httpx.Response) -> None:
    """What comes is counted before it is unpacked, and a few thousand bytes unpack to all of our memory."""
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise httpx.DecodingError("it is packed", request=answer.request)


class _Signed:
    """What a service account has signed says by itself who is asking (RFC 7521, 4.1)."""

    def prepare(self, _method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
        return uri, headers, body


def fetch_token(
    place: TokenPlace, *, allowed: Iterable[str] = (), seconds: float = SECONDS, code: Code | None = None
) -> Given:
    """Ask for a token, with a ``code`` for the first of a person. ``allowed`` as in
    :func:`app.adapters.servers.hosts.addresses_of`. Nothing of what is asked with or given stands in an error.

    Raises:
        PermanentFailure: ``host_inside``; ``token_plain``: the secret would travel readable through the Internet.
        TemporaryFailure: ``host_unknown``, ``token_down``, and one of REFUSALS with what the server said.
    """
    is_plain = urlsplit(place.url).scheme != "https"

    def address_of(host: str, port: int) -> str:
        addresses = addresses_of(host, port, allowed=allowed)
        if is_plain and not all(is_inside(address) for address in addresses):
            raise PermanentFailure("token_plain")
        return addresses[0]

    transport = within(seconds, MOST_BYTES, address_of)
    try:
        with httpx.Client(transport=transport, timeout=seconds, trust_env=False, follow_redirects=False) as client:
            client.headers["Accept-Encoding"] = "identity"
            client.event_hooks = {"response": [_demand_plain]}
            return _read(_ask(_Session(client), place, code), is_persons=bool(place.refresh_token or code))
    except OAuth2Error as error:
        raise _refusal(place, str(error.error or ""), str(error.description or "")) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TemporaryFailure("token_down", reason=type(error).__name__) from None
    except (OverflowError, RecursionError) as error:  # numbers without end, lists within lists
        raise TemporaryFailure("token_down", reason=type(error).__name__) from None


def _ask(session: _Session, place: TokenPlace, code: Code | None) -> Any:
    client = OAuth2Client(
        session,
        client_id=place.client_id,
        client_secret=place.client_secret,
        token_endpoint_auth_method="client_secret_post",
        scope=None if place.subject else place.scope or None,
    )
    if code:
        given = {"code": code.code, "redirect_uri": code.redirect_uri, "code_verifier": code.verifier}
        return client.fetch_token(place.url, grant_type="authorization_code", **given)
    if place.subject:
        asked = {"grant_type": JWTBearerGrant.GRANT_TYPE, "assertion": _assertion(place)}
        return client.fetch_token(place.url, auth=_Signed(), **asked)
    if place.refresh_token:
        return client.refresh_token(place.url, refresh_token=place.refresh_token)
    return client.fetch_token(place.url, grant_type="client_credentials", scope=place.scope)


def _assertion(place: TokenPlace) -> str:
    """RFC 7523, 3; with the scope, where Google looks for it. https://developers.google.com/identity/protocols/oauth2/
    service-account"""
    now = int(time.time())
    said = {"iss": place.client_id, "sub": place.subject, "aud": place.url, "scope": place.scope}
    claims = said | {"iat": now, "exp": now + SIGNED_LIFE, "jti": secrets.token_urlsafe(16)}
    return jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(place.client_secret))


def _read(answer: Any, *, is_persons: bool) -> Given:
    token, new = str(answer["access_token"]), str(answer.get("refresh_token") or "")
    if not _TOKEN.fullmatch(token) or len(new) > MOST_BYTES:
        raise ValueError("no token")
    said_life = answer.get("expires_in")
    life = min(max(USUAL_LIFE if said_life is None else int(said_life), 0), LONGEST_LIFE)
    left = answer.get("refresh_token_expires_in") or answer.get("refresh_expires_in")
    known, who = new if is_persons else "", str(answer.get("id_token") or "")
    return Given(token, life, known, min(int(left), LONGEST_REFRESH) if known and left else None, who)


def _refusal(place: TokenPlace, error: str, description: str) -> FaxroomError:
    """By Microsoft's number where there is one, else by the standard's word."""
    number = re.match(r"AADSTS(\d+)", description)
    known = KEY_ERRORS | {"invalid_scope": "token_scope_wrong"} if place.subject else ERRORS
    code = AADSTS.get(number[1] if number else "") or known.get(error, "token_refused")
    return TemporaryFailure(code, reason=said(f"{error}: {description}" if description else error, place))


def said(text: str, place: TokenPlace | None = None) -> str:
    """A stranger's text, on one line, without what was asked with."""
    for secret in (place.client_secret, place.refresh_token) if place else ():
        text = text.replace(secret, "…") if secret else text
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:MOST_SAID]


# ---- Shown to a mail server

XOAUTH2, OAUTHBEARER = "XOAUTH2", "OAUTHBEARER"


class Showing:
    """One sign-in: what is said first, and what to a server that is not content with it (it says why, and waits for an
    empty line; OAUTHBEARER: for a single %x01). ``refused`` is what such a server has said."""

    def __init__(self, mechanism: str, username: str, bearer: Bearer, *, host: str, port: int) -> None:
        self.mechanism, self.refused = mechanism, ""
        if mechanism == OAUTHBEARER:
            name = username.replace("=", "=3D").replace(",", "=2C")
            self.first = f"n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {bearer.token}\x01\x01"
        else:
            self.first = f"user={username}\x01auth=Bearer {bearer.token}\x01\x01"

    def __call__(self, challenge: bytes | None = None) -> str:
        if not challenge:
            return self.first
        try:
            facts = json.loads(challenge)
            words = [f"{name} {facts[name]}" for name in ("status", "scope", "error") if facts.get(name)]
        except (ValueError, AttributeError, TypeError):
            words = [challenge.decode("utf-8", "replace")]
        self.refused = said(", ".join(words)) or "-"
        return "\x01" if self.mechanism == OAUTHBEARER else ""


def mechanism_of(offered: Iterable[str]) -> str | None:
    """The standard's where there is one, else what Microsoft and Google speak; None if it takes no tokens."""
    names = {name.upper() for name in offered}
    return next((mechanism for mechanism in (OAUTHBEARER, XOAUTH2) if mechanism in names), None)
