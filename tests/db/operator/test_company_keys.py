"""Documents are sealed with a key of their company, and the installation's keys seal that one."""

import hashlib
import io
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

import app.jobs.running as running
import app.jobs.upkeep.leftovers as leftovers
import app.jobs.upkeep.seal as job
import app.services.documents.company_keys as company_keys
import app.services.documents.sealing as sealing
import app.services.upkeep.backup as backups
import tenants.sealed as sealed_texts
from app.adapters.storage.sealed_files import key_name
from app.adapters.storage.sealed_storage import SealedStorage
from app.cli import _company_keys
from app.config import Settings
from app.errors import PermanentFailure, TemporaryFailure
from app.factory import create_app
from app.models import AuditEvent, CompanyKey, Document, DocumentKind
from app.rules.operator.erasing import begin_erasing
from app.rules.operator.exporting import exported_tables
from app.rules.upkeep.keys import destroy_keys, renew_key
from app.services.documents.documents import storage, store_document
from app.services.documents.sealing import seal_documents
from tenants.db import db, utc_now
from tenants.models import Tenant, User
from tenants.sealed import SealingKeys, reseal_all, sealing_key
from tests.db.ground.test_migrations import FOLDER
from tests.db.upkeep.test_backup import back_up, elsewhere, reopened, restore  # noqa: F401 - the same databases
from tests.web.cast import Cast

LETTER = b"%PDF-1.7 a letter that nobody else may read"


class Killed(BaseException):
    """What comes after it is not done; nothing catches it."""


class Stored(NamedTuple):
    """What a row said, apart from any session: none of these holds a transaction open, which others would wait for."""

    id: str
    storage_key: str
    sealed_with: str | None
    sha256: str
    size: int


def row(session: Session, document_id: str) -> Stored:
    session.rollback()
    document = session.get_one(Document, document_id, populate_existing=True)
    stored = Stored(*(getattr(document, name) for name in Stored._fields))
    session.rollback()
    return stored


def keep(session: Session, tenant_id: int, tmp_path: Path, content: bytes = LETTER) -> Stored:
    file = tmp_path / "letter.pdf"
    file.write_bytes(content)
    document = store_document(
        session, file, tenant_id=tenant_id, kind=DocumentKind.SOURCE, file_type="pdf", name="letter.pdf"
    )
    file.unlink()
    session.commit()
    return row(session, document.id)


def keep_plain(session: Session, tenant_id: int, tmp_path: Path, content: bytes = LETTER) -> Stored:
    """As all were stored before there were keys."""
    stored = keep(session, tenant_id, tmp_path, content)
    storage().inner.write(stored.storage_key, io.BytesIO(content))
    session.execute(sa.update(Document).where(Document.id == stored.id).values(sealed_with=None))
    session.commit()
    return row(session, stored.id)


def lying(app: Flask, stored: Stored) -> bytes:
    return Path(app.config["SETTINGS"].home / "storage" / stored.storage_key).read_bytes()


def read(stored: Stored) -> bytes:
    with storage().open(stored.storage_key) as file:
        return file.read()


def renew(session: Session, tenant_id: int) -> None:
    renew_key(session, session.get_one(Tenant, tenant_id))
    session.rollback()


def run(app: Flask, *words: str):
    return app.test_cli_runner().invoke(args=list(words))


def started_anew(app: Flask) -> Flask:
    return create_app(app.config["SETTINGS"])


def forget(app: Flask) -> None:
    """A minute later."""
    app.extensions["storage"].known._kept.clear()


# ---- Of each company its own


def test_a_document_is_sealed_and_its_row_says_with_what_and_counts_what_it_was(app, session, cast, tmp_path):
    mine, theirs = keep(session, cast.alpha, tmp_path), keep(session, cast.beta, tmp_path)
    assert mine.sealed_with != theirs.sealed_with
    for document in (mine, theirs):
        sealed = lying(app, document)
        assert b"letter" not in sealed and len(sealed) > document.size == len(LETTER)
        assert document.sha256 == hashlib.sha256(LETTER).hexdigest()
        assert key_name(io.BytesIO(sealed)).hex() == document.sealed_with
        assert read(document) == LETTER


