"""The report shows the first page with the header that it went with."""

import base64
import re
from datetime import timedelta

import sqlalchemy as sa

from app.adapters.pages.rasterizer import page_picture
from app.jobs.sending import dispatch
from app.jobs.sending.dispatch import _lay_pages
from app.models import Attempt, Fax, FaxTemplate
from app.rules.sending.dispatch import mark_placed
from app.rules.sending.results import CallFacts, record_result
from app.services.sending.reports import WIDTH, report_html
from tenants.db import utc_now
from tests.db.faxes import claim, reread, submit_letter
from tests.db.reading import SINCE, all_read, redis, redis_port  # noqa: F401
from tests.db.receiving.test_listening import Line


def sent(session, cast, folder, *, header: str) -> tuple[Fax, bytes]:
    """A fax that is over, and a picture of the first page that was laid for its call."""
    session.execute(sa.update(FaxTemplate).values(header=header, station_id="+39 050 1"))
    session.commit()
    fax_id = submit_letter(session, cast)
    (attempt,) = claim(session)
    target = folder / "spool" / "outgoing" / "next.tif"
    _lay_pages(session.get_one(Attempt, attempt.id), target)
    mark_placed(session, [attempt.id], utc_now())
    record_result(session, attempt.channel_id, CallFacts("success", pages=1))
    return reread(session, fax_id), page_picture(target, 1, WIDTH)


def shown(fax: Fax) -> bytes:
    return base64.b64decode(re.search(r'data:image/png;base64,([^"]+)"', report_html(fax))[1])


def test_it_is_the_very_page_whatever_the_template_and_the_clock_say_since(app, session, cast, tmp_path):
    with app.test_request_context():
        fax, page = sent(session, cast, tmp_path, header="Alpha Srl")
        assert fax.attempts[0].header_name == "Alpha Srl"
        session.execute(sa.update(FaxTemplate).values(header="Another name"))
        session.execute(sa.update(Attempt).values(placed_at=utc_now() + timedelta(minutes=3)))
        session.commit()
        fax = reread(session, fax.id)
        assert shown(fax) == page


def test_without_a_header_it_is_the_page_as_it_was_prepared(app, session, cast, tmp_path):
    with app.test_request_context():
        fax, page = sent(session, cast, tmp_path, header="")
        session.execute(sa.update(FaxTemplate).values(header="Later"))
        session.commit()
        assert shown(reread(session, fax.id)) == page


def test_a_header_is_kept_although_the_disk_was_full_for_the_next_fax(app, session, cast, all_read, monkeypatch):  # noqa: F811
    session.execute(sa.update(FaxTemplate).values(header="Alpha Srl", station_id="+39 050 1"))
    session.commit()
    fax_ids = []
    for _ in range(2):
        fax_ids.append(submit_letter(session, cast))

    def lay(attempt, path):
        if attempt.fax_id == fax_ids[1]:
            raise OSError(28, "No space left on device")
        _lay_pages(attempt, path)

    app.extensions["asterisk"] = line = Line()
    line.ping = lambda: SINCE
    line.originate_many = lambda calls: ["placed" for _ in calls]
    monkeypatch.setattr(dispatch, "_lay_pages", lay)
    dispatch._dispatch()
    session.expire_all()
    (attempt,) = session.scalars(sa.select(Attempt))
    assert (attempt.fax_id, attempt.header_name, attempt.header_station) == (fax_ids[0], "Alpha Srl", "+39 050 1")
    assert attempt.placed_at is not None
    assert reread(session, fax_ids[1]).cause == "disk_full"
