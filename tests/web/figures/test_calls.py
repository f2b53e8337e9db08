"""Calls of shared lines to telephones: an administrator's list, its file, and the figures."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import AuditEvent, CallEnd, FaxEntity
from app.rules.figures.figures import count_days
from app.rules.receiving.telephone_calls import note_call
from app.web.figures import call_pages
from app.web.figures.call_pages import ENDS
from tenants.db import db, new_ulid, utc_now
from tests.web.cast import Browser, Cast

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def telephone(app: Flask, entity_id: int, at: datetime = NOON, *, seconds: int = 0, **more: object) -> None:
    call = {"caller": "0501234567", "dialled": "101", "end": CallEnd.ANSWERED} | more
    with app.app_context():
        channel = {"node": "asterisk", "channel_id": new_ulid(), "entity_id": entity_id, "seconds": seconds}
        note_call(db.session, **channel, began_at=at.timestamp(), ended_at=at.timestamp() + seconds + 10, **call)


def test_the_list_has_who_called_which_line_when_how_long_and_how_it_ended(
    app: Flask, cast: Cast, alice: Browser
) -> None:
    telephone(app, cast.frontdesk, seconds=75)
    telephone(app, cast.archive, NOON + timedelta(hours=1), caller="", end=CallEnd.LIMIT)
    page = alice.get("/calls").text
    assert page.index("archive") < page.rindex("frontdesk")
    for told in ("050 123 4567", "101", "1:15", "withheld number", str(ENDS[CallEnd.LIMIT])):
        assert told in page


def test_a_call_that_runs_is_there_too(app: Flask, cast: Cast, alice: Browser) -> None:
    with app.app_context():
        call = {"entity_id": cast.frontdesk, "caller": "", "dialled": "101", "began_at": NOON.timestamp()}
        note_call(db.session, node="asterisk", channel_id="1.1", **call)
    assert "Under way" in alice.get("/calls").text


def test_it_is_found_by_line_and_by_days_of_the_company(app: Flask, cast: Cast, alice: Browser) -> None:
    share(app, cast)
    late = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)  # the 10th in Rome
    telephone(app, cast.frontdesk, late, dialled="201")
    telephone(app, cast.archive, late - timedelta(hours=2), dialled="202")
    assert "202</td>" not in alice.get(f"/calls?entity={cast.frontdesk}").text
    day = alice.get("/calls?since=2026-03-10&until=2026-03-10").text
    assert ("201</td>" in day, "202</td>" in day) == (True, False)
    odd = alice.get("/calls?since=yesterday&entity=x").text
    assert "“yesterday” is not a date" in odd
    assert "There is no such fax line." in odd


def share(app: Flask, cast: Cast) -> None:
    with app.app_context():
        db.session.get_one(FaxEntity, cast.frontdesk).shared_with_voice = True
        db.session.commit()


def test_older_calls_are_on_further_pages_each_once(
    app: Flask, cast: Cast, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_pages, "PAGE", 2)
    for number in range(5):
        telephone(app, cast.frontdesk, NOON, dialled=f"70{number}")
    path, seen = "/calls", []
    while path:
        page = alice.get(path).text
        seen += [f"70{number}" for number in range(5) if f">70{number}<" in page]
        older = page.partition('rel="next" href="')[2].partition('"')[0]
        path = older.replace("&amp;", "&")
    assert sorted(seen) == [f"70{number}" for number in range(5)]


def test_the_file_has_the_same_and_the_log_says_who_took_it(app: Flask, cast: Cast, alice: Browser) -> None:
    telephone(app, cast.frontdesk, seconds=75, caller="+390501234567")
    text = alice.get("/calls/calls.csv").get_data(as_text=True)
    assert "2026-03-10 13:00:00+01:00,frontdesk,'+390501234567,101,75,Answered" in text
    with app.app_context():
        assert db.session.scalar(sa.select(AuditEvent.action).where(AuditEvent.action == "calls.downloaded"))


def test_nobody_else_has_it_and_nothing_of_another_company_is_in_it(
    app: Flask, cast: Cast, alice: Browser, bob: Browser, charlie: Browser, olga: Browser
) -> None:
    telephone(app, cast.beta_line, dialled="999123")
    for path in ("/calls", "/calls/calls.csv", f"/calls?entity={cast.beta_line}"):
        assert "999123" not in alice.get(path).get_data(as_text=True)
        for other in (bob, olga):
            assert other.get(path).status_code == 404


def test_every_end_has_its_words() -> None:
    assert set(ENDS) == set(CallEnd)


def test_the_figures_count_calls_and_minutes_and_a_fax_is_no_call(
    app: Flask, cast: Cast, alice: Browser, olga: Browser
) -> None:
    now = utc_now() - timedelta(hours=1)
    for end, seconds in ((CallEnd.ANSWERED, 600), (CallEnd.LONGEST, 1200), (CallEnd.NO_ANSWER, 0), (CallEnd.FAX, 0)):
        telephone(app, cast.frontdesk, now, seconds=seconds, end=end)
    with app.app_context():
        count_days(db.session, utc_now())
    for page in (alice.get("/figures").text, olga.get("/operator/figures").text):
        table = page.partition('id="calls-by-')[2].partition("</table>")[0]
        cells = [cell.partition(">")[2].partition("<")[0] for cell in table.split('class="number"')[4:]]
        assert cells == ["3", "2", "30"]
    assert "/calls?" in alice.get("/figures").text


def test_who_has_no_shared_line_hears_nothing_of_calls(alice: Browser) -> None:
    assert "/calls" not in alice.get("/figures").text


def test_a_short_number_from_outside_is_nobody_s_extension(app: Flask, cast: Cast, alice: Browser) -> None:
    telephone(app, cast.frontdesk, caller="501")
    assert "501 (not verified)" in alice.get("/calls").text
