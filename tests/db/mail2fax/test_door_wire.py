"""What hostile and careless clients write at the door, byte by byte: one email stays one, nobody holds up another."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from app.adapters.mail import door as listener
from app.config import DoorSettings
from tests.db.mail2fax.test_door import faxes, letter, messages
from tests.db.mails import PUBLIC
from tests.doors import DOMAIN, door_settings, hand_in, make_door_box, open_door, trusting
from tests.waiting import AT_MOST
from tests.web.cast import Cast

TO = f"{PUBLIC}@{DOMAIN}".encode()
OTHER = f"+390507654321@{DOMAIN}".encode()
NOBODY = f"nobody@{DOMAIN}".encode()
END = b"\r\n.\r\n"


class Wire:
    """A client that writes what it is told to, and reads whole answers."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")
        assert self.answer().startswith("220")

    def write(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self) -> str:
        """The last line of one; empty where the connection is closed."""
        while line := self.file.readline().decode("utf-8", "replace"):
            if line[3:4] != "-":
                return line.rstrip()
        return ""

    def says(self, content: bytes) -> str:
        self.write(content + b"\r\n")
        return self.answer()

    def greets(self, sender: bytes = b"bob@alpha.test") -> None:
        assert self.says(b"EHLO there").startswith("250")
        assert self.says(b"MAIL FROM:<%s>" % sender).startswith("250")

    def begins(self, sender: bytes = b"bob@alpha.test") -> None:
        self.greets(sender)
        assert self.says(b"RCPT TO:<%s>" % TO).startswith("250")
        assert self.says(b"DATA").startswith("354")

    def hands_in(self, content: bytes) -> str:
        self.begins()
        self.write(content + END)
        return self.answer()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@contextmanager
def wire(settings: DoorSettings) -> Iterator[Wire]:
    client = Wire(settings.port)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def settings(tmp_path: Path) -> DoorSettings:
    return door_settings(tmp_path)


@pytest.fixture
def box(app: Flask, cast: Cast) -> int:
    return make_door_box(app, cast.alpha, cast.frontdesk)


@pytest.fixture
def door(app: Flask, box: int, settings: DoorSettings) -> Iterator[DoorSettings]:
    with open_door(app, settings):
        yield settings


