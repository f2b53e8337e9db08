"""Asterisk's packets about SIP."""

import socket
import struct

from app.adapters.telephony.hep import Ear, Packet, capture_password, read_packet
from app.adapters.telephony.sip import Refusal
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


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as finder:
        finder.bind(("127.0.0.1", 0))
        return int(finder.getsockname()[1])


def refusal(call: str, code: str, *headers: str, seq: str = "1 INVITE") -> bytes:
    lines = [f"SIP/2.0 {code}", "From: <sip:a@b>;tag=x", f"Call-ID: {call}", f"CSeq: {seq}", *headers, "", ""]
    return packet("\r\n".join(lines).encode())


def test_how_a_call_was_refused_is_known_though_nobody_keeps_its_sip() -> None:
    port = free_port()
    ear = Ear(f"http://127.0.0.1:{port}", "ari")
    ear.keeps = False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        for text in (
            refusal("one", "401 Unauthorized"),
            refusal("one", "503 No", 'Reason: Q.850;cause=17;text="User busy"', "Retry-After: 900 (later);duration=5"),
            refusal("two", "486 Busy Here"),
            refusal("three", "200 OK", "Reason: Q.850;cause=17"),
            refusal("four", "487 No", "Reason: Q.850;cause=17", seq="1 CANCEL"),
            refusal("last", "486 Busy Here"),
        ):
            speaker.sendto(text, ("127.0.0.1", port))
    until(lambda: ear.refusal("last", 486))
    assert ear.refusal("one", 503) == Refusal(503, 17, "User busy", 900)
    assert ear.refusal("two", 486) == Refusal(486)
    assert ear.refusal("three", 200) is ear.refusal("four", 487) is ear.refusal("five", 486) is None
    assert ear.take() == []
    ear.close()


def test_a_call_has_the_reason_of_the_response_that_ended_it_and_of_no_other() -> None:
    port = free_port()
    ear = Ear(f"http://127.0.0.1:{port}", "ari")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(refusal("call", "401 Unauthorized", "Retry-After: 60"), ("127.0.0.1", port))
        assert until(lambda: ear.refusal("call", 401)) == Refusal(401, retry_after=60)
        assert ear.refusal("call", 503) is None
        speaker.sendto(refusal("call", "503 No", "Reason: Q.850;cause=17"), ("127.0.0.1", port))
        assert until(lambda: ear.refusal("call", 503)) == Refusal(503, 17)
        assert ear.refusal("call", 401) is None
    ear.close()


def test_the_ear_hears_and_closes() -> None:
    port = free_port()
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
