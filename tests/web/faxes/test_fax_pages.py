"""The fax module."""

import re
from datetime import timedelta

import pytest
from flask import Flask

from app.models import Attempt, Fax, Status
from app.web.faxes.fax_pages import PAGE
from tenants.db import db, utc_now
from tests.web.cast import Browser, Cast, make_fax, pdf_bytes

SEEN = re.compile(r"seen=(\w+)")


def add_attempt(app: Flask, fax_id: str, n: int, **values: object) -> None:
    with app.app_context():
        fax = db.session.get(Fax, fax_id)
        attempt = Attempt(fax_id=fax_id, tenant_id=fax.tenant_id, entity_id=fax.entity_id, n=n, node="a", **values)
        attempt.channel_id = f"fax-{fax_id}-{n}"
        attempt.placed_at = utc_now()
        if attempt.outcome:
            attempt.answered_at, attempt.ended_at = utc_now() - timedelta(seconds=82), utc_now()
        db.session.add(attempt)
        db.session.commit()


def test_the_list_shows_the_newest_first_page_by_page(app: Flask, cast: Cast, bob: Browser) -> None:
    ids = [make_fax(app, cast) for _ in range(PAGE + 3)]
    page = bob.get("/faxes?direction=sent").text
    shown = re.findall(r'id="fax-(\w+)"', page)
    assert shown == ids[::-1][:PAGE]
    older = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")
    assert re.findall(r'id="fax-(\w+)"', bob.get(older).text) == ids[::-1][PAGE:]


def test_an_empty_list_says_what_will_be_there(bob: Browser) -> None:
    assert "Send the first one" in bob.get("/faxes?direction=sent").text
    assert "Every fax received on your lines" in bob.get("/faxes?direction=received").text


def test_received_faxes_are_seen_by_who_may_receive(app: Flask, cast: Cast, bob: Browser, alice: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.RECEIVED, direction="received", user_id=None, source_id=None)
    with app.app_context():
        db.session.get(Fax, fax_id).user_id = None
        db.session.commit()
    assert fax_id in alice.get("/faxes?direction=received").text
    assert fax_id not in bob.get("/faxes?direction=received").text
    assert bob.get(f"/faxes/{fax_id}").status_code == 404
    assert "Fax from" in alice.get(f"/faxes/{fax_id}").text


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_its_page_its_title_and_its_row(
    app: Flask, cast: Cast, alice: Browser, status: Status
) -> None:
    direction = "received" if status in (Status.RECEIVING, Status.RECEIVED, Status.INCOMPLETE) else "sent"
    fax_id = make_fax(app, cast, status=status, direction=direction, cause="busy", line_seconds=76)
    page = alice.get(f"/faxes/{fax_id}").text
    assert f'data-fax-status="{status}"' in page
    label = re.search(r'<span class="badge tone-\w+"><svg.*?</svg><span>([^<]+)</span>', page, re.S)[1]
    assert f"<title>{label} · " in page
    assert label in alice.get(f"/faxes?direction={direction}").text


@pytest.mark.parametrize("status", list(Status))
def test_a_page_asks_again_only_while_its_fax_can_change(
    app: Flask, cast: Cast, alice: Browser, status: Status
) -> None:
    over = {"sent", "failed", "cancelled", "unknown", "received", "incomplete"}
    direction = "received" if status in (Status.RECEIVING, Status.RECEIVED, Status.INCOMPLETE) else "sent"
    fax_id = make_fax(app, cast, status=status, direction=direction)
    assert (f"/faxes/{fax_id}/status" in alice.get(f"/faxes/{fax_id}").text) == (status not in over)
    assert (f"ids={fax_id}" in alice.get(f"/faxes?direction={direction}").text) == (status not in over)


