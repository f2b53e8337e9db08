"""How a person is mailed a fax that came in: as the line says, or as they say, whichever shows less.

An administrator may know that a line's faxes must not lie in mailboxes, and a person that theirs must not: neither
undoes what the other has asked for.
"""

from app.models import FaxEntity, ReceivedMail
from tenants.models import PgpPublicKey, User
from tenants.pgp_keys import validity_now

_ORDER = list(ReceivedMail)


def way_of(user: User, entity: FaxEntity) -> ReceivedMail:
    asked = (ReceivedMail(entity.received_mail), ReceivedMail(user.received_mail or ReceivedMail.ATTACHED))
    return max(asked, key=_ORDER.index)


def keys_to_encrypt_to(keys: list[PgpPublicKey]) -> tuple[list[str], str]:
    """The armored keys that count today, and why there is none of them, as the code of a sentence."""
    states = {validity_now(key) for key in keys}
    usable = [key.armored for key in keys if validity_now(key) in ("valid", None)]
    if usable or not keys:
        return usable, "" if usable else "mail_key_missing"
    return [], "mail_key_expired" if "expired" in states else "mail_key_unusable"
