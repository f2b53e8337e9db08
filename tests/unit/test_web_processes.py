"""gunicorn's processes: none outlives the first, not even one that is still loading the application; and the first one
says that it gets on."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_worker_that_still_loads_does_not_hold_the_port_of_a_killed_web(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        f"import time\nopen({str(tmp_path / 'loading')!r}, 'a').close()\ntime.sleep(60)\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "slow:app", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"]
    web = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    end = time.monotonic() + 30
    while not (tmp_path / "loading").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    web.send_signal(signal.SIGKILL)
    web.wait()
    time.sleep(1)
    with socket.socket() as next_web:
        next_web.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        next_web.bind(("127.0.0.1", port))


def test_a_first_process_that_stands_still_is_killed_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("def app(environ, start):\n    start('200 OK', [])\n    return [b'']\n")
    words = [sys.executable, ROOT / "bin/lib/watchdog.py", "--notify", tmp_path / "notify", "--silent", "3"]
    watchdog = subprocess.Popen(words)
    command = [sys.executable, "-m", "gunicorn", "plain:app", "--bind", f"unix:{tmp_path}/web.sock"]
    environment = {"PYTHONPATH": str(tmp_path), "FAXROOM_NOTIFY_SOCKET": str(tmp_path / "notify")}
    web = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment)
    try:
        time.sleep(8)
        assert web.poll() is None
        web.send_signal(signal.SIGSTOP)
        assert web.wait(15) == -signal.SIGKILL
    finally:
        for process in (web, watchdog):
            process.kill()
            process.wait()
