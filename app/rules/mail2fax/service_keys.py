"""The key file of a service account, as Google gives it."""

import json
import re
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.errors import Refused

FIELD = "service_key"
#: Of the file; Google's have two thousand and some hundred.
MOST = 8000
_ADDRESS = re.compile(r"[\x21-\x7e]{1,200}@[A-Za-z0-9.-]{1,54}")


@dataclass(frozen=True)
class ServiceKey:
    """``private_key`` is PEM (PKCS #8)."""

    address: str
    private_key: str = field(repr=False)


def read_service_key(text: str) -> ServiceKey:
    """What counts in the file.

    Raises:
        Refused: ``token_key_unreadable``, ``token_key_of_client``: the file of an OAuth client.
    """
    try:
        facts = json.loads(text) if len(text) <= MOST else None
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise Refused("token_key_unreadable", field=FIELD)
    if facts.keys() & {"web", "installed"} or facts.get("type") == "authorized_user":
        raise Refused("token_key_of_client", field=FIELD)
    address, key = str(facts.get("client_email", "")), str(facts.get("private_key", ""))
    if not _ADDRESS.fullmatch(address) or not _is_rsa(key):
        raise Refused("token_key_unreadable", field=FIELD)
    return ServiceKey(address, key)


def _is_rsa(key: str) -> bool:
    try:
        return isinstance(load_pem_private_key(key.encode(), None), RSAPrivateKey)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
