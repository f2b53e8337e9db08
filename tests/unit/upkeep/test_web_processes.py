"""gunicorn's processes: the application is loaded once, before anybody is let in; the first one says that it lives."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tests.waiting import until

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "bin/lib"))
import processes  # noqa: E402 - the set-up's own module


def web_of(module: Path, place: Path, **more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gunicorn", f"{module.stem}:app", "--bind", f"unix:{place}", "--threads", "3"]
    command += ["--worker-class", "gthread"]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(module.parent)} | more)


def asked(place: Path) -> str:
    """The body of the answer; empty where nobody listens, or who listened is killed over it."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(60)
        try:
            line.connect(str(place))
            line.sendall(b"GET / HTTP/1.0\r\n\r\n")
            said = b""
            while more := line.recv(4096):
                said += more
        except (ConnectionError, FileNotFoundError):
            return ""
    return said.rpartition(b"\r\n\r\n")[2].decode()


def test_nobody_waits_for_an_application_that_is_being_loaded(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        f"import time\nopen({str(tmp_path / 'loading')!r}, 'a').close()\ntime.sleep(60)\n"
    )
    web = web_of(tmp_path / "slow.py", tmp_path / "web.sock")
    try:
        until((tmp_path / "loading").exists)
        time.sleep(1)
        assert asked(tmp_path / "web.sock") == ""
    finally:
        web.kill()
        web.wait()


WHO = """import os, threading, time
open({loads!r}, "a").write("x")
def app(environ, start):
    start("200 OK", [])
    return [f"{{os.getpid()}} {{threading.active_count()}}".encode()]
"""


def test_a_killed_worker_is_followed_by_one_that_loads_nothing_and_has_all_its_threads(tmp_path: Path) -> None:
    (tmp_path / "who.py").write_text(WHO.format(loads=str(tmp_path / "loads")))
    web = web_of(tmp_path / "who.py", tmp_path / "web.sock")
    try:
        pid, threads = until(lambda: asked(tmp_path / "web.sock")).split()
        os.kill(int(pid), signal.SIGKILL)
        until(lambda: (said := asked(tmp_path / "web.sock").split()) and said[0] != pid)
        assert ((tmp_path / "loads").read_text(), int(threads)) == ("x", 4)
    finally:
        web.terminate()
        web.wait(60)


def test_a_first_process_that_stands_still_is_killed_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("def app(environ, start):\n    start('200 OK', [])\n    return [b'']\n")
    notify = tmp_path / "notify"
    with ExitStack() as ends:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
            heard.bind(str(notify))
            heard.settimeout(60)
            web = web_of(tmp_path / "plain.py", tmp_path / "web.sock", FAXROOM_NOTIFY_SOCKET=str(notify))
            ends.callback(end, web)
            assert [heard.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3, "it says again and again that it lives"
        words = [sys.executable, ROOT / "bin/lib/watchdog.py", "--notify", notify, "--silent", "3"]
        ends.callback(end, subprocess.Popen(words))
        until(lambda: web.pid in processes.remembered(notify.with_suffix(".known")))
        web.send_signal(signal.SIGSTOP)
        assert web.wait(100) == -signal.SIGKILL


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
