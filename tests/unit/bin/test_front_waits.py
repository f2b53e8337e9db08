"""The front answers for a web that does not: at once where there is none, within seconds where it stands still. Only
what was merely asked for is asked again; of what somebody does no web hears twice."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import httpx
import pytest

from tests.waiting import until

sys.path.insert(0, str(Path(__file__).parents[3] / "bin/lib"))
import front

pytestmark = pytest.mark.skipif(not Path(front.NGINX).exists(), reason="nginx is not installed")

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
NOBODY = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
KNOWN, DOCUMENT = "GET /front/known HTTP/1.1", "POST /faxes/send/document HTTP/1.1"


class Web:
    """What stands behind the front: ``answers`` says for each request in turn what becomes of it, None: nothing."""

    def __init__(self, path: Path) -> None:
        self.answers: Callable[[int], bytes | None] = lambda _: FINE
        self.heard: list[str] = []
        self.heads: list[bytes] = []
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
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
        left = int((re.search(rb"Content-Length: (\d+)", head) or [b"", b"0"])[1]) - len(body)
        while left > 0 and (piece := connection.recv(65536)):
            left -= len(piece)
        self.heads.append(head)
        self.heard.append(head.split(b"\r\n")[0].decode())
        answer = self.answers(len(self.heard))
        if answer is None:
            self.kept.append(connection)
            return
        connection.sendall(answer)
        connection.close()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with running_front(tmp_path) as address:
        yield address


@contextlib.contextmanager
def running_front(tmp_path: Path) -> Iterator[str]:
    folder, port = tmp_path / "front", free_port()
    front.configure(folder, web=tmp_path / "web.sock", listen=f"127.0.0.1:{port}", proxies=0)
    with running_program(front.command(folder), port) as address:
        yield address


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running_program(command: Sequence[str | Path], port: int, *, cwd: Path | None = None) -> Iterator[str]:
    """``port`` 0: nobody waits for it."""
    running = subprocess.Popen(command, cwd=cwd)
    try:
        end = time.monotonic() + 100
        while port and time.monotonic() < end:
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
    answer = httpx.get(f"{address}/faxes", timeout=30)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert "Your faxes are safe" in answer.text


def test_a_page_of_a_web_that_stands_still_is_answered_within_five_seconds(address: str, web: Web) -> None:
    """What a machine with other work adds to the front's own patience is not the front's: this web never answers."""
    web.answers = lambda _: None
    answer = httpx.get(f"{address}/faxes?direction=sent", timeout=60)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert patience("location / {") < 5


def patience(location: str) -> float:
    """Seconds that ``front/nginx.conf`` waits for an answer in this location."""
    configuration = (front.ROOT / "front/nginx.conf").read_text()
    found = re.search(r"proxy_read_timeout (\d+)ms;", configuration[configuration.index(location) :])
    assert found
    return int(found[1]) / 1000


@pytest.mark.parametrize("method, path", [("POST", "/faxes/send"), ("GET", "/faxes/1/report.pdf")])
def test_what_somebody_does_and_a_file_are_waited_for(address: str, web: Web, method: str, path: str) -> None:
    web.answers = lambda _: None
    with pytest.raises(httpx.ReadTimeout):
        httpx.request(method, f"{address}{path}", timeout=6)
    assert len(web.heard) == 1


def test_who_asked_a_web_that_died_over_it_is_answered_by_the_next(address: str, web: Web) -> None:
    web.answers = lambda count: b"" if count == 1 else FINE
    assert httpx.get(f"{address}/faxes", timeout=60).text == "fine"
    assert len(web.heard) == 2


def test_no_web_hears_twice_of_what_somebody_does(address: str, web: Web) -> None:
    web.answers = lambda _: b""
    answer = httpx.post(f"{address}/faxes/send", data={"to": "1"}, timeout=60)
    assert (answer.status_code, "check before you send it again" in answer.text) == (503, True)
    assert web.heard == ["POST /faxes/send HTTP/1.1"]


def test_who_watches_reads_json_where_there_is_no_web(address: str) -> None:
    answer = httpx.get(f"{address}/healthz", timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/json")
    assert json.loads(answer.text)["parts"]["web"]["ok"] is False


def test_a_file_that_is_too_large_is_refused_in_the_words_of_the_web(address: str, web: Web) -> None:
    httpx.post(f"{address}/faxes/send/document", content=b"0" * (front.BODY_BYTES + 1), timeout=60)
    assert web.heard == [DOCUMENT]


@pytest.mark.parametrize("length", ["told", "in pieces"])
def test_a_large_body_of_who_is_not_signed_in_is_not_put_aside(address: str, web: Web, length: str) -> None:
    """The web says so in its words: it is asked for them without the body."""
    web.answers = lambda count: NOBODY if count == 1 else FINE
    answer = httpx.post(f"{address}/faxes/send/document", content=large_body(length), timeout=60)
    assert answer.text == "fine"
    assert web.heard == [KNOWN, DOCUMENT]
    assert b"X-Front-Refused: 413" in web.heads[1] and b"Content-Length" not in web.heads[1]


@pytest.mark.parametrize("length", ["told", "in pieces"])
@pytest.mark.parametrize("said", [b"204 No Content", b"503 Service Unavailable"])
def test_who_is_signed_in_or_may_be_sends_it(address: str, web: Web, length: str, said: bytes) -> None:
    web.answers = lambda count: b"HTTP/1.1 " + said + b"\r\nContent-Length: 0\r\n\r\n" if count == 1 else FINE
    answer = httpx.post(f"{address}/faxes/send/document", content=large_body(length), timeout=60)
    assert answer.text == "fine"
    assert web.heard == [KNOWN, DOCUMENT]
    assert b"X-Front-Refused" not in web.heads[1] and b"Content-Length: 200000" in web.heads[1]


def large_body(length: str) -> bytes | Iterator[bytes]:
    return b"0" * 200_000 if length == "told" else (b"0" * 1000 for _ in range(200))


def test_nobody_asks_from_outside_who_is_signed_in(address: str, web: Web) -> None:
    assert httpx.get(f"{address}/front/known", timeout=60).status_code == 404
    assert not [line for line in web.heard if line != KNOWN]


# ---- Documents


class SlowWeb:
    """Takes as many as come at once, each for a moment, and counts by who sends them."""

    def __init__(self, path: Path) -> None:
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.holds = dict[str, threading.Event]()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        path.chmod(0o777)
        self.listening.listen(500)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._take, args=(self.listening.accept()[0],), daemon=True).start()

    def _take(self, connection: socket.socket) -> None:
        who = re.search(rb"session=(\w+)", connection.recv(65536))[1].decode()
        with self.lock:
            self.under_way[who] += 1
            self.most[who] = max(self.most[who], self.under_way[who])
        if who in self.holds:
            self.holds[who].wait(200)
        with self.lock:
            self.under_way[who] -= 1
        with contextlib.suppress(OSError):
            connection.sendall(FINE)
        connection.close()


@pytest.fixture
def slow_web(tmp_path: Path) -> Iterator[SlowWeb]:
    web = SlowWeb(tmp_path / "web.sock")
    yield web
    web.listening.close()


def send_document(address: str, who: str, path: str = "/faxes/send", *, seconds: float = 200) -> int:
    form = {"files": {"document": ("page.pdf", b"%PDF-")}, "cookies": {"session": who}}
    return httpx.post(f"{address}{path}", timeout=httpx.Timeout(60, read=seconds), **form).status_code


def test_a_hundred_documents_at_once_are_all_taken_and_others_come_between(address: str, slow_web: SlowWeb) -> None:
    slow_web.holds["bob"] = threading.Event()
    with ThreadPoolExecutor(90) as pool:
        paths = ["/faxes/send", "/faxes/send/document"] * 45
        bobs = [pool.submit(send_document, address, "bob", path) for path in paths]
        while slow_web.under_way["bob"] < front.DOCUMENTS_AT_ONCE:
            time.sleep(0.01)
        assert send_document(address, "charlie") == 200, "nobody waits for another's"
        slow_web.holds["bob"].set()
        assert {one.result() for one in bobs} == {200}
    assert slow_web.most["bob"] == front.DOCUMENTS_AT_ONCE


def test_who_goes_away_while_in_line_leaves_no_place_taken(address: str, slow_web: SlowWeb) -> None:
    slow_web.holds["bob"] = threading.Event()
    with ThreadPoolExecutor(20) as pool:
        gone = [pool.submit(send_document, address, "bob", seconds=0.3) for _ in range(20)]
        assert {type(one.exception()) for one in gone} == {httpx.ReadTimeout}
    slow_web.holds["bob"].set()
    assert [send_document(address, "bob") for _ in range(5)] == [200] * 5


def test_who_waits_too_long_is_told_to_come_again(
    tmp_path: Path, slow_web: SlowWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "LINE_SECONDS", 1)
    slow_web.holds["bob"] = threading.Event()
    with running_front(tmp_path) as address, ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(send_document, address, "bob") for _ in range(3)]
        [first] = wait(sent, return_when=FIRST_COMPLETED).done
        assert first.result() == 429
        slow_web.holds["bob"].set()
        assert sorted(one.result() for one in sent) == [200, 200, 429]


DEAF = """
def app(environ, start_response):
    start_response("404 Not Found", [("Content-Length", "4")])
    return [b"deaf"]
