"""What may be done to a user: enter, change, close and open the account, choose a password."""

import re

import sqlalchemy as sa
from sqlalchemy.orm import Session
from zxcvbn import zxcvbn

from tenants.addresses import AddressTaken, change_address, check_address, fold, is_free, is_proven, reserve_address
from tenants.db import utc_now
from tenants.links import end_links
from tenants.models import LinkPurpose, Role, Tenant, User
from tenants.scope import lock_tenant
from tenants.sessions import end_sessions

#: Long enough that guessing is hopeless at the pace of sign-in; NIST SP 800-63B asks for no digits and no signs.
PASSWORD_LENGTH = 12
#: What is guessed with fewer tries counts as known.
FEWEST_GUESSES = 10**6
#: zxcvbn takes ever longer; what is good so far stays good.
MOST_JUDGED = 64
#: Hashing takes time by length: nobody types more.
MOST_PASSWORD = 200

#: What a tenant's administrator may make of somebody. Operators are made by the provision file alone.
ROLES = (Role.USER, Role.ADMIN)


#: What an account can be: in use, invited only, closed. ``account_state`` says which, in a question to the database,
#: ``state_of_account`` of a row that is here.
ACCOUNT_STATES = ("active", "invited", "closed")
account_state = sa.case(
    (User.disabled_at.is_not(None), "closed"), (User.password_hash.is_(None), "invited"), else_="active"
)


#: Whoever can come in and act: neither closed nor invited only.
is_in_use = sa.and_(User.disabled_at.is_(None), User.password_hash.is_not(None))
is_operator = User.role == Role.OPERATOR


def administers(tenant_id: int | sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Of a user: an administrator of the company."""
    return sa.and_(User.tenant_id == tenant_id, User.role == Role.ADMIN)


def people_in_use(session: Session, *who: sa.ColumnElement[bool]) -> list[User]:
    """Of these the ones who can act, by id."""
    return list(session.scalars(sa.select(User).where(is_in_use, *who).order_by(User.id)))


def state_of_account(user: User) -> str:
    if user.disabled_at:
        return "closed"
    return "invited" if user.is_invited else "active"


class LastAdministrator(Exception):
    """Nobody would be left who may administer the company."""


class WeakPassword(ValueError):
    """``reason`` is short, long, name or known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def enter_user(
    session: Session, tenant: Tenant, *, email: str, name: str, role: Role, language: str | None = None
) -> User:
    """Somebody new, who has no password yet, and whose address is nobody's before they answer.

    Raises:
        AddressInvalid, AddressTaken: see :mod:`tenants.addresses`.
    """
    entry = reserve_address(session, check_address(email.strip()), tenant.id)
    user = User(tenant_id=tenant.id, address=entry, name=name, role=role, language=language)
    session.add(user)
    session.flush()
    return user


def change_email(session: Session, user: User, email: str) -> None:
    """Links that were mailed to the old address end: they would let its holder in.

    Raises:
        AddressInvalid, AddressTaken: see :mod:`tenants.addresses`.
    """
    is_other = fold(email) != fold(user.email)
    invited = None if is_proven(user.address) else user.tenant_id
    change_address(session, user.address, check_address(email.strip()), invited_by=invited)
    if is_other:
        end_links(session, user)


def ask_at(session: Session, user: User, email: str) -> None:
    """Note where the user is to be reached once that address has answered. It stays nobody's till then: whoever proves
    it first has it.

    Raises:
        AddressInvalid, AddressTaken: see :mod:`tenants.addresses`.
    """
    email = check_address(email.strip())
    if not is_free(session, email):
        raise AddressTaken(email)
    user.new_email = email


def keep_email(session: Session, user: User) -> None:
    """The new address is not asked any more."""
    user.new_email = None
    end_links(session, user, LinkPurpose.NEW_ADDRESS)


def take_new_email(session: Session, user: User) -> None:
    """It has answered: the user signs in with it from now on.

    Raises:
        AddressTaken: somebody else has proved it before.
    """
    if user.new_email:
        change_email(session, user, user.new_email)
        user.new_email = None


def change_role(session: Session, user: User, role: Role) -> None:
    """Raises LastAdministrator."""
    if user.is_admin and role != Role.ADMIN:
        _keep_an_administrator(session, user)
    user.role = role


def disable(session: Session, user: User) -> None:
    """Close the account: every browser is signed out with the commit, every link that was mailed is dead.

    Raises:
        LastAdministrator: nobody would be left.
    """
    if user.is_admin:
        _keep_an_administrator(session, user)
    user.disabled_at = user.disabled_at or utc_now()
    end_sessions(session, user)
    end_links(session, user)


def enable(user: User) -> None:
    user.disabled_at = None


def _keep_an_administrator(session: Session, user: User) -> None:
    """Under the tenant's lock, so that two who demote each other do not both succeed. One who was invited only, and
    may never come, does not count."""
    lock_tenant(session, user.company_id)
    if not people_in_use(session, administers(user.company_id), User.id != user.id):
        raise LastAdministrator


def check_password(password: str, user: User) -> None:
    """Raises WeakPassword."""
    if len(password) < PASSWORD_LENGTH:
        raise WeakPassword("short")
    if len(password) > MOST_PASSWORD:
        raise WeakPassword("long")
    if password.casefold() in (fold(user.email), user.name.casefold()):
        raise WeakPassword("name")
    if _is_known(password, user):
        raise WeakPassword("known")


def _is_known(password: str, user: User) -> bool:
    """Whether those who guess come to it soon: by the lists of known passwords and words that zxcvbn ships, with what
    people put before, behind and in place of letters, rows of keys, dates; and by what is theirs."""
    own = ["faxroom", user.name, *re.split(r"[@.\s]+", fold(user.email))]
    if user.tenant:
        own += [user.tenant.name, user.tenant.slug]
    judged = zxcvbn(password[:MOST_JUDGED], user_inputs=[*own, *(word for name in own for word in name.split())])
    return judged["guesses"] < FEWEST_GUESSES


def set_password(session: Session, user: User, password_hash: str, *, keep_token: str = "") -> int:
    """Every browser but that of ``keep_token`` is signed out, every link is dead; gives how many browsers that were."""
    user.password_hash = password_hash
    end_links(session, user)
    return end_sessions(session, user, except_token=keep_token)
