"""The audit log: who did what; nobody changes it; its file runs nothing."""

import ast
import csv
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.models import AuditEvent, AuditLink
from app.rules.setup.changes import handler_of
from app.web.audit.audit_words import ACTS, THINGS
from app.web.files.csv_export import cell, csv_chunks
from app.web.setup.changes import KINDS
from tenants.db import db, utc_now
from tenants.models import Tenant
from tests.web.cast import PRESENCE, Browser, Cast, make_fax

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def note(app: Flask, tenant_id: int | None, user_id: int | None, target: str, **more: object) -> None:
    values = {"action": "user.changed", "at": NOON, **more}
    with app.app_context():
        db.session.add(AuditEvent(tenant_id=tenant_id, user_id=user_id, target=target, **values))
        db.session.commit()


def rows(browser: Browser, query: str = "") -> list[list[str]]:
    """Without those of who comes in and downloads this very file."""
    read = csv.reader(io.StringIO(browser.get(f"/audit/log.csv{query}").data.decode("utf-8-sig")))
    return [row for row in read if row[3] not in PRESENCE]


# ---- Who sees what


def test_an_administrator_reads_who_did_what_from_where_and_what_changed(
    app: Flask, cast: Cast, alice: Browser
) -> None:
    change = {"before": {"role": "user"}, "after": {"role": "admin"}, "remote_address": "192.0.2.7"}
    note(app, cast.alpha, cast.alice, "bob@alpha.test", **change)
    page = alice.get("/audit").text
    for text in ("Alice", "User: changed", "bob@alpha.test", "<del>user</del> <ins>administrator</ins>", "192.0.2.7"):
        assert text in page


def test_what_an_operator_did_is_marked_as_such(app: Flask, cast: Cast, olga: Browser, alice: Browser) -> None:
    olga.get(f"/operator/tenants/{cast.alpha}")
    page = alice.get("/audit").text
    assert "Company: viewed by the operator" in page
    assert re.search(r'Olga</span> <span class="holder">operator', page)


def test_nothing_of_another_company_is_in_the_log_nor_in_its_file(app: Flask, cast: Cast, alice: Browser) -> None:
    note(app, cast.beta, cast.charlie, "secret thing")
    note(app, None, cast.olga, "secret thing")
    for path in ("/audit", "/audit/log.csv", f"/audit?person={cast.charlie}", f"/audit?person={cast.olga}"):
        assert "secret thing" not in alice.get(path).text
        assert "Charlie" not in alice.get(path).text


def test_only_administrators_have_a_log(bob: Browser, charlie: Browser, olga: Browser) -> None:
    for browser in (bob, charlie, olga):
        assert browser.get("/audit").status_code == 404
        assert browser.get("/audit/log.csv").status_code == 404


# ---- Append-only


def test_the_database_refuses_to_change_or_remove_an_entry(app: Flask, cast: Cast) -> None:
    note(app, cast.alpha, cast.alice, "kept")
    with app.app_context():
        for statement in (
            sa.update(AuditEvent).values(target="forged"),
            sa.delete(AuditEvent),
            sa.delete(AuditEvent).where(AuditEvent.tenant_id == cast.alpha),
        ):
            with pytest.raises(sa.exc.DBAPIError, match="append-only"):
                db.session.execute(statement)
            db.session.rollback()
        assert db.session.scalar(sa.select(AuditEvent.target)) == "kept"


def test_entries_go_only_with_the_company_that_is_being_deleted(app: Flask, cast: Cast) -> None:
    note(app, cast.alpha, None, "goes")
    note(app, cast.beta, None, "stays")
    with app.app_context():
        db.session.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(deleting_at=utc_now()))
        db.session.execute(sa.delete(AuditLink).where(AuditLink.chain == cast.alpha))
        db.session.execute(sa.delete(AuditEvent).where(AuditEvent.tenant_id == cast.alpha))
        db.session.commit()
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            db.session.execute(sa.delete(AuditEvent))
        db.session.rollback()
        assert db.session.scalars(sa.select(AuditEvent.target)).all() == ["stays"]


