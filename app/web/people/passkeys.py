"""Asking a browser for a passkey: challenges that were made here, for one purpose, and count once.

A challenge is signed and not kept: only what has been answered is, so that nobody fills the database by asking. It
holds for one person, one purpose and the browser that asked.
"""

import hashlib
import secrets
from datetime import timedelta
from enum import StrEnum
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Blueprint, abort, current_app, request, session
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy.exc import IntegrityError
from werkzeug.wrappers import Response

from app.errors import Refused
from tenants.db import db, utc_now
from tenants.models import Passkey, SpentChallenge, User
from tenants.passkeys import (
    Party,
    PasskeyRefused,
    Taken,
    add_passkey,
    challenge_in,
    creation_options,
    party_at,
    passkeys_of,
    request_options,
    take_passkey,
)

blueprint = Blueprint("passkeys", __name__)

#: Between asking and answering; the browser itself gives up after a minute.
ANSWER_SECONDS = 600
#: In the cookie: what ties challenges to this browser.
ASKED = "asked"
#: The form's field with the browser's answer.
ANSWER = "passkey"


class Purpose(StrEnum):
    ADD = "add"
    ALONE = "alone"  # sign-in without a password
    SECOND = "second"  # after the password
    CONFIRM = "confirm"  # of who is signed in


def party() -> Party | None:
    return party_at(current_app.config["SETTINGS"].base_url)


@blueprint.app_template_global()
def passkey_place() -> str | None:
    """Where passkeys work, as people open it; None if they work nowhere."""
    here = party()
    return here.origin if here else None


@blueprint.app_template_global()
def has_passkeys_here() -> bool:
    """Whether a browser that shows this page can be asked for one."""
    here = urlsplit(request.host_url)
    return passkey_place() == f"{here.scheme}://{here.netloc}"


def _signer(purpose: Purpose, user: User | None) -> URLSafeTimedSerializer:
    if ASKED not in session:
        session[ASKED] = secrets.token_urlsafe(16)
    whose = user.id if user else "whoever"
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt=f"passkey {purpose} {whose} {session[ASKED]}")


def _challenge(purpose: Purpose, user: User | None) -> bytes:
    return _signer(purpose, user).dumps(secrets.token_urlsafe(16)).encode()


def _party() -> Party:
    if here := party():
        return here
    raise Refused("passkey_wrong")


def creation(user: User) -> str:
    """Options for a new one, as JSON for the page's script."""
    return creation_options(user, _party(), _challenge(Purpose.ADD, user), passkeys_of(db.session, user))


def options(purpose: Purpose, user: User | None) -> Response:
    """What the page's script asks for when its button is pressed."""
    if party() is None:
        abort(404)
    known = passkeys_of(db.session, user) if user else None
    text = request_options(_party(), _challenge(purpose, user), known)
    return Response(text, mimetype="application/json")


def add(user: User, answer: str, *, name: str) -> Passkey:
    """Raises Refused: ``passkey_late``, ``passkey_wrong``, ``passkey_taken``. The caller commits, or rolls back."""
    try:
        challenge = _spend(Purpose.ADD, user, answer)
        return add_passkey(db.session, user, _party(), challenge, answer, name=name)
    except PasskeyRefused as refusal:
        raise Refused(f"passkey_{refusal.reason}", field=ANSWER) from refusal


def take(purpose: Purpose, user: User | None, answer: str) -> Taken:
    """What has signed. The caller commits, or rolls back.

    Raises:
        Refused: ``passkey_late``, ``passkey_wrong``, ``passkey_unverified``.
    """
    alone = purpose == Purpose.ALONE
    try:
        challenge = _spend(purpose, user, answer)
        return take_passkey(db.session, _party(), challenge, answer, user=user, must_verify=alone)
    except PasskeyRefused as refusal:
        raise Refused(f"passkey_{refusal.reason}", field=ANSWER) from refusal


def _spend(purpose: Purpose, user: User | None, answer: str) -> bytes:
    """The challenge that was answered, which counts for nothing from here on."""
    text = challenge_in(answer)
    try:
        _signer(purpose, user).loads(text, max_age=ANSWER_SECONDS)
    except BadSignature as error:  # not ours, too old, another person's or browser's, or for something else
        raise Refused("passkey_late", field=ANSWER) from error
    old = SpentChallenge.spent_at < utc_now() - timedelta(seconds=10 * ANSWER_SECONDS)
    db.session.execute(sa.delete(SpentChallenge).where(old))
    try:
        with db.session.begin_nested():
            db.session.add(SpentChallenge(digest=hashlib.sha256(text.encode()).hexdigest()))
    except IntegrityError as error:
        raise Refused("passkey_late", field=ANSWER) from error
    return text.encode()
