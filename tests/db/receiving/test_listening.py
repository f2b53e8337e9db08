"""The line process between Asterisk and the jobs: decisions about calls, and what a gap left behind."""

import os
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from app.adapters.telephony.ari import Connected, Disconnected, Receiving
from app.adapters.telephony.sip import Refusal
from app.errors import TemporaryFailure
from app.jobs.receiving import listen
from app.jobs.receiving.listen import _listen_seconds
from app.models import Attempt, FaxEntity, Trunk, VoiceCall
from app.rules.numbers.called import SIGNS
from app.rules.numbers.policy import Policy, set_policy
from app.rules.receiving.receiving import begin_receiving, receiving_fax
from app.rules.sending.results import CallFacts, record_result
from app.rules.sending.trunks.fields import FILE, MODULES
from app.rules.sending.trunks.ports import MEDIA_FILES, ports_for
from app.services.receiving.line_events import (
    AllTold,
    Ended,
    Incoming,
    Received,
    StillReceiving,
    Telephoned,
    TurnedAway,
)
from tenants.db import utc_now
from tenants.models import Tenant
from tests.db.faxes import dial

FRONTDESK, NOBODYS = "+390509655637", "+390509999999"


class Line:
    """An Asterisk that remembers what it was asked; ``live`` are its channels."""

    node = "asterisk"

    def __init__(self):
        self.asked, self.live = [], []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.asked.append((name, *args, *kwargs.values()))

    def ping(self):
        return utc_now()

    def channels(self):
        return [{"id": channel_id} for channel_id in self.live]

    def ask_results(self):
        return "word"


@pytest.fixture
def jobs(monkeypatch):
    found = []
    monkeypatch.setattr(listen, "enqueue", lambda *job: found.append(job))
    return found


@pytest.fixture
def told(monkeypatch):
    """What doctor would find."""
    found = []
    monkeypatch.setattr(listen, "note_unclaimed", lambda files: found.append(files))
    return found


@pytest.fixture
def marks(app):
    """The folder in which the dialplan marks the calls of which a page may leave."""
    folder = app.config["SETTINGS"].spool / "answered"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def listener(session, cast, jobs, told, marks):
    return listen.Listener(Line())


@pytest.fixture
def incoming(app):
    folder = app.config["SETTINGS"].spool / "incoming"
    folder.mkdir(parents=True)
    return folder


def reconcile(listener, *events):
    listener._begin()
    for event in (*events, AllTold("word")):
        listener._take(event)


def mark(channel_id="1.1", called=FRONTDESK):
    return StillReceiving(channel_id, called, "0501234567", 1700000000)


def share(session, cast):
    entity = session.get_one(FaxEntity, cast.frontdesk)
    entity.shared_with_voice, entity.voice_destination = True, "101"
    session.commit()


def test_a_call_on_a_shared_line_is_no_fax_until_one_is_heard(session, cast, listener):
    share(session, cast)
    session.get_one(Tenant, cast.alpha).limit_inbound = 1
    session.commit()
    for channel_id in ("1.1", "1.2"):
        listener._decide(Incoming(channel_id, FRONTDESK, "0501234567"))
    assert [asked[:2] for asked in listener.line.asked] == [("detect", "1.1"), ("detect", "1.2")]
    assert session.query(Attempt).count() == 0
    for channel_id in ("1.1", "1.2"):
        listener._decide(Incoming(channel_id, FRONTDESK, "0501234567", is_fax=True))
    assert [asked[:2] for asked in listener.line.asked[2:]] == [("receive", "1.1"), ("refuse", "1.2")]
    assert listener.line.asked[-1] == ("refuse", "1.2", listen.BUSY)
    assert receiving_fax(session, node="asterisk", channel_id="1.1")


def test_a_call_that_is_heard_and_found_is_decided_once(session, cast, listener):
    share(session, cast)
    call = Incoming("1.1", FRONTDESK, "")
    listener._decide(call)
    listener._decide(Incoming("1.1", FRONTDESK, "", is_fax=True))
    listener._decide(call)  # an event that was late must not stop the reception
    assert [asked[0] for asked in listener.line.asked] == ["detect", "receive"]


