"""An instance of Faxroom for a benchmark: what it was told, and one of our own, started and stopped here."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS_TO_START = 300


def settings(home: Path) -> dict[str, str]:
    """What bin/up tells the processes of the instance."""
    lines = (home / "faxroom.env").read_text().splitlines()
    pairs = (line.removeprefix("export ").partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value.strip("'\"") for name, _, value in pairs}


def database_url(home: Path) -> str:
    return settings(home).get("DATABASE_URL") or f"sqlite:///{home}/faxroom.sqlite3"


def unix_seconds(moment: object) -> float:
    """Unix time of a moment as the database gives it (SQLite: text in UTC)."""
    read = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def free_ports(count: int) -> list[int]:
    """Free for TCP and UDP at this moment. No two are the same modulo 16: ports for media follow from the SIP port."""
    found: list[int] = []
    while len(found) < count:
        port = secrets.choice(range(5200, 9900))
        with suppress(OSError), socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("0.0.0.0", port))
            if port % 16 not in {other % 16 for other in found}:
                found.append(port)
    return found


@contextmanager
def instance(home: Path, *, port: int, sip_port: int, ari_port: int, **more: str) -> Iterator[None]:
    """The demo, run by bin/up with these ports and settings."""
    own = {"FAXROOM_HOME": home, "FAXROOM_PORT": port, "FAXROOM_SIP_PORT": sip_port, "FAXROOM_ARI_PORT": ari_port}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAXROOM_")}
    home.mkdir(parents=True, exist_ok=True)
    log = home / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [ROOT / "bin/up"],
            env=kept | {name: str(value) for name, value in own.items()} | more,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + SECONDS_TO_START
        while not (home / "run/ready").exists():
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"The instance did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
