"""What was looked at is what goes out: drawn once, taken over by the fax, gone with its draft."""

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

import app.jobs.running as running
import app.jobs.sending.preview as previewing
from app import queues
from app.adapters.confined.yielding import working
from app.adapters.documents import preparation
from app.adapters.pages.program_version import preparation_version
from app.errors import PermanentFailure, TemporaryFailure
from app.jobs.sending import prepare as preparing
from app.jobs.upkeep import clock
from app.jobs.upkeep.sweep import sweep
from app.models import Document, Fax, FaxEntity, FaxTemplate, Notice, Preview, PreviewLane, Status
from app.rules.sending.looking import give_up_overdue, release_fax
from app.rules.sending.preparing import LOOKED_AT
from app.rules.sending.previews import MOST_OF_ONE, Dots, ask_preview, claim_next_preview, claim_preview, preview_waits
from app.rules.sending.submit import submit_fax
from tenants.db import db, utc_now
from tenants.models import User
from tests.documents import pdf
from tests.web.cast import Cast, make_document

PAGES = 3
SOON = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def _in_this_application(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(running, "application", lambda: app)
    yield
    with app.app_context():
        db.session.rollback()


def draft(app: Flask, cast: Cast, content: bytes | None = None) -> Document:
    document = make_document(app, cast.alpha, content=content or pdf(pages=PAGES))
    document.user_id, document.pages = cast.bob, PAGES
    db.session.commit()
    return document


def asked(session: Session, cast: Cast, document: Document) -> Preview:
    template = session.get_one(FaxEntity, cast.frontdesk).template
    return ask_preview(session, document, Dots.of(template, preparation_version()))


def submitted(session: Session, cast: Cast, document: Document, key: str = "key", **more: object) -> Fax:
    what = {"entity_id": cast.frontdesk, "addressee_text": "050 1234567", "send_at_text": "", "document": document}
    return submit_fax(session, user=session.get_one(User, cast.bob), submission_key=key, **what, **more)


def draw(session: Session) -> None:
    """What waits, whether it was begun before or not."""
    session.rollback()  # the jobs have a session of their own
    previewing.preview()
    previewing.preview_slowly()


def bring_on(session: Session, fax: Fax) -> None:
    """A job takes the fax whose turn it is: this one, when it need not wait any more."""
    ended = sa.update(Fax).where(Fax.id == fax.id, Fax.lease_until < utc_now() + LOOKED_AT)
    session.execute(ended.values(lease_until=utc_now() - SOON))
    session.commit()
    preparing.prepare()


def the(session: Session, fax: Fax) -> Fax:
    return session.get_one(Fax, fax.id, populate_existing=True)


def stored(app: Flask) -> set[str]:
    return {path.name for path in Path(app.config["SETTINGS"].home, "storage").rglob("*") if path.is_file()}


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that a document's pages are drawn."""
    drawn: list[str] = []
    rasterize = preparation.rasterize

    def counted(path: Path, *arguments: object, **options: object) -> object:
        drawn.append(path.name)
        return rasterize(path, *arguments, **options)

    monkeypatch.setattr(preparation, "rasterize", counted)
    return drawn


def test_what_was_looked_at_goes_out_dot_by_dot_without_being_drawn_twice(app, session, cast, drawings):
    document = draft(app, cast)
    preview_id = asked(session, cast, document).id
    draw(session)
    shown = session.get_one(Preview, preview_id)
    tiff_id, pages = shown.tiff_id, shown.pages
    assert (pages, shown.state, len(shown.page_bytes)) == (PAGES, "done", PAGES)
    fax = submitted(session, cast, document)
    bring_on(session, fax)
    fax = the(session, fax)
    assert (fax.status, fax.tiff_id, fax.pdf_id, fax.pages) == ("ready", tiff_id, document.id, PAGES)
    assert fax.line_seconds and fax.due_at
    assert len(drawings) == 1
    assert session.scalar(sa.select(Preview)) is None


def test_a_preview_is_one_however_often_it_is_asked_for(app, session, cast):
    document = draft(app, cast)
    assert asked(session, cast, document).id == asked(session, cast, document).id


def test_a_fax_waits_for_pages_that_are_being_drawn_and_gets_those(app, session, cast, drawings, monkeypatch):
    document = draft(app, cast)
    preview_id, woken = asked(session, cast, document).id, []
    fax = submitted(session, cast, document)
    fax_id = fax.id

    def woke(session: Session, _source_id: str, _now: datetime, *, is_over: bool) -> None:
        assert is_over
        woken.append(session.get_one(Fax, fax_id, populate_existing=True).status)

    monkeypatch.setattr(previewing, "wake_waiting", woke)
    rasterize = preparation.rasterize

    def meanwhile(*arguments: object, **options: object) -> object:
        monkeypatch.setattr(preparation, "rasterize", rasterize)
        preparing.prepare()  # the fax's own turn comes while its pages are drawn
        assert db.session.get_one(Fax, fax_id, populate_existing=True).status == "preparing"
        db.session.rollback()
        return rasterize(*arguments, **options)

    monkeypatch.setattr(preparation, "rasterize", meanwhile)
    draw(session)
    assert (len(drawings), woken) == (1, ["preparing"])
    tiff_id = session.get_one(Preview, preview_id).tiff_id
    bring_on(session, fax)
    assert (the(session, fax).status, the(session, fax).tiff_id) == ("ready", tiff_id)
    assert len(drawings) == 1


def test_pages_that_come_while_a_fax_lies_down_to_wait_wake_it_at_once(app, session, cast, monkeypatch):
    document = draft(app, cast)
    preview_id = asked(session, cast, document).id
    claim_preview(session, preview_id, now=utc_now(), lease=SOON)
    fax, lie_down = submitted(session, cast, document), preparing.let_wait

    def late(session: Session, fax_id: str, now: datetime) -> None:
        lie_down(session, fax_id, now)
        assert session.get_one(Fax, fax_id, populate_existing=True).lease_until > utc_now()
        session.execute(sa.update(Preview).values(state="waiting", lease_until=None))
        session.commit()

    monkeypatch.setattr(preparing, "let_wait", late)
    monkeypatch.setattr(preparing, "TOGETHER_SECONDS", 0)  # the job does not go on with what was woken
    bring_on(session, fax)
    assert the(session, fax).status == "preparing"
    assert the(session, fax).lease_until < utc_now()


def test_a_fax_keeps_nobody_waiting_for_pages_that_nobody_has_begun(app, session, cast, drawings):
    document = draft(app, cast)
    asked(session, cast, document)
    fax = submitted(session, cast, document)
    bring_on(session, fax)
    assert the(session, fax).status == "ready"
    draw(session)  # comes too late and finds nothing to do
    assert len(drawings) == 1


def test_a_worker_that_died_leaves_its_preview_to_the_next_and_the_fax_waits_for_no_dead(app, session, cast, drawings):
    document = draft(app, cast)
    preview_id = asked(session, cast, document).id
    claim_preview(session, preview_id, now=utc_now(), lease=SOON)
    with pytest.raises(LookupError):
        claim_preview(session, preview_id, now=utc_now(), lease=SOON)
    later = utc_now() + 2 * SOON
    waiting = [preview_waits(session, lane, later) for lane in PreviewLane]
    assert waiting == [False, False, True], "it may be why"
    claim_preview(session, preview_id, now=later, lease=-2 * SOON)  # and dies as well
    fax = submitted(session, cast, document)
    bring_on(session, fax)
    assert the(session, fax).status == "ready"
    assert len(drawings) == 1


@pytest.mark.parametrize("at", range(8))
def test_a_kill_at_any_commit_loses_nothing_and_draws_no_second_fax(app, session, cast, monkeypatch, at):
    """Whoever draws or takes over is killed at one of its commits; the next one finds the fax and brings it on."""
    document = draft(app, cast)
    asked(session, cast, document)
    fax = submitted(session, cast, document)
    session.rollback()

    class Killed(BaseException):
        pass

    count, killed = itertools.count(), 0

    def dying(*_: object) -> None:
        if next(count) == at:
            raise Killed

    sa.event.listen(Session, "before_commit", dying)
    try:
        for act in (previewing.preview, preparing.prepare):
            try:
                act()
            except Killed:
                killed += 1
    finally:
        sa.event.remove(Session, "before_commit", dying)
    assert killed == 1
    long_ago = utc_now() - SOON
    for model in (Fax, Preview):
        session.execute(sa.update(model).where(model.lease_until.is_not(None)).values(lease_until=long_ago))
    session.commit()
    draw(session)
    bring_on(session, fax)
    there = the(session, fax)
    assert (there.status, there.pages, there.tiff.pages) == ("ready", PAGES, PAGES)
    app.extensions["storage"].open(there.tiff.storage_key).close()
    known = set(session.scalars(sa.select(Document.storage_key)))
    assert all(any(key.endswith(name) for name in stored(app)) for key in known if key.endswith(".tif"))


def test_pages_can_be_seen_while_the_others_are_drawn_and_their_parts_go(app, session, cast, monkeypatch):
    monkeypatch.setattr(previewing, "SHOW_SECONDS", 0)
    document, seen = draft(app, cast), []
    document.pages = None  # as of a document that is not PDF yet
    session.commit()
    write = previewing.write

    def watched(*arguments: object, **values: object) -> bool:
        seen.append(values.get("pages"))
        return write(*arguments, **values)

    monkeypatch.setattr(previewing, "write", watched)
    preview_id = asked(session, cast, document).id
    draw(session)
    assert seen == [1, 2, 3, 3]
    shown = session.get_one(Preview, preview_id, populate_existing=True)
    assert (shown.parts, shown.state) == ([], "done")
    assert session.scalar(sa.select(sa.func.count()).where(Document.kind == "tiff")) == 1
    assert sum(name.endswith(".tif") for name in stored(app)) == 1


def test_drawing_stops_when_the_draft_is_thrown_away(app, session, cast, monkeypatch):
    monkeypatch.setattr(previewing, "SHOW_SECONDS", 0)
    document = draft(app, cast)
    asked(session, cast, document)
    note = previewing._Shown.note

    def gone(self: object, number: int) -> None:
        db.session.execute(sa.delete(Preview))
        db.session.commit()
        note(self, number)

    monkeypatch.setattr(previewing._Shown, "note", gone)
    draw(session)
    assert session.scalar(sa.select(sa.func.count()).where(Document.kind == "tiff")) == 0
    assert not any(name.endswith(".tif") for name in stored(app))


def test_what_cannot_be_drawn_is_told_in_the_form_and_fails_the_fax_with_the_same_words(
    app, session, cast, drawings, monkeypatch
):
    document = draft(app, cast)
    preview_id = asked(session, cast, document).id

    def damaged(*_: object, **__: object) -> None:
        drawings.append("")
        raise PermanentFailure("too_many_pages", limit=200)

    monkeypatch.setattr(preparation, "rasterize", damaged)
    draw(session)
    shown = session.get_one(Preview, preview_id)
    assert (shown.state, shown.cause, shown.cause_values) == ("failed", "too_many_pages", {"limit": 200})
    fax = submitted(session, cast, document)
    bring_on(session, fax)
    there = the(session, fax)
    assert (there.status, there.cause, there.cause_values) == ("failed", "too_many_pages", {"limit": 200})
    assert len(drawings) == 1
    assert session.scalar(sa.select(Preview)) is None


def test_another_part_that_is_down_only_makes_the_preview_wait(app, session, cast, monkeypatch):
    document = draft(app, cast)
    preview_id = asked(session, cast, document).id

    def down(*_: object, **__: object) -> None:
        raise TemporaryFailure("storage_down")

    rasterize = preparation.rasterize
    monkeypatch.setattr(preparation, "rasterize", down)
    draw(session)
    shown = session.get_one(Preview, preview_id)
    assert (shown.state, shown.cause) == ("waiting", "storage_down")
    monkeypatch.setattr(preparation, "rasterize", rasterize)
    draw(session)
    assert session.get_one(Preview, preview_id, populate_existing=True).state == "waiting", "not yet"
    session.execute(sa.update(Preview).values(lease_until=utc_now() - SOON))
    session.commit()
    draw(session)
    assert session.get_one(Preview, preview_id, populate_existing=True).state == "done"


def test_pages_that_were_shown_for_other_settings_do_not_go_out(app, session, cast, drawings):
    document = draft(app, cast)
    asked(session, cast, document)
    draw(session)
    session.execute(sa.update(FaxTemplate).values(resolution="standard"))
    session.commit()
    fax = submitted(session, cast, document)
    bring_on(session, fax)
    assert len(drawings) == 2
    assert the(session, fax).status == "ready"
    assert session.scalar(sa.select(Preview)) is None, "and the other one is gone"
    assert sum(name.endswith(".tif") for name in stored(app)) == 1


def test_of_two_faxes_for_one_preview_one_takes_it_and_the_other_draws_its_own(app, session, cast, drawings):
    document = draft(app, cast)
    asked(session, cast, document)
    draw(session)
    faxes = [submitted(session, cast, document, key) for key in ("one", "two")]
    for fax in faxes:
        bring_on(session, fax)
    first, second = (the(session, fax) for fax in faxes)
    assert (first.status, second.status) == ("ready", "ready")
    assert first.tiff_id != second.tiff_id
    assert len(drawings) == 2


def test_a_cancelled_fax_leaves_the_preview_to_the_sweep(app, session, cast):
    document = draft(app, cast)
    asked(session, cast, document)
    draw(session)
    fax = submitted(session, cast, document)
    session.execute(sa.update(Fax).values(status=Status.CANCELLED))
    session.commit()
    bring_on(session, fax)
    assert session.scalar(sa.select(Preview)) is not None


def test_a_draft_that_is_thrown_away_takes_its_preview_with_it(app, session, cast):
    document = draft(app, cast)
    asked(session, cast, document)
    draw(session)
    session.rollback()
    sweep()
    assert session.scalar(sa.select(Preview)) is not None
    session.rollback()
    days_ago = utc_now() - timedelta(days=2)
    session.execute(sa.update(Preview).values(created_at=days_ago))
    session.execute(sa.update(Document).values(created_at=days_ago))
    session.commit()
    sweep()
    assert session.scalars(sa.select(Document)).all() == []
    assert not any(name.endswith((".tif", ".pdf")) for name in stored(app))


# ---- Whose turn it is


def drafts_of(app: Flask, session: Session, cast: Cast, tenant_id: int, user_id: int, count: int = 1) -> list[str]:
    """The previews of so many drafts."""
    made = []
    for _ in range(count):
        document = make_document(app, tenant_id, content=pdf())
        document.user_id = user_id
        session.commit()
        made.append(asked(session, cast, document).id)
    return made


def taken(session: Session, lane: PreviewLane = PreviewLane.DOCUMENTS) -> str | None:
    found = claim_next_preview(session, lane, now=utc_now(), lease=SOON)
    return found[0].id if found else None


def finished(session: Session, preview_id: str | None) -> str | None:
    session.execute(sa.update(Preview).where(Preview.id == preview_id).values(state="done"))
    session.commit()
    return preview_id


def test_previews_take_turns_between_companies_and_people(app, session, cast):
    bobs = drafts_of(app, session, cast, cast.alpha, cast.bob, 6)
    order = [finished(session, taken(session))]
    alices = drafts_of(app, session, cast, cast.alpha, cast.alice, 2)
    charlies = drafts_of(app, session, cast, cast.beta, cast.charlie, 2)
    order += [finished(session, taken(session)) for _ in range(5)]
    assert order == [bobs[0], charlies[0], alices[0], charlies[1], bobs[1], alices[1]]


def test_of_one_person_a_few_are_drawn_at_a_time_and_those_of_others_meanwhile(app, session, cast):
    bobs = drafts_of(app, session, cast, cast.alpha, cast.bob, 4)
    assert [taken(session) for _ in range(3)] == [*bobs[:MOST_OF_ONE], None]
    [alices] = drafts_of(app, session, cast, cast.alpha, cast.alice)
    assert taken(session) == alices
    finished(session, bobs[0])
    assert taken(session) == bobs[2]
    session.execute(sa.update(Preview).values(lease_until=utc_now() - SOON))  # all who draw have died
    session.commit()
    assert [taken(session, PreviewLane.SLOW) for _ in range(2)] == [alices, bobs[1]]


def test_one_preview_job_wakes_the_next_and_the_clock_finds_what_waits(app, session, cast, monkeypatch):
    woken: list[str] = []
    monkeypatch.setattr(queues, "enqueue_once", woken.append)
    monkeypatch.setattr(clock, "enqueue_once", woken.append)
    monkeypatch.setattr(clock, "redis", lambda: SimpleNamespace(set=lambda *_, **__: False))
    monkeypatch.setattr(clock, "queue", lambda _name: SimpleNamespace(count=1))
    drafts_of(app, session, cast, cast.alpha, cast.bob, 2)
    assert woken == ["preview", "preview"]
    taken(session)
    taken(session)
    assert woken[2:] == ["preview"], "nothing is left after the second"
    session.execute(sa.update(Preview).values(lease_until=utc_now() - SOON))
    session.commit()
    clock.tick()
    assert woken[3:] == ["preview_slowly"]


def test_a_preview_that_takes_long_gives_way_to_another_person_and_shows_its_pages_meanwhile(
    app, session, cast, monkeypatch
):
    monkeypatch.setattr(previewing, "SHOW_SECONDS", 0)
    long = asked(session, cast, draft(app, cast)).id
    session.execute(sa.update(Document).values(pages=None))  # as of a document that is not PDF yet
    session.commit()
    rasterize, others = preparation.rasterize, []

    def slowly(*arguments: object, on_page: Callable[[int], None], **options: object) -> object:
        made = rasterize(*arguments, on_page=on_page, **options)
        with working() as look:
            look(previewing.SLICE_SECONDS)  # so much and nobody waits
        others.extend(drafts_of(app, db.session, cast, cast.beta, cast.charlie))
        db.session.execute(sa.update(Preview).where(Preview.id != long).values(created_at=utc_now() - SOON))
        db.session.commit()
        with working() as look:
            look(0.1)
        return made

    monkeypatch.setattr(preparation, "rasterize", slowly)
    session.rollback()
    previewing.preview()
    there = session.get_one(Preview, long, populate_existing=True)
    assert (there.state, there.tries, there.pages, len(there.parts)) == ("waiting", 1, PAGES, PAGES)
    monkeypatch.setattr(preparation, "rasterize", rasterize)
    draw(session)
    states = {
        one.id: one.state for one in session.scalars(sa.select(Preview).execution_options(populate_existing=True))
    }
    assert states == {long: "done", others[0]: "done"}


def test_a_preview_gives_its_office_to_a_fax(app, session, cast):
    [looked_at_first, _] = drafts_of(app, session, cast, cast.alpha, cast.bob, 2)
    session.execute(sa.update(Document).values(type="docx"))
    session.commit()
    row, _ = claim_next_preview(session, PreviewLane.OFFICES, now=utc_now(), lease=SOON)
    assert row.id == looked_at_first
    assert not previewing._is_wanted(row, PreviewLane.OFFICES), "their own other one keeps it"
    submitted(session, cast, session.get_one(Document, row.source_id))
    assert previewing._is_wanted(row, PreviewLane.OFFICES)


# ---- Looking first


def looked_at(app: Flask, session: Session, cast: Cast) -> Fax:
    fax = submitted(session, cast, draft(app, cast), look_first=True)
    bring_on(session, fax)
    return the(session, fax)


def test_a_fax_to_be_looked_at_is_prepared_and_goes_when_its_sender_says_so(app, session, cast):
    fax = looked_at(app, session, cast)
    assert (fax.status, fax.due_at, fax.pages) == ("ready", None, PAGES)
    bob, charlie = session.get_one(User, cast.bob), session.get_one(User, cast.charlie)
    with pytest.raises(Exception, match="entity_not_allowed"):
        release_fax(session, fax, charlie)
    session.rollback()
    assert release_fax(session, fax, bob)
    assert the(session, fax).due_at <= utc_now()
    assert not release_fax(session, fax, bob), "once"


def test_a_fax_that_nobody_looks_at_ends_and_its_sender_is_told(app, session, cast):
    fax = looked_at(app, session, cast)
    give_up_overdue(session, utc_now())
    assert the(session, fax).status == "ready"
    give_up_overdue(session, fax.look_until + SOON)
    assert (the(session, fax).status, the(session, fax).cause) == ("cancelled", "not_looked_at")
    assert session.scalar(sa.select(Notice.recipient)) == "bob@alpha.test"


def test_a_fax_that_was_let_go_is_not_given_up(app, session, cast):
    fax = looked_at(app, session, cast)
    late = fax.look_until + SOON
    release_fax(session, fax, session.get_one(User, cast.bob))
    give_up_overdue(session, late)
    assert the(session, fax).status == "ready"
    assert session.scalar(sa.select(Notice)) is None