def test_a_mark_is_of_a_dead_call_when_it_was_there_before_the_live_channels_were_listed(listener, jobs):
    reconcile(listener, mark())
    assert jobs == []  # it may be of a call that has just begun
    reconcile(listener, mark())
    name, *what, facts = jobs[0]
    assert (name, what) == ("import_received", ["1.1", FRONTDESK, "0501234567"])
    assert (facts["outcome"], facts["answered_at"]) == ("dropped", 1700000000)


def test_a_mark_that_needs_a_second_look_gets_it_soon(listener):
    reconcile(listener, mark())
    waited = listener.reconciling.seconds - listen.AGAIN_SECONDS
    assert listener.reconciling.last <= listen.time.monotonic() - waited


def test_a_call_that_lives_or_has_its_result_is_not_broken_off(listener, jobs):
    reconcile(listener, mark("1.1"), mark("1.2"))
    listener.line.live = ["1.1"]
    reconcile(listener, mark("1.1"), Received("1.2", FRONTDESK, "0501234567", CallFacts("success", pages=1)))
    assert [(job[1], job[-1]["outcome"]) for job in jobs] == [("1.2", "success")]


def test_a_fax_whose_beginning_the_portal_saw_is_imported_with_or_without_a_mark(session, cast, listener, jobs):
    entity = session.get_one(FaxEntity, cast.frontdesk)
    for channel_id in ("1.1", "1.2"):
        begin_receiving(session, entity, node="asterisk", channel_id=channel_id, caller="", limits=None)
    reconcile(listener, mark("1.2"))
    assert sorted(job[1] for job in jobs) == ["1.1", "1.2"]


def test_pages_for_a_number_that_nobody_has_are_told_until_somebody_has_it(
    session, cast, listener, jobs, told, incoming
):
    result = Received("1.1", NOBODYS, "0501234567", CallFacts("success", pages=1))
    file = incoming / "1.1.tif"
    file.write_bytes(b"TIFF")
    reconcile(listener, result)
    assert jobs == []
    assert [(left.file, left.called) for left in told[-1]] == [(str(file), NOBODYS)]
    session.get_one(FaxEntity, cast.archive).number = NOBODYS
    session.commit()
    reconcile(listener, result)
    assert [job[:2] for job in jobs] == [("import_received", "1.1")]
    file.unlink()
    reconcile(listener)
    assert told[-1] == []


def test_a_call_for_nobody_that_brought_no_page_is_forgotten(listener, jobs, told, incoming):
    reconcile(listener, Received("1.1", NOBODYS, "", CallFacts("dropped")))
    assert ("forget", ["1.1"], "faxin") in listener.line.asked
    assert (jobs, told[-1]) == ([], [])


def test_pages_of_which_nothing_is_known_are_told_and_stay(listener, jobs, told, incoming):
    for channel_id in ("1.1", "1.2", "1.3", "1.4"):
        (incoming / f"{channel_id}.tif").write_bytes(b"TIFF")
    listener.line.live = ["1.2"]
    reconcile(listener, mark("1.3"), Received("1.4", FRONTDESK, "", CallFacts("success", pages=1)))
    assert [(left.file, left.called) for left in told[-1]] == [(str(incoming / "1.1.tif"), "")]
    assert (incoming / "1.1.tif").exists()


def test_only_what_has_changed_is_told_of_shared_lines(session, cast, listener):
    listener._tell_lines()
    listener.line.asked.clear()
    share(session, cast)
    listener._tell_lines()
    (name, lines, _), *_ = listener.line.asked
    assert (name, set(lines.values())) == ("tell_lines", {("101", f"{cast.alpha}-{cast.frontdesk}", 30)})
    assert f"{cast.alpha}*501" in lines
    listener._tell_lines()
    assert listener.line.asked[1:] == [("tell_lines", {}, 5)]


