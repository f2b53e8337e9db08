"""SIP messages as Asterisk's res_hep reports them: one UDP packet on loopback for each message.

Source: HEP3 (sipcapture/HEP, "HEP3 Network Protocol Specification", rev 36); Asterisk 22, res_hep.c, res_hep_pjsip.c.
"""

import hashlib
import hmac
import logging
import socket
import struct
import threading
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.adapters.telephony.sip import Refusal, read_refusal, shortened

log = logging.getLogger(__name__)

#: Chunks of HEP3.
_SOURCE4, _TARGET4, _SOURCE6, _TARGET6 = 0x03, 0x04, 0x05, 0x06
_SOURCE_PORT, _TARGET_PORT, _SECONDS, _MICROSECONDS = 0x07, 0x08, 0x09, 0x0A
_PASSWORD, _PAYLOAD, _CORRELATION = 0x0E, 0x0F, 0x11
_HEAD, _CHUNK = struct.Struct(">4sH"), struct.Struct(">HHH")
LONGEST = 65_535
#: What nobody takes away goes, the oldest first.
MOST_WAITING = 400
_SECONDS_BETWEEN_LOOKS = 0.5
#: Calls whose refusal is kept until their result is heard, and how long that waits for one which is on its way.
MOST_REFUSALS, REFUSAL_SECONDS = 5_000, 0.1
_BUFFER = 4 * 1024 * 1024


@dataclass(frozen=True)
class Packet:
    """One SIP message as far as it is looked at. ``at`` is a Unix time, ``source`` and ``target`` address and port.
    ``correlation`` is the name of the channel that it belongs to, or its Call-ID where Asterisk knows of none."""

    at: float
    source: tuple[str, int]
    target: tuple[str, int]
    correlation: str
    payload: bytes


def capture_password(ari_password: str) -> str:
    """As bin/lib/asterisk.py writes it into hep.conf."""
    return hashlib.sha256(f"capture {ari_password}".encode()).hexdigest()[:32]


def read_packet(raw: bytes, password: str) -> Packet | None:
    """None for one that is no HEP3, is cut short, or does not come from who knows the password."""
    chunks = _chunks(raw)
    if not hmac.compare_digest(chunks.get(_PASSWORD, b""), password.encode()) or _PAYLOAD not in chunks:
        return None
    seconds, microseconds = _number(chunks, _SECONDS), _number(chunks, _MICROSECONDS)
    return Packet(
        at=seconds + microseconds / 1_000_000,
        source=(_address(chunks, _SOURCE4, _SOURCE6), _number(chunks, _SOURCE_PORT)),
        target=(_address(chunks, _TARGET4, _TARGET6), _number(chunks, _TARGET_PORT)),
        correlation=chunks.get(_CORRELATION, b"").decode("utf-8", "replace"),
        payload=shortened(chunks[_PAYLOAD]),
    )


def _chunks(raw: bytes) -> dict[int, bytes]:
    """Of the vendor 0, which are HEP's own; none where a length lies."""
    if len(raw) < _HEAD.size or _HEAD.unpack_from(raw) != (b"HEP3", len(raw)):
        return {}
    found, at = dict[int, bytes](), _HEAD.size
    while at < len(raw):
        if at + _CHUNK.size > len(raw):
            return {}
        vendor, kind, length = _CHUNK.unpack_from(raw, at)
        if length < _CHUNK.size or at + length > len(raw):
            return {}
        if vendor == 0:
            found[kind] = raw[at + _CHUNK.size : at + length]
        at += length
    return found


def _number(chunks: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(chunks.get(kind, b""), "big")


def _address(chunks: dict[int, bytes], four: int, six: int) -> str:
    for kind, family, size in ((four, socket.AF_INET, 4), (six, socket.AF_INET6, 16)):
        if len(chunks.get(kind, b"")) == size:
            return socket.inet_ntop(family, chunks[kind])
    return ""


class Ear:
    """Hears on loopback, in a thread of its own, until it is closed. ``take`` gives what has come while ``keeps`` is
    set; how calls were refused is kept at any time."""

    def __init__(self, ari_url: str, ari_password: str) -> None:
        """
        Raises:
            OSError: somebody else has the port.
        """
        parts = urlsplit(ari_url)
        self._password = capture_password(ari_password)
        self._heard: deque[Packet] = deque(maxlen=MOST_WAITING)
        self.lost = 0
        self.keeps = True
        self._refusals: dict[str, Refusal] = {}
        self._heard_refusal = threading.Condition()
        self._hears = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind(("127.0.0.1", parts.port or 80))
            self._socket.settimeout(_SECONDS_BETWEEN_LOOKS)
        except OSError:
            self._socket.close()
            raise
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hep", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with closing(self._socket):
            while not self._closing.is_set():
                try:
                    raw = self._socket.recv(LONGEST)
                except TimeoutError:
                    continue
                if packet := read_packet(raw, self._password):
                    self._note_refusal(packet.payload)
                    if self.keeps:
                        self.lost += len(self._heard) == MOST_WAITING
                        self._heard.append(packet)

    def _note_refusal(self, payload: bytes) -> None:
        """The last one of each call: the first may only have asked for a password."""
        self._hears = True
        if told := read_refusal(payload):
            with self._heard_refusal:
                self._refusals.pop(told[0], None)
                self._refusals[told[0]] = told[1]
                if len(self._refusals) > MOST_REFUSALS:
                    del self._refusals[next(iter(self._refusals))]
                self._heard_refusal.notify_all()

    def refusal(self, call_id: str, code: int) -> Refusal | None:
        """What the refusal of a call that ended by this response said: no other one of the same call, such as the one
        that asked for a password, or that of a call that was taken back. Asterisk tells of its SIP before it tells of
        the end."""
        with self._heard_refusal:
            if self._hears:
                self._heard_refusal.wait_for(lambda: self._known(call_id, code) is not None, REFUSAL_SECONDS)
            return self._known(call_id, code)

    def _known(self, call_id: str, code: int) -> Refusal | None:
        found = self._refusals.get(call_id)
        return found if found and found.code == code else None

    def take(self) -> list[Packet]:
        """At most as many as there is room for, however fast more come."""
        found = list[Packet]()
        while self._heard and len(found) < MOST_WAITING:
            found.append(self._heard.popleft())
        return found

    def close(self) -> None:
        self._closing.set()
        self._thread.join(2 * _SECONDS_BETWEEN_LOOKS)
