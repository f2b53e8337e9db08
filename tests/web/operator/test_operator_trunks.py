"""The operator's trunks: added, changed, put in order and removed; what makes no sense is told, and nothing is lost."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from redis import RedisError

from app import cli
from app.cli import trunks
from app.models import Attempt, AuditEvent, Fax, FaxEntity, Trunk
from app.rules.ground.trunks import trunk_by_name
from app.rules.ground.trunks import trunks as all_trunks
from app.rules.sending.trunks import table
from app.rules.sending.trunks.choosing import bound_key
from app.rules.sending.trunks.fields import TrunkFields
from app.rules.sending.trunks.table import put_from_environment
from app.services.setup.provisioning import ProvisionError, apply_provision_file
from app.services.trunks import ladders
from app.services.trunks.ladders import Ladder, Sound
from tenants.db import db
from tests.web.cast import Browser, Cast, make_fax

PAGE = "/operator/trunks"
GOOD = {
    "name": "backup",
    "host": "sip.example.org",
    "port": "",
    "transport": "tls",
    "media": "srtp",
    "username": "4711",
    "password": "p#w: é",
    "registers": "yes",
    "enabled": "yes",
    "t38": "yes",
    "channels": "4",
    "prefers": "+39 +4930",
    "number_form": "digits",
    "caller_in": "both",
    "trunk_region": "DE",
    "trunk_area": "",
    "trunk_company": "",
    "called_first": "to",
    "caller_form": "whole",
}


def trunk(app: Flask, name: str) -> Trunk | None:
    with app.app_context():
        return trunk_by_name(db.session, name)


def test_a_trunk_is_added_changed_put_first_and_removed(app: Flask, cast: Cast, olga: Browser) -> None:
    assert olga.post(f"{PAGE}/new", page=f"{PAGE}/new", **GOOD).status_code == 303
    kept = trunk(app, "backup")
    assert (kept.host, kept.port, kept.password, kept.prefers) == ("sip.example.org", 5061, "p#w: é", ["+39", "+4930"])
    assert (kept.registers, kept.region, kept.caller_form) == (True, "DE", "whole")
    page = olga.get(f"{PAGE}/backup").text
    assert "sip.example.org" in page and "p#w" not in page
    changed = GOOD | {"password": "", "port": "5099"}
    assert olga.post(f"{PAGE}/backup", page=f"{PAGE}/backup", **changed).status_code == 303
    assert (trunk(app, "backup").port, trunk(app, "backup").password) == (5099, "p#w: é")
    assert olga.post(f"{PAGE}/backup/first", page=PAGE).status_code == 303
    with app.app_context():
        assert [one.name for one in all_trunks(db.session)] == ["backup", "main"]
    assert "Remove the trunk" in olga.get(f"{PAGE}/backup/remove").text and trunk(app, "backup")
    assert olga.post(f"{PAGE}/backup/remove", page=f"{PAGE}/backup/remove").status_code == 303
    assert trunk(app, "backup") is None
    with app.app_context():
        acts = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action.startswith("trunk."))).all()
        assert [act.action for act in acts] == ["trunk.added", "trunk.changed", "trunk.first", "trunk.removed"]
        assert "p#w" not in str([(act.before, act.after) for act in acts])


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ({"password": "a;b"}, "semicolons"),
        ({"password": " a"}, "semicolons"),
        ({"username": "a\nb"}, "semicolons"),
        ({"port": "99999"}, "1 to 65535"),
        ({"port": "sip"}, "1 to 65535"),
        ({"host": "sip.example.org;x=y"}, "host name"),
        ({"host": "300.1.1.1"}, "host name"),
        ({"host": ""}, "host name"),
        ({"name": "Backup!"}, "Use lower-case"),
        ({"name": "own"}, "Use lower-case"),
        ({"name": "main"}, "already"),
        ({"transport": "udp"}, "needs TLS"),
        ({"transport": "sctp", "media": "plain"}, "Choose one from the list"),
        ({"username": "", "registers": ""}, "belongs to the password"),
        ({"password": ""}, "user name and a password"),
        ({"channels": "many"}, "whole number"),
        ({"prefers": "39"}, "is not a prefix"),
        ({"fax_lines": "+390501111111"}, "no fax line +390501111111"),
        ({"host": "127.0.0.1", "registers": "", "trunk_region": "DE"}, "over this trunk and main cannot be told apart"),
        ({"trunk_region": "", "trunk_area": "050"}, "Choose the country"),
    ],
)
def test_every_fault_is_told_and_nothing_typed_is_lost(app, cast, olga: Browser, typed, word) -> None:
    answer = olga.post(f"{PAGE}/new", page=f"{PAGE}/new", **(GOOD | typed))
    assert answer.status_code == 422
    assert word in answer.text and f'value="{(GOOD | typed)["prefers"]}"' in answer.text
    assert trunk(app, "backup") is None


def test_what_stands_in_the_environment_is_not_changed_here(app: Flask, cast: Cast, olga: Browser) -> None:
    assert "FAXROOM_TRUNK" in olga.get(f"{PAGE}/main").text
    olga.post(f"{PAGE}/main", page=f"{PAGE}/main", **(GOOD | {"media": "plain"}))
    kept = trunk(app, "main")
    assert (kept.name, kept.host, kept.username, kept.region) == ("main", "127.0.0.1", None, "DE")
    assert olga.post(f"{PAGE}/main/remove", page=f"{PAGE}/main/remove").status_code == 422
    assert trunk(app, "main")


def test_the_environment_s_trunks_are_put_in_and_keep_what_was_set_for_them(app: Flask, cast: Cast) -> None:
    wanted = [TrunkFields("one.example", 5060, "a", "b"), TrunkFields("two.example", 5062, name="main-2")]
    with app.app_context():
        trunk_by_name(db.session, "main").region = "IT"
        put_from_environment(db.session, wanted)
        db.session.commit()
        assert [(one.name, one.host, one.region) for one in all_trunks(db.session)] == [
            ("main", "one.example", "IT"),
            ("main-2", "two.example", None),
        ]
        put_from_environment(db.session, wanted[:1])
        db.session.commit()
        assert [one.name for one in all_trunks(db.session)] == ["main"]


A, B, C = (TrunkFields(f"{name}.example", 5060, name, "secret") for name in "abc")


def put(*wanted: TrunkFields) -> list[tuple[str, bool]]:
    gone = put_from_environment(db.session, wanted)
    db.session.commit()
    return gone


def standing() -> list[tuple[str, str, str | None, bool, bool]]:
    rows = all_trunks(db.session)
    return [(one.name, one.host, one.region, one.enabled, one.from_environment) for one in rows]


def test_an_address_that_is_left_keeps_its_trunk_and_the_one_that_has_gone_is_not_given_away(app, cast) -> None:
    with app.app_context():
        put(A, B)
        trunk_by_name(db.session, "main").region = "IT"
        trunk_by_name(db.session, "main-2").region = "DE"
        assert put(B) == [("main", False)]
        assert standing() == [("main-2", "b.example", "DE", True, True)]
        assert put(B, C) == []
        assert [(name, host, region) for name, host, region, *_ in standing()] == [
            ("main-2", "b.example", "DE"),
            ("main", "c.example", None),
        ]


def test_a_trunk_of_fax_lines_whose_address_has_gone_stays_switched_off_and_the_operator_s(app, cast) -> None:
    with app.app_context():
        put(A, B)
        row = trunk_by_name(db.session, "main")
        table.put_trunk(
            db.session, table.form_of(db.session, row) | {"fax_lines": next(iter(table._lines(db.session)))}, row
        )
        assert put(B) == [("main", True)]
        assert [(one[0], one[3], one[4]) for one in standing()] == [("main-2", True, True), ("main", False, False)]
        assert put(A, B) == []
        assert [one[:2] for one in standing() if one[3]] == [("main-3", "a.example"), ("main-2", "b.example")]


def test_the_order_follows_the_variable_and_a_new_address_leaves_the_operator_s_own_trunk_alone(app, cast) -> None:
    with app.app_context():
        put(A)
        own = Trunk(name="main-2", host="own.example", port=5060, username="own", password="kept", position=5)
        db.session.add(own)
        put(B, A)
        assert [(one[0], one[1], one[4]) for one in standing()] == [
            ("main-3", "b.example", True),
            ("main-2", "own.example", False),
            ("main", "a.example", True),
        ]
        assert (own.username, own.password) == ("own", "kept")


def test_a_lone_address_that_moves_stays_the_same_trunk(app, cast) -> None:
    with app.app_context():
        put(A)
        trunk_by_name(db.session, "main").region = "IT"
        assert put(B) == []
        assert standing() == [("main", "b.example", "IT", True, True)]


def test_a_provision_file_adds_and_changes_trunks_and_its_faults_are_told(app: Flask, cast: Cast, tmp_path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(
        "trunks:\n"
        "- {name: backup, host: sip.example.org, transport: tls, username: a, password: 'p#w', registers: true, "
        "prefers: ['+39'], channels: 4}\n"
        "- {name: main, trunk_region: IT}\n"
    )
    with app.app_context():
        apply_provision_file(db.session, file)
        row = trunk_by_name(db.session, "backup")
        assert (row.port, row.password, row.registers, row.prefers, row.channels) == (5061, "p#w", True, ["+39"], 4)
        assert trunk_by_name(db.session, "main").region == "IT"
        file.write_text("trunks: [{name: main, host: x.example}, {name: backup, port: 99999}]\n")
        with pytest.raises(ProvisionError) as error:
            apply_provision_file(db.session, file)
        assert [fault.split(":")[0] for fault in error.value.faults] == ["trunk main, host", "trunk backup, port"]
        assert trunk_by_name(db.session, "backup").port == 5061


def test_the_command_line_adds_changes_and_removes_a_trunk_by_the_same_judgement(app: Flask, cast: Cast) -> None:
    def run(args: list[str], given: str = ""):
        with app.app_context():
            return CliRunner().invoke(trunks, args[1:], input=given)

    made = run(
        args=["trunks", "add", "backup", "host=h.example", "username=a", "registers=yes", "--password"], given="p#w\n"
    )
    assert made.exit_code == 0, made.output
    assert run(args=["trunks", "set", "backup", "port=99999"]).output == "Error: port: Enter a port from 1 to 65535.\n"
    assert "FAXROOM_TRUNK" in run(args=["trunks", "set", "main", "host=x.example"]).output
    assert run(args=["trunks", "order", "backup"]).exit_code == 0
    assert run(args=["trunks", "list"]).output.splitlines()[0] == "backup  udp:h.example:5060  registers"
    assert trunk(app, "backup").password == "p#w"
    assert run(args=["trunks", "remove", "backup", "--yes"]).exit_code == 0
    assert trunk(app, "backup") is None


@pytest.mark.parametrize(
    ("sound", "mode", "said"),
    [
        (Sound(888, 889, 2, "alaw"), "audio", "888 packets received, 2 lost, 889 sent (A-law)."),
        (Sound(0, 299, 0, "ulaw"), "audio", "No sound came from the other side."),
        (Sound(0, 0, 0), "T38", "The page went by T.38, where Asterisk does not count packets."),
        (None, None, ""),
    ],
)
def test_the_result_of_a_test_call_says_whether_sound_came(
    app: Flask, cast: Cast, olga: Browser, monkeypatch: pytest.MonkeyPatch, sound, mode, said
) -> None:
    with app.app_context():
        key = bound_key(trunk_by_name(db.session, "main").id, "1")
    fax_id = make_fax(app, cast, user_id=cast.olga, origin="test", submission_key=key)
    channel = f"fax-{fax_id}-1"
    with app.app_context():
        line = db.session.get_one(FaxEntity, db.session.get_one(Fax, fax_id).entity_id)
        attempt = Attempt(tenant_id=line.tenant_id, fax_id=fax_id, entity_id=line.id, n=1, channel_id=channel, node="a")
        attempt.mode, attempt.placed_at = mode, datetime.now(UTC)
        db.session.add(attempt)
        db.session.commit()
    found = Ladder(channel, 1_796_140_800.0, True, "+39050", "+4930", "main", sound=sound)
    monkeypatch.setattr(ladders, "ladders_of_fax", lambda asked: [found] if asked == fax_id else [])
    page = olga.get(f"{PAGE}/main/tests/{fax_id}").text
    assert ("<dt>Sound</dt>" in page, said in page) == (bool(said), True)


def test_a_test_call_from_the_command_line_needs_an_operator_and_a_line(app: Flask, cast: Cast) -> None:
    def run(*more: str) -> str:
        with app.app_context():
            done = CliRunner().invoke(trunks, ["test", "main", *more, "--to", "+493023125000"])
        assert done.exit_code == 1
        return done.output

    assert "There is no operator alice@alpha.test." in run("--as", "alice@alpha.test", "--line", "+39050")
    assert "No open fax line has this number." in run("--as", "ops@faxroom.test", "--line", "+39050")


class Steps:
    """What a test call asks of Redis, in order; the tests by the trunk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.tests: dict[int, list[str]] = {}
        monkeypatch.setattr(ladders, "warm_up", lambda *_args, **_more: self.done.append("warm up"))
        monkeypatch.setattr(ladders, "capture_test", lambda *_args: self.done.append("capture"))
        monkeypatch.setattr(ladders, "note_test", self.note)
        monkeypatch.setattr(ladders, "tests_of_trunk", lambda trunk: self.tests.get(trunk, []))
        monkeypatch.setattr(ladders, "ladders_of_fax", lambda _fax: [])
        monkeypatch.setattr(cli, "_follow", lambda _fax: "sent")
        monkeypatch.setattr(cli, "LADDER_SECONDS", 0)

    def note(self, trunk: int, fax_id: str) -> None:
        self.done.append("note")
        self.tests.setdefault(trunk, []).append(fax_id)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


