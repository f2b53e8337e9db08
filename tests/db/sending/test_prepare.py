"""What becomes of an accepted fax while it is prepared; the offices are told what to give."""

import io
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.adapters.documents.preparation import Offices, Prepared
from app.adapters.pages.rasterizer import TiffFacts
from app.jobs.outbox.notify import held_mail
from app.jobs.sending import prepare as job
from app.kinds import OFFICE_KINDS
from app.models import Document, Fax, Notice, Status
from app.rules.sending.looking import release_fax
from app.rules.sending.submit import resend_fax
from app.services.documents.documents import take_upload
from tenants.models import User
from tests.db.faxes import claim, reread, submit
from tests.web.cast import Cast

TRACKED, CUT = {"kind": "tracked_changes"}, {"kind": "cut", "page": 1, "sheets": 2}


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pages each document is made, and for whom it was."""
    wanted = [1]

    def prepared(source: Path, kind: str, folder: Path, *, offices: Offices, **_: object) -> Prepared:
        for name in ("made.pdf", "made.tif"):
            (folder / name).write_bytes(b"x")
        facts = TiffFacts(wanted[0], 1, 20.0, (1,) * wanted[0], notes=(CUT,))
        wanted[1:] = [offices.locale]
        return Prepared(folder / "made.pdf", folder / "made.tif", facts, [TRACKED])

    monkeypatch.setattr(job, "prepare_document", prepared)
    return wanted


def take(session: Session, cast: Cast, name: str, data: bytes) -> Document:
    return take_upload(session, stream=io.BytesIO(data), filename=name, tenant_id=cast.alpha, user_id=cast.bob)


def prepared(session: Session, fax: Fax) -> Fax:
    fax_id = fax.id
    session.commit()
    needs_office = fax.source.type in OFFICE_KINDS
    session.commit()
    (job.convert if needs_office else job.prepare).__wrapped__()
    return reread(session, fax_id)


def test_warnings_are_kept_with_what_was_made_and_offices_know_how_numbers_are_written(session, cast, pages):
    fax = prepared(session, submit(session, cast, document=take(session, cast, "a.txt", b"words")))
    assert (fax.status, fax.pdf.warnings, fax.page_notes) == (Status.READY, [TRACKED], [CUT])
    assert pages[1] == "it-IT"


def test_a_long_spreadsheet_that_nobody_was_asked_about_waits_for_its_sender(session, cast, pages):
    pages[0] = 21
    asked = prepared(session, submit(session, cast, document=take(session, cast, "prices.csv", b"a;b\n1;2\n")))
    assert (asked.status, asked.cause, asked.due_at) == (Status.READY, None, None)
    assert asked.look_until
    assert claim(session) == []
    assert release_fax(session, asked, session.get_one(User, cast.bob))
    assert [attempt.fax_id for attempt in claim(session)] == [asked.id]


@pytest.mark.parametrize(("agreed", "waits"), [(21, False), (20, True)])
def test_a_long_spreadsheet_goes_out_with_as_many_pages_as_its_sender_knows_of(session, cast, pages, agreed, waits):
    pages[0] = 21
    table = take(session, cast, "prices.csv", b"a;b\n1;2\n")
    fax = prepared(session, submit(session, cast, document=table, pages=agreed))
    assert (fax.status, fax.look_until is not None, fax.pages) == (Status.READY, waits, 21)


def test_a_long_spreadsheet_by_mail_is_told_of_and_goes_out_when_it_is_sent_again(session, cast, pages):
    pages[0] = 21
    table = take(session, cast, "prices.csv", b"a;b\n1;2\n")
    asked = prepared(session, submit(session, cast, document=table, origin="mail"))
    assert (asked.status, asked.cause, asked.cause_values) == (Status.FAILED, "many_sheet_pages", {"pages": 21})
    again = resend_fax(session, user=session.get_one(User, cast.bob), fax=asked, submission_key="again")
    again = prepared(session, again)
    assert (again.status, again.look_until) == (Status.READY, None)


def mails(session: Session, fax: Fax) -> list[tuple[str, str]]:
    """Kind and reader of all that was written about it."""
    query = sa.select(Notice.kind, Notice.recipient).where(Notice.fax_id == fax.id)
    return [tuple(row) for row in session.execute(query)]


@pytest.mark.parametrize("origin", ["web", "mail", "command"])
def test_who_sends_a_long_spreadsheet_unasked_is_told_by_mail_at_once(session, cast, pages, origin):
    pages[0] = 21
    table = take(session, cast, "prices.csv", b"a;b\n1;2\n")
    fax = prepared(session, submit(session, cast, document=table, origin=origin))
    [(kind, reader)] = mails(session, fax)
    assert (kind, reader) == ("held" if origin == "web" else "outcome", "bob@alpha.test")
    notice = session.scalar(sa.select(Notice).where(Notice.fax_id == fax.id))
    if origin == "web":
        message = held_mail(notice)
        assert message["Subject"].endswith("is waiting for your answer")
        assert "it has 21 pages" in message.get_content()
        assert "“Send now”" in message.get_content()
        assert f"/faxes/{fax.id}" in message.get_content()
    assert notice.sent_at is None


def test_no_mail_asks_about_a_fax_that_was_answered_meanwhile_or_was_agreed_to(session, cast, pages):
    pages[0] = 21
    table = take(session, cast, "prices.csv", b"a;b\n1;2\n")
    agreed = prepared(session, submit(session, cast, document=table, pages=21))
    assert mails(session, agreed) == []
    asked = prepared(session, submit(session, cast, document=take(session, cast, "more.csv", b"a;b\n3;4\n")))
    assert release_fax(session, asked, session.get_one(User, cast.bob))
    assert held_mail(session.scalar(sa.select(Notice).where(Notice.fax_id == asked.id))) is None


def test_a_long_text_and_a_short_spreadsheet_ask_nothing(session, cast, pages):
    assert (
        prepared(session, submit(session, cast, document=take(session, cast, "a.csv", b"a;b"))).status == Status.READY
    )
    pages[0] = 21
    assert prepared(session, submit(session, cast, document=take(session, cast, "a.txt", b"a"))).status == Status.READY
