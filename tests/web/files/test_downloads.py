"""The fax log as files: what the filters find, whole, and to go on with where it broke off."""

import csv
import io
import shutil
import subprocess
import threading
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import AuditEvent, Direction, Document, Fax, FaxEntity, Status
from app.rules.log import log_rows
from app.rules.log.log import Filters
from app.web.files.downloads import csv_rows
from app.web.site.zip_stream import ZipStream
from tenants.db import db, utc_now
from tenants.models import Role, User
from tests.web.cast import Browser, Cast, make_fax, pdf_bytes, receive_fax

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def rows_of(browser: Browser, query: str = "direction=sent") -> list[dict[str, str]]:
    answer = browser.get(f"/faxes/log.csv?{query}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


def archive_of(browser: Browser, query: str = "direction=sent") -> zipfile.ZipFile:
    answer = browser.get(f"/faxes/log.zip?{query}")
    assert answer.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(answer.data))
    assert archive.testzip() is None
    return archive


def numbers(rows: list[dict[str, str]]) -> list[int]:
    return [int(row["No."]) for row in rows]


def fill(app: Flask, cast: Cast, count: int) -> list[str]:
    """Sent faxes a minute apart, the last one the newest."""
    ids = [make_fax(app, cast) for _ in range(count)]
    with app.app_context():
        for n, fax_id in enumerate(ids):
            at = AT + timedelta(minutes=n)
            db.session.execute(sa.update(Fax).where(Fax.id == fax_id).values(created_at=at, finished_at=at))
        db.session.commit()
    return ids


# ---- CSV


def test_a_row_says_what_the_fax_module_says(app: Flask, cast: Cast, alice: Browser):
    (fax_id,) = fill(app, cast, 1)
    (row,) = rows_of(alice)
    assert row == {
        "No.": "1",
        "Direction": "Sent",
        "Status": "Sent",
        "Submitted or received": "2026-11-23 09:30:00+01:00",
        "Finished": "2026-11-23 09:30:00+01:00",
        "Line": "frontdesk",
        "Extension": "501",
        "Own number": "'+390509655637",
        "Other number": "'+390501234567",
        "Sender's fax ID": "",
        "Sent by": "Bob",
        "Sender's address": "bob@alpha.test",
        "Document": "letter.pdf",
        "Pages": "2",
        "Pages confirmed": "2",
        "Attempts": "0",
        "Cause": "",
        "ID": fax_id,
    }


def test_the_filters_of_the_list_hold(app: Flask, cast: Cast, alice: Browser):
    fill(app, cast, 3)
    make_fax(app, cast, status=Status.FAILED, cause="busy", search_text="busy one")
    receive_fax(app, cast)
    assert sorted(numbers(rows_of(alice))) == [1, 2, 3, 4]
    assert numbers(rows_of(alice, "direction=sent&status=failed")) == [4]
    assert numbers(rows_of(alice, "direction=received")) == [5]
    assert numbers(rows_of(alice, "direction=sent&until=2026-11-23&status=sent&since=2026-11-23")) == [3, 2, 1]
    assert numbers(rows_of(alice, f"direction=sent&entity={cast.archive}")) == []
    assert numbers(rows_of(alice, "direction=sent&q=one")) == [4]
    assert rows_of(alice, "direction=sent&status=failed")[0]["Cause"] == "The line was busy."


def test_every_row_comes_once_however_it_falls_into_batches(app, cast, alice, monkeypatch):
    fill(app, cast, 7)
    with app.app_context():  # two at the very same time
        db.session.execute(sa.update(Fax).where(Fax.number.in_([3, 4])).values(created_at=AT + timedelta(minutes=2)))
        db.session.commit()
    for size in (1, 2, 3, 7, 8):
        monkeypatch.setattr(log_rows.read_rows, "__kwdefaults__", {"size": size})
        assert sorted(numbers(rows_of(alice))) == [1, 2, 3, 4, 5, 6, 7]


def test_a_download_goes_on_with_the_fax_where_it_broke_off(app: Flask, cast: Cast, alice: Browser):
    fill(app, cast, 5)
    assert numbers(rows_of(alice, "direction=sent&from=3")) == [3, 2, 1]
    assert numbers(rows_of(alice, "direction=sent&from=%233")) == [3, 2, 1]
    page = alice.get("/faxes/download?direction=sent&from=77")
    assert page.status_code == 422
    assert "no fax with the number 77" in page.text


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("from=77", "This list has no fax with the number 77."),
        ("from=abc", "This list has no fax with the number abc."),
        ("status=nonsense", "No such status"),
        ("since=2026-99-99", "“2026-99-99” is not a date"),
        ("entity=999", "No such line"),
    ],
)
def test_what_cannot_be_read_begins_no_download_and_is_told_beside_what_was_typed(
    app: Flask, cast: Cast, alice: Browser, query: str, told: str
):
    fill(app, cast, 1)
    for ending in ("csv", "zip"):
        answer = alice.get(f"/faxes/log.{ending}?direction=sent&q=letter&{query}")
        assert answer.status_code == 303
        place = answer.headers["Location"]
        assert place == f"/faxes/download?direction=sent&q=letter&{query}"
        page = alice.get(place)
        assert told in page.text
        if query.startswith("from"):
            assert page.status_code == 422
            assert f'name="from" class="mono settings-number" inputmode="numeric" value="{query[5:]}"' in page.text
    with app.app_context():
        assert db.session.query(AuditEvent).filter_by(action="log.downloaded").count() == 0


