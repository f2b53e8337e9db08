"""Whose fault it is that a document was not converted: offices that do as they are told, over the real protocol."""

import errno
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.adapters.confined import room
from app.adapters.confined.yielding import GaveWay, sliced
from app.adapters.documents import converter, office_sources
from app.adapters.documents.converter import convert_to_pdf
from app.adapters.offices import office, office_protocol, office_server, offices
from app.errors import PermanentFailure, TemporaryFailure
from tests.documents import docx_with, pdf
from tests.waiting import AT_MOST, in_time, until

PDF = pdf(pages=1)
DEADLINE = 3.0


class Office:
    """What it does with each document it is given, one after the other; it is fresh after every failure."""

    def __init__(self, folder: Path) -> None:
        self.plan: list[str] = []
        self.documents, self.has_room, self.hangs, self.unconfined = 0, True, False, False
        self.listening = office_server.open_socket(folder / "run" / f"{uuid.uuid4().hex[:8]}.sock")
        self.url = f"unix:{self.listening.getsockname()}"
        self.listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            line, _ = self.listening.accept()
            threading.Thread(target=self._answer, args=[line], daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line:
            try:
                head, _body = office_protocol.receive(line, seconds=60)
                answer, body = self.state() if head["do"] == "state" else self.convert()
                office_protocol.send(line, answer, body)
            except OSError:
                return

    def state(self) -> tuple[dict[str, Any], bytes]:
        if self.hangs:
            time.sleep(300)
        if self.unconfined:
            return {"fault": office_protocol.UNCONFINED, "reason": "no namespaces"}, b""
        return {"documents": self.documents, "has_room": self.has_room, "guard": "namespaces"}, b""

    def convert(self) -> tuple[dict[str, Any], bytes]:
        self.documents += 1
        does = self.plan.pop(0) if self.plan else "works"
        if does == "works":
            return {}, PDF
        self.documents = 0
        if does == "long":
            time.sleep(1.5)
            return {}, PDF
        if does == "late":
            time.sleep(DEADLINE + 4)
            return {}, PDF
        if does == "half":
            return {}, PDF[:200]
        return {"fault": getattr(office_protocol, does.upper()), "reason": f"RuntimeException: {does}"}, b""


@pytest.fixture(name="office")
def office_fixture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Office:
    monkeypatch.setattr(offices, "STATE_SECONDS", 2)
    monkeypatch.setattr(converter, "RESTART_SECONDS", 1)
    monkeypatch.setattr(offices, "GRACE_SECONDS", 0.5)
    return Office(tmp_path)


def convert(*offices: Office, deadline: float = AT_MOST) -> bytes:
    urls = [office.url for office in offices]
    return convert_to_pdf(docx_with("x"), kind="docx", servers=urls, deadline_seconds=deadline, queue_seconds=1)


@pytest.mark.parametrize("fault", ["killed", "no_room"])
def test_an_office_that_was_killed_or_had_no_room_says_nothing_of_the_document(office: Office, fault: str) -> None:
    office.plan = [fault, fault, fault]
    assert convert(office) == PDF
    office.plan = [fault] * 20
    with pytest.raises(TemporaryFailure, match="converter_failed"):
        convert(office)


def test_a_document_that_has_had_its_time_leaves_the_office_to_one_that_waits(office: Office) -> None:
    office.plan = ["long", "long"]
    with sliced(0.5, lambda: True), pytest.raises(GaveWay):
        convert(office)
    with sliced(0.5, lambda: False):
        assert convert(office) == PDF


@pytest.mark.parametrize("fault", ["not_converted", "crashed", "half"])
def test_what_fails_in_two_fresh_offices_is_the_documents_fault_and_in_one_it_is_not(
    office: Office, fault: str
) -> None:
    office.plan = [fault]
    assert convert(office) == PDF
    office.documents, office.plan = 0, [fault, fault]
    with pytest.raises(PermanentFailure, match="damaged"):
        convert(office)
    assert office.plan == []


def test_an_office_that_has_worked_before_counts_for_nothing(office: Office) -> None:
    office.documents, office.plan = 7, ["crashed", "not_converted"]
    assert convert(office) == PDF


def test_kills_between_do_not_make_a_document_damaged(office: Office) -> None:
    office.plan = ["crashed", "killed", "killed"]
    assert convert(office) == PDF


def test_a_document_that_takes_all_of_its_time_twice_took_too_long(office: Office) -> None:
    office.plan = ["late"]
    assert convert(office, deadline=DEADLINE) == PDF
    office.documents, office.plan = 0, ["late", "late"]
    with pytest.raises(PermanentFailure, match="conversion_timed_out"):
        convert(office, deadline=DEADLINE)


def _hang(office: Office) -> None:
    office.hangs = True


def _fill(office: Office) -> None:
    office.has_room = False


@pytest.mark.parametrize("spoil", [_hang, _fill])
def test_a_document_is_given_to_no_office_that_hangs_or_has_no_room(
    office: Office, spoil: Callable[[Office], None], tmp_path: Path
) -> None:
    other = Office(tmp_path)
    spoil(office)
    with in_time():
        assert convert(office, other) == PDF
    assert (office.documents, other.documents) == (0, 1)
    spoil(other)
    with pytest.raises(TemporaryFailure, match="converter_down"):
        convert(office, other)


def test_an_office_that_would_see_too_much_gets_no_document_and_the_person_is_told(office: Office) -> None:
    office.unconfined = True
    with pytest.raises(PermanentFailure, match="office_unconfined"):
        convert(office)
    assert office.documents == 0
    assert converter.why_unconfined([office.url]) == "no namespaces"


# ---- Who is asked


def test_a_socket_that_somebody_else_answers_gets_no_document(office: Office, monkeypatch) -> None:
    monkeypatch.setattr(offices, "user_of", lambda _: os.geteuid() + 1)
    with pytest.raises(TemporaryFailure, match="converter_down"):
        convert(office)
    assert office.documents == 0


def test_an_office_does_not_open_its_socket_where_others_may_come(tmp_path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(SystemExit, match="0700"):
        office_server.open_socket(tmp_path / "office.sock")


@pytest.mark.parametrize(
    "address",
    [
        "http://office.example.org:2003",
        "http://192.0.2.7:2003",
        "http://s3cret@192.0.2.7:2003",
        "https://office.example.org",
        "unix:office.sock",
        "ftp://x",
        "",
    ],
)
def test_documents_go_nowhere_in_clear_or_without_a_secret(address: str) -> None:
    with pytest.raises(ValueError, match="UNOSERVER_URL") as refusal:
        offices.office_at(address)
    assert "s3cret" not in str(refusal.value)


def test_an_office_elsewhere_is_told_the_secret_over_tls_that_was_checked(tmp_path, monkeypatch) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            body = offices.xmlrpc.client.dumps((PDF,), methodresponse=True).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    certificate = _certificate(tmp_path)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = offices.office_at(f"https://s3cret@localhost:{server.server_port}")
        with pytest.raises(offices.UNREACHABLE):
            there.convert(b"x", {"kind": "docx"}, 1)
        assert asked == [], "nothing before the certificate was checked"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert there.convert(b"x", {"kind": "docx"}, AT_MOST) == (PDF, {})
        server.shutdown()
    assert asked == ["Basic ZmF4cm9vbTpzM2NyZXQ="]
    assert "s3cret" not in there.address


def _certificate(folder: Path) -> Path:
    """For localhost, with its key, in one file."""
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run(make, check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both


# ---- What an office takes


def test_a_message_that_is_too_long_silent_or_none_is_no_question() -> None:
    for said in (b"\xff" * 12, b"\0\0\0\4" + b"\0" * 8 + b"nope", b"\0\0\0\1" + b"\0" * 8 + b"1", b"", b"\0"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(said)
            with pytest.raises(office_protocol.Broken):
                office_protocol.receive(ours, seconds=0.1)


@pytest.mark.parametrize("question", [{"do": "convert", "kind": "../x"}, {"do": "open", "path": "/etc/passwd"}, {}])
def test_an_office_takes_no_path_and_no_filter_from_a_caller(tmp_path, question: dict[str, str]) -> None:
    with pytest.raises(office_protocol.Broken):
        office._answer(office.Office(tmp_path, deadline_seconds=1), question, b"x")


# ---- The office's own judgment


class Process:
    def __init__(self, code: int | None) -> None:
        self.code = code

    def poll(self) -> int | None:
        return self.code


@pytest.mark.parametrize(
    ("ended", "room", "code"),
    [
        (None, True, office_protocol.NOT_CONVERTED),
        (-11, True, office_protocol.CRASHED),
        (-6, True, office_protocol.CRASHED),
        (77, True, office_protocol.CRASHED),
        (-9, True, office_protocol.KILLED),
        (-15, True, office_protocol.KILLED),
        (None, False, office_protocol.NO_ROOM),
        (-11, False, office_protocol.NO_ROOM),
    ],
)
def test_an_office_tells_its_own_fault_from_the_documents(tmp_path, monkeypatch, ended, room, code) -> None:
    judge = office.Office(tmp_path, deadline_seconds=1, own_disk=False)
    judge.process = Process(ended)
    monkeypatch.setattr(judge, "has_room", lambda: room)
    assert judge.fault(RuntimeError("x"))["fault"] == code


@pytest.mark.parametrize("ended", [None, -6, 77])
def test_an_office_that_has_no_thread_left_says_nothing_of_the_document(tmp_path, monkeypatch, ended) -> None:
    judge = office.Office(tmp_path, deadline_seconds=1)
    judge.process = Process(ended)

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert judge.fault(RuntimeError("x"))["fault"] == office_protocol.NO_ROOM


def test_who_can_begin_so_many_threads_keeps_none() -> None:
    before = threading.active_count()
    assert office.can_begin(office.THREADS)
    assert threading.active_count() == before


def test_what_cannot_be_looked_through_just_now_goes_to_no_office(office: Office, monkeypatch) -> None:
    """Else what leads out of it would still be in it."""

    def no_child(*_: object, **_more: object) -> None:
        raise TemporaryFailure("file_unreadable")

    monkeypatch.setattr(office_sources, "run_isolated", no_child)
    with pytest.raises(TemporaryFailure):
        convert(office)
    assert office.documents == 0


def test_who_fills_a_disk_of_its_own_was_the_document(tmp_path, monkeypatch) -> None:
    judge = office.Office(tmp_path, deadline_seconds=1)
    judge.process = Process(None)
    monkeypatch.setattr(judge, "has_room", lambda: False)
    assert judge.fault(RuntimeError("x"))["fault"] == office_protocol.NOT_CONVERTED


def test_after_a_document_that_was_not_converted_the_office_ends(tmp_path, monkeypatch) -> None:
    """The next document finds a fresh one."""
    judge = office.Office(tmp_path, deadline_seconds=1)
    judge.process = Process(None)
    monkeypatch.setattr(judge, "convert", lambda *_: 1 / 0)
    with office_server.open_socket(tmp_path / "run" / "office.sock") as listening:
        listening.listen()
        serving = threading.Thread(target=office.serve, args=[judge, listening], daemon=True)
        serving.start()
        with pytest.raises(offices.Fault, match="division"):
            offices.office_at(f"unix:{listening.getsockname()}").convert(b"x", {"kind": "docx"}, 2)
        serving.join(60)
    assert not serving.is_alive()


@pytest.mark.parametrize("made_slow", [True, False])
def test_who_has_the_last_answer_of_an_office_is_not_taken_by_it_again(tmp_path, monkeypatch, made_slow: bool) -> None:
    """It would be cut off with the next document in its hands."""
    last = office.Office(tmp_path, deadline_seconds=1)
    last.process, last.is_lowered = Process(None), made_slow
    monkeypatch.setattr(last, "convert", lambda *_: (PDF, {}) if made_slow else 1 / 0)
    with office_server.open_socket(tmp_path / "run" / "office.sock") as listening, listening.dup():
        listening.listen()
        address = f"unix:{listening.getsockname()}"
        threading.Thread(target=office.serve, args=[last, listening], daemon=True).start()
        with suppress(offices.Fault):
            assert offices.office_at(address).convert(b"x", {"kind": "docx"}, 2)[0] == PDF
        assert not offices.office_at(address).connects()


def test_an_office_answers_its_own_user_only(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(office, "user_of", lambda _: os.getuid() + 1)
    with office_server.open_socket(tmp_path / "run" / "office.sock") as listening:
        listening.listen()
        strange = office.Office(tmp_path, deadline_seconds=1)
        threading.Thread(target=office.serve, args=[strange, listening], daemon=True).start()
        with pytest.raises(offices.UNREACHABLE):
            offices.office_at(f"unix:{listening.getsockname()}").convert(b"x", {"kind": "docx"}, 2)
    assert strange.documents == 0


def test_a_full_disk_is_no_room(tmp_path, monkeypatch) -> None:
    judge = office.Office(tmp_path, deadline_seconds=1)
    assert not judge.has_room(), "its folder is gone"
    judge.scratch.mkdir(parents=True)
    assert judge.has_room()
    monkeypatch.setattr(office, "ROOM", 10**18)
    assert not judge.has_room()


# ---- The room


def test_what_stands_around_an_office_is_told(office: Office, tmp_path: Path) -> None:
    assert converter.guards_of([office.url, f"unix:{tmp_path}/nobody.sock", office.url]) == ["namespaces"]
    office.unconfined = True
    assert converter.guards_of([office.url]) == []


@pytest.mark.parametrize(
    ("namespaces", "landlock", "code", "said"),
    [
        (None, None, 0, "namespaces of their own"),
        ("none here", None, 0, "behind Landlock and seccomp, because there are no namespaces (none here)"),
        (
            "none here",
            "no Landlock",
            1,
            "because LibreOffice cannot be confined (none here; no Landlock)",
        ),
    ],
)
def test_it_is_said_which_of_the_two_a_machine_has(monkeypatch, capsys, namespaces, landlock, code, said) -> None:
    monkeypatch.setattr(room, "why_there_is_none", lambda: namespaces)
    monkeypatch.setattr(room.confinement, "why_no_fence", lambda: landlock)
    assert room.main() == code
    assert said in capsys.readouterr().out


def test_a_user_who_is_not_in_this_namespace_cannot_be_become(tmp_path) -> None:
    (tmp_path / "map").write_text("         0       1000          1\n")
    assert not room._is_there(room.NOBODY, tmp_path / "map") and room._is_there(0, tmp_path / "map")


def test_without_bubblewrap_or_namespaces_there_is_no_room_and_it_is_said_why(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "not installed" in room.why_there_is_none()
    monkeypatch.undo()
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho No permissions to create new namespace >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setattr(room, "ENVIRONMENT", {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "namespace" in room.why_there_is_none()


def test_a_machine_that_has_nothing_left_just_now_is_not_taken_for_one_without_rooms(tmp_path, monkeypatch) -> None:
    """For then no document would be opened, for minutes, and each would fail."""
    says = "bwrap: Creating new namespace failed: Resource temporarily unavailable"
    (tmp_path / "bwrap").write_text(f"#!/bin/sh\necho {says} >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setattr(room, "ENVIRONMENT", {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(OSError, match="unavailable"):
        room.why_there_is_none()

    def no_process(*_: object, **_more: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(room.subprocess, "run", no_process)
    with pytest.raises(BlockingIOError):
        room.why_there_is_none()
    monkeypatch.setattr(sys, "argv", ["office_server", "--socket", str(tmp_path / "run" / "office.sock")])
    monkeypatch.setattr(office_server, "refuse", lambda *_, **_more: pytest.fail("it says that it opens none"))
    assert office_server.main() == 1


def test_where_there_is_no_room_everybody_is_told(tmp_path) -> None:
    listening = office_server.open_socket(tmp_path / "run" / "office.sock")
    there = offices.office_at(f"unix:{listening.getsockname()}")
    threading.Thread(target=office_server.refuse, args=[listening, "why"], kwargs={"seconds": 5}, daemon=True).start()
    until(there.connects)
    with pytest.raises(offices.Unconfined, match="why"):
        there.state()
