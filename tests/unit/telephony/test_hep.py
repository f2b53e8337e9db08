"""Asterisk's packets about SIP."""

import socket
import struct

from app.adapters.telephony.hep import Ear, Packet, capture_password, read_packet
from tests.waiting import until

PASSWORD = capture_password("ari")


def chunk(kind: int, value: bytes, vendor: int = 0) -> bytes:
    return struct.pack(">HHH", vendor, kind, 6 + len(value)) + value


def packet(payload: bytes, *, password: str = PASSWORD, correlation: str = "call-1") -> bytes:
    body = b"".join(
        (
            *(chunk(0x01, b"\x02"), chunk(0x02, b"\x11"), chunk(0x03, bytes([127, 0, 0, 1]))),
            *(chunk(0x04, bytes([192, 0, 2, 7])), chunk(0x07, struct.pack(">H", 5060))),
            *(chunk(0x08, struct.pack(">H", 5080)), chunk(0x09, struct.pack(">I", 1000))),
            *(chunk(0x0A, struct.pack(">I", 250_000)), chunk(0x0E, password.encode())),
            *(chunk(0x11, correlation.encode()), chunk(0x0F, payload)),
        )
    )
    return b"HEP3" + struct.pack(">H", 6 + len(body)) + body


def test_a_packet_is_read() -> None:
    assert read_packet(packet(b"BYE"), PASSWORD) == Packet(
        1000.25, ("127.0.0.1", 5060), ("192.0.2.7", 5080), "call-1", b"BYE"
    )


def test_who_does_not_know_the_password_tells_nothing() -> None:
    assert read_packet(packet(b"BYE", password="guessed"), PASSWORD) is None
    assert read_packet(packet(b"BYE", password=""), PASSWORD) is None


def test_a_packet_that_lies_about_its_length_is_nothing() -> None:
    whole = packet(b"BYE")
    for cut in range(len(whole)):
        assert read_packet(whole[:cut], PASSWORD) is None
    for at in range(6, len(whole)):
        read_packet(whole[:at] + b"\xff" + whole[at + 1 :], PASSWORD)  # must only not fail
    assert read_packet(whole + b"more", PASSWORD) is None


def test_the_ear_hears_and_closes() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    ear = Ear(f"http://127.0.0.1:{port}", "ari")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        for text in (packet(b"one"), b"noise", packet(b"two")):
            speaker.sendto(text, ("127.0.0.1", port))
    heard: list[Packet] = []
    until(lambda: heard.extend(ear.take()) or len(heard) == 2)
    ear.close()
    assert [one.payload for one in heard] == [b"one", b"two"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))
