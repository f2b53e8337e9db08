"""Accounts with the mails that go with them: invitations, resets of passwords, warnings about keys.

What a form or a file may say of a user is judged here, for the pages, the CSV file and whoever opens a company.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Grant, Notice, NoticeKind, Unread
from app.rules.ground.quotas import hold_mails
from app.rules.outbox.writing import write_notices
from app.rules.setup.entities import forget_saved_grants
from tenants.addresses import AddressInvalid, AddressTaken, check_address, fold
from tenants.languages import LANGUAGES
from tenants.links import end_links, make_link, was_just_made
from tenants.models import EmailAddress, LinkPurpose, OneTimeLink, PgpPublicKey, Role, Tenant, User
from tenants.people import ROLES, LastAdministrator, ask_at, change_email, change_role, disable, enter_user

MOST_NAME = 100
MOST_ADDRESS = 254  # RFC 5321, section 4.5.3.1.3
#: How long before a key expires its owner hears of it.
KEY_WARNING = timedelta(days=30)

KINDS = {
    LinkPurpose.INVITATION: NoticeKind.INVITATION,
    LinkPurpose.PASSWORD_RESET: NoticeKind.PASSWORD_RESET,
    LinkPurpose.NEW_ADDRESS: NoticeKind.NEW_ADDRESS,
}


@dataclass(frozen=True)
class Details:
    """Of a user, as typed. ``language`` empty is the company's."""

    email: str = ""
    name: str = ""
    role: str = Role.USER
    language: str = ""

    @classmethod
    def of(cls, user: User) -> "Details":
        return cls(user.email, user.name, user.role, user.language or "")


def judge_details(details: Details) -> dict[str, Refused]:
    """What is wrong with each field, whether or not the address is taken."""
    found = (
        judge_email(details.email),
        judge_name(details.name),
        None if details.role in ROLES else Refused("role_unknown", field="role"),
        judge_language(details.language),
    )
    return {refusal.field or "form": refusal for refusal in found if refusal}


def judge_email(email: str) -> Refused | None:
    """Of an account, or of a box: one address, as short as the registry holds it."""
    if not email:
        return Refused("email_missing", field="email")
    try:
        check_address(email)
    except AddressInvalid:
        return Refused("email_invalid", field="email")
    return Refused("email_invalid", field="email") if len(email) > MOST_ADDRESS else None


def judge_name(name: str) -> Refused | None:
    if not name:
        return Refused("name_missing", field="name")
    if len(name) > MOST_NAME or not name.isprintable():
        return Refused("name_too_long", field="name", limit=MOST_NAME)
    return None


def judge_language(language: str) -> Refused | None:
    return None if language in ("", *LANGUAGES) else Refused("language_unknown", field="language")


def invite(session: Session, tenant: Tenant, details: Details, *, by: User, submission_key: str | None = None) -> User:
    """Enter somebody and mail them the link with which they choose their password. The caller commits.

    Raises:
        Refused: ``email_taken``, never whose it is; ``quota_mails``, ``quota_mails_own``. The surrounding transaction
            goes on.
    """
    hold_mails(session, by, 1)
    try:
        user = enter_user(
            session,
            tenant,
            email=details.email,
            name=details.name,
            role=Role(details.role),
            language=details.language or None,
        )
    except AddressTaken as error:
        raise Refused("email_taken", field="email") from error
    _mail_link(session, user, LinkPurpose.INVITATION, by=by, submission_key=submission_key)
    return user


def mail_again(session: Session, user: User, purpose: LinkPurpose, *, by: User | None) -> bool:
    """A fresh link by mail; False if one has just gone out, as with a double click."""
    if was_just_made(session, user, purpose):
        return False
    _mail_link(session, user, purpose, by=by)
    return True


def _mail_link(
    session: Session, user: User, purpose: LinkPurpose, *, by: User | None, submission_key: str | None = None
) -> None:
    token = make_link(session, user, purpose, by=by, submission_key=submission_key)
    recipient = user.new_email if purpose == LinkPurpose.NEW_ADDRESS else None
    by_id = by.id if by else None
    write_account_notice(session, user, KINDS[purpose], recipient=recipient, secret=token, from_user_id=by_id)