"""


def test_a_web_that_does_not_read_a_large_body_is_heard_all_the_same(tmp_path: Path) -> None:
    """A socket that is closed with something unread in it resets the connection (unix(7): ECONNRESET), and the front
    has nothing to hand on then. gunicorn reads on to the end of the body."""
    (tmp_path / "deaf.py").write_text(DEAF)
    command = list(front.web_command(sys.executable, tmp_path / "web.sock"))
    command[command.index("wsgi:app")] = "deaf:app"
    with running_program(command, 0, cwd=tmp_path), running_front(tmp_path) as address:
        until((tmp_path / "web.sock").exists)
        answers = [httpx.post(f"{address}/sign-out", content=b"0" * 20_000_000, timeout=60) for _ in range(6)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, "deaf")}


# ---- Whole bodies


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A front that wants a kilobyte each second."""
    monkeypatch.setattr(front, "LEAST_BYTES", 1000)
    monkeypatch.setattr(front, "EACH_SECONDS", 1)
    with running_front(tmp_path) as address:
        yield place_of(address)


@pytest.fixture
def brief(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A front that wants all of a body within four seconds."""
    monkeypatch.setattr(front, "LEAST_BYTES", 1)
    monkeypatch.setattr(front, "EACH_SECONDS", 1)
    monkeypatch.setattr(front, "BODY_SECONDS", 4)
    with running_front(tmp_path) as address:
        yield place_of(address)


def place_of(address: str) -> tuple[str, int]:
    host, port = address.removeprefix("http://").split(":")
    return host, int(port)


LENGTHS = {"told": b"Content-Length: %d\r\n\r\n", "in pieces": b"Transfer-Encoding: chunked\r\n\r\n"}


def trickling(length: str) -> tuple[bytes, bytes]:
    return (LENGTHS[length] % 4000, b"a") if length == "told" else (LENGTHS[length], b"1\r\na\r\n")


def seconds_until_cut(place: tuple[str, int], head: bytes, pieces: Iterator[bytes], *, every: float) -> float | None:
    """None: all pieces were taken and an answer came."""
    began = time.monotonic()
    with socket.create_connection(place, 60) as line:
        line.sendall(b"POST /faxes/send HTTP/1.1\r\nHost: x\r\n" + head)
        line.settimeout(every)
        for piece in pieces:
            with contextlib.suppress(TimeoutError):
                try:
                    line.sendall(piece)
                    if not line.recv(1, socket.MSG_PEEK):
                        return time.monotonic() - began
                    break  # an answer before all was sent
                except ConnectionError:
                    return time.monotonic() - began
        line.settimeout(60)
        return None if line.recv(100).startswith(b"HTTP/1.1 200") else time.monotonic() - began


@pytest.mark.parametrize("length", LENGTHS)
def test_a_body_that_trickles_is_cut_off(hasty: tuple[str, int], web: Web, length: str) -> None:
    head, piece = trickling(length)
    cut = seconds_until_cut(hasty, head, (piece for _ in range(1000)), every=0.1)
    assert cut and cut > 0.9
    assert not [line for line in web.heard if line != KNOWN]


def test_a_body_is_there_as_a_whole_after_some_time(brief: tuple[str, int], web: Web) -> None:
    cut = seconds_until_cut(brief, LENGTHS["told"] % 1_000_000, (b"a" * 300 for _ in range(1000)), every=0.1)
    assert cut and cut > 3.5
    assert not [line for line in web.heard if line != KNOWN]


def test_a_body_that_comes_slowly_and_steadily_is_taken(
    tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as fast as has to be, for half as long again as its bytes are counted together."""
    monkeypatch.setattr(front, "LEAST_BYTES", 1000)
    monkeypatch.setattr(front, "EACH_SECONDS", 2)
    with running_front(tmp_path) as address:
        pieces = (b"a" * 2000 for _ in range(20))
        assert seconds_until_cut(place_of(address), LENGTHS["told"] % 40_000, pieces, every=0.15) is None
    assert len(web.heard) == 1


def test_a_body_that_is_there_is_handed_on_whole_whatever_the_web_takes_for_it(
    brief: tuple[str, int], web: Web
) -> None:
    web.answers = lambda _: time.sleep(6) or FINE
    answer = httpx.post(f"http://{brief[0]}:{brief[1]}/faxes/send", data={"to": "1"}, timeout=60)
    assert answer.text == "fine"


def test_pieces_that_become_too_much_are_refused_in_the_words_of_the_web(hasty: tuple[str, int], web: Web) -> None:
    pieces = (b"0" * 2**20 for _ in range(front.BODY_BYTES // 2**20 + 2))
    with contextlib.suppress(httpx.WriteError):
        httpx.post(f"http://{hasty[0]}:{hasty[1]}/faxes/send/document", content=pieces, timeout=60)
    assert web.heard == [KNOWN, DOCUMENT]


@pytest.fixture
def proxied(hasty: tuple[str, int], tmp_path: Path) -> Iterator[tuple[str, int]]:
    """The front behind a proxy as docs/install.md has it, without TLS."""
    folder, port = tmp_path / "proxy", free_port()
    folder.mkdir()
    said = (front.ROOT / "docs/install.md").read_text().partition("## Behind a reverse proxy")[2]
    server = said.partition("```nginx\n")[2].partition("```")[0]
    server = server.replace("listen 443 ssl", f"listen 127.0.0.1:{port}").replace(
        "127.0.0.1:8000", f"127.0.0.1:{hasty[1]}"
    )
    places = "".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    settings = f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}"
    (folder / "nginx.conf").write_text(f"{settings} http {{ access_log off; {places} {server} }}")
    with running_program([front.NGINX, "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"], port):
        yield "127.0.0.1", port


@pytest.mark.parametrize("length", LENGTHS)
def test_behind_the_proxy_of_the_documentation_too(proxied: tuple[str, int], web: Web, length: str) -> None:
    head, piece = trickling(length)
    cut = seconds_until_cut(proxied, head, (piece for _ in range(1000)), every=0.1)
    assert cut
    assert not [line for line in web.heard if line != KNOWN]
    assert httpx.post(f"http://127.0.0.1:{proxied[1]}/sign-in", data={"email": "x"}, timeout=60).text == "fine"
