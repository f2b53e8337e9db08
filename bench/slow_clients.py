"""What slow and half-open connections do to everybody else.

    .tools/venv/bin/python bench/slow_clients.py [--connections 500] [--seconds 30]
        [--kinds "slow body"] [--byte-seconds 9] [--front-only]

Starts an instance of its own and asks for ordinary pages, signed in, a connection for each: first while it is quiet,
then while the connections stand, of each kind as many: headers that come a byte every two seconds, bodies that do so,
connections that say nothing, that have closed their half after part of a request, and that asked for a page and do not
read it. Each that is cut is opened again. Then the same with gunicorn alone, as it was before there was a front, in the
same run. All on this machine; the attack is a process of its own and comes from other addresses of it.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import httpx  # noqa: E402
from drilling.people import _hidden  # noqa: E402
from running import free_ports, instance, settings  # noqa: E402

PAGES = ("/faxes", "/faxes/send", "/profile")
EMAIL, PASSWORD = "alice@alpha.test", "faxroom-demo"
#: Somebody who waits longer has gone.
PATIENCE = 10
PEOPLE = 2
BEGUN = b"Host: 127.0.0.1\r\nUser-Agent: slow\r\n"
POST = b"POST /sign-in HTTP/1.1\r\n" + BEGUN + b"Content-Type: application/x-www-form-urlencoded\r\n"
#: Kind → what is sent at once, and what then comes byte by byte.
KINDS: dict[str, tuple[bytes, bytes]] = {
    "slow header": (b"GET /sign-in HTTP/1.1\r\n" + BEGUN + b"X-Slow: ", b"a" * 4000),
    "slow body": (POST + b"Content-Length: 4000\r\n\r\n", b"a" * 4000),
    "idle": (b"", b""),
    "half-closed": (POST + b"Content-Length: 4000\r\n\r\nemail=", b""),
    "not reading": (b"GET /static/faxroom.css HTTP/1.1\r\n" + BEGUN + b"\r\n", b""),
}
#: Of this machine too. Seven of them: each kind comes from each.
SOURCES = tuple(f"127.0.0.{n}" for n in range(2, 9))


# ---- The attack


async def _slow(port: int, kind: str, source: str, until: float, byte_seconds: float) -> None:
    """One connection after the other from an address, until then."""
    at_once, slowly = KINDS[kind]
    while time.monotonic() < until:
        with suppress(OSError, asyncio.TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1, local_addr=(source, 0))
            try:
                writer.write(at_once)
                if kind == "half-closed":
                    writer.write_eof()
                for byte in slowly:
                    writer.write(bytes([byte]))
                    await writer.drain()  # raises what the other side did
                    await asyncio.sleep(byte_seconds)
                    if time.monotonic() > until or reader.at_eof():
                        break
                await asyncio.wait_for(_gone(reader, kind), max(until - time.monotonic(), 0.01))
            finally:
                writer.close()
        await asyncio.sleep(0.2)


async def _gone(reader: asyncio.StreamReader, kind: str) -> None:
    """Until the other side has closed; who does not read cannot know it."""
    if kind == "not reading":
        await asyncio.sleep(3600)
    while await reader.read(65536):
        pass


async def _attack(port: int, options: argparse.Namespace) -> None:
    until = time.monotonic() + options.seconds
    kinds = zip(cycle(options.kinds.split(",")), range(min(options.connections, 2000)), strict=False)
    sources = cycle(SOURCES)
    slow = (_slow(port, kind, next(sources), until, options.byte_seconds) for kind, _ in kinds)
    await asyncio.gather(*slow)


@contextmanager
def attacked(port: int, options: argparse.Namespace) -> Iterator[None]:
    """By a process of its own; it stands when this begins."""
    command = [sys.executable, __file__, "--attack", str(port), "--connections", str(options.connections)]
    command += ["--kinds", options.kinds, "--byte-seconds", str(options.byte_seconds)]
    process = subprocess.Popen([*command, "--seconds", str(options.seconds + 10)])
    try:
        time.sleep(3)
        yield
    finally:
        process.terminate()
        process.wait()


# ---- Everybody else


def sign_in(url: str) -> dict[str, str]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        token = _hidden(http.get("/sign-in").text, "csrf_token")
        answer = http.post("/sign-in", data={"email": EMAIL, "password": PASSWORD, "csrf_token": token})
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.status_code
        return dict(http.cookies)


def pages(url: str, cookies: dict[str, str], seconds: float) -> list[float]:
    """Seconds of each page that was asked for; PATIENCE where there was no answer."""
    taken: list[float] = []
    end = time.monotonic() + seconds

    def person(first: int) -> None:
        turn = first
        while time.monotonic() < end:
            turn += 1
            begin = time.monotonic()
            answered = False
            with suppress(httpx.HTTPError):
                path = url + PAGES[turn % len(PAGES)]
                answer = httpx.get(path, cookies=cookies, timeout=PATIENCE, trust_env=False)
                answered = answer.status_code == httpx.codes.OK
            taken.append(time.monotonic() - begin if answered else PATIENCE)
            time.sleep(0.05)

    people = [threading.Thread(target=person, args=(n,)) for n in range(PEOPLE)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    return taken


def told(name: str, taken: list[float]) -> float:
    p95 = statistics.quantiles(taken, n=20)[-1]
    unanswered = sum(seconds >= PATIENCE for seconds in taken)
    middle = statistics.median(taken)
    print(
        f"  {name:<12} {len(taken):5} pages, p50 {1000 * middle:5.0f} ms, p95 {1000 * p95:6.0f} ms, "
        f"longest {max(taken):5.2f} s, not answered: {unanswered}",
        flush=True,
    )
    return p95


def compare(name: str, port: int, options: argparse.Namespace) -> None:
    print(f"{name}:")
    url = f"http://127.0.0.1:{port}"
    cookies = sign_in(url)
    pages(url, cookies, 3)
    quiet = told("quiet", pages(url, cookies, options.seconds))
    with attacked(port, options):
        under = told("under attack", pages(url, cookies, options.seconds))
    print(f"  ratio of p95: {under / quiet:.2f}", flush=True)


@contextmanager
def gunicorn_alone(home: Path, port: int) -> Iterator[None]:
    """As bin/up ran it before: it listens itself."""
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"]
    command += ["--workers", "2", "--threads", "8", "--worker-tmp-dir", "/dev/shm", "--log-level", "error"]
    environment = os.environ | settings(home)
    environment.pop("FAXROOM_FRONT", None)
    with (home / "log/gunicorn_alone.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(300):
            with suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}/sign-in", trust_env=False)
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--attack", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--kinds", default=",".join(KINDS), help="of connections, separated by commas")
    parser.add_argument("--byte-seconds", type=float, default=2, help="between the bytes of slow ones")
    parser.add_argument("--front-only", action="store_true", help="not gunicorn alone as well")
    options = parser.parse_args()
    if options.attack:
        asyncio.run(_attack(options.attack, options))
        return
    folder = Path(tempfile.mkdtemp(prefix="fx-slow-"))
    try:
        port, sip_port, ari_port, alone = free_ports(4)
        with instance(folder / "home", port=port, sip_port=sip_port, ari_port=ari_port):
            compare(f"the front, {options.connections} connections", port, options)
            if not options.front_only:
                with gunicorn_alone(folder / "home", alone):
                    compare("gunicorn alone", alone, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