def test_a_fax_leads_back_to_the_search_that_found_it(app: Flask, cast: Cast, alice: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.FAILED, cause="busy")
    place = "/faxes?direction=sent&q=%2B49&status=failed"
    escaped = place.replace("&", "&amp;")
    page = alice.get(f"/faxes/{fax_id}", headers={"Referer": f"http://localhost{place}"}).text
    assert f'<a href="{escaped}">← Sent faxes</a>' in page
    assert f'name="came_from" value="{escaped}"' in page
    assert '<a href="/faxes?direction=sent" aria-current="true">' in page
    answer = alice.post(f"/faxes/{fax_id}/cancel", came_from=place)
    assert f'<a href="{escaped}">← Sent faxes</a>' in alice.get(answer.headers["Location"]).text


@pytest.mark.parametrize(
    "place", ["http://evil.test/inbox", "//evil.test/faxes", "http://localhost//evil.test/faxes", "/profile", "\\inbox"]
)
def test_a_fax_leads_nowhere_else(app: Flask, cast: Cast, alice: Browser, place: str) -> None:
    fax_id = make_fax(app, cast)
    for page in (
        alice.get(f"/faxes/{fax_id}", headers={"Referer": place}).text,
        alice.get(f"/faxes/{fax_id}", query_string={"came_from": place}).text,
    ):
        assert '<a href="/faxes?direction=sent">← Sent faxes</a>' in page
        assert 'name="came_from"' not in page


def test_the_fragment_is_the_part_of_the_page_that_it_replaces(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.SENDING, pages=9, pages_done=4)
    page = bob.get(f"/faxes/{fax_id}").text
    fragment = bob.get(f"/faxes/{fax_id}/status").text
    section = re.compile(r'<section id="fax-live".*?</section>', re.S)
    volatile = re.compile(r'value="[^"]+"')
    assert volatile.sub("", section.search(fragment)[0]) == volatile.sub("", section.search(page)[0])
    assert "<title>Sending · 050 123 4567 · Faxroom</title>" in fragment
    assert "4 of 9 pages confirmed" in fragment


def test_a_fragment_is_sent_only_when_something_has_changed(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.DIALING)
    seen = SEEN.search(bob.get(f"/faxes/{fax_id}").text)[1]
    assert bob.get(f"/faxes/{fax_id}/status?seen={seen}").status_code == 204
    with app.app_context():
        db.session.get(Fax, fax_id).status = Status.SENDING
        db.session.commit()
    answer = bob.get(f"/faxes/{fax_id}/status?seen={seen}")
    assert answer.status_code == 200
    assert 'data-fax-status="sending"' in answer.text


def test_the_list_follows_the_faxes_that_are_under_way(app: Flask, cast: Cast, bob: Browser) -> None:
    done, moving = make_fax(app, cast), make_fax(app, cast, status=Status.DIALING)
    page = bob.get("/faxes?direction=sent").text
    place = re.search(r'id="live" hidden hx-get="([^"]+)"', page)[1].replace("&amp;", "&")
    assert moving in place
    assert done not in place
    assert bob.get(place).status_code == 204
    with app.app_context():
        fax = db.session.get(Fax, moving)
        fax.status, fax.finished_at = Status.SENT, utc_now()
        db.session.commit()
    fragment = bob.get(place).text
    assert f'id="status-{moving}"' in fragment
    assert "ids=" not in fragment, "nothing is left to follow"


def test_the_attempts_are_told_one_by_one(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.SENDING, pages=9, pages_done=3)
    add_attempt(app, fax_id, 1, outcome="busy")
    add_attempt(app, fax_id, 2, outcome="dropped", pages_confirmed=3, mode="T38", rate=14400, remote_station_id="<b>X")
    add_attempt(app, fax_id, 3, first_page=4)
    page = bob.get(f"/faxes/{fax_id}").text
    for text in ("The line was busy.", "The call was dropped", "1–3", "1:22", "T.38", "14,400 bit/s", "&lt;b&gt;X"):
        assert text in page
    assert "<b>X" not in page


def test_a_waiting_fax_is_cancelled(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.SCHEDULED)
    assert "Cancel this fax" in bob.get(f"/faxes/{fax_id}").text
    assert bob.post(f"/faxes/{fax_id}/cancel").headers["Location"] == f"/faxes/{fax_id}"
    page = bob.get(f"/faxes/{fax_id}").text
    assert 'data-fax-status="cancelled"' in page
    assert "Cancel this fax" not in page


