"""Whose document is prepared next, exactly once, and what takes long gives way."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

import app.jobs.running as running
from app import queues
from app.adapters.confined.yielding import GaveWay
from app.adapters.documents import preparation
from app.errors import TemporaryFailure
from app.jobs.sending import dispatch, prepare
from app.jobs.upkeep import clock
from app.models import Fax, FaxEntity, Lane, LastTurn, Origin, Status
from app.rules.numbers.numbers import read_addressee
from app.rules.sending.lifecycle import request_cancel
from app.rules.sending.preparing import LOOKED_AT, another_waits, anybody_is_prepared, claim_next
from app.rules.sending.submit import Order, accept_fax
from app.rules.upkeep.clock_jumps import shift_waits
from tenants.db import new_ulid, read_only, utc_now
from tenants.models import User
from tests.db.faxes import claim, make_document, reread, submit

LEASE = timedelta(seconds=30)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that were enqueued."""
    names: list[str] = []
    monkeypatch.setattr(queues, "enqueue_once", names.append)
    monkeypatch.setattr(clock, "enqueue_once", names.append)
    return names


@pytest.fixture
def job(app, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in this very application."""
    monkeypatch.setattr(running, "application", lambda: app)


def take(session: Session, lane: Lane = Lane.DOCUMENTS) -> str | None:
    return claim_next(session, lane, now=utc_now(), lease=LEASE)


def by(session: Session, cast, person: int, entity: int | None = None, kind: str = "pdf") -> str:
    user = session.get_one(User, person)
    document = make_document(session, user.tenant_id, person)
    document.type = kind
    fax_id = submit(session, cast, user=user, entity_id=entity or cast.frontdesk, document=document).id
    session.rollback()  # a job has a session of its own
    return fax_id


def test_companies_take_turns_then_people_then_it_goes_in_order(session, cast):
    bobs = [by(session, cast, cast.bob) for _ in range(4)]
    alices = [by(session, cast, cast.alice) for _ in range(2)]
    charlies = [by(session, cast, cast.charlie, cast.beta_line) for _ in range(2)]
    owner = dict.fromkeys(bobs, "bob") | dict.fromkeys(alices, "alice") | dict.fromkeys(charlies, "charlie")
    taken = list(iter(lambda: take(session), None))
    assert [owner[one] for one in taken[:4]].count("charlie") == 2, "every other turn is the other company's"
    of_alpha = [owner[one] for one in taken if owner[one] != "charlie"]
    assert of_alpha[:4].count("alice") == 2, "and within one every other is the other person's"
    for theirs in (bobs, alices, charlies):
        assert [one for one in taken if one in theirs] == theirs


@pytest.mark.parametrize("waits_for", [{"cause": "storage"}, {"look_until": utc_now() + timedelta(minutes=10)}])
def test_nobody_waits_for_a_document_that_goes_to_no_line_in_a_moment(session, cast, waits_for):
    fax_id = by(session, cast, cast.bob)
    assert anybody_is_prepared(session)
    session.execute(sa.update(Fax).where(Fax.id == fax_id).values(**waits_for))
    assert not anybody_is_prepared(session)


def test_who_comes_late_does_not_wait_behind_a_thousand(session, cast):
    for _ in range(6):
        by(session, cast, cast.bob)
    for _ in range(3):
        take(session)
    charlies = by(session, cast, cast.charlie, cast.beta_line)
    assert take(session) == charlies


def test_a_turn_is_remembered_though_nothing_waits_in_between(session, cast):
    by(session, cast, cast.bob)
    take(session)
    by(session, cast, cast.bob)
    charlies = by(session, cast, cast.charlie, cast.beta_line)
    assert take(session) == charlies


def test_what_was_taken_is_nobody_elses_until_its_lease_is_over(session, cast):
    fax_id = by(session, cast, cast.bob)
    assert take(session) == fax_id
    assert take(session) is None
    session.execute(sa.update(Fax).values(lease_until=utc_now() - timedelta(seconds=1)))
    session.commit()
    assert take(session) == fax_id, "whoever had it was killed"
    assert take(session) is None


def test_a_cancelled_one_is_not_taken(session, cast):
    fax_id = by(session, cast, cast.bob)
    assert request_cancel(session, session.get_one(Fax, fax_id), session.get_one(User, cast.bob))
    assert take(session) is None


@pytest.mark.parametrize(("kind", "lane"), [("pdf", Lane.DOCUMENTS), ("docx", Lane.OFFICES), ("odt", Lane.OFFICES)])
def test_each_kind_waits_in_its_lane(session, cast, kind, lane):
    fax_id = by(session, cast, cast.bob, kind=kind)
    assert [take(session, other) for other in Lane if other != lane] == [None, None]
    assert take(session, lane) == fax_id


def test_one_job_takes_one_and_wakes_the_next(session, cast, woken):
    for _ in range(2):
        by(session, cast, cast.bob)
    del woken[:]
    take(session)
    assert woken == ["prepare"]
    take(session)
    assert woken == ["prepare"], "nothing is left"


def test_the_clock_finds_what_waits_in_each_lane(app, session, cast, woken, monkeypatch):
    """Redis was emptied."""
    monkeypatch.setattr(clock, "_enqueue_stale", lambda *_: None)
    monkeypatch.setattr(clock, "redis", lambda: type("Taken", (), {"set": lambda *_, **__: False})())
    by(session, cast, cast.bob)
    by(session, cast, cast.bob, kind="docx")
    slow = by(session, cast, cast.alice)
    session.execute(sa.update(Fax).where(Fax.id == slow).values(lane=Lane.SLOW))
    session.commit()
    del woken[:]
    clock.tick()
    session.rollback()
    assert woken == ["prepare", "convert", "prepare_slowly"]
    assert not read_only.get(), "what follows in this process may write"


# ---- Giving way


@pytest.fixture
def gives_way(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Lane]]:
    """Documents give way wherever somebody asks them to; the lanes in which they were begun."""
    begun: list[Lane] = []

    def work(_fax, _folder, lane: Lane, *_: object) -> None:
        begun.append(lane)
        raise GaveWay if lane != Lane.SLOW else TemporaryFailure("converter_down")

    monkeypatch.setattr(prepare, "_prepare", work)
    yield begun


def test_what_gave_way_goes_on_in_the_slow_lane_and_nowhere_else(session, cast, job, woken, gives_way):
    fax_id = by(session, cast, cast.bob)
    prepare.prepare()
    fax = reread(session, fax_id)
    assert (fax.status, fax.lane) == (Status.PREPARING, Lane.SLOW)
    assert woken[-1] == "prepare_slowly"
    session.rollback()
    prepare.prepare()
    prepare.convert()
    assert gives_way == [Lane.DOCUMENTS]
    prepare.prepare_slowly()
    assert gives_way == [Lane.DOCUMENTS, Lane.SLOW]
    session.rollback()
    assert claim(session) == []


def test_while_one_of_somebodys_documents_is_slow_the_others_wait_and_nobody_elses(session, cast):
    slow = by(session, cast, cast.bob)
    session.execute(sa.update(Fax).where(Fax.id == slow).values(lane=Lane.SLOW))
    bobs, alices = by(session, cast, cast.bob), by(session, cast, cast.alice)
    bobs_letter = by(session, cast, cast.bob, kind="odt")
    assert [take(session), take(session), take(session, Lane.OFFICES)] == [alices, None, None]
    assert take(session, Lane.SLOW) == slow
    assert take(session) is None
    session.execute(sa.update(Fax).where(Fax.id == slow).values(status=Status.READY))
    session.commit()
    assert [take(session), take(session, Lane.OFFICES)] == [bobs, bobs_letter]


def test_one_person_has_one_office_and_others_have_the_next(session, cast):
    """An office that gives a document up takes seconds to start: one has to be left for who comes."""
    first, second = (by(session, cast, cast.alice, kind="docx") for _ in range(2))
    assert take(session, Lane.OFFICES) == first
    assert take(session, Lane.OFFICES) is None
    bobs = by(session, cast, cast.bob, kind="docx")
    charlies = by(session, cast, cast.charlie, cast.beta_line, kind="docx")
    assert {take(session, Lane.OFFICES), take(session, Lane.OFFICES)} == {bobs, charlies}
    session.execute(sa.update(Fax).where(Fax.id == first).values(status=Status.READY, lease_until=None))
    session.commit()
    assert take(session, Lane.OFFICES) == second


@pytest.mark.parametrize("is_looked_at", [True, False])
def test_one_that_only_waits_has_no_office(session, cast, is_looked_at):
    first, second = (by(session, cast, cast.alice, kind="docx") for _ in range(2))
    assert take(session, Lane.OFFICES) == first
    values = {"lease_until": utc_now() + LOOKED_AT} if is_looked_at else {"cause": "converter_busy"}
    session.execute(sa.update(Fax).where(Fax.id == first).values(values))
    session.commit()
    assert take(session, Lane.OFFICES) == second


@pytest.mark.parametrize("lane", [Lane.OFFICES, Lane.SLOW])
def test_the_end_of_one_wakes_somebody_for_the_next_of_the_same_person(session, cast, job, woken, monkeypatch, lane):
    first, second = (by(session, cast, cast.alice, kind="docx") for _ in range(2))
    session.execute(sa.update(Fax).where(Fax.id == first).values(lane=lane))
    session.commit()
    woken.clear()

    def made(fax: Fax, *_: object) -> None:
        assert fax.id == first
        assert queues.LANE_JOBS[Lane.OFFICES] not in woken
        session.execute(sa.update(Fax).where(Fax.id == first).values(status=Status.READY, lease_until=None))
        session.commit()

    monkeypatch.setattr(prepare, "_prepare", made)
    {Lane.OFFICES: prepare.convert, Lane.SLOW: prepare.prepare_slowly}[lane]()
    assert queues.LANE_JOBS[Lane.OFFICES] in woken
    assert take(session, Lane.OFFICES) == second


def test_one_that_waits_for_an_office_holds_up_no_pdf(session, cast):
    slow = by(session, cast, cast.bob, kind="odt")
    away = {"lane": Lane.SLOW, "status": Status.PREPARING, "cause": "converter_down"}
    until = utc_now() + timedelta(minutes=10)
    session.execute(sa.update(Fax).where(Fax.id == slow).values(**away, lease_until=until))
    letter = by(session, cast, cast.bob)
    assert take(session) == letter


def test_a_clock_that_was_set_back_makes_nobody_wait_for_a_turn(session, cast):
    by(session, cast, cast.bob)
    take(session)
    now = utc_now()
    assert session.scalar(sa.select(sa.func.count()).select_from(LastTurn)) == 1
    shift_waits(session, before=now, now=now - timedelta(hours=1))
    assert session.scalar(sa.select(sa.func.count()).select_from(LastTurn)) == 0


def test_each_time_it_has_more_time_before_it_gives_way(session, cast, job, monkeypatch):
    given = []

    @contextmanager
    def sliced(seconds: float, _is_wanted: object) -> Iterator[None]:
        given.append(seconds)
        raise GaveWay
        yield

    monkeypatch.setattr(prepare, "sliced", sliced)
    by(session, cast, cast.bob)
    prepare.prepare()
    for _ in range(2):
        prepare.prepare_slowly()
    assert given == [1.5, 6, 24]


def test_one_that_was_cancelled_meanwhile_stays_cancelled(session, cast, job, monkeypatch):
    fax_id = by(session, cast, cast.bob)

    def work(*_: object) -> None:
        session = prepare.db.session
        request_cancel(session, session.get_one(Fax, fax_id), session.get_one(User, cast.bob))
        raise GaveWay

    monkeypatch.setattr(prepare, "_prepare", work)
    prepare.prepare()
    fax = reread(session, fax_id)
    assert (fax.status, fax.lane) == (Status.CANCELLED, Lane.DOCUMENTS)


def test_a_place_is_given_up_for_others_that_have_waited_and_not_for_ones_own(session, cast):
    fax = session.get_one(Fax, by(session, cast, cast.bob))
    take(session)
    now = utc_now()
    asked = {"now": now + timedelta(hours=2), "since": now + timedelta(hours=1)}
    by(session, cast, cast.bob)
    assert not another_waits(session, fax, Lane.DOCUMENTS, **asked)
    by(session, cast, cast.alice, kind="docx")
    assert not another_waits(session, fax, Lane.DOCUMENTS, **asked), "they wait for another place"
    by(session, cast, cast.charlie, cast.beta_line)
    assert not another_waits(session, fax, Lane.DOCUMENTS, now=now, since=now - timedelta(minutes=1)), "a moment ago"
    assert another_waits(session, fax, Lane.DOCUMENTS, **asked)


def test_the_first_office_never_has_what_takes_long(app, session, cast, job, monkeypatch, tmp_path):
    asked: list[list[str]] = []
    source = tmp_path / "a.docx"
    source.touch()

    def converted(_path, *, servers: list[str], **_: object) -> bytes:
        asked.append(servers)
        raise TemporaryFailure("converter_busy")

    monkeypatch.setattr(preparation, "convert_to_pdf", converted)
    for offices, lane in itertools.product((["unix:/a", "unix:/b"], ["unix:/a"]), (Lane.OFFICES, Lane.SLOW)):
        app.config["SETTINGS"] = replace(app.config["SETTINGS"], unoserver_urls=tuple(offices))
        with pytest.raises(TemporaryFailure):
            preparation.pdf_of(
                source,
                "docx",
                tmp_path,
                name="a",
                offices=preparation.Offices(prepare.offices_of(is_slow=lane == Lane.SLOW)),
            )
    assert asked == [["unix:/a", "unix:/b"], ["unix:/b"], ["unix:/a"], ["unix:/a"]]


def test_what_an_operator_sends_as_a_company_has_its_turn_and_keeps_nobody_waiting(session, cast):
    """Such as a test of a trunk: its user belongs to no company."""
    document = make_document(session, cast.alpha, cast.olga)
    tests = [order_test(session, cast, document) for _ in range(2)]
    charlies = [by(session, cast, cast.charlie, cast.beta_line) for _ in range(2)]
    bobs = by(session, cast, cast.bob)
    taken = [take(session) for _ in range(5)]
    assert sorted(taken) == sorted([*tests, *charlies, bobs]) and take(session) is None
    assert {*taken[:4]} >= {tests[0], bobs} and sorted(map(taken.index, charlies)) in ([0, 2], [1, 3])


def order_test(session: Session, cast, document) -> str:
    line = session.get_one(FaxEntity, cast.frontdesk)
    order = Order(document.id, pages=1, origin=Origin.TEST)
    addressee = read_addressee(session, line.tenant, "+390501234567")
    operator = session.get_one(User, cast.olga)
    fax = accept_fax(session, order, user=operator, entity=line, addressee=addressee, submission_key=new_ulid())
    return fax.id


def test_in_a_crowd_a_round_waits_for_those_that_are_being_prepared_and_alone_it_waits_for_nobody(
    app, session, cast, monkeypatch
):
    at, others = 100.0, [by(session, cast, cast.bob)]

    def sleep(seconds: float) -> None:
        nonlocal at
        at += seconds
        if at > 100.5 and others:
            request_cancel(session, session.get_one(Fax, others.pop()), session.get_one(User, cast.bob))

    monkeypatch.setattr(dispatch, "time", SimpleNamespace(monotonic=lambda: at, sleep=sleep))

    def waited(*, since_last_round: float) -> float:
        began = at
        dispatch._rounds.ended_at = at - since_last_round
        dispatch._gather()
        return at - began

    monkeypatch.setattr(dispatch, "_rounds", dispatch._Rounds())
    assert waited(since_last_round=9) == 0, "nobody came just before"
    assert 0.5 < waited(since_last_round=0.1) < 0.7, "until the other one is over"
    assert waited(since_last_round=0.1) == pytest.approx(dispatch.GATHER_SECONDS), "nobody else comes"
    by(session, cast, cast.bob)
    assert waited(since_last_round=0.1) == pytest.approx(dispatch.LONGEST_GATHER, abs=dispatch.GATHER_LOOK)
