"""Text that is encrypted in the database: passwords of mailboxes, private keys, PINs, secrets of second factors."""

import base64
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from flask import current_app
from sqlalchemy.orm import Session


def sealing_key(secret: str) -> bytes:
    """A Fernet key from a secret of any form, always the same one for the same secret."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"faxroom sealing " + secret.encode()).digest())


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


def _reseal(session: Session, table: sa.Table, column: sa.Column, box: MultiFernet, told: Resealed) -> None:
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
            told.anew[name] += session.execute(same.values(values)).rowcount
        last = rows[-1][0]
        session.commit()
