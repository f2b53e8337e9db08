"""The audit log is chained: nothing of it is changed, taken away or put in unseen, whoever writes at once."""

import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskCliRunner

from app.config import Settings
from app.factory import create_app
from app.models import AuditChain, AuditEvent, AuditLink
from app.rules.audit.audit_chain import BEGINNING, digest_after, verify_chains
from app.rules.audit.auditing import audit
from app.rules.operator.erasing import finish_erasing, remove_rows
from tenants.db import db, utc_now
from tenants.models import Tenant, User
from tests.db.forked import FORKED
from tests.web.cast import Cast


def enter(tenant_id: int | None, *targets: str) -> None:
    for target in targets:
        audit(db.session, user=None, tenant_id=tenant_id, action="entity.changed", target=target, after={"è": "ù"})
    db.session.commit()


def faults() -> dict[str | None, str | None]:
    return {verdict.slug: verdict.fault for verdict in verify_chains(db.session)}


def by_force(statement: str, table: str = "audit_event") -> None:
    """As somebody would who has the database and knows of its triggers."""
    with db.engine.begin() as connection:
        if db.engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            connection.execute(sa.text(statement))
            connection.execute(sa.text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
            return
        triggers = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
        for name, _sql in triggers:
            connection.execute(sa.text(f"DROP TRIGGER {name}"))
        connection.execute(sa.text(statement))
        for _name, sql in triggers:
            connection.exec_driver_sql(sql)


def test_each_entry_has_its_place_in_the_chain_of_its_company(session, cast: Cast) -> None:
    enter(cast.alpha, "one", "two")
    enter(cast.beta, "theirs")
    enter(None, "the installation's")
    enter(cast.alpha, "three")
    rows = session.execute(sa.select(AuditLink.chain, AuditLink.n).order_by(AuditLink.chain, AuditLink.n)).all()
    assert rows == [(0, 1), (cast.alpha, 1), (cast.alpha, 2), (cast.alpha, 3), (cast.beta, 1)]
    assert faults() == {None: None, "alpha": None, "beta": None}


def test_a_digest_is_that_of_the_one_before_and_of_the_entry(session, cast: Cast) -> None:
    enter(cast.alpha, "one", "two")
    events = session.execute(sa.select(AuditEvent.__table__).order_by(AuditEvent.id)).mappings().all()
    links = session.scalars(sa.select(AuditLink).order_by(AuditLink.n)).all()
    assert links[0].digest == digest_after(BEGINNING, events[0])
    assert links[1].digest == digest_after(links[0].digest, events[1])
    assert session.get_one(AuditChain, cast.alpha).digest == links[1].digest


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit_event SET target = 'forged' WHERE target = 'two'", "entry 2 .* is not what was entered"),
        ("UPDATE audit_event SET user_id = 1 WHERE target = 'two'", "entry 2 .* is not what was entered"),
        ("UPDATE audit_event SET remote_address = '::1' WHERE target = 'one'", "entry 1 .* is not what was entered"),
        ("UPDATE audit_link SET digest = 'x' WHERE n = 2", "entry 2 .* is not what was entered"),
        ("DELETE FROM audit_link WHERE n = 2", "entry 2 is missing"),
        ("DELETE FROM audit_link WHERE n = 3", "it ends with entry 2, and had 3"),
    ],
)
def test_whatever_is_changed_by_force_shows(session, cast: Cast, statement: str, fault: str) -> None:
    enter(cast.alpha, "one", "two", "three")
    session.rollback()
    by_force(statement, "audit_link" if "audit_link" in statement else "audit_event")
    assert re.fullmatch(fault, faults()["alpha"])


def test_an_entry_beside_the_chain_shows(session, cast: Cast) -> None:
    enter(cast.alpha, "one")
    session.execute(
        sa.insert(AuditEvent).values(tenant_id=cast.alpha, action="user.changed", target="by hand", at=utc_now())
    )
    session.commit()
    assert "is beside the chain" in faults()["alpha"]


