"""The front of a running instance: who is slow holds nobody up, who says where they come from is not believed."""

import http.client
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import sqlalchemy as sa

from tenants.models import SignInSession
from tests.live.instance import Instance
from tests.live.lines import wait_until

pytestmark = pytest.mark.live

URL = os.environ.get("FAXROOM_TEST_URL", "http://127.0.0.1:8000")
HOST, PORT = URL.removeprefix("http://").split(":")
#: Three for each of the web's sixteen threads.
CONNECTIONS = 60
HEADER = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
BEGUN = (
    HEADER + b"X-Slow: a",
    HEADER + b"Content-Length: 4000\r\n\r\nemail=",
    HEADER + b"Transfer-Encoding: chunked\r\n\r\n6\r\nemail=\r\n",
    b"",
)


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Instance(Path(os.environ["FAXROOM_TEST_HOME"]))


@contextmanager
def slow_clients(count: int) -> Iterator[None]:
    """Connections that have sent a part of a request and then nothing, from another address of this machine."""
    with ExitStack() as stack:
        for n in range(count):
            connection = stack.enter_context(socket.create_connection((HOST, int(PORT)), 60, ("127.0.0.9", 0)))
            connection.sendall(BEGUN[n % len(BEGUN)])
        yield


def test_slow_clients_hold_nobody_up(instance: Instance):
    with slow_clients(CONNECTIONS):
        time.sleep(1)
        for _ in range(5):
            assert httpx.get(f"{URL}/sign-in", timeout=9).status_code == 200


def test_a_client_that_rests_keeps_its_connection(instance: Instance):
    connection = http.client.HTTPConnection(HOST, int(PORT), timeout=60)
    connection.request("GET", "/sign-in")
    connection.getresponse().read()
    kept = connection.sock
    time.sleep(6)
    connection.request("GET", "/sign-in")
    assert connection.getresponse().status == 200
    assert connection.sock is kept


def signed_in(email: str, **headers: str) -> httpx.Client:
    client = httpx.Client(base_url=URL, timeout=100, headers=headers)
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)[1]
    form = {"email": email, "password": os.environ["FAXROOM_TEST_PASSWORD"], "csrf_token": token}
    content = urlencode(form).encode()
    answer = client.post("/sign-in", content=content, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 303
    return client


def test_the_address_of_a_client_is_not_what_it_says(instance: Instance):
    agent = f"test {time.time()}"
    claims = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https"}
    client = signed_in("alice@alpha.test", **claims, **{"User-Agent": agent})
    with instance.session() as session:
        row = session.scalar(sa.select(SignInSession).order_by(SignInSession.id.desc()))
        assert row.remote_address == "127.0.0.1"
    answer = client.get("/")
    assert "evil.test" not in answer.headers["Location"]
    assert "Strict-Transport-Security" not in answer.headers


def test_a_file_that_is_too_large_is_answered_in_our_words(instance: Instance):
    client = signed_in("alice@alpha.test")
    large = {"document": ("large.pdf", b"0" * 32 * 1024 * 1024)}
    answer = client.post("/faxes/send/document", files=large, headers={"HX-Request": "true"})
    assert (answer.status_code, "This file is larger than 30 MB" in answer.text) == (200, True)
    answer = client.post("/faxes/send", files=large)
    assert (answer.status_code, "This file is too large" in answer.text) == (413, True)


def test_it_is_back_in_seconds_after_a_kill_and_leaves_no_body_behind(instance: Instance):
    with socket.create_connection((HOST, int(PORT)), 60) as connection:
        connection.sendall(HEADER + b"Content-Length: 1000000\r\n\r\n" + b"a" * 500_000)
        time.sleep(1)
        assert instance.kill("/usr/sbin/nginx") == 1
    wait_until(100, "it answers", answers)
    assert not any((instance.home / "front/bodies").iterdir())


def answers() -> bool:
    try:
        return httpx.get(f"{URL}/front", timeout=2).status_code == 204
    except httpx.HTTPError:
        return False
