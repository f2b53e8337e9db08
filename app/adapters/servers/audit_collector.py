"""Where audit entries go out to: syslog (RFC 5424) by UDP, TCP, TLS or a Unix socket, or lines of JSON in a file.

Each message is the entry as JSON in ASCII, in the facility *log audit*. TCP and TLS count octets (RFC 6587 3.4.1, RFC
5425); a datagram is one message (RFC 5426). A collector by UDP confirms nothing, one by TCP only that the kernel took
it: an entry's ``chain`` and ``n`` show whether one is missing.
"""

import json
import os
import socket
import ssl
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from app.errors import TemporaryFailure

Entry = dict[str, Any]

SECONDS = 5.0
#: RFC 5424, 6.2.1: facility 13, log audit; 6 is informational, 4 a warning.
FACILITY, INFORMATION, WARNING = 13, 6, 4
PORTS = {"syslog+udp": 514, "syslog+tcp": 601, "syslog+tls": 6514}
SCHEMES = (*PORTS, "syslog+unix", "file")
#: What a person who watches wants to see first.
ALARMING = ("sign_in_failed", "step_up_failed")


def check_collector(url: str) -> str:
    """The address as it was given, if entries can go there.

    Raises:
        ValueError: it is none of those that the module's text names.
    """
    parts = urlsplit(url)
    place = parts.hostname if parts.scheme in PORTS else parts.path
    if parts.scheme not in SCHEMES or not place:
        known = "syslog+udp://HOST:PORT, syslog+tcp://…, syslog+tls://…, syslog+unix:/dev/log or file:///PATH"
        raise ValueError(f"FAXROOM_AUDIT_LOG has to be {known}")
    return url


def deliver(url: str, entries: Iterable[Entry]) -> None:
    """Hand all of them over, in order.

    Raises:
        TemporaryFailure: ``audit_collector``: some of them may have gone.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            _append(Path(parts.path), entries)
        else:
            _send(parts, [message(entry) for entry in entries])
    except OSError as error:
        raise TemporaryFailure("audit_collector", reason=str(error)) from error


def line(entry: Entry) -> str:
    return json.dumps(entry, ensure_ascii=True, separators=(",", ":"))


def message(entry: Entry) -> bytes:
    """RFC 5424, 6: priority and version, time, host, program, no process id, what it is about, no structured data."""
    alarming = str(entry.get("action", "")).endswith(ALARMING)
    priority = FACILITY * 8 + (WARNING if alarming else INFORMATION)
    at = datetime.fromisoformat(entry["at"]).isoformat(timespec="microseconds") if entry.get("at") else "-"
    kind = _printable(str(entry.get("action") or ""), 32)  # MSGID has 32 signs at most
    return f"<{priority}>1 {at} {_host()} faxroom - {kind} - {line(entry)}".encode("ascii")


def _printable(text: str, most: int) -> str:
    return "".join(sign for sign in text if "!" <= sign <= "~")[:most] or "-"


@cache
def _host() -> str:
    return _printable(socket.gethostname(), 255)


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _append(path: Path, entries: Iterable[Entry]) -> None:
    """In one piece, and on the disk before anybody says that it went. Opened anew each time: a log may be rotated."""
    text = "".join(f"{line(entry)}\n" for entry in entries).encode("ascii")
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while text:
            text = text[os.write(file, text) :]
        os.fsync(file)
    finally:
        os.close(file)


def _send(parts: SplitResult, messages: list[bytes]) -> None:
    if parts.scheme == "syslog+unix":
        _send_datagrams(socket.AF_UNIX, parts.path, messages)
        return
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if parts.scheme == "syslog+udp":
        family, *_rest, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        _send_datagrams(family, address, messages)
        return
    with socket.create_connection((host, port), timeout=SECONDS) as plain:
        if parts.scheme == "syslog+tcp":
            _send_counted(plain, messages)
            return
        with _context().wrap_socket(plain, server_hostname=host) as sealed:
            _send_counted(sealed, messages)


def _send_datagrams(family: int, address: Any, messages: list[bytes]) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(SECONDS)
        sender.connect(address)
        for one in messages:
            sender.send(one)


def _send_counted(stream: socket.socket, messages: list[bytes]) -> None:
    stream.sendall(b"".join(b"%d %b" % (len(one), one) for one in messages))
    if isinstance(stream, ssl.SSLSocket):
        stream.unwrap()
    else:
        stream.shutdown(socket.SHUT_WR)