def test_what_is_rolled_back_leaves_no_link(session, cast: Cast) -> None:
    enter(cast.alpha, "one")
    audit(session, user=None, tenant_id=cast.alpha, action="entity.changed", target="not done")
    session.flush()
    session.rollback()
    with pytest.raises(ValueError, match="within"), session.begin_nested():
        audit(session, user=None, tenant_id=cast.alpha, action="entity.changed", target="not done either")
        session.flush()
        raise ValueError("within")
    enter(cast.alpha, "two")
    assert session.scalars(sa.select(AuditEvent.target).order_by(AuditEvent.id)).all() == ["one", "two"]
    assert faults() == {"alpha": None}


def test_the_links_too_are_never_changed_nor_removed(session, cast: Cast) -> None:
    enter(cast.alpha, "kept")
    for statement in (sa.update(AuditLink).values(digest="x"), sa.delete(AuditLink)):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            session.execute(statement)
        session.rollback()


def _write(environment: dict[str, str], tenant_ids: list[int], name: str) -> None:
    """Another process: what it enters in two companies at once, one first or the other."""
    app = create_app(Settings.from_environment(environment))
    with app.app_context():
        for n in range(25):
            for tenant_id in tenant_ids:
                audit(db.session, user=None, tenant_id=tenant_id, action="entity.changed", target=f"{name} {n}")
                db.session.flush()
            db.session.commit()
        db.engine.dispose()


def test_who_enters_something_at_the_same_time_comes_before_or_after(app: Flask, cast: Cast) -> None:
    settings = app.config["SETTINGS"]
    environment = {"FAXROOM_HOME": str(settings.home), "SECRET_KEY": "x", "DATABASE_URL": settings.database_url}
    pairs = [[cast.alpha, cast.beta], [cast.beta, cast.alpha]] * 2
    writers = [
        FORKED.Process(target=_write, args=(environment, pair, f"writer {place}")) for place, pair in enumerate(pairs)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 4
    with app.app_context():
        assert faults() == {"alpha": None, "beta": None}
        assert {verdict.length for verdict in verify_chains(db.session)} == {100}


def test_a_company_that_goes_leaves_the_end_of_its_chain_and_breaks_no_other(session, cast: Cast) -> None:
    enter(cast.alpha, "one", "two")
    enter(cast.beta, "theirs")
    ended = session.get_one(AuditChain, cast.alpha).digest
    session.execute(sa.update(User).where(User.tenant_id == cast.alpha).values(disabled_at=utc_now()))
    session.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(deleting_at=utc_now()))
    session.commit()
    assert faults() == {"beta": None}, "while it goes, nothing is said of it"
    for _removed in remove_rows(session, cast.alpha, remove_file=lambda key: None):
        pass
    assert finish_erasing(session, cast.alpha)
    event = session.scalar(sa.select(AuditEvent).where(AuditEvent.action == "tenant.deleted"))
    assert event.before == {"entries": 2, "digest": ended}
    assert faults() == {None: None, "beta": None}


# ---- The command


@pytest.fixture
def command(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


def test_the_command_says_of_each_chain_whether_it_holds(app: Flask, cast: Cast, command: FlaskCliRunner) -> None:
    with app.app_context():
        enter(cast.alpha, "one")
    told = command.invoke(args=["audit", "verify"])
    assert told.exit_code == 0, told.output
    assert re.search(r"alpha +ok +1 entries, [0-9a-f]{64}", told.output)
    with app.app_context():
        by_force("UPDATE audit_event SET target = 'forged'")
    told = command.invoke(args=["audit", "verify"])
    assert told.exit_code == 1
    assert re.search(r"alpha +FAULT entry 1 .* is not what was entered", told.output)


def test_a_chain_that_was_made_anew_shows_against_what_went_out(
    app: Flask, cast: Cast, command: FlaskCliRunner, tmp_path: Path
) -> None:
    went = tmp_path / "audit.jsonl"
    with app.app_context():
        enter(cast.alpha, "one")
        digest = db.session.scalar(sa.select(AuditLink.digest))
    lines = [{"chain": cast.alpha, "n": 1, "digest": digest, "company": "alpha"}]
    went.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert command.invoke(args=["audit", "verify", "--against", str(went)]).exit_code == 0
    lines += [{**lines[0], "digest": "f" * 64}, {**lines[0], "n": 2}]
    went.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = command.invoke(args=["audit", "verify", "--against", str(went)])
    assert told.exit_code == 1
    assert "entry 1 went out as something else" in told.output
    assert "entry 2 went out and is not here" in told.output
