"""Every wait for a part outside has a limit: read back here, and tried with a server that takes connections and is
silent. Those of the database are in tests/db/ground/test_waits.py, of the storage in test_storage.py, of Redis in
test_queues.py."""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from email.message import EmailMessage

import httpx
import pytest
import websockets.sync.server
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from app.adapters.mail import imap, smtp
from app.adapters.mail.imap import Server, look_into
from app.adapters.mail.smtp import send_mail
from app.adapters.offices import offices
from app.adapters.storage import archive_places
from app.adapters.storage.archive_places import BucketPlace
from app.adapters.telephony import ari
from app.adapters.telephony.ari import Ari
from app.errors import TemporaryFailure
from app.jobs import serve
from app.queues import JOBS
from tests.waiting import Silent, in_time, silent_server

PAGE_SECONDS = 5


@pytest.fixture
def silent() -> Iterator[Silent]:
    with silent_server() as server:
        yield server


def given_up_at_once(silent: Silent, act: Callable[[], object]) -> None:
    """After one wait, whose timeout is read back by who calls this."""
    before = silent.came()
    with in_time(), pytest.raises(TemporaryFailure):
        act()
    assert silent.came() == before + 1


def test_asterisk_is_asked_with_limits(silent):
    line, waits = Ari(f"http://127.0.0.1:{silent.port}", "a", "b"), []
    assert line._client.timeout == httpx.Timeout(ari.SECONDS, connect=ari.CONNECT_SECONDS)
    assert ari.SECONDS <= 10
    line._client.event_hooks["request"].append(lambda request: waits.extend(request.extensions["timeout"].values()))
    for ask in (line.ping, line.clock):
        given_up_at_once(silent, ask)
    assert 0 < max(waits) < PAGE_SECONDS


def test_a_stream_of_events_that_is_cut_off_is_noticed(monkeypatch):
    asked: dict[str, object] = {}
    monkeypatch.setattr(ari, "connect", lambda _url, **options: asked.update(options))
    Ari("http://127.0.0.1:1", "a", "b")._stream()
    assert asked["open_timeout"] == ari.SECONDS
    assert asked["ping_interval"] == ari.STREAM_SECONDS <= 5
    assert asked["ping_timeout"] == ari.STREAM_ANSWER_SECONDS
    assert ari.STREAM_SECONDS + ari.STREAM_ANSWER_SECONDS < 15


def test_a_listener_that_is_busy_keeps_its_stream(monkeypatch):
    """More events than it takes wait for it, longer than the other side has to answer a ping."""
    monkeypatch.setattr(ari, "STREAM_SECONDS", 0.1)
    monkeypatch.setattr(ari, "STREAM_ANSWER_SECONDS", 1)
    waiting = 200

    def tell(stream: ServerConnection) -> None:
        for number in range(waiting):
            stream.send(f'{{"number": {number}}}')
        with contextlib.suppress(ConnectionClosed):
            stream.recv()

    with websockets.sync.server.serve(tell, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        with Ari(url, "a", "b")._stream() as stream:
            heard = [json.loads(stream.recv(timeout=60))["number"]]
            time.sleep(1.5)
            heard += [json.loads(stream.recv(timeout=60))["number"] for _ in range(waiting - 1)]
        server.shutdown()
    assert heard == list(range(waiting))


def test_a_listener_that_was_replaced_begins_anew(monkeypatch):
    """Asterisk leaves its stream open, and tells it nothing more."""
    monkeypatch.setattr(ari, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(Ari, "_listen", lambda self: None)

    def replace(stream: ServerConnection) -> None:
        stream.send('{"type": "Dial"}')
        stream.send('{"type": "ApplicationReplaced"}')
        with contextlib.suppress(ConnectionClosed):
            stream.recv()

    with websockets.sync.server.serve(replace, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        with closing(Ari(url, "a", "b").events()) as events:
            heard = [type(event).__name__ for event in itertools.islice((e for e in events if e != []), 12)]
        server.shutdown()
    assert heard.count("Connected") > 1
    assert heard.count("Disconnected") >= 1


def test_a_mail_server_that_is_silent_is_given_up_before_its_job_is(silent, monkeypatch):
    assert JOBS["deliver"][2] > smtp.SECONDS
    monkeypatch.setattr(smtp, "GREETING_SECONDS", 0.5)
    mail = EmailMessage()
    mail["To"] = "bob@alpha.test"
    monkeypatch.setattr(smtp, "SECONDS", 600)
    given_up_at_once(silent, lambda: send_mail(f"smtp://127.0.0.1:{silent.port}", mail))


def test_who_tries_a_mailbox_is_answered_in_time(silent, monkeypatch):
    place, waits, connect = Server("127.0.0.1", silent.port, "none"), [], socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda to, seconds: waits.append(seconds) or connect(to, seconds))
    given_up_at_once(silent, lambda: look_into(place, "a", "b", "INBOX", allowed=["yes"]))
    assert waits == [imap.TRYING_SECONDS] and imap.TRYING_SECONDS < PAGE_SECONDS
    assert imap.SECONDS <= 20


def test_who_tries_an_archive_is_answered_in_time(silent):
    place = BucketPlace(
        bucket="b",
        prefix="",
        endpoint=f"http://127.0.0.1:{silent.port}",
        region="us-east-1",
        access_key="a",
        secret_key="b",
        allowed=["yes"],
        seconds=archive_places.TRYING_SECONDS,
    )
    given_up_at_once(silent, lambda: list(place.read("x")))
    assert max(archive_places.TRYING_SECONDS.as_dict().values()) < PAGE_SECONDS
    assert archive_places.SECONDS.read == 60 and archive_places.SECONDS.connect == 15


def test_an_office_is_connected_to_with_a_limit():
    assert offices.CONNECT_SECONDS <= 2


def test_a_worker_waits_for_jobs_no_longer_than_redis_may_be_silent():
    """RQ makes this of the worker's time to live: how long it waits for a job, and ten seconds more."""
    assert serve.WORKER_TTL - 15 + 10 <= 40
    assert serve.Worker.max_connection_wait_time <= 5
