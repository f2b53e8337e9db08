"""What a hang-up costs until the next fax is claimed, by how many wait: on SQLite and on PostgreSQL.

    .tools/venv/bin/python bench/dispatching.py [--waiting 100 20000 1000000] [--rounds 40] [--only sqlite|postgresql]

Starts a PostgreSQL of its own. Five companies with four lines each have thirty places on the line, all of them taken.
Half of what waits goes to numbers of their own, half to twenty numbers with one line each, waiting as the preparation
leaves them (``wait_behind``). Each round ends one call, records its result, and claims the next fax. The sizes are
asked in turn, so that a busy machine is busy for all. Ends with 1 if the median of the largest is more than twice that
of the smallest.
"""

import argparse
import logging
import random
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bin/lib")]

import psycopg  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from flask import Flask  # noqa: E402
from flask_migrate import upgrade  # noqa: E402
from steps import Progress  # noqa: E402
from testing import _postgres  # noqa: E402

from app.config import Settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.models import Attempt, Fax  # noqa: E402
from app.rules.sending.dispatch import Limits, claim_due, mark_placed  # noqa: E402
from app.rules.sending.results import CallFacts, record_result  # noqa: E402
from tenants.connections import MIGRATION  # noqa: E402
from tenants.connections import waiting as waiting_for  # noqa: E402
from tenants.db import db, utc_now  # noqa: E402
from tenants.models import Role  # noqa: E402
from tests.web.cast import make_entity, make_tenant, make_user  # noqa: E402

COMPANIES, LINES, PLACES, SHARED, MOST = 5, 4, 30, 20, 2.0
SERIES = {
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :count)",
    "postgresql": "WITH s AS (SELECT generate_series(1, :count) AS n)",
}
#: In the order of n: an odd one to a number of its own, an even one to one of twenty, for which it waits behind the
#: first that goes there.
WAITING = """
INSERT INTO fax (id, tenant_id, entity_id, user_id, number, direction, status, origin, remote_number, dial_string,
                 pages, pages_done, due_at, created_at, gave_way, search_text, urgent, waits_for_number)
{series}
SELECT {id}, (n / 2 % :lines) / :each + 1, n / 2 % :lines + 1, (n / 2 % :lines) / :each + 1, 1000 + n, 'sent', 'ready',
       'web', {number}, {number}, 1, 0, :due, :due, 0, '', {no},
       CASE WHEN n % 2 = 0 AND n > 2 * :shared THEN {number} END
FROM s
"""
NUMBER = "CASE WHEN n % 2 = 0 THEN '+3905501' || {shared} ELSE '+39055' || {own} END"


@dataclass
class World:
    app: Flask
    waiting: int
    open_calls: list[str] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)


def make_world(url: str, home: Path, waiting: int) -> World:
    told = {
        "FAXROOM_HOME": str(home),
        "SECRET_KEY": "a bench",
        "DATABASE_URL": url,
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    world = World(create_app(Settings.from_environment(told), TESTING=True, RATELIMIT_STORAGE_URI="memory://"), waiting)
    with world.app.app_context():
        upgrade(directory=str(ROOT / "migrations"))
        for n in range(COMPANIES):
            tenant = make_tenant(f"company-{n}", f"Company {n}", f"S{n}")
            user = make_user(f"user@company-{n}.test", "User", tenant, Role.USER)
            for line in range(LINES):
                make_entity(tenant, f"line {line}", str(500 + line), None, senders=[user])
        db.session.commit()
        with waiting_for(MIGRATION):  # a million rows take longer than any statement of the product may
            fill(waiting + PLACES)
        db.session.remove()
        db.engine.dispose()  # SQLite's journal is in the file then
        claim(world)
        db.session.remove()
    return world


def fill(count: int) -> None:
    kind = db.engine.dialect.name
    if kind == "sqlite":
        text = {"id": "printf('01%024d', n)", "no": "0"}
        number = NUMBER.format(shared="printf('%03d', n / 2 % :shared)", own="printf('%08d', 20000000 + n)")
    else:
        text = {"id": "'01' || lpad(n::text, 24, '0')", "no": "false"}
        number = NUMBER.format(shared="lpad((n / 2 % :shared)::text, 3, '0')", own="(20000000 + n)::text")
    insert = sa.text(WAITING.format(series=SERIES[kind], number=number, **text))
    values = {"count": count, "lines": COMPANIES * LINES, "each": LINES, "shared": SHARED, "due": utc_now()}
    indexes = sorted(Fax.__table__.indexes, key=lambda index: str(index.name))
    there = {found["name"] for found in sa.inspect(db.engine).get_indexes("fax")}
    with db.engine.begin() as connection:  # made anew afterwards: that is faster
        for index in indexes:
            if index.name in there:
                index.drop(connection)
        connection.execute(insert.bindparams(sa.bindparam("due", type_=Fax.__table__.c.due_at.type)), values)
        for index in indexes:
            if index.name in there:
                index.create(connection)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if kind == "sqlite" else "VACUUM ANALYZE fax")