def test_how_faxes_may_come_in_is_told_of_every_line_when_it_changes(session, cast, listener):
    listener._tell_lines()
    (ways,) = [asked[1] for asked in listener.line.asked if asked[0] == "tell_ways"]
    assert {f"{cast.alpha}*501", "390509655637", "0509655637"} <= ways.keys()
    listener.line.asked.clear()
    template = session.get_one(FaxEntity, cast.frontdesk).template
    template.ecm, template.max_rate, template.t38 = False, 4800, False
    session.commit()
    listener._tell_lines()
    (changed,) = [asked[1] for asked in listener.line.asked if asked[0] == "tell_ways"]
    assert changed["390509655637"] == (template.station_id, Receiving(False, 4800, False))


def test_the_limits_of_calls_to_telephones_are_told_when_they_change(session, listener):
    listener._tell_lines()
    assert ("tell_voice_limits", 10, 30, 7200) in listener.line.asked
    listener.line.asked.clear()
    listener._tell_lines()
    assert listener.line.asked == [("tell_lines", {}, 5)]
    set_policy(session, Policy(voice_per_line=2, voice_per_company=3, voice_minutes=4))
    session.commit()
    listener._tell_lines()
    assert listener.line.asked[-1] == ("tell_voice_limits", 2, 3, 240)


def test_asterisk_counts_the_calls_of_a_line_by_the_sign_that_the_trunk_names_it_with(session, listener):
    listener._tell_lines()
    assert ("tell_order", "main", SIGNS) in listener.line.asked
    listener.line.asked.clear()
    order = ["to", *(sign for sign in SIGNS if sign != "to")]
    session.add(Trunk(name="second", position=9, host="192.0.2.1", port=5060, called_order=order))
    session.commit()
    listener._tell_lines()
    told = [asked for asked in listener.line.asked if asked[0] == "tell_order"]
    assert told == [("tell_order", "second", tuple(order))], "each trunk has its own"


def _share_with_101(session, cast, is_back):
    entity = session.get_one(FaxEntity, cast.frontdesk)
    entity.shared_with_voice, entity.voice_destination = not is_back, None if is_back else "101"


def _slow_down(session, cast, is_back):
    session.get_one(FaxEntity, cast.frontdesk).template.max_rate = 14400 if is_back else 4800


def _limit_telephones(session, _cast, is_back):
    set_policy(session, Policy() if is_back else Policy(voice_per_line=2))


def _ask_the_addressee_first(session, _cast, is_back):
    signs = sorted(SIGNS, key=lambda sign: sign != "to")
    session.scalars(sa.select(Trunk)).one().called_order = list(SIGNS if is_back else signs)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tell_lines", _share_with_101),
        ("tell_ways", _slow_down),
        ("tell_voice_limits", _limit_telephones),
        ("tell_order", _ask_the_addressee_first),
    ],
)
def test_what_may_have_been_told_in_vain_and_is_as_before_again_is_told_again(session, cast, listener, name, change):
    """Asterisk took it, and its answer did not come in time."""

    def told():
        return [asked[1:] for asked in listener.line.asked if asked[0] == name and asked[1]]

    def tell_and_lose(*args, **kwargs):
        listener.line.asked.append((name, *args, *kwargs.values()))
        raise TemporaryFailure("line_down")

    change(session, cast, is_back=True)
    session.commit()
    listener._tell_lines()
    listener.line.asked.clear()
    change(session, cast, is_back=False)
    session.commit()
    setattr(listener.line, name, tell_and_lose)
    with pytest.raises(TemporaryFailure):
        listener._tell_lines()
    (lost,) = told()
    delattr(listener.line, name)
    change(session, cast, is_back=True)
    session.commit()
    listener._tell_lines()
    assert len(told()) == 2
    assert told()[1] != lost
    if name in ("tell_lines", "tell_ways"):
        assert told()[1][0].keys() == lost[0].keys()
    listener._tell_lines()
    assert len(told()) == 2


