"""Passkeys (W3C WebAuthn, level 3): a device signs a challenge of ours, for our own address and for no other.

Who is led to a false page can give nothing away there: the browser offers a passkey only where it was made. One that
has also asked for a PIN, a finger or a face is two factors at once.
"""

import hashlib
import json
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from tenants.db import utc_now
from tenants.models import Passkey, User
from tenants.second_factor import ISSUER, settle

#: Of one person.
MOST_PASSKEYS = 20
#: What a browser sends of one has at most so many characters; a long one has some thousand.
MOST_ANSWER = 20_000
#: What the library raises at answers of its own and at those that are no answers.
NO_ANSWER = (WebAuthnException, ValueError, KeyError, TypeError, AttributeError)
TRANSPORTS = frozenset(transport.value for transport in AuthenticatorTransport)


class PasskeyRefused(Exception):
    """It is no answer to our challenge by a passkey that counts here. ``reason`` is wrong, unverified or taken."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Party:
    """For whom passkeys are made: a host name, and the one origin whose pages may ask for them."""

    id: str
    origin: str


def party_at(url: str) -> Party | None:
    """Of the address that people use. None where browsers know no passkeys: at a bare IP address, or without HTTPS.
    This very machine is ``localhost`` to them (WebAuthn, section 5.1.3; W3C Secure Contexts, section 3.1)."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    try:
        address = ip_address(host)
    except ValueError:
        secure = parts.scheme == "https" or host == "localhost"
        return Party(host, f"{parts.scheme}://{host}{port}") if host and secure else None
    return Party("localhost", f"{parts.scheme}://localhost{port}") if address.is_loopback else None


def passkeys_of(session: Session, user: User) -> list[Passkey]:
    return list(session.scalars(sa.select(Passkey).where(Passkey.user_id == user.id).order_by(Passkey.id)))


def get_passkey(session: Session, user: User, passkey_id: int) -> Passkey | None:
    return session.scalar(sa.select(Passkey).where(Passkey.user_id == user.id, Passkey.id == passkey_id))


def _handle(user: User) -> bytes:
    """What devices keep of the person; the same for all their passkeys, and in no other installation the same."""
    return hashlib.sha256(f"{user.id} {user.created_at.isoformat()}".encode()).digest()


def _named(passkeys: list[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=base64url_to_bytes(passkey.credential_id),
            transports=[AuthenticatorTransport(name) for name in passkey.transports if name in TRANSPORTS],
        )
        for passkey in passkeys
    ]


def creation_options(user: User, party: Party, challenge: bytes, present: list[Passkey]) -> str:
    """What ``navigator.credentials.create`` is given, as JSON. A device that is ``present`` already makes no second
    one; nothing is asked about who built it."""
    options = generate_registration_options(
        rp_id=party.id,
        rp_name=ISSUER,
        user_id=_handle(user),
        user_name=user.email,
        user_display_name=user.name,
        challenge=challenge,
        exclude_credentials=_named(present),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return options_to_json(options)


def request_options(party: Party, challenge: bytes, passkeys: list[Passkey] | None) -> str:
    """What ``navigator.credentials.get`` is given, as JSON. Without ``passkeys`` the person chooses whose to use, and
    the device has to ask for a PIN, a finger or a face."""
    wanted = UserVerificationRequirement.REQUIRED if passkeys is None else UserVerificationRequirement.PREFERRED
    options = generate_authentication_options(
        rp_id=party.id, challenge=challenge, allow_credentials=_named(passkeys or []), user_verification=wanted
    )
    return options_to_json(options)


def challenge_in(answer: str) -> str:
    """Which challenge a browser's answer says that it is for.

    Raises:
        PasskeyRefused: ``wrong``, it is no answer.
    """
    try:
        if len(answer) > MOST_ANSWER:
            raise PasskeyRefused("wrong")
        data = json.loads(answer)["response"]["clientDataJSON"]
        return base64url_to_bytes(json.loads(base64url_to_bytes(data))["challenge"]).decode()
    except NO_ANSWER as error:
        raise PasskeyRefused("wrong") from error


def add_passkey(session: Session, user: User, party: Party, challenge: bytes, answer: str, *, name: str) -> Passkey:
    """Enter what the browser has made; from now on it is asked for. The caller commits.

    Raises:
        PasskeyRefused: ``wrong``; ``taken``, it is entered already. The surrounding transaction goes on.
    """
    try:
        made = verify_registration_response(
            credential=answer, expected_challenge=challenge, expected_rp_id=party.id, expected_origin=party.origin
        )
        told = json.loads(answer)["response"].get("transports") or []
    except NO_ANSWER as error:
        raise PasskeyRefused("wrong") from error
    passkey = Passkey(
        user_id=user.id,
        name=name,
        credential_id=bytes_to_base64url(made.credential_id),
        public_key=bytes_to_base64url(made.credential_public_key),
        user_handle=bytes_to_base64url(_handle(user)),
        sign_count=made.sign_count,
        transports=sorted({word for word in told if isinstance(word, str)} & TRANSPORTS),
    )
    try:
        with session.begin_nested():
            session.add(passkey)
    except IntegrityError as error:
        raise PasskeyRefused("taken") from error
    user.second_factor_at = user.second_factor_at or utc_now()
    return passkey


def forget_passkey(session: Session, user: User, passkey: Passkey) -> None:
    session.delete(passkey)
    session.flush()
    settle(session, user)


@dataclass(frozen=True)
class Taken:
    """A passkey that has signed. ``verified``: its device has asked for a PIN, a finger or a face."""

    passkey: Passkey
    verified: bool


def take_passkey(
    session: Session, party: Party, challenge: bytes, answer: str, *, user: User | None, must_verify: bool = False
) -> Taken:
    """The passkey that has signed the challenge: of ``user``, or of whoever it is. The caller commits.

    Raises:
        PasskeyRefused: ``wrong``, also where a copy of it has signed in between (its count fell behind);
            ``unverified``, it ``must_verify`` who is there and did not.
    """
    try:
        told = json.loads(answer)
        passkey = session.scalar(sa.select(Passkey).where(Passkey.credential_id == str(told["id"])))
        if passkey is None or (user is not None and passkey.user_id != user.id):
            raise PasskeyRefused("wrong")
        if user is None and told["response"]["userHandle"] != passkey.user_handle:
            raise PasskeyRefused("wrong")
        signed = verify_authentication_response(
            credential=told,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=passkey.sign_count,
        )
    except NO_ANSWER as error:
        raise PasskeyRefused("wrong") from error
    if must_verify and not signed.user_verified:
        raise PasskeyRefused("unverified")
    passkey.sign_count, passkey.last_used_at = signed.new_sign_count, utc_now()
    return Taken(passkey, signed.user_verified)
