"""Nothing is dialled over a trunk before Asterisk has read it as it is."""

from contextlib import ExitStack
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app import queues
from app.jobs.receiving.listen import Listener
from app.jobs.sending import dispatch
from app.models import Attempt, Fax, NumberForm, Status, Trunk
from app.rules.sending.dispatch import Limits, claim_due
from app.rules.sending.trunks.fields import FILE
from app.rules.words.sentences import story
from app.services.trunks import reading
from app.services.trunks.reading import ask_to_read, dialling, is_asked, note_read, versions_read, who_dials
from tenants.db import utc_now
from tests.db.faxes import make_ready, reread, submit
from tests.db.reading import NODE, SINCE, all_read, redis, redis_port, versions  # noqa: F401

pytestmark = pytest.mark.usefixtures("redis")


class Line:
    """An Asterisk that remembers what it read, and what it was asked to dial."""

    node, since = NODE, SINCE

    def __init__(self, app) -> None:
        self.file = app.config["SETTINGS"].spool / FILE
        self.texts, self.calls = [], []

    def __getattr__(self, name):
        return lambda *_args, **_more: []

    def ping(self):
        return self.since

    def read_anew(self, _modules):
        self.texts.append(self.file.read_text())

    def originate_many(self, calls):
        self.calls += [(call.trunk, call.wire) for call in calls]
        return ["placed" for _ in calls]


@pytest.fixture
def line(app, session, cast, monkeypatch):
    monkeypatch.setattr(dispatch, "_lay_pages", lambda _attempt, path: _laid(path))
    app.extensions["asterisk"] = Line(app)
    return app.extensions["asterisk"]