def claim(world: World) -> None:
    limits = Limits(line=PLACES, outgoing=PLACES)
    attempts = claim_due(db.session, now=utc_now(), limits=limits, node="bench")
    world.open_calls += [attempt.channel_id for attempt in attempts]
    mark_placed(db.session, [attempt.id for attempt in attempts], utc_now())


def one_round(world: World) -> None:
    with world.app.app_context():
        ended = world.open_calls.pop(random.randrange(len(world.open_calls)))
        began = time.perf_counter()
        record_result(db.session, ended, CallFacts("success", pages=1, response="SIP 200 OK"))
        claim(world)
        world.taken.append(time.perf_counter() - began)
        assert len(world.open_calls) == PLACES, "a place stays free"
        is_open = sa.select(Attempt.called).where(Attempt.ended_at.is_(None))
        called = db.session.scalars(is_open).all()
        assert len(called) == len(set(called)), "two calls to one number"
        db.session.remove()


def measured(urls: dict[int, str], folder: Path, rounds: int) -> list[World]:
    worlds = [make_world(url, folder / "home", waiting) for waiting, url in urls.items()]
    for _ in range(rounds):
        for world in worlds:
            one_round(world)
    return worlds


def told(name: str, worlds: list[World]) -> float:
    medians = [statistics.median(world.taken) * 1000 for world in worlds]
    for world, median in zip(worlds, medians, strict=True):
        print(f"{name:<12} {world.waiting:>9} waiting: median {median:7.1f} ms a hang-up, "
              f"slowest {max(world.taken) * 1000:7.1f} ms, {median / medians[0]:5.2f} times", flush=True)  # fmt: skip
    return medians[-1] / medians[0]


def make_database(url: str, name: str) -> str:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return url.rsplit("/", 1)[0] + f"/{name}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, nargs="+", default=[100, 20_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", choices=SERIES)
    choice = parser.parse_args()
    logging.disable(logging.WARNING)  # there is no Redis
    folder = Path(tempfile.mkdtemp(prefix="faxroom-dispatching-"))
    folder.chmod(0o711)
    ratios = []
    try:
        if choice.only != "postgresql":
            urls = {waiting: f"sqlite:///{folder}/{waiting}.sqlite3" for waiting in choice.waiting}
            ratios.append(told("SQLite", measured(urls, folder, choice.rounds)))
        if choice.only != "sqlite":
            with _postgres(folder, Progress()) as url:
                urls = {waiting: make_database(url, f"waiting_{waiting}") for waiting in choice.waiting}
                worlds = measured(urls, folder, choice.rounds)
                ratios.append(told("PostgreSQL", worlds))
                for world in worlds:
                    with world.app.app_context():
                        db.engine.dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(max(ratios) > MOST)


if __name__ == "__main__":
    sys.exit(main())
