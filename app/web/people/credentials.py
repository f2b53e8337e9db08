"""What forms that ask for a password or a code share: the sentences of refusals, who is slowed down, who is let in."""

from flask import request, session
from flask_babel import ngettext

from app.errors import Refused
from app.rules.audit.auditing import audit
from app.rules.people.account_notices import is_new_place, tell_sign_in
from app.rules.words.sentences import sentence
from app.web.people import passkeys
from app.web.people.browsers import browser_name
from app.web.people.known_browsers import known_browser, remember_browser
from app.web.people.throttle import Throttle, from_address
from app.web.site.guard import TOKEN, begin_reading
from tenants.addresses import fold
from tenants.db import db, read_only
from tenants.models import User
from tenants.passkeys import Taken
from tenants.passwords import hash_password, needs_rehash, verify_password
from tenants.people import MOST_PASSWORD, PASSWORD_LENGTH, WeakPassword, check_password
from tenants.second_factor import has_app, take_code
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
    account, stored = from_address(fold(user.email), remote_address()), user.password_hash
    browser = known_browser(user)
    if minutes := throttle.take_try(account=account, address=remote_address(), browser=browser):
        return wait_text(minutes)
    right = verify_aside(stored, password)
    if not right:
        throttle.note_failure(address=remote_address())
        writing()
        note_account(user, "user.step_up_failed", user=user, after={"reason": "password"})
        db.session.commit()
        return sentence("password_wrong")
    throttle.forget(account=account, browser=browser)
    return None


def code_problem(user: User, typed: str) -> str | None:
    """Whether this is a code of the signed-in person's second factor, or a recovery code, with its brake. A right one
    is used up with the commit."""
    if not typed:
        return code_sentence(user, "missing")
    account, browser = f"second factor of {user.id}", known_browser(user)
    if minutes := throttle.take_try(account=account, address=remote_address(), browser=browser):
        return wait_text(minutes)
    if not take_code(db.session, user, typed):
        db.session.rollback()
        throttle.note_failure(address=remote_address())
        note_account(user, "user.step_up_failed", user=user, after={"reason": "code"})
        db.session.commit()
        return code_sentence(user, "wrong")
    throttle.forget(account=account, browser=browser)
    return None


def code_sentence(user: User, problem: str) -> str:
    """``problem`` is missing or wrong. Who has passkeys only has no codes but those for recovery."""
    return sentence(f"code_{problem}" if has_app(db.session, user) else f"recovery_code_{problem}")


def judge_passkey(user: User, purpose: passkeys.Purpose, answer: str, *, note: str) -> Taken | str:
    """What has signed, or why it does not count; with the brake and the entry ``note`` that a wrong code has. The
    caller commits."""
    account, browser = f"second factor of {user.id}", known_browser(user)
    if minutes := throttle.take_try(account=account, address=remote_address(), browser=browser):
        return wait_text(minutes)
    try:
        taken = passkeys.take(purpose, user, answer)
    except Refused as refusal:
        db.session.rollback()
        throttle.note_failure(address=remote_address())
        who = None if purpose == passkeys.Purpose.SECOND else user
        note_account(user, note, user=who, after={"reason": "passkey"})
        db.session.commit()
        return said(refusal)
    throttle.forget(account=account, browser=browser)
    return taken


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


def let_in(user: User, way: str, password: str | None = None) -> None:
    """A fresh session in place of whatever the browser brought, and a fresh row for it. ``way`` is how they proved who
    they are, as the audit log says it. Commits."""
    if earlier := session.get(TOKEN):
        end_session(db.session, earlier)
    if password and needs_rehash(user.password_hash or ""):
        user.password_hash = hash_password(password)
    agent, browser = request.user_agent.string, known_browser(user)
    here = {"address": request.remote_addr, "user_agent": agent}
    if way != "link" and is_new_place(db.session, user, is_known_browser=browser is not None, **here):
        tell_sign_in(db.session, user, browser=browser_name(agent), address=request.remote_addr)
    token = open_session(db.session, user, remote_address=request.remote_addr, user_agent=agent)
    note_account(user, "user.signed_in", user=user, after={"way": way, "browser": browser_name(agent)})
    db.session.commit()
    session.clear()
    session[TOKEN] = token
    remember_browser(user)


def note_account(account: User, action: str, *, user: User | None, after: dict[str, str] | None = None) -> None:
    """Enter what happens to an account, in its company's log. ``user`` is None where nobody has proved who they are."""
    audit(
        db.session,
        user=user,
        tenant_id=account.tenant_id,
        action=action,
        target=account.email,
        after=after,
        remote_address=request.remote_addr,
    )


def reading() -> None:
    """What follows only reads, though the request is one that may write later."""
    db.session.rollback()
    begin_reading()


def writing() -> None:
    db.session.rollback()
    read_only.set(False)
