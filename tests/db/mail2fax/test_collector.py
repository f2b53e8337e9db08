"""The collector itself, with a real Dovecot: killed between any two steps, several at once, boxes that do not work."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from flask import Flask
from imapclient.exceptions import IMAPClientError

from app.adapters.mail.imap import Mailbox, Server, signed_in
from app.models import BoxState, Document, Fax, Mail2FaxBox, MailFate, MailMessage, Notice
from app.rules.mail2fax.ledger import LEASE
from tenants.db import db, utc_now
from tests.db.dying_collector import STEPS, collect_in
from tests.db.forked import FORKED
from tests.db.mails import NUMBER, make_box, write_mail
from tests.dovecot import PASSWORD, Dovecot, free_port, running_dovecot
from tests.waiting import in_time, until
from tests.web.cast import Cast

pytest.importorskip("app.services.mail2fax.judging")
Collectors = pytest.importorskip("app.jobs.mail2fax.collectors").Collectors

BOX = "fax@alpha.test"
GOOD, BAD = 4, 2


@pytest.fixture(scope="module")
def _dovecot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    with running_dovecot(tmp_path_factory.mktemp("dovecot")) as server:
        yield server


@pytest.fixture
def dovecot(_dovecot: Dovecot) -> Dovecot:
    """With empty mailboxes."""
    for address in (BOX, "other@alpha.test"):
        for file in (_dovecot.home / "boxes" / address).rglob("*:2,*"):
            file.unlink()
        for part in (_dovecot.home / "boxes" / address).rglob("new"):
            for file in part.iterdir():
                file.unlink()
    return _dovecot


@pytest.fixture(autouse=True)
def _inside(app: Flask) -> None:
    """The operator lets this machine's own mail server be named."""
    object.__setattr__(app.config["SETTINGS"], "private_hosts", ("127.0.0.1",))


def read(app: Flask, query: sa.Select) -> list:
    with app.app_context():
        rows = db.session.execute(query).all()
        db.session.rollback()
        return rows


def filed(app: Flask) -> Counter[str]:
    """Fates of the messages that are wholly through."""
    return Counter(fate for (fate,) in read(app, sa.select(MailMessage.fate).where(MailMessage.filed_at.is_not(None))))


def free_leases(app: Flask) -> None:
    """As if the time of a dead process were over."""
    with app.app_context():
        past = utc_now() - timedelta(seconds=1)
        db.session.execute(sa.update(BoxState).values(lease_until=past, due_at=past))
        db.session.commit()


@contextmanager
def process(app: Flask, step: str = "") -> Iterator[BaseProcess]:
    """A collector of its own, on the test's database."""
    settings = app.config["SETTINGS"]
    environment = {
        "FAXROOM_HOME": str(settings.home),
        "SECRET_KEY": settings.secret_key,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "FAXROOM_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
    }
    child = FORKED.Process(target=collect_in, args=(environment, step), daemon=True)
    child.start()
    try:
        yield child
    finally:
        child.terminate()
        child.join(100)


