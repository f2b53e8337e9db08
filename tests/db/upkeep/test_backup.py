"""bin/faxroom backup and restore: what runs here is there afterwards, and it keeps silent until somebody has looked."""

import io
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

import app.jobs.mail2fax.collectors as collect
import app.jobs.outbox.notify as notify
import app.jobs.running as running
from app.adapters.storage.storage import storage_from_url
from app.config import Settings
from app.errors import TemporaryFailure
from app.factory import create_app
from app.models import Document, DocumentKind, Fax, FaxEntity, Hold, Notice, Status
from app.rules.ground.holding import held_since
from app.rules.receiving.receiving import begin_receiving, finish_receiving
from app.rules.sending.results import CallFacts
from app.rules.words.sentences import in_language, story
from app.services.documents.documents import storage, store_document
from tenants.db import db, utc_now
from tenants.models import User
from tests.db.bucket_server import ACCESS_KEY, REGION, SECRET_KEY, BucketServer
from tests.db.faxes import claim, dial, make_ready, reread, submit

RESTORE = Path(__file__).parents[3] / "bin/lib/restore.py"


def back_up(app, folder: Path):
    done = app.test_cli_runner().invoke(args=["backup", str(folder)])
    assert done.exit_code == 0, done.output
    return done


def restore(folder: Path, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """With this machine's Python and nothing installed, as on a new machine."""
    told = {"PATH": os.environ["PATH"], "FAXROOM_HOME": str(home), **environment}
    command = ["/usr/bin/python3", "-I", str(RESTORE), str(folder)]
    return subprocess.run(command, env=told, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def elsewhere(app) -> Iterator[dict[str, str]]:
    """Where the restored database goes, for the environment."""
    if db_url := os.environ.get("TEST_DATABASE_URL"):
        url = sa.make_url(db_url)
        admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE IF EXISTS restored WITH (FORCE)")
            connection.exec_driver_sql("CREATE DATABASE restored")
        yield {"DATABASE_URL": url.set(database="restored").render_as_string(hide_password=False)}
        with admin.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE IF EXISTS restored WITH (FORCE)")
        admin.dispose()
    else:
        yield {}


def reopened(home: Path, elsewhere: dict[str, str]):
    """The application of the restored home, with what the restore wrote for bin/faxroom."""
    lines = (home / "faxroom.env").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines) | elsewhere
    assert "SECRET_KEY" not in environment
    return create_app(Settings.from_environment({**environment, "REDIS_URL": "redis://127.0.0.1:23999/0"}))


def keep(session, cast, content: bytes, tmp_path: Path) -> Document:
    file = tmp_path / "letter.pdf"
    file.write_bytes(content)
    return store_document(
        session, file, tenant_id=cast.alpha, kind=DocumentKind.SOURCE, file_type="pdf", name="letter.pdf", pages=2
    )


def make_astdb(home: Path) -> None:
    (home / "asterisk/lib").mkdir(parents=True)
    connection = sqlite3.connect(home / "asterisk/lib/astdb.sqlite3")
    connection.execute("CREATE TABLE astdb (key VARCHAR(256), value VARCHAR(256), PRIMARY KEY(key))")
    connection.execute("INSERT INTO astdb VALUES ('/fax/ab/fax-1-1', 'ended|1')")
    connection.commit()
    connection.close()


def test_what_was_there_is_there_again_on_a_machine_that_has_nothing(app, session, cast, spool, tmp_path, elsewhere):
    home = tmp_path
    document = keep(session, cast, b"%PDF-1.7 a letter", tmp_path)
    fax_id, key = submit(session, cast, document=document).id, document.storage_key
    make_astdb(home)
    for name, content in {
        "asterisk/spool/faxroom/incoming/1764.7.tif": "pages that nobody has taken over",
        "asterisk/spool/faxroom/answered/fax-1-1": "it may have sent a page",
        "asterisk/etc/local/pjsip.conf": "; the provider's",
        "archives/alpha/2026/letter.pdf": "an archived copy",
        "mailserver": "smtps://fax:secret@mail.example",
        "given.env": f"SMTP_URL_FILE={home}/mailserver\nFAXROOM_ARCHIVES={home}/archives\nFAXROOM_LINE_LIMIT=7\n",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    backup, new = tmp_path / "backups/monday", tmp_path / "new"
    told = back_up(app, backup)
    assert "1 documents" in told.output
    private = (backup, *(path for path in backup.rglob("*") if path.is_file()))
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)
    assert (backup.parent / ".monday.unfinished").exists() is False

    done = restore(backup, new, **elsewhere)
    assert done.returncode == 0, done.stderr
    assert (new / "asterisk/spool/faxroom/incoming/1764.7.tif").read_text() == "pages that nobody has taken over"
    assert (new / "asterisk/spool/faxroom/answered/fax-1-1").exists()
    assert (new / "asterisk/etc/local/pjsip.conf").read_text() == "; the provider's"
    assert (new / "archives/alpha/2026/letter.pdf").read_text() == "an archived copy"
    astdb = sqlite3.connect(new / "asterisk/lib/astdb.sqlite3")
    assert astdb.execute("SELECT value FROM astdb").fetchall() == [("ended|1",)]
    astdb.close()
    restored = reopened(new, elsewhere)
    settings = restored.config["SETTINGS"]
    assert settings.smtp_url == "smtps://fax:secret@mail.example"
    assert (settings.secret_key, settings.line_limit) == ("a secret of the tests", 7)
    assert (settings.home, settings.archives) == (new, new / "archives")
    with restored.app_context():
        assert db.session.get_one(Fax, fax_id).status == Status.ACCEPTED
        assert held_since(db.session) is not None
        with storage().open(key) as stored:
            assert stored.read() == b"%PDF-1.7 a letter"
        db.session.remove()
        db.engine.dispose()
    assert held_since(session) is None, "the original goes on"


def test_documents_are_restored_into_an_empty_bucket_and_into_no_other(
    app, session, cast, tmp_path, elsewhere, monkeypatch
):
    key = keep(session, cast, b"%PDF-1.7 a letter", tmp_path).storage_key
    session.commit()
    back_up(app, tmp_path / "backup")
    server = BucketServer()
    there = {"AWS_ENDPOINT": server.url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": REGION}
    there |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    url = {"STORAGE_URL": "s3://kept/faxes"}
    try:
        done = restore(tmp_path / "backup", tmp_path / "new", **elsewhere, **there, **url)
        assert done.returncode == 0, done.stderr
        assert list(server.objects) == [f"/kept/faxes/{key}"]
        assert b"a letter" not in server.objects[f"/kept/faxes/{key}"]
        for name, value in there.items():
            monkeypatch.setenv(name, value)
        restored = reopened(tmp_path / "new", elsewhere)
        with restored.app_context(), storage().open(key) as stored:
            assert stored.read() == b"%PDF-1.7 a letter"
            db.engine.dispose()
        assert "STORAGE_URL=s3://kept/faxes" in (tmp_path / "new/restored.env").read_text()
        if not elsewhere:  # else the database is not empty either, and that is said first
            again = restore(tmp_path / "backup", tmp_path / "another", **there, **url)
            assert (again.returncode, "s3://kept/faxes is not empty" in again.stderr) == (1, True)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        with pytest.raises(TemporaryFailure):
            storage_from_url(url["STORAGE_URL"]).open(key)
    finally:
        server.shutdown()
        server.server_close()


def test_a_backup_in_which_one_bit_differs_touches_nothing(app, session, cast, tmp_path, elsewhere):
    keep(session, cast, b"%PDF-1.7 a letter", tmp_path)
    session.commit()
    backup, new = tmp_path / "backup", tmp_path / "new"
    back_up(app, backup)
    (file,) = (backup / "storage").rglob("*.pdf")
    written = file.read_bytes()
    for content, words in (
        (written[:-1] + bytes([written[-1] ^ 1]), "is not what was written"),
        (None, "is missing"),
        (written, ""),
    ):
        file.unlink() if content is None else file.write_bytes(content)
        done = restore(backup, new, **elsewhere)
        if words:
            assert (done.returncode, new.exists()) == (1, False)
            assert words in done.stderr and file.name in done.stderr
    assert done.returncode == 0, done.stderr


def test_a_backup_with_another_list_or_another_file_touches_nothing(app, session, cast, tmp_path, elsewhere):
    backup, new = tmp_path / "backup", tmp_path / "new"
    back_up(app, backup)
    added = backup / "secrets/ADDED"
    added.write_text("x")
    assert "does not belong there" in restore(backup, new, **elsewhere).stderr
    added.unlink()
    with (backup / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  more\n")
    assert "SHA256SUMS is not what was written" in restore(backup, new, **elsewhere).stderr
    (backup / "manifest.json").write_text("{")
    assert "is no backup, or not a whole one" in restore(backup, new, **elsewhere).stderr
    assert not new.exists()


def test_nothing_is_restored_over_something(app, session, cast, tmp_path, elsewhere):
    backup, new = tmp_path / "backup", tmp_path / "new"
    back_up(app, backup)
    new.mkdir()
    (new / "faxroom.sqlite3").write_text("another installation")
    done = restore(backup, new, **elsewhere)
    assert (done.returncode, "is not empty" in done.stderr) == (1, True)
    assert [path.name for path in new.iterdir()] == ["faxroom.sqlite3"]
    if elsewhere:
        original = {"DATABASE_URL": os.environ["TEST_DATABASE_URL"]}
        assert "The database is not empty" in restore(backup, tmp_path / "other", **original).stderr


def test_a_second_backup_does_not_go_over_the_first(app, session, cast, tmp_path):
    back_up(app, tmp_path / "backup")
    again = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "backup")])
    assert again.exit_code == 1
    assert "already exists" in again.output


