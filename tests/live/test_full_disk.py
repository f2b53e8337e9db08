"""A whole Faxroom on a small disk that fills up in the middle of calls, with a far end elsewhere that counts what
arrives."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from redis import RedisError
from reportlab.pdfgen.canvas import Canvas

from app.models import Attempt, Fax, FaxTemplate, Status
from app.queues import redis
from tests.disks import SmallDisk, small_disk
from tests.live.instance import Instance
from tests.live.lines import ROOT, Line, wait_until

sys.path.insert(0, str(ROOT / "bin/lib"))
import processes
import testing

pytestmark = pytest.mark.live

#: Rings for some seconds, then receives.
FAR = "+3905090002"
FAR_END = f"""
[faxroom-in](+)
exten => _{FAR}X,1,Ringing()
 same => n,Wait(8)
 same => n,Answer()
 same => n,ReceiveFAX(${{ASTSPOOLDIR}}/faxroom/incoming/${{EXTEN}}-${{CHANNEL(uniqueid)}}.tif,f)
 same => n,Hangup()
"""
BOB, COUNT = "bob@alpha.test", 3
UP_SECONDS = 200


@pytest.fixture(scope="module")
def far_end(asterisk_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    line = Line(tmp_path_factory.mktemp("far"), local={"extensions.conf": FAR_END})
    line.start()
    yield line
    line.stop()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(Path(f"/tmp/fx-full-{os.getpid()}"), "400m") as disk:
        yield disk
    disk.folder.rmdir()


@pytest.fixture(scope="module")
def up(disk: SmallDisk, far_end: Line) -> Iterator[subprocess.Popen[bytes]]:
    """bin/up with its home on the small disk. What it says goes there too, as under a supervisor that keeps it."""
    port, sip_port, ari_port = testing.free_ports(3)
    while sip_port % 16 == far_end.sip_port % 16:  # their ports for media would be the same
        (sip_port,) = testing.free_ports(1)
    own = {
        "FAXROOM_HOME": disk.folder / "home",
        "FAXROOM_PORT": port,
        "FAXROOM_SIP_PORT": sip_port,
        "FAXROOM_ARI_PORT": ari_port,
        "FAXROOM_TRUNK": f"sip:127.0.0.1:{far_end.sip_port}",
        "FAXROOM_MIN_FREE": 0,  # to the very last byte
    }
    environment = testing._environment() | {name: str(value) for name, value in own.items()}
    with (disk.folder / "up.log").open("wb") as output:
        process = subprocess.Popen(
            [ROOT / "bin/up"], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        wait_until(250, "it is ready", lambda: process.poll() is not None or (disk.folder / "home/run/ready").exists())
        assert process.poll() is None, (disk.folder / "up.log").read_text()
        yield process
    finally:
        disk.free()
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def instance(disk: SmallDisk, up: subprocess.Popen[bytes]) -> Instance:
    running = Instance(disk.folder / "home")
    with running.session() as session:
        for template in session.scalars(sa.select(FaxTemplate)):
            template.retry_delays = {"other": 1, "dropped": 1, "protocol_error": 1, "no_answer": 1}
            template.ring_seconds = 20
        session.commit()
    return running


def command_line(pid: int) -> bytes:
    """Empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def faults(instance: Instance) -> dict[str, object]:
    """What its health page says is wrong."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{instance.environment['FAXROOM_PORT']}/healthz", timeout=10):
            return {}
    except urllib.error.HTTPError as error:
        return {name: part for name, part in json.load(error)["parts"].items() if not part["ok"]}
    except OSError as error:
        return {"web": error}


def arrivals(far_end: Line) -> dict[str, int]:
    """Number → how many times a page came."""
    found: dict[str, int] = {}
    for path in far_end.received():
        if path.stat().st_size > 1000:
            found[path.name.partition("-")[0]] = found.get(path.name.partition("-")[0], 0) + 1
    return found


def test_a_disk_that_fills_up_between_ringing_and_answer_sends_no_fax_twice(
    instance: Instance, disk: SmallDisk, far_end: Line, tmp_path: Path
) -> None:
    """Neither Asterisk's database nor ours can write that the call was answered; then both are killed."""
    letter = Canvas(str(tmp_path / "letter.pdf"))
    letter.drawString(72, 740, "Referto: nessuna anomalia.")
    letter.save()
    numbers = [f"{FAR}{n}" for n in range(COUNT)]
    faxes = [instance.send(BOB, "frontdesk", number, tmp_path / "letter.pdf") for number in numbers]
    for fax_id in faxes:
        instance.until(fax_id, lambda fax: bool(fax.attempts and fax.attempts[-1].ringing_at), seconds=120)
    disk.fill()
    assert disk.is_full()
    end = time.monotonic() + 30  # answered after 8 s; a page takes some 12, and longer on a busy machine
    while time.monotonic() < end or far_end.ari.live_channels():
        assert time.monotonic() < end + 120, "the calls do not end"
        disk.fill()
        time.sleep(0.5)
    assert instance.kill("worker.py line")
    assert instance.kill("sbin/asterisk")
    disk.free()
    for fax_id in faxes:
        instance.until(fax_id, lambda fax: fax.status in (Status.SENT, Status.UNKNOWN, Status.FAILED), seconds=150)
    time.sleep(5)
    assert arrivals(far_end) == dict.fromkeys(numbers, 1)
    for fax_id in faxes:
        assert instance.read(fax_id, lambda fax: fax.status) == Status.SENT


def test_what_died_while_the_disk_was_full_is_up_soon_after_there_is_room(
    instance: Instance, disk: SmallDisk, up: subprocess.Popen[bytes]
) -> None:
    wait_until(UP_SECONDS, "all is well before", lambda: not faults(instance))
    disk.fill()
    for words in ("sbin/asterisk", "worker.py", "gunicorn"):
        assert instance.kill(words), words
    rooms = [pid for pid in processes.descendants(up.pid) if b"app.adapters.offices.office" in command_line(pid)]
    assert rooms
    for pid in rooms:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with instance.session(), suppress(RedisError):
        redis().shutdown(nosave=True, now=True)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        disk.fill()
        time.sleep(0.5)
    assert up.poll() is None
    disk.free()
    wait_until(UP_SECONDS, "all is up again", lambda: not faults(instance))


def test_the_disk_has_harmed_no_attempt_that_can_be_told_of(instance: Instance) -> None:
    with instance.session() as session:
        outcomes = set(session.scalars(sa.select(Attempt.outcome).join(Fax).where(Fax.status == Status.SENT)))
    assert outcomes <= {"success", "disk_full", "line_down", "other", "dropped"}
