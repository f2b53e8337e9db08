"""Servers of mail, mailboxes and storage that speak for ever: each costs so much time and memory and no more."""

import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from email.message import EmailMessage

import httpx
import pytest

from app.adapters.mail import imap, smtp
from app.adapters.mail.imap import Server, look_into, signed_in
from app.adapters.mail.smtp import check_mail_server, send_mail
from app.adapters.servers.answers import Answers, TooMuch
from app.adapters.storage import archive_places
from app.adapters.storage.archive_places import BucketPlace
from app.errors import TemporaryFailure
from tests.waiting import in_time

#: Beyond what is read, what two sockets hold between them.
BETWEEN = 12 * 1024**2


class Stranger:
    """A server that does with each caller what it likes, and counts the bytes that it got rid of."""

    def __init__(self, serve: Callable[["Stranger", socket.socket], None]) -> None:
        self.serve, self.said = serve, 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self.listening.accept()
                threading.Thread(target=self._one, args=[line], daemon=True).start()

    def _one(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            self.serve(self, line)

    def say(self, line: socket.socket, data: bytes) -> None:
        line.sendall(data)
        self.said += len(data)

    def flood(self, line: socket.socket, data: bytes) -> None:
        piece = data * max(1, 64 * 1024 // len(data))
        while True:
            self.say(line, piece)

    def dribble(self, line: socket.socket, data: bytes = b"x") -> None:
        """Byte by byte, faster than any timeout."""
        while True:
            self.say(line, data)
            time.sleep(0.05)


@contextmanager
def stranger(serve: Callable[[Stranger, socket.socket], None]) -> Iterator[Stranger]:
    there = Stranger(serve)
    with closing(there.listening):
        yield there


@contextmanager
def given_up() -> Iterator[list[TemporaryFailure]]:
    told: list[TemporaryFailure] = []
    with in_time(), pytest.raises(TemporaryFailure) as failure:
        yield told
    told.append(failure.value)


# ---- Mail out


def mail() -> EmailMessage:
    message = EmailMessage()
    message["To"] = "bob@alpha.test"
    return message


SPEECHES = {
    "many lines": lambda there, line: there.flood(line, b"220-and another thing\r\n"),
    "one line": lambda there, line: there.flood(line, b"220 and so on "),
    "byte by byte": lambda there, line: there.dribble(line),
    "line by line": lambda there, line: there.dribble(line, b"220-x\r\n"),
}


@pytest.mark.parametrize("speech", SPEECHES)
def test_a_mail_server_that_never_ends_its_answer_is_given_up(monkeypatch, speech):
    monkeypatch.setattr(smtp, "GREETING_SECONDS", 1)
    with stranger(SPEECHES[speech]) as there:
        for ask in (lambda url: send_mail(url, mail()), check_mail_server):
            with given_up() as told:
                ask(f"smtp://127.0.0.1:{there.port}")
            assert told[0].code == "mail_server_down"
        assert there.said < 2 * (smtp.MOST_BYTES + BETWEEN)


def test_so_is_one_that_begins_well(monkeypatch):
    monkeypatch.setattr(smtp, "GREETING_SECONDS", 1)

    def serve(there: Stranger, line: socket.socket) -> None:
        there.say(line, b"220 here\r\n")
        line.recv(4096)
        there.flood(line, b"250-AUTH PLAIN\r\n")

    with stranger(serve) as there, given_up():
        send_mail(f"smtp://127.0.0.1:{there.port}", mail())


# ---- Mailboxes


def mailbox(answer: Callable[[Stranger, socket.socket, bytes], None]) -> Callable[[Stranger, socket.socket], None]:
    """Lets everybody in, then does what ``answer`` does with the tag of the next command."""

    def serve(there: Stranger, line: socket.socket) -> None:
        there.say(line, b"* OK [CAPABILITY IMAP4rev1] here\r\n")
        with line.makefile("rb") as heard:
            while command := heard.readline().split():
                tag, word = command[0], command[1].upper()
                if word == b"CAPABILITY":
                    there.say(line, b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK\r\n")
                elif word == b"LOGIN":
                    there.say(line, tag + b" OK\r\n")
                else:
                    answer(there, line, tag)

    return serve


FLOODS = {
    "untagged": lambda there, line, _tag: there.flood(line, b"* 1 EXISTS\r\n"),
    "one line": lambda there, line, _tag: there.flood(line, b"* LIST and so on "),
    "literals": lambda there, line, _tag: there.flood(line, b"* LIST () {2}\r\nxx\r\n"),
    "a claim": lambda there, line, _tag: there.flood(line, b"* LIST () {99999999999}\r\nxx"),
    "byte by byte": lambda there, line, _tag: there.dribble(line),
    "line by line": lambda there, line, _tag: there.dribble(line, b"* 1 EXISTS\r\n"),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_mailbox_that_never_ends_its_answer_is_given_up(monkeypatch, flood):
    monkeypatch.setattr(imap, "TRYING_SECONDS", 1)
    monkeypatch.setattr(imap, "MOST_LINES", 1024**2)
    with stranger(mailbox(FLOODS[flood])) as there:
        with given_up() as told:
            look_into(Server("127.0.0.1", there.port, "none"), "a", "b", "INBOX", allowed=["yes"])
        assert told[0].code == "imap_down"
        assert there.said < imap.MOST_LINES + imap.LONGEST_LINE + BETWEEN


def test_a_mailbox_that_floods_whoever_listens_is_given_up(monkeypatch):
    monkeypatch.setattr(imap, "MOST_LINES", 1024**2)

    def serve(there: Stranger, line: socket.socket, tag: bytes) -> None:
        there.say(line, b"+ idling\r\n")
        there.flood(line, b"* 1 RECENTLY\r\n")

    with stranger(mailbox(serve)) as there:
        server = Server("127.0.0.1", there.port, "none")
        with given_up(), signed_in(server, "a", "b", allowed=["yes"], seconds=5) as client:
            client.idle()
            for _ in range(1000):
                client.idle_check(timeout=0.2)
        assert there.said < imap.MOST_LINES + BETWEEN


def test_what_came_before_the_encryption_is_not_read_after_it():
    (plain, theirs), (secure, their_secure) = socket.socketpair(), socket.socketpair()
    with plain, theirs, secure, their_secure:
        answers = Answers()
        answers.expect(seconds=60, lines=1000, most=1000)
        theirs.sendall(b"A1 OK begin\r\n* CAPABILITY slipped in\r\n")
        their_secure.sendall(b"* CAPABILITY true\r\n")
        assert answers.line(plain, 100) == b"A1 OK begin\r\n"
        assert answers.line(secure, 100) == b"* CAPABILITY true\r\n"


def test_after_too_much_nothing_more_is_read():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answers = Answers()
        answers.expect(seconds=60, lines=10, most=100)
        theirs.sendall(b"a line that is longer\r\n" * 3)
        for _ in range(2):
            with pytest.raises(TooMuch):
                answers.line(ours, 100)


# ---- Storage


def place(port: int, seconds: float = 1) -> BucketPlace:
    return BucketPlace(
        bucket="b",
        prefix="",
        endpoint=f"http://127.0.0.1:{port}",
        region="us-east-1",
        access_key="a",
        secret_key="b",
        allowed=["yes"],
        seconds=httpx.Timeout(seconds),
    )


def after_head(head: bytes, go_on: Callable[[Stranger, socket.socket], None]) -> Callable[..., None]:
    def serve(there: Stranger, line: socket.socket) -> None:
        line.recv(65536)
        there.say(line, head)
        go_on(there, line)

    return serve


BOMB = zlib.compress(b"\0" * 64 * 1024**2, 9, wbits=31)
STORED = {
    "a body": after_head(b"HTTP/1.1 200 OK\r\n\r\n", lambda there, line: there.flood(line, b"x")),
    "a refusal": after_head(b"HTTP/1.1 403 No\r\n\r\n", lambda there, line: there.dribble(line)),
    "headers": after_head(b"HTTP/1.1 200 OK\r\n", lambda there, line: there.flood(line, b"X-More: x\r\n")),
    "waiting": after_head(b"", lambda there, line: there.flood(line, b"HTTP/1.1 100 Continue\r\n\r\n")),
    "byte by byte": after_head(b"HTTP/1.1 200 OK\r\n\r\n", lambda there, line: there.dribble(line)),
    "head byte by byte": after_head(b"HTTP/1.1 200 OK\r\nX: ", lambda there, line: there.dribble(line)),
}


@pytest.mark.parametrize("speech", STORED)
def test_a_bucket_that_never_ends_its_answer_is_given_up(speech):
    with stranger(STORED[speech]) as there:
        with given_up() as told:
            list(place(there.port).read("x"))
        assert told[0].code in ("archive_down", "archive_answered")
        assert there.said < archive_places.MOST_ANSWER + BETWEEN


def test_what_a_bucket_has_packed_is_not_unpacked():
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
    with stranger(after_head(head, lambda there, line: there.say(line, BOMB))) as there:
        assert b"".join(place(there.port, seconds=60).read("x")) == BOMB
