"""The instance under test: a whole Faxroom, started by bin/test with bin/up."""

import contextlib
import email
import email.policy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.config import Settings
from app.factory import create_app
from app.models import Fax, FaxEntity
from app.rules.sending.submit import submit_fax
from app.services.documents.documents import take_upload
from tenants.addresses import user_by_address
from tenants.db import db, new_ulid
from tests.live.lines import ASTERISK_ROOT, asterisk

T = TypeVar("T")
#: What is told of a row that did not become what it should.
TOLD = ("status", "state", "cause", "pages", "pages_done", "tries", "attempts")


class Instance:
    """Its database, its processes, its spool."""

    def __init__(self, home: Path) -> None:
        self.home = home
        lines = (home / "faxroom.env").read_text().splitlines()
        pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
        self.environment = {name: value.strip("'\"") for name, _, value in pairs}
        self.app: Flask = create_app(Settings.from_environment(self.environment))

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        with self.app.app_context():
            yield db.session

    def laid(self, name: str, made: Callable[[Path], Path]) -> Path:
        """Pages where its Asterisk can read them, which may be another account's."""
        folder = self.app.config["SETTINGS"].spool / "outgoing"
        folder.mkdir(parents=True, exist_ok=True)
        path = made(folder / name)
        path.chmod(0o644)
        return path

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``bin/faxroom`` as an administrator runs it."""
        root = Path(__file__).parents[2]
        environment = os.environ | {"FAXROOM_HOME": str(self.home)}
        return subprocess.run(
            [root / "bin/faxroom", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def until_well(self, *, seconds: float = 200) -> None:
        """Wait until its doctor finds no fault: what was started a moment ago may still be loading."""
        end = time.monotonic() + seconds
        while (told := self.command("doctor")).returncode:
            assert time.monotonic() < end, told.stdout

    def send(self, sender: str, entity: str, to: str, path: Path) -> str:
        """Submit a fax through the one door; its id."""
        with self.session() as session:
            user = user_by_address(session, sender)
            line = session.scalar(
                sa.select(FaxEntity).where(FaxEntity.tenant_id == user.tenant_id, FaxEntity.name == entity)
            )
            entity_id, tenant_id, user_id = line.id, user.tenant_id, user.id
            with path.open("rb") as stream:
                document = take_upload(session, stream=stream, filename=path.name, tenant_id=tenant_id, user_id=user_id)
            return submit_fax(
                session,
                user=user,
                entity_id=entity_id,
                addressee_text=to,
                send_at_text=None,
                document=document,
                submission_key=new_ulid(),
                origin="command",
            ).id

    def read(self, row_id: str, what: Callable[[Any], T], *, of: type[Any] = Fax) -> T:
        with self.session() as session:
            return what(session.get_one(of, row_id))

    def until(self, row_id: str, done: Callable[[Any], bool], *, seconds: float = 200, of: type[Any] = Fax) -> None:
        """Wait for a fax, or another row, to be as wanted; what it is instead, when it does not come to that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.read(row_id, done, of=of):
                return
            time.sleep(0.2)
        told = self.read(row_id, lambda row: {key: getattr(row, key) for key in TOLD if hasattr(row, key)}, of=of)
        raise AssertionError(told)

    def mailed(self, to: str, wanted: Callable[[EmailMessage], bool], *, seconds: float = 200) -> EmailMessage:
        """An email in the mailbox of ``to``, when it is there."""
        folder, end = self.home / "mailboxes/boxes" / to, time.monotonic() + seconds
        while time.monotonic() < end:
            for file in [file for part in ("new", "cur") for file in (folder / part).glob("*")]:
                mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                if wanted(mail):
                    return mail
            time.sleep(0.2)
        raise AssertionError("no such mail came")

    def processes(self, words: str) -> list[int]:
        """Those of this very instance whose command line holds these words."""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                pid = int(folder.name)
                ours = f"FAXROOM_HOME={self.home}\0".encode() in (folder / "environ").read_bytes()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if ours and words in line and pid != os.getpid():
                    found.append(pid)
        return found

    def kill(self, words: str) -> int:
        """kill -9, as a crash would; how many. One that ended by itself since it was listed is no fault."""
        pids = self.processes(words)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def control(self, act: str, *programs: str) -> None:
        """Have supervisord ``stop`` or ``start`` processes, and wait until they are."""
        supervisorctl = Path(sys.executable).with_name("supervisorctl")
        command = [supervisorctl, "-c", self.home / "supervisord.conf", act, *programs]
        subprocess.run(command, check=True, capture_output=True, timeout=200)

    def add_far_ends(self, dialplan: str) -> None:
        """Numbers of the loop at which somebody else than a fax entity answers."""
        home = self.home / "asterisk"
        (home / "etc/local/extensions.conf").write_text(dialplan)
        command = [part for part in asterisk.command(ASTERISK_ROOT, home) if part != "-f"]
        subprocess.run([*command, "-rx", "dialplan reload"], check=True, capture_output=True, timeout=100)
