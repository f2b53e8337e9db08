"""Documents that lie plain, or have an older key of their company, are sealed with its newest: those of an upgraded
installation, or after a key was renewed. One after the other beside all that goes on; who reads one reads on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from app.adapters.storage.sealed_files import name_of
from app.errors import PermanentFailure
from app.rules.upkeep.keys import (
    Unsealed,
    companies_with_older_keys,
    documents_with_older_key,
    note_sealed,
    plain_documents,
)
from app.services.documents.documents import storage
from tenants.db import db, only_reading

BATCH = 100


@dataclass
class Sealed:
    """What a run has done. ``left``: keys in the storage of what is not there, or not what was stored."""

    count: int = 0
    left: list[str] = field(default_factory=list)
    done: bool = True


def seal_documents(until: float, *, told: Callable[[int], None] = lambda count: None) -> Sealed:
    """All that there are, until that moment (time.monotonic). May be killed at any point and run by two at once.
    ``told`` hears how many so far.

    Raises:
        TemporaryFailure: the storage does not answer; what was sealed is.
    """
    sealed = Sealed()
    _seal(plain_documents, until, sealed, told)
    with only_reading():
        renewed = companies_with_older_keys(db.session)
        db.session.rollback()
    for tenant_id in renewed:
        newest = name_of(storage().known.of(str(tenant_id), anew=True)[0]).hex()
        _seal(partial(documents_with_older_key, tenant_id=tenant_id, newest=newest), until, sealed, told)
    return sealed


def _seal(ask: Callable[..., list[Unsealed]], until: float, sealed: Sealed, told: Callable[[int], None]) -> None:
    last = ""
    while sealed.done:
        with only_reading():
            some = ask(db.session, after=last, limit=BATCH)
            db.session.rollback()  # no transaction while the storage works
        if not some:
            return
        for document in some:
            if time.monotonic() > until:
                sealed.done = False
                break
            _seal_one(document, sealed)
            last = document.id
        told(sealed.count)


def _seal_one(document: Unsealed, sealed: Sealed) -> None:
    try:
        name = storage().seal_again(document.storage_key, sha256=document.sha256)
    except PermanentFailure:
        sealed.left.append(document.storage_key)
        return
    if note_sealed(db.session, document.id, name):
        sealed.count += 1
    else:  # it was removed while it was sealed, and may have come back by that
        storage().delete(document.storage_key)
