"""A machine that takes standard resolution only gets the pages drawn again, where they can be."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.adapters.fax_files.fax_tiff import read_pages
from app.errors import FaxroomError
from app.jobs.sending import prepare
from app.jobs.sending import redraw as redrawing
from app.jobs.sending.dispatch import _lay_pages
from app.jobs.sending.redraw import redraw
from app.models import Attempt, Document, Fax, Status
from app.rules.sending.results import CallFacts, record_result
from app.services.documents.documents import storage
from tenants.db import utc_now
from tests.db.faxes import claim, reread, submit_letter

REFUSED = CallFacts("protocol_error", mode="T38", error="Far end cannot receive at the resolution of the image")


@pytest.fixture
def fax(session, cast) -> Fax:
    """Refused by its machine for its resolution."""
    fax_id = submit_letter(session, cast)
    (attempt,) = claim(session)
    record_result(session, attempt.channel_id, REFUSED)
    assert reread(session, fax_id).status == Status.RETRYING
    return reread(session, fax_id)


def resolutions(session, fax: Fax, folder: Path) -> set[int]:
    """Lines to the inch of what the next call sends."""
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(due_at=utc_now()))
    session.commit()
    (attempt,) = claim(session)
    target = folder / "spool" / "outgoing" / "next.tif"
    _lay_pages(session.get_one(Attempt, attempt.id), target)
    return {page.dots_down for page in read_pages(target)}


def test_it_is_drawn_again_from_the_document_and_the_pages_from_before_go(session, fax, tmp_path):
    before, key = fax.tiff_id, fax.its_tiff.storage_key
    fax_id = fax.id
    session.commit()
    redraw.__wrapped__(fax_id)
    fax = reread(session, fax_id)
    assert fax.tiff_id != before
    with storage().local_copy(fax.its_tiff.storage_key) as path:
        assert [page.dots_down for page in read_pages(path)] == [98]
    assert session.get(Document, before) is None
    with pytest.raises(FaxroomError):
        storage().open(key)
    assert resolutions(session, fax, tmp_path) == {98}


def test_the_next_fax_to_it_is_drawn_for_it_at_once(session, fax, cast):
    fax_id = submit_letter(session, cast)
    with storage().local_copy(reread(session, fax_id).its_tiff.storage_key) as path:
        assert [page.dots_down for page in read_pages(path)] == [98]


def test_where_the_document_is_gone_the_next_call_has_half_of_its_lines(session, fax, tmp_path):
    fax.pdf.removed_at = utc_now()
    session.commit()
    fax_id, before = fax.id, fax.tiff_id
    session.commit()
    redraw.__wrapped__(fax_id)
    fax = reread(session, fax_id)
    assert fax.tiff_id == before
    assert resolutions(session, fax, tmp_path) == {98}


def test_a_fax_that_is_on_the_line_by_now_keeps_its_pages(session, fax):
    fax_id, before = fax.id, fax.tiff_id
    session.execute(sa.update(Fax).values(status=Status.SENDING))
    session.commit()
    redraw.__wrapped__(fax_id)
    assert reread(session, fax_id).tiff_id == before


def test_a_fax_of_which_a_page_got_through_while_it_was_drawn_keeps_its_pages(session, fax, monkeypatch):
    fax_id, before = fax.id, fax.tiff_id
    session.commit()

    def drawn_late(*arguments, **options):
        session.execute(sa.update(Fax).values(pages_done=1))
        session.commit()
        return prepare.drawn(*arguments, **options)

    monkeypatch.setattr(redrawing, "drawn", drawn_late)
    redraw.__wrapped__(fax_id)
    assert reread(session, fax_id).tiff_id == before
