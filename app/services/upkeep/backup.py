"""A backup while everything runs: one folder that ``bin/lib/restore.py`` makes an installation of, on a machine that
has nothing. Documents are sealed in it as they are in the storage, with the keys that its database has.

The order is what keeps it whole. What Asterisk holds for the portal comes first: a received page leaves the spool only
when the database has it, so it is in one of the two. Then the database, in one moment. Then the documents that it
names: these were durable before their rows were.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa
from flask import current_app

from app.adapters.storage.sealed_files import Source
from app.adapters.storage.sealed_storage import owner_of, sealed_for
from app.adapters.storage.storage import sync_folder
from app.config import Settings
from app.errors import PermanentFailure, TemporaryFailure
from app.models import Attempt, CompanyKey, Document
from app.rules.receiving.receiving import attempt_name
from app.services.documents.company_keys import keys_of
from app.services.documents.documents import storage
from tenants.db import db, only_reading, utc_now

#: Of the manifest; ``bin/lib/restore.py`` refuses others.
FORMAT = 1
SUMS = "SHA256SUMS"
CHUNK = 1024 * 1024
#: Where Debian puts the programs of each PostgreSQL.
POSTGRES = Path("/usr/lib/postgresql")
ASTDB = "asterisk/lib/astdb.sqlite3"
#: What an administrator has added to Asterisk's configuration.
LOCAL = "asterisk/etc/local"


class BackupFailed(Exception):
    """Nothing was kept; the text says why and what to do."""


@dataclass
class Summary:
    """What a backup holds, and what of the documents it could not hold."""

    files: int = 0
    size: int = 0
    documents: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


class _Contents:
    """What the database of the backup knows of files. Documents may be millions: they are listed in a file."""

    def __init__(self, connection: sa.Connection) -> None:
        over = sa.select(Attempt.channel_id, Attempt.node).where(Attempt.ended_at.is_not(None))
        over = over.where(Attempt.channel_id.startswith("in-", autoescape=True))
        self.imported = {id_.removeprefix(attempt_name(node, "")) for id_, node in connection.execute(over)}
        self.list = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read later, gone with this process
        kept = sa.select(Document.sha256, Document.storage_key).where(Document.removed_at.is_(None))
        for digest, key in connection.execution_options(stream_results=True).execute(kept):
            self.list.write(f"{digest} {key}\n")
        companies = connection.scalars(sa.select(CompanyKey.tenant_id).distinct()).all()
        #: Of each company, the newest.
        self.keys = {str(company): keys_of(connection, company)[0] for company in companies}

    def documents(self) -> Iterator[tuple[str, str]]:
        """Digest and storage key."""
        self.list.seek(0)
        for line in self.list:
            digest, _, key = line.rstrip("\n").partition(" ")
            yield digest, key


def make_backup(target: Path) -> Summary:
    """Write ``target``, which must not be there yet. It appears when it is complete and on the disk.

    Raises:
        BackupFailed: with what to do.
    """
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    if target.exists():
        raise BackupFailed(f"{target} already exists. Give the name of a new folder.")
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(mode=0o700, parents=True)
        summary = _Writer(unfinished).write(current_app.config["SETTINGS"])
        unfinished.rename(target)
        sync_folder(target.parent)
    except (OSError, sqlite3.Error, sa.exc.SQLAlchemyError) as error:
        raise BackupFailed(f"{error}. Nothing was kept.") from error
    except TemporaryFailure as failure:
        raise BackupFailed(f"The storage does not answer: {failure}. Nothing was kept.") from failure
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return summary


class _Writer:
    """Files of one backup, each with its digest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.late: list[str] = []  # written by other programs, or not for good: looked at in the end
        self.summary = Summary()
        self.sums = self._path(SUMS).open("w")

    def write(self, settings: Settings) -> Summary:
        made_at = utc_now()
        self._line(settings)
        kind, contents = self._database()
        self._drop_imported(contents.imported)
        self._documents(contents)
        self._tree(settings.archives, "archives")
        self._tree(settings.home / LOCAL, "asterisk/local")
        self._settings(settings)
        self._manifest(made_at, kind, settings)
        return self.summary

    # ---- What Asterisk keeps for the portal

    def _line(self, settings: Settings) -> None:
        """Its database, the marks of the calls that may have sent something, and the pages that calls brought. Those of
        calls that go out are laid anew."""
        astdb = settings.home / ASTDB
        if astdb.exists():
            _copy_sqlite(astdb, self._place("asterisk/astdb.sqlite3"))
        for folder in ("answered", "incoming"):
            self._tree(settings.spool / folder, f"spool/{folder}", late=True)

    def _drop_imported(self, channel_ids: set[str]) -> None:
        """Pages that the database has taken over since they were copied, when there may have been fewer of them."""
        for path in (self.folder / "spool/incoming").glob("*.tif"):
            if path.stem in channel_ids:
                path.unlink()
                self.late.remove(path.relative_to(self.folder).as_posix())

    # ---- The database

    def _database(self) -> tuple[str, _Contents]:
        if db.engine.dialect.name == "sqlite":
            return "sqlite", self._sqlite()
        return "postgresql", self._postgresql()

    def _sqlite(self) -> _Contents:
        """The copy is held from the beginning: whoever lays it somewhere by hand sends nothing either."""
        copy = self._place("database.sqlite3")
        _copy_sqlite(Path(db.engine.url.database or ""), copy)
        engine = sa.create_engine(f"sqlite:///{copy}", connect_args={"factory": sqlite3.Connection})
        try:
            with only_reading(), engine.begin() as connection:
                contents = _Contents(connection)
        finally:
            engine.dispose()
        with closing(sqlite3.connect(copy)) as raw, raw:
            raw.execute("DELETE FROM hold")
            raw.execute("INSERT INTO hold (id, since) VALUES (1, ?)", [f"{utc_now():%Y-%m-%d %H:%M:%S.%f}"])
            raw.commit()
            raw.execute("PRAGMA journal_mode=DELETE")  # one file, without a journal beside it
        return contents

    def _postgresql(self) -> _Contents:
        """pg_dump and our own questions see one and the same moment."""
        target = self._place("database.pgdump")
        with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            snapshot = connection.scalar(sa.text("SELECT pg_export_snapshot()"))
            _dump(db.engine.url, target, snapshot)
            return _Contents(connection)

    # ---- Files

    def _documents(self, contents: _Contents) -> None:
        for digest, key in contents.documents():
            try:
                is_same = self._document(key, digest, contents.keys.get(owner_of(key)))
            except PermanentFailure:
                self.summary.missing.append(key)
                continue
            self.summary.documents += 1
            if not is_same:
                self.summary.changed.append(key)
        self.summary.missing = _still_wanted(self.summary.missing)

    def _document(self, key: str, digest: str, with_key: bytes | None) -> bool:
        """Sealed anew: its company may have got another key since the database was copied. False if it is not what was
        stored; one that cannot be opened is kept as it lies.

        Raises:
            PermanentFailure: it is not there.
        """
        storage().as_it_lies(key).close()
        try:
            with storage().open(key) as file:
                content = _Digested(file)
                self._keep(sealed_for(key, content, with_key) if with_key else content, f"storage/{key}")
        except PermanentFailure:
            with storage().as_it_lies(key) as file:
                self._keep(file, f"storage/{key}")
            return False
        return content.digest.hexdigest() == digest

    def _tree(self, root: Path, name: str, *, late: bool = False) -> None:
        """What of it vanishes meanwhile was taken over, and is found there."""
        for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
            try:
                source = path.open("rb")
            except FileNotFoundError:
                continue
            with source:
                place = f"{name}/{path.relative_to(root).as_posix()}"
                if late:
                    self._place(place).write_bytes(source.read())
                else:
                    self._keep(source, place)

    def _place(self, name: str) -> Path:
        """For a file whose digest is taken in the end."""
        self.late.append(name)
        return self._path(name)

    def _path(self, name: str) -> Path:
        if "\n" in name:
            raise BackupFailed(f"{name!r}: a name of two lines. Rename this file.")
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        return path

    def _keep(self, source: Source, name: str) -> None:
        """Copy, make durable, note."""
        digest, size = hashlib.sha256(), 0
        with self._path(name).open("wb") as target:
            while chunk := source.read(CHUNK):
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            target.flush()
            os.fsync(target.fileno())
        self._note(name, digest.hexdigest(), size)

    def _note(self, name: str, digest: str, size: int) -> None:
        """As sha256sum writes it, and checks it."""
        self.sums.write(f"{digest}  {name}\n")
        self.summary.files += 1
        self.summary.size += size

    # ---- Secrets and settings

    def _settings(self, settings: Settings) -> None:
        """What sessions and stored passwords depend on, by value: a file that a setting names may lie anywhere. What
        else bin/up was given is the restored instance's default."""
        self._place("secrets/SECRET_KEY").write_text(settings.secret_key)
        sealing = ",".join(current_app.config["SEALING_KEYS"].secrets)  # after the database: they open what it has
        if sealing != settings.secret_key:
            self._place("secrets/FAXROOM_SEALING_KEYS").write_text(sealing)
        inline = []
        for name, value in _given(settings.home):
            plain = name.removesuffix("_FILE")
            if plain in ("SECRET_KEY", "FAXROOM_SEALING_KEYS"):
                continue
            if plain != name:
                self._place(f"secrets/{plain}").write_text(Path(value).read_text().strip())
            else:
                inline.append(f"{name}={value}\n")
        self._place("settings.env").write_text("".join(inline))

    def _manifest(self, made_at: datetime, kind: str, settings: Settings) -> None:
        """Last, and with the digest of everything else."""
        for name in self.late:
            self._note(name, *_facts(self.folder / name))
        self.sums.close()
        manifest = {
            "format": FORMAT,
            "made_at": made_at.astimezone(UTC).isoformat(timespec="seconds"),
            "database": kind,
            "home": str(settings.home),
            "missing": self.summary.missing,
            "changed": self.summary.changed,
            "files": self.summary.files,
            "sums": _facts(self.folder / SUMS)[0],
        }
        path = self._path("manifest.json")
        path.write_text(json.dumps(manifest, indent=1))
        _facts(path)
        for folder in (self.folder, *(place for place in self.folder.rglob("*") if place.is_dir())):
            sync_folder(folder)