def _laid(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def trunk(session) -> Trunk:
    return session.scalar(sa.select(Trunk))


def change(session, host: str = "carrier.example.org", form: NumberForm = NumberForm.DIGITS) -> None:
    row = trunk(session)
    row.host, row.number_form = host, form
    session.commit()


def ready(session, cast, *, since: float = 1) -> Fax:
    fax = make_ready(session, submit(session, cast))
    session.execute(sa.update(Fax).values(due_at=utc_now() - timedelta(seconds=since)))
    session.commit()
    return fax


def claim(session) -> list[Attempt]:
    limits = Limits(line=0)
    return claim_due(session, now=utc_now(), limits=limits, node=NODE, read=versions_read(NODE, SINCE))


# ---- Whoever dials


def test_a_fax_waits_for_a_trunk_that_changed_and_says_so_only_if_it_lasts(app, session, cast, all_read):  # noqa: F811
    change(session)
    fax = ready(session, cast)
    assert claim(session) == []
    assert (reread(session, fax.id).status, fax.cause) == (Status.READY, None)
    ready(session, cast, since=60)
    assert claim(session) == []
    assert (reread(session, fax.id).status, fax.cause) == (Status.READY, "trunk_unread")
    with app.test_request_context():
        assert "settings of the trunk were changed" in story(fax)
    note_read(NODE, SINCE, versions(app, session))
    assert len(claim(session)) == 2
    assert (reread(session, fax.id).status, fax.cause) == (Status.DIALING, None)


def test_an_extension_waits_for_no_trunk(session, cast):
    make_ready(session, submit(session, cast, addressee_text="502"))
    assert len(claim(session)) == 1


def test_the_extensions_of_a_line_do_not_wait_for_the_trunk_that_its_other_faxes_wait_for(session, cast, all_read):  # noqa: F811
    change(session)
    outside = [ready(session, cast) for _ in range(3)]
    inside = make_ready(session, submit(session, cast, addressee_text="502"))
    assert [attempt.fax_id for attempt in claim(session)] == [inside.id]
    assert {reread(session, fax.id).status for fax in outside} == {Status.READY}


def test_a_trunk_that_changed_while_the_pages_were_laid_is_not_dialled(session, cast, line, all_read, monkeypatch):  # noqa: F811
    fax = ready(session, cast)

    def lay(_attempt, path):
        _laid(path)
        change(session)

    monkeypatch.setattr(dispatch, "_lay_pages", lay)
    dispatch._dispatch()
    again = reread(session, fax.id)
    assert line.calls == []
    assert (again.status, again.cause, again.attempts) == (Status.RETRYING, "trunk_unread", [])
    assert again.due_at <= utc_now()


def test_a_number_is_written_as_the_trunk_wants_it_when_it_is_dialled(session, cast, line, all_read, monkeypatch):  # noqa: F811
    """Asterisk has nothing to read of that."""
    ready(session, cast)

    def lay(_attempt, path):
        _laid(path)
        change(session, host=trunk(session).host)

    monkeypatch.setattr(dispatch, "_lay_pages", lay)
    dispatch._dispatch()
    assert line.calls == [("main", "390501234567")]


def test_a_trunk_that_was_removed_while_the_pages_were_laid_is_none(session, cast, line, all_read, monkeypatch):  # noqa: F811
    fax = ready(session, cast)

    def lay(_attempt, path):
        _laid(path)
        session.execute(sa.delete(Trunk))
        session.commit()

    monkeypatch.setattr(dispatch, "_lay_pages", lay)
    dispatch._dispatch()
    assert line.calls == []
    assert reread(session, fax.id).status == Status.RETRYING


@pytest.mark.parametrize("lost", ["emptied", "started anew"])
def test_where_nobody_knows_what_asterisk_has_read_the_line_process_says_it_again(app, session, cast, line, lost):
    listener = Listener(line)
    listener.trunk_telling.tell()
    if lost == "emptied":
        app.extensions["redis"].flushall()
    else:
        line.since = SINCE + timedelta(seconds=9)
        listener.trunk_telling.begin_anew()
    fax = ready(session, cast)
    is_asked()
    dispatch._dispatch()
    assert (line.calls, reread(session, fax.id).status) == ([], Status.READY)
    assert is_asked()
    listener.trunk_telling.tell()
    assert len(line.texts) == 1 + (lost == "started anew")
    dispatch._dispatch()
    assert line.calls == [("main", "+390501234567")]


# ---- The line process


def test_it_says_nothing_of_a_change_before_asterisk_has_read_it(app, session, cast, line):
    listener = Listener(line)
    listener.trunk_telling.tell()
    before = versions(app, session)
    assert versions_read(NODE, SINCE) == before
    change(session)
    seen = []
    read_anew = line.read_anew
    line.read_anew = lambda modules: (seen.append(versions_read(NODE, SINCE)), read_anew(modules))
    listener.trunk_telling.tell()
    assert seen == [{}]
    assert versions_read(NODE, SINCE) == versions(app, session) != before
    assert ["carrier.example.org" in text for text in line.texts] == [False, True]


def test_what_does_not_change_goes_on_meanwhile(app, session, cast, line):
    session.add(Trunk(name="second", host="10.0.0.2", port=5060, position=1))
    session.commit()
    listener = Listener(line)
    listener.trunk_telling.tell()
    change(session)
    with dialling(NODE, SINCE):
        listener.trunk_telling.tell()
        assert list(versions_read(NODE, SINCE)) == ["second"]


def test_asterisk_reads_nothing_while_somebody_dials_who_had_looked_before(session, cast, line):
    listener = Listener(line)
    listener.trunk_telling.tell()
    with dialling(NODE, SINCE) as read:
        assert list(read) == ["main"]
        change(session)
        listener.trunk_telling.tell()
        assert len(line.texts) == 1
        assert is_asked()  # it looks again in a moment
        with dialling(NODE, SINCE) as later:
            assert later == {}
            listener.trunk_telling.tell()
            assert len(line.texts) == 1
    with dialling(NODE, SINCE):  # who came later knows
        listener.trunk_telling.tell()
    assert len(line.texts) == 2


def _change_and_back(session, listener) -> None:
    """While somebody dials, so that Asterisk reads nothing of it."""
    host = trunk(session).host
    with dialling(NODE, SINCE):
        change(session)
        listener.trunk_telling.tell()
        change(session, host=host, form=NumberForm.PLUS)


def test_a_trunk_changed_back_before_asterisk_could_read_the_change_takes_calls_again(app, session, cast, line):
    listener = Listener(line)
    listener.trunk_telling.tell()
    _change_and_back(session, listener)
    assert versions_read(NODE, SINCE) == {}
    listener.trunk_telling.tell()
    assert versions_read(NODE, SINCE) == versions(app, session)
    assert len(line.texts) == 1
    ready(session, cast)
    dispatch._dispatch()
    assert line.calls == [("main", "+390501234567")]


def test_who_dials_over_a_trunk_that_changes_while_another_is_waited_for_is_waited_for_as_well(session, cast, line):
    session.add(Trunk(name="second", host="10.0.0.2", port=5060, position=1))
    session.commit()
    listener = Listener(line)
    listener.trunk_telling.tell()
    with ExitStack() as later:
        with dialling(NODE, SINCE):
            change(session)
            listener.trunk_telling.tell()
            assert list(later.enter_context(dialling(NODE, SINCE))) == ["second"]
            session.execute(sa.update(Trunk).where(Trunk.name == "second").values(host="10.0.0.3"))
            session.commit()
            listener.trunk_telling.tell()
        listener.trunk_telling.tell()
        assert len(line.texts) == 1
    listener.trunk_telling.tell()
    assert len(line.texts) == 2


def test_who_dials_is_waited_for_after_a_change_that_was_taken_back_as_well(session, cast, line):
    listener = Listener(line)
    listener.trunk_telling.tell()
    _change_and_back(session, listener)
    listener.trunk_telling.tell()
    with dialling(NODE, SINCE) as read:
        assert list(read) == ["main"]
        change(session)
        listener.trunk_telling.tell()
        assert len(line.texts) == 1


def test_who_was_killed_while_they_dialled_is_not_waited_for_for_ever(session, cast, line, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST", -1.0)
    with dialling(NODE, SINCE):
        assert who_dials(NODE) == set()


def test_one_that_was_killed_before_it_said_so_has_asterisk_read_again(app, session, cast, line):
    Listener(line).trunk_telling.tell()
    change(session)
    line.read_anew, read_anew = _killed, line.read_anew
    with pytest.raises(KeyboardInterrupt):
        Listener(line).trunk_telling.tell()
    assert versions_read(NODE, SINCE) == {}
    line.read_anew = read_anew
    Listener(line).trunk_telling.tell()
    assert versions_read(NODE, SINCE) == versions(app, session)
    assert len(line.texts) == 2


def _killed(_modules):
    raise KeyboardInterrupt


def test_each_asterisk_has_read_for_itself(app, session, cast, line):
    Listener(line).trunk_telling.tell()
    line.node = "another"
    assert versions_read("another", SINCE) == {}
    Listener(line).trunk_telling.tell()
    assert versions_read("another", SINCE) == versions_read(NODE, SINCE)


def test_without_redis_asterisk_is_told_all_the_same_and_nobody_dials(app, session, cast, line):
    app.extensions["redis"] = queues.connect("redis://127.0.0.1:23999/0")
    Listener(line).trunk_telling.tell()
    assert len(line.texts) == 1
    ready(session, cast)
    dispatch._dispatch()
    assert line.calls == []


# ---- At once


def test_every_change_of_a_trunk_wakes_the_line_process_when_it_is_committed(session, cast):
    is_asked()
    row = trunk(session)
    row.number_form = NumberForm.NATIONAL
    session.flush()
    assert not is_asked()
    session.commit()
    assert is_asked()
    row.number_form = NumberForm.PLUS
    session.flush()
    session.rollback()
    session.commit()
    assert not is_asked()
    session.delete(trunk(session))
    session.commit()
    assert is_asked()


def test_asked_it_looks_at_once(session, cast, line):
    listener = Listener(line)
    listener.listening = True
    listener.do_what_is_due()
    change(session)
    listener.trunks_asked.last = float("-inf")
    listener.do_what_is_due()
    assert len(line.texts) == 2
    ask_to_read()
    listener.do_what_is_due()
    assert is_asked()  # once a second