def test_no_cell_is_run_by_a_spreadsheet(app: Flask, cast: Cast, alice: Browser):
    make_fax(app, cast, name='=HYPERLINK("http://evil.test")', remote_station_id="@SUM(1)", remote_number="0501234567")
    with app.app_context():
        db.session.get_one(User, cast.bob).name = "-2+3"
        db.session.get_one(FaxEntity, cast.frontdesk).extension = "0501"
        db.session.commit()
    (row,) = rows_of(alice)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())
    assert row["Extension"] == "'0501", "a leading 0 is not lost"
    assert row["Other number"] == "'0501234567"


def test_only_administrators_of_the_company_download_and_it_is_audited(app, cast, alice, bob, charlie, olga):
    fill(app, cast, 1)
    for path in ("/faxes/download", "/faxes/log.csv", "/faxes/log.zip"):
        for other in (bob, charlie, olga):
            assert other.get(path).status_code == 404
    with app.app_context():
        db.session.get_one(User, cast.charlie).role = Role.ADMIN
        db.session.commit()
    assert rows_of(charlie) == []
    assert numbers(rows_of(alice, f"direction=sent&status=sent&entity={cast.frontdesk}&from=1")) == [1]
    with app.app_context():
        told = [(event.user_id, event.action, event.after) for event in db.session.scalars(sa.select(AuditEvent))]
    asked = {"direction": "sent", "status": "sent", "entity": "frontdesk", "from": "1"}
    assert (cast.alice, "log.downloaded", asked) in told


def test_who_is_no_administrator_any_more_gets_no_more_of_a_download(app, cast, monkeypatch):
    fill(app, cast, 4)
    monkeypatch.setattr(log_rows.read_rows, "__kwdefaults__", {"size": 1})
    rows = csv_rows(app, cast.alice, "en", Filters(Direction.SENT), None)
    assert [next(rows)[0], next(rows)[0]] == [4, 3]
    with app.app_context():
        db.session.get_one(User, cast.alice).role = Role.USER
        db.session.commit()
    assert list(rows) == []


# ---- ZIP


def test_the_archive_has_each_document_and_report_by_month(app: Flask, cast: Cast, alice: Browser, monkeypatch):
    monkeypatch.setattr("app.services.sending.reports.print_pdf", lambda _html: b"%PDF a report")
    fill(app, cast, 2)
    archive = archive_of(alice)
    name = "2026-11/F0509655637_T00501234567_2026-11-23_09_3"
    documents = [f"{name}1_00_2.pdf", f"{name}0_00_1.pdf"]
    reports = [text.replace(".pdf", "_report.pdf") for text in documents]
    assert archive.namelist() == [documents[0], reports[0], documents[1], reports[1]]
    assert archive.read(documents[0]) == pdf_bytes(2)
    assert archive.read(reports[1]) == b"%PDF a report"
    dates = {entry.filename: entry.date_time for entry in archive.infolist()}
    assert dates[documents[0]] == dates[reports[0]] == (2026, 11, 23, 9, 31, 0), "of the fax, where the company is"
    assert dates[documents[1]] == (2026, 11, 23, 9, 30, 0)
    again = archive_of(alice)
    assert [again.read(name) for name in again.namelist()] == [archive.read(name) for name in archive.namelist()]


def test_an_archive_goes_on_with_the_fax_where_it_broke_off(app, cast, alice):
    for _ in range(3):
        receive_fax(app, cast)
    assert len(archive_of(alice, "direction=received").namelist()) == 3
    assert [name[-6:] for name in archive_of(alice, "direction=received&from=2").namelist()] == ["_2.pdf", "_1.pdf"]


