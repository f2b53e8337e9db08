"""How long each page of the administration takes with 500 users, 50 fax entities and a million faxes, on PostgreSQL.

    .tools/venv/bin/python bench/administration.py [--faxes 1000000] [--rounds 40]

Starts a PostgreSQL of its own and fills a company of that size, two small ones beside it, an audit log of 200,000 acts
and the figures of three years. The pages are found, not listed: every GET route that only administrators or operators
may use, each with the searches and filters of QUERIES. The real application answers, asked by Flask's test client:
what is timed is everything between request and answer but the network. Files that are streamed are for
bench/downloads.py.
"""

import argparse
import gc
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bin/lib")]

import psycopg  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from fax_module import NOW, World, fill, make_database, word  # noqa: E402
from flask import Flask  # noqa: E402
from flask_migrate import upgrade  # noqa: E402
from steps import Progress  # noqa: E402
from testing import _postgres  # noqa: E402

from app.config import Settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.models import ArchivePlace, FaxEntity, FaxTemplate, Grant, Mail2FaxBox, MailMessage  # noqa: E402
from app.rules.figures.figures import count_days  # noqa: E402
from app.web.site.administration import administrators_only  # noqa: E402
from tenants.addresses import claim_address  # noqa: E402
from tenants.db import db, utc_now  # noqa: E402
from tenants.models import PgpPublicKey, Role, Tenant, User  # noqa: E402
from tests.web.cast import Browser, make_entity, make_tenant, make_user  # noqa: E402
from tests.web.saving import save  # noqa: E402

BOUND = 150
USERS, ENTITIES = 500, 50
WARM_UP = 3
#: Who may receive at a line; one line is everybody's to send from.
RECEIVERS = 20
ACTS = 200_000
MAILS = 20_000
#: Lines of which an edit is saved and not applied.
SAVED = 20
#: They ask other programs, or travel as files.
LEFT_OUT = re.compile(r"/operator/parts$|\.(csv|zip)$|/download$")
OPERATOR = "operator"

Ask = Callable[[], str]


@dataclass
class Company:
    """The large one, and ids of what its pages are about."""

    app: Flask
    tenant_id: int
    ids: dict[str, list[Any]]
    browsers: dict[str, Browser]

    def any(self, name: str) -> Any:
        return RNG.choice(self.ids[name])


RNG = random.Random(5)
#: Argument of a route → whose id it is.
ARGUMENTS: dict[str, Any] = {
    "user_id": User,
    "entity_id": FaxEntity,
    "template_id": FaxTemplate,
    "box_id": Mail2FaxBox,
    "place_id": ArchivePlace,
    "message_id": MailMessage,
}
DAY = {"since": (NOW - timedelta(days=40)).date(), "until": (NOW - timedelta(days=30)).date()}
#: Endpoint → what is asked of it beside the bare page. ``{…}`` is an id of the company.
QUERIES: dict[str, list[str]] = {
    "users.users": ["q=an", "q=p17", "q=nobody+at+all", "role=admin", "status=invited", "page=7"],
    "audit.log": ["person={user_id}", "action=user.", f"since={DAY['since']}&until={DAY['until']}", "action=fax."],
    "figures.figures": ["period=7", "period=90", "period=12m", "period=12m&entity={entity_id}", "period=12m&all=1"],
    "operator.figures": ["period=7", "period=12m", "period=12m&tenant={tenant_id}"],
    "entities.users": ["q=an", "page=9", "show=some"],
}


# ---- Filling


def make_world(url: str, home: Path, rows: int) -> World:
    settings = Settings.from_environment(
        {"FAXROOM_HOME": str(home), "SECRET_KEY": "a bench", "DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0"}
    )
    app = create_app(settings, TESTING=True, RATELIMIT_STORAGE_URI="memory://", PROPAGATE_EXCEPTIONS=True)
    with app.app_context():
        upgrade(directory=str(ROOT / "migrations"))
        world = World(app, rows, [], {}, {}, {})
        for n, users in enumerate((USERS, 40, 40)):
            make_company(world, n, users)
        make_user("operator@faxroom.test", "Olga", None, Role.OPERATOR)
        db.session.commit()
        fill(world, url)
        fill_administration(world, url)
        db.session.remove()
    return world


