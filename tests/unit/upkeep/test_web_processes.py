"""gunicorn's processes: the application is loaded once, before anybody is let in; the first one says that it lives."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]


def web_of(module: Path, place: Path, **more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gunicorn", f"{module.stem}:app", "--bind", f"unix:{place}", "--threads", "3"]
    command += ["--worker-class", "gthread"]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(module.parent)} | more)


def asked(place: Path) -> str:
    """The body of the answer; empty where nobody listens."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(10)
        try:
            line.connect(str(place))
        except (ConnectionRefusedError, FileNotFoundError):
            return ""
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        said = b""
        while more := line.recv(4096):
            said += more
    return said.rpartition(b"\r\n\r\n")[2].decode()


def until_it_answers(place: Path, seconds: float) -> str:
    end = time.monotonic() + seconds
    while not (said := asked(place)):
        assert time.monotonic() < end
        time.sleep(0.05)
    return said


def test_nobody_waits_for_an_application_that_is_being_loaded(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        f"import time\nopen({str(tmp_path / 'loading')!r}, 'a').close()\ntime.sleep(60)\n"
    )
    web = web_of(tmp_path / "slow.py", tmp_path / "web.sock")
    try:
        end = time.monotonic() + 30
        while not (tmp_path / "loading").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(1)
        assert asked(tmp_path / "web.sock") == ""
    finally:
        web.kill()
        web.wait()


WHO = """import os, threading, time
open({loads!r}, "a").write("x")
time.sleep(2)
def app(environ, start):
    start("200 OK", [])
    return [f"{{os.getpid()}} {{threading.active_count()}}".encode()]
"""


def test_a_killed_worker_is_followed_at_once_by_one_that_loads_nothing_and_has_all_its_threads(tmp_path: Path) -> None:
    (tmp_path / "who.py").write_text(WHO.format(loads=str(tmp_path / "loads")))
    web = web_of(tmp_path / "who.py", tmp_path / "web.sock")
    try:
        pid, threads = until_it_answers(tmp_path / "web.sock", 30).split()
        os.kill(int(pid), signal.SIGKILL)
        began = time.monotonic()
        time.sleep(0.2)
        assert until_it_answers(tmp_path / "web.sock", 10).split()[0] != pid
        assert time.monotonic() - began < 1.9
        assert ((tmp_path / "loads").read_text(), int(threads)) == ("x", 4)
    finally:
        web.terminate()
        web.wait(20)


def test_a_first_process_that_stands_still_is_killed_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("def app(environ, start):\n    start('200 OK', [])\n    return [b'']\n")
    words = [sys.executable, ROOT / "bin/lib/watchdog.py", "--notify", tmp_path / "notify", "--silent", "3"]
    watchdog = subprocess.Popen(words)
    web = web_of(tmp_path / "plain.py", tmp_path / "web.sock", FAXROOM_NOTIFY_SOCKET=str(tmp_path / "notify"))
    try:
        time.sleep(8)
        assert web.poll() is None
        web.send_signal(signal.SIGSTOP)
        assert web.wait(15) == -signal.SIGKILL
    finally:
        for process in (web, watchdog):
            process.kill()
            process.wait()
