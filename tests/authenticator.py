"""A passkey device in Python: makes key pairs and signs challenges as browsers hand them over (WebAuthn, section 6).

It does what a device and its browser do, and, where a test wants it, what they never would.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import bytes_to_base64url

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Device:
    """``verifies``: it asks for a PIN or a finger. ``counts``: it counts its signatures."""

    origin: str
    verifies: bool = True
    counts: bool = True
    rp_id: str = "localhost"
    count: int = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    user_handle: str = ""

    def create(self, options: dict[str, Any]) -> str:
        """What ``navigator.credentials.create`` gives, as the page's script sends it."""
        self.user_handle = options["user"]["id"]
        client = self._client("webauthn.create", options["challenge"])
        data = self._data(ATTESTED) + b"\0" * 16 + len(self.credential_id).to_bytes(2, "big") + self.credential_id
        attestation = {"fmt": "none", "attStmt": {}, "authData": data + self._public_key()}
        return self._answer(
            clientDataJSON=client, attestationObject=cbor2.dumps(attestation), transports=["internal", "made up"]
        )

    def sign(self, options: dict[str, Any]) -> str:
        """What ``navigator.credentials.get`` gives."""
        client = self._client("webauthn.get", options["challenge"])
        data = self._data(0)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            clientDataJSON=client, authenticatorData=data, signature=signature, userHandle=self.user_handle or None
        )

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _data(self, flags: int) -> bytes:
        self.count += self.counts
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _public_key(self) -> bytes:
        """COSE, ES256 (RFC 9053, section 7.1.1)."""
        numbers = self.key.public_key().public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        return cbor2.dumps({1: 2, 3: -7, -1: 1, **point})

    def _answer(self, **response: Any) -> str:
        written = {
            name: bytes_to_base64url(value) if isinstance(value, bytes) else value for name, value in response.items()
        }
        own = bytes_to_base64url(self.credential_id)
        return json.dumps({"id": own, "rawId": own, "type": "public-key", "response": written})
