"""Text that is encrypted in the database: passwords of mailboxes, private keys, PINs, secrets of second factors."""

import base64
import hashlib
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, MultiFernet
from flask import current_app


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
