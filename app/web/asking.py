"""What forms that ask for a password or a code share: the sentences of refusals, who is slowed down, who is let in."""

from flask import request, session
from flask_babel import ngettext

from app.errors import Refused
from app.fax.sentences import sentence
from app.web.guard import TOKEN, begin_reading
from app.web.throttle import Throttle
from tenants.addresses import fold
from tenants.db import db, read_only
from tenants.models import User
from tenants.passwords import hash_password, needs_rehash, verify_password
from tenants.people import MOST_PASSWORD, PASSWORD_LENGTH, WeakPassword, check_password
from tenants.sessions import end_session, open_session

throttle = Throttle()

Errors = dict[str, str]


def said(refusal: Refused) -> str:
    return sentence(refusal.code, **refusal.values)


def said_all(refusals: dict[str, Refused]) -> Errors:
    return {field: said(refusal) for field, refusal in refusals.items()}


def remote_address() -> str:
    return request.remote_addr or "unknown"


def wait_text(minutes: int) -> str:
    return ngettext(
        "Too many failed attempts. Wait %(num)d minute, then try again.",
        "Too many failed attempts. Wait %(num)d minutes, then try again.",
        minutes,
    )


def password_problem(user: User, password: str) -> str | None:
    """Whether this is the signed-in person's password, with the brake that sign-in has. Ends the transaction: a hash
    takes a tenth of a second, too long to hold a database's write lock."""
    if not password:
        return sentence("password_missing")
    account, stored = fold(user.email), user.password_hash
    if minutes := throttle.take_try(account=account, address=remote_address()):
        return wait_text(minutes)
    right = verify_aside(stored, password)
    if not right:
        throttle.note_failure(address=remote_address())
        return sentence("password_wrong")
    throttle.forget(account=account)
    return None


def verify_aside(stored: str | None, password: str) -> bool:
    """No transaction is open meanwhile."""
    db.session.rollback()
    return verify_password(stored, password[: MOST_PASSWORD * 5])


def new_password_problems(user: User, password: str, repeated: str) -> Errors:
    """Field → what is wrong with it."""
    errors: Errors = {}
    try:
        check_password(password, user)
    except WeakPassword as weakness:
        limit = PASSWORD_LENGTH if weakness.reason == "short" else MOST_PASSWORD
        errors["password"] = sentence(f"password_{weakness.reason}", limit=limit)
    if not errors and password != repeated:
        errors["repeated"] = sentence("password_differs")
    return errors


def hash_aside(password: str) -> str:
    """No transaction is open meanwhile."""
    db.session.rollback()
    return hash_password(password)


def let_in(user: User, password: str | None = None) -> None:
    """A fresh session in place of whatever the browser brought, and a fresh row for it. Commits."""
    if earlier := session.get(TOKEN):
        end_session(db.session, earlier)
    if password and needs_rehash(user.password_hash or ""):
        user.password_hash = hash_password(password)
    agent = request.user_agent.string
    token = open_session(db.session, user, remote_address=request.remote_addr, user_agent=agent)
    db.session.commit()
    session.clear()
    session[TOKEN] = token


def reading() -> None:
    """What follows only reads, though the request is one that may write later."""
    db.session.rollback()
    begin_reading()


def writing() -> None:
    db.session.rollback()
    read_only.set(False)
