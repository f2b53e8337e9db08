"""How fast the fax log leaves the house, and in how much memory: as CSV with a million rows, as ZIP with its files.

    .tools/venv/bin/python bench/downloads.py [--rows 1000000] [--files 20000] [--rounds 3]

Starts a PostgreSQL of its own and fills it with the sent faxes of one company. The real application answers, asked by
Flask's test client, which takes each piece as it comes and forgets it. Beside it, in the same process and in turn: what
the database and Python give without Faxroom.

- COPY: PostgreSQL writes the same columns as CSV by itself (``COPY (SELECT …) TO STDOUT``).
- select: a cursor of the server, psycopg, ``csv.writer``; 2,000 rows at a time, nothing put into words.
- zipfile: Python's own archive of the same files, uncompressed, into nothing.

Memory is what the process has in use at its highest above what it had before the download (``VmHWM`` of the kernel,
set back before each).
"""

import argparse
import csv
import gc
import io
import os
import shutil
import statistics
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bin/lib"), str(ROOT / "bench")]

import psycopg  # noqa: E402
from fax_module import make_database  # noqa: E402
from flask import Flask  # noqa: E402
from flask_migrate import upgrade  # noqa: E402
from steps import Progress  # noqa: E402
from testing import _postgres  # noqa: E402

from app.config import Settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from tenants.db import db  # noqa: E402
from tenants.models import Role  # noqa: E402
from tests.web.cast import Browser, make_entity, make_tenant, make_user  # noqa: E402

MB = 1024 * 1024
#: A day before the newest fax, so that no filter of days is at its edge.
FIRST = "2023-11-01 06:00:00+00"
DOCUMENT, REPORT = os.urandom(30_000), os.urandom(12_000)
SENT = """
    FROM fax JOIN fax_entity ON fax.entity_id = fax_entity.id
    LEFT JOIN "user" ON fax.user_id = "user".id
    LEFT JOIN email_address ON "user".address_id = email_address.id
    LEFT JOIN document ON fax.source_id = document.id
    WHERE fax.tenant_id = 1 AND fax.direction = 'sent' ORDER BY fax.created_at DESC, fax.id DESC
"""
SAME_COLUMNS = f"""
    SELECT fax.number, fax.status, fax.created_at, fax.finished_at, fax_entity.name, fax_entity.extension,
        fax_entity.number, fax.remote_number, fax.remote_station_id, "user".name, email_address.address, document.name,
        fax.pages, fax.pages_done, (SELECT count(*) FROM attempt WHERE attempt.fax_id = fax.id), fax.cause,
        fax.cause_values, fax.id {SENT}
"""


@dataclass
class World:
    """One company, its administrator in a browser, a plain connection to its database, and where its files lie."""

    app: Flask
    alice: Browser
    plain: psycopg.Connection
    files: list[Path]


@dataclass(frozen=True)
class Run:
    """``count`` rows or files; seconds to the first byte and to the last; bytes; memory at its highest, in MB."""

    count: int
    first: float
    seconds: float
    size: int
    memory: float


# ---- Filling


def make_world(url: str, home: Path, rows: int, files: int) -> World:
    settings = Settings.from_environment(
        {"FAXROOM_HOME": str(home), "SECRET_KEY": "a bench", "DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0"}
    )
    app = create_app(settings, TESTING=True, RATELIMIT_STORAGE_URI="memory://", PROPAGATE_EXCEPTIONS=True)
    with app.app_context():
        upgrade(directory=str(ROOT / "migrations"))
        tenant = make_tenant("alpha", "Alpha Srl", "KPBX1")
        alice = make_user("alice@alpha.test", "Alice", tenant, Role.ADMIN)
        people = [make_user(f"p{n}@alpha.test", f"Person {n}", tenant, Role.USER) for n in range(499)]
        for n in range(50):
            make_entity(tenant, f"line {n}", str(500 + n), f"+39050{9655600 + n}", senders=[alice, people[n]])
        db.session.commit()
        db.session.remove()
    plain = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    fill(plain, rows)
    kept = make_files(plain, home / "storage", files)
    plain.execute("VACUUM ANALYZE")
    browser = Browser(app)
    assert browser.sign_in("alice@alpha.test").status_code == 303
    return World(app, browser, plain, kept)