def test_a_key_in_another_companys_row_opens_nothing(app, session, cast, tmp_path):
    document = keep(session, cast.alpha, tmp_path)
    content = session.scalar(sa.select(CompanyKey.content).where(CompanyKey.tenant_id == cast.beta))
    session.execute(sa.update(CompanyKey).where(CompanyKey.tenant_id == cast.alpha).values(content=content))
    session.commit()
    forget(app)
    with pytest.raises(PermanentFailure, match="sealing_key_unknown"):
        read(document)
    assert _company_keys()[1] is False


def test_the_key_goes_when_the_company_does_and_a_copy_of_its_files_is_of_no_use(app, session, cast, tmp_path):
    mine, theirs = keep(session, cast.alpha, tmp_path), keep(session, cast.beta, tmp_path)
    copied = lying(app, mine)
    tenant = session.get_one(Tenant, cast.alpha)
    tenant.suspended_at = utc_now()
    begin_erasing(session, tenant, "alpha", by=session.get_one(User, cast.olga), remote_address=None)
    session.commit()
    forget(app)
    assert lying(app, mine) == copied, "its files still lie there"
    with pytest.raises(PermanentFailure, match="sealing_key_unknown"):
        read(mine)
    with pytest.raises(PermanentFailure, match="sealing_key_unknown"):
        keep(session, cast.alpha, tmp_path)
    session.rollback()
    assert read(theirs) == LETTER
    assert session.scalars(sa.select(CompanyKey.tenant_id)).all() == [cast.beta]


def test_no_process_remembers_a_key_for_longer_than_a_minute(app, session, cast, tmp_path, monkeypatch):
    document = keep(session, cast.alpha, tmp_path)
    session.execute(sa.delete(CompanyKey).where(CompanyKey.tenant_id == cast.alpha))
    session.commit()
    assert read(document) == LETTER
    later = time.monotonic() + company_keys.SECONDS
    monkeypatch.setattr(company_keys.time, "monotonic", lambda: later)
    with pytest.raises(PermanentFailure, match="sealing_key_unknown"):
        read(document)
    read_by_others = [kept for _, kept in app.extensions["storage"].known._kept.values() if kept]
    assert read_by_others == []


def test_a_company_takes_its_rows_along_without_its_keys(session, cast):
    assert "company_key" not in {table.name for table in exported_tables(cast.alpha)}


def test_of_a_key_that_is_gone_nothing_is_left_in_the_file_of_the_database(app, session, cast):
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL keeps dead rows until its vacuum")
    kept = session.scalar(sa.text("SELECT content FROM company_key WHERE tenant_id = :id"), {"id": cast.alpha}).encode()
    session.rollback()

    def is_in_the_file() -> bool:
        with db.engine.connect() as connection:
            connection.connection.dbapi_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return kept in Path(db.engine.url.database).read_bytes()

    assert is_in_the_file()
    destroy_keys(session, cast.alpha)
    session.commit()
    assert not is_in_the_file()


# ---- What lay plain before an upgrade


def test_an_upgraded_installation_reads_what_it_had_and_seals_it(app, session, cast, tmp_path, caplog):
    document = keep_plain(session, cast.alpha, tmp_path)
    session.execute(sa.delete(CompanyKey))
    session.commit()
    flask_migrate.stamp(directory=FOLDER)
    flask_migrate.downgrade(directory=FOLDER, revision="0019")
    flask_migrate.upgrade(directory=FOLDER)
    forget(app)
    assert (read(document), row(session, document.id).sealed_with) == (LETTER, None)
    assert lying(app, document) == LETTER
    assert "1 documents were encrypted" in run(app, "seal").output
    assert b"letter" not in lying(app, document) and read(document) == LETTER
    assert key_name(io.BytesIO(lying(app, document))).hex() == row(session, document.id).sealed_with
    assert "0 documents were encrypted" in run(app, "seal").output
    assert read(keep(session, cast.beta, tmp_path)) == LETTER
    with pytest.raises(SystemExit):
        flask_migrate.downgrade(directory=FOLDER, revision="0019")
    assert "Restore the backup made before the upgrade" in caplog.text, "the version before could not read them"
    session.rollback()
    db.drop_all()  # what the way back has left is no database for the next test
    with db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))


