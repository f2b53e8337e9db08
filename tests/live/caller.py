"""A caller who speaks SIP by hand: writes into a call's headers what no honest machine would (RFC 3261, 3323, 3325)."""

import re
import socket
import uuid
from contextlib import suppress
from types import TracebackType

SOUND, T38 = "m=audio 9 RTP/AVP 8", "m=image 9 udptl t38"


class Caller:
    """One call. Sends no sound: whoever answers hears nothing. ``media`` is what its offer holds (RFC 4566)."""

    def __init__(
        self, sip_port: int, number: str, *, user: str, headers: tuple[str, ...] = (), media: tuple[str, ...] = (SOUND,)
    ) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(("127.0.0.1", sip_port))
        self._socket.settimeout(100)
        self._here = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._there = f"sip:{number}@127.0.0.1:{sip_port}"
        self._user, self._headers, self._media = user, headers, media
        self._call, self._tag = uuid.uuid4().hex, uuid.uuid4().hex[:8]
        self._to_tag = ""

    def __enter__(self) -> "Caller":
        offer = "\r\n".join(("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", *self._media, ""))
        self._send("INVITE", 1, offer, *self._headers, "Content-Type: application/sdp")
        return self

    def until_answered(self) -> str:
        """What was answered, whole."""
        answer = self._final()
        assert answer.startswith("SIP/2.0 200 "), answer.splitlines()[0]
        self._to_tag = re.search(r"^To:.*;tag=([^;\r]+)", answer, re.MULTILINE)[1]
        self._send("ACK", 1)
        return answer

    def until_offered(self) -> str:
        """What the other side offers in the middle of the call, whole. We never answer."""
        while True:
            request = self._socket.recv(65535).decode()
            if request.startswith("INVITE"):
                return request

    def until_refused(self) -> int:
        """The status."""
        return int(self._final().split(" ")[1])

    def _final(self) -> str:
        while True:
            answer = self._socket.recv(65535).decode()
            if answer.startswith("SIP/2.0") and int(answer.split(" ")[1]) >= 200:
                return answer

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._to_tag:
            self._send("BYE", 2)
            with suppress(TimeoutError):
                self._socket.recv(65535)
        self._socket.close()

    def _send(self, method: str, sequence: int, body: str = "", *headers: str) -> None:
        to_tag = f";tag={self._to_tag}" if self._to_tag else ""
        lines = (
            f"{method} {self._there} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._here};rport;branch=z9hG4bK{uuid.uuid4().hex[:12]}",
            "Max-Forwards: 70",
            f"From: <sip:{self._user}@127.0.0.1>;tag={self._tag}",
            f"To: <{self._there}>{to_tag}",
            f"Call-ID: {self._call}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:caller@{self._here}>",
            *headers,
            f"Content-Length: {len(body)}",
        )
        self._socket.send("\r\n".join((*lines, "", body)).encode())
