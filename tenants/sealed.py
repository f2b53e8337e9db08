"""Text that is encrypted in the database: passwords of mailboxes, private keys, PINs, secrets of second factors, and
the keys of companies, which seal their documents."""

import base64
import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from flask import current_app
from sqlalchemy.orm import Session

from tenants.db import rows_changed


def sealing_key(secret: str) -> bytes:
    """A Fernet key from a secret of any form, always the same one for the same secret."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"faxroom sealing " + secret.encode()).digest())


class SealingKeys(Sequence[bytes]):
    """Keys of the installation: the first one encrypts, all decrypt. Those of a file are read again when the file is
    another one, so that a key that is changed holds in all processes at once, without a restart."""

    def __init__(self, given: Sequence[str], file: Path | None = None) -> None:
        """``given`` are the secrets where there is no ``file`` yet."""
        self._given, self.file = tuple(given), file
        self._mark: tuple[int, ...] | None = None
        self._secrets, self._keys = self._given, [sealing_key(secret) for secret in given]

    @property
    def secrets(self) -> tuple[str, ...]:
        self._look()
        return self._secrets

    def _look(self) -> None:
        try:
            facts = self.file.stat() if self.file else None
        except FileNotFoundError:
            facts = None
        mark = (facts.st_ino, facts.st_mtime_ns, facts.st_size) if facts else None
        if mark == self._mark:
            return
        text = self.file.read_text().strip() if self.file and facts else ""
        if facts and not text:
            return  # it is being written at this moment: nothing is encrypted with an empty key
        found = tuple(text.split(",")) if facts else self._given
        self._secrets, self._keys = found, [sealing_key(secret) for secret in found]
        self._mark = mark

    def __getitem__(self, place: Any) -> Any:
        self._look()
        return self._keys[place]

    def __len__(self) -> int:
        self._look()
        return len(self._keys)

    def put_in_front(self) -> None:
        """A new secret, which encrypts from now on, in every process that reads the file. It is on the disk before
        anything is encrypted with it; whoever dies before that leaves the file as it was.

        Raises:
            OSError: the file cannot be written.
        """
        assert self.file is not None
        folder = self.file.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.file.with_name(f".{self.file.name}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            os.fchmod(descriptor, 0o600 | folder.stat().st_mode & 0o040)  # who may read the folder's other secrets
            stream.write(",".join((secrets.token_urlsafe(32), *self.secrets)))
            stream.flush()
            os.fsync(descriptor)
        new.rename(self.file)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in current_app.config["SEALING_KEYS"]])


class SealedText(sa.types.TypeDecorator[str]):
    """Encrypted with the first of ``SEALING_KEYS``; readable with any of them, so that keys can be rotated."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else _box().encrypt(value.encode()).decode()

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else _box().decrypt(value.encode()).decode()


@dataclass(frozen=True)
class Resealed:
    """Column → how many secrets have the first key now, and how many none of the keys opens."""

    anew: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)


#: Rows that are encrypted anew between two commits.
RESEAL_BATCH = 200


def reseal_all(session: Session, metadata: sa.MetaData) -> Resealed:
    """Encrypt every sealed column of every table with the first key. May be stopped and run again. Commits."""
    told, box = Resealed(), _box()
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, SealedText):
                _reseal(session, table, column, box, told)
    return told


def _reseal(session: Session, table: sa.Table, column: sa.Column[Any], box: MultiFernet, told: Resealed) -> None:
    """In the order of the key; a secret that is changed meanwhile is left as its writer sealed it."""
    (key,) = table.primary_key.columns
    name, raw, last = f"{table.name}.{column.name}", sa.type_coerce(column, sa.Text), None
    while True:
        following = sa.true() if last is None else key > last
        query = sa.select(key, raw).where(column.is_not(None), following).order_by(key).limit(RESEAL_BATCH)
        rows = session.execute(query).all()
        if not rows:
            session.rollback()
            return
        for row_key, sealed in rows:
            try:
                anew = box.rotate(sealed.encode()).decode()
            except InvalidToken:
                told.unreadable[name] += 1
                continue
            same = sa.update(table).where(key == row_key, raw == sealed)
            values = {column.name: sa.type_coerce(sa.literal(anew), sa.Text)}
            told.anew[name] += rows_changed(session, same.values(values))
        last = rows[-1][0]
        session.commit()
