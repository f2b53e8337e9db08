"""How long the fax module's page and its search take at a thousand rows and at a million, on PostgreSQL.

    .tools/venv/bin/python bench/fax_module.py [--rows 1000000] [--rounds 40]

Starts a PostgreSQL of its own and fills two databases with the same mix of faxes, both in memory before they are asked
(shared_buffers of 3 GB, as for a server of 12 GB). The real application answers, asked by Flask's test client: what is
timed is everything between request and answer but the network. The two databases are asked in turn, so that a busy
machine is busy for both.

A link brings a whole page, the form of the search the list alone, as htmx asks for it. A browser without JavaScript
gets whole pages of both: the line after all is of the same requests asked so. Then the page and the searches, each
alone.

Of a search, a thousand faxes often hold only a few, and a row that is not found is not drawn either. The last lines are
of the answers that fill a page: the same work at both sizes, apart from finding.
"""

import argparse
import gc
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bin/lib")]

import psycopg  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from flask import Flask  # noqa: E402
from flask.testing import FlaskClient  # noqa: E402
from flask_migrate import upgrade  # noqa: E402
from steps import Progress  # noqa: E402
from testing import _postgres  # noqa: E402
from ulid import ULID  # noqa: E402

from app.config import Settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.rules.log.search import plain_words, written_forms  # noqa: E402
from app.web.faxes.fax_pages import PAGE  # noqa: E402
from tenants.db import db  # noqa: E402
from tenants.models import Role, Tenant  # noqa: E402
from tests.web.cast import Browser, make_entity, make_tenant, make_user  # noqa: E402

DAYS = 1_100
#: What links lead to. The other kinds are asked by the form, for the list alone.
LINKED = ("first page", "deep page", "newer than a deep page")
BY_FORM = {"HX-Request": "true", "HX-Target": "list"}
#: What each fax of a list has in the page.
ROW = b'id="fax-'
#: Lines from which the user sends; of the last one the permission was taken away.
OWN_LINES = (4, 11, 19, 7)
NOW = datetime.now(UTC)
SYLLABLES = (
    "ba be bi bo ca co da de di do fa fe fi ga go la le li lo ma me mi mo na ne ni no pa pe po ra re ri ro sa se so ta "
    "te ti to va ve vi vo za zo"
).split()
STATUSES = {
    "sent": [("sent", None, 900), ("failed", "busy", 25), ("failed", "no_answer", 20), ("failed", "far_end_no_fax", 5),
             ("failed", "unallocated", 3), ("failed", "rejected", 1), ("cancelled", "cancelled", 15),
             ("unknown", "unknown", 0.2), ("scheduled", None, 0.05)],
    "received": [("received", None, 970), ("incomplete", "dropped", 25), ("incomplete", "protocol_error", 5)],
}  # fmt: skip
FAX_COLUMNS = (
    "id number direction status entity_id user_id submission_key origin remote_number dial_string remote_station_id "
    "pages pages_done cause created_at finished_at due_at done_at search_text source_id pdf_id tenant_id"
).split()


@dataclass
class World:
    """One database: who is in it and what may be looked for. The big company has nine in ten of all faxes."""

    app: Flask
    rows: int
    tenants: list[Tenant]
    entities: dict[int, list[tuple[int, str]]]
    users: dict[int, list[tuple[int, str]]]
    clients: dict[str, FlaskClient]


def word(rng: random.Random) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4))).capitalize()