def test_a_backup_that_fails_leaves_nothing_behind(app, session, cast, tmp_path, monkeypatch):
    keep(session, cast, b"%PDF-1.7", tmp_path)
    session.commit()
    (tmp_path / "storage").rename(tmp_path / "unmounted")
    (tmp_path / "storage").mkdir()
    done = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "to/backup")])
    assert done.exit_code == 1
    assert "The storage does not answer" in done.output
    assert list((tmp_path / "to").iterdir()) == []


def test_a_document_that_is_lost_is_told_and_the_rest_is_kept(app, session, cast, tmp_path):
    lost, altered, removed = (keep(session, cast, content, tmp_path) for content in (b"one", b"two", b"three"))
    removed.removed_at = utc_now()
    session.commit()
    for document in (lost, removed):
        storage().delete(document.storage_key)
    storage().write(altered.storage_key, io.BytesIO(b"2"))
    done = back_up(app, tmp_path / "backup")
    assert f"not in the storage: {lost.storage_key}" in done.output
    assert f"not what was stored: {altered.storage_key}" in done.output
    assert removed.storage_key not in done.output
    manifest = json.loads((tmp_path / "backup/manifest.json").read_text())
    assert (manifest["missing"], manifest["changed"]) == ([lost.storage_key], [altered.storage_key])