@contextmanager
def collecting(app: Flask) -> Iterator[Collectors]:
    """In this very process."""
    collectors = Collectors(app)

    def run() -> None:
        while not collectors.stopping.is_set():
            collectors.tick()
            collectors.stopping.wait(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield collectors
    finally:
        collectors.stopping.set()
        thread.join()
        collectors.stop()


# ---- The database


def test_a_box_whose_thread_met_a_database_that_was_away_is_taken_again_when_its_lease_is_over(
    app: Flask, cast: Cast, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_box(app, cast, imap=dovecot.url)
    dovecot.deliver(BOX, write_mail(subject=NUMBER))
    restarting, collectors = sa.exc.OperationalError("SELECT", {}, Exception("restarting")), Collectors(app)
    with monkeypatch.context() as away:
        away.setattr("app.jobs.mail2fax.collectors.Collector._collect", Mock(side_effect=restarting))
        collectors.tick()
        for thread in collectors.running.values():
            thread.join(10)
    lease = sa.select(BoxState.lease_until)
    ((before,),) = read(app, lease)
    collectors.renewed = float("-inf")
    collectors.tick()
    assert read(app, lease) == [(before,)], "nobody works on it"
    collectors.stop()
    with app.app_context():
        db.session.execute(sa.update(BoxState).values(lease_until=utc_now() - timedelta(seconds=1)))
        db.session.commit()
    with collecting(app):
        until(lambda: filed(app) == {MailFate.ACCEPTED: 1})


# ---- Exactly once


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_makes_no_second_fax_and_loses_none(
    app: Flask, cast: Cast, dovecot: Dovecot, step: str
) -> None:
    make_box(app, cast, imap=dovecot.url)
    for n in range(GOOD + BAD):
        dovecot.deliver(BOX, write_mail(subject=NUMBER if n % 3 else "no number"))
    with process(app, step) as child:
        child.join(200)
        assert child.exitcode == -9
    assert sum(filed(app).values()) < GOOD + BAD
    free_leases(app)
    with collecting(app):
        until(lambda: sum(filed(app).values()) == GOOD + BAD)
    assert filed(app) == {MailFate.ACCEPTED: GOOD, MailFate.REFUSED: BAD}
    faxes = read(app, sa.select(Fax.id, Fax.source_id))
    assert len(faxes) == len({fax.source_id for fax in faxes}) == GOOD
    assert len(read(app, sa.select(Document.id))) == GOOD
    assert len(read(app, sa.select(Notice.id))) == GOOD + BAD, "each sender has one answer"
    assert dovecot.messages(BOX) == []
    assert len(dovecot.messages(BOX, "Fax done")) == GOOD
    assert len(dovecot.messages(BOX, "Fax refused")) == BAD


def test_two_processes_that_both_think_they_have_the_box_make_one_fax_of_each_mail(
    app: Flask, cast: Cast, dovecot: Dovecot
) -> None:
    make_box(app, cast, imap=dovecot.url)
    for _ in range(10):
        dovecot.deliver(BOX, write_mail())
    with process(app), process(app):
        for _ in range(20):  # neither keeps the lease
            free_leases(app)
            time.sleep(0.1)
        until(lambda: sum(filed(app).values()) >= 10)
    fates = Counter(fate for (fate,) in read(app, sa.select(MailMessage.fate)))
    assert fates[MailFate.ACCEPTED] == 10
    assert len(read(app, sa.select(Fax.id))) == 10
    assert dovecot.messages(BOX) == []


# ---- Boxes


def test_a_new_mail_is_taken_at_once_where_the_server_tells_of_it(app: Flask, cast: Cast, dovecot: Dovecot) -> None:
    box_id = make_box(app, cast, imap=dovecot.url)
    with app.app_context():
        db.session.get_one(Mail2FaxBox, box_id).poll_seconds = 600
        db.session.commit()
    with collecting(app):
        until(lambda: bool(read(app, sa.select(BoxState.box_id).where(BoxState.idle))))
        for n in range(1, 4):
            dovecot.deliver(BOX, write_mail())
            until(lambda n=n: len(read(app, sa.select(Fax.id))) == n, "polling would take ten minutes")
    (state,) = read(app, sa.select(BoxState.holder, BoxState.fault).where(BoxState.box_id == box_id))
    assert state == (None, None), "and it is given back at the end"


def test_a_box_whose_server_hangs_delays_no_other(
    app: Flask, cast: Cast, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.mail2fax.collectors.signed_in", partial(signed_in, seconds=600))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        make_box(
            app, cast, imap=f"imap://127.0.0.1:{silent.getsockname()[1]}/INBOX", name="other", entity_id=cast.archive
        )
        make_box(app, cast, imap=dovecot.url)
        dovecot.deliver(BOX, write_mail())
        with collecting(app):
            until(lambda: filed(app) == {MailFate.ACCEPTED: 1})


def test_what_is_wrong_with_a_box_is_noted_and_gone_when_it_works(app: Flask, cast: Cast, dovecot: Dovecot) -> None:
    box_id = make_box(app, cast, imap=dovecot.url)
    with app.app_context():
        db.session.get_one(Mail2FaxBox, box_id).password = "wrong"
        db.session.commit()
    faults = sa.select(BoxState.fault)
    with collecting(app):
        until(lambda: read(app, faults) == [("imap_refused",)])
        with app.app_context():
            db.session.get_one(Mail2FaxBox, box_id).password = PASSWORD
            db.session.commit()
        dovecot.deliver(BOX, write_mail())
        until(lambda: filed(app) == {MailFate.ACCEPTED: 1})
        until(lambda: read(app, faults) == [(None,)])


def test_a_server_that_goes_away_and_comes_back_loses_nothing(
    app: Flask, cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.rules.mail2fax.ledger.FIRST_DELAY", timedelta(seconds=1))
    port = free_port()
    make_box(app, cast, imap=f"imap://127.0.0.1:{port}/INBOX")
    with collecting(app):
        with running_dovecot(tmp_path / "box", port=port) as server:
            server.deliver(BOX, write_mail())
            until(lambda: filed(app) == {MailFate.ACCEPTED: 1})  # it may still be starting
        until(lambda: read(app, sa.select(BoxState.fault)) == [("imap_down",)])
        with running_dovecot(tmp_path / "box", port=port) as server:
            server.deliver(BOX, write_mail())
            until(lambda: filed(app) == {MailFate.ACCEPTED: 2})
            assert server.messages(BOX) == []


def test_a_mailbox_in_which_nothing_may_be_moved_is_read_once(
    app: Flask, cast: Cast, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise IMAPClientError("NO [NOPERM] Permission denied")

    monkeypatch.setattr("app.adapters.mail.imap._Client.move", refuse)
    monkeypatch.setattr("app.adapters.mail.imap._Client.copy", refuse)
    make_box(app, cast, imap=dovecot.url)
    dovecot.deliver(BOX, write_mail())
    with collecting(app):
        until(lambda: filed(app) == {MailFate.ACCEPTED: 1})
        dovecot.deliver(BOX, write_mail())
        until(lambda: filed(app) == {MailFate.ACCEPTED: 2})
    assert len(dovecot.messages(BOX)) == 2
    assert [row.filed_in for row in read(app, sa.select(MailMessage.filed_in))] == [None, None]


def test_of_a_message_too_large_the_beginning_alone_is_fetched(
    app: Flask, cast: Cast, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("collectors", "messages"):
        monkeypatch.setattr(f"app.jobs.mail2fax.{module}.MOST_MAIL", 2000)
    monkeypatch.setattr("app.jobs.mail2fax.collectors.BEGINNING", 500)
    fetched = []
    fetch = Mailbox.fetch
    monkeypatch.setattr(Mailbox, "fetch", lambda *a, **k: fetched.append(fetch(*a, **k)) or fetched[-1])
    make_box(app, cast, imap=dovecot.url)
    dovecot.deliver(BOX, write_mail(text="PIN 4711\n" + "x" * 70 + "\n" + "y\n" * 2000))
    with collecting(app):
        until(lambda: filed(app) == {MailFate.REFUSED: 1})
    assert read(app, sa.select(MailMessage.reason)) == [("too_large",)]
    assert [len(beginning) for beginning in fetched] == [500]


def test_processes_share_the_boxes(app: Flask, cast: Cast, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Collectors, "_processes", lambda self: 2)
    make_box(app, cast, imap=dovecot.url)
    make_box(app, cast, imap=dovecot.url, name="other", entity_id=cast.archive)
    with collecting(app) as one:
        until(lambda: len(one.running) == 1)
        with collecting(app) as two:
            until(lambda: len(two.running) == 1)
            assert one.running.keys() != two.running.keys()


def test_who_lost_a_box_stops_collecting_it(app: Flask, cast: Cast, dovecot: Dovecot) -> None:
    make_box(app, cast, imap=dovecot.url)
    with collecting(app) as collectors:
        until(lambda: bool(read(app, sa.select(BoxState.box_id).where(BoxState.idle))))
        with app.app_context():
            db.session.execute(sa.update(BoxState).values(holder="another", lease_until=utc_now() + LEASE))
            db.session.commit()
        collectors.renewed = 0.0
        until(lambda: not any(thread.is_alive() for thread in collectors.running.values()))
        assert read(app, sa.select(BoxState.holder)) == [("another",)]


# ---- The adapter


def test_a_folder_is_made_once_and_a_message_that_is_gone_is_no_fault(dovecot: Dovecot) -> None:
    dovecot.deliver(BOX, write_mail())
    with signed_in(Server("127.0.0.1", dovecot.port, "none"), BOX, PASSWORD, allowed=("127.0.0.1",)) as client:
        mailbox = Mailbox(client, "INBOX")
        (waiting,) = mailbox.waiting()
        raw = mailbox.fetch(waiting.uid)
        assert raw and len(raw) == waiting.size
        assert mailbox.file(waiting.uid, "Fax done") == "Fax done"
        assert mailbox.file(waiting.uid, "Fax done") == "Fax done"
        assert mailbox.waiting() == []
        assert mailbox.fetch(waiting.uid) is None
    assert len(dovecot.messages(BOX, "Fax done")) == 1


def test_waiting_ends_when_a_mail_comes_or_when_asked(dovecot: Dovecot) -> None:
    with signed_in(Server("127.0.0.1", dovecot.port, "none"), BOX, PASSWORD, allowed=("127.0.0.1",)) as client:
        mailbox = Mailbox(client, "INBOX")
        assert not mailbox.idle(0.5)
        assert not mailbox.idle(30, until=lambda: True)
        threading.Timer(0.5, lambda: dovecot.deliver(BOX, write_mail())).start()
        with in_time():
            assert mailbox.idle(200)


def test_a_mail_waits_in_the_mailbox_while_a_disk_is_full(app: Flask, cast: Cast, dovecot: Dovecot) -> None:
    make_box(app, cast, imap=dovecot.url)
    dovecot.deliver(BOX, write_mail(subject=NUMBER))
    disks = app.extensions["disks"]
    least, disks.floor = disks.floor, 2**60
    with collecting(app):
        until(lambda: (fault := read(app, sa.select(BoxState.fault))) and fault[0][0] == "no_room")
    assert filed(app) == Counter()
    disks.floor = least
    free_leases(app)
    with collecting(app):
        until(lambda: filed(app).total() == 1)
    assert filed(app) == Counter({MailFate.ACCEPTED: 1})
