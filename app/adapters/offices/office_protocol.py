"""What is said to an office over its socket: one question and one answer a connection, documents as bytes.

A message is the length of its head (4 bytes) and of its body (8), both big-endian, the head in JSON, the body. Nobody
names a path or a filter; ``name`` is what a document shows that shows the name of its file. Standard library only: the
office has nothing else.

    {"do": "state"}                     → {"documents": 0, "has_room": true, "guard": "namespaces"}
    {"do": "convert", "kind": "docx", "name": "letter.docx", "locale": "it-IT"}
                                        → {"tracked": false} and the PDF, or {"fault": 1001, "reason": "…"}
"""

import json
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

HEAD_BYTES = 64 * 1024
#: Beyond the largest document and the largest PDF.
BODY_BYTES = 1024**3
PIECE = 1024**2
LOOK_SECONDS = 0.25
_LENGTHS = struct.Struct(">IQ")

#: Codes of faults: LibreOffice goes on and has not converted; it ended by itself; somebody ended it; there is no room
#: on its disk, or no thread left for it; it cannot be confined on this machine, so no document is opened; it has
#: judged the document: a sheet of it takes more pages beside each other than a fax has.
NOT_CONVERTED, CRASHED, KILLED, NO_ROOM, UNCONFINED, TOO_WIDE = range(1001, 1007)


class Broken(OSError):
    """The other side ended, was silent for too long or said what is no message."""


def user_of(line: socket.socket) -> int:
    """Who is at the other end (SO_PEERCRED, unix(7)). In a room whoever is unknown there is *nobody*."""
    return _peer(line)[1]


def group_of(line: socket.socket) -> int:
    return _peer(line)[2]


def _peer(line: socket.socket) -> tuple[int, ...]:
    return struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))


def send(line: socket.socket, head: dict[str, Any], body: bytes = b"") -> None:
    written = json.dumps(head).encode()
    line.sendall(_LENGTHS.pack(len(written), len(body)) + written)
    if body:
        line.sendall(body)


def receive(
    line: socket.socket, *, seconds: float, look: Callable[[float], None] = lambda _: None
) -> tuple[dict[str, Any], bytes]:
    """``seconds`` for all of it; ``look`` is called every ``LOOK_SECONDS`` with those that have passed, and may raise.

    Raises:
        Broken
    """
    began = time.monotonic()
    end = began + seconds

    def passed() -> None:
        look(time.monotonic() - began)

    head_length, body_length = _LENGTHS.unpack(_exactly(line, _LENGTHS.size, end, passed))
    if head_length > HEAD_BYTES or body_length > BODY_BYTES:
        raise Broken("a message that is too long")
    try:
        head = json.loads(_exactly(line, head_length, end, passed))
    except ValueError as error:
        raise Broken("no message") from error
    if not isinstance(head, dict):
        raise Broken("no message")
    return head, bytes(_exactly(line, body_length, end, passed))


def _exactly(line: socket.socket, length: int, end: float, passed: Callable[[], None]) -> bytearray:
    data = bytearray()
    while len(data) < length:
        if (left := end - time.monotonic()) <= 0:
            raise Broken("no answer in time")
        line.settimeout(min(left, LOOK_SECONDS))
        try:
            piece = line.recv(min(PIECE, length - len(data)))
        except TimeoutError:
            passed()
            continue
        if not piece:
            raise Broken("the connection was ended")
        data += piece
    return data
