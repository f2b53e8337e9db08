"""The front answers for a web that does not: at once where there is none, within seconds where it stands still. Only
what was merely asked for is asked again; of what somebody does no web hears twice."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bin/lib"))
import front

pytestmark = pytest.mark.skipif(not Path(front.NGINX).exists(), reason="nginx is not installed")

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


class Web:
    """What stands behind the front: ``answers`` says for each request in turn what becomes of it, None: nothing."""

    def __init__(self, path: Path) -> None:
        self.answers: Callable[[int], bytes | None] = lambda _: FINE
        self.heard: list[str] = []
        self.kept: list[socket.socket] = []
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        path.chmod(0o777)
        self.listening.listen(50)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._take(self.listening.accept()[0])

    def _take(self, connection: socket.socket) -> None:
        self.heard.append(connection.recv(65536).split(b"\r\n")[0].decode())
        answer = self.answers(len(self.heard))
        if answer is None:
            self.kept.append(connection)
            return
        connection.sendall(answer)
        connection.close()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "front"
    front.configure(folder, web=tmp_path / "web.sock", listen=f"127.0.0.1:{port}", proxies=0)
    running = subprocess.Popen(front.command(folder))
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    web = Web(tmp_path / "web.sock")
    yield web
    web.listening.close()


def test_where_there_is_no_web_it_is_said_at_once(address: str) -> None:
    began = time.monotonic()
    answer = httpx.get(f"{address}/faxes", timeout=10)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert "Your faxes are safe" in answer.text
    assert time.monotonic() - began < 1


def test_a_page_of_a_web_that_stands_still_is_answered_within_five_seconds(address: str, web: Web) -> None:
    web.answers = lambda _: None
    began = time.monotonic()
    answer = httpx.get(f"{address}/faxes?direction=sent", timeout=20)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("method, path", [("POST", "/faxes/send"), ("GET", "/faxes/1/report.pdf")])
def test_what_somebody_does_and_a_file_are_waited_for(address: str, web: Web, method: str, path: str) -> None:
    web.answers = lambda _: None
    with pytest.raises(httpx.ReadTimeout):
        httpx.request(method, f"{address}{path}", timeout=6)
    assert len(web.heard) == 1


def test_who_asked_a_web_that_died_over_it_is_answered_by_the_next(address: str, web: Web) -> None:
    web.answers = lambda count: b"" if count == 1 else FINE
    assert httpx.get(f"{address}/faxes", timeout=10).text == "fine"
    assert len(web.heard) == 2


def test_no_web_hears_twice_of_what_somebody_does(address: str, web: Web) -> None:
    web.answers = lambda _: b""
    answer = httpx.post(f"{address}/faxes/send", data={"to": "1"}, timeout=10)
    assert (answer.status_code, "look for it before you repeat it" in answer.text) == (503, True)
    assert web.heard == ["POST /faxes/send HTTP/1.1"]


def test_who_watches_reads_json_where_there_is_no_web(address: str) -> None:
    answer = httpx.get(f"{address}/healthz", timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/json")
    assert json.loads(answer.text)["parts"]["web"]["ok"] is False


def test_a_file_that_is_too_large_is_refused_in_the_words_of_the_web(address: str, web: Web) -> None:
    httpx.post(f"{address}/faxes/send/document", content=b"0" * (front.BODY_BYTES + 1), timeout=20)
    assert len(web.heard) == 1