def test_what_is_lost_or_changed_is_told_and_left_as_it_is(app, session, cast, tmp_path):
    lost, changed, whole = (keep_plain(session, cast.alpha, tmp_path) for _ in range(3))
    storage().delete(lost.storage_key)
    storage().inner.write(changed.storage_key, io.BytesIO(b"another letter"))
    told = run(app, "seal")
    assert (told.exit_code, "1 documents were encrypted" in told.output) == (1, True)
    assert lost.storage_key in told.output and changed.storage_key in told.output
    assert lying(app, changed) == b"another letter"
    assert read(whole) == LETTER != lying(app, whole)


def test_a_document_whose_time_is_up_while_it_is_sealed_does_not_come_back(app, session, cast, tmp_path, monkeypatch):
    document = keep_plain(session, cast.alpha, tmp_path)
    key, seal_again = document.storage_key, SealedStorage.seal_again

    def overtaken(self: SealedStorage, key: str, **more: str) -> str:
        name = seal_again(self, key, **more)
        with db.engine.begin() as connection:
            connection.execute(sa.delete(Document).where(Document.storage_key == key))
        return name

    monkeypatch.setattr(SealedStorage, "seal_again", overtaken)
    assert seal_documents(math.inf).count == 0
    with pytest.raises((PermanentFailure, TemporaryFailure)):
        storage().open(key)


def test_the_hourly_job_seals_what_lies_plain_and_comes_again_while_there_is_more(
    app, session, cast, tmp_path, monkeypatch
):
    monkeypatch.setattr(running, "application", lambda: app)
    asked: list[str] = []
    monkeypatch.setattr(job, "enqueue", asked.append)
    document = keep_plain(session, cast.alpha, tmp_path)
    monkeypatch.setattr(job, "LONGEST", -1.0)
    job.seal()
    assert (asked, lying(app, document)) == (["seal"], LETTER)
    monkeypatch.setattr(job, "LONGEST", 60.0)
    job.seal()
    assert (asked, row(session, document.id).sealed_with is None) == (["seal"], False)
    assert lying(app, document) != LETTER == read(document)


def test_sealing_stops_when_its_time_is_up_and_goes_on_where_it_was(app, session, cast, tmp_path):
    for _ in range(3):
        keep_plain(session, cast.alpha, tmp_path)
    assert (seal_documents(time.monotonic() - 1).done, seal_documents(math.inf).count) == (False, 3)


# ---- New keys


def test_a_company_gets_a_new_key_while_all_runs(app, session, cast, tmp_path):
    other = started_anew(app)
    before, beside = keep(session, cast.alpha, tmp_path), keep(session, cast.beta, tmp_path)
    untouched = lying(app, beside)
    with other.app_context():
        assert read(before) == LETTER
    told = run(app, "keys", "rotate", "--tenant", "alpha")
    assert (told.exit_code, "1 documents were encrypted" in told.output) == (0, True), told.output
    after = row(session, before.id)
    assert after.sealed_with != before.sealed_with
    assert key_name(io.BytesIO(lying(app, before))).hex() == after.sealed_with
    assert lying(app, beside) == untouched, "another company's is another's"
    with other.app_context():  # it knows the old key only, and asks
        assert read(before) == LETTER
        assert keep(db.session, cast.alpha, tmp_path).sealed_with == after.sealed_with
        db.session.remove()
        db.engine.dispose()
    acts = sa.select(AuditEvent.action).where(AuditEvent.tenant_id == cast.alpha)
    assert session.scalars(acts).all() == ["tenant.key_renewed"]
    assert "There is no company gamma" in run(app, "keys", "rotate", "--tenant", "gamma").output


