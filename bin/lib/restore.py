"""``bin/faxroom restore DIR``: an instance out of a backup, in an empty FAXROOM_HOME.

Standard library only: the machine may have nothing but this checkout. Nothing is touched before every file of the
backup was found to be what its list says. The restored instance is held: nothing leaves it until ``bin/faxroom
restored``.
"""

import argparse
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import environment as environments  # noqa: E402
import instance as instances  # noqa: E402
import packages  # noqa: E402
from shell import SetupError  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FORMAT = 1
SUMS = "SHA256SUMS"
CHUNK = 1024 * 1024
#: Settings that say where something is put.
PLACES = ("DATABASE_URL", "STORAGE_URL", "FAXROOM_SPOOL", "FAXROOM_ARCHIVES")
#: What a faulty backup names at most.
MOST_TOLD = 10


@dataclass(frozen=True)
class Target:
    """Where everything goes: what is given now wins over what the backup's instance was given."""

    home: Path
    database: str
    storage: str
    spool: Path
    archives: Path
    settings: Mapping[str, str]

    @property
    def sqlite(self) -> Path | None:
        return Path(self.database.removeprefix("sqlite:///")) if self.database.startswith("sqlite") else None

    @property
    def folder(self) -> Path | None:
        """Of the documents; None where they lie in a bucket."""
        parts = urlsplit(self.storage)
        return Path(parts.path) if parts.scheme == "file" else None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bin/faxroom restore",
        description="Restore an instance from the backup in DIR, into an empty FAXROOM_HOME.",
        allow_abbrev=False,
    )
    parser.add_argument("backup", metavar="DIR", type=Path, help="what bin/faxroom backup wrote")
    choice = parser.parse_args()
    try:
        restore(choice.backup.absolute(), os.environ)
    except (SetupError, OSError, sqlite3.Error) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def restore(backup: Path, environment: Mapping[str, str]) -> None:
    """Judge backup and target, then fill the target. SetupError says what to do."""
    manifest = read_manifest(backup)
    count = check_files(backup, manifest)
    print(f"The backup of {manifest['made_at']} is complete: {count} files.", flush=True)
    target = read_target(backup, manifest, environment)
    check_target(target, manifest)
    target.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = target.home / instances.UNFINISHED
    mark.touch()
    _files(backup, target)
    _settings(backup, target)
    _documents(backup, target)
    _database(backup, target)  # last: without it nothing of the rest is an installation
    os.sync()
    mark.unlink()
    _tell(target, manifest)


# ---- What was backed up