@pytest.mark.parametrize(("asked", "seconds"), [("6", 5), ("8", 10), ("0", 5), ("120", 95)])
def test_a_shared_line_is_listened_to_for_whole_rings(monkeypatch, asked, seconds):
    monkeypatch.setattr("app.jobs.receiving.listen.settings", lambda: SimpleNamespace(listen_seconds=int(asked)))
    assert _listen_seconds() == seconds


# ---- Calls to telephones


def telephoned(cast, channel_id="1.1", **more):
    return Telephoned(channel_id, cast.frontdesk, "0501234567", "101", 1700000000, **more)


def calls(session):
    session.expire_all()
    return session.scalars(sa.select(VoiceCall).order_by(VoiceCall.id)).all()


def test_a_call_to_a_telephone_has_a_row_from_its_beginning_to_its_end(session, cast, listener):
    listener._take(telephoned(cast))
    (call,) = calls(session)
    assert (call.tenant_id, call.entity_id, call.caller, call.dialled) == (
        cast.alpha,
        cast.frontdesk,
        "+390501234567",
        "101",
    )
    assert (call.began_at, call.ended_at, call.end) == (datetime.fromtimestamp(1700000000, UTC), None, None)
    assert listener.line.asked == []
    over = telephoned(cast, ended_at=1700000100, seconds=60, end="answered")
    for _ in range(2):  # it may be told twice
        listener._take(over)
    (call,) = calls(session)
    assert (call.end, (call.ended_at - call.answered_at).total_seconds()) == ("answered", 60)
    assert listener.line.asked == [("forget", ["1.1"], "voice")] * 2


def test_a_call_whose_beginning_nobody_heard_has_a_row_all_the_same(session, cast, listener):
    listener._take(telephoned(cast, ended_at=1700000100, seconds=0, end="no_answer"))
    (call,) = calls(session)
    assert (call.end, call.answered_at) == ("no_answer", None)


def test_a_call_of_a_line_that_is_gone_is_forgotten(session, cast, listener):
    listener._take(replace(telephoned(cast, ended_at=1700000100, end="answered"), entity_id=10**9))
    assert calls(session) == []
    assert listener.line.asked == [("forget", ["1.1"], "voice")]


def test_a_call_that_asterisk_did_not_live_to_end_is_over_and_one_that_lives_is_not(session, cast, listener):
    for channel_id in ("1.1", "1.2"):
        listener._take(telephoned(cast, channel_id))
    listener.line.live = ["1.2"]
    reconcile(listener, telephoned(cast), telephoned(cast, "1.2"))
    lost, running = calls(session)
    assert (lost.end, running.ended_at) == ("unknown", None)
    assert listener.line.asked == [("forget", ["1.1"], "voice")]


def test_a_call_that_ended_while_nobody_listened_is_not_lost(session, cast, listener):
    listener._take(telephoned(cast))
    reconcile(listener, telephoned(cast, ended_at=1700000100, seconds=30, end="answered"))
    assert [call.end for call in calls(session)] == ["answered"]


def stasis(channel_id, called):
    arguments = ["incoming", b64encode(called.encode()).decode()]
    return {"type": "StasisStart", "args": arguments, "channel": {"id": channel_id, "caller": {"number": ""}}}


def rings(channel_id):
    return {"type": "Dial", "dialstatus": "RINGING", "peer": {"id": channel_id}}


def test_who_calls_is_answered_before_anything_is_written_down(listener, monkeypatch):
    monkeypatch.setattr(listen, "note_ringing", lambda _session, ids: listener.line.asked.append(("noted", *ids)))
    listener.hear([rings("fax-A-1"), stasis("1.1", NOBODYS), rings("fax-B-1")])
    assert listener.line.asked == [("refuse", "1.1", listen.UNALLOCATED), ("noted", "fax-A-1", "fax-B-1")]


