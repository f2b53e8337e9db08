"""The migrations lead to what the models say, and back."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from flask import Flask

from app.rules.archives.retention import to_erase
from tenants.db import db

#: What the database allows in columns of text that are checked.
ALLOWED = {"authentication": "none", "source": "imap", "resolution": "fine", "page_size": "A4", "role": "admin"}
#: A fax and what it cannot be without, and its document.
ALONE = ("tenant", "fax_template", "fax_entity", "document", "fax")
FOLDER = str(Path(__file__).parents[3] / "migrations")


def test_every_migration_goes_up_and_down_and_ends_at_the_models(app):
    with app.app_context():
        db.drop_all()
        flask_migrate.upgrade(directory=FOLDER)
        flask_migrate.check(directory=FOLDER)
        for _ in ScriptDirectory(FOLDER).walk_revisions():
            flask_migrate.downgrade(directory=FOLDER)
        left = set(sa.inspect(db.engine).get_table_names())
        assert left == {"alembic_version"}
        flask_migrate.upgrade(directory=FOLDER)
        with db.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))


def test_indexes_and_checks_are_those_of_the_models(app):
    """Alembic compares neither what an index is limited to nor checks; SQLite copies tables, and may lose both."""
    with app.app_context():
        wanted = _indexes(), _checks()
        db.drop_all()
        flask_migrate.upgrade(directory=FOLDER)
        found = _indexes(), _checks()
        db.session.remove()
        with db.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))
    assert found[0] == wanted[0]
    assert found[1] == wanted[1]


def _indexes() -> set[str]:
    inspector = sa.inspect(db.engine)
    tables = [name for name in inspector.get_table_names() if name != "alembic_version"]
    return {
        f"{table}: {index['name']} {index['unique']} {index['column_names']} {index.get('expressions')} "
        f"{index.get('dialect_options', {}).get(db.engine.dialect.name + '_where')}"
        for table in tables
        for index in inspector.get_indexes(table)
    }


def _checks() -> set[str]:
    inspector = sa.inspect(db.engine)
    tables = [name for name in inspector.get_table_names() if name != "alembic_version"]
    return {
        f"{table}: {check['name']} {check['sqltext']}"
        for table in tables
        for check in inspector.get_check_constraints(table)
    }


def test_every_migration_keeps_the_rows_that_it_finds(app):
    with app.app_context():
        db.drop_all()
        first, *later = [script.revision for script in ScriptDirectory(FOLDER).walk_revisions()][::-1]
        flask_migrate.upgrade(directory=FOLDER, revision=first)
        before = _one_row_in_each_table()
        for _ in later:
            flask_migrate.upgrade(directory=FOLDER, revision="+1")
            assert _count(before) == before
        flask_migrate.downgrade(directory=FOLDER, revision=first)
        assert _count(before) == before
        db.session.remove()
        flask_migrate.downgrade(directory=FOLDER, revision="base")
        flask_migrate.upgrade(directory=FOLDER)
        with db.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))


@contextmanager
def _database_of(app: Flask, revision: str) -> Iterator[None]:
    """The tables as they were at a revision, without a row; afterwards nothing knows of migrations any more."""
    with app.app_context():
        db.drop_all()
        flask_migrate.upgrade(directory=FOLDER, revision=revision)
        yield
        with db.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))


def _entered(names: tuple[str, ...], **values: dict[str, object]) -> None:
    """A row in each of these tables as they are now, with what they demand and these ``values`` by table."""
    metadata = sa.MetaData()
    metadata.reflect(db.engine, only=names)
    with db.engine.begin() as connection:
        for table in (table for table in metadata.sorted_tables if table.name in names):
            needed = {column.name: _value(column) for column in table.columns if not column.nullable}
            connection.execute(table.insert().values(needed | values.get(table.name, {})))


def _rows(query: str) -> list[tuple[object, ...]]:
    with db.engine.begin() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


@pytest.mark.parametrize(
    ("status", "kind", "lane"),
    [("accepted", "docx", "offices"), ("preparing", "pdf", "documents"), ("sent", "pdf", None)],
)
def test_what_waited_to_be_prepared_before_an_upgrade_waits_in_its_lane(app, status, kind, lane):
    with _database_of(app, "0014"):
        _entered(ALONE, document={"type": kind}, fax={"status": status, "source_id": "1"})
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT lane, gave_way FROM fax") == [(lane, 0)]
        quotas = "SELECT quota_storage, quota_drafts, quota_uploads, quota_mails FROM tenant"
        assert _rows(quotas) == [(500, 10_000, 20_000, 20_000)]


def test_a_number_in_use_before_an_upgrade_is_its_company_s_and_an_operator_is_asked(app):
    with _database_of(app, "0019"):
        _entered(("tenant", "fax_template", "fax_entity"), fax_entity={"number": "+390509655637"})
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT number, tenant_id FROM pool_number WHERE to_approve") == [("+390509655637", 1)]


#: What an occasion was before 0029, by the kind of mail, and where it stands afterwards.
OCCASIONS = {
    "alert": ("41", {"incident_id": 41}),
    "all_clear": ("41", {"incident_id": 41}),
    "mail_accepted": ("17", {"mail_id": 17}),
    "mail_refused": ("18", {"mail_id": 18}),
    "mail_tested": ("19", {"mail_id": 19}),
    "box_fault": ("7 2026-11-25 10:00:00", {"box_id": 7}),
    "key_expires": ("ABCDEF 2026-12-24", {"fingerprint": "ABCDEF", "occasion": "2026-12-24"}),
    "reminder": ("2026-11-25", {"occasion": "2026-11-25"}),
    "handed_over": ("5f0c", {"occasion": "5f0c"}),
    "outcome": ("", {"occasion": ""}),
}


def test_a_mail_that_waits_across_an_upgrade_is_about_the_same_afterwards_and_after_a_way_back(app):
    with _database_of(app, "0025"):
        with db.engine.begin() as connection:
            for kind, (occasion, _columns) in OCCASIONS.items():
                connection.execute(
                    sa.text(
                        "INSERT INTO notice (kind, recipient, occasion, language, message_id, created_at, tries) "
                        "VALUES (:kind, 'alice@alpha.test', :occasion, 'en', :kind, '2026-11-25 10:00:00', 0)"
                    ),
                    {"kind": kind, "occasion": occasion},
                )
        flask_migrate.upgrade(directory=FOLDER, revision="0029")
        with db.engine.begin() as connection:
            for kind, (_occasion, columns) in OCCASIONS.items():
                found = connection.execute(sa.text("SELECT * FROM notice WHERE kind = :kind"), {"kind": kind}).one()
                assert {name: getattr(found, name) for name in columns} == columns, kind
        flask_migrate.downgrade(directory=FOLDER, revision="0025")
        with db.engine.begin() as connection:
            back = {row.kind: row.occasion for row in connection.execute(sa.text("SELECT kind, occasion FROM notice"))}
            assert back == {kind: occasion for kind, (occasion, _columns) in OCCASIONS.items()}


def test_boxes_mails_and_answers_of_before_are_the_same_after_an_upgrade_and_a_way_back(app):
    with _database_of(app, "0037"):
        _entered(("tenant", "email_address", "mail2fax_box"))
        for uid in (1, 2):
            mail = {"id": uid, "uid": uid, "fate": "refused", "reason": "pin_wrong", "box_id": 1}
            answer = {"id": uid, "tenant_id": 1, "kind": "mail_refused", "mail_id": uid, "message_id": f"<{uid}>"}
            _entered(("mail_message", "notice"), mail_message=mail, notice=answer)
        flask_migrate.upgrade(directory=FOLDER, revision="0032")
        assert _rows("SELECT programs FROM mail2fax_box") == [("",)]
        assert _rows("SELECT guesses, program FROM mail_message") == [(None, None)] * 2
        assert _rows("SELECT mail_id FROM notice ORDER BY mail_id") == [(1,), (2,)]
        flask_migrate.downgrade(directory=FOLDER, revision="0037")
        assert _rows("SELECT reason FROM mail_message") == [("pin_wrong",)] * 2


def test_an_alert_about_held_faxes_from_before_an_upgrade_is_told_anew_about_each_person(app):
    with _database_of(app, "0029"):
        _entered(("tenant",))
        for id_, kind in enumerate(("senders", "stuck"), 1):
            _entered(("alert_incident",), alert_incident={"id": id_, "kind": kind})
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT kind, about_id FROM alert_incident WHERE ended_at IS NULL") == [("stuck", 0)]
        for id_, about_id in enumerate((7, 8), 3):
            alert = {"id": id_, "kind": "senders", "about_id": about_id}
            _entered(("alert_incident",), alert_incident=alert)
        flask_migrate.downgrade(directory=FOLDER, revision="0029")
        assert _rows("SELECT id FROM alert_incident WHERE ended_at IS NULL ORDER BY id") == [(2,), (3,)]
        flask_migrate.upgrade(directory=FOLDER)


def test_a_policy_from_before_an_upgrade_stays_follows_no_redirect_and_limits_calls_to_telephones(app):
    with _database_of(app, "0025"):
        with db.engine.begin() as connection:
            connection.execute(
                sa.text("INSERT INTO dialing_policy (id, countries, rest_days) VALUES (1, '[\"IT\"]', 9)")
            )
        flask_migrate.upgrade(directory=FOLDER)
        with db.engine.begin() as connection:
            row = connection.execute(sa.text("SELECT * FROM dialing_policy")).mappings().one()
        assert (row["rest_days"], bool(row["redirects_followed"])) == (9, False)
        assert (row["voice_per_line"], row["voice_per_company"], row["voice_minutes"]) == (10, 30, 120)


def test_attempts_from_before_an_upgrade_have_no_response_and_no_trunk_is_set_aside(app):
    with _database_of(app, "0028"):
        _entered((*ALONE, "attempt"))
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT response, trunk_id FROM attempt WHERE NOT passed_on") == [(None, None)]
        assert _rows("SELECT trunk_id FROM trunk_trouble") == []


def test_a_call_of_before_an_upgrade_that_may_have_rung_is_known_by_its_last_response(app):
    with _database_of(app, "0039"):
        _entered(ALONE)
        responses = {"a": "SIP 183 Session Progress", "b": "SIP 486 Busy Here", "c": None}
        ended = datetime(2026, 12, 1, tzinfo=UTC)
        for n, (name, response) in enumerate(responses.items(), 1):
            call = {"id": n, "n": n, "channel_id": name, "response": response, "ended_at": ended}
            _entered(("attempt",), attempt=call)
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT channel_id FROM attempt WHERE under_way") == [("a",)]


def test_of_attempts_from_before_an_upgrade_no_page_is_known_to_have_been_refused(app):
    with _database_of(app, "0049"):
        _entered((*ALONE, "attempt"), attempt={"poor_pages": [2]})
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT refused_pages FROM attempt WHERE poor_pages IS NOT NULL") == [(None,)]


def test_of_attempts_from_before_an_upgrade_error_correction_is_what_was_asked_for(app):
    with _database_of(app, "0026"):
        _entered((*ALONE, "attempt"), attempt={"ecm": True})
        flask_migrate.upgrade(directory=FOLDER)
        asked = "SELECT ecm, asked_ecm, asked_rate, asked_packet, damaged_lines FROM attempt"
        assert _rows(asked) == [(None, True, None, None, None)]


def test_attempts_from_before_an_upgrade_have_no_header_that_is_known(app):
    with _database_of(app, "0037"):
        _entered((*ALONE, "attempt"))
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT header_name, header_station FROM attempt") == [(None, None)]
        assert _rows("SELECT lines FROM number_lines") == []


def test_templates_from_before_an_upgrade_get_no_fewer_calls_and_waiting_faxes_wait_for_no_number(app):
    with _database_of(app, "0026"):
        _entered(ALONE, fax_template={"max_attempts": 40}, fax={"status": "ready"})
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT max_dials, dial_hours FROM fax_template") == [(40, 24)]
        assert _rows("SELECT waits_for_number FROM fax WHERE NOT urgent") == [(None,)]


def test_a_box_from_before_an_upgrade_is_still_collected_and_its_company_has_no_fax_domain(app):
    with _database_of(app, "0037"):
        _entered(("tenant", "email_address", "mail2fax_box"))
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT source FROM mail2fax_box") == [("imap",)]
        assert _rows("SELECT fax_domain FROM tenant") == [(None,)]


def test_a_shared_line_of_before_an_upgrade_takes_machines_without_a_tone_as_a_new_one_does(app):
    with _database_of(app, "0033"):
        _entered(("tenant", "email_address", "fax_entity"))
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT fax_after FROM fax_entity") == [(30,)]


def test_lines_people_and_boxes_from_before_tokens_and_digests_go_on_as_before_and_after_a_way_back(app):
    """Received faxes are mailed as they were, nobody gets a digest in the place of a mail, and a box keeps its
    password."""
    before = ("tenant", "email_address", "user", "fax_template", "mail2fax_box", "fax_entity", "notice")
    with _database_of(app, "0034"):
        sent = {"kind": "sent", "recipient": "bob@alpha.test"}
        _entered(before, user={"tenant_id": 1}, mail2fax_box={"password": "sealed"}, notice=sent)
        flask_migrate.upgrade(directory=FOLDER, revision="0033")
        assert _rows("SELECT received_mail FROM fax_entity") == [("attached",)]
        assert _rows('SELECT received_mail, digest_at FROM "user"') == [(None, None)]
        assert _rows("SELECT password FROM mail2fax_box") == [("sealed",)]
        assert _rows("SELECT count(*) FROM box_sign_in") == [(0,)]
        _entered(("box_sign_in", "smtp_sign_in"))
        told = {"id": 2, "kind": "token_ends", "recipient": "alice@alpha.test", "message_id": "<2>", "occasion": "1"}
        _entered(("notice",), notice=told)
        flask_migrate.downgrade(directory=FOLDER, revision="0034")
        assert _rows("SELECT kind, recipient FROM notice") == [("sent", "bob@alpha.test")]
        assert _rows("SELECT password FROM mail2fax_box") == [("sealed",)]
        assert _rows("SELECT count(*) FROM fax_entity") == [(1,)]
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT received_mail FROM fax_entity") == [("attached",)]


@pytest.mark.parametrize(
    ("provider", "directory", "page"),
    [
        ("google", None, "https://accounts.google.com/o/oauth2/v2/auth"),
        ("microsoft", "alpha.test", "https://login.microsoftonline.com/alpha.test/oauth2/v2.0/authorize"),
        ("other", None, ""),
    ],
)
def test_a_box_that_signed_in_with_tokens_before_an_upgrade_keeps_them_and_gets_its_sign_in_page(
    app, provider, directory, page
):
    known = {"provider": provider, "directory": directory, "client_secret": "sealed", "refresh_token": "sealed too"}
    with _database_of(app, "0033"):
        _entered(("tenant", "email_address", "mail2fax_box", "box_sign_in"), box_sign_in=known)
        flask_migrate.upgrade(directory=FOLDER, revision="0045")
        columns = "client_secret, refresh_token, authorize_url, signed_in_as"
        assert _rows(f"SELECT {columns} FROM box_sign_in") == [("sealed", "sealed too", page, None)]
        flask_migrate.downgrade(directory=FOLDER, revision="0033")
        assert _rows("SELECT client_secret, refresh_token FROM box_sign_in") == [("sealed", "sealed too")]
        flask_migrate.upgrade(directory=FOLDER)


def _one_row_in_each_table() -> dict[str, int]:
    """Rows that refer to each other, as far as a table must or may refer to one that comes before it."""
    metadata = sa.MetaData()
    metadata.reflect(db.engine)
    tables = [table for table in metadata.sorted_tables if table.name != "alembic_version"]
    with db.engine.begin() as connection:
        for table in tables:
            connection.execute(table.insert().values({column.name: _value(column) for column in table.columns}))
    return _count({table.name: 1 for table in tables})


def _value(column: sa.Column) -> object:
    if column.nullable and not column.foreign_keys:
        return None
    if any(key.column.table is column.table for key in column.foreign_keys):
        return None  # to its own table
    samples = {
        int: 1,
        bool: False,
        str: ALLOWED.get(column.name, "1"),
        dict: {},
        object: {},  # JSON, as it is read from the database
        datetime: datetime(2026, 1, 1, tzinfo=UTC),
    }
    return samples[column.type.python_type]


def _count(tables: Iterable[str]) -> dict[str, int]:
    with db.engine.connect() as connection:
        return {name: connection.scalar(sa.text(f'SELECT count(*) FROM "{name}"')) for name in tables}


def test_the_one_trunk_of_before_an_upgrade_keeps_its_habits_its_trouble_and_its_channels(app):
    with _database_of(app, "0033"):
        when = "'2026-11-30 10:00:00+00:00'"
        _entered(("tenant",))
        with db.engine.begin() as connection:
            for statement in (
                "INSERT INTO dialing_policy (id, rest_days, trunk_region, trunk_area, trunk_company_id, called_order, "
                "caller_form) VALUES (1, 9, 'IT', '050', 1, '[\"to\", \"uri\"]', 'whole')",
                "INSERT INTO trunk_trouble (id, since, probe_at, outcome, response) "
                f"VALUES (1, {when}, {when}, 'trunk_down', 'SIP 503')",
                f"INSERT INTO trunk_channels (id, channels, full_at) VALUES (1, 7, {when})",
            ):
                connection.execute(sa.text(statement))
        flask_migrate.upgrade(directory=FOLDER, revision="0038")
        with db.engine.begin() as connection:
            trunk = connection.execute(sa.text("SELECT * FROM trunk")).mappings().one()
            trouble = connection.execute(sa.text("SELECT * FROM trunk_trouble")).mappings().one()
            room = connection.execute(sa.text("SELECT * FROM trunk_channels")).mappings().one()
        flask_migrate.downgrade(directory=FOLDER, revision="0033")
        with db.engine.begin() as connection:
            before = connection.execute(sa.text("SELECT * FROM dialing_policy")).mappings().one()
            assert connection.scalar(sa.text("SELECT outcome FROM trunk_trouble WHERE id = 1")) == "trunk_down"
        flask_migrate.upgrade(directory=FOLDER)
    assert (trunk["name"], trunk["region"], trunk["area"], trunk["caller_form"]) == ("main", "IT", "050", "whole")
    assert (trunk["company_id"], bool(trunk["from_environment"])) == (1, True)
    assert "to" in str(trunk["called_order"])
    assert (trouble["trunk_id"], trouble["outcome"], trouble["response"]) == (trunk["id"], "trunk_down", "SIP 503")
    assert (room["trunk_id"], room["channels"]) == (trunk["id"], 7)
    assert (before["trunk_region"], before["caller_form"], before["rest_days"]) == ("IT", "whole", 9)


def test_what_a_number_has_shown_before_an_upgrade_stays_and_no_trunk_is_first(app):
    with _database_of(app, "0039"):
        shown = {"number": "+39050", "t38": "fails", "rate": 9600, "standard_only": True}
        _entered(("tenant", "destination"), destination=shown)
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT number, t38, rate, trunk_id FROM destination") == [("+39050", "fails", 9600, None)]
        flask_migrate.downgrade(directory=FOLDER, revision="0039")
        assert _rows("SELECT number, t38, rate FROM destination") == [("+39050", "fails", 9600)]


def test_a_trunk_of_before_an_upgrade_whose_number_stood_in_pai_alone_has_it_as_usual(app):
    with _database_of(app, "0046"):
        _entered(("trunk",), trunk={"id": 71, "name": "one", "caller_in": "pai"})
        _entered(("trunk",), trunk={"id": 72, "name": "two", "caller_in": "from"})
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT caller_in FROM trunk WHERE id IN (71, 72) ORDER BY id") == [("usual",), ("from",)]


def test_the_picture_of_a_fax_of_before_an_upgrade_is_left_to_upkeep_and_the_fax_stays(app):
    with _database_of(app, "0050"):
        _entered(ALONE, document={"kind": "picture"}, fax={"picture_id": "1", "source_id": None, "status": "sent"})
        flask_migrate.upgrade(directory=FOLDER)
        assert _rows("SELECT count(*) FROM document WHERE removed_at IS NOT NULL AND erased_at IS NULL") == [(1,)]
        assert _rows("SELECT status, source_id FROM fax") == [("sent", None)]
        (erased,) = to_erase(db.session)
        assert erased[0] == "1"
        db.session.remove()
        flask_migrate.downgrade(directory=FOLDER, revision="0050")
        assert _rows("SELECT status, picture_id FROM fax") == [("sent", None)]


def test_a_trunk_after_an_upgrade_has_no_id_that_one_before_it_had(app):
    with _database_of(app, "0050"):
        _entered((*ALONE, "trunk"), trunk={"id": 7}, fax={"submission_key": "trunk-9-once"})
        flask_migrate.upgrade(directory=FOLDER)
        had = {7, 9}
        for name in ("a", "b"):
            with db.engine.begin() as connection:
                connection.execute(sa.text(f"INSERT INTO trunk (name, host, port) VALUES ('{name}', 'h', 5060)"))
                ((new,),) = connection.execute(sa.text(f"SELECT id FROM trunk WHERE name = '{name}'"))
                connection.execute(sa.text(f"DELETE FROM trunk WHERE name = '{name}'"))
            assert new not in had
            had.add(new)