def read_manifest(backup: Path) -> dict[str, Any]:
    """``manifest.json`` of the backup, of the format that this version reads."""
    try:
        manifest: dict[str, Any] = json.loads((backup / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise SetupError(f"{backup} is no backup, or not a whole one: {error}") from error
    if manifest.get("format") != FORMAT:
        raise SetupError(f"{backup} is of another version of Faxroom. Restore it with that one, then upgrade.")
    return manifest


def check_files(backup: Path, manifest: Mapping[str, object]) -> int:
    """Every file of the list is there and the same, and no other; how many."""
    if _digest(backup / SUMS) != manifest["sums"]:
        raise SetupError(f"{backup / SUMS} is not what was written. Nothing was touched. Use another backup.")
    faults, listed = [], set()
    for digest, name in listed_files(backup):
        listed.add(name)
        file = backup / name
        if not file.is_file() or file.is_symlink():
            faults.append(f"{name} is missing")
        elif _digest(file) != digest:
            faults.append(f"{name} is not what was written")
    there = {path.relative_to(backup).as_posix() for path in backup.rglob("*") if not path.is_dir()}
    faults += [f"{name} does not belong there" for name in sorted(there - listed - {SUMS, "manifest.json"})]
    if faults:
        more = f"\n- and {len(faults) - MOST_TOLD} more" if len(faults) > MOST_TOLD else ""
        told = "\n- ".join(faults[:MOST_TOLD])
        raise SetupError(f"The backup is damaged. Nothing was changed.\n- {told}{more}\nUse another backup.")
    return len(listed)


def listed_files(backup: Path) -> Iterator[tuple[str, str]]:
    with (backup / SUMS).open() as sums:
        for line in sums:
            digest, _, name = line.rstrip("\n").partition("  ")
            yield digest, name


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


# ---- Where it goes


def read_target(backup: Path, manifest: Mapping[str, object], environment: Mapping[str, str]) -> Target:
    home = Path(environment.get("FAXROOM_HOME") or ROOT / "var").absolute()
    instances.read_instance(ROOT, {"FAXROOM_HOME": str(home)})  # refuses a path that cannot be one
    old = str(manifest["home"])
    kept = {name: _moved(value, old, home) for name, value in instances.read_values(backup / "settings.env").items()}
    for file in (backup / "secrets").glob("*"):
        if file.name != "SECRET_KEY":
            kept[f"{file.name}_FILE"] = str(home / "secrets" / file.name)

    def told(name: str, default: str) -> str:
        if environment.get(f"{name}_FILE"):
            return Path(environment[f"{name}_FILE"]).read_text().strip()
        if environment.get(name):
            return environment[name]
        secret = backup / "secrets" / name
        return secret.read_text() if secret.exists() else kept.get(name, default)

    return Target(
        home=home,
        database=told("DATABASE_URL", f"sqlite:///{home}/faxroom.sqlite3"),
        storage=told("STORAGE_URL", f"file://{home}/storage"),
        spool=Path(told("FAXROOM_SPOOL", f"{home}/asterisk/spool/faxroom")),
        archives=Path(told("FAXROOM_ARCHIVES", f"{home}/archives")),
        settings=kept | _given(kept, environment),
    )


def _given(kept: dict[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Where things go by what is given now: bin/up has to look for them there, and nowhere else. The other form of a
    name leaves ``kept``."""
    given = {}
    for name in PLACES:
        for form, other in ((f"{name}_FILE", name), (name, f"{name}_FILE")):
            if environment.get(form):
                given[form] = environment[form]
                kept.pop(other, None)
                break
    return given


def _moved(value: str, old: str, home: Path) -> str:
    """Paths below the old home lie below the new one."""
    return value.replace(f"{old}/", f"{home}/") if old else value


def check_target(target: Target, manifest: Mapping[str, Any]) -> None:
    """Nothing is there yet. Two installations in one place would be neither of the two."""
    for name, folder in (
        ("FAXROOM_HOME", target.home),
        ("STORAGE_URL", target.folder),
        ("FAXROOM_SPOOL", target.spool / "incoming"),
        ("FAXROOM_ARCHIVES", target.archives),
    ):
        if folder and folder.exists() and any(folder.iterdir()):
            raise SetupError(f"{folder} is not empty. Restore into an empty one: {name}=…")
    kind = "sqlite" if target.sqlite else "postgresql"
    if kind != manifest["database"]:
        raise SetupError(f"The backup contains {manifest['database']}, but DATABASE_URL is {kind}.")
    if target.sqlite:
        if target.sqlite.exists():
            raise SetupError(f"{target.sqlite} is there already. Name another file, or none: DATABASE_URL=…")
    elif int(_psql(target, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")):
        raise SetupError("The database is not empty. Make an empty one and give it: DATABASE_URL=…")


# ---- Filling


def _files(backup: Path, target: Target) -> None:
    asterisk = target.home / "asterisk"
    places = {
        "archives": target.archives,
        "asterisk/local": asterisk / "etc/local",
        "spool/answered": target.spool / "answered",
        "spool/incoming": target.spool / "incoming",
        "secrets": target.home / "secrets",
    }
    for name, folder in places.items():
        if (backup / name).exists():
            shutil.copytree(backup / name, folder, dirs_exist_ok=True)
    if (backup / "asterisk/astdb.sqlite3").exists():
        (asterisk / "lib").mkdir(parents=True, exist_ok=True)
        shutil.copy2(backup / "asterisk/astdb.sqlite3", asterisk / "lib/astdb.sqlite3")
    for folder in (asterisk, target.home / "secrets"):
        if folder.exists():
            folder.chmod(0o700)


def _settings(backup: Path, target: Target) -> None:
    """``restored.env`` for bin/up; ``faxroom.env`` for bin/faxroom until bin/up writes its own."""
    instances.write_values(target.home / instances.RESTORED, target.settings)
    own = {
        "FAXROOM_HOME": str(target.home),
        "SECRET_KEY_FILE": str(target.home / "secrets/SECRET_KEY"),
    }
    instances.write_values(target.home / "faxroom.env", {**target.settings, **own})


def _documents(backup: Path, target: Target) -> None:
    if not (backup / "storage").exists():
        return
    if target.folder:
        shutil.copytree(backup / "storage", target.folder, dirs_exist_ok=True)
        return
    environments.install(ROOT, print, log=ROOT / ".tools/log/python.log")
    python, work = ROOT / ".tools/venv/bin/python", ROOT / "bin/lib/restore_bucket.py"
    command = [str(python), str(work), str(backup / "storage"), target.storage]
    if subprocess.run(command, check=False).returncode:
        raise SetupError("The documents did not reach the bucket. Check STORAGE_URL and AWS_*, then start again.")


def _database(backup: Path, target: Target) -> None:
    now = datetime.now(UTC)
    if target.sqlite:
        target.sqlite.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(backup / "database.sqlite3", target.sqlite)
        target.sqlite.chmod(0o600)
        with closing(sqlite3.connect(target.sqlite)) as connection, connection:
            connection.execute("DELETE FROM hold")
            connection.execute("INSERT INTO hold (id, since) VALUES (1, ?)", [f"{now:%Y-%m-%d %H:%M:%S.%f}"])
        return
    hold = f"DELETE FROM hold; INSERT INTO hold (id, since) VALUES (1, '{now.isoformat()}');"
    _load(backup / "database.pgdump", target, f"RESET search_path; {hold} ANALYZE;\n")


def _load(dump: Path, target: Target, then: str) -> None:
    """All of it, and the hold, in one transaction."""
    program = [_postgres("pg_restore"), "--no-owner", "--no-privileges", "--no-comments", "--file=-", str(dump)]
    url, environment = _libpq(target.database)
    whole = ("--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
    load = [_postgres("psql"), "--no-psqlrc", *whole, "--dbname", url]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as reading:
        done = subprocess.Popen(
            load, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        )
        assert reading.stdout and done.stdin
        try:
            shutil.copyfileobj(reading.stdout, done.stdin)
            if reading.wait():
                done.kill()  # the transaction ends with it
                raise SetupError(f"pg_restore could not read {dump}.")
            done.stdin.write(f"\n{then}".encode())
        except BrokenPipeError:
            reading.kill()
        _, said = done.communicate()
    if done.returncode:
        raise SetupError(f"The database was not restored: {said.decode(errors='replace').strip()[-1000:]}")


def _psql(target: Target, question: str) -> str:
    url, environment = _libpq(target.database)
    command = [_postgres("psql"), "--no-psqlrc", "-Atc", question, "--dbname", url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"DATABASE_URL does not lead to a database: {done.stderr.strip()}")
    return done.stdout.strip()


def _libpq(url: str) -> tuple[str, dict[str, str]]:
    """The address without its password, which others would read in the list of processes."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    plain = urlunsplit(("postgresql", f"{name}@{host}" if name else host, parts.path, parts.query, ""))
    return plain, {**os.environ, **({"PGPASSWORD": unquote(password)} if password else {})}


def _postgres(program: str) -> str:
    if place := packages.postgres_program(program):
        return str(place)
    raise SetupError(f"There is no {program}. Install it: apt-get install postgresql-client")


def _tell(target: Target, manifest: Mapping[str, Any]) -> None:
    print(f"Restored into {target.home}.")
    for what in ("missing", "changed"):
        if keys := manifest.get(what):
            print(f"WARNING: {len(keys)} documents were already {what} when the backup was made. See manifest.json.")
    if target.settings:
        print(f"bin/up will use, unless you give others: {', '.join(sorted(target.settings))}")
    print("It sends nothing and collects no mail until you have answered bin/faxroom restored. Now: bin/up")


if __name__ == "__main__":
    sys.exit(main())