@pytest.mark.parametrize("fault", [TemporaryFailure("line_down"), ValueError("foreseen by nobody")], ids=repr)
def test_a_fault_in_one_event_costs_that_event(listener, monkeypatch, fault):
    def refuse(channel_id, cause):
        if channel_id == "1.1":
            raise fault
        listener.line.asked.append(channel_id)

    monkeypatch.setattr(listener.line, "refuse", refuse, raising=False)
    listener.hear([stasis("1.1", NOBODYS), stasis("1.2", NOBODYS)])
    assert listener.line.asked == ["1.2"]


def test_a_process_that_does_not_hear_asterisk_gives_no_sign_of_life(listener, monkeypatch):
    beats = []
    monkeypatch.setattr(listen, "beat", beats.append)
    listener.beating.seconds = 0
    listener.take([])
    assert beats == []
    listener.take(Connected())
    assert beats == ["line"]
    listener.take(Disconnected())  # Asterisk answers, and lets nobody listen
    listener.take(Disconnected())
    assert beats == ["line"]
    listener.take(Connected())
    assert beats == ["line", "line"]


def test_what_was_missed_is_asked_for_at_once_when_asterisk_is_heard_again(listener, monkeypatch):
    monkeypatch.setattr(listen, "beat", lambda _process: None)
    listener.take(Connected())
    first = listener.telling
    listener.take([])
    assert listener.telling is first
    listener.take(Disconnected())
    listener.take(Connected())
    assert listener.telling is not first


def test_a_call_that_is_over_takes_no_place_however_long_its_pages_wait(session, cast, listener, jobs):
    session.get_one(Tenant, cast.alpha).limit_total = 1
    session.commit()
    listener._decide(Incoming("1.1", FRONTDESK, "0501234567"))
    listener._decide(Incoming("1.2", FRONTDESK, "0501234567"))
    assert [asked[:2] for asked in listener.line.asked] == [("receive", "1.1"), ("refuse", "1.2")]
    listener._take(Received("1.1", FRONTDESK, "0501234567", CallFacts("success", pages=1)))
    listener._note_off_the_line()
    assert jobs  # and nobody does them: the storage is away
    listener._decide(Incoming("1.3", FRONTDESK, "0501234567"))
    assert listener.line.asked[-1][:2] == ("receive", "1.3")
    assert receiving_fax(session, node="asterisk", channel_id="1.1").attempts[0].ended_at is None


def test_a_round_that_takes_long_is_not_begun_anew_before_it_ends(listener, monkeypatch):
    monkeypatch.setattr(listen, "beat", lambda _process: None)
    listener.reconciling.seconds = 0
    listener.take(Connected())
    first = listener.telling
    listener.take([])
    assert listener.telling is first
    first.begun -= listen.TELLING_SECONDS  # its end was lost
    listener.take([])
    assert listener.telling is not first


# ---- No page leaves before there is a mark of it


@pytest.fixture
def call(session, cast):
    """The channel id of a fax that was placed so long ago that it can no longer be answered; it lives no more."""
    attempt = dial(session, cast)
    attempt.placed_at = utc_now() - timedelta(minutes=5)
    session.commit()
    return attempt.channel_id


def round_of(listener, between=lambda: None):
    listener._begin()
    between()
    listener._take(AllTold("word"))
    return listener


def outcomes(jobs):
    return {channel_id: facts["outcome"] for name, channel_id, facts in jobs if name == "record"}


def test_a_call_without_a_mark_sent_nothing_and_is_free_to_be_dialled_again(listener, call, jobs):
    round_of(listener)
    assert outcomes(jobs) == {call: "line_down"}


def test_a_call_is_not_given_up_because_asterisk_started_anew(session, listener, call, jobs):
    """A job that was frozen between its fence and its request places the call in the new one, which then sends."""
    attempt = session.query(Attempt).filter_by(channel_id=call).one()
    attempt.placed_at = utc_now() - timedelta(seconds=30)
    session.commit()
    round_of(listener)
    assert outcomes(jobs) == {}


def test_a_call_with_a_mark_may_have_sent_something(listener, call, marks, jobs):
    (marks / call).touch()
    round_of(listener)
    assert outcomes(jobs) == {call: "unknown"}


