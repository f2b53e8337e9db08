"""A person signs in to a mailbox at its provider (RFC 6749, 4.1, with PKCE by RFC 7636), and the provider says who it
was (OpenID Connect Core 1.0)."""

import base64
import json
import secrets
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from authlib.oauth2.client import OAuth2Client

from app.errors import PermanentFailure

#: Of an id token; those of Microsoft have two thousand.
MOST_ID = 20_000
#: Seconds by which two clocks may differ.
CLOCKS_APART = 300


@dataclass(frozen=True)
class Errand:
    """What one sign-in is begun with, and known again by. ``verifier`` as in RFC 7636, 4.1."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)


def new_errand() -> Errand:
    return Errand(*(secrets.token_urlsafe(48) for _ in range(3)))


def sign_in_url(authorize_url: str, errand: Errand, *, client_id: str, redirect_uri: str, **more: str) -> str:
    """Where the person's browser goes. ``more``: scope, prompt, login_hint and what else the provider wants."""
    client = OAuth2Client(None, client_id=client_id, redirect_uri=redirect_uri, code_challenge_method="S256")
    wanted = more | {"nonce": errand.nonce}
    url, _state = client.create_authorization_url(
        authorize_url, state=errand.state, code_verifier=errand.verifier, **wanted
    )
    return str(url)


def who_signed_in(id_token: str, errand: Errand, *, client_id: str, issuer: str, now: float) -> str:
    """The name of the account. The token came from the token server itself, so its signature is not looked at (OpenID
    Connect Core, 3.1.3.7, 6). ``issuer`` is how the issuer's name begins, empty if it is not known; ``now`` in seconds.

    Raises:
        PermanentFailure: ``token_answer_foreign``: it is not of this sign-in, or not for us.
    """
    facts = _claims(id_token)
    meant = facts.get("aud")
    for_us = client_id == meant or (isinstance(meant, list) and client_id in meant)
    nonce, issued_by, until = facts.get("nonce"), facts.get("iss"), facts.get("exp")
    is_ours = isinstance(nonce, str) and nonce.isascii() and compare_digest(nonce, errand.nonce)
    is_known = isinstance(issued_by, str) and issued_by.startswith(issuer)
    is_good = isinstance(until, int | float) and until > now - CLOCKS_APART
    if not (for_us and is_ours and is_known and is_good):
        raise PermanentFailure("token_answer_foreign")
    names = (facts.get(name) for name in ("email", "preferred_username", "upn"))
    name = next((name for name in names if isinstance(name, str) and name.isprintable()), "")
    return name[:320]


def _claims(id_token: str) -> dict[str, Any]:
    if len(id_token) > MOST_ID:
        return {}
    try:
        _head, body, _signature = id_token.split(".")
        facts = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
