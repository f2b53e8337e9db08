"""What a fax takes before its call: nothing is done twice, and nothing that nobody has asked for."""

import io
from collections import Counter

import pytest
import sqlalchemy as sa

from app.adapters.confined import isolation
from app.adapters.documents.documents import judge
from app.adapters.pages.rasterizer import draw_all
from app.jobs.sending import prepare
from app.models import Fax, Status
from app.services.documents.documents import take_upload
from tests.db.faxes import reread, submit
from tests.web.cast import pdf_bytes


def accept(session, cast) -> str:
    given = io.BytesIO(pdf_bytes())
    document = take_upload(session, stream=given, filename="a.pdf", tenant_id=cast.alpha, user_id=cast.bob)
    return submit(session, cast, document=document).id


def test_a_document_is_opened_twice_to_be_judged_and_to_be_drawn(app, session, cast, monkeypatch):
    """And one job makes its pages and wakes who dials."""
    children, jobs = [], []
    asked = isolation._asked

    def counted(request, *more):
        children.append(request["function"])
        return asked(request, *more)

    monkeypatch.setattr(isolation, "_asked", counted)
    monkeypatch.setattr("app.queues.enqueue", lambda name, *_: jobs.append(name))
    monkeypatch.setattr("app.queues.enqueue_once", jobs.append)
    fax_id = accept(session, cast)
    prepare.prepare.__wrapped__()
    assert reread(session, fax_id).status == Status.READY
    assert children == [judge.__name__, draw_all.__name__]
    assert jobs == ["prepare", "dispatch"]


def test_what_follows_in_one_job_wakes_nobody_again_and_asks_the_database_for_little(app, session, cast, monkeypatch):
    """A second worker was woken by the first document, and a third by that one's."""
    jobs, asked = [], []
    monkeypatch.setattr(prepare, "TOGETHER_SECONDS", 60.0)
    for _ in range(6):
        accept(session, cast)
    monkeypatch.setattr("app.queues.enqueue_once", jobs.append)
    sa.event.listen(session.get_bind(), "before_cursor_execute", lambda *told: asked.append(told[2]))
    prepare.prepare.__wrapped__()
    assert Counter(jobs) == {"prepare": 1, "dispatch": 6}
    searches = sum("FROM fax" in statement and "slow.lane" in statement for statement in asked)
    assert searches == 6 * 3 + 1 + 1, "three for each, one by which the next is woken, one that finds no more"


@pytest.mark.parametrize(("seconds", "prepared"), [(60.0, 3), (0.0, 1)])
def test_one_job_prepares_what_waits_for_a_moment_and_then_lets_others_have_the_worker(
    app, session, cast, monkeypatch, seconds, prepared
):
    monkeypatch.setattr(prepare, "TOGETHER_SECONDS", seconds)
    for _ in range(3):
        accept(session, cast)
    prepare.prepare.__wrapped__()
    session.expire_all()
    states = Counter(session.scalars(sa.select(Fax.status)))
    assert states == Counter({Status.READY: prepared, Status.ACCEPTED: 3 - prepared})
