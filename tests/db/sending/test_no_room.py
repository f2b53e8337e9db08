"""Below the free space that the operator sets nothing is begun, and people are told before that."""

import os
import re
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

import app.jobs.running as running
from app.adapters.storage.disks import MEGABYTE, Disks
from app.cli import _disks
from app.errors import Refused
from app.jobs.outbox import notify
from app.jobs.receiving import listen
from app.jobs.sending import dispatch
from app.jobs.upkeep.watch import watch
from app.models import Attempt, Notice, Status
from app.rules.words.sentences import story
from app.services.documents.documents import take_upload
from app.services.receiving.line_events import Incoming
from app.services.upkeep.health import check_health
from tenants.db import db
from tests.db.faxes import claim, make_ready, reread, submit
from tests.db.reading import SINCE, all_read, redis, redis_port  # noqa: F401
from tests.db.receiving.test_listening import FRONTDESK, Line, jobs, listener, marks, told  # noqa: F401
from tests.waiting import in_time, until

OLGA = "ops@faxroom.test"
MORE_THAN_ANY_DISK = 2**60


@pytest.fixture
def disks(app, session, monkeypatch) -> Disks:
    """Those of this machine. Their floor is raised, which is as good as filling them."""
    monkeypatch.setattr(running, "application", lambda: app)
    return app.extensions["disks"]


@pytest.fixture
def full(disks) -> Disks:
    disks.floor = MORE_THAN_ANY_DISK
    return disks


def test_a_file_system_that_hangs_holds_nobody_up_and_is_asked_once(tmp_path, monkeypatch):
    hung, asked, goes_on = tmp_path / "hung", [], threading.Event()
    hung.mkdir()
    statvfs = os.statvfs

    def ask(folder):
        if Path(folder) == hung:
            asked.append(folder)
            goes_on.wait(200)
        return statvfs(folder)

    monkeypatch.setattr(os, "statvfs", ask)
    disks = Disks({"documents": hung, "spool": tmp_path}, MORE_THAN_ANY_DISK)
    with in_time():
        assert [place.name for place in disks.full()] == ["spool"]
        assert [place.name for place in disks.full()] == ["spool"]
    assert len(asked) == 1
    goes_on.set()
    until(lambda: len(disks.full()) == 2)


def test_what_was_found_holds_for_a_moment(tmp_path, monkeypatch):
    """A crowd of faxes asks for each of them, and each look takes a thread."""
    statvfs, asked = os.statvfs, []
    monkeypatch.setattr(os, "statvfs", lambda folder: asked.append(folder) or statvfs(folder))
    monkeypatch.setattr("app.adapters.storage.disks.HOLDS_SECONDS", 600)
    disks = Disks({"spool": tmp_path}, MORE_THAN_ANY_DISK)
    assert [len(disks.full()) for _ in range(10)] == [1] * 10
    assert len(asked) == 1
    monkeypatch.setattr("app.adapters.storage.disks.HOLDS_SECONDS", 0)
    disks.full()
    assert len(asked) == 2


def test_each_place_is_looked_at_on_its_own_file_system(tmp_path):
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    places = {"spool": tmp_path / "not made yet", "astdb": tmp_path / "of/another/machine", "database": tmp_path}
    assert Disks(places, 0).full() == []
    assert {place.name for place in Disks(places, 2 * free).full()} == {"spool", "database"}


def test_a_disk_that_cannot_be_written_has_no_room(tmp_path, monkeypatch):
    found = os.statvfs(tmp_path)
    read_only = os.statvfs_result((*found[:8], found.f_flag | os.ST_RDONLY, *found[9:]))
    monkeypatch.setattr(os, "statvfs", lambda _path: read_only)
    assert [place.free for place in Disks({"spool": tmp_path}, MEGABYTE).full()] == [0]


def test_nothing_is_dialled_and_the_fax_says_why_until_there_is_room(app, session, cast, disks):
    app.extensions["asterisk"] = Line()
    fax = make_ready(session, submit(session, cast))
    disks.floor = MORE_THAN_ANY_DISK
    dispatch._dispatch()
    assert session.scalar(sa.select(Attempt)) is None
    assert "disk is full" in story(reread(session, fax.id))
    assert len(claim(session)) == 1
    assert (reread(session, fax.id).status, fax.cause) == (Status.DIALING, None)


def test_pages_that_the_spool_has_no_room_for_cost_no_attempt(app, session, cast, disks, all_read, monkeypatch):  # noqa: F811
    def lay(*_):
        raise OSError(28, "No space left on device")

    app.extensions["asterisk"] = line = Line()
    line.ping = lambda: SINCE
    line.originate_many = lambda calls: calls
    monkeypatch.setattr(dispatch, "_lay_pages", lay)
    fax = make_ready(session, submit(session, cast))
    dispatch._dispatch()
    again = reread(session, fax.id)
    assert (again.status, again.cause, again.attempts) == (Status.RETRYING, "disk_full", [])


def test_a_fax_that_calls_finds_the_line_busy(listener, full):  # noqa: F811
    listener._decide(Incoming("in-1", FRONTDESK, "+390509999999"))
    assert listener.line.asked == [("refuse", "in-1", listen.BUSY)]


def test_a_document_is_refused_with_a_sentence(session, cast, full, tmp_path):
    file = tmp_path / "letter.pdf"
    file.write_bytes(b"%PDF-1.4")
    with file.open("rb") as stream, pytest.raises(Refused, match="no_room"):
        take_upload(session, stream=stream, filename="letter.pdf", tenant_id=cast.alpha, user_id=cast.bob)


def test_health_says_so(full):
    room = check_health()["room"]
    assert (room["ok"], room["error"]) == (False, "disk_full")


def filling(disks: Disks) -> None:
    """There is still room, and not twice as much."""
    disks.floor = min(place.free for place in Disks(disks.places, MORE_THAN_ANY_DISK).full()) * 2 // 3


def test_health_and_doctor_warn_before_it_is_full(disks):
    filling(disks)
    room = check_health()["room"]
    assert room["ok"]
    assert "MB free" in room["warning"]
    name, ok, text = _disks()
    assert (name, ok) == ("disks", False)
    assert "MB free" in text


def look() -> None:
    db.session.rollback()
    watch()


def mails() -> list[tuple[str, str]]:
    return [(notice.kind, notice.recipient) for notice in db.session.scalars(sa.select(Notice).order_by(Notice.id))]


def test_the_operators_are_told_once_before_it_is_full_and_once_when_it_is_over(session, cast, disks):
    least = disks.floor
    look()
    assert mails() == []
    filling(disks)
    look()
    look()
    assert mails() == [("disk_filling", OLGA)]
    notice = session.scalar(sa.select(Notice))
    text = notify._mail_of(notice).get_content()
    assert re.search(r"^- .*(documents|database).*: [0-9]+ MB free$", text, re.MULTILINE), text
    disks.floor = least
    look()
    look()
    assert mails() == [("disk_filling", OLGA), ("disk_room", OLGA)]
