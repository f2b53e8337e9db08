"""The address registry: one email address, one owner, across all tenants and all Mail2Fax boxes.

The unique column ``folded`` decides, not a look-up before: two tenants that race for one address cannot both win.
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
    entry = EmailAddress(address=address.strip(), folded=fold(address))
    try:
        with session.begin_nested():
            session.add(entry)
    except IntegrityError as error:
        raise AddressTaken(address) from error
    return entry


def change_address(session: Session, entry: EmailAddress, address: str) -> None:
    """Its owner is reached at ``address`` from now on, and the old one is free for anybody.

    Raises:
        AddressTaken: somebody else holds it already. The surrounding transaction goes on, and nothing has changed.
    """
    try:
        with session.begin_nested():
            entry.address, entry.folded = address.strip(), fold(address)
    except IntegrityError as error:
        session.expire(entry)
        raise AddressTaken(address) from error


def user_by_address(session: Session, address: str) -> User | None:
    """The user who signs in with this address, without regard to case."""
    query = sa.select(User).join(EmailAddress, User.address_id == EmailAddress.id)
    return session.scalar(query.where(EmailAddress.folded == fold(address)))
