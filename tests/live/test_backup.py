"""A backup of the running instance, restored beside it: it comes up with everything, and is silent until it is told."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models import Document, Fax, Status
from app.models.faxes.moves import is_final
from app.rules.sending.trunks.ports import SLICES
from app.services.documents.documents import storage
from tests.documents import pdf, written
from tests.live.instance import Instance
from tests.live.lines import testing

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
ALICE, BETA = "alice@alpha.test", "+493023125000"


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Instance(Path(os.environ["FAXROOM_TEST_HOME"]))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short: sockets lie below it."""
    folder = Path(tempfile.mkdtemp(prefix="fx-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def ports() -> dict[str, str]:
    """Of which SIP's leads to other ports for media than the instance under test has."""
    names = [f"FAXROOM_{name}PORT" for name in ("SIP_", "ARI_", "", "IMAP_", "DOOR_")]
    while True:
        chosen = testing.free_ports(len(names))
        if (chosen[0] - int(os.environ["FAXROOM_TEST_SIP_PORT"])) % SLICES:
            return dict(zip(names, map(str, chosen), strict=True))


@contextlib.contextmanager
def running(home: Path) -> Iterator[Instance]:
    own = {"FAXROOM_HOME": str(home), **ports()}
    names = {name: value for name, value in os.environ.items() if not name.startswith("FAXROOM_")}
    with (home.parent / "up.log").open("wb") as log:
        process = subprocess.Popen([ROOT / "bin/up"], env=names | own, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 250
        while not (home / "run/ready").exists():
            assert process.poll() is None and time.monotonic() < end, (home.parent / "up.log").read_text()[-3000:]
            time.sleep(0.1)
        yield Instance(home)
    finally:
        process.terminate()
        process.wait(timeout=100)


def test_a_restored_instance_has_everything_and_dials_only_when_somebody_has_said_so(instance, folder):
    document = written(folder, pdf(pages=8), "eight.pdf")
    long = written(folder, pdf(pages=20), "twenty.pdf")  # on the line for longer than a backup takes
    on_the_line = instance.send(ALICE, "frontdesk", BETA, long)
    instance.until(on_the_line, lambda fax: fax.status == Status.SENDING)
    made = instance.command("backup", str(folder / "backup"))
    assert made.returncode == 0, made.stderr
    home = folder / "h"
    done = subprocess.run(
        [ROOT / "bin/faxroom", "restore", folder / "backup"],
        env={"PATH": os.environ["PATH"], "FAXROOM_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with running(home) as restored:
        with restored.session() as session:
            for key in session.scalars(sa.select(Document.storage_key).where(Document.removed_at.is_(None))):
                storage().open(key).close()
        waiting = restored.send(ALICE, "frontdesk", BETA, document)
        restored.until(waiting, lambda fax: fax.cause == "held")
        time.sleep(3)
        told = restored.command("faxes", "--tenant", "alpha", "--json").stdout.splitlines()
        assert not {"dialing", "sending"} & {json.loads(line)["status"] for line in told}
        answered = restored.command("restored", "--yes")
        assert answered.returncode == 0, answered.stderr
        restored.until(waiting, lambda fax: fax.status == Status.SENT)
        assert restored.read(on_the_line, lambda fax: (fax.status, len(fax.attempts))) == (Status.UNKNOWN, 1)
        restored.until_well()
    instance.until(on_the_line, lambda fax: is_final(fax.status))
    assert instance.read(on_the_line, lambda fax: fax.status) == Status.SENT
    with instance.session() as session:
        assert session.get(Fax, waiting) is None
