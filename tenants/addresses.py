"""The address registry: one email address, one owner, across all tenants and all Mail2Fax boxes.

The unique column ``folded`` decides, not a look-up before: two tenants that race for one address cannot both win.
"""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tenants.models import EmailAddress, User


class AddressTaken(Exception):
    """The address has an owner already. Whose it is, is told to nobody."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


def fold(address: str) -> str:
    """What two spellings of one address have in common: ``Bob@Alpha.test`` and ``bob@alpha.test`` are one."""
    return address.strip().casefold()


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


def user_by_address(session: Session, address: str) -> User | None:
    """The user who signs in with this address, without regard to case."""
    query = sa.select(User).join(EmailAddress, User.address_id == EmailAddress.id)
    return session.scalar(query.where(EmailAddress.folded == fold(address)))