def make_company(world: World, n: int, users: int) -> None:
    tenant, rng = make_tenant(f"company{n}", f"Company {n}", f"SERIAL{n}"), random.Random(n)
    tenant.fax_channels = ENTITIES + 10
    names = [f"{word(rng)} {word(rng)}" for _ in range(users - 1)]
    people = [make_user(f"admin@company{n}.test", "Administrator", tenant, Role.ADMIN)]
    people += [make_user(f"p{p}@company{n}.test", name, tenant, Role.USER) for p, name in enumerate(names)]
    for person in people[-users // 20 :]:
        person.password_hash = None  # invited
    lines = [
        make_entity(tenant, f"{word(rng)} {e}", str(500 + e), f"+39050{tenant.id}{77000 + e}", senders=[])
        for e in range(ENTITIES)
    ]
    for place, line in enumerate(lines):
        senders = people if place == 0 else rng.sample(people, users // 5)
        receivers = {person.id for person in rng.sample(senders, min(RECEIVERS, len(senders)))}
        grants = [{"user_id": one.id, "may_send": True, "may_receive": one.id in receivers} for one in senders]
        grants = [grant | {"tenant_id": tenant.id, "entity_id": line.id} for grant in grants]
        db.session.execute(sa.insert(Grant), grants)
    world.tenants.append(tenant)
    world.users[tenant.id] = [(person.id, person.name) for person in people]
    world.entities[tenant.id] = [(line.id, line.name) for line in lines]


def fill_administration(world: World, url: str) -> None:
    """What is not a fax: boxes, archives and what waits for them, keys, the audit log, the figures."""
    begin = time.monotonic()
    tenant_id, (user_id, _name) = world.tenants[0].id, world.users[world.tenants[0].id][0]
    for n in range(10):
        box = Mail2FaxBox(tenant_id=tenant_id, name=f"Box {n}", address=claim_address(db.session, f"box{n}@c.test"))
        box.imap, box.username, box.password = "imaps://imap.example.org:993/INBOX", "fax", "secret"
        db.session.add(box)
    for n in range(3):
        db.session.add(ArchivePlace(tenant_id=tenant_id, name=f"Place {n}", kind="folder", folder=f"p{n}", position=n))
    for key_of, _name in world.users[tenant_id][:100]:
        values = {"armored": "…", "fingerprint": f"{key_of:040}", "user_ids": ["A <a@example.org>"]}
        db.session.add(PgpPublicKey(tenant_id=tenant_id, user_id=key_of, validity="valid", **values))
    db.session.commit()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        fill_tables(connection, tenant_id, user_id)
    days = count_days(db.session, utc_now())
    db.session.commit()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    print(f"audit log, archives and the figures of {days:,} days in {time.monotonic() - begin:.0f} s", flush=True)


def fill_tables(connection: psycopg.Connection, tenant_id: int, user_id: int) -> None:
    connection.execute("UPDATE attempt SET answered_at = ended_at - interval '40 seconds'")
    connection.execute(
        "INSERT INTO audit_event (tenant_id, user_id, action, target, before, after, remote_address, at) "
        "SELECT %(tenant)s, %(user)s + (n %% 400), "
        "(ARRAY['user.changed', 'entity.changed', 'settings.limits_changed', 'log.downloaded', 'user.invited'])"
        "[1 + n %% 5], 'thing ' || n, '{\"name\": \"before\"}', '{\"name\": \"after\"}', '192.0.2.7', "
        "now() - n * interval '3 minutes' FROM generate_series(1, %(acts)s) AS n",
        {"tenant": tenant_id, "user": user_id, "acts": ACTS},
    )
    connection.execute(
        "INSERT INTO mail_message (tenant_id, box_id, uid_validity, uid, message_id, digest, size, sender, subject, "
        "fate, reason, user_id, answered, created_at) SELECT %(tenant)s, (SELECT min(id) FROM mail2fax_box), 1, n, "
        "'<' || n || '@example.org>', md5(n::text), 40000, 'p7@company0.test', '0501234567', "
        "(ARRAY['accepted', 'refused', 'repeated'])[1 + n %% 3], CASE n %% 3 WHEN 1 THEN 'mail_sender' END, "
        "%(user)s, true, now() - n * interval '10 minutes' FROM generate_series(1, %(mails)s) AS n",
        {"tenant": tenant_id, "user": user_id, "mails": MAILS},
    )
    connection.execute(
        "INSERT INTO archive_copy (tenant_id, fax_id, place_id, kind, created_at, due_at, tries, done_at) "
        "SELECT fax.tenant_id, fax.id, place.id, fax.direction, fax.created_at, fax.created_at, 1, "
        "CASE WHEN random() < 0.999 THEN fax.created_at END "
        "FROM (SELECT * FROM fax WHERE tenant_id = %(tenant)s ORDER BY created_at DESC LIMIT 100000) AS fax "
        "CROSS JOIN (SELECT id FROM archive_place WHERE tenant_id = %(tenant)s) AS place",
        {"tenant": tenant_id},
    )


# ---- Asking


def save_edits(app: Flask, browser: Browser, entity_ids: list[int]) -> None:
    """What the pages of entities, numbering plan and saved changes have to show beside what holds."""
    for entity_id in entity_ids[:SAVED]:
        answer = save(app, browser, entity_id, name=f"renamed {entity_id}", extension=str(70_000 + entity_id))
        assert answer.status_code == 303, answer.text


def company_of(world: World) -> Company:
    app, tenant_id = world.app, next(iter(world.entities))
    browsers = {}
    for who, email in (("administrator", "admin@company0.test"), (OPERATOR, "operator@faxroom.test")):
        browser = Browser(app)
        assert browser.sign_in(email).status_code == 303
        browsers[who] = browser
    with app.app_context():
        ids = {
            name: list(db.session.scalars(sa.select(model.id).where(model.tenant_id == tenant_id).order_by(model.id)))
            for name, model in ARGUMENTS.items()
        }
        ids["box_id"] = ids["box_id"][:1]  # all mails came to it
        ids["tenant_id"] = list(db.session.scalars(sa.select(Tenant.id).where(Tenant.id == tenant_id)))
        db.session.rollback()
    save_edits(app, browsers["administrator"], ids["entity_id"])
    return Company(app, tenant_id, ids, browsers)


def pages(company: Company) -> tuple[dict[str, tuple[str, Ask]], list[str]]:
    """Name → who asks and the address to ask for; and the routes that are left out."""
    found, left_out = {}, []
    asked_first = company.app.before_request_funcs
    for rule in sorted(company.app.url_map.iter_rules(), key=lambda rule: rule.rule):
        area = rule.endpoint.partition(".")[0]
        for_operator = area == OPERATOR
        if "GET" not in rule.methods or not (for_operator or administrators_only in asked_first.get(area, [])):
            continue
        if LEFT_OUT.search(rule.rule) or not rule.arguments <= company.ids.keys():
            left_out.append(rule.rule)
            continue
        who = OPERATOR if for_operator else "administrator"
        for query in ("", *QUERIES.get(rule.endpoint, [])):
            pattern = re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule) + (f"?{query}" if query else "")
            found[pattern] = (who, address(company, pattern))
    return found, left_out


def address(company: Company, pattern: str) -> Ask:
    return lambda: re.sub(r"\{(\w+)\}", lambda name: str(company.any(name[1])), pattern)


def acts(company: Company) -> dict[str, tuple[str, Callable[[], tuple[str, dict[str, str]]]]]:
    """Forms that are answered with a page, and that change nothing."""
    rows = "\n".join(f"new{n}@company0.test;New {n}" for n in range(500))
    days = {"days_sent": "365", "days_received": "365", "days_reports": "30"}
    return {
        "POST /settings/retention (preview)": ("administrator", lambda: ("/settings/retention", days)),
        "POST /users/import (500 rows checked)": (
            "administrator",
            lambda: ("/users/import", {"text": f"email;name\n{rows}"}),
        ),
        "POST /users/{user_id} (refused)": (
            "administrator",
            lambda: (f"/users/{company.any('user_id')}", {"name": "", "email": "x"}),
        ),
    }


Times = dict[str, list[float]]


def measure(company: Company, rounds: int) -> tuple[Times, Times, list[str]]:
    """Milliseconds of each page and of each act."""
    found, left_out = pages(company)
    forms, token = acts(company), company.browsers["administrator"].token("/profile")
    page_times, act_times = defaultdict(list), defaultdict(list)
    gc.collect()
    gc.freeze()
    for n in range(-WARM_UP, rounds):
        for name, (who, ask) in found.items():
            taken = timed(company.browsers[who], ask(), None)
            if n >= 0:
                page_times[name].append(taken)
        for name, (who, ask) in forms.items():
            path, form = ask()
            taken = timed(company.browsers[who], path, form | {"csrf_token": token})
            if n >= 0:
                act_times[name].append(taken)
    return page_times, act_times, left_out


def timed(browser: Browser, path: str, form: dict[str, str] | None) -> float:
    """Milliseconds; a form is one that is answered with a page."""
    begin = time.perf_counter()
    answer = browser.client.get(path) if form is None else browser.client.post(path, data=form)
    taken = (time.perf_counter() - begin) * 1000
    assert answer.status_code in ({200, 303} if form is None else {200, 422}), f"{path}: {answer.status_code}"
    return taken


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[94]


def report(times: Times, acts: Times, left_out: list[str]) -> bool:
    """Prints each page, the slowest first; True if all keep to the bound."""
    print(f"\n{'server time in ms':<56} {'p50':>7} {'p95':>7} {'worst':>7}")
    for group in (times, acts):
        for name, values in sorted(group.items(), key=lambda item: -p95(item[1])):
            mark = "" if p95(values) <= BOUND else f"  more than {BOUND} ms"
            print(f"  {name:<54} {statistics.median(values):7.1f} {p95(values):7.1f} {max(values):7.1f}{mark}")
        print()
    slow = [name for name, values in times.items() if p95(values) > BOUND]
    together = p95([taken for values in times.values() for taken in values])
    print(f"{len(times)} pages, {sum(map(len, times.values())):,} requests: p95 of all {together:.1f} ms; ", end="")
    print(f"{len(slow)} pages above {BOUND} ms" if slow else f"every page within {BOUND} ms")
    print(f"not asked: {', '.join(left_out)}")
    return not slow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faxes", type=int, default=1_000_000, help="of the large company")
    parser.add_argument("--rounds", type=int, default=40)
    choice = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fx-bench-"))
    folder.chmod(0o711)
    with _postgres(folder, Progress(), shared_buffers="3GB") as url:
        make_database(url, "administration")
        rows = round(choice.faxes / 0.9)  # the large company has nine in ten
        world = make_world(url.rsplit("/", 1)[0] + "/administration", folder, rows)
        kept = report(*measure(company_of(world), choice.rounds))
        with world.app.app_context():
            db.engine.dispose()
    shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    os._exit(0 if kept else 1)


if __name__ == "__main__":
    main()
