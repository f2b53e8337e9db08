"""Received pages become a fax, its archive, its mails and its unread marks: once, whatever happens in between."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pikepdf
import pytest
import sqlalchemy as sa
from flask import Flask

from app.errors import TemporaryFailure
from app.jobs.receiving import receive
from app.jobs.upkeep.sweep import sweep
from app.models import Document, DocumentKind, Fax, Grant, Notice, NoticeKind, Status, Unread
from app.services.documents.documents import storage
from tenants.db import db, utc_now
from tenants.models import User
from tests.db.receptions import ANSWERED, CHANNEL, Phone, came, told


class Killed(BaseException):
    """As kill -9 would: nobody catches it."""


@pytest.fixture
def faxes(app: Flask) -> Iterator[object]:
    """Every fax that there is, as the module would list them."""

    def listed() -> list[Fax]:
        db.session.rollback()
        return list(db.session.scalars(sa.select(Fax).order_by(Fax.number)))

    with app.app_context():
        yield listed


def notices(fax: Fax) -> list[str]:
    query = sa.select(Notice.recipient).where(Notice.fax_id == fax.id, Notice.kind == NoticeKind.RECEIVED)
    return sorted(db.session.scalars(query))


def unread_by(fax: Fax) -> list[int]:
    return sorted(db.session.scalars(sa.select(Unread.user_id).where(Unread.fax_id == fax.id)))


def test_a_whole_fax_is_archived_mailed_to_each_and_unread_by_each(app, cast, phone, spool, faxes):
    path = came(spool, pages=2)
    original = path.read_bytes()
    told(pages=2)
    (fax,) = faxes()
    assert (fax.status, fax.cause, fax.pages, fax.remote_number) == (Status.RECEIVED, None, 2, "+390501234567")
    assert fax.created_at.timestamp() == ANSWERED
    assert fax.pdf.name == fax.tiff.name.replace(".tif", ".pdf") == "F00501234567_T0509655637_2020-03-12_11_51_38_1.pdf"
    assert notices(fax) == ["alice@alpha.test", "bob@alpha.test"]
    assert unread_by(fax) == sorted([cast.alice, cast.bob])
    with storage().open(fax.tiff.storage_key) as kept, storage().open(fax.pdf.storage_key) as made:
        assert kept.read() == original
        with pikepdf.open(made) as document:
            assert len(document.pages) == 2
    assert not path.exists()
    assert phone.forgotten == [CHANNEL]


def test_a_link_to_another_file_is_not_imported(app, cast, phone, spool, faxes, tmp_path):
    """Whoever has taken over Asterisk could show somebody else's fax by it."""
    other = came(spool, channel_id="1.2").rename(tmp_path / "of-another-company.tif")
    (spool / f"{CHANNEL}.tif").symlink_to(other)
    told()
    assert faxes() == []
    assert other.exists()


@pytest.mark.parametrize("how", ["another name", "pipe", "folder"])
def test_nor_is_anything_else_that_is_no_file_of_the_call(app, cast, phone, spool, faxes, tmp_path, how):
    other, place = came(spool, channel_id="1.2"), spool / f"{CHANNEL}.tif"
    {"another name": lambda: place.hardlink_to(other), "pipe": lambda: os.mkfifo(place), "folder": place.mkdir}[how]()
    told()
    assert faxes() == []
    assert os.path.lexists(place) and other.exists()


def test_a_link_that_takes_the_place_of_a_file_while_it_is_read_shows_nothing(
    app, cast, phone, spool, faxes, tmp_path, monkeypatch
):
    secret, place = tmp_path / "SECRET_KEY", came(spool)
    secret.write_text("the key of everything")
    original, draw = place.read_bytes(), receive.tiff_to_pdf

    def swap_and_draw(path: Path, pdf: Path) -> int:
        place.unlink()
        place.symlink_to(secret)
        return draw(path, pdf)

    monkeypatch.setattr(receive, "tiff_to_pdf", swap_and_draw)
    told()
    (fax,) = faxes()
    with storage().open(fax.tiff.storage_key) as kept:
        assert kept.read() == original
    assert secret.exists()


def test_only_active_users_with_the_permission_are_told(app, cast, phone, spool, faxes):
    db.session.get_one(User, cast.bob).disabled_at = utc_now()
    db.session.commit()
    came(spool)
    told()
    (fax,) = faxes()
    assert (notices(fax), unread_by(fax)) == (["alice@alpha.test"], [cast.alice])


