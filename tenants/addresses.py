"""The address registry: one email address, one owner, across all tenants and all Mail2Fax boxes.

The unique column ``folded`` decides, not a look-up before: two tenants that race for one address cannot both win.
An address that was only invited is nobody's: it is entered as invited by that company, others may invite it too, and
whoever answers first has it.
"""

import sqlalchemy as sa
from email_validator import EmailNotValidError, validate_email
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenants.models import EmailAddress, User


class AddressTaken(Exception):
    """The address has an owner already. Whose it is, is told to nobody."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class AddressInvalid(ValueError):
    """It is no mail address."""


def check_address(address: str) -> str:
    """As typed: a mail's sender is compared with it exactly. Private domains such as .test are fine.

    Raises:
        AddressInvalid: it is no mail address.
    """
    try:
        validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise AddressInvalid(str(error)) from error
    return address


def is_address(text: str) -> bool:
    try:
        check_address(text)
    except AddressInvalid:
        return False
    return True


def fold(address: str) -> str:
    """What two spellings of one address have in common: ``Bob@Alpha.test`` and ``bob@alpha.test`` are one."""
    return address.replace("\0", "").strip().casefold()  # PostgreSQL takes no text with a zero in it


def claim_address(session: Session, address: str) -> EmailAddress:
    """Enter ``address`` in the registry for a new owner.

    Raises:
        AddressTaken: somebody holds it already, in whatever spelling. The surrounding transaction goes on.
    """
    return _enter(session, address, fold(address))


def _enter(session: Session, address: str, folded: str) -> EmailAddress:
    entry = EmailAddress(address=address.strip(), folded=folded)
    try:
        with session.begin_nested():
            session.add(entry)
    except IntegrityError as error:
        raise AddressTaken(address) from error
    return entry


def as_invited(address: str, tenant_id: int) -> str:
    """What the registry has of an address that has not answered. No address is folded to this, whatever is typed."""
    return f"{fold(address)} INVITED BY {tenant_id}"


def is_proven(entry: EmailAddress) -> bool:
    return entry.folded == fold(entry.address)


def is_free(session: Session, address: str) -> bool:
    """Whether nobody has it. Only the registry's unique column decides who gets it."""
    return session.scalar(sa.select(EmailAddress.id).where(EmailAddress.folded == fold(address))) is None


def reserve_address(session: Session, address: str, tenant_id: int) -> EmailAddress:
    """Enter ``address`` for somebody whom the tenant invites.

    Raises:
        AddressTaken: somebody has it, or this tenant invites it already. The surrounding transaction goes on.
    """
    if not is_free(session, address):
        raise AddressTaken(address)
    return _enter(session, address, as_invited(address, tenant_id))


def prove_address(session: Session, entry: EmailAddress) -> None:
    """Whoever reads its mails has answered: it is theirs from now on.

    Raises:
        AddressTaken: somebody else has answered before. The surrounding transaction goes on, and nothing has changed.
    """
    if not is_proven(entry):
        change_address(session, entry, entry.address)


def invited_by(session: Session, address: str, tenant_id: int) -> User | None:
    """The user whom this tenant has invited at this address and who has not answered."""
    query = sa.select(User).join(EmailAddress, User.address_id == EmailAddress.id)
    return session.scalar(query.where(EmailAddress.folded == as_invited(address, tenant_id)))


def change_address(session: Session, entry: EmailAddress, address: str, *, invited_by: int | None = None) -> None:
    """Its owner is reached at ``address`` from now on, and the old one is free for anybody. ``invited_by``: there is no
    owner yet, but whom this tenant invites.

    Raises:
        AddressTaken: somebody else holds it already. The surrounding transaction goes on, and nothing has changed.
    """
    try:
        with session.begin_nested():
            folded = as_invited(address, invited_by) if invited_by else fold(address)
            entry.address, entry.folded = address.strip(), folded
    except IntegrityError as error:
        session.expire(entry)
        raise AddressTaken(address) from error


def user_by_address(session: Session, address: str) -> User | None:
    """The user who signs in with this address, without regard to case."""
    query = sa.select(User).join(EmailAddress, User.address_id == EmailAddress.id)
    return session.scalar(query.where(EmailAddress.folded == fold(address)))
