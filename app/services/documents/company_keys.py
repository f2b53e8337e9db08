"""What the storage asks the database: the keys of a company, and whether a file was sealed.

Asked in a transaction of its own, which only reads: whoever stores a document may have one open, or none.
"""

import time
from collections.abc import Sequence

import sqlalchemy as sa
from cryptography.fernet import InvalidToken

from app.errors import PermanentFailure, TemporaryFailure
from app.models import CompanyKey, Document, key_in
from app.whole_numbers import read_whole
from tenants.db import db, only_reading

#: For so long a process remembers a company's keys: after it those of one that is gone are forgotten, and a new one
#: seals.
SECONDS = 60.0


class CompanyKeys:
    """Of one application (:class:`app.adapters.storage.sealed_storage.Keys`)."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, tuple[bytes, ...]]] = {}

    def of(self, owner: str, *, anew: bool = False) -> Sequence[bytes]:
        """The newest first.

        Raises:
            PermanentFailure: ``sealing_key_unknown``: there is no such company, or it is being deleted.
            TemporaryFailure: ``storage_down``: the installation's keys are not those that sealed it.
        """
        until, keys = self._kept.get(owner, (0.0, ()))
        if anew or time.monotonic() >= until:
            self._forget_old()
            keys = _read(owner)
            self._kept[owner] = (time.monotonic() + SECONDS, keys)
        if not keys:
            raise PermanentFailure("sealing_key_unknown", company=owner)
        return keys

    def _forget_old(self) -> None:
        now = time.monotonic()
        self._kept = {owner: kept for owner, kept in list(self._kept.items()) if kept[0] > now}

    def digest_if_sealed(self, key: str) -> str | None:
        query = sa.select(Document.sha256).where(Document.storage_key == key, Document.sealed_with.is_not(None))
        with only_reading(), db.engine.connect() as connection:
            return connection.scalar(query)


def _read(owner: str) -> tuple[bytes, ...]:
    if (tenant_id := read_whole(owner)) is None:
        return ()
    with only_reading(), db.engine.connect() as connection:
        return keys_of(connection, tenant_id)


def keys_of(connection: sa.Connection, tenant_id: int) -> tuple[bytes, ...]:
    """In this database, the newest first.

    Raises:
        TemporaryFailure: ``storage_down``: the installation's keys are not those that sealed it.
    """
    mine = sa.select(CompanyKey.content).where(CompanyKey.tenant_id == tenant_id).order_by(CompanyKey.id.desc())
    try:
        found = (key_in(content, tenant_id) for content in connection.scalars(mine))
        return tuple(key for key in found if key is not None)
    except InvalidToken as error:
        reason = "the keys of companies were sealed with another SECRET_KEY or other FAXROOM_SEALING_KEYS"
        raise TemporaryFailure("storage_down", reason=reason) from error