def test_what_is_missing_stands_in_a_note_and_the_rest_is_there(app: Flask, cast: Cast, alice: Browser):
    receive_fax(app, cast)
    broken, removed = receive_fax(app, cast), receive_fax(app, cast)
    with app.app_context():
        document = db.session.get_one(Fax, broken).pdf
        app.extensions["storage"].delete(db.session.get_one(Document, document.id).storage_key)
        gone = {"pdf_id": None, "files_removed_at": utc_now(), "files_kept_days": 90}
        db.session.execute(sa.update(Fax).where(Fax.id == removed).values(**gone))
        db.session.commit()
    archive = archive_of(alice, "direction=received")
    *files, note = archive.namelist()
    assert [name[-6:] for name in files] == ["_1.pdf"]
    text = archive.read(note).decode()
    assert "could not be read" in text and "deleted after 90 days" in text


def test_an_archive_of_nothing_is_an_archive(cast: Cast, alice: Browser):
    assert archive_of(alice).namelist() == []


def test_more_files_and_bytes_than_the_old_form_holds(tmp_path):
    """ZIP64: 66,000 files, the last ones beyond 4 GB. The bytes between are left out: only places count."""
    path, archive, at = tmp_path / "large.zip", ZipStream(), datetime(2026, 11, 23, 9, 30)
    with path.open("wb") as target:
        for n in range(66_000):
            if n == 65_990:
                target.seek(5_000_000_000 - archive.offset, io.SEEK_CUR)
                archive.offset = 5_000_000_000
            for chunk in archive.add(f"{n}.txt", io.BytesIO(b"%d" % n), at):
                target.write(chunk)
        for chunk in archive.close():
            target.write(chunk)
    with zipfile.ZipFile(path) as read:
        assert len(read.namelist()) == 66_000
        assert read.read("65995.txt") == b"65995"
        assert read.read("7.txt") == b"7"
        assert read.getinfo("7.txt").date_time == (2026, 11, 23, 9, 30, 0)
    if unzip := shutil.which("unzip"):
        subprocess.run([unzip, "-tqq", path, "65999.txt", "0.txt"], check=True, capture_output=True)


# ---- Many at a time


class Slow:
    """A download that has begun, in a thread of the server as each has one, and goes on when it is told to end."""

    def __init__(self, browser: Browser, path: str, *, to_the_end: bool = True) -> None:
        self.browser, self.path, self.to_the_end = browser, path, to_the_end
        self.begun, self.goes_on, self.status = threading.Event(), threading.Event(), 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.begun.wait(100)

    def _run(self) -> None:
        answer = self.browser.client.get(self.path, buffered=False)
        self.status = answer.status_code
        self.begun.set()
        self.goes_on.wait(200)
        if self.to_the_end:
            list(answer.response)
        else:
            answer.close()

    def end(self) -> None:
        self.goes_on.set()
        self.thread.join(100)


@pytest.mark.parametrize("ending", ["csv", "zip"])
def test_downloads_leave_the_web_to_the_pages_and_one_company_leaves_them_to_another(app, cast, alice, charlie, ending):
    with app.app_context():
        db.session.get_one(User, cast.charlie).role = Role.ADMIN
        db.session.commit()
    path = f"/faxes/log.{ending}?direction=sent"
    slow = [Slow(alice, path, to_the_end=False), Slow(alice, path)]
    assert [download.status for download in slow] == [200, 200]
    refused = alice.get(path)
    assert refused.status_code == 503 and refused.headers["Retry-After"]
    assert "Too many downloads at the moment" in refused.text
    assert alice.get("/faxes/download").status_code == 200
    assert charlie.get(path).status_code == 200
    for download in slow:  # the first one breaks off, the second one comes to its end
        download.end()
        assert alice.get(path).status_code == 200
        assert alice.get(path).status_code == 200, "one that is over has given its turn back"


def test_the_audit_log_and_chosen_faxes_take_their_turn_like_the_rest(app: Flask, cast: Cast, alice: Browser):
    fill(app, cast, 1)
    with app.app_context():
        fax_id = db.session.scalar(sa.select(Fax.id))
    asked = (lambda: alice.get("/audit/log.csv"), lambda: alice.post("/faxes/download", ids=[fax_id]))
    slow = [Slow(alice, "/audit/log.csv", to_the_end=False), Slow(alice, "/faxes/log.csv?direction=sent")]
    assert [download.status for download in slow] == [200, 200]
    for ask in asked:
        refused = ask()
        assert refused.status_code == 503 and refused.headers["Retry-After"]
        assert "Too many downloads at the moment" in refused.text
    for download in slow:
        download.end()
    for _again in range(3):
        assert [ask().status_code for ask in asked] == [200, 200], "one that is over has given its turn back"


def test_a_download_waits_for_nobody_who_writes(app: Flask, cast: Cast):
    fill(app, cast, 3)
    rows = csv_rows(app, cast.alice, "en", Filters(Direction.SENT), None)
    with app.app_context():
        db.session.execute(sa.update(Fax).values(pages=9))  # takes SQLite's one write lock
        assert [row[0] for row in rows] == [3, 2, 1]
        db.session.rollback()
