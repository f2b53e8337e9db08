"""The preview in the send form, and the step in between without JavaScript."""

import io
import re

import pytest
import sqlalchemy as sa
from flask import Flask
from PIL import Image

import app.jobs.running as running
import app.web.faxes.preview as pages_of_form
from app.adapters.fax_files.fax_tiff import decode, read_pages
from app.jobs.sending.prepare import prepare
from app.jobs.sending.preview import preview as draw_preview
from app.models import Document, Fax, FaxTemplate, Preview
from app.services.documents.pictures import FULL, THUMBNAIL
from tenants.db import db
from tests.documents import pdf
from tests.web.cast import Browser, Cast

DRAFT = re.compile(r'name="draft" value="([^"]*)"')
SHOWN = re.compile(r'name="preview" value="([^"]*)"')
ASKS = re.compile(r'id="preview-state" hx-get="([^"]+)"')
THUMBS = re.compile(r'<img src="([^"]+/pages/\d+\.png[^"]*)"')


@pytest.fixture(autouse=True)
def _jobs(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "application", lambda: app)


def upload(browser: Browser, cast: Cast, content: bytes | None = None, **more: object) -> str:
    file = (io.BytesIO(content or pdf(pages=2)), "letter.pdf")
    fields = {"entity": str(cast.frontdesk), "document": file} | more
    return browser.post("/faxes/send/document", htmx=True, **fields).text


def preview_id(app: Flask) -> str:
    with app.app_context():
        return db.session.scalar(sa.select(Preview.id).order_by(Preview.created_at.desc()).limit(1))


def ready(app: Flask, browser: Browser, cast: Cast) -> tuple[str, str]:
    """The draft, and the fragment with all of its pages."""
    answer = upload(browser, cast)
    draw_preview()
    return DRAFT.search(answer)[1], browser.get(path_of(answer)).text


def path_of(fragment: str) -> str:
    return ASKS.search(fragment)[1].replace("&amp;", "&")


def fields(cast: Cast, **more: str) -> dict[str, str]:
    return {"entity": str(cast.frontdesk), "to": "050 1234567", "send_at": "", **more}


def test_pages_come_into_the_form_as_they_are_ready(app: Flask, cast: Cast, bob: Browser) -> None:
    answer = upload(bob, cast)
    assert THUMBS.findall(answer) == []
    assert bob.get(path_of(answer)).status_code == 204, "nothing new"
    draw_preview()
    more = bob.get(path_of(answer)).text
    first, second = (path.replace("&amp;", "&") for path in THUMBS.findall(more))
    assert 'hx-swap-oob="beforeend:#preview-pages"' in more
    assert "2 pages, less than a minute on the line at 14,400 bit/s" in more
    assert ASKS.search(more) is None, "nothing more to ask"
    assert more.count('loading="lazy"') == 1
    for path in (first, second):
        picture = bob.get(path)
        assert Image.open(io.BytesIO(picture.data)).width == THUMBNAIL
        assert "immutable" in picture.headers["Cache-Control"]


