"""The fax module's list: search, filters, paging, new faxes, several in one ZIP."""

import html
import io
import re
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from app.models import Document, Fax, FaxEntity, Status
from app.rules.log.search import search_text
from app.web.faxes.bundle import MOST
from app.web.faxes.fax_pages import PAGE
from tenants.db import db, new_ulid, utc_now
from tenants.models import Tenant
from tests.web.cast import Browser, Cast, make_fax, pdf_bytes
from tests.web.faxes.test_fax_pages import add_attempt

SHOWN = re.compile(r'id="fax-(\w+)"')
LIVE = re.compile(r'id="live" hidden hx-get="([^"]+)"')
NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)


def enter(app: Flask, cast: Cast, **values: object) -> str:
    """A fax that can be searched for."""
    name = values.get("name", "letter.pdf")
    fax_id = make_fax(app, cast, **values)
    with app.app_context():
        fax = db.session.get(Fax, fax_id)
        tenant = db.session.get(Tenant, cast.alpha)
        fax.search_text = search_text(tenant=tenant, number=fax.remote_number, names=[name, "Bob", fax.entity.name])
        db.session.commit()
    return fax_id


def shown(browser: Browser, query: str, **options: object) -> list[str]:
    answer = browser.get(f"/faxes?{query}", **options)
    assert answer.status_code == 200
    return SHOWN.findall(answer.text)


def link(text: str, rel: str) -> str:
    return html.unescape(re.search(rf'rel="{rel}" href="([^"]+)"', text)[1])


# ---- Search and filters


def test_text_and_filters_are_in_the_address_and_hold_together(app: Flask, cast: Cast, alice: Browser) -> None:
    wanted = enter(app, cast, name="Referto.pdf", status=Status.FAILED, cause="busy", created_at=NOON)
    enter(app, cast, name="Referto.pdf", created_at=NOON)
    enter(app, cast, name="Referto.pdf", status=Status.FAILED, cause="busy", entity_id=cast.archive, created_at=NOON)
    enter(app, cast, name="Referto.pdf", status=Status.FAILED, cause="busy", created_at=NOON - timedelta(days=9))
    query = f"direction=sent&q=referto&entity={cast.frontdesk}&status=failed&since=2026-11-20&until=2026-11-20"
    assert shown(alice, query) == [wanted]
    page = alice.get(f"/faxes?{query}").text
    for field in ('value="referto"', f'<option value="{cast.frontdesk}" selected>', '<option value="failed" selected>'):
        assert field in page
    assert page.count('value="2026-11-20"') == 2
    assert "1 fax found" in page


def test_the_words_of_a_status_are_those_of_the_readers_language(app: Flask, cast: Cast, bob: Browser) -> None:
    wanted = enter(app, cast, status=Status.FAILED, cause="busy")
    enter(app, cast)
    assert shown(bob, "direction=sent&q=busy") == [wanted]
    assert shown(bob, "direction=sent&q=occupato") == []
    with app.app_context():
        db.session.get(Fax, wanted).user.language = "it"
        db.session.commit()
    assert shown(bob, "direction=sent&q=occupato") == [wanted]