# ---- Filters and pages


def test_the_log_is_filtered_by_person_thing_and_days_of_the_company(app: Flask, cast: Cast, alice: Browser) -> None:
    note(app, cast.alpha, cast.alice, "late", at=datetime(2026, 3, 9, 23, 30, tzinfo=UTC))  # the 10th in Rome
    note(app, cast.alpha, cast.bob, "by bob")
    note(app, cast.alpha, cast.alice, "a line", action="entity.changed")
    note(app, cast.alpha, cast.alice, "a day later", at=NOON + timedelta(days=1))

    def targets(query: str) -> list[str]:
        return [row[5] for row in rows(alice, query)[1:]]

    assert targets("") == ["a day later", "a line", "by bob", "late"]
    assert targets(f"?person={cast.bob}") == ["by bob"]
    assert targets("?action=entity.") == ["a line"]
    assert targets("?action=entity.changed") == ["a line"]
    assert targets("?since=2026-03-10&until=2026-03-10") == ["a line", "by bob", "late"]
    assert targets("?until=2026-03-09") == []


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("person=987654", "No such person in the log"),
        ("person=x", "No such person in the log"),
        ("action=nonsense", "No such entry"),
        ("since=yesterday", "is not a date"),
        ("since=2026-03-10&until=2026-03-01", "The last day is before the first one"),
    ],
)
def test_a_filter_that_is_not_understood_is_left_out_and_told(
    app: Flask, cast: Cast, alice: Browser, query: str, sentence: str
) -> None:
    note(app, cast.alpha, cast.alice, "shown all the same")
    page = alice.get(f"/audit?{query}").text
    assert sentence in page
    assert "shown all the same" in page


def test_pages_lead_from_the_newest_to_the_oldest_and_back_without_a_gap(
    app: Flask, cast: Cast, alice: Browser
) -> None:
    with app.app_context():
        for n in range(120):  # three at each moment
            at = NOON + timedelta(seconds=n // 3)
            values = {"tenant_id": cast.alpha, "user_id": cast.alice, "action": "user.changed"}
            db.session.add(AuditEvent(**values, target=f"thing {n:03}.", at=at))
        db.session.commit()

    def on(page: str) -> list[int]:
        return [int(found) for found in re.findall(r"thing (\d{3})\.", page)]

    def link(page: str, rel: str) -> str | None:
        found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
        return found[1].replace("&amp;", "&") if found else None

    first = alice.get("/audit").text
    second = alice.get(link(first, "next")).text
    third = alice.get(link(second, "next")).text
    assert on(first) + on(second) + on(third) == list(range(119, -1, -1))
    assert link(first, "prev") is None
    assert link(third, "next") is None
    assert on(alice.get(link(third, "prev")).text) == on(second)
    assert on(alice.get(link(second, "prev")).text) == on(first)


def test_a_place_that_is_none_leads_to_the_first_page(app: Flask, cast: Cast, alice: Browser) -> None:
    note(app, cast.alpha, cast.alice, "shown")
    for place in ("x", "2026-03-10_5", "2026-03-10T00:00:00+00:00_" + "9" * 30, "_", "\0"):
        for way in ("before", "after"):
            answer = alice.client.get("/audit", query_string={way: place})
            assert answer.status_code == 200
            assert "shown" in answer.text


# ---- The file


def test_no_cell_of_the_file_is_run_as_a_formula(app: Flask, cast: Cast, alice: Browser) -> None:
    hostile = '=HYPERLINK("http://evil.test";"click")'
    note(app, cast.alpha, cast.alice, hostile, after={"name": "@SUM(1)"})
    (row,) = rows(alice)[1:]
    assert row[5] == "'" + hostile
    assert row[0] == "2026-03-10 13:00:00+01:00"
    assert row[7] == '{"name": "@SUM(1)"}'
    answer = alice.get("/audit/log.csv")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=audit-alpha-")
    assert answer.mimetype == "text/csv"


@pytest.mark.parametrize("text", ["=1+1", "+39050", "-1", "@x", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "－1", "\0=1"])
def test_a_cell_that_a_spreadsheet_might_run_becomes_text(text: str) -> None:
    assert str(cell(text)).startswith("'")
    assert str(cell(text)).replace("'", "") == text.replace("\0", "")


SIGNS = "=+-@＝＋－＠"
PIECES = st.sampled_from([*SIGNS, *";,|\t\r\n \"'", "a", "1", "SUM(1)", "\xa0", "é"])


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.lists(st.lists(PIECES, max_size=8).map("".join), min_size=1, max_size=4), max_size=3))
@example(rows=[["Rossi", "a;=1+1"]])
@example(rows=[["x", 'say ";"=1'], ["two\n+39", '\t"@SUM(1)']])
def test_no_cell_begins_a_formula_wherever_a_reader_splits(rows: list[list[str]]) -> None:
    text = b"".join(csv_chunks(["h"], rows)).decode("utf-8-sig")
    for separator in ",;\t|":
        for read in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            assert not [found for found in read if found.strip(' "\xa0').startswith(tuple(SIGNS))]
    for line in re.split(r"[;,|\t\r\n]", text):
        assert not line.strip(' "\xa0').startswith(tuple(SIGNS)), "nor where quotes mean nothing"