def audited(app: Flask) -> list[tuple[str, str, int | None]]:
    with app.app_context():
        rows = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "trunk.tested")).all()
        return [(row.target, row.after["number"], row.user_id) for row in rows]


CALL = {"line": "+390509655637", "to": "+493023125000"}


@pytest.mark.parametrize("by_page", [True, False])
def test_a_test_call_goes_the_same_steps_from_the_page_and_the_command_line(
    app: Flask, cast: Cast, olga: Browser, steps: Steps, by_page: bool
) -> None:
    health = f"{PAGE}/main/health"
    for line, done in (("+39", []), (CALL["line"], ["warm up", "capture", "note"])):
        told = CALL | {"line": line}
        if by_page:
            answer = olga.post(f"{PAGE}/main/test", page=health, submission="once", **told)
            assert answer.status_code == (303 if done else 422)
        else:
            with app.app_context():
                options = ["--as", "ops@faxroom.test", "--line", line, "--to", told["to"]]
                made = CliRunner().invoke(trunks, ["test", "main", *options])
            assert made.exit_code == (0 if done else 1), made.output
        assert steps.done == done
    assert audited(app) == [("main", CALL["to"], cast.olga)]
    assert len(steps.tests[trunk(app, "main").id]) == 1


def test_a_form_of_a_test_call_that_is_sent_twice_is_one_call_and_one_act(
    app: Flask, cast: Cast, olga: Browser, steps: Steps
) -> None:
    first, second = (
        olga.post(f"{PAGE}/main/test", page=f"{PAGE}/main/health", submission="once", **CALL) for _ in range(2)
    )
    assert first.location == second.location
    assert (steps.done, len(audited(app))) == (["warm up", "capture", "note"], 1)