def test_nothing_found_says_which_filters_hold_and_clears_each(app: Flask, cast: Cast, bob: Browser) -> None:
    enter(app, cast)
    page = bob.get("/faxes?direction=sent&q=nothing&status=failed&since=2026-01-02").text
    assert '<span class="visually-hidden" role="status">No fax found</span>' in page, "the headline below shows it"
    assert "<h2>No matching faxes</h2>" in page
    assert re.findall(r'<span class="muted">([^<]+)</span> <span class="chip-value">', page)[-1] == "From day"
    chips = {html.unescape(place) for place in re.findall(r'class="chip" id="clear-\w+" href="([^"]+)"', page)}
    assert chips == {
        "/faxes?direction=sent&status=failed&since=2026-01-02",
        "/faxes?direction=sent&q=nothing&since=2026-01-02",
        "/faxes?direction=sent&q=nothing&status=failed",
    }
    assert 'class="chips-all" id="clear-all" href="/faxes?direction=sent"' in page
    assert "/faxes?direction=received&amp;q=nothing&amp;since=2026-01-02" in page, "the same among the received ones"
    assert "Send the first one" not in page


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("since=31/31/2026", "“31/31/2026” is not a date"),
        ("until=yesterday", "“yesterday” is not a date"),
        ("since=0000-00-00", "is not a date"),
        ("since=9999-12-31&until=0001-01-01", "is not a date"),
        ("since=2026-11-21&until=2026-11-20", "The last day is before the first one"),
        ("status=nonsense", "No such status"),
        ("status=received", "No such status"),
        ("entity=999999", "No such line"),
        ("entity=%00", "No such line"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_holds(
    app: Flask, cast: Cast, bob: Browser, query: str, told: str
) -> None:
    wanted = enter(app, cast, name="Referto.pdf", created_at=datetime(2026, 12, 1, tzinfo=UTC))
    enter(app, cast, name="Fattura.pdf", created_at=datetime(2026, 12, 1, tzinfo=UTC))
    answer = bob.get(f"/faxes?direction=sent&q=referto&{query}")
    assert told in answer.text
    assert SHOWN.findall(answer.text) == [wanted]
    assert 'value="referto"' in answer.text


def test_the_list_that_htmx_gets_names_the_fields_that_are_wrong(app: Flask, cast: Cast, bob: Browser) -> None:
    enter(app, cast)
    query = "direction=sent&since=2026-11-21&until=2026-11-20&status=nonsense"
    part = bob.get(f"/faxes?{query}", headers={"HX-Request": "true", "HX-Target": "list"}).text
    assert 'id="finder-problems" data-fields="status until"' in part


@pytest.mark.parametrize("typed", ["20/11/2026", "20.11.2026", "20-11-2026", "2026-11-20", "20261120"])
def test_a_date_is_read_as_people_write_it(app: Flask, cast: Cast, bob: Browser, typed: str) -> None:
    wanted = enter(app, cast, created_at=NOON)
    enter(app, cast, created_at=NOON + timedelta(days=1))
    assert shown(bob, f"direction=sent&since={typed}&until={typed}") == [wanted]


@pytest.mark.parametrize(
    "query", ["q=%00", "q=%F0%9F%93%A0", "q=" + "a" * 9000, "before=%00", "after=x", "before=x&after=y", "direction=x"]
)
def test_nonsense_breaks_nothing(app: Flask, cast: Cast, bob: Browser, query: str) -> None:
    enter(app, cast)
    assert bob.get(f"/faxes?{query}").status_code == 200


def test_a_search_is_shown_as_text(app: Flask, cast: Cast, bob: Browser) -> None:
    page = bob.get("/faxes?direction=sent&q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&since=%3Cb%3E").text
    assert "<script>alert" not in page
    assert "“<b>”" not in page


def test_the_filters_stay_from_page_to_page(app: Flask, cast: Cast, bob: Browser) -> None:
    ids = [enter(app, cast, name="Referto.pdf", created_at=NOON) for _ in range(PAGE + 3)]
    enter(app, cast, name="Fattura.pdf", created_at=NOON)
    first = bob.get("/faxes?direction=sent&q=referto&since=2026-11-01").text
    assert SHOWN.findall(first) == ids[::-1][:PAGE], "newest first, though their times are equal"
    second = bob.get(link(first, "next")).text
    assert SHOWN.findall(second) == ids[::-1][PAGE:]
    assert 'rel="next"' not in second
    assert SHOWN.findall(bob.get(link(second, "prev")).text) == ids[::-1][:PAGE]
    assert 'rel="prev"' not in first


def test_htmx_gets_the_list_alone_with_the_tabs_that_keep_the_search(app: Flask, cast: Cast, bob: Browser) -> None:
    wanted = enter(app, cast, name="Referto.pdf")
    enter(app, cast)
    htmx = {"HX-Request": "true", "HX-Target": "list"}
    answer = bob.get("/faxes?direction=sent&q=referto&entity=&status=&since=&until=", headers=htmx).text
    assert answer.startswith('<div id="list" data-here="/faxes?direction=sent&amp;q=referto">') or (
        'data-here="/faxes?direction=sent&amp;q=referto"' in answer
    )
    assert "<html" not in answer
    assert SHOWN.findall(answer) == [wanted]
    assert 'id="tabs"' in answer
    assert "/faxes?direction=received&amp;q=referto" in answer


def test_an_outsider_finds_nothing_of_another_company(app: Flask, cast: Cast, charlie: Browser) -> None:
    theirs = enter(app, cast, name="secret.pdf", status=Status.FAILED, cause="busy")
    queries = ["", "q=secret", "q=busy", "q=%231", f"entity={cast.frontdesk}", "status=failed", f"after={theirs}"]
    for query in queries:
        page = charlie.get(f"/faxes?direction=sent&{query}").text
        assert theirs not in SHOWN.findall(page)
        assert "frontdesk" not in page
    foreign, missing = (
        charlie.get(f"/faxes?direction=sent&entity={entity}").text for entity in (cast.frontdesk, 999999)
    )
    assert "No such line" in foreign
    assert re.sub(r"\d{6}|value=\"[^\"]+\"|token\": \"[^\"]+\"", "", foreign).count("No such line") == 1
    assert "No such line" in missing


def test_a_closed_line_is_offered_as_closed_and_still_has_its_faxes(app: Flask, cast: Cast, alice: Browser) -> None:
    fax_id = enter(app, cast)
    assert "frontdesk (closed)" not in alice.get("/faxes?direction=sent").text
    with app.app_context():
        db.session.get_one(FaxEntity, cast.frontdesk).closed_at = utc_now()
        db.session.commit()
    page = alice.get(f"/faxes?direction=sent&entity={cast.frontdesk}").text
    assert f'<option value="{cast.frontdesk}" selected>frontdesk (closed)</option>' in page
    assert "archive (closed)" not in page
    assert shown(alice, f"direction=sent&entity={cast.frontdesk}") == [fax_id]


def test_a_line_without_permission_is_not_offered(app: Flask, cast: Cast, alice: Browser, bob: Browser) -> None:
    enter(app, cast)
    assert ">archive</option>" in alice.get("/faxes?direction=sent").text
    assert ">archive</option>" not in bob.get("/faxes?direction=sent").text


def test_an_operator_has_no_list(olga: Browser) -> None:
    assert olga.get("/faxes").status_code == 404
    assert olga.get("/faxes/live?since=0").status_code == 404


# ---- What is new


def poll(browser: Browser, page: str) -> str:
    return html.unescape(LIVE.search(page)[1])


def test_new_faxes_are_counted_once_and_lead_to_the_newest(app: Flask, cast: Cast, bob: Browser) -> None:
    enter(app, cast)
    place = poll(bob, bob.get("/faxes?direction=sent").text)
    assert bob.get(place).status_code == 204
    enter(app, cast)
    enter(app, cast, entity_id=cast.archive, user_id=cast.alice)
    answer = bob.get(place).text
    assert "1 new fax<" in answer
    assert 'hx-get="/faxes?direction=sent"' in answer
    assert bob.get(poll(bob, answer)).status_code == 204, "it is told already"
    enter(app, cast)
    assert "2 new faxes" in bob.get(poll(bob, answer)).text


def test_the_first_fax_ever_is_told_on_the_empty_page(app: Flask, cast: Cast, bob: Browser) -> None:
    place = poll(bob, bob.get("/faxes?direction=sent").text)
    enter(app, cast)
    assert "1 new fax<" in bob.get(place).text


@pytest.mark.parametrize("query", ["q=letter", "status=sent", "since=2026-01-01"])
def test_a_search_does_not_look_for_new_ones(app: Flask, cast: Cast, bob: Browser, query: str) -> None:
    enter(app, cast)
    assert 'hx-trigger="every' not in bob.get(f"/faxes?direction=sent&{query}").text


def test_an_older_page_does_not_look_for_new_ones(app: Flask, cast: Cast, bob: Browser) -> None:
    ids = [enter(app, cast) for _ in range(3)]
    assert 'hx-trigger="every' not in bob.get(f"/faxes?direction=sent&before={ids[-1]}").text


def test_an_outsider_hears_of_no_new_fax_of_another_company(app: Flask, cast: Cast, charlie: Browser) -> None:
    enter(app, cast)
    for query in ("direction=sent&since=0", "direction=sent&since=-5", "since=99999999999999999999999", "since=x"):
        assert charlie.get(f"/faxes/live?{query}").status_code == 204


# ---- Several in one ZIP


def opened(answer: object) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.status_code
    archive = zipfile.ZipFile(io.BytesIO(answer.data))
    assert archive.testzip() is None
    return archive


def test_several_are_downloaded_with_their_reports_in_one_zip(app: Flask, cast: Cast, alice: Browser) -> None:
    sent = enter(app, cast, created_at=NOON, finished_at=NOON)
    add_attempt(app, sent, 1, outcome="success", pages_confirmed=2)
    received = enter(app, cast, status=Status.RECEIVED, direction="received", source_id=None, created_at=NOON)
    under_way = enter(app, cast, status=Status.SENDING, created_at=NOON)
    answer = alice.post("/faxes/download", ids=[sent, received, under_way, sent])
    archive = opened(answer)
    assert answer.mimetype == "application/zip"
    assert re.search(r"filename=faxes_\d{4}-\d\d-\d\d_\d\d_\d\d_\d\d\.zip", answer.headers["Content-Disposition"])
    assert archive.namelist() == [
        "F0509655637_T00501234567_2026-11-20_12_00_00_1.pdf",
        "F0509655637_T00501234567_2026-11-20_12_00_00_1_report.pdf",
        "F00501234567_T0509655637_2026-11-20_12_00_00_2.pdf",
        "F0509655637_T00501234567_2026-11-20_12_00_00_3.pdf",
    ]
    assert archive.read(archive.namelist()[0]) == pdf_bytes(2)
    assert archive.read(archive.namelist()[1]).startswith(b"%PDF")
    assert {entry.date_time for entry in archive.infolist()} == {(2026, 11, 20, 12, 0, 0)}, "where the company is"


def test_the_archive_says_what_it_does_not_hold(app: Flask, cast: Cast, bob: Browser) -> None:
    without = enter(app, cast, status=Status.PREPARING, pdf_id=None)
    lost, whole = enter(app, cast, status=Status.SENDING), enter(app, cast, status=Status.SENDING)
    with app.app_context():
        app.extensions["storage"].delete(db.session.get(Fax, lost).pdf.storage_key)
    archive = opened(bob.post("/faxes/download", ids=[without, lost, whole]))
    pdf, note = archive.namelist()
    assert pdf.endswith("_3.pdf")
    assert archive.getinfo(note).date_time[0] >= utc_now().year - 1
    text = archive.read(note).decode()
    assert "_1.pdf: this fax has no pages" in text
    assert "_2.pdf: could not be read" in text


def test_the_archive_travels_while_it_is_made(app: Flask, cast: Cast, bob: Browser) -> None:
    """The next fax is not even looked for before the one before it has gone out."""
    first, second = enter(app, cast, status=Status.SENDING), enter(app, cast, status=Status.SENDING)
    token = bob.token("/faxes")
    answer = bob.client.post("/faxes/download", data={"ids": [first, second], "csrf_token": token}, buffered=False)
    parts = iter(answer.response)
    assert next(parts).startswith(b"PK")
    with app.app_context():
        db.session.get(Fax, second).pdf_id = None
        db.session.commit()
    rest = b"".join(parts)
    assert b"READ-ME.txt" in rest
    answer.close()


def test_names_in_the_archive_are_made_unique() -> None:
    from app.web.faxes.bundle import _unique

    taken: set[str] = set()
    assert [_unique(name, taken) for name in ("a.pdf", "A.pdf", "a.pdf", "b")] == [
        "a.pdf",
        "A (2).pdf",
        "a (3).pdf",
        "b",
    ]


def test_a_fax_that_may_not_be_seen_is_a_missing_one(app: Flask, cast: Cast, bob: Browser, charlie: Browser) -> None:
    own, elsewhere = enter(app, cast), enter(app, cast, entity_id=cast.archive, user_id=cast.alice)
    for ids in ([own, elsewhere], [own, new_ulid()], ["nonsense"], ["\0"], [own, ""]):
        assert bob.post("/faxes/download", ids=ids).status_code == 404, ids
    foreign, missing = (charlie.post("/faxes/download", ids=[one]) for one in (own, new_ulid()))
    assert (foreign.status_code, missing.status_code) == (404, 404)


def test_selecting_nothing_or_too_many_is_told_on_the_page_one_came_from(app: Flask, cast: Cast, bob: Browser) -> None:
    enter(app, cast)
    back = "/faxes?direction=sent&q=letter"
    answer = bob.post("/faxes/download", back=back)
    assert answer.headers["Location"] == back
    assert "Select the faxes to download first" in bob.get(back).text
    bob.post("/faxes/download", ids=[new_ulid() for _ in range(MOST + 1)], back=back)
    assert f"{MOST} faxes. Select fewer" in bob.get(back).text
    assert bob.post("/faxes/download", back="//evil.test").headers["Location"] == "/faxes"


def test_all_on_the_page_are_selected_without_a_script(app: Flask, cast: Cast, bob: Browser) -> None:
    for _ in range(3):
        enter(app, cast)
    page = bob.get("/faxes?direction=sent").text
    assert " checked" not in page
    everything = html.unescape(re.search(r'class="bundle-all" href="([^"]+)"', page)[1])
    assert bob.get(everything).text.count(" checked") == 3


def test_a_downloads_document_is_that_of_the_fax(app: Flask, cast: Cast, bob: Browser) -> None:
    """Two faxes of the same moment keep their own documents."""
    ids = [enter(app, cast, status=Status.SENDING, created_at=utc_now()) for _ in range(2)]
    with app.app_context():
        keys = [db.session.get(Fax, fax_id).pdf.storage_key for fax_id in ids]
        storage = app.extensions["storage"]
        for n, key in enumerate(keys):
            storage.write(key, io.BytesIO(b"%%PDF %d" % n))
        assert db.session.query(Document).count() == 2
    archive = opened(bob.post("/faxes/download", ids=ids))
    assert [archive.read(name) for name in archive.namelist()] == [b"%PDF 0", b"%PDF 1"]