def crlf(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


# ---- One email stays one

SECOND = b"MAIL FROM:<alice@alpha.test>\r\nRCPT TO:<%s>\r\nDATA\r\n" % OTHER
ENDS = [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r"]
ENDS += [b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n. \r\n"]


@pytest.mark.parametrize("end", ENDS, ids=repr)
def test_an_email_ends_at_its_one_end_and_nowhere_else(app: Flask, door: DoorSettings, end: bytes):
    """SMTP smuggling: what another server took for one email must not be two here."""
    with wire(door) as client:
        hidden = SECOND + crlf(letter(sender="alice@alpha.test"))
        assert client.hands_in(crlf(letter()) + end + hidden).startswith("250")
        assert client.says(b"NOOP").startswith("250"), "one answer for one email"
    (fax,), (message,) = faxes(app), messages(app)
    assert (message.sender, message.fax_id, fax.remote_number) == ("bob@alpha.test", fax.id, PUBLIC)


def test_a_client_that_writes_ahead_is_answered_in_order(app: Flask, door: DoorSettings):
    """PIPELINING (RFC 2920), with a recipient who is none among them."""
    recipients = b"".join(b"RCPT TO:<%s>\r\n" % to for to in (TO, NOBODY, OTHER))
    with wire(door) as client:
        client.says(b"EHLO there")
        client.write(b"MAIL FROM:<bob@alpha.test>\r\n" + recipients + b"DATA\r\n")
        assert [client.answer()[:3] for _ in range(5)] == ["250", "250", "550", "250", "354"]
        client.write(crlf(letter()) + END + b"NOOP\r\nQUIT\r\n")
        assert [client.answer()[:3] for _ in range(3)] == ["250", "250", "221"]
    assert len(faxes(app)) == 2


def after_tls(client: Wire, ahead: bytes = b"") -> bytes:
    """What a recipient is answered inside, of an email that began outside."""
    client.write(b"STARTTLS\r\n" + ahead)
    assert client.answer().startswith("220")
    with trusting().wrap_socket(client.socket) as inside:
        inside.sendall(b"RCPT TO:<%s>\r\n" % TO)
        return inside.recv(100)


def test_what_was_written_ahead_of_tls_is_not_read_after_it(door: DoorSettings):
    """CVE-2011-0411: else whoever stands in between puts commands in front of the client's."""
    with wire(door) as client:
        client.says(b"EHLO there")
        assert after_tls(client, b"EHLO injected\r\nMAIL FROM:<bob@alpha.test>\r\n").startswith(b"503")


def test_what_was_said_before_tls_is_forgotten(door: DoorSettings):
    with wire(door) as client:
        client.greets()
        assert after_tls(client).startswith(b"503")


def test_chunks_are_not_known_and_never_read_as_commands(app: Flask, door: DoorSettings):
    """BDAT (RFC 3030): its message follows at once, whatever is answered."""
    with wire(door) as client:
        client.greets()
        client.says(b"RCPT TO:<%s>" % TO)
        hidden = b"RSET\r\n" + SECOND + crlf(letter(sender="alice@alpha.test")) + END
        client.write(b"BDAT %d LAST\r\n" % len(hidden) + hidden)
        said = []
        with pytest.raises((ConnectionError, StopIteration)):
            while True:
                said.append(client.answer())
                if not said[-1]:
                    raise StopIteration
        assert [answer[:3] for answer in said if answer] in (["502"], [])
    assert faxes(app) == []


ODD_LINES = [b"X-Zero: a\0b\r\n", b"X-High: \xff\xfe\r\n", b"X-Return: a\rFrom: alice@alpha.test\r\n", b"X: a\n\n"]


@pytest.mark.parametrize("extra", ODD_LINES, ids=repr)
def test_odd_bytes_in_an_email_make_neither_another_sender_nor_a_fault(app: Flask, door: DoorSettings, extra: bytes):
    with wire(door) as client:
        answer = client.hands_in(extra + crlf(letter()))
        assert answer[:3] in ("250", "550")
        assert answer.isascii()
        assert client.says(b"NOOP").startswith("250")
    assert {message.sender for message in messages(app) if message.fate == "accepted"} <= {"bob@alpha.test"}


# ---- Addresses

ODD = [b"bob\0@alpha.test", b"b\xffb@alpha.test", "b\u00f6b@alpha.test".encode(), "bob@alpha.test\u202e".encode(), b'"']
ODD += [b"<", b"@", b"@a:b", b"bob@alpha.test\rRSET", b'"bob@alpha.test"@x', b"a" * 300 + b"@x", b"bob@[", b"(", b'"\\']
ODD += [b"=?utf-8?q?x?=@x", b";", b" ", b"\\", b"bob@alpha.test,alice@alpha.test", b"bob@alpha.test>x<y"]


@pytest.mark.parametrize("address", ODD, ids=repr)
def test_what_is_no_address_is_refused_for_good(door: DoorSettings, address: bytes):
    """With 5xx: after 4xx a mail server would try for days."""
    domain = DOMAIN.encode()
    with wire(door) as client:
        client.says(b"EHLO there")
        assert client.says(b"MAIL FROM:<%s> SMTPUTF8" % address)[0] == "5"
        assert client.says(b"MAIL FROM:<bob@alpha.test> SMTPUTF8").startswith("250")
        for to in (address, address + b"@" + domain, PUBLIC.encode() + b"@" + address + b"." + domain):
            assert client.says(b"RCPT TO:<%s>" % to)[0] == "5"
        assert client.says(b"RCPT TO:<%s>" % TO).startswith("250")


def test_whatever_comes_as_commands_is_never_a_fault_of_ours(app: Flask, door: DoorSettings):
    chance = random.Random(20261201)
    words = [b">", b"bob@alpha.test", TO, b"@", b'"', b"<", b"(", b"\\", b" SIZE=", b"\0", b"\xff", b"\xc3\xa9"]
    words += [b"xn--", b".", b" BODY=8BITMIME", b" ", b"=", b"=?utf-8?q?"]
    verbs = [
        b"MAIL FROM:<",
        b"RCPT TO:<",
        b"MAIL ",
        b"RCPT TO:",
        b"EHLO ",
        b"AUTH PLAIN ",
        b"VRFY ",
        b"HELP ",
        b"RSET ",
    ]
    for _ in range(20):
        with wire(door) as client:
            client.says(b"EHLO there")
            for _ in range(15):
                line = chance.choice(verbs) + b"".join(chance.choices(words, k=chance.randrange(6)))
                answer = client.says(line)
                assert not answer.startswith("4"), (line, answer)
    hand_in(door, letter(), TO.decode())
    assert len(faxes(app)) == 1


# ---- Limits


def test_more_recipients_than_the_limit_are_asked_to_come_in_another_email(
    door: DoorSettings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listener, "MOST_RECIPIENTS", 3)
    with wire(door) as client:
        client.greets()
        answers = [client.says(b"RCPT TO:<%s>" % to)[:3] for to in (NOBODY, TO, OTHER, TO)]
        assert answers == ["550", "250", "250", "452"]


def test_a_command_without_an_end_is_not_kept(door: DoorSettings):
    with wire(door) as client:
        client.says(b"EHLO there")
        assert client.says(b"MAIL FROM:<" + b"a" * 1_000_000 + b">").startswith("500")
        assert client.says(b"NOOP").startswith("250")


def test_a_line_that_is_too_long_is_refused_with_its_email_only(app: Flask, door: DoorSettings):
    with wire(door) as client:
        assert client.hands_in(b"Subject: x\r\n\r\n" + b"a" * (listener.LONGEST_LINE + 10)).startswith("500")
        assert client.hands_in(crlf(letter())).startswith("250")
    assert len(faxes(app)) == 1


def test_an_email_that_goes_on_and_on_is_left(
    app: Flask, box: int, settings: DoorSettings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.jobs.mail2fax.door.MOST_MAIL", 200_000)
    with open_door(app, settings), wire(settings) as client:
        client.begins()
        assert is_left(client, lambda: client.write((b"x" * 10_000 + b"\r\n") * 5), wait=0.01)
    assert messages(app) == []


def is_left(client: Wire, write: Callable[[], None], wait: float = 0.1) -> bool:
    """Whether the door leaves a client who writes like this."""
    end = time.monotonic() + AT_MOST
    client.socket.settimeout(wait)
    while time.monotonic() < end:
        try:
            write()
            if not client.socket.recv(100):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_a_client_who_stops_within_an_email_is_left(app: Flask, door: DoorSettings, monkeypatch: pytest.MonkeyPatch):
    with wire(door) as client:
        client.begins()
        monkeypatch.setattr(listener, "STALLED", 0.5)
        client.write(b"From now on it is waited for the rest.\r\n")
        assert is_left(client, lambda: None)
    monkeypatch.setattr(listener, "STALLED", 60)
    hand_in(door, letter(), TO.decode())
    assert len(faxes(app)) == 1


def test_a_client_who_writes_an_email_for_ever_is_left(door: DoorSettings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listener, "LETTER_SECONDS", 1.0)
    with wire(door) as client:
        client.begins()
        assert is_left(client, lambda: client.write(b"x\r\n"))


def test_who_waits_long_for_an_answer_has_stopped_nothing(
    app: Flask, door: DoorSettings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listener, "STALLED", 2)
    take = listener.Door.take

    async def slowly(self: listener.Door, question: Callable[[], object]) -> object:
        def work() -> object:
            time.sleep(4)
            return question()

        return await take(self, work)

    monkeypatch.setattr(listener.Door, "take", slowly)
    hand_in(door, letter(), TO.decode())
    assert len(faxes(app)) == 1


def test_slow_clients_of_one_company_hold_up_no_other(
    app: Flask, cast: Cast, box: int, settings: DoorSettings, monkeypatch: pytest.MonkeyPatch
):
    make_door_box(app, cast.beta, cast.beta_line, name="theirs")
    monkeypatch.setattr(listener, "TURN_SECONDS", 0.5)
    slow: list[Wire] = []
    with open_door(app, settings):
        try:
            for _ in range(listener.MOST_OF_ONE):
                slow.append(Wire(settings.port))
                slow[-1].begins()
            with wire(settings) as another:
                another.greets()
                another.says(b"RCPT TO:<%s>" % TO)
                assert another.says(b"DATA").startswith("451"), "later, and nothing is lost"
            with wire(settings) as beta:
                beta.greets(b"charlie@beta.test")
                assert beta.says(b"RCPT TO:<%s>" % OTHER).startswith("250")
                assert beta.says(b"DATA").startswith("354")
        finally:
            for client in slow:
                client.close()


def test_a_handshake_that_is_none_ends_the_connection(door: DoorSettings):
    with wire(door) as client:
        client.says(b"EHLO there")
        assert client.says(b"STARTTLS").startswith("220")
        client.write(b"MAIL FROM:<bob@alpha.test>\r\n" * 20)
        assert is_left(client, lambda: None, 20)