def test_without_redis_a_test_call_is_made_all_the_same(
    app: Flask, cast: Cast, olga: Browser, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object, **_more: object) -> None:
        raise RedisError

    for name in ("warm_up", "capture_test", "note_test"):
        monkeypatch.setattr(ladders, name, away)
    assert olga.post(f"{PAGE}/main/test", page=f"{PAGE}/main/health", submission="once", **CALL).status_code == 303
    assert len(audited(app)) == 1


def test_a_trunk_that_is_added_again_by_the_name_of_another_has_none_of_its_test_calls(
    app: Flask, cast: Cast, olga: Browser, steps: Steps
) -> None:
    assert olga.post(f"{PAGE}/new", page=f"{PAGE}/new", **GOOD).status_code == 303
    health = f"{PAGE}/backup/health"
    made = olga.post(f"{PAGE}/backup/test", page=health, submission="once", **CALL)
    assert made.location in olga.get(health).text
    with app.app_context():
        db.session.delete(trunk_by_name(db.session, "backup"))
        db.session.commit()
    for name in ("between", "backup"):  # SQLite gives the same id again to the next trunk
        assert olga.post(f"{PAGE}/new", page=f"{PAGE}/new", **(GOOD | {"name": name})).status_code == 303
    assert made.location not in olga.get(health).text