def test_a_call_that_is_marked_while_others_are_looked_at_is_left_to_the_next_round(listener, call, marks, jobs):
    """It may have begun after the live channels were listed, and may have ended with Asterisk after that."""
    round_of(listener, (marks / call).touch)
    assert outcomes(jobs) == {}
    round_of(listener)
    assert outcomes(jobs) == {call: "unknown"}


def test_a_spool_that_is_away_is_no_proof_that_nothing_was_sent(listener, call, marks, jobs):
    marks.rmdir()
    with pytest.raises(TemporaryFailure, match="spool_down"):
        listener._begin()
    assert outcomes(jobs) == {}


def test_a_call_that_was_answered_while_nobody_listened_is_being_sent(session, listener, call, marks):
    (marks / call).touch()
    listener.line.live = [call]
    round_of(listener)
    attempt = session.scalar(sa.select(Attempt).where(Attempt.channel_id == call))
    assert attempt.answered_at
    assert attempt.fax.status == "sending"


def test_an_end_that_was_heard_and_could_not_be_written_anywhere_is_kept(listener, call, marks, jobs):
    """The disk was full: neither Asterisk's database nor ours has it."""
    (marks / call).touch()
    listener._take(Ended(call, CallFacts("success", pages=2)))
    jobs.clear()
    listener.enqueued.clear()
    round_of(listener)
    assert outcomes(jobs) == {call: "success"}


def test_the_mark_of_a_call_that_is_written_down_goes(session, listener, call, marks):
    record_result(session, call, CallFacts("busy"))
    (marks / call).touch()
    round_of(listener)
    assert list(marks.iterdir()) == []


def test_where_no_call_was_ever_placed_there_need_be_no_folder_of_marks(listener, marks, jobs):
    marks.rmdir()
    round_of(listener)
    assert jobs == []


def test_calls_that_found_no_place_are_counted_for_the_operator(session, cast, listener, monkeypatch):
    told = []
    monkeypatch.setattr(listen, "note_turned_away", lambda calls, now: told.append(dict(calls)))
    session.get_one(Tenant, cast.alpha).limit_inbound = 1
    session.commit()
    for channel_id in ("1.1", "1.2"):
        listener._decide(Incoming(channel_id, FRONTDESK, "0501234567"))
    for why in ("caller", "caller", "called", "a word of tomorrow"):
        listener._take(TurnedAway(why))
    listener._tell_turned_away()
    listener._tell_turned_away()
    assert told == [{"company": 1, "caller": 2, "called": 1}]


def test_an_asterisk_with_an_account_of_its_own_can_read_the_trunks_and_nobody_else(app, session, listener):
    """Passwords are in there; and an Asterisk that cannot read it knows no trunk, and refuses every call."""
    folder = (app.config["SETTINGS"].spool / FILE).parent
    folder.mkdir(parents=True)
    before = os.umask(0o077)  # the portal's
    try:
        for mode, expected in ((0o2750, 0o640), (0o700, 0o600)):
            folder.chmod(mode)
            (folder / "trunks.conf").unlink(missing_ok=True)
            listener.trunk_telling.tell()
            assert (folder / "trunks.conf").stat().st_mode & 0o777 == expected
    finally:
        os.umask(before)
    assert [asked for asked in listener.line.asked if asked[0] == "read_anew"] == [("read_anew", MODULES)] * 2


def test_the_last_trunk_that_is_switched_off_is_taken_from_asterisk(app, session, listener):
    file = app.config["SETTINGS"].spool / FILE
    listener.trunk_telling.tell()
    assert "[main]" in file.read_text()
    session.execute(sa.update(Trunk).values(enabled=False))
    session.commit()
    listener.trunk_telling.tell()
    assert file.read_text().strip() == ""
    assert [asked for asked in listener.line.asked if asked[0] == "read_anew"] == [("read_anew", MODULES)] * 2