def change_user(session: Session, user: User, details: Details, *, by: User) -> None:
    """Bring the user to what the form says. The caller commits, or rolls back what was changed before a refusal.

    Raises:
        Refused: ``email_taken``, ``last_administrator``; ``quota_mails``, ``quota_mails_own``.
    """
    try:
        if details.email not in (user.email, user.new_email):
            _change_address(session, user, details.email, by=by)
    except AddressTaken as error:
        raise Refused("email_taken", field="email") from error
    try:
        if details.role != user.role:
            change_role(session, user, Role(details.role))
    except LastAdministrator as error:
        raise Refused("last_administrator", field="role") from error
    user.name, user.language = details.name, details.language or None


def _change_address(session: Session, user: User, email: str, *, by: User) -> None:
    """An invitation's is changed and still nobody's, another spelling is the same address; any other is asked first."""
    if user.is_invited or fold(email) == fold(user.email):
        change_email(session, user, email)
        return
    hold_mails(session, by, 1)
    ask_at(session, user, email)
    _mail_link(session, user, LinkPurpose.NEW_ADDRESS, by=by)


def close_account(session: Session, user: User) -> None:
    """Raises Refused ``last_administrator``."""
    try:
        disable(session, user)
    except LastAdministrator as error:
        raise Refused("last_administrator") from error


def withdraw_invitation(session: Session, user: User) -> None:
    """Take back what nobody has accepted: the link, the account with its permissions and keys, and the mails that wait
    for it. The address is free again. Under the tenant's lock; the caller commits.

    Raises:
        Refused: ``invitation_accepted``, ``invitation_in_use``: a fax or a mail is of this account. The surrounding
            transaction goes on.
    """
    user_id, address_id, tenant_id, email = user.id, user.address_id, user.company_id, user.email
    end_links(session, user)  # who accepts at this very moment has its row locked: the answer is known afterwards
    session.refresh(user)
    if not user.is_invited:
        raise Refused("invitation_accepted")
    forget_saved_grants(session, tenant_id, user_id)
    of_user = [sa.delete(model).where(model.user_id == user_id) for model in (Grant, Unread, PgpPublicKey, OneTimeLink)]
    mails = sa.or_(Notice.user_id == user_id, sa.and_(Notice.tenant_id == tenant_id, Notice.recipient == email))
    told = {"due_at": None, "secret": None, "error": "invitation withdrawn"}
    statements = [
        *of_user,
        sa.update(Notice).where(mails, Notice.sent_at.is_(None)).values(told),
        sa.update(Notice).where(Notice.user_id == user_id).values(user_id=None),
        sa.delete(User).where(User.id == user_id),
        sa.delete(EmailAddress).where(EmailAddress.id == address_id),
    ]
    try:
        with session.begin_nested():
            for statement in statements:
                session.execute(statement, execution_options={"synchronize_session": False})
    except IntegrityError as error:  # the database knows best who refers to an account
        raise Refused("invitation_in_use") from error
    session.expire_all()


def write_key_warnings(session: Session, now: datetime) -> int:
    """One mail for each key that expires within 30 days, to its owner; gives how many. Commits."""
    soon = (
        sa.select(PgpPublicKey)
        .join(User)
        .where(PgpPublicKey.expires_at > now, PgpPublicKey.expires_at <= now + KEY_WARNING, User.disabled_at.is_(None))
    )
    return sum(_warn_once(session, key) for key in session.scalars(soon.order_by(PgpPublicKey.id)).all())


def _warn_once(session: Session, key: PgpPublicKey) -> bool:
    about = {"fingerprint": key.fingerprint, "occasion": f"{key.expires_at:%Y-%m-%d}"}
    told = sa.select(Notice.id).where(Notice.kind == NoticeKind.KEY_EXPIRES).filter_by(**about)
    if session.scalar(told.where(Notice.recipient == key.user.email)) is not None:
        return False
    try:
        write_account_notice(session, key.user, NoticeKind.KEY_EXPIRES, **about)
        session.commit()
    except IntegrityError:  # another worker was faster
        session.rollback()
        return False
    return True


def write_account_notice(
    session: Session, user: User, kind: NoticeKind, *, recipient: str | None = None, **more: object
) -> None:
    """A mail about the account, to its owner, or to ``recipient`` that was theirs. The caller commits."""
    write_notices(session, kind, [user], tenant=user.tenant, is_personal=True, recipient=recipient, **more)