def fill(plain: psycopg.Connection, rows: int) -> None:
    """Sent faxes, a minute apart; one in ten ended otherwise. Ids are hexadecimal here, which ULIDs may be too."""
    begin = time.monotonic()
    indexes = plain.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'fax' AND indexdef ~ 'gin'")
    indexes = indexes.fetchall()
    for name, _definition in indexes:
        plain.execute(f"DROP INDEX {name}")
    made = f"(SELECT n, '01' || lpad(upper(to_hex(n)), 24, '0') AS id FROM generate_series(1, {rows}) AS n) AS made"
    at = f"timestamptz '{FIRST}' + n * interval '1 minute'"
    plain.execute(
        "INSERT INTO document (id, kind, name, type, storage_key, sha256, size, pages, created_at, tenant_id) "
        f"SELECT id, 'source', 'Referto ' || n || ', letter.pdf', 'pdf', '1/' || id, repeat('0', 64), 30000, 2, {at}, "
        f"1 FROM {made}"
    )
    number = "'+39050' || 1000000 + n % 20000"
    ended = "CASE n % 10 WHEN 3 THEN 'failed' ELSE 'sent' END"
    plain.execute(
        "INSERT INTO fax (id, number, direction, status, entity_id, user_id, submission_key, origin, remote_number, "
        "dial_string, remote_station_id, pages, pages_done, cause, created_at, finished_at, search_text, source_id, "
        f"pdf_id, tenant_id) SELECT id, n, 'sent', {ended}, 1 + n % 49, 1 + n % 500, id, 'web', {number}, {number}, "
        "CASE WHEN n % 3 > 0 THEN '+39 050 12345' END, 2, CASE n % 10 WHEN 3 THEN 0 ELSE 2 END, "
        f"CASE n % 10 WHEN 3 THEN 'busy' END, {at}, {at} + interval '70 s', "
        "' 050' || 1000000 + n % 20000 || ' pdf ' || n || CASE n % 10000 WHEN 7 THEN ' quagliarella ' ELSE ' ' END, "
        f"id, id, 1 FROM {made}"
    )
    plain.execute(
        "INSERT INTO attempt (fax_id, entity_id, n, channel_id, node, first_page, created_at, placed_at, ended_at, "
        "outcome, pages_confirmed, mode, tenant_id) SELECT id, entity_id, 1, id, 'a', 1, created_at, created_at, "
        "finished_at, coalesce(cause, 'success'), pages_done, 'T38', tenant_id FROM fax"
    )
    for _name, definition in indexes:
        plain.execute(definition)
    print(f"filled {rows:,} faxes in {time.monotonic() - begin:.0f} s", flush=True)