def lines_of(app: Flask, name: str) -> str:
    with app.app_context():
        return table.form_of(db.session, trunk_by_name(db.session, name))["fax_lines"]


def test_fax_lines_prefer_one_trunk_the_one_that_named_them_last(app: Flask, cast: Cast, olga: Browser) -> None:
    with app.app_context():
        known = list(table._lines(db.session))[:2]
    both = " ".join(known)
    assert olga.post(f"{PAGE}/new", page=f"{PAGE}/new", **GOOD, fax_lines=both).status_code == 303
    assert lines_of(app, "backup") == both and both in olga.get(f"{PAGE}/backup").text
    main = GOOD | {"media": "plain", "caller_form": "usual", "fax_lines": known[0]}
    assert olga.post(f"{PAGE}/main", page=f"{PAGE}/main", **main).status_code == 303
    assert (lines_of(app, "main"), lines_of(app, "backup")) == (known[0], known[1])
    assert olga.post(f"{PAGE}/main", page=f"{PAGE}/main", **(main | {"fax_lines": ""})).status_code == 303
    assert (lines_of(app, "main"), lines_of(app, "backup")) == ("", known[1])


def test_trunks_at_one_address_have_to_read_calls_alike_unless_both_register(app: Flask, cast: Cast) -> None:
    beside = {"host": "127.0.0.1", "transport": "udp", "media": "plain", "fax_lines": "", "enabled": "yes"}
    with app.app_context():
        main = trunk_by_name(db.session, "main")
        alike = table.form_of(db.session, main)
        habits = {name: alike[name] for name in table.HABITS}
        assert table.judge_trunk(db.session, GOOD | beside | habits) == {}
        assert set(table.judge_trunk(db.session, GOOD | beside)) == {"trunk_region"}
        assert table.judge_trunk(db.session, GOOD | beside | {"enabled": ""}) == {}
        main.registers = True
        assert table.judge_trunk(db.session, GOOD | beside) == {}
        main.registers, main.enabled = False, False
        assert table.judge_trunk(db.session, GOOD | beside) == {}