def zipf(rng: random.Random, count: int) -> Callable[[], int]:
    """An index below ``count``, the first ones by far the most often."""
    weights = [1 / (n + 3) for n in range(count)]
    picks = iter(rng.choices(range(count), weights, k=4_000_000 // 8))

    def pick() -> int:
        nonlocal picks
        try:
            return next(picks)
        except StopIteration:
            picks = iter(rng.choices(range(count), weights, k=500_000))
            return next(picks)

    return pick


# ---- Filling


def make_database(url: str, name: str) -> None:
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    for _ in range(50):
        try:
            with server.connect() as connection:
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
                return
        except sa.exc.OperationalError:  # it takes connections before it takes questions
            time.sleep(0.1)


def make_world(url: str, home: Path, rows: int) -> World:
    settings = Settings.from_environment(
        {"FAXROOM_HOME": str(home), "SECRET_KEY": "a bench", "DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0"}
    )
    app = create_app(settings, TESTING=True, RATELIMIT_STORAGE_URI="memory://", PROPAGATE_EXCEPTIONS=True)
    gc.freeze()  # as wsgi.py does
    with app.app_context():
        upgrade(directory=str(ROOT / "migrations"))
        world = World(app, rows, [], {}, {}, {})
        for n in range(10):
            make_company(world, n)
        db.session.commit()
        fill(world, url)
        db.session.remove()
    sign_in(world)
    return world


def sign_in(world: World) -> None:
    for name in ("admin", "user"):
        browser = Browser(world.app)
        assert browser.sign_in(f"{name}@company0.test").status_code == 303
        world.clients[name] = browser.client


def make_company(world: World, n: int) -> None:
    tenant = make_tenant(f"company{n}", f"Company {n}", f"SERIAL{n}")
    admin = make_user(f"admin@company{n}.test", "Administrator", tenant, Role.ADMIN)
    user = make_user(f"user@company{n}.test", "Anna Quaranta", tenant, Role.USER)
    rng = random.Random(n)
    people = [make_user(f"p{p}@company{n}.test", f"{word(rng)} {word(rng)}", tenant, Role.USER) for p in range(40)]
    world.tenants.append(tenant)
    world.users[tenant.id] = [(person.id, person.name) for person in [admin, user, *people]]
    names = [f"{word(rng)} {e}" for e in range(20)]
    lines = [
        make_entity(tenant, name, str(500 + e), None, senders=[admin, user] if e in OWN_LINES[:3] else [admin])
        for e, name in enumerate(names)
    ]
    for line in lines:
        for grant in line.grants:
            grant.may_receive = True
    world.entities[tenant.id] = [(line.id, line.name) for line in lines]


def fill(world: World, url: str) -> None:
    begin = time.monotonic()
    rng = random.Random(7)
    with psycopg.connect(url.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
        (search,) = connection.execute("SELECT pg_get_indexdef('ix_fax_search'::regclass)").fetchone()
        connection.execute("DROP INDEX ix_fax_search")
        documents, faxes = [], []
        for document, fax in made_rows(world, rng):
            documents.append(document)
            faxes.append(fax)
            if len(faxes) == 20_000:
                copy_in(cursor, documents, faxes)
                documents, faxes = [], []
        copy_in(cursor, documents, faxes)
        cursor.execute(
            "INSERT INTO attempt (fax_id, entity_id, n, channel_id, node, first_page, created_at, placed_at, ended_at, "
            "outcome, pages_confirmed, mode, tenant_id) SELECT id, entity_id, 1, id, 'a', 1, created_at, created_at, "
            "created_at, coalesce(cause, 'success'), pages_done, 'T38', tenant_id FROM fax WHERE status <> 'scheduled'"
        )
        cursor.execute(
            'INSERT INTO unread (user_id, fax_id, tenant_id) SELECT "grant".user_id, fax.id, fax.tenant_id FROM fax '
            'JOIN "grant" ON "grant".entity_id = fax.entity_id AND may_receive '
            "WHERE direction = 'received' AND done_at IS NULL"
        )
        cursor.execute(search)
        cursor.execute(
            "UPDATE tenant SET last_fax_number = (SELECT coalesce(max(number), 0) FROM fax WHERE tenant_id = tenant.id)"
        )
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")  # or it would be written to the disk while questions are asked
        connection.execute("CREATE EXTENSION pg_prewarm")
        connection.execute(
            "SELECT sum(pg_prewarm(oid)) FROM pg_class "
            "WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace"
        )
        size, index = connection.execute("SELECT pg_table_size('fax'), pg_relation_size('ix_fax_search')").fetchone()
    print(f"filled {world.rows:,} rows in {time.monotonic() - begin:.0f} s", end="; ")
    print(f"fax {size >> 20} MB, ix_fax_search {index >> 20} MB", flush=True)


def copy_in(cursor: psycopg.Cursor, documents: list[tuple], faxes: list[tuple]) -> None:
    columns = "id, kind, name, type, storage_key, sha256, size, pages, created_at, tenant_id"
    with cursor.copy(f"COPY document ({columns}) FROM STDIN") as copy:
        for row in documents:
            copy.write_row(row)
    with cursor.copy(f"COPY fax ({', '.join(FAX_COLUMNS)}) FROM STDIN") as copy:
        for row in faxes:
            copy.write_row(row)


def made_rows(world: World, rng: random.Random) -> Iterator[tuple[tuple, tuple]]:
    """(document, fax) from the oldest to the newest. ``Referto`` is in many names, ``Quagliarella`` in a few."""
    vocabulary = ["Referto", "Fattura", "Contratto", *(word(rng) for _ in range(5_000))]
    pick_word = zipf(rng, len(vocabulary))
    pick_line = zipf(rng, min(map(len, world.entities.values())))
    numbers = [f"+3905{rng.randint(0, 99):02}{rng.randint(100000, 999999)}" for _ in range(20_000)]
    numbers += [f"+4930{rng.randint(10000000, 99999999)}" for _ in range(2_000)]
    pick_number = zipf(rng, len(numbers))
    forms = [" ".join(written_forms(number, world.tenants[0])) for number in numbers]
    folded = {name: " ".join(plain_words(name)) for name in vocabulary}
    counters: dict[int, int] = defaultdict(int)
    companies = [tenant.id for tenant in world.tenants]
    every = max(1, world.rows // 12)
    for n in range(world.rows):
        company = companies[0] if rng.random() < 0.9 else rng.choice(companies[1:])
        counters[company] += 1
        at = NOW - timedelta(days=DAYS) * (1 - (n + 1) / (world.rows + 1))
        fax_id = str(ULID.from_datetime(at))
        direction = "sent" if rng.random() < 0.5 else "received"
        choices = STATUSES[direction]
        status, cause, _weight = rng.choices(choices, [weight for *_, weight in choices])[0]
        line = pick_line()
        entity_id, entity = world.entities[company][line]
        which = pick_number()
        source_id = user_id = None
        kind, name = "pdf", f"fax-{n}.pdf"
        words = [forms[which]]
        if direction == "sent":
            source_id = fax_id
            user_id, sender = rng.choice(world.users[company][0 if line in OWN_LINES else 2 :])
            stem = [vocabulary[pick_word()], vocabulary[pick_word()]] + (["Quagliarella"] if n % every == 1 else [])
            kind, name = "source", f"{'_'.join(stem)}-{n % 9973}.pdf"
            words += [folded.get(part, part.lower()) for part in stem]
            words += [str(n % 9973), "pdf", " ".join(plain_words(sender))]
        station = None if rng.random() < 0.3 else f"FAX {vocabulary[which % len(vocabulary)]}"
        words += [" ".join(plain_words(entity)), *plain_words(station)]
        pages = rng.randint(1, 6)
        yield (
            (fax_id, kind, name, "pdf", fax_id, "0" * 64, 30_000, 2, at, company),
            (
                *(fax_id, counters[company], direction, status, entity_id, user_id, fax_id if user_id else None, "web"),
                *(
                    numbers[which],
                    numbers[which],
                    station,
                    pages,
                    pages if status in ("sent", "received") else 0,
                    cause,
                ),
                *(at, at + timedelta(seconds=70), NOW + timedelta(days=1) if status == "scheduled" else None),
                at if direction == "received" and at < NOW - timedelta(days=7) else None,
                *(f" {' '.join(words)} ", source_id, fax_id, company),
            ),
        )


# ---- Asking


def kinds(world: World, rng: random.Random) -> dict[str, Callable[[], dict[str, object]]]:
    """Name → the parameters of one request of that kind."""
    with world.app.app_context(), db.engine.connect() as connection:
        ids = connection.scalars(
            sa.text("SELECT id FROM fax WHERE tenant_id = :t ORDER BY id"), {"t": world.tenants[0].id}
        ).all()
        numbers = connection.scalars(sa.text("SELECT remote_number FROM fax ORDER BY md5(id) LIMIT 500")).all()
        names = connection.scalars(
            sa.text("SELECT name FROM document WHERE kind = 'source' ORDER BY md5(id) LIMIT 500")
        ).all()
    company = world.tenants[0].id
    lines = [entity_id for entity_id, _ in world.entities[company]]
    own = [lines[line] for line in OWN_LINES[:3]]
    older = ids[: len(ids) * 3 // 4]

    def either(**asked: object) -> dict[str, object]:
        return {"direction": rng.choice(("sent", "received")), **asked}

    def sent(**asked: object) -> dict[str, object]:
        return {"direction": "sent", **asked}

    def any_of(*texts: str) -> str:
        return rng.choice(texts)

    def name() -> list[str]:
        return rng.choice(names).rsplit("-", 1)[0].split("_")

    def days(length: int) -> dict[str, object]:
        first = NOW - timedelta(days=rng.randint(60, DAYS - 30))
        return {"since": first.date(), "until": (first + timedelta(days=length)).date()}

    return {
        "first page": lambda: either(),
        "deep page": lambda: either(before=rng.choice(older)),
        "newer than a deep page": lambda: either(after=rng.choice(older)),
        "a line": lambda: either(entity=rng.choice(own)),
        "a frequent status": lambda: sent(status=any_of("sent", "failed", "cancelled")),
        "a rare status": lambda: sent(status=any_of("unknown", "open")),
        "a line and a status": lambda: sent(status="failed", entity=rng.choice(own)),
        "a month": lambda: either(**days(30)),
        "until a day": lambda: either(until=days(0)["until"]),
        "text: often": lambda: sent(q=any_of("referto", "fattura", "contr", "pdf", "fax")),
        "text: a name of a document": lambda: sent(q=" ".join(name())),
        "text: a word of a document": lambda: sent(q=name()[0]),
        "text: rarely": lambda: sent(q=any_of("quagliarella", "QUAGLIA", "gliarell")),
        "text: never": lambda: either(q=any_of("xylophon", "wunderbar", "zzzz", "qqq rrr")),
        "text: a sender": lambda: sent(q=rng.choice(world.users[company])[1]),
        "text: a number": lambda: either(q=rng.choice(numbers)),
        "text: a number as typed": lambda: either(q=grouped(rng.choice(numbers))),
        "text: a part of a number": lambda: either(q=rng.choice(numbers)[rng.randint(4, 6) :][:5]),
        "text: a number that nobody has": lambda: either(q=f"+3906{rng.randint(10**6, 10**7)}"),
        "text: words of a status": lambda: sent(q=any_of("busy", "no answer", "not sent", "cancelled")),
        "text: words of a rare status": lambda: sent(q=any_of("outcome unknown", "refused", "scheduled")),
        "text: a name and a status": lambda: sent(q=f"{name()[0]} busy"),
        "text, line, status and dates": lambda: sent(q="referto", status="failed", entity=own[0], **days(30)),
    }


def grouped(number: str) -> str:
    return f"0{number[4:6]} {number[6:9]} {number[9:]}" if number.startswith("+39") else number


#: Milliseconds, and whether the answer fills a page.
Taken = tuple[float, bool]
#: What was taken at a thousand rows and at a million.
Places = tuple[list[Taken], list[Taken]]


def ask(client: FlaskClient, path: str, headers: dict[str, str] | None = None) -> Taken:
    begin = time.perf_counter()
    answer = client.get(path, headers=headers)
    taken = time.perf_counter() - begin
    assert answer.status_code == 200, path
    return taken * 1000, answer.data.count(ROW) == PAGE


class Times(defaultdict[tuple[str, str], list[list[Taken]]]):
    """(kind, who) → what was taken at a thousand rows and at a million."""

    def __init__(self) -> None:
        super().__init__(lambda: [[], []])

    def all(self) -> Places:
        return self.of(lambda _kind: True)

    def of(self, wanted: Callable[[str], bool]) -> Places:
        small, large = ([one for (kind, _who), pair in self.items() if wanted(kind) for one in pair[n]] for n in (0, 1))
        return small, large


def measure(small: World, large: World, rounds: int) -> tuple[Times, Times]:
    """As a browser asks, and as one without JavaScript does: each asks other questions, for of the same one the second
    answer would be in the processor's caches."""
    scripted, plain = Times(), Times()
    asked = [kinds(world, random.Random(11)) for world in (small, large)]
    for n in range(-3, rounds):
        for who in ("admin", "user"):
            for kind in asked[0]:
                for times, headers in ((scripted, None if kind in LINKED else BY_FORM), (plain, None)):
                    for place, world in enumerate((small, large)):
                        path = f"/faxes?{urlencode(asked[place][kind]())}"
                        taken = ask(world.clients[who], path, headers)
                        if n >= 0:
                            times[kind, who][place].append(taken)
    return scripted, plain


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[94]


def report(scripted: Times, plain: Times, rows: int) -> None:
    print(f"\nserver time in ms                    1,000 rows       {rows:>9,} rows")
    print("                                     p50     p95      p50     p95    p95 ratio")
    for who in ("admin", "user"):
        print(f"{who}")
        for (kind, asker), (small, large) in scripted.items():
            if asker == who:
                show(kind, small, large)
    searches = scripted.of(lambda kind: kind not in LINKED)
    print("together")
    show("ALL", *scripted.all())
    show("ALL without JavaScript", *plain.all())
    show("the page", *scripted.of(lambda kind: kind in LINKED))
    show("searches", *searches)
    print("of them the answers that fill a page")
    show("ALL", *full(scripted.all()))
    show("ALL without JavaScript", *full(plain.all()))
    show("searches", *full(searches))


def full(places: Places) -> Places:
    small, large = ([taken for taken in place if taken[1]] for place in places)
    return small, large


def show(name: str, small: list[Taken], large: list[Taken]) -> None:
    times = [[taken for taken, _full in place] for place in (small, large)]
    pairs = [(statistics.median(values), p95(values)) for values in times]
    figures = "   ".join(f"{median:6.1f}  {high:6.1f}" for median, high in pairs)
    print(f"  {name:<32} {figures}   {pairs[1][1] / pairs[0][1]:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    choice = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fx-bench-"))
    folder.chmod(0o711)
    with _postgres(folder, Progress(), shared_buffers="3GB") as url:
        worlds = []
        for name, rows in (("small", 1_000), ("large", choice.rows)):
            make_database(url, name)
            worlds.append(make_world(url.rsplit("/", 1)[0] + f"/{name}", folder, rows))
        report(*measure(*worlds, choice.rounds), choice.rows)
        for world in worlds:
            with world.app.app_context():
                db.engine.dispose()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