def test_the_ports_for_calls_follow_the_channels_of_the_trunks(app, session, listener):
    spool = app.config["SETTINGS"].spool
    (spool.parent.parent / "etc").mkdir(parents=True)
    session.execute(sa.update(Trunk).values(channels=1000))
    session.commit()
    listener.trunk_telling.tell()
    listener.trunk_telling.tell()
    wide = [(spool / file).read_text() for file in MEDIA_FILES.values()]
    session.execute(sa.update(Trunk).values(channels=10))
    session.commit()
    listener.trunk_telling.tell()
    narrow = [(spool / file).read_text() for file in MEDIA_FILES.values()]
    start = ports_for(0, sip_port=app.config["SETTINGS"].sip_port).rtp[0]
    ends = (f"rtpend = {start + 2499}\n", f"rtpend = {start + 999}\n")
    assert (wide[0], narrow[0]) == tuple(f"[general](+)\nrtpstart = {start}\n{end}" for end in ends)
    assert f"udptlend = {start + 7499}" in wide[1] and f"udptlend = {start + 2999}" in narrow[1]
    modules = ("read_anew", (*MODULES, *MEDIA_FILES))
    assert [asked for asked in listener.line.asked if asked[0] == "read_anew"] == [modules] * 2


def test_an_operators_own_asterisk_keeps_its_ports(app, session, listener):
    listener.trunk_telling.tell()
    assert [file.name for file in (app.config["SETTINGS"].spool / "trunks").iterdir()] == ["trunks.conf"]


@pytest.mark.parametrize("spool", ["/spool/faxroom", "/faxroom"])
def test_the_etc_of_the_machine_makes_no_asterisk_ours(app, spool):
    assert not replace(app.config["SETTINGS"], spool=Path(spool)).own_asterisk


def test_before_any_trunk_is_in_the_table_asterisk_keeps_what_it_was_told(app, session, listener):
    file = app.config["SETTINGS"].spool / FILE
    listener.trunk_telling.tell()
    told = file.read_text()
    session.execute(sa.delete(Trunk))
    session.commit()
    listener.trunk_telling.tell()
    assert file.read_text() == told


def test_the_first_calls_of_an_asterisk_that_was_started_anew_are_not_taken_for_those_of_before(listener):
    said = "[2026-12-01 20:19:02.175] FAX[1][C-00000001] res_fax.c: FLOW T.30 Rx:  RTP with final frame tag\n"
    listener._hear_answers()
    heard = listener.answers
    heard.take(said.encode())
    listener.logged = {"fax-1-1": "C-00000001"}
    assert heard.poor("C-00000001", 1) == [1]
    listener._hear_answers()
    assert (listener.answers, heard.poor("C-00000001", 1), listener.logged) == (heard, [], {})


class Refusals:
    """An ear that knows what was said beside each refusal."""

    def __init__(self, **said: Refusal):
        self.said, self.asked = said, []

    def refusal(self, call_id, code):
        self.asked.append(call_id)
        return self.said.get(call_id)


def test_the_reason_of_a_refusal_stands_with_a_call_that_nobody_answered(listener, jobs, monkeypatch):
    ear = Refusals(refused=Refusal(503, 17), answered=Refusal(488, 58, retry_after=900))
    monkeypatch.setattr(listener.capture, "ear", ear)
    listener._take(Ended("1", CallFacts("congestion", response="SIP 503 No", rang=False), "refused"))
    listener._take(Ended("2", CallFacts("far_end_no_fax", response="SIP 488 No", answered_at=1.0), "answered"))
    listener._take(Ended("3", CallFacts("no_answer", response="SIP 180 Ringing", rang=True), "refused"))
    listener._take(Ended("4", CallFacts("success", pages=1, response="SIP 200 OK", answered_at=1.0), "answered"))
    told = [facts["response"] for _, _, facts in jobs]
    assert told == ["SIP 503 No (Q.850 17)", "SIP 488 No", "SIP 180 Ringing", "SIP 200 OK"]
    assert ear.asked == ["refused"]