def test_no_two_choices_of_where_our_number_is_mean_the_same(app: Flask, cast: Cast, olga: Browser) -> None:
    page = olga.get(f"{PAGE}/new").text
    assert 'value="usual"' in page and 'value="both"' in page and 'value="pai"' not in page


def test_a_provision_file_changes_two_trunks_of_one_host_at_once_and_not_one_alone(app, cast, tmp_path) -> None:
    file = tmp_path / "file.yaml"
    with app.app_context():
        put(TrunkFields("a.example", 5060), TrunkFields("a.example", 5070))
        file.write_text("trunks: [{name: main, trunk_region: IT}, {name: main-2, trunk_region: IT}]\n")
        apply_provision_file(db.session, file)
        assert {one.region for one in all_trunks(db.session)} == {"IT"}
        file.write_text("trunks: [{name: main, trunk_region: DE}, {name: main-2, trunk_region: FR}]\n")
        with pytest.raises(ProvisionError):
            apply_provision_file(db.session, file)


def test_a_trunk_s_settings_and_its_state_lead_to_each_other(app: Flask, cast: Cast, olga: Browser) -> None:
    olga.post(f"{PAGE}/new", page=f"{PAGE}/new", **GOOD)
    for page in (PAGE, f"{PAGE}/backup"):
        assert f'href="{PAGE}/backup/health"' in olga.get(page).text
    assert f'href="{PAGE}/backup"' in olga.get(f"{PAGE}/backup/health").text