class _Digested:
    """A file that is read to its end, and the SHA-256 of what was read."""

    def __init__(self, source: BinaryIO) -> None:
        self.source, self.digest = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.source.read(size)
        self.digest.update(data)
        return data


def _facts(path: Path) -> tuple[str, int]:
    """Digest and size of a file that is complete; it is durable afterwards."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
        os.fsync(source.fileno())
    return digest.hexdigest(), size


def _copy_sqlite(source: Path, target: Path) -> None:
    """By SQLite's own means, in one moment, without holding up who writes; the copy is looked through."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
        found = [row[0] for row in copy.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise BackupFailed(f"{source} is damaged: {'; '.join(found)}. Restore an earlier backup.")


def _dump(url: sa.URL, target: Path, snapshot: str) -> None:
    program = _newest("pg_dump")
    command = [program, "--format=custom", "--no-owner", "--no-privileges", "--no-comments"]
    command += [f"--snapshot={snapshot}", f"--file={target}", f"--dbname={_without_password(url)}"]
    environment = {**os.environ, **({"PGPASSWORD": url.password} if url.password else {})}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupFailed(f"pg_dump failed: {done.stderr.strip()}")


def _newest(program: str) -> str:
    """An older pg_dump refuses a newer server; a newer one reads every older."""
    found = sorted(POSTGRES.glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
    place = str(found[-1]) if found else shutil.which(program)
    if place is None:
        raise BackupFailed(f"There is no {program}. Install it: apt-get install postgresql-client")
    return place


def _without_password(url: sa.URL) -> str:
    """As libpq reads it. Others may read the list of processes."""
    return url._replace(drivername="postgresql", password=None).render_as_string(hide_password=False)


def _still_wanted(keys: list[str]) -> list[str]:
    """Of files that are not there: those that should be. The others went by their company's retention meanwhile."""
    wanted: list[str] = []
    for start in range(0, len(keys), 500):
        some = sa.select(Document.storage_key).where(Document.storage_key.in_(keys[start : start + 500]))
        wanted += db.session.scalars(some.where(Document.removed_at.is_(None))).all()
    db.session.rollback()
    return wanted


def _given(home: Path) -> Iterator[tuple[str, str]]:
    """What bin/up was given at its last start. Without bin/up the administrator keeps the settings elsewhere."""
    file = home / "given.env"
    for line in file.read_text().splitlines() if file.exists() else ():
        name, _, value = line.partition("=")
        yield name, value
