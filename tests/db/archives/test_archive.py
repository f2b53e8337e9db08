"""Copies for archives: owed with the end of a fax, made by the job, given up never."""

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session, joinedload

import app.jobs.running as running
from app.adapters.storage.archive_places import FolderPlace
from app.adapters.storage.sealed_files import HEAD, PIECE, TAG, seal, sealed_size, unseal
from app.errors import PermanentFailure, TemporaryFailure
from app.jobs.upkeep import archive as job
from app.models import ArchiveCopy, ArchivePlace, Fax, Status
from app.rules.archives.archive import LATE, delay_after, late_places, owed_by_place, stale_copies
from app.rules.sending.lifecycle import move
from app.services.archives.archiving import open_place, try_place, unsealed
from tenants.db import utc_now
from tenants.models import Tenant
from tests.db.bucket_server import ACCESS_KEY, SECRET_KEY, BucketServer
from tests.web.cast import Cast, make_fax, pdf_bytes, receive_fax

KEY = b"k" * 44


@pytest.fixture
def jobs(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in this very application."""
    monkeypatch.setattr(running, "application", lambda: app)


@pytest.fixture
def buckets(app: Flask) -> Iterator[BucketServer]:
    object.__setattr__(app.config["SETTINGS"], "private_hosts", ("127.0.0.0/8",))
    server = BucketServer()
    yield server
    server.shutdown()
    server.server_close()


def add_place(session: Session, cast: Cast, name: str = "shelf", **values: object) -> ArchivePlace:
    values = {"kind": "folder", "encrypted": False, "tenant_id": cast.alpha, "folder": "faxes"} | values
    place = ArchivePlace(name=name, **values)
    session.add(place)
    session.commit()
    return place


def add_bucket(session: Session, cast: Cast, buckets: BucketServer, **values: object) -> ArchivePlace:
    server = {"kind": "s3", "endpoint": buckets.url, "bucket": "faxes", "folder": "alpha"}
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    return add_place(session, cast, **{"name": "cloud"} | server | keys | values)


def end(session: Session, fax_id: str, status: Status = Status.SENT) -> None:
    assert move(session, fax_id, status)
    session.commit()
    session.expire_all()


def copies(session: Session) -> list[ArchiveCopy]:
    session.rollback()
    session.expire_all()
    return list(session.scalars(sa.select(ArchiveCopy).options(joinedload(ArchiveCopy.place)).order_by(ArchiveCopy.id)))


def run(session: Session, work: Callable[[object], None], row_id: object) -> None:
    """In a transaction of its own, as a worker does."""
    session.rollback()
    work(row_id)


def make_due(session: Session) -> None:
    session.execute(sa.update(ArchiveCopy).values(due_at=utc_now() - timedelta(seconds=1)))
    session.commit()


def files(app: Flask) -> list[str]:
    root = app.config["SETTINGS"].archives
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


# ---- What is owed


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        (Status.SENT, {"sent", "reports"}),
        (Status.UNKNOWN, {"sent", "reports"}),
        (Status.FAILED, {"reports"}),
        (Status.CANCELLED, {"reports"}),
    ],
)
def test_the_end_of_a_sent_fax_owes_its_file_and_its_report(app, cast, session, status, kinds):
    add_place(session, cast)
    fax_id = make_fax(app, cast, status=Status.SENDING)
    assert copies(session) == []
    end(session, fax_id, status)
    assert {copy.kind for copy in copies(session)} == kinds


def test_a_received_fax_owes_its_file_and_a_call_without_pages_nothing(app, cast, session):
    add_place(session, cast)
    with_pages = receive_fax(app, cast, status=Status.RECEIVING)
    without = make_fax(app, cast, direction="received", status=Status.RECEIVING, pdf_id=None, source_id=None)
    end(session, with_pages, Status.RECEIVED)
    end(session, without, Status.INCOMPLETE)
    assert [(copy.fax_id, copy.kind) for copy in copies(session)] == [(with_pages, "received")]


def test_what_is_rolled_back_owes_nothing(app, cast, session):
    add_place(session, cast)
    fax_id = make_fax(app, cast, status=Status.SENDING)
    assert move(session, fax_id, Status.SENT)
    session.rollback()
    assert copies(session) == []


def test_every_place_that_is_on_and_keeps_such_files_is_owed_one_and_no_other_company(app, cast, session):
    add_place(session, cast, "first")
    add_place(session, cast, "second", keeps_reports=False)
    add_place(session, cast, "off", enabled=False)
    add_place(session, cast, "beta's", tenant_id=cast.beta)
    fax_id = make_fax(app, cast, status=Status.SENDING)
    end(session, fax_id)
    owed = {(copy.place.name, copy.kind) for copy in copies(session)}
    assert owed == {("first", "sent"), ("first", "reports"), ("second", "sent")}
    assert {copy.tenant_id for copy in copies(session)} == {cast.alpha}


# ---- Copying


def test_a_copy_lies_by_kind_year_and_month_under_the_name_of_the_download(app, cast, session, jobs):
    add_place(session, cast, keeps_reports=False)
    fax_id = make_fax(app, cast, status=Status.SENDING)
    end(session, fax_id)
    at = session.get_one(Fax, fax_id).created_at.astimezone(session.get_one(Tenant, cast.alpha).zone)
    run(session, job.archive_fax, fax_id)
    (copy,) = copies(session)
    assert copy.done_at and copy.error is None
    (name,) = files(app)
    assert name == f"alpha/faxes/sent/{at:%Y/%m}/F0509655637_T00501234567_{at:%Y-%m-%d_%H_%M_%S}_1.pdf"
    assert name == f"alpha/faxes/{copy.object_name}"
    assert (app.config["SETTINGS"].archives / name).read_bytes() == pdf_bytes(2)


def test_a_copy_that_was_made_is_not_made_again(app, cast, session, jobs):
    add_place(session, cast, keeps_reports=False)
    fax_id = make_fax(app, cast, status=Status.SENDING)
    end(session, fax_id)
    run(session, job.archive_fax, fax_id)
    (copy,) = copies(session)
    (app.config["SETTINGS"].archives / files(app)[0]).unlink()
    run(session, job.archive, copy.id)
    run(session, job.archive_fax, fax_id)
    assert files(app) == []


def test_in_an_encrypted_place_nothing_can_be_read_without_the_key(app, cast, session, jobs):
    add_place(session, cast, encrypted=True, keeps_reports=False)
    fax_id = make_fax(app, cast, status=Status.SENDING)
    end(session, fax_id)
    run(session, job.archive_fax, fax_id)
    (name,) = files(app)
    assert name.endswith(".pdf.sealed")
    sealed = (app.config["SETTINGS"].archives / name).read_bytes()
    assert b"%PDF" not in sealed
    assert b"".join(unsealed(io.BytesIO(sealed))) == pdf_bytes(2)
    with pytest.raises(PermanentFailure, match="sealing_key_unknown"):
        b"".join(unseal(io.BytesIO(sealed), [KEY]))


def test_the_command_opens_a_file_of_an_archive_and_leaves_nothing_of_a_damaged_one(app, session, tmp_path):
    content = pdf_bytes(3)
    sealed = b"".join(seal(io.BytesIO(content), app.config["SEALING_KEYS"][0]))
    (tmp_path / "fax.pdf.sealed").write_bytes(sealed)
    runner = app.test_cli_runner()
    assert runner.invoke(args=["unseal", str(tmp_path / "fax.pdf.sealed")]).exit_code == 0
    assert (tmp_path / "fax.pdf").read_bytes() == content
    (tmp_path / "bad.pdf.sealed").write_bytes(sealed[:-1])
    told = runner.invoke(args=["unseal", str(tmp_path / "bad.pdf.sealed")])
    assert told.exit_code == 1
    assert "damaged" in told.output
    assert not list(tmp_path.glob("*bad.pdf")) + list(tmp_path.glob("*.unfinished"))


def test_a_place_that_fails_is_tried_again_later_and_later_until_it_works(app, cast, session, jobs):
    root = app.config["SETTINGS"].archives
    root.mkdir()
    (root / "alpha").write_text("a file where the folder should be")
    add_place(session, cast, keeps_reports=False)
    fax_id = make_fax(app, cast, status=Status.SENDING)
    end(session, fax_id)
    before = utc_now()
    run(session, job.archive_fax, fax_id)
    (copy,) = copies(session)
    assert (copy.done_at, copy.error, copy.tries) == (None, "archive_down", 1)
    assert copy.due_at > before + timedelta(seconds=20)
    run(session, job.archive, copy.id)
    assert copies(session)[0].tries == 1, "not before its time"
    (root / "alpha").unlink()
    make_due(session)
    assert list(session.scalars(stale_copies(utc_now()))) == [copy.id], "the clock finds it"
    run(session, job.archive, copy.id)
    (copy,) = copies(session)
    assert copy.done_at and copy.error is None
    assert len(files(app)) == 1


def test_delays_grow_and_end_at_an_hour():
    delays = [delay_after(tries) for tries in range(1, 12)]
    assert delays == sorted(delays)
    assert delays[0] < timedelta(minutes=1)
    assert delay_after(10_000) == timedelta(hours=1)


def test_one_place_that_fails_does_not_keep_the_other_from_its_copy(app, cast, session, jobs):
    add_place(session, cast, "broken", folder="broken", keeps_reports=False)
    add_place(session, cast, "good", folder="good", keeps_reports=False, position=1)
    broken = app.config["SETTINGS"].archives / "alpha/broken"
    broken.parent.mkdir(parents=True)
    broken.write_text("no folder")
    fax_id = make_fax(app, cast, status=Status.SENDING)
    end(session, fax_id)
    run(session, job.archive_fax, fax_id)
    assert [(copy.place.name, bool(copy.done_at)) for copy in copies(session)] == [("broken", False), ("good", True)]


def test_while_a_place_fails_others_copies_for_it_are_spared_the_try(app, cast, session, jobs):
    root = app.config["SETTINGS"].archives
    root.mkdir()
    (root / "alpha").write_text("no folder")
    add_place(session, cast, keeps_reports=False)
    for _ in range(2):
        fax_id = make_fax(app, cast, status=Status.SENDING)
        end(session, fax_id)
        run(session, job.archive_fax, fax_id)
    first, second = copies(session)
    assert (first.tries, second.tries) == (1, 0)
    assert second.due_at > utc_now()


def test_a_place_that_is_switched_off_waits_for_what_it_is_owed(app, cast, session, jobs):
    place = add_place(session, cast, keeps_reports=False)
    fax_id = make_fax(app, cast, status=Status.SENDING)
    end(session, fax_id)
    place.enabled = False
    session.commit()
    run(session, job.archive_fax, fax_id)
    assert list(session.scalars(stale_copies(utc_now()))) == []
    assert owed_by_place(session, cast.alpha)[place.id].copies == 1
    place.enabled = True
    session.commit()
    run(session, job.archive_fax, fax_id)
    assert len(files(app)) == 1


def test_only_what_fails_for_long_is_brought_before_the_administrator(app, cast, session):
    add_place(session, cast, keeps_reports=False)
    end(session, make_fax(app, cast, status=Status.SENDING))
    session.execute(sa.update(ArchiveCopy).values(error="archive_down"))
    assert late_places(session, cast.alpha) == []
    session.execute(sa.update(ArchiveCopy).values(created_at=utc_now() - LATE - timedelta(minutes=1)))
    assert [place.name for place in late_places(session, cast.alpha)] == ["shelf"]
    assert late_places(session, cast.beta) == []


# ---- Places


def test_no_folder_leads_out_of_the_companys_own(tmp_path: Path):
    (tmp_path / "alpha").mkdir()
    (tmp_path / "beta").mkdir()
    (tmp_path / "alpha/link").symlink_to(tmp_path / "beta")
    for folder in ("../beta", "link", "/etc"):
        with pytest.raises(PermanentFailure, match="archive_outside"):
            FolderPlace(tmp_path / "alpha", folder)
    with pytest.raises(PermanentFailure, match="archive_outside"):
        FolderPlace(tmp_path / "alpha", "faxes").write("../../beta/x", io.BytesIO(b"x"), 1)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_bucket_keeps_copies_and_passes_its_test(app, cast, session, jobs, buckets, encrypted):
    place = add_bucket(session, cast, buckets, encrypted=encrypted, keeps_reports=False)
    try_place(open_place(session.get_one(Tenant, cast.alpha), place), encrypted=encrypted)
    assert buckets.objects == {}, "the test leaves nothing behind"
    session.rollback()
    fax_id = make_fax(app, cast, status=Status.SENDING)
    end(session, fax_id)
    run(session, job.archive_fax, fax_id)
    ((name, content),) = buckets.objects.items()
    (copy,) = copies(session)
    assert name == f"/faxes/alpha/{copy.object_name}"
    plain = b"".join(unsealed(io.BytesIO(content))) if encrypted else content
    assert plain == pdf_bytes(2)


@pytest.mark.parametrize(
    ("word", "code"),
    [("AccessDenied", "archive_refused"), ("NoSuchBucket", "archive_no_bucket"), ("SlowDown", "archive_answered")],
)
def test_what_a_bucket_refuses_is_told_in_our_words(app, cast, session, buckets, word, code):
    place = add_bucket(session, cast, buckets)
    buckets.fails = (403, word)
    with pytest.raises(TemporaryFailure, match=code):
        try_place(open_place(session.get_one(Tenant, cast.alpha), place), encrypted=False)


def test_a_wrong_secret_key_is_told_as_such(app, cast, session, buckets):
    place = add_bucket(session, cast, buckets, secret_key="another")
    with pytest.raises(TemporaryFailure, match="archive_refused"):
        try_place(open_place(session.get_one(Tenant, cast.alpha), place), encrypted=False)


def test_a_bucket_inside_the_installation_is_refused_and_never_asked(app, cast, session, buckets):
    object.__setattr__(app.config["SETTINGS"], "private_hosts", ())
    place = add_bucket(session, cast, buckets)
    with pytest.raises(PermanentFailure, match="host_inside"):
        try_place(open_place(session.get_one(Tenant, cast.alpha), place), encrypted=False)
    assert buckets.requests == []


def test_a_redirect_is_not_followed(app, cast, session, buckets):
    inside = BucketServer()
    place = add_bucket(session, cast, buckets)
    buckets.redirects_to = f"{inside.url}/faxes/stolen"
    with pytest.raises(TemporaryFailure, match="archive_answered"):
        try_place(open_place(session.get_one(Tenant, cast.alpha), place), encrypted=False)
    inside.shutdown()
    inside.server_close()
    assert inside.requests == []


# ---- Sealed files


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_sealed_file_opens_to_what_it_was(size):
    content = bytes(range(256)) * (size // 256 + 1)
    sealed = b"".join(seal(io.BytesIO(content[:size]), KEY))
    assert len(sealed) == sealed_size(size)
    assert b"".join(unseal(io.BytesIO(sealed), [b"other" * 9, KEY])) == content[:size]


def test_nothing_of_a_sealed_file_can_be_cut_off_moved_or_changed():
    sealed = b"".join(seal(io.BytesIO(b"x" * (2 * PIECE + 5)), KEY))
    step = PIECE + TAG
    first, second, rest = sealed[HEAD : HEAD + step], sealed[HEAD + step : HEAD + 2 * step], sealed[HEAD + 2 * step :]
    head = sealed[:HEAD]
    harmed = [
        head + first,
        head + first + second,
        head + second + first + rest,
        head + first + second + rest + rest,
        head[:-1] + bytes([head[-1] ^ 1]) + first + second + rest,
        head + first + bytes([second[0] ^ 1]) + second[1:] + rest,
        head,
    ]
    for content in harmed:
        with pytest.raises(PermanentFailure, match="sealed_file_damaged"):
            b"".join(unseal(io.BytesIO(content), [KEY]))
    with pytest.raises(PermanentFailure, match="not_sealed"):
        b"".join(unseal(io.BytesIO(b"%PDF-1.7"), [KEY]))