STEPS = ("before the file", "between file and row", "after the row")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("is_new_key", [False, True])
def test_sealing_that_is_killed_anywhere_loses_nothing_and_goes_on(
    app, session, cast, tmp_path, monkeypatch, step, is_new_key
):
    make = keep if is_new_key else keep_plain
    documents = [make(session, cast.alpha, tmp_path, LETTER + bytes([n])) for n in range(3)]
    if is_new_key:
        renew(session, cast.alpha)
    storage_class, calls = type(storage().inner), []

    def dies(function, *, before: bool):
        def wrapped(*arguments: object, **more: object) -> object:
            calls.append(function)
            if len(calls) == 2 and before:
                raise Killed
            result = function(*arguments, **more)
            if len(calls) == 2:
                raise Killed
            return result

        return wrapped

    with monkeypatch.context() as dying:
        if step == "before the file":
            dying.setattr(storage_class, "write", dies(storage_class.write, before=True))
        else:
            dying.setattr(sealing, "note_sealed", dies(sealing.note_sealed, before=step == "between file and row"))
        with pytest.raises(Killed):
            seal_documents(math.inf)
    session.rollback()
    after = started_anew(app)
    with after.app_context():
        for n, document in enumerate(documents):
            assert read(document) == LETTER + bytes([n])
        assert seal_documents(math.inf).count in (1, 2)
        names = set()
        for n, document in enumerate(documents):
            sealed_with = row(db.session, document.id).sealed_with
            assert read(document) == LETTER + bytes([n])
            assert key_name(io.BytesIO(lying(app, document))).hex() == sealed_with
            names.add(sealed_with)
        assert len(names) == 1
        db.session.remove()
        db.engine.dispose()


def test_the_installations_key_is_changed_while_all_runs(app, session, cast, tmp_path):
    other, document = started_anew(app), keep(session, cast.alpha, tmp_path)
    told = run(app, "keys", "rotate")
    assert (told.exit_code, "2 company_key.content" in told.output) == (0, True), told.output
    file = app.config["SETTINGS"].home / "secrets/FAXROOM_SEALING_KEYS"
    new, old = file.read_text().split(",")
    assert (old, file.stat().st_mode & 0o077) == ("a secret of the tests", 0)
    with other.app_context():  # it runs on, and was told nothing
        renew(db.session, cast.beta)
        later = keep(db.session, cast.beta, tmp_path)
        assert (read(later), read(document)) == (LETTER, LETTER)
        db.session.remove()
        db.engine.dispose()
    forget(app)
    app.config["SEALING_KEYS"] = [sealing_key(new)]
    assert read(document) == LETTER, "the new key alone opens everything"
    forget(app)
    app.config["SEALING_KEYS"] = [sealing_key(old)]
    with pytest.raises(TemporaryFailure, match="storage_down"):
        read(document)
    name, is_well, advice = _company_keys()
    assert (name, is_well) == ("keys of companies", False)
    assert "without it no document can be read" in advice


def _before_the_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(sealed_texts.Path, "rename", kill)


def _before_anything_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(sealed_texts, "_reseal", kill)


