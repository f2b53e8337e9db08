"""What a server elsewhere says, within limits: none may fill our memory, or speak for ever byte by byte.

A socket's timeout is for each piece that comes; whoever sends one a second never meets it. So an answer has an end of
its own, and so many bytes.
"""

import time
from dataclasses import dataclass, field
from socket import socket

PIECE = 64 * 1024


class TooMuch(OSError):
    """The answer is longer, or took longer, than any that is meant well."""


@dataclass
class Answers:
    """Reads from a socket, with the timeout that it has. After a :class:`TooMuch` nothing more is read."""

    end: float = 0.0
    lines_left: int = 0
    left: int = 0
    is_broken: bool = False
    buffer: bytearray = field(default_factory=bytearray)
    _of: socket | None = None

    def expect(self, *, seconds: float, lines: int, most: int) -> None:
        """From now on an answer may take so long, and have so many bytes: ``lines`` in lines, ``most`` in all."""
        self.end, self.lines_left, self.left = time.monotonic() + seconds, lines, most

    def line(self, sock: socket, longest: int) -> bytes:
        """To its end, or ``longest`` bytes of it; less where the connection has ended."""
        self._turn_to(sock)
        while (end := self.buffer.find(b"\n")) < 0 and len(self.buffer) < longest and self._more(sock):
            pass
        found = self._taken(min(longest, end + 1 if end >= 0 else len(self.buffer)))
        self.lines_left -= len(found)
        if self.lines_left < 0:
            self._give_up("it says too much")
        return found

    def read(self, sock: socket, size: int) -> bytes:
        """So many bytes; less where the connection has ended."""
        self._turn_to(sock)
        if size > self.left:
            self._give_up("it says too much")
        while len(self.buffer) < size and self._more(sock):
            pass
        return self._taken(size)

    def _turn_to(self, sock: socket) -> None:
        """What came before the encryption is not read after it."""
        if self._of is not sock:
            self.buffer.clear()
            self._of = sock
        if self.is_broken:
            raise TooMuch("it says too much")

    def _taken(self, size: int) -> bytes:
        found = bytes(self.buffer[:size])
        del self.buffer[:size]
        self.left -= len(found)
        return found

    def _more(self, sock: socket) -> bool:
        """Raises what the socket does when nothing comes."""
        if time.monotonic() > self.end:
            self._give_up("it takes too long")
        piece = sock.recv(PIECE)
        self.buffer += piece
        return bool(piece)

    def _give_up(self, reason: str) -> None:
        self.is_broken = True
        raise TooMuch(reason)
