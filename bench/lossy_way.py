"""A network between two SIP ends on loopback that loses and delays packets: a SIP proxy that carries the media too.

It rewrites the SDP of both ends, so that RTP and UDPTL go through it, and adds Record-Route (RFC 3261, 16), so that
everything within a dialogue does as well.
"""

import random
import re
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Self

HOST = "127.0.0.1"
_PORT = re.compile(r"^m=(audio|image) (\d+)", re.MULTILINE)


class Stream:
    """The packets of one medium of one call, both ways. ``ends``: side → port of the end there."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.sockets = {side: _bound() for side in ("near", "far")}
        self.under_way = {side: deque[tuple[float, bytes]]() for side in ("near", "far")}

    def port_for(self, side: str) -> int:
        """Where the end on this side is to send to."""
        return int(self.sockets[side].getsockname()[1])


class LossyWay:
    """``loss``: medium (``audio``, ``image``) → share of packets that are lost, each way; ``jitter``: each is
    delayed by up to so many seconds, and overtakes none. ``near_port`` is known from the near end's first call on."""

    def __init__(
        self, *, far_port: int, loss: dict[str, float], seed: int = 1, jitter: float = 0, near_port: int = 0
    ) -> None:
        self.far_port, self.loss, self.random = far_port, loss, random.Random(seed)
        self.near_port, self.jitter = near_port, jitter
        self.lost = self.passed = 0
        self._socket = _bound()
        self.port = self._socket.getsockname()[1]
        self._streams: dict[tuple[str, str], Stream] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ, self._signal)
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.003 if self.jitter else 0.5):
                act: Callable[[], None] = key.data
                with suppress(OSError):
                    act()
            for stream in self._streams.values():
                self._deliver(stream)

    # ---- Media

    def _stream(self, call: str, medium: str) -> Stream:
        if (call, medium) not in self._streams:
            stream = self._streams[call, medium] = Stream()
            for side, other in (("near", "far"), ("far", "near")):
                self._selector.register(
                    stream.sockets[side],
                    selectors.EVENT_READ,
                    lambda side=side, other=other: self._packet(stream, medium, side, other),
                )
        return self._streams[call, medium]

    def _packet(self, stream: Stream, medium: str, side: str, other: str) -> None:
        packet = stream.sockets[side].recv(65535)
        if self.random.random() < self.loss.get(medium, 0):
            self.lost += 1
        elif stream.ends.get(other):
            self.passed += 1
            queue = stream.under_way[other]
            at = time.monotonic() + self.random.uniform(0, self.jitter)
            queue.append((max(at, queue[-1][0]) if queue else at, packet))

    def _deliver(self, stream: Stream) -> None:
        """What has been under way for long enough."""
        for side, queue in stream.under_way.items():
            while queue and queue[0][0] <= time.monotonic():
                with suppress(OSError):
                    stream.sockets[side].sendto(queue.popleft()[1], (HOST, stream.ends[side]))

    # ---- SIP

    def _signal(self) -> None:
        raw, (_, port) = self._socket.recvfrom(65535)
        head, _, body = raw.decode("latin-1").partition("\r\n\r\n")
        first, *headers = head.split("\r\n")
        if not first:
            return
        side = "far" if port == self.far_port else "near"
        if side == "near":
            self.near_port = port
        call = next((line.partition(":")[2].strip() for line in headers if line.lower().startswith("call-id")), "")
        body = self._rewritten(body, call, side)
        headers = [line for line in headers if not line.lower().startswith("content-length")]
        headers = _without_first(headers, "via") if first.startswith("SIP/2.0") else self._routed(headers, first, body)
        message = "\r\n".join([first, *headers, f"Content-Length: {len(body)}", "", body])
        target = self.near_port if side == "far" else self.far_port
        self._socket.sendto(message.encode("latin-1"), (HOST, target))

    def _routed(self, headers: list[str], first: str, body: str) -> list[str]:
        """The same request has the same branch each time it is sent."""
        via = next(line for line in headers if line.lower().startswith("via"))
        branch = "z9hG4bKway" + re.sub(r"\W", "", via)[-40:]
        added = [f"Via: SIP/2.0/UDP {HOST}:{self.port};branch={branch}"]
        if first.startswith("INVITE"):
            added.append(f"Record-Route: <sip:{HOST}:{self.port};lr>")
        return [*added, *_without_first(headers, "route")]

    def _rewritten(self, body: str, call: str, side: str) -> str:
        other = "near" if side == "far" else "far"

        def through_here(found: re.Match[str]) -> str:
            medium, port = found[1], int(found[2])
            if not port:
                return found[0]
            stream = self._stream(call, medium)
            stream.ends[side] = port
            return f"m={medium} {stream.port_for(other)}"

        return _PORT.sub(through_here, body)


def _bound() -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind((HOST, 0))
    return found


def _without_first(headers: list[str], name: str) -> list[str]:
    """Of the first header of this name the first value goes."""
    for index, line in enumerate(headers):
        if line.lower().startswith(f"{name}:"):
            values = line.partition(":")[2].split(",")
            rest = [f"{line.partition(':')[0]}: {','.join(values[1:]).strip()}"] if len(values) > 1 else []
            return [*headers[:index], *rest, *headers[index + 1 :]]
    return headers