def make_files(plain: psycopg.Connection, storage: Path, files: int) -> list[Path]:
    """The newest faxes get two files each, a document and a report: one file on the disk under many names."""
    storage.mkdir(parents=True)
    contents = {"pdf": storage / "document", "report": storage / "report"}
    contents["pdf"].write_bytes(DOCUMENT)
    contents["report"].write_bytes(REPORT)
    kept = []
    ids = plain.execute("SELECT id FROM fax ORDER BY number DESC LIMIT %s", [files // 2]).fetchall()
    for n, (fax_id,) in enumerate(ids):
        if n % 30_000 == 0:  # no file system gives a file names without end
            contents = {kind: Path(shutil.copy(path, storage / f"{kind}-{n}")) for kind, path in contents.items()}
        folder = storage / f"1/{n // 1000}"
        folder.mkdir(parents=True, exist_ok=True)
        for kind, content in contents.items():
            path = folder / f"{fax_id}-{kind}.pdf"
            path.hardlink_to(content)
            kept.append(path)
    with plain.cursor() as cursor:
        for kind, letter, size in (("pdf", "P", len(DOCUMENT)), ("report", "R", len(REPORT))):
            cursor.executemany(
                "INSERT INTO document (id, kind, name, type, storage_key, sha256, size, pages, created_at, tenant_id) "
                "VALUES (%s, %s, 'file.pdf', 'pdf', %s, repeat('0', 64), %s, 2, now(), 1)",
                [
                    (f"{letter}{fax_id[1:]}", kind, f"1/{n // 1000}/{fax_id}-{kind}.pdf", size)
                    for n, (fax_id,) in enumerate(ids)
                ],
            )
    newest = [fax_id for (fax_id,) in ids]
    plain.execute(
        "UPDATE fax SET pdf_id = 'P' || substr(id, 2), report_id = 'R' || substr(id, 2), entity_id = 50 "
        "WHERE id = ANY(%s)",
        [newest],
    )
    return kept


# ---- What is measured


def downloaded(world: World, path: str) -> Iterator[bytes]:
    answer = world.alice.client.get(path, buffered=False)
    assert answer.status_code == 200, path
    yield from answer.response
    answer.close()


def copied(world: World) -> Iterator[bytes]:
    with world.plain.cursor() as cursor, cursor.copy(f"COPY ({SAME_COLUMNS}) TO STDOUT CSV HEADER") as copy:
        yield from (bytes(piece) for piece in copy)


def selected(world: World) -> Iterator[bytes]:
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow(["number"])
    with world.plain.transaction(), world.plain.cursor(name="all") as cursor:
        cursor.itersize = 2_000
        cursor.execute(SAME_COLUMNS)
        for row in cursor:
            writer.writerow(row)
            if target.tell() > 1 << 16:
                yield target.getvalue().encode()
                target.seek(0)
                target.truncate()
    yield target.getvalue().encode()


class _Nothing(io.RawIOBase):
    """Where an archive goes that nobody keeps."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.waiting.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        data, self.waiting = b"".join(self.waiting), []
        return data


def zipped(world: World) -> Iterator[bytes]:
    target = _Nothing()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in world.files:
            archive.write(path, path.name)
            yield target.drain()
    yield target.drain()


def status(field: str) -> float:
    """MB of this process, in the kernel's words."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def run(make: Callable[[], Iterator[bytes]], *, rows: bool, count: int) -> Run:
    gc.collect()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    begin = time.perf_counter()
    first, size, lines = None, 0, 0
    for piece in make():
        first = first or time.perf_counter() - begin
        size += len(piece)
        lines += piece.count(b"\n") if rows else 0
    seconds = time.perf_counter() - begin
    assert not rows or lines == count + 1, (lines, count)
    return Run(count, first or 0, seconds, size, status("VmHWM") - before)


def report(name: str, runs: list[Run], unit: str) -> float:
    """Its rate: the median of all rounds."""
    rates = sorted(one.count / one.seconds for one in runs)
    seconds = statistics.median(one.seconds for one in runs)
    speed = statistics.median(one.size / one.seconds / MB for one in runs)
    first = max(one.first for one in runs) * 1000
    memory = max(one.memory for one in runs)
    print(
        f"{name:<34} {statistics.median(rates):>10,.0f} {unit}/s ({rates[0]:,.0f} to {rates[-1]:,.0f})  "
        f"{seconds:7.1f} s  {speed:6.1f} MB/s  first byte {first:6.0f} ms  +{memory:5.1f} MB"
    )
    return statistics.median(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    choice = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fx-bench-"))
    folder.chmod(0o711)
    with _postgres(folder, Progress()) as url:
        make_database(url, "downloads")
        home = folder / "home"
        world = make_world(url.rsplit("/", 1)[0] + "/downloads", home, choice.rows, choice.files)
        measure(world, choice.rows, choice.rounds)
        world.plain.close()
        with world.app.app_context():
            db.engine.dispose()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def measure(world: World, rows: int, rounds: int) -> None:
    files, rare = len(world.files), rows // 10_000
    with world.plain.cursor() as cursor:
        line = cursor.execute("SELECT max(id) FROM fax_entity").fetchone()[0]
    ways: dict[str, tuple[Callable[[], Iterator[bytes]], bool, int]] = {
        "CSV of the whole log": (lambda: downloaded(world, "/faxes/log.csv?direction=sent"), True, rows),
        "  COPY of PostgreSQL": (lambda: copied(world), True, rows),
        "  select and csv.writer": (lambda: selected(world), True, rows),
        "CSV, those that failed": (lambda: downloaded(world, "/faxes/log.csv?status=failed"), True, rows // 10),
        "CSV, a rare word": (lambda: downloaded(world, "/faxes/log.csv?q=quagliarella"), True, rare),
        "ZIP of documents and reports": (lambda: downloaded(world, f"/faxes/log.zip?entity={line}"), False, files),
        "  zipfile of Python": (lambda: zipped(world), False, files),
    }
    runs: dict[str, list[Run]] = defaultdict(list)
    run(lambda: downloaded(world, f"/faxes/log.csv?entity={line}"), rows=False, count=files)  # everything is imported
    for _ in range(rounds):
        for name, (make, counted, count) in ways.items():
            runs[name].append(run(make, rows=counted, count=count))
    print(f"\n{rows:,} faxes, {files:,} files, {rounds} rounds, the ways in turn")
    rates = {
        name: report(name, some, "files" if "ZIP" in name or "zip" in name else "rows") for name, some in runs.items()
    }
    csv_rate, copy_rate, select_rate = (rates[name] for name in list(ways)[:3])
    print(f"\nCSV: {csv_rate / copy_rate:.2f} of COPY, {csv_rate / select_rate:.2f} of select")
    print("wanted: at least 15,000 rows a second, at most 100 MB more")


if __name__ == "__main__":
    main()
