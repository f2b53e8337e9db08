"""A trunk is changed again and again while faxes go out over it: no number is written for one carrier and dialled at
the other. Dispatching, what tells Asterisk of the trunks, Redis and Asterisk are the real ones."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.jobs.receiving.trunk_telling import TrunkTelling
from app.jobs.sending import dispatch
from app.models import Attempt, NumberForm, Trunk
from app.rules.sending.results import record_result
from app.services.receiving.line_events import Ended
from app.services.trunks.reading import is_asked
from tenants.db import db
from tests.db.conftest import session  # noqa: F401
from tests.db.faxes import make_ready, submit
from tests.db.reading import redis, redis_port  # noqa: F401
from tests.live.lines import Ear, Line, light_pages
from tests.live.strange import HOST, Stranger
from tests.web.cast import Cast
from tests.web.conftest import app, cast, kept, memory  # noqa: F401

pytestmark = pytest.mark.live

FAXES, AT_ONCE, LONGEST = 30, 6, 240.0
#: So many that have ended, and the trunk is changed.
ENDED = 5
#: Who begins anew at once leaves SQLite to nobody else.
BETWEEN_ROUNDS = 0.02
Carriers = dict[NumberForm, Stranger]


@pytest.fixture
def carriers() -> Iterator[Carriers]:
    """Each wants numbers in its own form. Neither knows any."""
    with Stranger() as plus, Stranger() as digits:
        yield {NumberForm.PLUS: plus, NumberForm.DIGITS: digits}


@pytest.fixture
def line(asterisk_root: None, carriers: Carriers, tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path / "line", local={}, trunk=f"sip:{HOST}:{carriers[NumberForm.PLUS].port}")
    line.home.mkdir()
    line.start()
    yield line
    assert line.stop() == 0


def beside(app: Flask, over: threading.Event, step: Callable[[], None], seconds: float) -> threading.Thread:  # noqa: F811
    """A process of its own, as far as the database is concerned."""

    def run() -> None:
        with app.app_context():
            while not over.wait(seconds):
                step()
                db.session.rollback()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _ended(session: Session) -> int:  # noqa: F811
    ended = session.scalar(sa.select(sa.func.count()).select_from(Attempt).where(Attempt.ended_at.is_not(None)))
    session.rollback()  # others write, too
    return ended or 0


def test_no_fax_is_dialled_in_the_form_of_the_other_carrier(
    app: Flask,  # noqa: F811
    session: Session,  # noqa: F811
    cast: Cast,  # noqa: F811
    redis: None,  # noqa: F811
    line: Line,
    carriers: Carriers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = light_pages(tmp_path / "one.tif", 1)
    monkeypatch.setattr(dispatch, "_lay_pages", lambda _attempt, path: shutil.copyfile(page, path))
    spool = line.home / "spool/faxroom"
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], spool=spool, sip_port=line.sip_port, line_limit=AT_ONCE)
    app.extensions["asterisk"] = line.ari
    for n in range(FAXES):
        make_ready(session, submit(session, cast, addressee_text=f"+3905012340{n:02}"), pages=1)
    session.execute(sa.update(Trunk).values(host=HOST, port=carriers[NumberForm.PLUS].port))
    session.commit()
    telling, changes, recorded = TrunkTelling(line.ari), list[NumberForm](), set[str]()
    telling.tell()

    def change() -> None:
        if len(recorded) < ENDED * (len(changes) + 1):
            return
        form = NumberForm.PLUS if len(changes) % 2 else NumberForm.DIGITS
        trunk = db.session.scalar(sa.select(Trunk))
        trunk.port, trunk.number_form = carriers[form].port, form
        db.session.commit()
        changes.append(form)

    over = threading.Event()
    with ExitStack() as stack:
        ear = stack.enter_context(Ear(line.ari))
        for step, seconds in ((change, 0.05), (lambda: telling.tell() if is_asked() else None, 0.1)):
            stack.callback(beside(app, over, step, seconds).join)
        stack.callback(over.set)
        until = time.monotonic() + LONGEST
        while (ended := _ended(session)) < FAXES:
            assert time.monotonic() < until, (ended, changes)
            time.sleep(BETWEEN_ROUNDS)
            dispatch._dispatch()
            for end in [said for said in list(ear.heard) if isinstance(said, Ended)]:
                if end.channel_id not in recorded:
                    recorded.add(end.channel_id)
                    record_result(session, end.channel_id, end.facts)
            session.rollback()
    called = {form: [call.number for call in carrier.calls.values()] for form, carrier in carriers.items()}
    assert all(called.values())
    assert {number[0] for number in called[NumberForm.PLUS]} == {"+"}
    assert {number[:2] for number in called[NumberForm.DIGITS]} == {"39"}
    assert sum(map(len, called.values())) == FAXES
    assert session.scalars(sa.select(Attempt.n)).all() == [1] * FAXES