def test_other_cells_stay_what_they_are() -> None:
    values = ["Alice", "a=b", -5, 2.5, None, 'say "x", y\nz', NOON]
    (line,) = [b"".join(csv_chunks(["h"], [values]))]
    read = list(csv.reader(io.StringIO(line.decode("utf-8-sig"), newline="")))
    assert read[1] == ["Alice", "a=b", "-5", "2.5", "", 'say "x", y\nz', "2026-03-10 12:00:00+00:00"]


def test_the_whole_log_is_in_the_file_however_long_it_is(app: Flask, cast: Cast, alice: Browser) -> None:
    with app.app_context():
        event = {"tenant_id": cast.alpha, "user_id": cast.alice, "action": "user.changed"}
        many = [{**event, "target": f"t{n}", "at": NOON} for n in range(2_500)]
        db.session.execute(sa.insert(AuditEvent), many)
        db.session.commit()
    assert [row[5] for row in rows(alice)[1:]] == [f"t{n}" for n in range(2_499, -1, -1)]


# ---- In words

APP = Path(__file__).parents[3] / "app"
#: Functions that enter an act.
ENTERING = ("audit", "audit_act", "_audit", "_note", "note_account", "enter_download")


def acts_of_the_code() -> set[str]:
    """Every act that is written as it is in a call that enters one."""
    calls = [
        node
        for path in APP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ENTERING
    ]
    given = [value for call in calls for value in (*call.args, *(word.value for word in call.keywords))]
    texts = {value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    return {text for text in texts if re.fullmatch(r"[a-z_]+\.[a-z_]+", text)}


def test_every_act_that_is_entered_has_words() -> None:
    acts = acts_of_the_code()
    assert {"box.added", "tenant.deleted", "user.invited"} <= acts, "they are found at all"
    acts |= {f"{kind}.{act}" for kind in KINDS for act in ("added", "changed", handler_of(kind).removed)}
    unknown = [act for act in acts if act.partition(".")[0] not in THINGS or act.partition(".")[2] not in ACTS]
    assert unknown == [], "say in app/web/audit/audit_words.py what people read"


def test_values_are_told_as_people_say_them(app: Flask, cast: Cast, alice: Browser) -> None:
    after = {
        "enabled": True,
        "order": ["shelf", "cloud"],
        "secret_key": "changed",
        "sent": "for ever",
        "folder": "all",
        "bucket": "",
    }
    before = {"enabled": False, "folder": ""}
    note(app, cast.alpha, cast.alice, "shelf", action="archive_place.changed", before=before, after=after)
    text = " ".join(re.sub(r"<[^>]+>", " ", alice.get("/audit").text).split())
    assert "active: no yes" in text
    for told in (
        "order: shelf, cloud",
        "secret key: a new one",
        "sent files kept for (days): for ever",
        "folder: empty all",
    ):
        assert told in text
    assert "bucket" not in text, "what was empty and is empty is no change"


# ---- Who comes in, looks and takes away


def log_of(app: Flask, tenant_id: int | None, *actions: str) -> list[tuple]:
    with app.app_context():
        query = sa.select(AuditEvent).where(AuditEvent.tenant_id == tenant_id, AuditEvent.action.in_(actions))
        events = db.session.scalars(query.order_by(AuditEvent.id)).all()
        return [(event.user_id, event.action.partition(".")[2], event.target, event.after) for event in events]


SIGN_INS = ("user.signed_in", "user.sign_in_failed", "user.signed_off")


def test_sign_ins_good_and_bad_are_in_the_log_of_the_company(app: Flask, cast: Cast, nobody: Browser) -> None:
    nobody.sign_in("Bob@alpha.test", "a wrong password")
    nobody.sign_in("bob@alpha.test")
    nobody.post("/sign-out")
    browser = {"way": "password", "browser": "Unknown browser"}
    assert log_of(app, cast.alpha, *SIGN_INS) == [
        (None, "sign_in_failed", "bob@alpha.test", {"reason": "password"}),
        (cast.bob, "signed_in", "bob@alpha.test", browser),
        (cast.bob, "signed_off", "bob@alpha.test", None),
    ]
    assert log_of(app, None, *SIGN_INS) == []


def test_a_sign_in_with_no_account_is_in_the_log_of_the_installation_and_a_slip_of_the_field_is_not_named(
    app: Flask, cast: Cast, nobody: Browser
) -> None:
    nobody.sign_in("stranger@evil.test", "x")
    nobody.sign_in("my secret password", "x")
    assert [entry[2] for entry in log_of(app, None, *SIGN_INS)] == ["stranger@evil.test", "?"]


def test_a_fax_that_is_looked_at_is_entered_once_an_hour(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast)
    for _ in range(3):
        assert bob.get(f"/faxes/{fax_id}").status_code == 200
    assert bob.get(f"/faxes/{fax_id}/status").status_code == 200
    assert log_of(app, cast.alpha, "fax.seen") == [(cast.bob, "seen", "#1", None)]


def test_whatever_is_taken_away_is_entered_before_it_leaves(app: Flask, cast: Cast, bob: Browser) -> None:
    first, second = make_fax(app, cast), make_fax(app, cast)
    assert bob.get(f"/faxes/{first}/document.pdf").data.startswith(b"%PDF")
    assert bob.get(f"/faxes/{first}/report.pdf").data.startswith(b"%PDF")
    assert bob.post("/faxes/download", page="/faxes", ids=[second, first]).data.startswith(b"PK")
    taken = ("fax.downloaded", "fax.report_downloaded", "fax.zip_downloaded")
    assert log_of(app, cast.alpha, *taken) == [
        (cast.bob, "downloaded", "#1", None),
        (cast.bob, "report_downloaded", "#1", None),
        (cast.bob, "zip_downloaded", "#1, #2", {"faxes": [1, 2]}),
    ]


def test_what_nobody_may_see_is_neither_given_nor_entered(app: Flask, cast: Cast, charlie: Browser) -> None:
    fax_id = make_fax(app, cast)
    for path in ("", "/document.pdf", "/report.pdf", "/view"):
        assert charlie.get(f"/faxes/{fax_id}{path}").status_code == 404
    assert log_of(app, cast.alpha, "fax.seen", "fax.downloaded", "fax.report_downloaded") == []


def test_the_log_itself_is_not_taken_away_unseen(app: Flask, cast: Cast, alice: Browser) -> None:
    rows(alice, "?action=fax.")
    assert log_of(app, cast.alpha, "audit.downloaded") == [(cast.alice, "downloaded", "CSV", {"action": "fax."})]
