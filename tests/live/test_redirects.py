"""Redirects that the operator lets be followed, from a real Asterisk's word to the next call of ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Fax, Status
from app.rules.numbers.policy import Policy, set_policy
from app.rules.sending.dispatch import mark_placed
from app.rules.sending.results import record_result
from tenants.db import utc_now
from tests.db.conftest import session  # noqa: F401
from tests.db.faxes import claim, make_ready, submit
from tests.live.lines import Ear, Line, call_of, light_pages
from tests.live.strange import HOST, Stranger
from tests.live.test_strangers import REDIRECTS
from tests.web.cast import Cast
from tests.web.conftest import app, cast, kept, memory  # noqa: F401

pytestmark = pytest.mark.live

#: What whoever is called answers, and the number that is dialled then; None: nothing more is.
ALLOWED = [
    ("302 Moved Temporarily", f"sip:+390511234567@{HOST}:PORT", "+390511234567"),
    ("302 Moved Temporarily", "sip:+390511234568@stranger.invalid;user=phone", "+390511234568"),
    ("302 Moved Temporarily", "sip:00390511234569@localhost", "+390511234569"),
]
ANSWERS = [(status, contact, None) for status, contact in REDIRECTS] + ALLOWED


@pytest.fixture
def carrier() -> Iterator[Stranger]:
    with Stranger() as carrier:
        for number, (status, contact, _target) in enumerate(ANSWERS):
            carrier.answers[f"+3902400{number:04}"] = status, contact.replace("PORT", str(carrier.port))
        yield carrier


@pytest.fixture
def line(asterisk_root: None, carrier: Stranger, tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path / "line", local={}, trunk=f"sip:localhost:{carrier.port}")
    line.home.mkdir()
    line.start()
    yield line
    assert line.stop() == 0


def place(line: Line, session: Session, page: Path) -> list[str]:  # noqa: F811
    """What is due goes to the line as the dispatch would have it; gives the calls' ids."""
    attempts = claim(session)
    mark_placed(session, [attempt.id for attempt in attempts], utc_now())
    numbers = {attempt.channel_id: attempt.dialled or attempt.fax.dial_string for attempt in attempts}
    calls = [call_of(channel_id, page, number) for channel_id, number in numbers.items()]
    assert set(line.ari.originate_many(calls)) <= {"placed"}
    return list(numbers)


@pytest.mark.parametrize("follows", [False, True])
def test_redirects_make_the_calls_that_the_operator_lets_them_make_and_no_other(
    session: Session,  # noqa: F811
    cast: Cast,  # noqa: F811
    line: Line,
    carrier: Stranger,
    tmp_path: Path,
    follows: bool,
) -> None:
    page = light_pages(tmp_path / "one.tif", 1)
    set_policy(session, Policy(redirects_followed=follows))
    redirecting = [f"+3902400{number:04}" for number in range(len(ANSWERS))]
    for number in redirecting:
        fax = make_ready(session, submit(session, cast), pages=1)
        fax.remote_number = fax.dial_string = number
    session.commit()
    with Ear(line.ari) as ear:
        while channel_ids := place(line, session, page):
            for channel_id in channel_ids:
                record_result(session, channel_id, ear.result(channel_id).facts)
        assert ear.incoming == []
    session.expire_all()
    targets = [target for *_answer, target in ANSWERS if target] if follows else []
    assert sorted(call.number for call in carrier.calls.values()) == sorted(redirecting + targets)
    assert session.scalar(sa.select(sa.func.count(Attempt.id))) == len(redirecting) + len(targets)
    causes = {fax.dial_string: (fax.status, fax.cause) for fax in session.scalars(sa.select(Fax))}
    assert {status for status, _cause in causes.values()} <= {Status.FAILED, Status.RETRYING}
    followed = {redirecting[number] for number, answer in enumerate(ANSWERS) if answer[2]}
    # a carrier that says 404 of one number after the other proves nothing of the number any more
    expected = {"unallocated", "congestion"} if follows else {"redirected"}
    assert {causes[number][1] for number in followed} <= expected
