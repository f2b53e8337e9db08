"""Stands between two Asterisks on loopback: writes down what they say by SIP, and refuses what it is told to."""

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Said:
    """One message of SIP (RFC 3261). ``by_caller``: of the Asterisk that calls over us."""

    by_caller: bool
    text: str

    @property
    def first(self) -> str:
        return self.text.split("\r\n", 1)[0]

    @property
    def body(self) -> str:
        return self.text.partition("\r\n\r\n")[2]

    def header(self, name: str) -> str:
        found = re.search(rf"^{name}: *(.*?)\r$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""

    @property
    def transaction(self) -> tuple[bool, str, str]:
        """The same for a request, its answers told from it, and its ACK (RFC 3261, 17.1.1.3)."""
        return self.by_caller, self.header("Call-ID"), self.header("CSeq").split(" ")[0]

    @property
    def offers_t38(self) -> bool:
        """In the middle of a call."""
        return self.first.startswith("INVITE") and "m=image" in self.body and "tag=" in self.header("To")


class Relay:
    """``port`` is what the caller takes for its trunk; its calls go on to ``called``. Each end sees ours alone."""

    def __init__(self, called: int) -> None:
        self.said: list[Said] = []
        self.refuses: Callable[[Said], bool] = lambda said: False
        self._called, self._caller = called, 0
        self._refused: set[tuple[bool, str, str]] = set()
        self._near, self._far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for one in (self._near, self._far):
            one.bind((HOST, 0))
        self.port, self._far_port = self._near.getsockname()[1], self._far.getsockname()[1]
        self._over = threading.Event()

    def __enter__(self) -> Self:
        for by_caller in (True, False):
            threading.Thread(target=self._run, args=(by_caller,), daemon=True, name="relay").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._near.close()
        self._far.close()

    def of(self, call_id: str) -> list[Said]:
        return [said for said in self.said if said.header("Call-ID") == call_id]

    def _run(self, by_caller: bool) -> None:
        here, there = (self._near, self._far) if by_caller else (self._far, self._near)
        while not self._over.is_set():
            with suppress(OSError):
                raw, where = here.recvfrom(65535)
                if by_caller:
                    self._caller = where[1]
                said = Said(by_caller, raw.decode("latin-1"))
                self.said.append(said)
                if self.refuses(said):
                    self._refused.add(said.transaction)
                    here.sendto(_refusal(said), where)
                elif not (said.first.startswith("ACK") and said.transaction in self._refused):
                    target = self._called if by_caller else self._caller
                    there.sendto(self._renamed(said).encode("latin-1"), (HOST, target))

    def _renamed(self, said: Said) -> str:
        """In headers alone: bodies name no port behind an address, so that their length stays."""
        names = {self._caller: self._far_port, self.port: self._called}
        if not said.by_caller:
            names = {new: old for old, new in names.items()}
        return re.sub(
            rf"(?<={re.escape(HOST)}:)[0-9]+", lambda found: str(names.get(int(found[0]), found[0])), said.text
        )


def _refusal(said: Said) -> bytes:
    kept = [
        line
        for line in said.text.split("\r\n")
        if line.lower().startswith(("via:", "from:", "to:", "call-id:", "cseq:"))
    ]
    return "\r\n".join(["SIP/2.0 488 Not Acceptable Here", *kept, "Content-Length: 0", "", ""]).encode("latin-1")