def _in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two companies one has it."""
    monkeypatch.setattr(sealed_texts, "RESEAL_BATCH", 1)
    commit, done = Session.commit, []

    def kill(self: Session) -> None:
        commit(self)
        done.append(1)
        if len(done) == 1:
            raise Killed

    monkeypatch.setattr(Session, "commit", kill)


@pytest.mark.parametrize("killed_at", [_before_the_rename, _before_anything_has_it, _in_the_middle])
def test_a_change_of_the_installations_key_that_is_killed_anywhere_loses_nothing(
    app, session, cast, tmp_path, monkeypatch, killed_at
):
    mine, theirs = keep(session, cast.alpha, tmp_path), keep(session, cast.beta, tmp_path)
    with monkeypatch.context() as dying:
        killed_at(dying)
        with pytest.raises(Killed):
            app.config["SEALING_KEYS"].put_in_front()
            reseal_all(db.session, db.metadata)
    session.rollback()
    for _ in range(2):
        after = started_anew(app)
        with after.app_context():
            assert [read(mine), read(theirs)] == [LETTER, LETTER]
            after.config["SEALING_KEYS"].put_in_front()
            reseal_all(db.session, db.metadata)
            first = after.config["SEALING_KEYS"].secrets[0]
            db.session.remove()
            db.engine.dispose()
    forget(app)
    app.config["SEALING_KEYS"] = SealingKeys([first])
    assert read(mine) == LETTER


def test_a_key_that_is_given_by_value_is_the_administrators_to_change(app, tmp_path):
    settings = {"FAXROOM_HOME": str(tmp_path), "SECRET_KEY": "x", "FAXROOM_SEALING_KEYS": "one,two"}
    settings["DATABASE_URL"] = app.config["SETTINGS"].database_url
    given = create_app(Settings.from_environment(settings))
    assert given.config["SEALING_KEYS"].secrets == ("one", "two")
    with given.app_context():
        told = run(given, "keys", "rotate")
    assert (told.exit_code, "is set directly" in told.output) == (1, True), told.output


def test_a_file_of_keys_elsewhere_is_read_again_when_it_changes(app, tmp_path):
    file = tmp_path / "keys"
    file.write_text("one\n")
    settings = Settings.from_environment({"SECRET_KEY": "x", "FAXROOM_SEALING_KEYS_FILE": str(file)})
    keys = SealingKeys(settings.sealing_secrets, settings.sealing_file)
    assert list(keys) == [sealing_key("one")]
    file.write_text("two,one\n")
    assert list(keys) == [sealing_key("two"), sealing_key("one")]
    file.write_text("")
    assert list(keys) == [sealing_key("two"), sealing_key("one")], "an editor is writing it at this moment"
    app.config["SEALING_KEYS"] = keys
    with app.app_context():
        told = run(app, "keys", "rotate")
    assert (told.exit_code, "does not change" in told.output, file.read_text()) == (1, True, "")


# ---- Backups


@pytest.fixture
def renewed_meanwhile(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each company gets a new key, and its documents are sealed with it, when the database has been copied."""
    documents = backups._Writer._documents

    def later(self: backups._Writer, contents: backups._Contents) -> None:
        renew(db.session, cast.alpha)
        assert seal_documents(math.inf).count == 2
        documents(self, contents)

    monkeypatch.setattr(backups._Writer, "_documents", later)
    yield


@pytest.mark.usefixtures("renewed_meanwhile")
def test_a_backup_during_which_keys_were_changed_opens_with_the_keys_that_it_holds(
    app,
    session,
    cast,
    tmp_path,
    elsewhere,  # noqa: F811
):
    kept = [keep(session, cast.alpha, tmp_path), keep_plain(session, cast.alpha, tmp_path)]
    app.config["SEALING_KEYS"].put_in_front()
    back_up(app, tmp_path / "backup")
    for file in (tmp_path / "backup/storage").rglob("*.pdf"):
        assert b"letter" not in file.read_bytes(), "what lay plain is sealed in it too"
    done = restore(tmp_path / "backup", tmp_path / "new", **elsewhere)
    assert done.returncode == 0, done.stderr
    restored = reopened(tmp_path / "new", elsewhere)
    with restored.app_context():
        assert [read(one) for one in kept] == [LETTER, LETTER]
        assert _company_keys()[1]
        db.session.remove()
        db.engine.dispose()


def test_a_document_that_cannot_be_opened_is_told_by_a_backup_and_kept_as_it_lies(app, session, cast, tmp_path):
    document = keep(session, cast.alpha, tmp_path)
    damaged = lying(app, document)[:-1]
    storage().inner.write(document.storage_key, io.BytesIO(damaged))
    assert f"not what was stored: {document.storage_key}" in back_up(app, tmp_path / "backup").output
    assert (tmp_path / "backup/storage" / document.storage_key).read_bytes() == damaged


# ---- What programs read


def test_what_a_killed_program_read_goes_after_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers.tempfile, "gettempdir", lambda: str(tmp_path))
    old, young, strange = (tmp_path / name for name in ("faxroom-plain-a.tif", "faxroom-plain-b.tif", "other-a.tif"))
    folders = [tmp_path / "faxroom-prepare-a", tmp_path / "faxroom-prepare-b"]
    for file in (old, young, strange, *(folder / "fax.pdf" for folder in folders)):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(LETTER)
    day_before = time.time() - 90000
    for path in (old, strange, *(folder / "fax.pdf" for folder in folders), folders[0]):
        os.utime(path, (day_before, day_before))
    leftovers.remove_leftovers()
    assert {path.name for path in tmp_path.iterdir()} == {young.name, strange.name, folders[1].name}
