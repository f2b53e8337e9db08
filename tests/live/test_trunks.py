"""Trunks by TCP, by TLS with SRTP and over IPv6: two pages to another Asterisk each, all under way at once."""

import datetime
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.rules.numbers.called import trunk_in
from app.rules.sending.trunks.fields import FILE, MODULES, TrunkFields, file_text
from app.rules.sending.trunks.ports import MEDIA_FILES, MOST_FILES, ports_for
from app.services.receiving.line_events import Answered, Ended
from tests.live.lines import Ear, Line, call_of, light_pages, pages_in, wait_until

pytestmark = pytest.mark.live

#: Name → how each end is told of the other (PORT is its port).
TRUNKS = {
    "tcp": "sip:127.0.0.1:PORT;transport=tcp",
    "tls": "sip:localhost:PORT;transport=tls;media=srtp",
    "ipv6": "sip:[::1]:PORT",
}
#: The certificate is of the name ``localhost``.
OTHER_NAME = "sip:127.0.0.1:PORT;transport=tls;media=srtp"
SERVER = """
[transport-tls](+)
cert_file = {folder}/certificate.pem
priv_key_file = {folder}/key.pem
"""


def certificate(folder: Path) -> Path:
    """Of this machine by name, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = made.sign(key, hashes.SHA256())
    (folder / "certificate.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(pem)
    return folder / "certificate.pem"


@dataclass
class Sent:
    results: dict[str, Ended]
    received: int


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    folder = tmp_path_factory.mktemp("trunks")
    authorities = certificate(folder)
    page = light_pages(folder / "page.tif", 2)

    def line(name: str, trunk: str, port: int, local: str = "") -> Line:
        files = {"pjsip.conf": local} if local else {}
        return Line(
            folder / name,
            local=files,
            trunk=trunk.replace("PORT", str(port + ("tls" in trunk))),
            authorities=authorities,
        )

    server = {"tls": SERVER.format(folder=folder)}
    far = {name: line(f"{name}-far", trunk, 9, server.get(name, "")) for name, trunk in TRUNKS.items()}
    near = {name: line(name, trunk, far[name].sip_port) for name, trunk in TRUNKS.items()}
    near["other name"] = line("other", OTHER_NAME, far["tls"].sip_port)
    with ExitStack() as stack:
        for one in (*far.values(), *near.values()):
            one.launch()
            stack.callback(one.stop)
        for one in (*far.values(), *near.values()):
            one.wait()
        for one in far.values():
            stack.enter_context(Ear(one.ari))
        ears = {name: stack.enter_context(Ear(one.ari)) for name, one in near.items()}
        calls = {name: call_of(f"fax-{name[:5]}-1", page, t38=name != "tls") for name in near}
        for name, one in near.items():
            one.ari.originate(calls[name])
        results = {
            name: ear.result_by_sound(calls[name]) if name == "tls" else ear.result(calls[name].channel_id)
            for name, ear in ears.items()
        }
        yield Sent(results, sum(pages_in(path) == 2 for one in far.values() for path in one.received()))


@pytest.mark.parametrize(("name", "mode"), [("tcp", "T38"), ("tls", "audio"), ("ipv6", "T38")])
def test_a_fax_goes_over_each_kind_of_trunk(sent: Sent, name: str, mode: str) -> None:
    facts = sent.results[name].facts
    assert (facts.outcome, facts.pages, facts.mode) == ("success", 2, mode)


def test_a_certificate_of_another_name_is_no_carrier(sent: Sent) -> None:
    facts = sent.results["other name"].facts
    assert (facts.pages, facts.answered_at) == (0, None)
    assert sent.received == 3


def test_ports_grow_and_move_without_ending_a_call_and_later_calls_use_the_new_ones(tmp_path: Path) -> None:
    page = light_pages(tmp_path / "page.tif", 2)
    line = Line(tmp_path / "line", local={})
    before, more = (ports_for(calls, sip_port=line.sip_port) for calls in (0, 2000))
    given = ports_for(0, sip_port=0, given=(61_000, 61_999))
    with ExitStack() as stack:
        line.launch()
        stack.callback(line.stop)
        line.wait()
        ear = stack.enter_context(Ear(line.ari))
        assert _ranges(line) == (before.rtp, before.udptl)
        calls = [call_of(f"fax-{n}-1", page, t38=n == 3) for n in (1, 2, 3)]
        line.ari.originate(calls[0])
        ear.await_of(Answered, "fax-1-1")
        assert before.rtp[0] <= _sound_port(line, "fax-1-1") <= before.rtp[1]
        for ports in (more, given):
            for name, text in ports.files().items():
                (line.home / "spool/faxroom" / name).write_text(text)
            line.ari.read_anew(MEDIA_FILES)
            wait_until(100, "Asterisk has the new ranges", lambda told=(ports.rtp, ports.udptl): _ranges(line) == told)
        line.ari.originate(calls[1])
        ear.await_of(Answered, "fax-2-1")
        assert given.rtp[0] <= _sound_port(line, "fax-2-1") <= given.rtp[1]
        line.ari.originate(calls[2])
        facts = [*(ear.result_by_sound(call).facts for call in calls[:2]), ear.result("fax-3-1").facts]
        assert [(one.outcome, one.pages) for one in facts] == [("success", 2)] * 3
        assert [one.mode for one in facts] == ["audio", "audio", "T38"]
        assert line.ari.most_files() == MOST_FILES


def _ranges(line: Line) -> tuple[tuple[int, int], ...]:
    """Of sound and of T.38, as Asterisk itself says."""
    said = line.console("rtp show settings") + line.console("udptl show config")
    found = (re.findall(rf"{word}: +(\d+)", said) for word in ("Port (?:start|end)", "udptl(?:start|end)"))
    return tuple((int(first), int(last)) for first, last in found)


def _sound_port(line: Line, channel_id: str) -> int:
    asked = {"variable": "CHANNEL(rtp,src)"}
    told = line.ari._ask("GET", f"/channels/{channel_id}/variable", params=asked).json()["value"]
    return int(told.rpartition(":")[2])


def test_a_change_reaches_asterisk_without_ending_a_call_and_calls_go_over_each_trunk(tmp_path: Path) -> None:
    """Two pages are under way while a second trunk is added and the first one's account is changed."""
    page = light_pages(tmp_path / "page.tif", 2)
    near = Line(tmp_path / "near", local={})
    one, two = (Line(tmp_path / name, local={}, trunk=f"sip:127.0.0.1:{near.sip_port}") for name in ("one", "two"))
    near.trunk = f"sip:127.0.0.1:{one.sip_port}"
    two._local["pjsip.conf"] = f"[transport](+)\nbind = 127.0.0.2:{two.sip_port}\n"
    with ExitStack() as stack:
        for line in (one, two, near):
            line.launch()
            stack.callback(line.stop)
        for line in (one, two, near):
            line.wait()
        stack.enter_context(Ear(one.ari))
        stack.enter_context(Ear(two.ari))
        ear = stack.enter_context(Ear(near.ari))
        near.ari.originate(call_of("fax-1-1", page))
        ear.await_of(Answered, "fax-1-1")
        main = TrunkFields("127.0.0.1", one.sip_port, "p", "q#r")
        added = TrunkFields("127.0.0.2", two.sip_port, name="backup", t38=False)
        (near.home / "spool/faxroom" / FILE).write_text(file_text([main, added], sip_port=near.sip_port))
        near.ari.read_anew(MODULES)
        near.ari.originate(replace(call_of("fax-2-1", page), trunk="backup"))
        assert [ear.result(f"fax-{n}-1").facts.pages for n in (1, 2)] == [2, 2]
        assert (len(one.received()), len(two.received())) == (1, 1)
        near.ari.originate(call_of("fax-3-1", page))
        assert ear.result("fax-3-1").facts.pages == 2
        assert len(one.received()) == 2
        for caller in (one, two):
            caller.ari.originate(call_of("fax-4-1", page))
        ear.wait("a call over each", 100, lambda: len(ear.incoming) == 2)
        assert {trunk_in(call.called) for call in ear.incoming} == {"main", "backup"}