def test_what_is_over_cannot_be_cancelled_and_says_so(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.SENT)
    bob.post(f"/faxes/{fax_id}/cancel")
    page = bob.get(f"/faxes/{fax_id}").text
    assert 'data-fax-status="sent"' in page
    assert "Too late to cancel" in page


def test_a_failed_fax_is_sent_again_once_however_often_it_is_clicked(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.FAILED, cause="busy")
    key = re.search(r'name="submission" value="([^"]+)"', bob.get(f"/faxes/{fax_id}").text)[1]
    places = {bob.post(f"/faxes/{fax_id}/resend", submission=key).headers["Location"] for _ in range(2)}
    assert len(places) == 1
    page = bob.get(places.pop()).text
    assert 'data-fax-status="accepted"' in page
    assert "an earlier fax" in page
    with app.app_context():
        assert db.session.query(Fax).count() == 2


def test_a_fax_under_way_cannot_be_sent_again(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.SENDING)
    assert "Send again" not in bob.get(f"/faxes/{fax_id}").text
    assert bob.post(f"/faxes/{fax_id}/resend", submission="x").status_code == 404


def test_a_wrong_number_is_changed_without_filling_the_form_anew(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, status=Status.FAILED, cause="unallocated", name="Referto.pdf")
    with app.app_context():
        db.session.get(Fax, fax_id).source.user_id = cast.bob
        db.session.commit()
    page = bob.get(f"/faxes/{fax_id}").text
    assert f"/faxes/send?again={fax_id}" in page
    assert re.search(r'class="button primary" id="edit"', page)
    assert page.index('id="edit"') < page.index('id="resend"') < page.index('id="download-document"')
    form = bob.get(f"/faxes/send?again={fax_id}").text
    assert 'value="050 123 4567"' in form
    assert "Referto.pdf" in form


def test_the_document_downloads_and_is_never_opened_in_the_page(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast)
    answer = bob.get(f"/faxes/{fax_id}/document.pdf")
    assert answer.data == pdf_bytes(2)
    assert answer.mimetype == "application/pdf"
    assert re.match(
        r"attachment; filename=F0509655637_T00501234567_[\d_-]+_1\.pdf", answer.headers["Content-Disposition"]
    )


def test_there_is_no_document_before_it_is_prepared_and_no_report_before_the_end(
    app: Flask, cast: Cast, bob: Browser
) -> None:
    fax_id = make_fax(app, cast, status=Status.PREPARING, pdf_id=None)
    for name in ("document.pdf", "report.pdf", "pages/1.png"):
        assert bob.get(f"/faxes/{fax_id}/{name}").status_code == 404


def test_the_report_is_drawn_when_it_is_first_asked_for(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, finished_at=utc_now())
    add_attempt(app, fax_id, 1, outcome="success", pages_confirmed=2, mode="T38", rate=14400)
    first, second = (bob.get(f"/faxes/{fax_id}/report.pdf") for _ in range(2))
    assert first.data.startswith(b"%PDF")
    assert first.data == second.data
    assert "_report.pdf" in first.headers["Content-Disposition"]


def test_colleagues_see_what_their_line_sent_and_others_of_the_company_do_not(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    by_alice = make_fax(app, cast, user_id=cast.alice)
    elsewhere = make_fax(app, cast, user_id=cast.alice, entity_id=cast.archive)
    page = bob.get("/faxes?direction=sent").text
    assert by_alice in page
    assert elsewhere not in page
    assert bob.get(f"/faxes/{elsewhere}").status_code == 404
    assert elsewhere in alice.get("/faxes?direction=sent").text


def test_strangers_names_stay_text(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, name="<script>alert(1)</script>.pdf")
    for path in ("/faxes?direction=sent", f"/faxes/{fax_id}"):
        assert "<script>alert" not in bob.get(path).text