def test_calls_of_two_companies_stay_apart(app, cast, phone, spool, faxes):
    db.session.execute(sa.update(Grant).where(Grant.user_id == cast.charlie).values(may_receive=True))
    db.session.commit()
    came(spool, channel_id="1.1")
    came(spool, channel_id="1.2")
    told(channel_id="1.1", called=f"{cast.alpha}*501")
    told(channel_id="1.2", called=f"{cast.beta}*501")
    ours, theirs = faxes()
    assert (ours.tenant_id, ours.number, notices(ours)) == (cast.alpha, 1, ["alice@alpha.test", "bob@alpha.test"])
    assert (theirs.tenant_id, theirs.number, notices(theirs)) == (cast.beta, 1, ["charlie@beta.test"])
    assert {document.tenant_id for document in (theirs.pdf, theirs.tiff)} == {cast.beta}
    assert unread_by(theirs) == [cast.charlie]


def test_what_is_told_again_is_not_entered_again(app, cast, phone, spool, faxes):
    came(spool)
    for _ in range(3):
        told()
    (fax,) = faxes()
    assert len(notices(fax)) == 2
    assert phone.forgotten == [CHANNEL] * 3
    assert db.session.scalar(sa.select(sa.func.count(Document.id))) == 2


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (receive, "receiving_fax"),
        (receive, "begin_receiving"),
        (receive, "tiff_to_pdf"),
        (receive, "store_document"),
        (receive, "finish_receiving"),
        (receive, "enqueue_after_commit"),
        (Path, "unlink"),
        (Phone, "forget"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_step_imports_once_and_mails_each_once(
    app, cast, phone, spool, faxes, monkeypatch, owner, step, when
):
    came(spool)
    whole = getattr(owner, step)

    def dies(*arguments: object, **more: object) -> None:
        if when == "after":
            whole(*arguments, **more)
        raise Killed

    with monkeypatch.context() as deadly:
        deadly.setattr(owner, step, dies)
        with pytest.raises(Killed):
            told()
    db.session.remove()
    told()
    (fax,) = faxes()
    assert (fax.status, notices(fax)) == (Status.RECEIVED, ["alice@alpha.test", "bob@alpha.test"])
    assert sorted(db.session.scalars(sa.select(Document.kind))) == [DocumentKind.PDF, DocumentKind.TIFF]
    assert not list(spool.iterdir())
    assert CHANNEL in phone.forgotten


def test_a_full_disk_leaves_everything_for_the_next_time(app, cast, phone, spool, faxes, monkeypatch):
    path = came(spool)

    def full(key: str, source: object) -> None:
        raise TemporaryFailure("storage_down", reason=str(OSError(errno.ENOSPC, "No space left on device")))

    with monkeypatch.context() as disk:
        disk.setattr(storage(), "write", full)
        with pytest.raises(TemporaryFailure):
            told()
    (fax,) = faxes()
    assert (fax.status, notices(fax), path.exists(), phone.forgotten) == (Status.RECEIVING, [], True, [])
    told()
    (fax,) = faxes()
    assert (fax.status, len(notices(fax)), path.exists()) == (Status.RECEIVED, 2, False)


def test_an_asterisk_that_is_away_changes_nothing_about_the_import(app, cast, phone, spool, faxes):
    came(spool)
    phone.down = True
    told()
    (fax,) = faxes()
    assert (fax.status, len(notices(fax))) == (Status.RECEIVED, 2)


def test_a_fax_that_breaks_off_has_the_pages_that_came(app, cast, phone, spool, faxes):
    came(spool, pages=2)
    told("dropped", pages=2)
    (fax,) = faxes()
    assert (fax.status, fax.cause, fax.pages) == (Status.INCOMPLETE, "dropped", 2)
    assert len(notices(fax)) == len(unread_by(fax)) == 2


def test_the_end_of_a_call_that_asterisk_did_not_survive_is_the_time_of_its_last_page(app, cast, phone, spool, faxes):
    path = came(spool)
    written = path.stat().st_mtime
    told("dropped", facts={"answered_at": written - 20, "ended_at": None})
    (fax,) = faxes()
    assert fax.attempts[0].ended_at.timestamp() == pytest.approx(written, abs=0.01)


def test_a_call_that_wants_to_fetch_a_fax_is_told_as_that_and_to_nobody(app, cast, phone, spool, faxes):
    told("protocol_error", pages=0, facts={"error": "Far end is not able to transmit"})
    (fax,) = faxes()
    assert (fax.status, fax.cause, fax.pages) == (Status.INCOMPLETE, "caller_polled", 0)
    assert notices(fax) == unread_by(fax) == []
    assert fax.done_at


@pytest.mark.parametrize("content", [None, b"", b"II*\0\0\0\0\0"])
def test_a_call_without_a_page_leaves_a_line_and_no_mail(app, cast, phone, spool, faxes, content):
    if content is not None:
        (spool / f"{CHANNEL}.tif").write_bytes(content)
    told("far_end_no_fax", pages=0)
    (fax,) = faxes()
    assert (fax.status, fax.cause, fax.pages, fax.pdf) == (Status.INCOMPLETE, "caller_no_fax", 0, None)
    assert notices(fax) == unread_by(fax) == []
    assert not list(spool.iterdir())


def test_a_file_that_cannot_be_read_is_kept_as_it_is_and_everybody_is_told(app, cast, phone, spool, faxes):
    content = b"II*\0" + b"\xff" * 5000
    (spool / f"{CHANNEL}.tif").write_bytes(content)
    told()
    (fax,) = faxes()
    assert (fax.status, fax.cause, fax.pages, fax.pdf, fax.tiff) == (Status.INCOMPLETE, "unreadable", 0, None, None)
    assert len(notices(fax)) == len(unread_by(fax)) == 2
    fax.source.created_at = utc_now().replace(year=2020)
    db.session.commit()
    sweep()
    db.session.rollback()
    with storage().open(fax.source.storage_key) as kept:
        assert kept.read() == content
    assert not list(spool.iterdir())


def test_pages_behind_a_damaged_one_are_missed_and_their_file_is_kept(app, cast, phone, spool, faxes):
    path = came(spool, pages=3)
    content = path.read_bytes()[: path.stat().st_size * 5 // 6]
    path.write_bytes(content)
    told(pages=3)
    (fax,) = faxes()
    assert (fax.status, fax.cause, fax.pages) == (Status.INCOMPLETE, "unreadable", 2)
    with storage().open(fax.tiff.storage_key) as kept:
        assert kept.read() == content


def test_pages_that_the_sender_believes_in_and_that_are_nowhere_are_told(app, cast, phone, spool, faxes):
    told(pages=3)
    (fax,) = faxes()
    assert (fax.status, fax.cause, len(notices(fax)), len(unread_by(fax))) == (Status.INCOMPLETE, "unreadable", 2, 2)


def test_a_spool_that_is_away_for_a_moment_loses_nothing(app, cast, phone, spool, faxes):
    came(spool, pages=3)
    away = spool.rename(spool.with_name("away"))
    with pytest.raises(TemporaryFailure, match="spool_down"):
        told(pages=3)
    assert (faxes(), phone.forgotten) == ([], [])
    away.rename(spool)
    told(pages=3)
    (fax,) = faxes()
    assert (fax.status, fax.pages) == (Status.RECEIVED, 3)


def test_pages_that_are_not_there_yet_are_waited_for(app, cast, phone, spool, faxes):
    just_now = {"answered_at": time.time() - 40, "ended_at": time.time() - 6}
    with pytest.raises(TemporaryFailure, match="spool_down"):
        told(pages=1, facts=just_now)
    (fax,) = faxes()
    assert (fax.status, notices(fax), phone.forgotten) == (Status.RECEIVING, [], [])
    came(spool)
    told(pages=1, facts=just_now)
    (fax,) = faxes()
    assert (fax.status, len(notices(fax))) == (Status.RECEIVED, 2)


def test_the_pages_of_another_call_with_the_same_id_are_not_removed(app, cast, phone, spool, faxes):
    came(spool)
    told()
    second = came(spool, pages=2)
    told(pages=2, caller="0509876543")
    (fax,) = faxes()
    assert (fax.remote_number, fax.pages) == ("+390501234567", 1)
    assert second.exists()


def test_what_came_for_nobody_stays_in_the_spool(app, cast, phone, spool, faxes):
    path = came(spool)
    told(called="+390509999999")
    assert faxes() == []
    assert path.exists()
    assert phone.forgotten == []


def test_an_extension_without_a_number_receives_too(app, cast, phone, spool, faxes):
    came(spool)
    told(called=f"{cast.alpha}*502", caller="501")
    (fax,) = faxes()
    assert (fax.entity_id, fax.remote_number, fax.pdf.name) == (
        cast.archive,
        "501",
        "F501_T502_2020-03-12_11_51_38_1.pdf",
    )