def test_received_pages_are_in_the_spool_or_in_the_database_of_a_backup_never_in_both(
    app, session, cast, spool, tmp_path
):
    """Their import may fall between the two; half of them would be told as a stranger's call afterwards."""
    entity = session.get_one(FaxEntity, cast.frontdesk)
    for channel in ("1764.1", "1764.2"):
        (spool / f"{channel}.tif").write_text("pages")
        begin_receiving(session, entity, node="asterisk", channel_id=channel, caller="+39501234567", limits=None)
    imported = session.scalars(sa.select(Fax).order_by(Fax.id)).first()
    finish_receiving(session, imported, CallFacts("dropped", answered_at=1764.0))
    session.commit()
    back_up(app, tmp_path / "backup")
    assert [path.name for path in (tmp_path / "backup/spool/incoming").iterdir()] == ["1764.2.tif"]


# ---- The hold


def hold(session, *, minutes: float = 0) -> None:
    session.add(Hold(since=utc_now() - timedelta(minutes=minutes)))
    session.commit()


def test_nothing_is_dialled_before_somebody_has_said_so(app, session, cast):
    before = make_ready(session, submit(session, cast)).id
    session.execute(sa.update(Fax).values(created_at=utc_now() - timedelta(hours=1)))
    hold(session, minutes=1)
    after = make_ready(session, submit(session, cast)).id
    assert claim(session) == []
    with app.test_request_context(), in_language("en"):
        assert "restored from a backup" in story(reread(session, after))
    no = app.test_cli_runner().invoke(args=["restored"], input="n")
    assert (no.exit_code, claim(session)) == (1, [])
    yes = app.test_cli_runner().invoke(args=["restored"], input="y")
    assert yes.exit_code == 0 and before in yes.output and after not in yes.output
    session.expire_all()
    assert reread(session, before).status == Status.UNKNOWN
    assert [attempt.fax_id for attempt in claim(session)] == [after]


def test_what_became_due_while_it_was_held_goes_out_afterwards(app, session, cast):
    hold(session, minutes=60)
    due = make_ready(session, submit(session, cast))
    due.created_at, due.status = utc_now() - timedelta(hours=5), Status.SCHEDULED
    due.due_at = utc_now() - timedelta(minutes=30)
    session.commit()
    assert claim(session) == []
    assert app.test_cli_runner().invoke(args=["restored"]).exit_code == 0
    assert [attempt.fax_id for attempt in claim(session)] == [due.id]


def test_a_call_whose_result_asterisk_kept_is_no_doubt_any_more(app, session, cast):
    from app.rules.sending.results import record_result

    attempt = dial(session, cast)
    session.execute(sa.update(Fax).values(created_at=utc_now() - timedelta(hours=1)))
    hold(session)
    fax_id = attempt.fax_id
    record_result(session, attempt.channel_id, CallFacts("success", pages=2, answered_at=utc_now().timestamp()))
    assert "No fax was under way" in app.test_cli_runner().invoke(args=["restored"]).output
    assert reread(session, fax_id).status == Status.SENT


def test_no_mail_leaves_and_no_box_is_collected_meanwhile(app, session, cast, monkeypatch):
    monkeypatch.setattr(running, "application", lambda: app)
    sent: list[object] = []
    monkeypatch.setattr(notify, "send_mail", lambda url, message: sent.append(message))
    monkeypatch.setattr(collect, "boxes_to_collect", lambda session: pytest.fail("a box is looked for"))
    user = session.get_one(User, cast.bob)
    notice = Notice(
        tenant_id=cast.alpha, user_id=user.id, kind="alert", recipient=user.email, language="en", message_id="<1@x>"
    )
    session.add(notice)
    session.flush()
    notice_id = notice.id
    hold(session)
    notify.deliver(notice_id)
    collect.Collectors(app).tick()
    session.expire_all()
    assert (sent, notice.tries, notice.sent_at) == ([], 0, None)


def test_doctor_says_that_it_is_held(app, session, cast):
    assert "ok    hold" in app.test_cli_runner().invoke(args=["doctor"]).output
    hold(session)
    assert "bin/faxroom restored" in app.test_cli_runner().invoke(args=["doctor"]).output
