"""From the sign-in page to the report, with and without JavaScript, over a real line."""

import io

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.browser.desk import (
    ALICE,
    BETA,
    BOB,
    CHARLIE,
    FINAL,
    Desk,
    cancel,
    fax_id,
    fill,
    status,
    submit,
    wait_for_status,
)
from tests.documents import written

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("sent")]

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])


@WITH_AND_WITHOUT
def test_a_wrong_password_keeps_the_email_and_the_right_one_leads_on(visit, desk: Desk, script):
    page = visit("/faxes?direction=received", script=script)
    desk.sign_in(page, ALICE, "not-the-password")
    expect(page.locator("[role=alert]:visible")).to_have_count(1)
    assert page.input_value("[name=email]") == ALICE
    assert page.input_value("[name=password]") == ""
    desk.sign_in(page, ALICE)
    assert page.url == f"{desk.url}/faxes?direction=received"
    with page.expect_navigation():
        page.click("form[action='/sign-out'] button")
    assert page.url == f"{desk.url}/sign-in"
    page.goto(f"{desk.url}/faxes")
    assert "/sign-in" in page.url


@WITH_AND_WITHOUT
def test_a_pdf_is_followed_until_it_is_sent_and_leaves_its_papers(visit, sent, script):
    page = visit(f"/faxes/{sent.scripted if script else sent.plain}", who=ALICE, script=script)
    wait_for_status(page, "sent")
    assert status(page) == "sent"
    document, report = download(page, "#download-document"), download(page, "#download-report")
    assert len(document.pages) == 2
    assert "A letter, page 2" in document.pages[1].extract_text()
    assert "14400" in "".join(part.extract_text() for part in report.pages)


def download(page: Page, link: str) -> PdfReader:
    with page.expect_download() as taken:
        page.click(link)
    assert taken.value.suggested_filename.endswith(".pdf")
    return PdfReader(io.BytesIO(taken.value.path().read_bytes()))


def test_a_fax_that_failed_says_so_and_offers_the_next_step(visit, sent):
    page = visit(f"/faxes/{sent.failing}", who=ALICE)
    wait_for_status(page, "failed")
    expect(page.locator(".fax-main > .story")).to_contain_text("does not exist")
    page.click("#edit")
    expect(page.locator(".kept strong")).to_have_text("letter.pdf")
    assert page.input_value("[name=to]")


def test_the_page_follows_its_fax_without_a_reload_and_the_fax_is_cancelled_on_the_line(visit, folder):
    page = visit("/faxes/send", who=ALICE)
    fill(page, to=BETA, line="frontdesk", document=written(folder, dense(), "dense.pdf"))
    submit(page)
    first = fax_id(page)
    page.evaluate("window.stayed = true")
    wait_for_status(page, "sending")
    assert page.evaluate("window.stayed")
    with page.expect_navigation():
        page.press("#cancel", "Enter")
    page.evaluate("window.stayed = true")
    wait_for_status(page, *FINAL)
    assert status(page) == "cancelled"
    expect(page.locator("#fax-state")).to_be_focused()
    assert page.evaluate("window.stayed")
    with page.expect_navigation():
        page.click("#resend")
    assert fax_id(page) != first
    assert status(page) not in FINAL
    expect(page.locator("dl.facts").first).to_contain_text("dense.pdf")
    cancel(page)
    assert status(page) == "cancelled"


def dense() -> bytes:
    """A page of fine dots: minutes of line."""
    from reportlab.pdfgen.canvas import Canvas

    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(595, 842))
    for x in range(40, 560, 3):
        for y in range(40, 700, 3):
            canvas.rect(x, y, 1, 1, fill=1, stroke=0)
    canvas.save()
    return target.getvalue()


def test_the_list_follows_a_fax_without_a_reload(visit, letter):
    page = visit("/faxes/send", who=ALICE)
    fill(page, to="+39050900003", line="frontdesk", document=letter)
    submit(page)
    number = fax_id(page)
    page.goto(page.url.rpartition("/")[0] + "?direction=sent")
    page.evaluate("window.stayed = true")
    expect(page.locator(f"#status-{number} .badge.tone-bad")).to_be_visible(timeout=60_000)
    assert page.evaluate("window.stayed")


def test_the_other_company_gets_the_page_of_a_missing_thing(visit, desk: Desk, sent):
    wait_for_status(visit(f"/faxes/{sent.scripted}", who=BOB), "sent")
    page = visit("/faxes/01ZZZZZZZZZZZZZZZZZZZZZZZZ", who=CHARLIE)
    missing = page.locator("main .blank").inner_html()
    for path in ("", "/document.pdf", "/report.pdf", "/pages/1.png", "/status"):
        answer = page.goto(f"{desk.url}/faxes/{sent.scripted}{path}")
        assert answer and answer.status == 404
        assert page.locator("main .blank").inner_html() == missing