def test_what_was_seen_is_what_goes_out_dot_by_dot(app: Flask, cast: Cast, bob: Browser) -> None:
    draft, more = ready(app, bob, cast)
    seen = [
        Image.open(io.BytesIO(bob.get(path.replace("&amp;", "&").replace(f"width={THUMBNAIL}", f"width={FULL}")).data))
        for path in THUMBS.findall(more)
    ]
    answer = bob.post("/faxes/send", **fields(cast, draft=draft, preview=SHOWN.search(more)[1]))
    assert answer.status_code == 303
    with app.app_context():
        fax_id = db.session.scalar(sa.select(Fax.id))
    prepare()
    with app.app_context():
        fax = db.session.get_one(Fax, fax_id)
        assert fax.status == "ready"
        with app.extensions["storage"].local_copy(fax.tiff.storage_key) as tiff:
            sent = [decode(page) for page in read_pages(tiff)]
        assert db.session.scalar(sa.select(Preview)) is None
    for picture, page in zip(seen, sent, strict=True):
        rows = [at * page.height // picture.height for at in range(picture.height)]
        lines = [page.crop((0, row, page.width, row + 1)).tobytes() for row in rows]
        assert [picture.crop((0, at, FULL, at + 1)).convert("1").tobytes() for at in range(picture.height)] == lines


def test_nobody_else_sees_the_pages_of_a_draft(
    app: Flask, cast: Cast, bob: Browser, alice: Browser, charlie: Browser, olga: Browser
) -> None:
    draft, more = ready(app, bob, cast)
    picture = THUMBS.search(more)[1].replace("&amp;", "&")
    for other in (alice, charlie, olga):
        assert other.get(picture).status_code == 404
        assert other.get(f"/faxes/send/preview/{preview_id(app)}").status_code == 404
        answer = other.post("/faxes/send/preview", draft=draft, entity="", page="/profile")
        assert "preview-pages" not in answer.text
    assert bob.get(picture).status_code == 200
    assert bob.get("/faxes/send/preview/%00").status_code == 404
    assert bob.get(picture.replace("/1.png", "/3.png")).status_code == 404


def test_the_preview_follows_the_line_and_pages_not_seen_do_not_go_out(app: Flask, cast: Cast, bob: Browser) -> None:
    draft, more = ready(app, bob, cast)
    with app.app_context():
        db.session.execute(sa.update(FaxTemplate).values(resolution="standard"))
        db.session.commit()
    shown = SHOWN.search(more)[1]
    answer = bob.post("/faxes/send", **fields(cast, draft=draft, preview=shown))
    assert answer.status_code == 422
    assert "differently from what you saw" in answer.text
    assert 'value="050 1234567"' in answer.text
    again = bob.post("/faxes/send/preview", draft=draft, entity=str(cast.frontdesk), htmx=True).text
    draw_preview()
    now = SHOWN.search(bob.get(path_of(again)).text)[1]
    assert now != shown
    assert bob.post("/faxes/send", **fields(cast, draft=draft, preview=now)).status_code == 303


def test_a_document_that_cannot_be_drawn_is_told_beside_it_and_keeps_the_form(
    app: Flask, cast: Cast, bob: Browser
) -> None:
    answer = upload(bob, cast)
    with app.app_context():
        failed = {"state": "failed", "cause": "too_many_pages", "cause_values": {"limit": 200}}
        db.session.execute(sa.update(Preview).values(**failed))
        db.session.commit()
    more = bob.get(path_of(answer)).text
    assert 'id="document-judgment"' in more
    assert "more than 200 pages" in more
    draft = DRAFT.search(answer)[1]
    refused = bob.post("/faxes/send", **fields(cast, draft=draft))
    assert refused.status_code == 422
    assert "more than 200 pages" in refused.text
    assert 'value="050 1234567"' in refused.text
    with app.app_context():
        assert db.session.scalar(sa.select(Fax)) is None


def test_a_document_that_is_replaced_takes_its_preview_with_it(app: Flask, cast: Cast, bob: Browser) -> None:
    draft, _more = ready(app, bob, cast)
    upload(bob, cast, pdf(pages=3), draft=draft)
    with app.app_context():
        [left] = db.session.scalars(sa.select(Preview))
        assert left.source_id != draft
        assert db.session.scalar(sa.select(sa.func.count()).where(Document.kind == "tiff")) == 0


TABLE = {"to": "050 1234567", "send_at": "2026-12-24T10:00"}


def counted(app: Flask, pages: int = 34, state: str = "done") -> None:
    with app.app_context():
        drawn = {"state": state, "pages": pages, "page_bytes": [50_000] * pages}
        db.session.execute(sa.update(Preview).values(**drawn))
        db.session.commit()


def test_a_long_spreadsheet_asks_in_the_form_as_soon_as_its_pages_are_counted(
    app: Flask, cast: Cast, bob: Browser
) -> None:
    file = (io.BytesIO(b"a;b\n1;2\n"), "prices.csv")
    answer = upload(bob, cast, document=file)
    assert "all_pages" not in answer.replace("#all_pages", "").replace("entity,all_pages", "")
    counted(app, 20)
    assert 'name="all_pages"' not in bob.get(path_of(answer)).text, "so many ask nothing"
    counted(app)
    more = bob.get(path_of(answer)).text
    assert "This spreadsheet has 34 pages, about 19 minutes on the line. Send all of them?" in more
    assert 'name="all_pages" value="34"' in more
    sent = {"draft": DRAFT.search(answer)[1], "preview": SHOWN.search(more)[1]} | fields(cast, **TABLE)
    for unanswered in ({}, {"all_pages": "33"}):
        refused = bob.post("/faxes/send", **sent, **unanswered)
        assert refused.status_code == 422
        assert '<a href="#all_pages">This spreadsheet has 34 pages' in refused.text
        for kept in ("050 1234567", "2026-12-24T10:00", sent["draft"]):
            assert f'value="{kept}"' in refused.text
    assert re.search(r'value="34"[^>]*aria-invalid="true">', refused.text), "and is not ticked"
    asked = bob.post("/faxes/send/preview", htmx=True, entity=sent["entity"], draft=sent["draft"], all_pages="34").text
    assert re.search(r'name="all_pages" value="34"[^>]* checked>', asked), "what was ticked stays"
    assert bob.post("/faxes/send", **sent, all_pages="34").status_code == 303
    with app.app_context():
        assert db.session.scalar(sa.select(Fax.pages)) == 34


def test_a_spreadsheet_that_comes_with_the_form_is_counted_and_asks_before_it_is_sent(
    app: Flask, cast: Cast, bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_of_form.time, "sleep", lambda _seconds: counted(app))
    file = (io.BytesIO(b"a;b\n1;2\n"), "prices.csv")
    refused = bob.post("/faxes/send", **fields(cast), document=file)
    assert refused.status_code == 422
    assert 'name="all_pages" value="34"' in refused.text
    again = fields(cast, draft=DRAFT.search(refused.text)[1], all_pages="34")
    assert bob.post("/faxes/send", **again).status_code == 303


def test_a_spreadsheet_that_is_being_counted_is_not_sent_unasked_and_keeps_no_form_for_long(
    app: Flask, cast: Cast, bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_of_form, "COUNTING_SECONDS", 0.0)
    draft = DRAFT.search(upload(bob, cast, document=(io.BytesIO(b"a;b\n1;2\n"), "prices.csv")))[1]
    counted(app, 21, "drawing")
    refused = bob.post("/faxes/send", **fields(cast, draft=draft))
    assert refused.status_code == 422
    assert "more than 20 pages, which are still being counted" in refused.text
    counted(app, 5, "drawing")
    assert bob.post("/faxes/send", **fields(cast, draft=draft)).status_code == 303, "it asks on its page if need be"


def test_without_javascript_a_fax_waits_until_it_was_looked_at(app: Flask, cast: Cast, bob: Browser) -> None:
    file = (io.BytesIO(pdf(pages=2)), "letter.pdf")
    answer = bob.post("/faxes/send", **fields(cast, look_first="yes"), document=file)
    path = answer.headers["Location"]
    assert "http-equiv" in bob.get(path).text
    prepare()
    page = bob.get(path).text
    for said in ("Waiting for you", "Nothing has been dialled yet", "cancelled at", "Send now", "Cancel it"):
        assert said in page
    assert "http-equiv" not in page, "nobody is disturbed while looking"
    assert page.count("/pages/") == 3, "the first one on top, and each of them"
    assert bob.post(f"{path}/send").status_code == 303
    assert "Dialling as soon as a line is free" in bob.get(path).text
    assert (
        "is no longer waiting for you"
        in bob.client.post(f"{path}/send", data={"csrf_token": bob.token("/faxes")}, follow_redirects=True).text
    )
