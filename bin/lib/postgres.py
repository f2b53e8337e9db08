"""A PostgreSQL of our own for tests: made in a folder, ended with whoever wanted it."""

import contextlib
import os
import pwd
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import packages
from processes import descendants
from shell import Words, tail
from steps import StepFailed
from supervise import TETHER


class Cluster:
    """One server. ``settings`` are those of postgresql.conf; it does not wait for the disk."""

    def __init__(self, folder: Path, *, port: int, **settings: str) -> None:
        programs = packages.postgres_programs()
        if programs is None:
            raise StepFailed("postgresql", "Its programs were not found. Install them: apt-get install postgresql")
        self.data, self.log, self.port = folder, folder.with_name("pg.log"), port
        self._password = secrets.token_hex(16)
        key = folder.with_name("pg-password")
        key.write_text(self._password)
        key.chmod(0o644)  # in a folder that only we can list
        self._who = _unprivileged(folder)
        initdb: Words = [programs / "initdb", "-D", folder, "-U", "faxroom", f"--pwfile={key}", "-N"]
        with self.log.open("wb") as output:
            command: Words = [*self._who, *initdb, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]
            if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:
                raise StepFailed("postgresql", f"initdb failed:\n{tail(self.log)}")
        fixed = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        told = (f"--{name}={value}" for name, value in (fixed | settings).items())
        self._command: Words = [*self._who, programs / "postgres", "-D", folder, *told]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of an empty database, as its superuser."""
        return f"postgresql+psycopg://faxroom:{self._password}@127.0.0.1:{self.port}/postgres"

    @property
    def administrator(self) -> str:
        """The same for libpq."""
        return self.url.replace("+psycopg", "")

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self._command, stdout=output, stderr=output)
        deadline = time.monotonic() + 60
        program = packages.postgres_program("pg_isready") or "pg_isready"
        asked = [program, "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        while time.monotonic() < deadline and self.process.poll() is None:
            if subprocess.run(asked, check=False).returncode == 0:  # one that still starts takes connections, too
                return
            time.sleep(0.05)
        raise StepFailed("postgresql", f"It did not start:\n{tail(self.log)}")

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)

    def kill(self) -> None:
        """kill -9 of the server; its children find out and end."""
        assert self.process
        left = self.processes()
        self.process.kill()
        self.process.wait()
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in left) and time.monotonic() < deadline:
            time.sleep(0.05)

    def processes(self) -> list[int]:
        assert self.process
        return [self.process.pid, *descendants(self.process.pid)]

    def add_owner(self, name: str) -> str:
        """A role without special rights and a database that it owns; its URL."""
        import psycopg  # not there yet when bin/test installs

        password = secrets.token_hex(16)
        with psycopg.connect(self.administrator, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
            connection.execute(f"CREATE DATABASE {name} OWNER {name}")
        return f"postgresql+psycopg://{name}:{password}@127.0.0.1:{self.port}/{name}"


@contextlib.contextmanager
def cluster(folder: Path, *, port: int, **settings: str) -> Iterator[Cluster]:
    """Runs until the end of the context."""
    made = Cluster(folder, port=port, **settings)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def _unprivileged(data: Path) -> list[str]:
    """PostgreSQL refuses to run as root: the words that make it another user, who owns ``data``."""
    data.mkdir(mode=0o700)
    if os.geteuid() != 0:
        return list(TETHER)
    user = pwd.getpwnam("nobody")
    os.chown(data, user.pw_uid, user.pw_gid)
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--pdeathsig", "INT", "--"]
